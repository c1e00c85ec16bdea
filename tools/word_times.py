"""Word times against references that are not ours, and the constant delays that are taken out of ours.

    python tools/word_times.py reference tools/word_times.jsonl --data data --number 80
    python tools/word_times.py measure --data data [--model DIR] [--grid FOLDER] [--store]

`reference` lets PocketSphinx (`pip install pocketsphinx`) align validation speech with its text; the file in `tools/`
was made so and belongs to no model. `measure` compares the starts and ends of words that were recognized right, in both
readings, and of all words placed by forced alignment; delays are those with the least absolute error on half of the
speakers, the figures are of the others, and of the clips of GRID (`*.mpg` and `*.align` below one folder) where there
are some. `--store` writes the delays into the model's `model.json`.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.aligner import Aligner
from asr.audio import SAMPLE_RATE, read_audio
from asr.datasets.manifest import read_manifest
from asr.decoder import Decoder, timed
from asr.decoders import load_decoders, load_pronunciations
from asr.g2p import Pronouncer
from asr.greedy import DecodedWord
from asr.network import Network, read_config
from asr.posteriors import Reading, utterance_log_probs
from asr.recognizer import find_model
from asr.text import normalize
from asr.tune import READINGS, halves, write_config

REFERENCE = Path(__file__).with_suffix(".jsonl")
CLOSE_SECONDS = 0.08
START_SHIFTS = np.arange(-4.0, 2.01, 0.25)  # frames
END_SHIFTS = np.arange(-2.0, 4.01, 0.25)
GRID_UNITS = 25_000  # of a second, in its .align files
GRID_CLIPS = 60
TEXT = "text"  # besides the readings: forced alignment

Times = list[tuple[str, float, float]]  # words with start and end in seconds


@dataclass(frozen=True)
class Timed:
    """A recording with the times of its words from elsewhere, and those of ours with no delay taken out."""

    speaker: str
    seconds: float
    reference: Times
    found: dict[str, tuple[list[DecodedWord], int]]  # words and number of frames, by reading


def reference(data: Path, model: Path, number: int, seed: int = 7) -> Iterator[str]:
    """JSON lines of utterances aligned by PocketSphinx."""
    import pocketsphinx  # type: ignore[import-not-found]

    network = Network.load(model)
    lexicon, g2p = load_pronunciations(network)
    assert lexicon is not None, "pronunciations come from the model's lexicon"
    pronouncer = Pronouncer(lexicon, g2p)
    everything = [one for one in read_manifest(data / "manifests" / "valid.jsonl") if one.corpus == "librispeech"]
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    for place in np.random.default_rng(seed).permutation(len(everything))[:number]:
        one = everything[place]
        text = normalize(one.text)
        for word in text.split():
            if decoder.lookup_word(word) is None:
                sounds = [lexicon.tokens[token] for token in pronouncer.pronounce(word)[0]]
                decoder.add_word(word, " ".join(sounds), True)
        decoder.set_align_text(text)
        samples = np.round(32767 * np.clip(read_audio(one.audio), -1, 1)).astype(np.int16)
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        said = [(part.word.partition("(")[0], part.start_frame / 100, (part.end_frame + 1) / 100)
                for part in decoder.seg() or () if part.word[0] not in "<["]  # fmt: skip
        if [word for word, _, _ in said] == text.split():  # else it gave up in the middle
            audio = str(one.audio.relative_to(data.absolute()))
            yield json.dumps({"audio": audio, "speaker": one.speaker, "words": said})


def stored(data: Path, path: Path) -> Iterator[tuple[Path, str, Times]]:
    """Recordings, speakers and word times of a file that `reference` made."""
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        yield data / one["audio"], one["speaker"], [tuple(word) for word in one["words"]]


def grid(folder: Path) -> Iterator[tuple[Path, str, Times]]:
    """The same of clips of the GRID corpus (Cooke et al., 2006), evenly chosen."""
    aligned = sorted(folder.rglob("*.align"))
    clips = {path.stem: path for path in folder.rglob("*.mpg")}
    for path in aligned[:: max(1, len(aligned) // GRID_CLIPS)]:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        said = [(word, int(start) / GRID_UNITS, int(end) / GRID_UNITS) for start, end, word in rows]
        yield clips[path.stem], "grid", [word for word in said if word[0] not in ("sil", "sp")]


def listen(network: Network, recordings: Iterator[tuple[Path, str, Times]]) -> list[Timed]:
    """Word times by both readings and by forced alignment, as the tokens stand."""
    decoders: dict[Reading, Decoder] = {
        reading: decoder.with_options(replace(decoder.options, start_shift=0.0, end_shift=0.0))
        for reading, decoder in zip(READINGS, load_decoders(network), strict=True)
    }
    head = decoders["second"].head
    aligner = Aligner(network.heads[head], *load_pronunciations(network))
    heard = []
    for audio, speaker, said in recordings:
        samples = read_audio(audio)
        found = {}
        for reading, decoder in decoders.items():
            log_probs = utterance_log_probs(network, samples, reading)[head]
            words = decoder.best(decoder.step(decoder.start(), log_probs))[0].words
            found[str(reading)] = list(words), len(log_probs)
        placed = aligner.align([log_probs], [word for word, _, _ in said]).words
        aligned = [DecodedWord(word.text, word.start, word.end, word.confidence) for word in placed]
        heard.append(Timed(speaker, len(samples) / SAMPLE_RATE, said, {**found, TEXT: (aligned, len(log_probs))}))
    return heard


def offsets(
    heard: Sequence[Timed], reading: str, start_shift: float, end_shift: float, frame: float
) -> NDArray[np.float64]:
    """Seconds from the reference's [starts, ends] to ours, of the words that both have: [2, words]."""
    rows = []
    for one in heard:
        words, frames = one.found[reading]
        said = [word for word, _, _ in one.reference]
        ours = timed(words, frames, start_shift, end_shift)
        same = difflib.SequenceMatcher(None, [word.text for word in ours], said, autojunk=False)
        for first, second, size in same.get_matching_blocks():
            for word, (_, start, end) in zip(
                ours[first : first + size], one.reference[second : second + size], strict=True
            ):
                rows.append((word.start_frame * frame - start, word.end_frame * frame - end))
    return np.array(rows).reshape(-1, 2).T


