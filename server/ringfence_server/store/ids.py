"""Ids made by the application: UUIDv7 for what the world sees, rising 64-bit numbers for stock keys."""

from __future__ import annotations

import secrets
from typing import Final

_DRAWN_BYTES: Final = 4_096


class Ids:
    """Makes ids for one store; used by one writer at a time.

    A reservation's id carries its slot in the lowest bits of its last byte. Stock numbers are made here for a store
    with one slot alone: with more, the slot's own counter makes them, which every server steps under the slot's lock.
    """

    def __init__(self, last_stock_id: int = 0, slot_count: int = 1) -> None:
        self._last_stock_id = last_stock_id
        self._slot_count = slot_count
        self._last_millisecond = 0
        self._last_random = 0
        self._drawn = b""
        self._used = 0
        self.now = 0
        """Microseconds since the epoch; set by the batch."""

    def reservation_id(self, slot: int = 0) -> bytes:
        """A UUIDv7 (RFC 9562), rising within the process: later reservations lie behind earlier ones in the table."""
        millisecond = self.now // 1_000
        if millisecond > self._last_millisecond:
            self._last_millisecond = millisecond
            # 72 random bits of 74: room to count up without a carry into the time.
            self._last_random = self._chance(9) & -self._slot_count
        else:
            # By 1 to 2^32: an id must not be guessed from its neighbour.
            self._last_random += (self._chance(4) + 1) * self._slot_count
        rand = self._last_random & ((1 << 74) - 1)
        value = (self._last_millisecond & ((1 << 48) - 1)) << 80
        value |= 0x7 << 76
        value |= (rand >> 62) << 64
        value |= 0b10 << 62
        value |= rand & ((1 << 62) - 1) | slot
        return value.to_bytes(16, "big")

    def _chance(self, length: int) -> int:
        """A number of so many bytes from the system's chance. Drawn in advance: a call into the system for every id is
        a tenth of a decision."""
        start, end = self._used, self._used + length
        if end > len(self._drawn):
            self._drawn, start, end = secrets.token_bytes(_DRAWN_BYTES), 0, length
        self._used = end
        return int.from_bytes(self._drawn[start:end], "big")

    def stock_id(self) -> int:
        """A rising number that begins with the time: neighbours in an import are neighbours on disk."""
        candidate = (self.now // 1_000) << 20
        self._last_stock_id = max(candidate, self._last_stock_id + 1)
        return self._last_stock_id
