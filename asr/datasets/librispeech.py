"""LibriSpeech (Panayotov, Chen, Povey, Khudanpur, 2015): 1000 hours of read English books, CC BY 4.0.

Layout: `LibriSpeech/<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac`, the text of a chapter in
`<speaker>-<chapter>.trans.txt`. The official splits are the parts.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from asr.datasets.corpus import UNMEASURED, Parts, keyed_lines, missing, wanted
from asr.datasets.download import Archive
from asr.datasets.manifest import Utterance

_URL = "https://www.openslr.org/resources/12"
ARCHIVES = {
    part: Archive(f"{_URL}/{part}.tar.gz", f"sha256:{digest}")
    for part, digest in {
        "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
        "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
        "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
        "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
        "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
        "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
        "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    }.items()
}
PARTS = tuple(ARCHIVES)


def find(root: Path, parts: Collection[str] = ()) -> Parts:
    """The utterances below `root`, by part; all parts that are there, or exactly `parts`."""
    return find_parts(root, wanted(parts, PARTS), "librispeech", complete=bool(parts))


def find_parts(root: Path, parts: Collection[str], corpus: str, *, complete: bool) -> Parts:
    """`find` for any corpus in this layout."""
    found: Parts = {}
    for part in parts:
        folder = root / "LibriSpeech" / part
        if folder.is_dir():
            found[part] = [
                utterance
                for text in sorted(folder.glob("*/*/*.trans.txt"))
                for utterance in _chapter(text, part, corpus)
            ]
        elif complete:
            raise missing(folder, corpus)
    if not found:
        raise missing(root / "LibriSpeech", corpus)
    return found


def _chapter(text: Path, part: str, corpus: str) -> list[Utterance]:
    speaker = text.parent.parent.name
    return [
        Utterance(text.parent / f"{key}.flac", words, UNMEASURED, f"libri-{speaker}", corpus, part)
        for key, words in keyed_lines(text)
    ]
