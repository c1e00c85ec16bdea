"""A transcript as text: txt, json, srt, vtt, tsv, ctm, textgrid."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from asr.errors import AsrError
from asr.results import Alternative, Segment, Transcript, Word
from asr.subtitles import cues


def to_txt(transcript: Transcript, name: str = "") -> str:
    """A segment a line; the channel in front where there are several."""
    return "".join(f"{_label(segment)}{segment.text}\n" for segment in transcript.segments)


def to_json(transcript: Transcript, name: str = "") -> str:
    """Everything: text, duration in seconds, model, and the segments with their words. `from_json` reads it."""
    model, _, version = transcript.model.partition(" ")
    whole = {
        "text": transcript.text,
        "duration": transcript.duration,
        "model": {"name": model, "version": version},
        "segments": [_segment_object(segment) for segment in transcript.segments],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str) -> Transcript:
    """The transcript that `to_json` wrote. Raises `AsrError`."""
    try:
        whole = json.loads(text)
        segments = tuple(
            Segment(
                segment["id"],
                segment["text"],
                segment["start"],
                segment["end"],
                tuple(Word(**word) for word in segment["words"]),
                final=True,
                channel=segment.get("channel"),
                alternatives=tuple(Alternative(**other) for other in segment.get("alternatives", ())),
            )
            for segment in whole["segments"]
        )
        model = f"{whole['model']['name']} {whole['model']['version']}"
        return Transcript(whole["text"], segments, whole["duration"], model)
    except (ValueError, KeyError, TypeError) as error:
        raise AsrError(f"This is not a transcript in JSON as this program writes it ({error}).") from error


def to_srt(transcript: Transcript, name: str = "") -> str:
    """SubRip subtitles."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.label}{cue.text}\n"
        for number, cue in enumerate(cues(transcript.segments), 1)
    )


def to_vtt(transcript: Transcript, name: str = "") -> str:
    """WebVTT subtitles; a channel is a voice."""
    parts = ["WEBVTT\n"]
    for cue in cues(transcript.segments):
        voice = f"<v {cue.label.rstrip(': ')}>" if cue.label else ""
        text = html.escape(cue.text, quote=False)
        parts.append(f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{voice}{text}\n")
    return "\n".join(parts)


def to_tsv(transcript: Transcript, name: str = "") -> str:
    """A segment a line: start and end in seconds, the channel where there are several, text."""
    separate = any(segment.channel is not None for segment in transcript.segments)
    lines = ["start\tend\tchannel\ttext" if separate else "start\tend\ttext"]
    for segment in transcript.segments:
        channel = [str((segment.channel or 0) + 1)] if separate else []
        lines.append("\t".join([f"{segment.start:.3f}", f"{segment.end:.3f}", *channel, segment.text]))
    return "\n".join(lines) + "\n"


def to_ctm(transcript: Transcript, name: str = "") -> str:
    """NIST's time-marked conversation: recording, channel, start, duration, word as spoken, confidence."""
    recording = "_".join(name.split()) or "recording"
    return "".join(
        f"{recording} {(segment.channel or 0) + 1} {word.start:.3f} {word.end - word.start:.3f} {word.text} "
        f"{word.confidence:.3f}\n"
        for segment in transcript.segments
        for word in segment.words
    )


def to_textgrid(transcript: Transcript, name: str = "") -> str:
    """Praat's TextGrid: a tier of words for each channel."""
    channels = sorted({segment.channel or 0 for segment in transcript.segments}) or [0]
    end = max([transcript.duration, *(word.end for word in transcript.words)])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.3f}"]
    lines += ["tiers? <exists>", f"size = {len(channels)}", "item []:"]
    for number, channel in enumerate(channels, 1):
        words = [word for segment in transcript.segments if (segment.channel or 0) == channel for word in segment.words]
        intervals = list(_intervals(words, end))
        tier = "words" if len(channels) == 1 else f"words, channel {channel + 1}"
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{tier}"']
        lines += ["        xmin = 0", f"        xmax = {end:.3f}", f"        intervals: size = {len(intervals)}"]
        for i, (start, stop, text) in enumerate(intervals, 1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{i}]:", f"            xmin = {start:.3f}", f"            xmax = {stop:.3f}"]
            lines += [f'            text = "{quoted}"']
    return "\n".join(lines) + "\n"


Writer = Callable[[Transcript, str], str]  # the transcript, and the name of the recording

WRITERS: dict[str, Writer] = {
    "txt": to_txt,
    "json": to_json,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "ctm": to_ctm,
    "textgrid": to_textgrid,
}


def write_file(path: Path, text: str) -> None:
    """The text as a file that appears whole or not at all. Raises `AsrError`."""
    data = text.encode(errors="backslashreplace")  # the name of a recording may be no text
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise AsrError(f"{path} cannot be written: {error.strerror}.") from error


def _segment_object(segment: Segment) -> dict[str, object]:
    found: dict[str, object] = {"id": segment.id, "start": segment.start, "end": segment.end, "text": segment.text}
    if segment.channel is not None:
        found["channel"] = segment.channel
    found["words"] = [
        {"text": word.text, "start": word.start, "end": word.end, "confidence": word.confidence}
        | ({} if word.written is None else {"written": word.written})
        for word in segment.words
    ]
    if segment.alternatives:
        found["alternatives"] = [{"text": other.text, "score": other.score} for other in segment.alternatives]
    return found


def _label(segment: Segment) -> str:
    return "" if segment.channel is None else f"Channel {segment.channel + 1}: "


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _intervals(words: Sequence[Word], end: float) -> Iterator[tuple[float, float, str]]:
    """Words and the silences between them, without gap or overlap."""
    at = 0.0
    for word in words:
        if word.start > at:
            yield at, word.start, ""
        start = max(at, word.start)
        if word.end > start:
            yield start, word.end, word.text
            at = word.end
    if at < end:
        yield at, end, ""
