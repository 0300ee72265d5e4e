"""Slots: into how many parts a store divides its rows, and in which of them each row lies.

A slot is the unit of locking (``locks``) and, on Citus, of distribution. Their number is a power of two and a property
of the store: 1 on SQLite, where everything lies in slot 0, 64 on PostgreSQL, where ``slot_state`` has a row for each.

| row | lies in the slot of |
|---|---|
| stock, pool, measure, fact, entry, part | the stock key's organization and SKU: all locations of a SKU share one |
| reservation | its id, which is made in the slot of the first stock it takes from |
| request_outcome | the request id |
| caller | the scope |
| order_reference | organization, caller and reference |
| till_sale, booking, order_event, published | the stock key, beside the part; an event's id is made there |
| count_session | organization, source and count id |
| discrepancy | the stock key, or any slot that the batch holds: its sequence says which |
| feed, slot_state | itself: one row for each slot that a batch locked |
| policy | 0 |

A number that belongs to a slot carries it in its lowest bits: stock ids, sequences of entries and facts, reservation
ids (the last byte). So whoever holds a number knows where to look. The parts of a reservation may lie in many slots:
its row names them (``reservation.part_slots``, a bitmap). What is due on a stock is thus found, and locked, in the
stock's own slot alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Column, ColumnElement

from ringfence_server.ledger.names import StockKey

MOST_SLOTS: Final = 64
"""A set of slots is a 64-bit bitmap."""
_ALL_BITS: Final = (1 << 64) - 1

SlotOf = Callable[[Any], int]
"""The slot in which the rows of a key lie."""


class Slots:
    """The slots of one store. Immutable.

    Raises ValueError for a count that is no power of two between 1 and 64.
    """

    __slots__ = ("all", "all_bits", "count", "mask")

    def __init__(self, count: int) -> None:
        if not 1 <= count <= MOST_SLOTS or count & (count - 1):
            raise ValueError(f"{count} slots: a store has a power of two, at most {MOST_SLOTS}")
        self.count: Final = count
        self.mask: Final = count - 1
        """The bits of a number that name its slot."""
        self.all: Final = tuple(range(count))
        self.all_bits: Final = (1 << count) - 1
        """The bitmap of all slots."""

    def of_sku(self, organization: str, sku: str) -> int:
        """Of a stock key, whatever its location and dimensions."""
        return _hashed(organization, sku) & self.mask if self.mask else 0

    def of_key(self, key: StockKey) -> int:
        """Of a stock key."""
        return _hashed(key.organization, key.sku) & self.mask if self.mask else 0

    def of_identity(self, row: Sequence[str]) -> int:
        """Of a stock key as its columns: organization, SKU, …"""
        return _hashed(row[0], row[1]) & self.mask if self.mask else 0

    def of_stock(self, stock_id: int) -> int:
        """Of a stock number."""
        return stock_id & self.mask

    def of_pool(self, key: Sequence[int]) -> int:
        """Of a key whose first value is a stock number."""
        return key[0] & self.mask

    def of_sequence(self, sequence: int) -> int:
        """Of a ledger entry or a fact."""
        return sequence & self.mask

    def of_id(self, identifier: bytes) -> int:
        """Of a reservation or a request, by its 16-byte id."""
        return identifier[-1] & self.mask if identifier else 0

    def of_scope(self, scope: int) -> int:
        """Of a caller, by the number of its scope."""
        return scope & self.mask

    def of_reference(self, key: Sequence[str]) -> int:
        """Of an order reference: (organization, caller, reference)."""
        return _hashed(*key) & self.mask if self.mask else 0

    def of_count(self, key: Sequence[str]) -> int:
        """Of a full count: (organization, source, count_id)."""
        return _hashed(*key) & self.mask if self.mask else 0

    @staticmethod
    def of_policy(_key: object) -> int:
        """Of a policy: slot 0, whatever its key."""
        return 0

    def within(self, column: Column[Any]) -> ColumnElement[bool]:
        """A condition that names all slots: for what walks whole tables."""
        return column == 0 if self.count == 1 else column.between(0, self.mask)


ONE_SLOT: Final = Slots(1)
"""SQLite's: one slot instead of 64 was worth half the rate again when measured."""


def bits_of(slots: Iterable[int]) -> int:
    """Slots as a bitmap, not negative."""
    bits = 0
    for slot in slots:
        bits |= 1 << slot
    return bits


def slots_of(bits: int) -> tuple[int, ...]:
    """The slots of a bitmap, rising; a negative one is how a column holds the 64th bit."""
    bits &= _ALL_BITS
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return tuple(found)


def column_of(bits: int) -> int:
    """A bitmap as a signed 64-bit column takes it."""
    return bits - (1 << 64) if bits >> 63 else bits


@lru_cache(maxsize=65_536)
def _hashed(*parts: str) -> int:
    return blake2b("\x1f".join(parts).encode(), digest_size=1).digest()[0]
