"""The pages of a server's memory: which may be huge, that they become so, and that nothing in them changes."""

from __future__ import annotations

import ctypes
import gc
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence_server import memory

PAGE = 2 << 20

MAPS = f"""\
{PAGE:x}-{3 * PAGE:x} rw-p 00000000 00:00 0                          [heap]
{4 * PAGE + 4096:x}-{7 * PAGE + 4096:x} rw-p 00000000 00:00 0
{8 * PAGE:x}-{9 * PAGE:x} r-xp 00001000 fe:00 1234                       /usr/lib/a library.so
{9 * PAGE:x}-{10 * PAGE:x} rw-p 00001000 fe:00 1234                       /usr/lib/a library.so
{10 * PAGE:x}-{11 * PAGE:x} rw-s 00000000 00:01 99                         /dev/zero (deleted)
{11 * PAGE:x}-{12 * PAGE:x} ---p 00000000 00:00 0
{12 * PAGE:x}-{13 * PAGE - 4096:x} rw-p 00000000 00:00 0
{13 * PAGE + 4096:x}-{14 * PAGE:x} rw-p 00000000 00:00 0
{14 * PAGE:x}-{15 * PAGE:x} rw-p 00000000 00:00 0                          [stack]
"""


def test_whole_pages_of_the_heap_may_be_huge() -> None:
    """Those that lie in private, writable memory of no file and no stack, from their first byte to their last."""
    assert list(memory.starts(MAPS.splitlines(), PAGE)) == [PAGE, 2 * PAGE, 5 * PAGE, 6 * PAGE]


def test_what_is_full_is_moved_and_stays_what_it_was() -> None:
    """Two pages' worth of bytes lie in huge pages afterwards, and a page that holds a single one takes no more memory
    than it did."""
    with mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        address = _address(held)
        full = -address % PAGE
        sparse = full + 4 * PAGE
        held[full : full + 2 * PAGE] = bytes(range(256)) * (2 * PAGE // 256)
        held[sparse] = 1
        try:
            memory.collapse()
        except OSError:
            pytest.skip("this system gives no huge pages")
        if _told(address, "AnonHugePages:") == 0:
            pytest.skip("the kernel has no huge page to give")
        assert _told(address, "AnonHugePages:") >= 2 * PAGE
        assert _present(address + sparse) == 1
        assert held[full : full + 2 * PAGE] == bytes(range(256)) * (2 * PAGE // 256)
        assert held[sparse : sparse + 2] == b"\1\0"


def _address(held: mmap.mmap) -> int:
    view = (ctypes.c_char * 1).from_buffer(held)
    address = ctypes.addressof(view)
    del view
    gc.collect()
    return address


def _present(start: int) -> int:
    """How many small pages of a huge one are in memory."""
    found = ctypes.create_string_buffer(PAGE // mmap.PAGESIZE)
    mincore = ctypes.CDLL(None).mincore
    mincore.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]
    assert mincore(start, PAGE, found) == 0
    return found.raw.count(b"\1")


def _told(address: int, name: str) -> int:
    """What the kernel tells of the range of an address, in bytes."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            low, high = (int(each, 16) for each in first.split("-"))
            inside = low <= address < high
        elif inside and first == name:
            return int(rest[0]) << 10
    raise AssertionError(f"nothing is told of {address:x}")


FILLS = """
from pathlib import Path
from ringfence_server.memory import gather_small_objects

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))

kept = gather_small_objects({mebibytes})
before = resident()
small = [(number,) for number in range(200_000)]
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_small_objects_fill_what_was_gathered_for_them() -> None:
    """Sixteen mebibytes of tuples and numbers take none from the system when so much was gathered before, but for the
    list that names them."""
    with_it, without = (
        int(subprocess.check_output([sys.executable, "-c", FILLS.format(mebibytes=each)])) for each in (32, 0)
    )
    assert with_it <= 4
    assert without >= 14


async def test_a_system_without_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is one whose operator has said never: the upkeep ends."""
    monkeypatch.setattr(memory, "_SETTINGS", Path("/nowhere"))
    await memory.keep_in_huge_pages()
