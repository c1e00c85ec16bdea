"""Speech corpora as manifests: one module a corpus, and the neighbours' formats. Nothing here needs torch."""

from asr.datasets.manifest import Utterance, read_manifest, write_manifest

__all__ = ["Utterance", "read_manifest", "write_manifest"]
