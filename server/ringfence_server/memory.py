"""Memory of a process that serves for a long time: what the garbage collector looks at, and how large its pages are.

A command touches a few megabytes of code and objects, and a lone caller's does so on caches that others have used since
the last one. To find an address then costs about as much as to read it, in a virtual machine twice: each 4 KiB page is
looked up through four levels of tables. In pages of 2 MiB 256 callers at a time were served 8 % faster and a lone one
9 %, batches of 100 commands 12 %, in a run by turns with a server that had small ones. It took 5 % more memory with ten
thousand keys in use, and 43 MB more at the start, for arenas that fill later.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import mmap
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_SETTINGS: Final = Path("/sys/kernel/mm/transparent_hugepage")
_COLLAPSE: Final = 25
"""Linux's MADV_COLLAPSE, since 6.1: moves what a range holds into a huge page, now, and asks nothing of its future. Its
elder MADV_HUGEPAGE would have later page faults wait for huge pages, too."""
_LEAST_FULL: Final = 0.9
"""A huge page takes memory for the holes in it as well: fuller ranges only, so that at most a ninth is added."""
_LOOKS_SECONDS: Final = (2.0, 5.0, 10.0, 20.0)
"""Pauses before the first looks: a server takes most of its memory with its first callers. Then it is a minute each."""
_LOOK_SECONDS: Final = 60.0

_ARENA_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 400
"""Of an object that Python keeps in an arena; from 512 on it asks the C library."""


def gather_small_objects(mebibytes: int) -> list[bytes]:
    """Has Python take memory for so many mebibytes of small objects in one piece, and fill that first with those to
    come. It takes it in arenas of 1 MiB each, which else lie between the libraries that are loaded meanwhile: none is
    then part of a whole 2 MiB. To be called before the large modules are imported, which fill some 50 MiB.

    What is answered keeps the arenas from being given back, for as long as it is kept.
    """
    each = sys.getsizeof(bytes(_SMALL_BYTES))
    objects = [bytes(_SMALL_BYTES) for _ in range((mebibytes << 20) // each)]
    return objects[:: _ARENA_BYTES // each // 2]


def spare_the_collector() -> None:
    """What is loaded stays: the garbage collector need not look at it again. Commands make no cycles, so it may look
    seldom; measured, a third more commands in batches."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


async def keep_in_huge_pages() -> None:
    """Moves what this process holds into huge pages, and now and then what it has taken meanwhile. Ends at once where
    the kernel has none to give, or its operator forbids them (``never``)."""
    pauses = iter(_LOOKS_SECONDS)
    while True:
        try:
            await asyncio.to_thread(collapse)
        except OSError as error:
            _log.debug("no huge pages: %s", error)
            return
        await asyncio.sleep(next(pauses, _LOOK_SECONDS))


def collapse() -> int:
    """Moves what is full of this process's memory into huge pages; answers how many of its pages are huge now. Takes
    about 3 ms for each that is moved, and lets other threads go on. What the kernel finds no huge page for is left.

    Raises OSError where huge pages are not to be had.
    """
    if sys.platform != "linux" or "[never]" in (_SETTINGS / "enabled").read_text():
        raise OSError("they are not to be had on this system")
    size = int((_SETTINGS / "hpage_pmd_size").read_text())
    library = ctypes.CDLL(None, use_errno=True)
    mincore, madvise = library.mincore, library.madvise
    mincore.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]
    madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    small = size // mmap.PAGESIZE
    present = ctypes.create_string_buffer(small)
    huge = 0
    for start in starts(Path("/proc/self/maps").read_text().splitlines(), size):
        if mincore(start, size, present) == 0 and present.raw.count(b"\1") >= _LEAST_FULL * small:
            huge += madvise(start, size, _COLLAPSE) == 0
    return huge


def starts(maps: Iterable[str], size: int) -> Iterator[int]:
    """Where whole pages of so many bytes may begin: in what the lines of ``/proc/self/maps`` show as private and
    writable memory, of no file and no stack."""
    for line in maps:
        addresses, rights, _, _, inode, *names = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and not (names and names[0].startswith("[stack")):
            low, _, high = addresses.partition("-")
            yield from range(-(-int(low, 16) // size) * size, int(high, 16) - size + 1, size)
