"""What can go wrong, in one sentence that says what to do next."""


class AsrError(Exception):
    """An error whose message is meant for the user; the command line prints it without a traceback."""


class AudioError(AsrError):
    """A file or a block of samples that cannot be used as sound."""


class ModelError(AsrError):
    """A model directory that is missing, damaged or made for something else."""


class TextError(AsrError):
    """Text that holds something whose spoken form is not known."""


class StreamError(AsrError):
    """A stream asked for something that it can no longer or never do."""
