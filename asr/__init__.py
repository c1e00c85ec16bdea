"""Streaming speech recognition with an LSTM."""

from asr.endpoint import Endpoint
from asr.errors import AsrError, AudioError, ModelError, StreamError, TextError
from asr.recognizer import Recognizer
from asr.results import Alternative, Segment, Transcript, Word
from asr.stream import Stream

__all__ = [
    "Alternative",
    "AsrError",
    "AudioError",
    "Endpoint",
    "ModelError",
    "Recognizer",
    "Segment",
    "Stream",
    "StreamError",
    "TextError",
    "Transcript",
    "Word",
]
__version__ = "0.1.0"
