"""Forced alignment of files: when each word of a known text is said, and what does not belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from asr.aligner import AlignedSound, AlignedWord, Aligner, AlignOptions
from asr.audio import Audio
from asr.decoder import timed
from asr.decoders import PHONES, SPELLING, decoder_options, load_pronunciations
from asr.errors import AsrError, AudioError, TextError
from asr.greedy import DecodedWord
from asr.network import Network
from asr.posteriors import Floats, log_probs, mono_blocks
from asr.results import Segment, Transcript, Word
from asr.text import normalize, read_lines


@dataclass(frozen=True, slots=True)
class TextWord:
    """A spoken word of the text, how it stands there ("" where the word before holds it), and its line."""

    spoken: str
    written: str
    line: int


@dataclass(frozen=True)
class AlignedFile:
    """A text and a recording, placed; times in seconds."""

    text: tuple[TextWord, ...]
    words: tuple[tuple[int, Word], ...]  # with their place in the text
    sounds: tuple[tuple[int, Word], ...]  # the sounds of the words, each with the place of its word
    unheard: tuple[tuple[int, int, str], ...]  # words [begin, end) of the text that are not said
    unread: tuple[tuple[float, float], ...]  # stretches of sound that are not in the text
    duration: float
    model: str
    unspoken: tuple[tuple[int, str], ...] = ()  # lines of the text, from 1, whose spoken form is not known
    damage: str | None = None  # what is wrong with a recording of which only the beginning could be read

    def transcript(self, sounds: bool = False) -> Transcript:
        """A segment for each line of the text that was found; of its sounds in place of its words, if asked."""
        lines: dict[int, list[Word]] = {}
        for index, word in self.sounds if sounds else self.words:
            lines.setdefault(self.text[index].line, []).append(word)
        segments = tuple(
            Segment(number, _text(words), words[0].start, words[-1].end, tuple(words), final=True)
            for number, words in enumerate(lines.values())
        )
        return Transcript("\n".join(segment.text for segment in segments), segments, self.duration, self.model)


def _text(words: list[Word]) -> str:
    written = (word.text if word.written is None else word.written for word in words)
    return " ".join(text for text in written if text)


def align_file(
    model: Path, audio: Path | Audio, text: Path, channel: int | None = None, options: AlignOptions | None = None
) -> AlignedFile:
    """Align a file of plain text with a recording; memory grows by some 15 MB for each hour.

    Of a recording that breaks off, what comes before is aligned, and `damage` says where that is. Raises `AudioError`,
    `ModelError`, and `AsrError` for a text that cannot be read, or of which no line can be spoken.
    """
    network = Network.load(model)
    words, unspoken = read_text(text)
    head = PHONES if PHONES in network.heads else SPELLING
    lexicon, g2p = load_pronunciations(network)
    aligner = Aligner(network.heads[head], lexicon, g2p, options)
    damage: list[str] = []
    with audio if isinstance(audio, Audio) else Audio(audio) as source:
        blocks = _readable(source, channel, damage)
        pieces = (piece[head] for piece in log_probs(network, blocks))
        found = aligner.align(pieces, [word.spoken for word in words])
        duration = source.position
    seconds = network.frame_seconds
    shift = decoder_options(network.config.get("decoding", {}).get("second", {}))
    heard = [DecodedWord(word.text, word.start, word.end, word.confidence) for word in found.words]
    placed, sounds = [], []
    for word, said in zip(
        found.words, timed(heard, duration / seconds, shift.start_shift, shift.end_shift), strict=True
    ):
        start, end = said.start_frame, said.end_frame
        placed.append((word.index, _word(word, words[word.index].written, start * seconds, end * seconds)))
        for sound, (begin, stop) in zip(word.sounds, pairwise(sound_edges(word.sounds, start, end)), strict=True):
            likely = round(float(2.718281828**sound.log_prob), 4)
            sounds.append((word.index, Word(sound.token, round(begin * seconds, 3), round(stop * seconds, 3), likely)))
    spoken = [word.spoken for word in words]
    return AlignedFile(
        tuple(words),
        tuple(placed),
        tuple(sounds),
        tuple((begin, end, " ".join(spoken[begin:end])) for begin, end in found.unheard),
        tuple((begin * seconds, min(end * seconds, duration)) for begin, end in found.unread),
        duration,
        network.name,
        unspoken,
        damage[0] if damage else None,
    )


def _readable(audio: Audio, channel: int | None, damage: list[str]) -> Iterator[Floats]:
    """16 kHz mono blocks as far as the recording can be read; why not further goes to `damage`."""
    try:
        yield from mono_blocks(audio, channel)
    except AudioError as error:
        if audio.position == 0:
            raise
        damage.append(str(error))


def sound_edges(sounds: Sequence[AlignedSound], start: float, end: float) -> list[float]:
    """Where the sounds of a word that is said from `start` to `end` begin, and the last one's end; in frames.

    All sounds begin as long before their tokens as the word does. Where that leaves the last one less than a frame, the
    sounds share the word in proportion.
    """
    first = sounds[0].start
    places = [sound.start - first for sound in sounds]
    if start + places[-1] + 1 <= end:
        return [*(start + place for place in places), end]
    scale = (end - start) / (sounds[-1].end - first)
    return [*(start + place * scale for place in places), end]


def _word(word: AlignedWord, written: str, start: float, end: float) -> Word:
    return Word(word.text, round(start, 3), round(end, 3), round(word.confidence, 4), written)


def read_text(path: Path) -> tuple[list[TextWord], tuple[tuple[int, str], ...]]:
    """The words of a file of plain text, and its lines, from 1, whose spoken form is not known.

    A word as it is written may be several as spoken. Raises `AsrError` where there are no words.
    """
    if not path.exists():
        raise AsrError(f"There is no text file {path}: write what is said in the recording into one.")
    words: list[TextWord] = []
    unspoken: list[tuple[int, str]] = []
    reason = f"{path} holds no words."
    for number, line in enumerate(read_lines(path)):
        try:
            spoken = normalize(line).split()
            parts = [(part, normalize(part).split()) for part in line.split()]
        except TextError as error:
            unspoken.append((number + 1, line.strip()))
            reason = f"{path}, line {number + 1}: {error}"
            continue
        if [word for _, some in parts for word in some] == spoken:
            words += [TextWord(word, "" if i else part, number) for part, some in parts for i, word in enumerate(some)]
        else:  # figures that are read over several parts: as spoken
            words += [TextWord(word, word, number) for word in spoken]
    if not words:
        raise AsrError(reason)
    return words, tuple(unspoken)
