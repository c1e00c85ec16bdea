"""How the C library hands out memory to a process that runs for hours."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8  # from glibc's malloc.h


def share_one_heap() -> None:
    """From here on threads take their memory from one heap (glibc; elsewhere nothing is changed).

    glibc gives each thread a heap of its own. That of the second reading's thread keeps what its longest segment needed
    once, and it is not the same memory that the other threads ask for. To be called before there are threads.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)
