"""An evaluation for people: the table on the terminal, and pages whose utterances are aligned, the worst first."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from pathlib import Path

from asr.evaluate.compare import FEWEST, Comparison
from asr.evaluate.outcome import (
    Evaluation,
    UtteranceResult,
    character_score,
    groups,
    phone_score,
    stream_quotients,
    word_score,
)
from asr.evaluate.scores import Pair, Score, align
from asr.page import Cell, Table, page, player, table

COMMONEST = 30  # confusions shown
_LINE = 110  # characters of an aligned line in the text report


def heading(evaluation: Evaluation) -> str:
    """What was evaluated and how, in a line."""
    settings = evaluation.settings
    grammar = None if settings.grammar is None else f"grammar of {len(settings.grammar)} phrases"
    how = [f"{settings.reading} reading", settings.decoding, settings.head, grammar]
    return (
        f"{evaluation.model} on {evaluation.manifest or 'utterances'}: {', '.join(filter(None, how))}; "
        f"{len(evaluation.utterances):,} utterances, {evaluation.audio_seconds / 3600:.2f} hours"
    )


def notes(evaluation: Evaluation) -> list[str]:
    """Sentences that belong below the table: speed, streams, what was left out."""
    found = []
    if evaluation.audio_seconds:
        factor = evaluation.real_time_factor
        found.append(f"real-time factor {factor:.4f} (CPU seconds for a second of sound, reading included)")
    if evaluation.streams:
        quotients = stream_quotients(evaluation)
        minutes = sum(stream.duration for stream in evaluation.streams) / 60 / len(evaluation.streams)
        found.append(
            f"joined to {len(evaluation.streams)} streams of {minutes:.0f} minutes: {quotients['all']:.3f} times "
            f"the errors of the utterances alone (first thirds {quotients['first third']:.3f}, last thirds "
            f"{quotients['last third']:.3f}, quotient {quotients['last over first']:.3f})"
        )
    unpronounced = sum(not utterance.phones for utterance in evaluation.utterances)
    if 0 < unpronounced < len(evaluation.utterances):
        found.append(f"{unpronounced:,} utterances hold words that nothing pronounces: no phones counted in them")
    if evaluation.left_out:
        found.append(f"left out {len(evaluation.left_out):,} whose text cannot be normalized")
    return found


def summary_rows(evaluation: Evaluation) -> Table:
    """Head and rows of the table of error rates (per cent), by part, corpus and in all."""
    readings = [reading for reading in ("first", "second") if phone_score(evaluation.utterances, reading) is not None]
    head = ["", "utterances", "words", "word\nerrors %", "subst %", "delet %", "insert %", "character\nerrors %"]
    head += [f"phone errors\n{reading} reading %" for reading in readings]
    rows: list[list[Cell]] = []
    for name, members in groups(evaluation.utterances).items():
        words, length = word_score(members), max(1, word_score(members).length)
        row: list[Cell] = [name, len(members), words.length, 100 * words.rate]
        row += [100 * count / length for count in (words.substitutions, words.deletions, words.insertions)]
        row.append(100 * character_score(members).rate)
        phones = [phone_score(members, reading) for reading in readings]
        row += [math.nan if score is None else 100 * score.rate for score in phones]
        rows.append(row)
    return head, rows


def detail_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Head and rows for each kind of token that is counted besides words: how its errors are made up (per cent)."""
    scores: dict[str, Callable[[Sequence[UtteranceResult]], Score | None]] = {"Character errors": character_score}
    for reading in ("first", "second"):
        scores[f"Phone errors, {reading} reading"] = partial(phone_score, reading=reading)
    tables = {}
    for title, score_of in scores.items():
        rows: list[list[Cell]] = []
        for name, members in groups(evaluation.utterances).items():
            if (score := score_of(members)) is not None and score.length:
                counts = (score.errors, score.substitutions, score.deletions, score.insertions)
                rows.append([name, score.length, *(100 * count / score.length for count in counts)])
        if rows:
            tables[title] = (["", "length", "errors %", "subst %", "delet %", "insert %"], rows)
    return tables