def estimate(heard: Sequence[Timed], reading: str, frame: float) -> tuple[float, float]:
    """The delays, in frames, with the least mean absolute error."""

    def error(start: float, end: float, row: int) -> float:
        return float(np.abs(offsets(heard, reading, start, end, frame)[row]).mean())

    start = min(START_SHIFTS.tolist(), key=lambda shift: error(shift, 1e-6, 0))
    return start, min(END_SHIFTS.tolist(), key=lambda shift: error(start, shift, 1))


def figures(offset: NDArray[np.float64]) -> dict[str, float]:
    """Median offsets in ms and shares within 80 ms."""
    close, middle = (np.abs(offset) <= CLOSE_SECONDS).mean(axis=1), 1000 * np.median(offset, axis=1)
    return {
        "words": offset.shape[1],
        "start": round(float(middle[0])),
        "starts close": float(close[0]),
        "end": round(float(middle[1])),
        "ends close": float(close[1]),
        "close": float(close.mean()),
    }


def report(name: str, found: dict[str, float]) -> str:
    return (
        f"{name:<44}{found['words']:>6}{found['start']:>+9}{found['starts close']:>8.1%}"
        f"{found['end']:>+9}{found['ends close']:>8.1%}{found['close']:>8.1%}"
    )


def measure(data: Path, model: Path, grid_folder: Path | None, store: bool) -> dict[str, dict[str, float]]:
    """Prints the comparison; gives the figures of speakers that nothing was estimated on, by reading."""
    network = Network.load(model)
    frame = network.frame_seconds
    heard = listen(network, stored(data, REFERENCE))
    clips = listen(network, grid(grid_folder)) if grid_folder else []
    tuned_on, others = halves(heard)
    config = read_config(model)
    kept = {}
    print(f"{'ms; share within 80 ms':<44}{'words':>6}{'start':>9}{'':>8}{'end':>9}{'':>8}{'both':>8}")
    for reading in (*READINGS, TEXT):
        shifts = estimate(tuned_on, "second" if reading == TEXT else reading, frame)
        print(f"{reading}: start {shifts[0]:+.2f}, end {shifts[1]:+.2f} frames")
        sides = {"speakers estimated on": tuned_on, "other speakers": others} | ({"GRID s1": clips} if clips else {})
        for name, side in sides.items():
            found = figures(offsets(side, reading, *shifts, frame))
            print(report(f"  {name}", found))
            if side is not tuned_on:
                kept[f"{reading}, {name}"] = found
        if reading != TEXT:
            config["decoding"][reading] |= {"start_shift": shifts[0], "end_shift": shifts[1]}
    if store:
        write_config(model, config)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make, check = commands.add_parser("reference"), commands.add_parser("measure")
    make.add_argument("file", type=Path)
    make.add_argument("--number", type=int, default=80, help="utterances")
    check.add_argument("--grid", type=Path, metavar="FOLDER")
    check.add_argument("--store", action="store_true", help="write the delays into model.json")
    check.add_argument("--json", type=Path, help="keep the figures here")
    for command in (make, check):
        command.add_argument("--data", type=Path, required=True, help="folder that holds manifests/valid.jsonl")
        command.add_argument("--model", help="model directory  [default: the shipped one]")
    arguments = parser.parse_args()
    model = find_model(arguments.model)
    if arguments.command == "reference":
        lines = reference(arguments.data, model, arguments.number)
        arguments.file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        kept = measure(arguments.data, model, arguments.grid, arguments.store)
        if arguments.json:
            arguments.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
