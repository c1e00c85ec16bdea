"""The shape of the package, read from its imports: who may know whom, and which library has which door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "asr"

# From the ground up: a part imports its own row and the rows above it here, never one below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("results", "figures", "text", "arriving", "sources", "audio", "page", "flatfile", "heap", "dereverberation"),
    (
        "network",
        "lexicon",
        "ngram",
        "language_model",
        "word_model",
        "subwords",
        "g2p",
        "datasets",
    ),
    (
        "greedy",
        "history",
        "hotwords",
        "grammar",
        "confidence",
        "beam",
        "expected",
        "decoder",
        "decoders",
        "posteriors",
        "rescoring",
        "word_lstm",
    ),
    ("endpoint", "rejection", "again"),
    ("subtitles", "writers", "punctuation", "numerals"),
    ("snapshot", "preview", "reading", "running", "stream", "recognizer"),
    (
        "portaudio",
        "microphone",
        "doctor",
        "loopback",
        "latency",
        "live",
        "terminal",
        "dictation",
        "align",
        "aligner",
        "evaluate",
        "tune",
        "memory",
    ),
    ("training",),
    ("cli",),
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

# One door for each outside library; a folder stands for all that is in it.
DOORS: dict[str, tuple[str, ...]] = {
    "soundfile": ("asr.sources", "asr.audio"),  # audio writes
    "soxr": ("asr.audio",),
    "onnxruntime": ("asr.network", "asr.training.export"),  # export quantizes
    "sounddevice": ("asr.portaudio",),
    "jiwer": ("asr.evaluate",),
    "onnx": ("asr.memory", "asr.training"),
    "torch": ("asr.training",),
    "torchaudio": ("asr.training",),
    "tensorboard": ("asr.training",),
    "click": ("asr.cli",),
}
# What would make every start slow, or fail where a system library is missing.
NEVER_AT_START = (
    "torch",
    "torchaudio",
    "jiwer",
    "rapidfuzz",
    "sounddevice",
    "rich",
    "matplotlib",
    "onnx",
    "tensorboard",
)


@dataclass(frozen=True)
class Import:
    importer: str  # asr.stream
    imported: str  # asr.network, or numpy
    line: int
    for_types_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module: str) -> Iterator[Import]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    type_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            type_only.update(inner for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write the import from the root, `from asr...`"
            assert node.module is not None
            names = [
                submodule if (submodule := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            ]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(module, name, node.lineno, node in type_only)


IMPORTS = [found for module in MODULES for found in imports_of(module)]
INSIDE = [found for found in IMPORTS if found.imported.split(".")[0] == "asr"]


def part_of(module: str) -> str:
    """The file or folder directly under `asr/` that a module belongs to; "" for `asr` itself."""
    return module.split(".")[1] if "." in module else ""


def rank_of(module: str) -> int:
    """Where a module stands; what a person starts (`python -m ...`) stands on top, like a command."""
    return RANK["cli"] if module.endswith(".__main__") else RANK.get(part_of(module), 0)


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def test_every_part_has_a_place() -> None:
    unplaced = {part_of(module) for module in MODULES} - set(RANK) - {"", "__main__"}
    assert not unplaced, f"say in LAYERS where these stand: {sorted(unplaced)}"


def test_imports_point_one_way() -> None:
    wrong = [
        str(found)
        for found in INSIDE
        if found.importer != "asr" and rank_of(found.imported) > rank_of(found.importer) and not found.for_types_only
    ]
    assert not wrong


def test_no_circle() -> None:
    below: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in INSIDE:
        if found.importer != "asr" and not found.for_types_only and found.imported in MODULES:
            below[found.importer].add(found.imported)
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "circle: " + " -> ".join((*path[path.index(module) :], module))
        if module not in finished:
            for next_module in sorted(below[module]):
                visit(next_module, (*path, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("library", sorted(DOORS))
def test_one_door(library: str) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.imported.split(".")[0] == library
        and not within(found.importer, DOORS[library])
        and not found.for_types_only
    ]
    assert not wrong


def test_ffmpeg_has_one_door() -> None:
    """Only `sources.py` runs the program; other files may name it in a sentence."""
    callers = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "ffmpeg"
    ]
    assert set(callers) <= {"asr.sources"}


def test_training_stays_apart() -> None:
    """Only commands reach into training, so that everything else runs where torch is not installed."""
    wrong = [
        str(found)
        for found in INSIDE
        if part_of(found.imported) == "training" and part_of(found.importer) not in ("training", "cli")
    ]
    assert not wrong


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `statement`."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("statement", ["import asr", "import asr.cli"])
def test_nothing_heavy_at_start(statement: str) -> None:
    assert not loaded_after(statement) & set(NEVER_AT_START)


def test_help_loads_no_network() -> None:
    loaded = loaded_after("from asr.cli import main\nmain(['--help'], standalone_mode=False)")
    assert not loaded & {"onnxruntime", *NEVER_AT_START}
