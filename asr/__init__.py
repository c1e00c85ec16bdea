"""Streaming speech recognition with an LSTM."""

from asr.errors import AsrError, AudioError, ModelError, StreamError, TextError
from asr.results import Segment, Transcript, Word

__all__ = ["AsrError", "AudioError", "ModelError", "Segment", "StreamError", "TextError", "Transcript", "Word"]
__version__ = "0.1.0"
