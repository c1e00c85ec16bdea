"""What is wrong with a corpus: every utterance decoded, measured and compared with its text and with the others."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from asr.audio import Audio, as_mono
from asr.datasets.manifest import Utterance
from asr.errors import AsrError, AudioError, TextError
from asr.text import normalize


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a recording becomes worth a look."""

    rate: int = 16000  # Hz; below it the treble is missing
    duration_seconds: float = 0.1  # between the manifest and the file
    longest_seconds: float = 35.0
    frame_seconds: float = 0.04  # of the network: CTC needs a frame for each token
    letters_per_frame: float = 1.0  # more than these cannot be spelled in the time, whatever the tokens
    quiet_db: float = -50.0  # dB below full scale; nothing louder than this: silent
    pause_db: float = 35.0  # below the loudest frames: a pause
    edge_seconds: float = 3.0  # of pause before or after the speech
    clipped_share: float = 0.001  # of the samples at full scale
    full_scale: float = 0.997
    # Of log(seconds per character, pauses left out), in sigmas from the median absolute deviation. With 30 texts of the
    # validation set exchanged, it finds 51 % of them in LibriSpeech and flags 0.4 % of the rest; Common Voice: 10, 0 %.
    pace_deviations: float = 3.5
    pace_clips: int = 30  # so many make a median that means something


