"""The programs that measure and that renew the documents: they run, and write what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bench
import pytest
import release

ROOT = Path(__file__).resolve().parent.parent
SCORE = {"rate": 0.25, "length": 1000}
SUMMARY = {
    part: {"words": SCORE, "characters": SCORE, "phones": {"first": SCORE, "second": SCORE | {"rate": 0.2}}}
    for part in ("librispeech dev-clean", "librispeech test-other", "librispeech", "common_voice")
}


def run(program: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / "tools" / program), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bench_measures_a_model(tiny_model: Path, tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    printed = run("bench.py", "networks", "step", "--model", tiny_model, "--json", report)
    kept = json.loads(report.read_text())
    figures = {figure["name"]: figure["value"] for figure in kept["figures"]}
    size = sum((tiny_model / name).stat().st_size for name in ("first.onnx", "second.onnx"))
    assert figures["networks_mb"] == pytest.approx(size / 1e6)
    assert 0 < figures["step_cpu_p50_ms"] <= figures["step_cpu_p99_ms"]
    assert kept["machine"]["processor"] in printed


def test_bench_names_what_it_can_measure() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "bench.py"), "luck"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "luck" in done.stderr and "cold-start" in done.stderr


def test_bench_charges_a_command_with_its_own_memory_only() -> None:
    """Not with the memory of the process that started it."""
    ballast = bytearray(300_000_000)
    usage = bench.measure([sys.executable, "-c", "b = bytearray(50_000_000)"])
    assert 50e6 < usage.peak_bytes < 150e6 < len(ballast)


def test_release_writes_figures_into_documents(tiny_model: Path) -> None:
    text = "before\n<!-- figures: accuracy -->\nold\n<!-- end of figures -->\nafter\n"
    figures = {"errors": {"greedy_second": SUMMARY, "greedy_first": SUMMARY}}
    new = release.rendered(text, figures, tiny_model)
    assert new.startswith("before\n<!-- figures: accuracy -->\n") and new.endswith("<!-- end of figures -->\nafter\n")
    assert "| LibriSpeech, both | 1,000 | 25.0 % | 25.0 % |" in new and "old" not in new
    assert release.rendered(new, figures, tiny_model) == new
    assert release.rendered(text, {}, tiny_model) == text  # nothing measured: nothing touched
    assert "20.0 %" in release.rendered(text.replace("accuracy", "greedy"), figures, tiny_model)


def test_release_knows_every_region() -> None:
    for document in ("README.md", "recipes/README.md", "asr/models/english-small/card.md"):
        if (ROOT / document).exists():
            for _, name, _ in release.REGION.findall((ROOT / document).read_text(encoding="utf-8")):
                assert name in release.REGIONS
