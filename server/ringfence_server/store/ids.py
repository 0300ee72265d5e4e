"""Ids made by the application: UUIDv7 for what the world sees, rising 64-bit numbers for stock keys."""

from __future__ import annotations

import secrets
from struct import unpack
from typing import Final

_DRAWN: Final = 1_024
_REST: Final = (1 << 62) - 1


class Ids:
    """Makes ids for one store; used by one writer at a time.

    A reservation's id carries its slot in the lowest bits of its last byte. Stock numbers are made here for a store
    with one slot alone: with more, the slot's own counter makes them, which every server steps under the slot's lock.
    """

    def __init__(self, last_stock_id: int = 0, slot_count: int = 1) -> None:
        self._last_stock_id = last_stock_id
        self._slot_count = slot_count
        self._last_millisecond = 0
        self._front = 0
        """Of the millisecond's ids all but the last 62 bits."""
        self._rest = 0
        """The last 62 bits of the newest of them, without its slot."""
        self._steps: list[int] = []
        self.now = 0
        """Microseconds since the epoch; set by the batch."""

    def reservation_id(self, slot: int = 0) -> bytes:
        """A UUIDv7 (RFC 9562), rising within the process: later reservations lie behind earlier ones in the table."""
        millisecond = self.now // 1_000
        if millisecond > self._last_millisecond:
            self._begin(millisecond)
        else:
            # By 1 to 2^32: an id must not be guessed from its neighbour.
            self._rest += (self._step() + 1) * self._slot_count
            if self._rest > _REST:
                self._begin(self._last_millisecond + 1)
        return (self._front | self._rest | slot).to_bytes(16, "big")

    def _begin(self, millisecond: int) -> None:
        """The first id of a millisecond: 73 bits by chance. The highest of the last 62 is 0, so that there is room to
        count up."""
        self._last_millisecond = millisecond
        chance = secrets.randbits(12 + 61)
        self._front = (millisecond & ((1 << 48) - 1)) << 80 | 0x7 << 76 | chance >> 61 << 64 | 0b10 << 62
        self._rest = chance & _REST >> 1 & -self._slot_count

    def _step(self) -> int:
        """A number below 2^32 from the system's chance. Drawn in advance: a call into the system for every id is a
        tenth of a decision."""
        if not self._steps:
            self._steps.extend(unpack(f">{_DRAWN}I", secrets.token_bytes(4 * _DRAWN)))
        return self._steps.pop()

    def stock_id(self) -> int:
        """A rising number that begins with the time: neighbours in an import are neighbours on disk."""
        candidate = (self.now // 1_000) << 20
        self._last_stock_id = max(candidate, self._last_stock_id + 1)
        return self._last_stock_id
