"""Everything that belongs to a model, made again after a new one was exported: one command.

    python tools/release.py --data data --run runs/english-small    # all, in order
    python tools/release.py --data data evaluate render             # these alone
    python tools/release.py render sums                             # the documents from the figures that were kept

What is measured is kept in the model's `figures.json`. Documents show it between two comments,

    <!-- figures: speed -->
    ...
    <!-- end of figures -->

and what stands between them is written by this program, never by hand.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from experiments import LOG, draw, read_log

from asr.network import read_config
from asr.recognizer import Recognizer

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "asr" / "models" / "english-small"
REGION = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
STREAM_MINUTES = 30
COMMANDS = ("asr train recipes/english_small.py --data data --set device=cuda",)  # that train the networks
PARTS = {
    "librispeech dev-clean": "LibriSpeech, dev-clean part",
    "librispeech test-other": "LibriSpeech, test-other part",
    "librispeech": "LibriSpeech, both",
    "common_voice": "Common Voice",
}
OF_NETWORKS = ("fingerprint", "training", "readable")  # what stays true with other words and weights

Figures = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """A model directory, the folder of the data that judges it, and the documents that speak of it."""

    model: Path
    data: Path | None
    run_folders: tuple[Path, ...]  # of the trainings that led to it, in their order
    documents: tuple[Path, ...]
    before: Figures | None = None  # the training of the model that these runs went on from

    @property
    def manifest(self) -> Path:
        if self.data is None:
            raise SystemExit("this step needs speech: --data FOLDER, the one that holds manifests/valid.jsonl")
        return self.data / "manifests" / "valid.jsonl"

    def asr(self, *arguments: str | Path) -> None:
        """Run a command of this checkout as a user would, and stop where it does not succeed."""
        run([Path(sys.executable).parent / "asr", *arguments])

    def figures(self) -> Figures:
        """What was measured of this very model; nothing where its networks were others, and nothing that hangs on the
        words where lexicon, language models or decoding weights were."""
        if not (self.model / "model.json").exists():
            return {}
        path = self.model / "figures.json"
        found: Figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        config = read_config(self.model)
        now = {"fingerprint": config["fingerprint"], "words": self._words_fingerprint(config)}
        if found.get("fingerprint") != now["fingerprint"]:
            return dict(now)
        if found.get("words") != now["words"]:
            found = {name: found[name] for name in OF_NETWORKS if name in found}
        return found | now

    def _words_fingerprint(self, config: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(json.dumps(config.get("decoding"), sort_keys=True).encode())
        for path in (self.model / name for name in ("words.lm", "words.lexicon", "word_lstm.onnx")):
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()[:16]

    def keep(self, **sections: object) -> None:
        figures = self.figures() | sections
        (self.model / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def run(command: Sequence[str | Path]) -> None:
    print("$", *command, flush=True)
    if subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL).returncode != 0:
        raise SystemExit("that failed, so nothing after it was done")


# Steps


def licences(release: Release) -> None:
    """The data table of the card into model.json, so that `asr models info` can tell."""
    card = (release.model / "card.md").read_text(encoding="utf-8")
    section = card.partition("## Data\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    path = release.model / "model.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["licences"] = [{"data": what, "licence": licence} for what, _, licence in rows[2:]]
    path.write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def tune(release: Release) -> None:
    """Decoding weights and calibrated confidences, where there is a language model to weigh."""
    if (release.model / "words.lm").exists():
        diagram = ROOT / "recipes" / "reliability.svg"
        release.asr("tune", release.manifest, "--model", release.model, "--diagram", diagram)


def times(release: Release) -> None:
    """How far tokens stand from the starts and ends of words, where there are words."""
    if (release.model / "words.lm").exists():
        program = ROOT / "tools" / "word_times.py"
        data = release.manifest.parent.parent
        with tempfile.TemporaryDirectory() as scratch:
            result = Path(scratch) / "times.json"
            where = ("--data", data, "--model", release.model, "--json", result)
            run([sys.executable, program, "measure", "--store", *where])
            release.keep(times=json.loads(result.read_text(encoding="utf-8")))


def golden(release: Release) -> None:
    """What the tests expect of the shipped model."""
    if release.model == MODEL:
        run([sys.executable, ROOT / "tests" / "make_golden.py"])


def selftest(release: Release) -> None:
    """What this model makes of its self-test clip."""
    text = Recognizer(release.model).transcribe(release.model / "selftest.flac").text
    (release.model / "selftest.txt").write_text(text + "\n", encoding="utf-8")
    print(f"self-test: {text}")


def evaluate(release: Release) -> None:
    """Error rates of both readings, by the model's own decoding and by greedy spelling, and of half-hour streams."""
    dictionary = ("--dictionary", release.manifest.parent.parent / "lists" / "cmudict.dict")
    greedy = ("--decoding", "greedy", "--head", "spelling")
    wanted: dict[str, tuple[str | Path, ...]] = {
        "greedy_second": (*greedy, *dictionary),
        "greedy_first": (*greedy, "--reading", "first"),
    }
    if (release.model / "words.lm").exists():
        wanted |= {"second": (), "first": ("--reading", "first")}
    root = release.manifest.parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        librispeech = Path(scratch) / "librispeech.jsonl"
        lines = release.manifest.read_text(encoding="utf-8").splitlines(keepends=True)
        librispeech.write_text("".join(line for line in lines if json.loads(line)["corpus"] == "librispeech"))

        def result(name: str, manifest: Path, *options: str | Path) -> Figures:
            path = Path(scratch) / f"{name}.json"
            release.asr("evaluate", manifest, "--root", root, "--model", release.model, "--json", path, *options)
            found: Figures = json.loads(path.read_text(encoding="utf-8"))
            return found

        with ThreadPoolExecutor(os.cpu_count()) as executor:
            streamed = executor.submit(result, "streams", librispeech, "--streams", str(STREAM_MINUTES))
            running = {
                name: executor.submit(result, name, release.manifest, *options) for name, options in wanted.items()
            }
            errors = {name: run.result()["summary"] for name, run in running.items()}
            release.keep(errors=errors, streams=streamed.result()["stream_quotients"])


