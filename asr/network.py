"""The exported acoustic model: samples and a state in, log-probs and the next state out.

This is the only module that knows onnxruntime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from asr.errors import ModelError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]
State = dict[str, Floats]  # by name; never changed in place, so that holding one is a copy

FORMAT = 2  # of the model directory
BLANK = 0  # the token of every head that means "nothing new"
NEEDED_ENDINGS = (".onnx", ".lexicon", ".lm")
MOST_HELD = 100.0  # memory cells that only ever add up stop here, or no gate would empty them again after hours
WORD_START = "▁"  # opens a spelling token that begins a word


@dataclass(frozen=True)
class FirstReading:
    """What the streaming layers made of a step."""

    hidden: Floats  # [frames, width]
    log_probs: dict[str, Floats]  # head -> [frames, tokens]
    state: State


def open_session(path: Path, threads: int = 1) -> InferenceSession:
    """An onnxruntime session that burns no processor time while it waits. Raises `ModelError`."""
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"There is no {path.name} in {path.parent}: this is not a whole model directory.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # 9 MB less and no slower
    options.log_severity_level = 3  # errors; they are raised anyway
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise ModelError(f"{path} is damaged or no network (asr models verify {path.parent} says more).") from error


def read_config(directory: Path) -> dict[str, Any]:
    """`model.json` of a model directory, its format and what every reader needs checked. Raises `ModelError`."""
    path = directory / "model.json"
    if not directory.is_dir():
        raise ModelError(f"There is no model directory {directory}.")
    if not path.is_file():
        raise ModelError(f"{directory} holds no model.json: it is not a model directory of this program.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): copy or export the model again.") from error
    if not isinstance(config, dict) or "format" not in config:
        raise ModelError(f"{path} is not a model of this program: it has no format number.")
    if config["format"] != FORMAT:
        raise ModelError(f"{path} has format {config['format']}, this program reads {FORMAT}: update one of them.")
    wanted = (
        "name",
        "version",
        "sample_rate",
        "frame_samples",
        "look_ahead_frames",
        "heads",
        "state",
        "hidden",
        "front_end",
        "fingerprint",
    )
    if missing := [key for key in wanted if key not in config]:
        raise ModelError(f"{path} lacks {', '.join(missing)}: export the model again.")
    try:
        tokens = [token for names in config["heads"].values() for token in names]
        shapes = [[int(size) for size in part["shape"]] for part in config["state"] if part["name"]]  # perhaps none
        numbers = [int(config[key]) for key in ("frame_samples", "look_ahead_frames", "hidden")]
        hop, window = (int(config["front_end"][key]) for key in ("hop", "window"))
        before = [part["shape"][-1] for part in config["state"] if part["name"] == "samples"]
        paced = 0 < hop < window and numbers[0] % hop == 0 and before in ([], [window - hop])
        fits = bool(tokens and all(shapes) and numbers[0] > 0 and paced)
        fits = fits and all(isinstance(token, str) for token in tokens)
    except (AttributeError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ModelError(f"{path} is damaged: copy or export the model again.")
    if config["sample_rate"] != SAMPLE_RATE:
        raise ModelError(f"{path} is for {config['sample_rate']} Hz; this program feeds {SAMPLE_RATE}.")
    return config


def check_whole(directory: Path) -> None:
    """Raises `ModelError` if a file that recognition needs is listed in SHA256SUMS, where there is one, and missing."""
    try:
        lines = (directory / "SHA256SUMS").read_text(errors="replace").splitlines()
    except OSError:  # one's own model, not published yet
        return
    for line in lines:
        path = directory / line.partition(" ")[2].lstrip(" *")
        if path.suffix in NEEDED_ENDINGS and not path.is_file():
            raise ModelError(f"There is no {path.name} in {directory}: install, copy or export the model again.")


class Network:
    """Both readings of a model directory; immutable, to be shared by any number of streams and threads."""

    def __init__(
        self, directory: Path, config: dict[str, Any], first: InferenceSession, second: InferenceSession
    ) -> None:
        self.directory = directory
        self.config = config
        self.heads: dict[str, tuple[str, ...]] = {head: tuple(tokens) for head, tokens in config["heads"].items()}
        self.frame_samples = int(config["frame_samples"])
        self.frame_seconds = self.frame_samples / int(config["sample_rate"])
        self.look_ahead_frames = int(config["look_ahead_frames"])
        self.width = int(config["hidden"])  # of the hidden states
        self.fingerprint = str(config["fingerprint"])
        self.hop = int(config["front_end"]["hop"])  # samples from one log-mel frame to the next
        self._window = int(config["front_end"]["window"])
        self._first, self._second = first, second
        self._shapes = {part["name"]: tuple(part["shape"]) for part in config["state"]}
        self._first_outputs = ["hidden", *self.heads, *(f"next_{name}" for name in self._shapes)]
        width = {"hidden": self.width} | {head: len(tokens) for head, tokens in self.heads.items()}
        states = {name: shape[-1] for name, shape in self._shapes.items()}
        nexts = {f"next_{name}": size for name, size in states.items()}
        self._check(first, "first.onnx", {"audio": None, "hop": None, **states}, width | nexts)
        self._check(second, "second.onnx", {"hidden": width["hidden"]}, {head: width[head] for head in self.heads})

    @classmethod
    def load(cls, directory: Path, threads: int = 1) -> Network:
        """Reads model.json, first.onnx and second.onnx. Raises `ModelError` for what is missing or does not fit."""
        directory = Path(directory)
        config = read_config(directory)
        check_whole(directory)
        first = open_session(directory / "first.onnx", threads)
        return cls(directory, config, first, open_session(directory / "second.onnx", threads))

    @property
    def name(self) -> str:
        """Name and version, as a transcript states them."""
        return f"{self.config['name']} {self.config['version']}"

    def initial_state(self, hop: int | None = None) -> State:
        """The state before any sound: zeros. For `hop` see `first`."""
        shapes = dict(self._shapes)
        if hop is not None and "samples" in shapes:
            shapes["samples"] = (1, self._window - hop)
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    def first(self, audio: Floats, state: State, hop: int | None = None) -> FirstReading:
        """The streaming layers over `audio` [n], n a multiple of `frame_samples`; `state` is left as it is.

        With a `hop` of fewer samples than `Network.hop` the network hears everything slower, at the same pitch, and
        `audio` is a multiple of a frame that is shorter in proportion.
        """
        hop = self.hop if hop is None else hop
        assert len(audio) % (self.frame_samples // self.hop * hop) == 0, "audio comes in whole network frames"
        if len(audio) == 0:
            return FirstReading(
                np.zeros((0, self.width), np.float32),
                {head: np.zeros((0, len(tokens)), np.float32) for head, tokens in self.heads.items()},
                state,
            )
        outputs = self._first.run(self._first_outputs, {"audio": audio[None], "hop": np.array(hop, np.int64), **state})
        hidden, *rest = outputs
        heads = {head: values[0] for head, values in zip(self.heads, rest, strict=False)}
        after = (np.clip(part, -MOST_HELD, MOST_HELD) for part in rest[len(heads) :])
        return FirstReading(hidden[0], heads, dict(zip(self._shapes, after, strict=True)))

    def second(self, hidden: Floats) -> dict[str, Floats]:
        """Log-probs [frames, tokens] of each head, with all of `hidden` [frames, width] as context."""
        outputs = self._second.run(list(self.heads), {"hidden": hidden[None]})
        return {head: values[0] for head, values in zip(self.heads, outputs, strict=True)}

    def _check(
        self, session: InferenceSession, file: str, inputs: Mapping[str, int | None], outputs: Mapping[str, int]
    ) -> None:
        """Compares names and last dimensions with what model.json says."""
        for parts, expected in ((session.get_inputs(), inputs), (session.get_outputs(), outputs)):
            sizes = {part.name: part.shape[-1] if part.shape else None for part in parts}
            fits = sizes.keys() == expected.keys() and all(
                size == expected[name] for name, size in sizes.items() if isinstance(size, int) and expected[name]
            )
            if not fits:
                raise ModelError(f"{self.directory / file} does not fit model.json beside it: export the model again.")
