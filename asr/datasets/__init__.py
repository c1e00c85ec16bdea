"""Speech corpora as manifests: one module a corpus, and the neighbours' formats. Nothing here needs torch."""

from asr.datasets.manifest import Utterance, read_manifest, write_manifest

CORPORA = (
    "librispeech", "mini_librispeech", "common_voice", "ljspeech", "vctk", "speech_commands", "yesno",
    "speechocean762", "folder",
)  # fmt: skip

__all__ = ["CORPORA", "Utterance", "read_manifest", "write_manifest"]
