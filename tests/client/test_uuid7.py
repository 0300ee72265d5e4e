"""Request ids are UUIDv7s that only rise."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid

import pytest

import ringfence
from ringfence._uuid7 import Uuid7Generator


def milliseconds_of(text: str) -> int:
    """The time in an id."""
    return uuid.UUID(text).int >> 80


def test_an_id_is_a_uuid_of_version_7() -> None:
    """Version, variant and time stand where RFC 9562 has them, in the usual text form."""
    before = time.time_ns() // 1_000_000
    text = ringfence.uuid7()
    made = uuid.UUID(text)
    assert str(made) == text
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= milliseconds_of(text) <= time.time_ns() // 1_000_000 + 1


def test_ids_of_one_process_rise() -> None:
    """Ten thousand ids of one thread are distinct and in order, as text too."""
    made = [ringfence.uuid7() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_are_distinct() -> None:
    """Threads share one sequence: no id is made twice, and each thread sees rising ids."""
    made: list[list[str]] = [[] for _ in range(8)]

    def work(mine: list[str]) -> None:
        mine.extend(ringfence.uuid7() for _ in range(2_000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({text for mine in made for text in mine}) == 16_000
    assert all(mine == sorted(mine) for mine in made)


def test_a_clock_that_goes_back_lowers_no_id() -> None:
    """Ids rise even when the clock stands still or goes back; with the clock's next step they carry its time again."""
    clock = iter([1_000, 1_000, 900, 1_001])
    make = Uuid7Generator(lambda: next(clock))
    made = [make() for _ in range(4)]
    assert made == sorted(set(made))
    assert [milliseconds_of(text) for text in made] == [1_000, 1_000, 1_000, 1_001]


def test_a_full_counter_takes_the_next_millisecond() -> None:
    """More ids than the counter holds within one millisecond still rise."""
    make = Uuid7Generator(lambda: 1_000)
    first = make()
    make._counter = (1 << 42) - 2
    made = [first, make(), make(), make()]
    assert made == sorted(set(made))
    assert milliseconds_of(made[-1]) == 1_001
    assert all(uuid.UUID(text).version == 7 for text in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_makes_other_ids() -> None:
    """After a fork, parent and child do not make the same ids."""
    # In an interpreter of its own: this one may run gRPC's threads, which a fork does not survive.
    code = """
import os, ringfence
ringfence.uuid7()
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, " ".join(ringfence.uuid7() for _ in range(50)).encode())
    os._exit(0)
print(" ".join(ringfence.uuid7() for _ in range(50)))
os.wait()
print(os.read(reader, 65536).decode())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    parent, child = (set(line.split()) for line in done.stdout.splitlines())
    assert len(parent) == len(child) == 50
    assert not parent & child
    # Random bits differ too, not only a counter that began elsewhere.
    assert not {text[-8:] for text in parent} & {text[-8:] for text in child}
