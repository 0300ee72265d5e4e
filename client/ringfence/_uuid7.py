"""Request ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made.

A store keeps such ids side by side, which random ones cost it dearly; and the service can tell from the id alone that a
request is older than the outcomes it keeps.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["Uuid7Generator", "uuid7"]

_COUNTER_BITS = 42
_COUNTER_LIMIT = 1 << _COUNTER_BITS
_RANDOM_BLOCK = 1024
"""Bytes that one read of the system's randomness brings: the call costs more than the rest of an id."""


class Uuid7Generator:
    """Makes UUIDv7s that only rise, from any number of threads.

    Layout (RFC 9562, section 6.2, method 1): 48 bits of milliseconds since the epoch, a 42-bit counter in `rand_a` and
    the head of `rand_b`, 32 random bits. The counter begins anew, at a random number below its half, with each
    millisecond; a clock that stands still or goes back only raises the counter.

    `now_milliseconds` gives the time; tests hand in their own.
    """

    def __init__(self, now_milliseconds: Callable[[], int] | None = None) -> None:
        self._now = now_milliseconds or _system_milliseconds
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._counter = 0
        self._random = b""
        self._offset = 0

    def __call__(self) -> str:
        """A new id in its usual text form, greater than every one this generator made before."""
        now = self._now()
        with self._lock:
            if now > self._milliseconds:
                self._milliseconds = now
                self._counter = int.from_bytes(self._take(6)) & (_COUNTER_LIMIT // 2 - 1)
            else:
                self._counter += 1
                if self._counter == _COUNTER_LIMIT:
                    self._milliseconds += 1
                    self._counter = 0
            counter = self._counter
            value = self._milliseconds << 80 | 0x7 << 76 | counter >> 30 << 64 | 0b10 << 62
            value |= (counter & 0x3FFF_FFFF) << 32 | int.from_bytes(self._take(4))
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _take(self, count: int) -> bytes:
        """`count` random bytes."""
        end = self._offset + count
        if end > len(self._random):
            self._random = os.urandom(_RANDOM_BLOCK)
            self._offset, end = 0, count
        taken = self._random[self._offset : end]
        self._offset = end
        return taken

    def forget(self) -> None:
        """Starts anew, as a forked child must: it would repeat its parent's ids."""
        self._lock = threading.Lock()
        self._random = b""
        self._offset = 0
        self._milliseconds = -1


def _system_milliseconds() -> int:
    return time.time_ns() // 1_000_000


_generator = Uuid7Generator()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_generator.forget)


def uuid7() -> str:
    """A new UUIDv7 in its usual text form, greater than every one this process made before; from any thread."""
    return _generator()