def decoding(release: Release) -> None:
    """What lexicon, language model, hotwords and grammars do."""
    if (release.model / "words.lm").exists():
        with tempfile.TemporaryDirectory() as scratch:
            result = Path(scratch) / "decoding.json"
            program = ROOT / "tools" / "decoding.py"
            data = release.manifest.parent.parent
            run([sys.executable, program, "--json", result, "--data", data, "--model", release.model])
            release.keep(decoding=json.loads(result.read_text(encoding="utf-8")))


def readable(release: Release) -> None:
    """Marks and capitals on text that was held out and on recognized speech, where the model writes them."""
    if not (release.model / "tagger.onnx").exists():
        return
    program = [sys.executable, str(ROOT / "tools" / "readable.py")]
    wanted = {
        "readable": ("marks", "--data", str(release.manifest.parent.parent)),
        "readable_speech": ("speech", str(release.manifest), "--corpus", "common_voice"),
    }
    for name, options in wanted.items():
        command = [*program, *options, "--model", str(release.model)]
        print("$", *command, flush=True)
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
        )
        release.keep(**{name: json.loads(done.stdout)})


def history(release: Release) -> None:
    """How the networks were trained, from the logs of the runs; kept as it was where no run is named."""
    if not release.run_folders:
        return
    logs = [(folder / "log.jsonl").read_text(encoding="utf-8").splitlines() for folder in release.run_folders]
    epochs = [json.loads(line) for log in logs for line in log]
    last = [json.loads(log[-1]) for log in logs]
    settings = [json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in release.run_folders]
    planned = [run["settings"]["training"]["epochs"] for run in settings]  # may end within an epoch
    counted = {
        "epochs": " + ".join(f"{min(epoch['epoch'], most):g}" for epoch, most in zip(last, planned, strict=True)),
        "steps": " + ".join(f"{epoch['step']:,}" for epoch in last),
        "time": f"{sum(epoch['seconds'] for epoch in epochs) / 3600:.1f} hours",
        "hardware": " + ".join(dict.fromkeys(run["hardware"] for run in settings)),
        "seconds of speech a second": f"{median(epoch['per second'] for epoch in epochs):.0f}",
    }
    if release.before:
        same = release.before["hardware"] == counted["hardware"]
        counted = {
            name: value if same and name == "hardware" else f"{release.before[name]} + {value}"
            for name, value in counted.items()
        }
    release.keep(
        training={
            "commands": "<br>".join(f"`{command}`" for command in COMMANDS),
            "parameters": f"{read_config(release.model)['training']['parameters']:,}",
            **counted,
        }
    )


def bench(release: Release) -> None:
    """Speed, memory and size."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "bench.json"
        program = ROOT / "tools" / "bench.py"
        run([sys.executable, program, "--model", release.model, "--speech", release.manifest, "--json", result])
        measured = json.loads(result.read_text(encoding="utf-8"))
    measured["figures"] = {figure["name"]: figure["value"] for figure in measured["figures"]}
    release.keep(bench=measured)


def render(release: Release) -> None:
    """The figures into the documents, and the picture of what was tried."""
    draw(read_log(), LOG.with_suffix(".svg"))
    figures = release.figures()
    for document in release.documents:
        if document.exists():
            text = document.read_text(encoding="utf-8")
            document.write_text(rendered(text, figures, release.model), encoding="utf-8")


def sums(release: Release) -> None:
    """Checksums of every file of the model directory."""
    names = sorted(path.name for path in release.model.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((release.model / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (release.model / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def verify(release: Release) -> None:
    """The model directory as a user's `asr models verify` sees it."""
    release.asr("models", "verify", release.model)


