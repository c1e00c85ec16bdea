"""Recognizing a manifest and scoring it: each utterance by itself, and joined to long streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from asr import greedy
from asr.audio import Audio, read_audio
from asr.datasets import Utterance
from asr.decoder import Decoder
from asr.decoders import PHONES, SPELLING, load_decoders
from asr.errors import AsrError, TextError
from asr.evaluate.outcome import Evaluation, Settings, UtteranceResult
from asr.evaluate.phones import ReferencePhones, heard_phones, score_phones
from asr.evaluate.scores import score_characters, score_words
from asr.evaluate.streams import evaluate_streams
from asr.network import Network
from asr.reading import Model, SecondReading, Wanted
from asr.recognizer import Recognizer
from asr.stream import Options, Stream
from asr.text import normalize

Progress = Callable[[str, int, int], None]  # what, done, in all
Item = TypeVar("Item")
Result = TypeVar("Result")


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    settings: Settings | None = None,
    *,
    manifest: str = "",
    root: Path | None = None,
    phones: ReferencePhones | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Recognize `utterances` and count the errors.

    `root` is the folder from which an utterance gets its id; `phones` makes phone errors counted too, of both
    readings. Raises `AsrError` for sound that cannot be read, for settings that the model cannot serve, and where no
    utterance can be scored.
    """
    settings = settings or Settings()
    new_stream = streams_of(recognizer, settings)
    scored, left_out = [], []
    for utterance in utterances:
        try:
            scored.append((utterance, normalize(utterance.text)))
        except TextError as error:
            left_out.append(f"{utterance.audio}: {error}")
    if not scored:
        why = f"no text can be normalized, the first is {left_out[0]}" if left_out else "it is empty"
        raise AsrError(f"{manifest or 'the manifest'}: holds nothing to score: {why}")

    def recognized(item: tuple[Utterance, str]) -> UtteranceResult:
        utterance, reference = item
        hypothesis, seconds = _recognize(new_stream(), utterance.audio)
        return UtteranceResult(
            id=_id(utterance.audio, root),
            audio=str(utterance.audio),
            speaker=utterance.speaker,
            corpus=utterance.corpus,
            part=utterance.part,
            duration=seconds,
            reference=reference,
            hypothesis=hypothesis,
            words=score_words(reference, hypothesis),
            characters=score_characters(reference, hypothesis),
        )

    score_words("", "")  # jiwer is imported before the clock starts
    began = time.process_time()
    results = _each(recognized, scored, settings.jobs, "utterances", progress)
    cpu_seconds = time.process_time() - began
    if phones is not None:
        results = _with_phones(recognizer, results, phones, settings, progress)
    streams = []
    if settings.stream_minutes is not None:
        streams = evaluate_streams(new_stream, results, settings.stream_minutes, settings.seed, progress)
    return Evaluation(recognizer.model, manifest, settings, results, left_out, cpu_seconds, streams)


def streams_of(recognizer: Recognizer, settings: Settings) -> Callable[[], Stream]:
    """A maker of the streams that `settings` asks for. Raises `AsrError` where the model cannot serve them."""
    second: SecondReading | None = "inline" if settings.reading == "second" else None
    if settings.decoding is None and settings.head is None:
        return lambda: recognizer.stream(
            grammar=settings.grammar, step_seconds=settings.step_seconds, second_reading=second
        )
    first_decoder, second_decoder = _decoders(recognizer.network, settings.decoding or "beam", settings.head)
    model = Model(recognizer.network, first_decoder, second_decoder)
    options = Options(step_seconds=settings.step_seconds, second_reading=second)
    return lambda: Stream(model, options, Wanted(grammar=settings.grammar))


def _decoders(network: Network, decoding: str, head: str | None) -> tuple[greedy.Decoder[Any], greedy.Decoder[Any]]:
    """Of the first and the second reading."""
    if decoding == "greedy":
        if head not in (None, SPELLING):
            raise AsrError("greedy decoding gives text from the spelling head alone; phone errors are counted besides")
        best_path = greedy.Greedy(_tokens(network, SPELLING))
        return best_path, best_path
    decoders = load_decoders(network)
    if head is None or decoders[0].head == head:
        return decoders
    if head == PHONES:
        raise AsrError(f"{network.directory}: has no phone head with a words.lexicon to search in; use --head spelling")
    spelled = Decoder(_tokens(network, SPELLING), head=SPELLING)
    return spelled, spelled


def _tokens(network: Network, head: str) -> tuple[str, ...]:
    if head not in network.heads:
        raise AsrError(f"{network.directory}: has no {head} head; its heads are {', '.join(network.heads)}")
    return network.heads[head]


def _recognize(stream: Stream, path: Path) -> tuple[str, float]:
    """The spoken words of a file, and its length in seconds."""
    segments, frames = [], 0
    with Audio(path) as audio:
        for block in audio.blocks():
            frames += len(block)
            segments += stream.feed(block, audio.rate)
        seconds = frames / audio.rate
    segments += stream.finish()
    return " ".join(word.text for segment in segments for word in segment.words), seconds


def _with_phones(
    recognizer: Recognizer,
    results: Sequence[UtteranceResult],
    phones: ReferencePhones,
    settings: Settings,
    progress: Progress | None,
) -> list[UtteranceResult]:
    network = recognizer.network
    if PHONES not in network.heads:
        raise AsrError(f"{network.directory}: has no phone head, so phone errors cannot be counted")

    def scored(result: UtteranceResult) -> UtteranceResult:
        reference = phones.pronounce(result.reference)
        if reference is None:
            return result
        heard = heard_phones(network, read_audio(result.audio))
        return replace(result, phones=score_phones(reference, heard))

    return _each(scored, results, settings.jobs, "phones", progress)


def _each(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, what: str, progress: Progress | None
) -> list[Result]:
    done: list[Result] = []
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(work, items):
            done.append(result)
            if progress is not None:
                progress(what, len(done), len(items))
    return done


def _id(audio: Path, root: Path | None) -> str:
    return (audio.relative_to(root) if root is not None and audio.is_relative_to(root) else audio).as_posix()
