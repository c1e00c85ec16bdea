"""How readable the text is: marks and capitals on held-out text, numbers against a table, subtitles against rules.

python tools/readable.py marks --data DATA --model DIR       held-out books and everyday text
python tools/readable.py speech MANIFEST --model DIR         marks of recognized speech
python tools/readable.py numbers TABLE.tsv                   lines of: spoken, tab, written (| between several)
python tools/readable.py subtitles TALK.json ...             transcripts that `asr transcribe -t json` wrote
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from asr.endpoint import EndedBy
from asr.numerals import in_figures
from asr.punctuation import COMMA, CONTEXT_WORDS, MARKS, NONE, PAUSE_BOUNDS, STOP, Numbers, Tagger, marks_behind
from asr.recognizer import find_model
from asr.results import Word
from asr.subtitles import broken_rules, cues
from asr.writers import from_json


def load_tagger(model: str | None, numbers: Numbers = "digits") -> Tagger:
    tagger = Tagger.load(find_model(model), numbers)
    if tagger is None:
        sys.exit(f"{find_model(model)} has no tagger.onnx: export one with asr export runs/punctuation/best.pt DIR")
    return tagger


def marks(arguments: argparse.Namespace) -> dict[str, object]:
    """Macro F1 of the marks and share of words written right, on text that neither training nor tuning has seen."""
    from asr.training.config import load_recipe
    from asr.training.punctuation import TaggerRecipe, documents, f1_scores
    from asr.training.punctuation_data import case_of, prepare

    recipe = load_recipe(arguments.recipe)
    assert isinstance(recipe, TaggerRecipe)
    tagger = load_tagger(arguments.model)
    parts = prepare(arguments.data / recipe.text, arguments.cache, recipe.held_out)
    held_out = {name.removeprefix("held out: "): part for name, part in parts.items() if name.startswith("held")}
    test = {name: part for name, part in held_out.items() if name not in recipe.tuning}
    kinds = {
        "books": [part for name, part in test.items() if name.startswith("books")],
        "everyday": [part for name, part in test.items() if not name.startswith("books")],
    }
    result: dict[str, object] = {"held out": sorted(test)}
    pooled: list[tuple[np.ndarray, np.ndarray]] = []
    pooled_case: list[tuple[int, int, int]] = []
    seconds = words_in_all = 0.0
    for kind, texts in kinds.items():
        reference, said, right_given, right_own, total = [], [], 0, 0, 0
        for document in documents(texts, arguments.words):
            words = [document.vocabulary[number] for number in document.words]
            started = time.process_time()
            reading = tagger.read(words)
            own = reading.marks.argmax(1)
            seconds, words_in_all = seconds + time.process_time() - started, words_in_all + len(words)
            cases = document.cases
            for given in (document.marks, own):
                texts_written = tagger.spell(words, [int(mark) for mark in given], reading.cases)
                right = int(sum(case_of(text) == case for text, case in zip(texts_written, cases, strict=True)))
                if given is own:
                    right_own += right
                else:
                    right_given += right
            total += len(words)
            reference.append(document.marks.astype(np.int64))
            said.append(own)
        pair = np.concatenate(reference), np.concatenate(said)
        pooled.append(pair)
        pooled_case.append((right_given, right_own, total))
        result[kind] = figures(f1_scores(*pair), right_given / total, right_own / total, total)
    both = np.concatenate([pair[0] for pair in pooled]), np.concatenate([pair[1] for pair in pooled])
    given, own_, total = (sum(values) for values in zip(*pooled_case, strict=True))
    result["both"] = figures(f1_scores(*both), given / total, own_ / total, total)
    result["ms per 100 words"] = round(1000 * seconds / words_in_all * 100, 3)
    result["tagger MB"] = round((find_model(arguments.model) / "tagger.onnx").stat().st_size / 1e6, 3)
    return result


def figures(f1: np.ndarray, given: float, own: float, words: int) -> dict[str, float]:
    return {
        "macro F1": round(float(f1.mean()), 4),
        **{f"F1 of {mark}": round(float(value), 4) for mark, value in zip(MARKS[1:], f1, strict=True)},
        "case right, reference's marks %": round(100 * given, 2),
        "case right, own marks %": round(100 * own, 2),
        "words": words,
    }


@dataclass
class Listener:
    """Stands where the tagger stands and keeps what the recognizer gives it."""

    segments: list[tuple[Sequence[Word], Sequence[float], EndedBy]] = field(default_factory=list)

    def write(
        self, words: Sequence[Word], context: Sequence[Word], pauses: Sequence[float], ended_by: EndedBy
    ) -> list[str]:
        self.segments.append((words, pauses, ended_by))
        return [word.text for word in words]

    def written(self, tagger: Tagger, with_pauses: bool) -> list[Word]:
        """All words as the tagger writes them, segment after segment."""
        found: list[Word] = []
        for words, pauses, ended_by in self.segments:
            texts = tagger.write(words, found[-CONTEXT_WORDS:], pauses if with_pauses else None, ended_by)
            found += [replace(word, written=text) for word, text in zip(words, texts, strict=True)]
        return found


@dataclass
class SpeechScore:
    """Counts over utterances; inside them only words that were heard right count."""

    ends: Counter[str] = field(default_factory=Counter)
    right_ends: int = 0
    large: int = 0
    right_cases: list[bool] = field(default_factory=list)
    reference: list[int] = field(default_factory=list)
    said: list[int] = field(default_factory=list)

    def add(self, words: Sequence[Word], pairs: Sequence[tuple[int, int]], marks: list[int], cases: list[int]) -> None:
        """`pairs`: places in the reference, which has `marks` and `cases`, and among the words."""
        from asr.training.punctuation_data import case_of

        own = [mark for _, mark in marks_behind(words)]
        self.ends[MARKS[own[-1]] or "none"] += 1
        self.right_ends += own[-1] == marks[-1]
        self.large += (words[0].written or "")[:1].isupper()
        inside = [(one, other) for one, other in pairs if one < len(marks) - 1 and other < len(words) - 1]
        self.reference += [marks[one] for one, _ in inside]
        self.said += [own[other] for _, other in inside]
        self.right_cases += [case_of(words[other].written or "") == cases[one] for one, other in pairs if one > 0]

    def figures(self) -> dict[str, object]:
        from asr.training.punctuation import f1_scores

        utterances, words = self.ends.total(), len(self.right_cases)
        f1 = f1_scores(np.array(self.reference), np.array(self.said))
        return {
            "right mark at the end %": round(100 * self.right_ends / max(1, utterances), 2),
            "what stands there": dict(self.ends),
            "begins large %": round(100 * self.large / max(1, utterances), 2),
            "case of words heard right %": round(100 * sum(self.right_cases) / max(1, words), 2),
            "F1 of commas inside": round(float(f1[0]), 4),
            "commas inside": [self.reference.count(COMMA), self.said.count(COMMA)],
            "full stops and question marks inside": [sum(m >= STOP for m in ms) for ms in (self.reference, self.said)],
            "words": words,
        }


def speech(arguments: argparse.Namespace) -> dict[str, object]:
    """Marks and capitals on the recognizer's own words, against references as they were written; with the pauses it
    heard and without; and those pauses beside simulated ones."""
    from asr.datasets import read_manifest
    from asr.errors import TextError
    from asr.recognizer import Recognizer
    from asr.training.punctuation import simulated_pauses
    from asr.training.punctuation_data import Vocabulary, tag_line

    tagger = load_tagger(arguments.model, "words")
    recognizer = Recognizer(arguments.model, plain=True)
    vocabulary = Vocabulary()
    scores = {"with pauses": SpeechScore(), "without pauses": SpeechScore()}
    pauses: dict[int, list[float]] = {mark: [] for mark in (NONE, COMMA, STOP)}
    for utterance in read_manifest(arguments.manifest):
        if arguments.corpus not in ("", utterance.corpus) or not re.search(r"[.?!][\"'”’]?$", utterance.text.strip()):
            continue
        try:
            tags = tag_line(utterance.text, vocabulary)
        except TextError:
            continue
        listener = Listener()
        recognizer._model = replace(recognizer._model, tagger=listener)
        heard = recognizer.transcribe(utterance.audio).words
        if not heard or not tags:
            continue
        names = list(vocabulary.numbers)
        spoken, marks, cases = [names[number] for number, _, _ in tags], [m for _, m, _ in tags], [c for *_, c in tags]
        blocks = SequenceMatcher(None, spoken, [word.text for word in heard], autojunk=False).get_matching_blocks()
        pairs = [(one + i, other + i) for one, other, size in blocks for i in range(size)]
        for kind, score in scores.items():
            score.add(listener.written(tagger, kind == "with pauses"), pairs, marks, cases)
        behind = [pause for _, some, _ in listener.segments for pause in some]
        for one, other in pairs:
            if other < len(behind) - 1 and marks[one] in pauses:
                pauses[marks[one]].append(behind[other])
    simulated = simulated_pauses(np.tile(np.array([NONE, COMMA, STOP]), (10_000, 1)), np.random.default_rng(0))
    shares: dict[str, object] = {"up to seconds": " ".join(map(str, PAUSE_BOUNDS)) + " more"}
    for column, mark in enumerate(pauses):
        for kind, seconds in (("heard", np.array(pauses[mark])), ("simulated", simulated[:, column])):
            counts = np.bincount(np.searchsorted(PAUSE_BOUNDS, seconds, "right"), minlength=len(PAUSE_BOUNDS) + 1)
            percent = (100 * counts / max(1, len(seconds))).round(1)
            shares[f"{kind} behind {MARKS[mark] or 'no mark'}"] = " ".join(map(str, percent))
    return {
        "utterances": scores["with pauses"].ends.total(),
        **{kind: score.figures() for kind, score in scores.items()},
        "pauses, % of words": shares,
    }


def numbers(arguments: argparse.Namespace) -> dict[str, object]:
    """Share of a table's spoken forms that are written as it says; case does not count."""
    rows = [line.split("\t") for line in arguments.table.read_text(encoding="utf-8").splitlines() if "\t" in line]
    wrong = []
    for spoken, written, *_ in rows:
        found = in_figures(spoken.strip().lower())
        if found.lower() not in [option.strip().lower() for option in written.split("|")]:
            wrong.append({"spoken": spoken, "wanted": written, "written": found})
    return {"forms": len(rows), "right %": round(100 * (1 - len(wrong) / max(1, len(rows))), 2), "wrong": wrong}