STEPS: dict[str, Callable[[Release], None]] = {
    "licences": licences,
    "tune": tune,
    "times": times,
    "selftest": selftest,
    "golden": golden,
    "evaluate": evaluate,
    "decoding": decoding,
    "readable": readable,
    "history": history,
    "bench": bench,
    "render": render,
    "sums": sums,
    "verify": verify,
}


# What stands between the comments


def rendered(text: str, figures: Figures, model: Path) -> str:
    """A document with each of its regions written anew; a region whose figures are missing stays as it is."""

    def region(match: re.Match[str]) -> str:
        if match[2] not in REGIONS:
            raise SystemExit(f"nothing is called {match[2]!r}; there are {', '.join(REGIONS)}")
        body = REGIONS[match[2]](figures, model)
        return match[0] if body is None else f"{match[1]}{body}\n{match[3]}"

    return REGION.sub(region, text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def percent(summary: Figures | None) -> str:
    return "" if summary is None or summary["rate"] is None else f"{100 * summary['rate']:.1f} %"


def example(figures: Figures, model: Path) -> str | None:
    """The self-test clip and what the program prints for it."""
    text = model / "selftest.txt"
    if not text.exists():
        return None
    command = f"asr transcribe {(model / 'selftest.flac').relative_to(ROOT)}"
    return f"```console\n$ {command}\n{text.read_text(encoding='utf-8').strip()}\n```"


def accuracy(figures: Figures, model: Path) -> str | None:
    """Word errors of the default decoding, per corpus."""
    if "errors" not in figures:
        return None
    errors = figures["errors"]
    second, first = (errors.get(reading, errors[f"greedy_{reading}"]) for reading in ("second", "first"))
    rows = [
        (name, f"{second[key]['words']['length']:,}", percent(second[key]["words"]), percent(first[key]["words"]))
        for key, name in PARTS.items()
    ]
    return table(("`valid.jsonl`", "words", "errors, final text", "errors, first reading alone"), rows)


def greedy(figures: Figures, model: Path) -> str | None:
    """Word and phone errors of the networks alone."""
    if "errors" not in figures:
        return None
    second, first = (figures["errors"][f"greedy_{reading}"] for reading in ("second", "first"))
    rows = [
        (
            name,
            percent(second[key]["phones"].get("second")),
            percent(second[key]["phones"].get("first")),
            percent(second[key]["words"]),
            percent(first[key]["words"]),
            percent(second[key]["characters"]),
        )
        for key, name in PARTS.items()
    ]
    head = ("best path", "phones, second", "phones, first", "words, second", "words, first", "characters, second")
    return table(head, rows)


def streams(figures: Figures, model: Path) -> str | None:
    """Long listening against utterance by utterance."""
    if "streams" not in figures:
        return None
    whole, wear = figures["streams"]["all"], figures["streams"]["last over first"]
    return (
        f"The LibriSpeech utterances, shuffled and joined with 0.6 s of quiet noise to streams of {STREAM_MINUTES} "
        f"minutes, have {whole:.3f} times the errors of the same utterances alone; that quotient in the last thirds of "
        f"the streams is {wear:.3f} times that in the first thirds."
    )


def speed(figures: Figures, model: Path) -> str | None:
    """What the recognizer takes, and the machine."""
    if "bench" not in figures:
        return None
    measured, machine = figures["bench"]["figures"], figures["bench"]["machine"]
    rows = (
        (
            "80 ms of audio, first reading, one thread, processor time: p50; p99",
            "step_cpu_p50_ms {:.1f}; step_cpu_p99_ms {:.1f} ms",
        ),
        (
            "`feed` in an hour of live audio, wall clock: longest; p99",
            "feed_wall_max_ms {:.0f}; feed_wall_p99_ms {:.0f} ms",
        ),
        ("share of one core while listening, both readings", "live_cpu_percent {:.1f} %"),
        ("`asr transcribe` of 30 minutes: real-time factor, one core, processor time", "rtf {:.4f}"),
        ("`asr transcribe` of a 3 s clip, whole process, processor time", "cold_cpu_s {:.2f} s"),
        ("peak memory on a recording of 3 hours", "peak_mb {:.0f} MB"),
        ("networks; whole model directory", "networks_mb {:.1f}; model_mb {:.1f} MB"),
        ("`pip install .` in an empty environment, model included", "installed_mb {:.0f} MB"),
    )
    known = measured | {"live_cpu_percent": 100 * measured["live_cpu_share"]}

    def filled(pattern: str) -> str:
        return re.sub(r"(\w+) (\{\S*?\})", lambda match: match[2].format(known[match[1]]), pattern)

    place = (
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}, "
        f"onnxruntime {machine['onnxruntime']}, {machine['date']}"
    )
    return (
        table(("what", "measured"), [(what, filled(pattern)) for what, pattern in rows])
        + f"\n\nMeasured on {place}, with `python tools/bench.py --speech data/manifests/valid.jsonl`."
    )


