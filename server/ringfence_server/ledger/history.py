"""The past of a stock key: the state at t is the sum of all entries with effective_time <= t.

Going back from the present undoes what counts from after t, newest first or in any order: it is a sum. An entry is
recorded at or after the instant from which it counts, so nothing recorded at or before t is ever undone, and a lease
that ended before t stays ended, whenever that was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .state import EntryKind, MeasureValue, Place, Pool, Stock


class PastEntry(NamedTuple):
    """An entry as far as it has to be undone, with the paths of the part that it moved."""

    kind: int
    quantity: int
    from_place: int
    from_pool: int
    to_place: int
    to_pool: int
    measure: str
    effective_time: int
    path: str | None
    """The pool that gave the part's units; None when no reservation moved."""
    asked_path: str | None


class PastFact(NamedTuple):
    """A posted figure with what it changed."""

    measure: str
    delta: int
    position: int
    source: str
    count_time: int | None
    record_time: int
    epoch: int = 0


class Rewind:
    """Takes one stock key, loaded whole, back to an instant. Feed it every entry recorded after it, in any order."""

    def __init__(self, stock: Stock, instant: int) -> None:
        self._stock = stock
        self._instant = instant
        self._by_number = {pool.number: pool for pool in stock.pools.values()}

    def undo(self, entries: Iterable[PastEntry]) -> None:
        """Undoes those of the entries that count from after the instant."""
        for entry in entries:
            if entry.effective_time > self._instant:
                self._undo(entry)

    def undo_facts(self, facts: Iterable[PastFact], in_force: Mapping[str, PastFact]) -> None:
        """Takes measures back: ``facts`` are those recorded after the instant, ``in_force`` the newest before it of
        each measure among them. Call it after all entries are undone."""
        measures = self._stock.measures
        changed: set[str] = set()
        for fact in facts:
            self._stock.measure(fact.measure).value -= fact.delta
            changed.add(fact.measure)
        for name in changed:
            value, earlier = measures[name], in_force.get(name)
            if earlier is not None:
                value.position, value.source = earlier.position, earlier.source
                value.count_time, value.record_time = earlier.count_time, earlier.record_time
                value.epoch = earlier.epoch
                value.epoch_ends = tuple(end for end in value.epoch_ends if end.epoch < earlier.epoch)
            elif value.value:
                # Sold below zero before any source had posted it.
                measures[name] = MeasureValue(name, value.value)
            else:
                del measures[name]

    def finish(self) -> None:
        """Brings the sums of the key in line with its pools."""
        stock = self._stock
        pools = stock.pools.values()
        stock.promised = sum(pool.held + pool.unsettled for pool in pools)
        stock.supply = stock.promised + sum(pool.free for pool in pools)

    def _undo(self, entry: PastEntry) -> None:
        kind, quantity = entry.kind, entry.quantity
        if entry.from_place in _IN_POOLS:
            _change(self._by_number[entry.from_pool], entry.from_place, quantity)
        if entry.to_place in _IN_POOLS:
            _change(self._by_number[entry.to_pool], entry.to_place, -quantity)
        if entry.asked_path is None or entry.path is None:
            return
        asked = self._stock.pool(entry.asked_path)
        giver = self._stock.pool(entry.path)
        if kind == EntryKind.CONSUME:
            giver.consumed -= quantity
            if entry.from_place == Place.FREE:
                asked.taken -= quantity
            if entry.to_place == Place.SOLD:
                self._stock.measure(entry.measure).value += quantity
        elif kind in (EntryKind.RESERVE, EntryKind.REVIVE):
            asked.taken -= quantity
        elif kind in (EntryKind.RELEASE, EntryKind.EXPIRE, EntryKind.CANCEL):
            asked.taken += quantity
            if kind == EntryKind.CANCEL and entry.from_place != Place.HELD:
                giver.consumed += quantity
                if entry.from_place == Place.SOLD:
                    self._stock.measure(entry.measure).value -= quantity


_IN_POOLS = frozenset((Place.FREE, Place.HELD, Place.UNSETTLED))


def _change(pool: Pool, place: int, quantity: int) -> None:
    if place == Place.FREE:
        pool.free += quantity
    elif place == Place.HELD:
        pool.held += quantity
    elif place == Place.UNSETTLED:
        pool.unsettled += quantity
