"""Statements that look into several slots, and ordered pages merged from them.

Where the store has one slot (SQLite) these are plain statements of that slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, SmallInteger, bindparam, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from .driver import DriverConnection

ForSlot = Callable[[ColumnElement[Any]], Select[Any]]
"""A select of one slot, given the slot."""
ForBound = Callable[[ColumnElement[Any], ColumnElement[Any]], Select[Any]]
"""A select of one slot, given the slot and a number of its own."""
_FEWEST: Final = 4


def rows_of_slots(connection: DriverConnection, slots: Sequence[int], build: ForSlot) -> list[Any]:
    """The rows of a select for each of some slots: in its order within a slot, in none between slots."""
    return rows_of_bounds(connection, dict.fromkeys(slots, 0), lambda slot, _: build(slot))


def rows_of_bounds(connection: DriverConnection, bounds: Mapping[int, int], build: ForBound) -> list[Any]:
    """The same with a number for each slot."""
    if len(bounds) <= 1 or connection.distributed:
        return [
            row
            for slot, number in bounds.items()
            for row in connection.execute(build(literal(slot, SmallInteger), literal(number, BigInteger))).all()
        ]
    slots = bindparam("given_slots", list(bounds), type_=ARRAY(SmallInteger))
    numbers = bindparam("given_numbers", list(bounds.values()), type_=ARRAY(BigInteger))
    wanted = func.unnest(slots, numbers).table_valued("slot", "number").render_derived(name="wanted")
    found = build(wanted.c.slot, wanted.c.number).lateral("found")
    return list(connection.execute(select(*found.c).select_from(wanted.join(found, true()))).all())


def share_of(most: int, slots: Sequence[int]) -> int:
    """How many rows to ask each slot for, when about ``most`` of all are wanted: twice its share, for the page ends
    where the first slot does."""
    return most if len(slots) == 1 else max(_FEWEST, 2 * most // len(slots))


def merged(
    rows: list[Any],
    slots: Sequence[int],
    limit: int,
    slot_of: Callable[[Any], int],
    key: Callable[[Any], Any],
    *,
    newest_first: bool = False,
) -> tuple[list[Any], bool]:
    """Rows of several slots, at most ``limit`` of each, in one order as far as it is known, and whether these are all.

    A slot that gave as many as it was asked for may have more: beyond its last row nothing is known.
    """
    if len(slots) == 1:
        return rows, len(rows) < limit
    counts: dict[int, int] = {}
    last: dict[int, Any] = {}
    further = min if newest_first else max
    for row in rows:
        slot, place = slot_of(row), key(row)
        counts[slot] = counts.get(slot, 0) + 1
        last[slot] = further(last.get(slot, place), place)
    full = [last[slot] for slot, count in counts.items() if count >= limit]
    rows = sorted(rows, key=key, reverse=newest_first)
    if not full:
        return rows, True
    if newest_first:
        horizon = max(full)
        return [row for row in rows if key(row) >= horizon], False
    horizon = min(full)
    return [row for row in rows if key(row) <= horizon], False
