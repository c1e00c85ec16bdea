"""The socket by which `asr dictate begin` and its kin reach the running dictation.

It lies in the user's own run-time directory, which nobody else may enter, and each caller's user id is looked at too.
A request is a line with a command, the answer a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import stat
import struct
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from asr.errors import AsrError

COMMANDS = ("begin", "end", "suspend", "resume", "cancel", "toggle", "status", "quit")
ANSWER_SECONDS = 30.0  # for the daemon to do what it was told
CALLER_SECONDS = 1.0  # for a caller to say what it wants, and to take the answer
CLOSE_SECONDS = 3.0  # for the last answer, before the program ends
LONGEST_REQUEST = 64  # bytes

Answer = dict[str, object]


class ControlError(AsrError):
    """The daemon cannot be reached, or must not be."""


@dataclass(slots=True)
class Request:
    """A command that waits for its answer."""

    command: str
    _answer: queue.SimpleQueue[Answer] = field(default_factory=queue.SimpleQueue)

    def answer(self, answer: Answer) -> None:
        self._answer.put(answer)

    def wait(self) -> Answer:
        try:
            return self._answer.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            return {"error": "The dictation does not answer: start it again."}


def socket_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_RUNTIME_DIR/asr/dictate.socket`, or in a directory of this user's under the temporary one.

    The directory is made if need be. Raises ControlError where it belongs to or is open to somebody else.
    """
    runtime = environment.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "asr" if runtime else Path(tempfile.gettempdir()) / f"asr-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        about = directory.lstat()
    except OSError as error:
        raise ControlError(f"{directory} cannot be made ({error.strerror}): set XDG_RUNTIME_DIR.") from error
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise ControlError(f"{directory} is open to other users: remove it, or set its mode to 0700.")
    return directory / "dictate.socket"


class Server:
    """Takes commands, in their order, and puts them into `requests`; each caller waits for its own answer alone.

    A context manager.
    """

    def __init__(self, path: Path) -> None:
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="dictation-control", daemon=True)

    def __enter__(self) -> Self:
        if _answers(self.path):
            raise ControlError("A dictation runs already: `asr dictate quit` ends it.")
        making = self.path.with_suffix(f".{os.getpid()}")
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(making))
            self._socket.listen()
            making.replace(self.path)  # it is there once it answers; one left behind by a killed dictation goes
        except OSError as error:
            raise ControlError(f"{self.path} cannot be made ({error.strerror}).") from error
        finally:
            os.umask(mask)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.path.unlink(missing_ok=True)
        self._thread.join(CLOSE_SECONDS)  # whoever said `quit` waits for the answer

    def _serve(self) -> None:
        answering: list[threading.Thread] = []
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                break
            caller.settimeout(CALLER_SECONDS)  # nobody may keep the others waiting
            thread = threading.Thread(target=_answer, args=(caller, self._take(caller)), daemon=True)
            thread.start()
            answering = [*filter(threading.Thread.is_alive, answering), thread]
        for thread in answering:
            thread.join()

    def _take(self, caller: socket.socket) -> Request:
        """The request of a caller, on its way to the dictation or answered with what is wrong about it."""
        request = Request(_command_of(caller))
        if _user_of(caller) != os.getuid():
            request.answer({"error": "This dictation belongs to another user."})
        elif request.command not in COMMANDS:
            known = ", ".join(COMMANDS)
            request.answer({"error": f"There is no command {request.command!r}: take one of {known}."})
        else:
            self.requests.put(request)
        return request


def send(command: str, path: Path) -> Answer:
    """Tell the running dictation a command and wait for its answer. Raises ControlError where none runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS + 1)
        try:
            connection.connect(str(path))
            connection.sendall(command.encode() + b"\n")
            line = connection.makefile("rb").readline()
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise ControlError("No dictation is running: start `asr dictate` in a terminal of the desktop.") from error
    if not isinstance(answer, dict):
        raise ControlError("What listens on the dictation's socket is no dictation of this program.")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _command_of(caller: socket.socket) -> str:
    """The line that the caller sends; "" where it says nothing in time."""
    try:
        return caller.makefile("rb").readline(LONGEST_REQUEST).decode(errors="replace").strip()
    except OSError:
        return ""


def _answer(caller: socket.socket, request: Request) -> None:
    with caller, contextlib.suppress(OSError):
        caller.sendall(json.dumps(request.wait(), ensure_ascii=False).encode() + b"\n")


def _user_of(caller: socket.socket) -> int:
    """The user id at the other end, from the kernel (Linux; the directory's mode alone guards elsewhere)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return int(user)