def subtitles(arguments: argparse.Namespace) -> dict[str, object]:
    """Cues that break a rule of subtitles."""
    rules: Counter[str] = Counter()
    total = broken = 0
    for path in arguments.transcripts:
        found = cues(from_json(path.read_text(encoding="utf-8")).segments)
        wrong = broken_rules(found)
        total += len(found)
        broken += len({line.split(":")[0] for line in wrong})
        rules.update(line.split(": ", 1)[1] for line in wrong)
    return {"cues": total, "break a rule": broken, "%": round(100 * broken / max(1, total), 2), "rules": dict(rules)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    of_marks = commands.add_parser("marks", help=marks.__doc__)
    of_marks.add_argument("--data", type=Path, required=True)
    of_marks.add_argument("--model")
    of_marks.add_argument("--recipe", type=Path, default=Path("recipes/punctuation.py"))
    of_marks.add_argument("--cache", type=Path, default=Path("runs/punctuation-text.npz"))
    of_marks.add_argument("--words", type=int, default=60_000, help="of books, and of everyday text")
    of_marks.set_defaults(run=marks)
    of_speech = commands.add_parser("speech", help=speech.__doc__)
    of_speech.add_argument("manifest", type=Path)
    of_speech.add_argument("--corpus", default="", help="only this one of the manifest, e.g. common_voice")
    of_speech.add_argument("--model")
    of_speech.set_defaults(run=speech)
    of_numbers = commands.add_parser("numbers", help=numbers.__doc__)
    of_numbers.add_argument("table", type=Path)
    of_numbers.set_defaults(run=numbers)
    of_subtitles = commands.add_parser("subtitles", help=subtitles.__doc__)
    of_subtitles.add_argument("transcripts", type=Path, nargs="+")
    of_subtitles.set_defaults(run=subtitles)
    parsed = parser.parse_args(arguments)
    print(json.dumps(parsed.run(parsed), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