def written(figures: Figures, model: Path) -> str | None:
    """How well marks and capitals are set."""
    if "readable" not in figures:
        return None
    found = figures["readable"]
    kinds = ("books", "everyday", "both")
    heard = ""
    if "readable_speech" in figures:
        speech = figures["readable_speech"]
        own = speech["with pauses"]
        heard = (
            f" Of {speech['utterances']} utterances of Common Voice, as they were recognized, "
            f"{own['right mark at the end %']:.0f} % end with the right mark, and of the words that were heard right "
            f"{own['case of words heard right %']:.0f} % are in the right case (`python tools/readable.py speech "
            "data/manifests/valid.jsonl --corpus common_voice`)."
        )
    rows = [
        (what, *(shown.format(found[kind][key]) for kind in kinds))
        for what, key, shown in (
            ("marks, macro F1", "macro F1", "{:.3f}"),
            ("comma, F1", "F1 of ,", "{:.3f}"),
            ("full stop, F1", "F1 of .", "{:.3f}"),
            ("question mark, F1", "F1 of ?", "{:.3f}"),
            ("words in the right case", "case right, own marks %", "{:.1f} %"),
        )
    ]
    return (
        table(("on text that training has not seen", *kinds), rows)
        + f"\n\nMeasured by `python tools/readable.py marks --data data` on {found['both']['words']:,} words of books, "
        f"conversations, speeches and prompts; it takes {found['ms per 100 words']:.1f} ms for 100 words, and "
        f"{found['tagger MB']:.1f} MB." + heard
    )


def searched(figures: Figures, model: Path) -> str | None:
    """What the decoder is worth."""
    if "decoding" not in figures:
        return None
    rows = [(name, f"{value:.4g}") for name, value in figures["decoding"].items()]
    return table(("`python tools/decoding.py --data data`; shares of one", "measured"), rows)


def timed(figures: Figures, model: Path) -> str | None:
    """How well word times agree with another program's."""
    if "times" not in figures:
        return None
    rows = [
        (
            name,
            f"{found['words']:,}",
            f"{found['start']:+} ms, {100 * found['starts close']:.1f} %",
            f"{found['end']:+} ms, {100 * found['ends close']:.1f} %",
            f"{100 * found['close']:.1f} %",
        )
        for name, found in figures["times"].items()
    ]
    head = ("`python tools/word_times.py measure --data data`", "words", "starts", "ends", "both within 80 ms")
    return table(head, rows)


def training(figures: Figures, model: Path) -> str | None:
    """How the networks were trained."""
    return table(("training", ""), figures["training"].items()) if "training" in figures else None


def experiments(figures: Figures, model: Path) -> str:
    """The log of what was tried for the shipped model."""
    log = read_log()
    return table(tuple(log[0]), (tuple(row.values()) for row in log))


def layout(figures: Figures, model: Path) -> str:
    """The map of the package: each file's own first line."""
    files = [path for path in sorted((ROOT / "asr").glob("*.py")) if path.stem not in ("__init__", "__main__")]
    folders = [path.parent for path in sorted((ROOT / "asr").glob("*/__init__.py"))]
    width = max(len(path.name) for path in (*files, *folders)) + 2
    places = {path.name: path for path in files} | {f"{path.name}/": path / "__init__.py" for path in folders}
    lines = [
        f"  {name:{width}}{(ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or '').splitlines()[0]}"
        for name, path in places.items()
    ]
    return "\n".join(("```text", "asr/", *lines, "```"))


REGIONS: dict[str, Callable[[Figures, Path], str | None]] = {
    "accuracy": accuracy,
    "decoding": searched,
    "example": example,
    "experiments": experiments,
    "greedy": greedy,
    "map": layout,
    "readable": written,
    "speed": speed,
    "streams": streams,
    "times": timed,
    "training": training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder that holds manifests/valid.jsonl")
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a run folder of the training, for the card",
    )
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="figures.json of the model that these runs went on from"
    )
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="default: asr/models/english-small")
    options = parser.parse_args()
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    model = options.model.absolute()
    documents = (*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "recipes/README.md")), model / "card.md")
    before = json.loads(options.before.read_text(encoding="utf-8"))["training"] if options.before else None
    release = Release(model, options.data and options.data.absolute(), tuple(options.run), documents, before)
    for name in options.steps or STEPS:
        print(f"== {name}", flush=True)
        STEPS[name](release)


if __name__ == "__main__":
    main()
