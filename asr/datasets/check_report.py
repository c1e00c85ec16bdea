"""The page that `asr data check` writes: what was found, how the corpus is spread, the worst clips to listen to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from asr.datasets.check import KINDS, Clip, count_problems
from asr.page import Cell, histogram, page, player, table


def write_report(path: Path, clips: Sequence[Clip], worst: int = 200) -> None:
    """Write the page to `path`; of the clips with problems the `worst` are shown, each with a player."""
    bad = [clip for clip in clips if clip.problems]
    shown = sorted(bad, key=lambda clip: clip.badness, reverse=True)[:worst]
    body = [
        _summary(clips),
        "<h2>What was found</h2>",
        _found(clips),
        "<h2>How the corpus is spread</h2>",
        histogram([clip.seconds for clip in clips], "Duration", "s"),
        histogram([clip.pace for clip in clips], "Seconds per character, without pauses", "s"),
        histogram([clip.level_db for clip in clips], "Level of the loudest frames", "dB"),
        histogram([100 * clip.pause_share for clip in clips], "Pauses", "% of the clip"),
        histogram([len((clip.spoken or "").split()) for clip in clips], "Words in a clip", "words"),
        f"<h2>The worst {len(shown):,} of {len(bad):,} clips with a problem</h2>" if bad else "",
        *(_clip(clip, path) for clip in shown),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        page("Check of " + ", ".join(dict.fromkeys(clip.manifest for clip in clips)), body), encoding="utf-8"
    )


def _summary(clips: Sequence[Clip]) -> str:
    rows: list[list[Cell]] = []
    for name in dict.fromkeys(clip.manifest for clip in clips):
        members = [clip for clip in clips if clip.manifest == name]
        speakers = {clip.utterance.speaker for clip in members} - {None}
        hours = sum(clip.seconds for clip in members if clip.seconds == clip.seconds) / 3600
        serious = sum(clip.badness[0] > 0 for clip in members)
        rates = ", ".join(f"{rate / 1000:g}" for rate in sorted({clip.rate for clip in members} - {0}))
        rows.append(
            [name, len(members), hours, len(speakers), rates, serious, sum(bool(clip.problems) for clip in members)]
        )
    head = ["manifest", "utterances", "hours", "speakers", "rates (kHz)", "unusable", "with a problem"]
    return table(head, rows)


def _found(clips: Sequence[Clip]) -> str:
    counts = count_problems(clips)
    if not counts:
        return "<p>Nothing.</p>"
    rows: list[list[Cell]] = [
        [kind, "cannot be trained on" if KINDS[kind] else "worth a look", count] for kind, count in counts.items()
    ]
    return table(["problem", "", "clips"], rows)


def _clip(clip: Clip, report: Path) -> str:
    utterance = clip.utterance
    problems = "".join(
        f'<p class="{"bad" if problem.serious else "warn"}">{escape(problem.kind)}: {escape(problem.detail)}</p>'
        for problem in clip.problems
    )
    try:
        name = Path(os.path.relpath(utterance.audio, report.absolute().parent)).as_posix()
    except ValueError:
        name = str(utterance.audio)
    about = ", ".join(filter(None, [clip.manifest, utterance.corpus, utterance.part, utterance.speaker, name]))
    sound = player(utterance.audio, report) if utterance.audio.is_file() else ""
    text = escape(utterance.text) or "<i>no text</i>"
    return f"<article>{problems}<p>{text}</p>{sound}<p class='note'>{escape(about)}</p></article>"