KINDS = {  # kind of problem -> whether nobody can train on the utterance
    "file is missing": True,
    "not decodable": True,
    "text outside the alphabet": True,
    "too short for its text": True,
    "sound is in two manifests": True,
    "speaker is in two manifests": True,
    "no text": False,
    "sound is there twice": False,
    "duration is wrong": False,
    "low sampling rate": False,
    "silent": False,
    "long pause at an end": False,
    "clipped": False,
    "suspicious pace": False,
    "very long": False,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one utterance."""

    kind: str  # of KINDS
    detail: str

    @property
    def serious(self) -> bool:
        return KINDS[self.kind]


@dataclass(slots=True)
class Clip:
    """An utterance as it was measured; what could not be measured is NaN."""

    utterance: Utterance
    manifest: str
    spoken: str | None  # normalized text, None where that fails
    rate: int = 0  # Hz
    seconds: float = math.nan
    level_db: float = math.nan  # the loudest frames, below full scale
    pause_share: float = math.nan
    clipped_share: float = math.nan
    digest: bytes = b""  # of the samples
    problems: list[Problem] = field(default_factory=list)

    @property
    def letters(self) -> int:
        return len((self.spoken or "").replace(" ", ""))

    @property
    def pace(self) -> float:
        """Seconds per character, pauses left out."""
        return self.seconds * (1 - self.pause_share) / self.letters if self.letters else math.nan

    @property
    def badness(self) -> tuple[int, int]:
        serious = sum(problem.serious for problem in self.problems)
        return serious, len(self.problems) - serious


def check(
    manifests: Mapping[str, Sequence[Utterance]],
    *,
    alphabet: str | None = None,
    limits: Limits = Limits(),
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Clip]:
    """Every utterance of `manifests` (by name), measured, with its problems; in their order.

    Several manifests are taken for splits that must share no speaker and no sound. `alphabet` are the characters that
    lower-case text may hold besides spaces; without it `asr.text.normalize` decides. Raises `AsrError` for an empty
    manifest.
    """
    if empty := [name for name, utterances in manifests.items() if not utterances]:
        raise AsrError(f"{empty[0]}: holds no utterance; write it again with `asr data prepare` or `asr data convert`")
    pairs = [(name, utterance) for name, utterances in manifests.items() for utterance in utterances]

    def measured(pair: tuple[str, Utterance]) -> Clip:
        return _measure(*pair, alphabet, limits)

    clips = []
    with ThreadPoolExecutor(jobs) as pool:
        for clip in pool.map(measured, pairs):
            clips.append(clip)
            if progress is not None:
                progress(len(clips), len(pairs))
    _compare_pace(clips, limits)
    _find_repeated(clips)
    _find_shared_speakers(clips)
    return clips


def count_problems(clips: Sequence[Clip]) -> dict[str, int]:
    """How many clips have each kind of problem, in the order of `KINDS`, those that nobody has left out."""
    counts = Counter(kind for clip in clips for kind in {problem.kind for problem in clip.problems})
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def _measure(manifest: str, utterance: Utterance, alphabet: str | None, limits: Limits) -> Clip:
    clip = Clip(utterance, manifest, None)
    try:
        clip.spoken = normalize(utterance.text) if alphabet is None else _within(utterance.text, alphabet)
    except TextError as error:
        clip.problems.append(Problem("text outside the alphabet", str(error)))
    if clip.spoken == "":
        clip.problems.append(Problem("no text", "nothing is left of the text; as noise to train on this is fine"))
    if not utterance.audio.is_file():
        clip.problems.append(Problem("file is missing", str(utterance.audio)))
        return clip
    try:
        _listen(clip, limits)
    except AudioError as error:
        clip.problems.append(Problem("not decodable", str(error)))
        return clip
    _judge(clip, limits)
    return clip


def _within(text: str, alphabet: str) -> str:
    words = " ".join(text.lower().split())
    if strange := sorted(set(words) - set(alphabet) - {" "}):
        raise TextError(f"{' '.join(strange)} in {text!r}")
    return words


def _listen(clip: Clip, limits: Limits) -> None:
    """Fill in what the samples tell."""
    digest = hashlib.sha256()
    parts, clipped, samples = [], 0, 0
    with Audio(clip.utterance.audio) as audio:
        for block in audio.blocks():  # [frames, channels]
            digest.update(np.round(block * 32767).astype("<i2").tobytes())
            clipped += int((np.abs(block) >= limits.full_scale).sum())
            samples += block.size
            parts.append(as_mono(block))
        clip.rate = audio.rate
    mono = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    clip.seconds = len(mono) / clip.rate
    clip.digest = digest.digest()
    frame = max(1, clip.rate // 50)  # 20 ms
    frames = mono[: len(mono) // frame * frame].reshape(-1, frame)  # [frames, samples]
    if not len(frames):
        raise AudioError(f"{clip.utterance.audio} holds no sound ({len(mono)} samples).")
    levels = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-10)  # [frames], dB
    clip.level_db = float(np.quantile(levels, 0.95))
    clip.clipped_share = clipped / samples
    loud = np.flatnonzero(levels > clip.level_db - limits.pause_db)
    clip.pause_share = 1 - len(loud) / len(levels)
    edges = {"before": int(loud[0]), "after": len(levels) - 1 - int(loud[-1])}
    for where, count in edges.items():
        if count * 0.02 > limits.edge_seconds:
            clip.problems.append(Problem("long pause at an end", f"{count * 0.02:.1f} s {where} the speech"))


def _judge(clip: Clip, limits: Limits) -> None:
    """The problems that a clip has by itself."""

    def add(kind: str, detail: str) -> None:
        clip.problems.append(Problem(kind, detail))

    frames = int(clip.seconds / limits.frame_seconds)
    if clip.letters > limits.letters_per_frame * frames:
        add("too short for its text", f"{clip.letters} letters in {clip.seconds:.2f} s ({frames} frames)")
    if abs(clip.seconds - clip.utterance.duration) > limits.duration_seconds:
        add("duration is wrong", f"{clip.utterance.duration:.2f} s in the manifest, {clip.seconds:.2f} s in the file")
    if clip.seconds > limits.longest_seconds:
        add("very long", f"{clip.seconds:.1f} s")
    if clip.rate < limits.rate:
        add("low sampling rate", f"{clip.rate:,} Hz")
    if clip.level_db < limits.quiet_db:
        add("silent", f"the loudest is at {clip.level_db:.0f} dB below full scale".replace("-", ""))
    if clip.clipped_share > limits.clipped_share:
        add("clipped", f"{100 * clip.clipped_share:.2f} % of the samples at full scale")


def _compare_pace(clips: list[Clip], limits: Limits) -> None:
    """Clips much slower or faster than those of the same corpus: the text may be another's, or cut."""
    corpora: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.letters and clip.seconds > 0:
            corpora[clip.utterance.corpus].append(clip)
    for members in corpora.values():
        if len(members) < limits.pace_clips:
            continue
        paces = np.log([clip.pace for clip in members])  # [clips]
        middle = float(np.median(paces))
        sigma = max(1.4826 * float(np.median(np.abs(paces - middle))), 0.05)
        for clip, pace in zip(members, paces, strict=True):
            # Short texts vary more: pauses at the ends weigh more
            if abs(pace - middle) > limits.pace_deviations * sigma * (1 + 10 / clip.letters):
                word = "slow" if pace > middle else "fast"
                detail = f"{word}: {clip.pace:.3f} s a character, usual is {math.exp(middle):.3f}"
                clip.problems.append(Problem("suspicious pace", detail))


def _find_repeated(clips: list[Clip]) -> None:
    first: dict[bytes, Clip] = {}
    for clip in clips:
        if clip.digest:
            other = first.setdefault(clip.digest, clip)
            if other is not clip:
                apart = other.manifest != clip.manifest
                detail = f"the same as {other.utterance.audio.name}" + (f" in {other.manifest}" if apart else "")
                if other.spoken != clip.spoken:
                    detail += ", with another text"
                kind = "sound is in two manifests" if apart else "sound is there twice"
                clip.problems.append(Problem(kind, detail))


def _find_shared_speakers(clips: list[Clip]) -> None:
    """One problem for each speaker in more than one manifest, at the speaker's first clip in each later one."""
    heard: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        speaker = clip.utterance.speaker
        if speaker is not None and clip.manifest not in heard[speaker]:
            if heard[speaker]:
                detail = f"{speaker}, also in {', '.join(heard[speaker])}"
                clip.problems.append(Problem("speaker is in two manifests", detail))
            heard[speaker].append(clip.manifest)
