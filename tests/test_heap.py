"""One heap for all threads: asked of the C library itself, in a process of its own."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

HEAPS = """
import ctypes, re, sys, threading
if sys.argv[1] == "shared":
    from asr.heap import share_one_heap
    share_one_heap()
kept = []
threads = [threading.Thread(target=lambda: kept.append([bytes(50_000) for _ in range(100)])) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL("libc.so.6")
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap nr=", open(sys.argv[2]).read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks of glibc's malloc")
def test_threads_share_one_heap(tmp_path: Path) -> None:
    def heaps(how: str) -> int:
        command = [sys.executable, "-c", HEAPS, how, str(tmp_path / "info.xml")]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert heaps("shared") == 1
    assert heaps("as it is") > 1
