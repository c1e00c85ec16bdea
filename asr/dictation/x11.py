"""What an X server knows and a typist must: the focus, held keys, the layout, and whether somebody else typed.

Through libX11 and libXi (they are there wherever a window is), because a process started for each question would be
too slow to ask before every few keys.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p

from asr.errors import AsrError

HELD_MODIFIERS = 0x1 | 0x4 | 0x8 | 0x40 | 0x80  # Shift, Control, Alt, Super, AltGr; not the locks
NO_WINDOW = (0, 1)  # None and PointerRoot: the focus is nowhere
GENERIC_EVENT, RAW_KEY_PRESS, RAW_BUTTON_PRESS = 35, 13, 15
ALL_DEVICES, ALL_MASTER_DEVICES = 0, 1
RETURN, TAB = 0xFF0D, 0xFF09
NAMED_KEYS = {"\n": RETURN, "\t": TAB}


class _Cookie(Structure):  # XGenericEventCookie
    _fields_ = (
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("extension", c_int),
        ("evtype", c_int),
        ("cookie", c_uint),
        ("data", c_void_p),
    )


class _Event(ctypes.Union):  # XEvent
    _fields_ = (("type", c_int), ("cookie", _Cookie), ("pad", c_long * 24))


class _RawEvent(Structure):  # the head of XIRawEvent
    _fields_ = (
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("extension", c_int),
        ("evtype", c_int),
        ("time", c_ulong),
        ("deviceid", c_int),
        ("sourceid", c_int),
        ("detail", c_int),
    )


class _EventMask(Structure):  # XIEventMask
    _fields_ = (("deviceid", c_int), ("mask_len", c_int), ("mask", c_void_p))


class _DeviceInfo(Structure):  # XIDeviceInfo
    _fields_ = (
        ("deviceid", c_int),
        ("name", c_char_p),
        ("use", c_int),
        ("attachment", c_int),
        ("enabled", c_int),
        ("num_classes", c_int),
        ("classes", c_void_p),
    )


class X11Desktop:
    """A connection to the X server of `$DISPLAY`. Raises AsrError where there is none. One thread at a time."""

    def __init__(self) -> None:
        self._x = _library("X11")
        self._xi = _library("Xi")
        self._x.XOpenDisplay.restype = c_void_p
        self._x.XDefaultRootWindow.restype = c_ulong
        self._x.XKeysymToKeycode.restype = ctypes.c_ubyte
        self._x.XInternAtom.restype = self._x.XGetSelectionOwner.restype = c_ulong
        opened = self._x.XOpenDisplay(None)
        if not opened:
            raise AsrError("The X server of $DISPLAY does not answer: start this in a terminal of the desktop.")
        self._display = c_void_p(opened)
        self._root = c_ulong(self._x.XDefaultRootWindow(self._display))
        self._synthetic = self._watch()
        self._presses = 0  # keys and buttons that somebody else pressed

    def close(self) -> None:
        self._x.XCloseDisplay(self._display)

    def focus(self) -> int | None:
        """The window that has the keyboard; None where none has."""
        window, revert = c_ulong(), c_int()
        self._x.XGetInputFocus(self._display, byref(window), byref(revert))
        return None if window.value in NO_WINDOW else window.value

    def modifiers_held(self) -> bool:
        """Whether Shift, Control, Alt, AltGr or Super is down."""
        window, mask, place = c_ulong(), c_uint(), c_int()
        arguments = [byref(window)] * 2 + [byref(place)] * 4 + [byref(mask)]
        self._x.XQueryPointer(self._display, self._root, *arguments)
        return bool(mask.value & HELD_MODIFIERS)

    def can_type(self, character: str) -> bool:
        """Whether a key of the present layout gives this character."""
        code = ord(character)
        latin = 0x20 <= code < 0x7F or 0xA0 <= code < 0x100
        keysym = NAMED_KEYS.get(character, code if latin else 0x1000000 + code)
        return bool(self._x.XKeysymToKeycode(self._display, c_ulong(keysym)))

    def selection_owner(self, selection: str) -> int:
        """The window that holds PRIMARY or CLIPBOARD; 0 where none does."""
        atom = c_ulong(self._x.XInternAtom(self._display, selection.encode(), 0))
        return int(self._x.XGetSelectionOwner(self._display, atom))

    def presses(self, own: bool = False) -> int:
        """How many keys and mouse buttons others have pressed so far.

        Ask before typing and, with `own`, right after it: what a program pressed in between was the typist, what a
        device pressed was not.
        """
        self._x.XSync(self._display, 0)  # whatever the server saw before this call is now in the queue
        event = _Event()
        while self._x.XPending(self._display):
            self._x.XNextEvent(self._display, byref(event))
            if event.type != GENERIC_EVENT or not self._x.XGetEventData(self._display, byref(event.cookie)):
                continue
            raw = ctypes.cast(event.cookie.data, POINTER(_RawEvent)).contents
            if not (own and raw.sourceid in self._synthetic):
                self._presses += 1
            self._x.XFreeEventData(self._display, byref(event.cookie))
        return self._presses

    def _watch(self) -> frozenset[int]:
        """Ask for the presses of all devices; the ids of those devices that stand for programs (XTEST)."""
        major, minor = c_int(2), c_int(2)
        opcode, event, error = c_int(), c_int(), c_int()
        present = self._x.XQueryExtension(self._display, b"XInputExtension", byref(opcode), byref(event), byref(error))
        if not present or self._xi.XIQueryVersion(self._display, byref(major), byref(minor)):
            raise AsrError("This X server lacks XInput 2: type with `--type stdout` or `--type clipboard`.")
        bits = (1 << RAW_KEY_PRESS | 1 << RAW_BUTTON_PRESS).to_bytes(4, "little")
        buffer = ctypes.create_string_buffer(bits, 4)
        mask = _EventMask(ALL_MASTER_DEVICES, 4, ctypes.cast(buffer, c_void_p))
        self._xi.XISelectEvents(self._display, self._root, byref(mask), 1)
        count = c_int()
        self._xi.XIQueryDevice.restype = POINTER(_DeviceInfo)
        found = self._xi.XIQueryDevice(self._display, ALL_DEVICES, byref(count))
        synthetic = frozenset(found[i].deviceid for i in range(count.value) if b"XTEST" in found[i].name)
        self._xi.XIFreeDeviceInfo(found)
        return synthetic


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(ctypes.util.find_library(name) or f"lib{name}.so.6")
    except OSError as error:
        raise AsrError(f"lib{name} is not installed: install lib{name.lower()}-6 (Debian, Ubuntu).") from error