def text_table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns for a terminal; heads may have several lines."""
    cells = [[_cell(value) for value in row] for row in rows]
    heads = [title.split("\n") for title in head]
    depth = max(len(lines) for lines in heads)
    columns = [[""] * (depth - len(lines)) + lines + [row[i] for row in cells] for i, lines in enumerate(heads)]
    widths = [max(len(cell) for cell in column) for column in columns]
    return "\n".join(
        " ".join(
            column[line].rjust(width) if index else column[line].ljust(width)
            for index, (column, width) in enumerate(zip(columns, widths, strict=True))
        ).rstrip()
        for line in range(depth + len(rows))
    )


def comparison_rows(comparisons: Iterable[Comparison]) -> Table:
    """Head and rows of a comparison; rates in per cent."""
    head = ["", "utterances", "words", "A %", "B %", "A - B", "in 95 %", "A better in", "p"]
    rows: list[list[Cell]] = [
        [
            c.name,
            c.utterances,
            c.words,
            f"{100 * c.ours:.2f}",
            f"{100 * c.theirs:.2f}",
            f"{100 * c.difference:+.2f}",
            f"{100 * c.low:+.2f} to {100 * c.high:+.2f}",
            f"{100 * c.better:.1f} %",
            "-" if math.isnan(c.p_value) else f"{c.p_value:.4f}",
        ]
        for c in comparisons
    ]
    return head, rows


def comparison_notes(comparisons: Iterable[Comparison]) -> list[str]:
    """Sentences that belong below a comparison."""
    few = any(math.isnan(c.p_value) for c in comparisons)
    return [f"p is - where fewer than {FEWEST} utterances are too few to tell"] if few else []


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Write the report: HTML with players where the name ends in .html, else text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    html = path.suffix.lower() in (".html", ".htm")
    path.write_text(_html(evaluation, path) if html else _text(evaluation), encoding="utf-8")


def _worst_first(utterances: Sequence[UtteranceResult]) -> list[UtteranceResult]:
    wrong = [utterance for utterance in utterances if utterance.words.errors]
    return sorted(wrong, key=lambda utterance: (-utterance.words.errors, -utterance.words.rate, utterance.id))


def _speakers(utterances: Sequence[UtteranceResult]) -> list[list[Cell]]:
    spoken: dict[str, list[Score]] = defaultdict(list)
    for utterance in utterances:
        spoken[utterance.speaker or "(not named)"].append(utterance.words)
    totals = {speaker: Score.sum(scores) for speaker, scores in spoken.items()}
    order = sorted(totals, key=lambda speaker: -totals[speaker].rate)
    return [[speaker, len(spoken[speaker]), totals[speaker].length, 100 * totals[speaker].rate] for speaker in order]


_SPEAKER_HEAD = ["speaker", "utterances", "words", "word\nerrors %"]


def _confusions(utterances: Sequence[UtteranceResult]) -> list[list[Cell]]:
    counts: Counter[tuple[str, str]] = Counter()
    for utterance in utterances:
        for pair in _aligned(utterance):
            if pair.wrong:
                counts[pair.reference or "", pair.hypothesis or ""] += 1
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:COMMONEST]
    return [[said or "(nothing)", heard or "(nothing)", count] for (said, heard), count in commonest]


_CONFUSION_HEAD = ["said", "recognized", "times"]


def _aligned(utterance: UtteranceResult) -> list[Pair]:
    return align(utterance.reference.split(), utterance.hypothesis.split())


def _about(utterance: UtteranceResult) -> str:
    words = utterance.words
    counts = f"{words.substitutions} substituted, {words.deletions} deleted, {words.insertions} inserted"
    rate = "" if math.isinf(words.rate) else f" ({100 * words.rate:.0f} %)"
    return f"{words.errors} errors in {words.length} words{rate}: {counts}"


def _text(evaluation: Evaluation) -> str:
    parts = [heading(evaluation), "", text_table(*summary_rows(evaluation)), "", *notes(evaluation)]
    for title, rows in detail_tables(evaluation).items():
        parts += ["", title, "", text_table(*rows)]
    parts += ["", "Speakers, the worst first", "", text_table(_SPEAKER_HEAD, _speakers(evaluation.utterances))]
    parts += ["", "Commonest errors", "", text_table(_CONFUSION_HEAD, _confusions(evaluation.utterances))]
    parts += ["", "Utterances with errors, the worst first"]
    for utterance in _worst_first(evaluation.utterances):
        parts += ["", f"{utterance.id}  {_about(utterance)}"]
        for reference, hypothesis, marks in _lines(_aligned(utterance)):
            parts += [f"  said  {reference}".rstrip(), f"  heard {hypothesis}".rstrip(), f"        {marks}".rstrip()]
    return "\n".join(parts) + "\n"


def _lines(pairs: Sequence[Pair]) -> list[tuple[str, str, str]]:
    """Said, heard and marks under the errors (S, D, I), in columns, broken into lines."""
    lines: list[list[tuple[str, str, str]]] = []
    cells: list[tuple[str, str, str]] = []
    width = 0
    for pair in pairs:
        size = max(len(pair.reference or ""), len(pair.hypothesis or ""), 1)
        if cells and width + size > _LINE:
            lines.append(cells)
            cells, width = [], 0
        mark = "" if not pair.wrong else "D" if pair.hypothesis is None else "I" if pair.reference is None else "S"
        said, heard = pair.reference or "*" * size, pair.hypothesis or "*" * size
        cells.append((said.ljust(size), heard.ljust(size), mark.ljust(size)))
        width += size + 1
    lines.append(cells)
    return [
        (" ".join(c[0] for c in line), " ".join(c[1] for c in line), " ".join(c[2] for c in line)) for line in lines
    ]


def _html(evaluation: Evaluation, path: Path) -> str:
    worst = _worst_first(evaluation.utterances)
    right = len(evaluation.utterances) - len(worst)
    body = [
        f"<p>{escape(heading(evaluation))}</p>",
        table(*summary_rows(evaluation)),
        *(f"<p>{escape(note)}</p>" for note in notes(evaluation)),
        *(f"<h2>{escape(title)}</h2>{table(*rows)}" for title, rows in detail_tables(evaluation).items()),
        "<h2>Speakers, the worst first</h2>",
        table(_SPEAKER_HEAD, _speakers(evaluation.utterances)),
        "<h2>Commonest errors</h2>",
        table(_CONFUSION_HEAD, _confusions(evaluation.utterances)),
        f"<h2>Utterances with errors, the worst first</h2><p class='note'>{right:,} utterances are without any.</p>",
        *(_article(utterance, path) for utterance in worst),
    ]
    if evaluation.left_out:
        body += ["<h2>Left out</h2>", *(f"<p>{escape(reason)}</p>" for reason in evaluation.left_out)]
    return page(f"Evaluation of {evaluation.model}", body)


def _article(utterance: UtteranceResult, report: Path) -> str:
    said, heard = [], []
    for pair in _aligned(utterance):
        size = max(len(pair.reference or ""), len(pair.hypothesis or ""))
        left, right = escape((pair.reference or "").ljust(size)), escape((pair.hypothesis or "").ljust(size))
        said.append(f'<span class="warn">{left}</span>' if pair.wrong else left)
        heard.append(f'<span class="bad">{right}</span>' if pair.wrong else right)
    audio = Path(utterance.audio)
    sound = player(audio, report) if audio.is_file() else ""
    about = ", ".join(filter(None, [utterance.id, utterance.speaker]))
    return (
        f"<article><p>{escape(_about(utterance))}</p>{sound}"
        f'<div class="diff">{" ".join(said)}\n{" ".join(heard)}</div><p class="note">{escape(about)}</p></article>'
    )


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else "-" if math.isnan(value) else f"{value:.2f}"
