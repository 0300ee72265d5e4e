"""Which keys changed since a state: what a resumed watch asks when its server no longer remembers.

A slot's feed has a row for each group commit that changed a balance in it, written under the slot's lock like its
revision: when a revision is visible, so are all before it, and none below it can appear later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import unpack
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.revisions import Revisions, contains

from . import schema
from .codec import dimensions_of
from .driver import DriverConnection
from .prune import FEED_KEPT
from .read_keys import States
from .read_slots import rows_of_bounds, rows_of_slots
from .slots import Slots
from .statements import keyed_select

_LONGEST_BATCH: Final = 60_000_000
"""Microseconds; far beyond the timeouts of a batch."""


class FeedRows:
    """Statements over the feed. Safe to use from several reading threads."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        stock = schema.stock
        self._keys = keyed_select(
            dialect,
            [stock.c.stock_id, stock.c.organization, stock.c.sku, stock.c.location, stock.c.dimensions],
            stock.c.stock_id,
            slots.of_stock,
        )
        self._times = keyed_select(dialect, [schema.feed.c.slot, schema.feed.c.record_time], schema.feed.c.revision)

    def changed_since(
        self, connection: DriverConnection, organization: str, revisions: Revisions, states: States, most: int
    ) -> list[StockKey] | None:
        """Keys of an organization changed after a state; None when that is not known any more (pruned), was never (a
        token of another database), or is more than ``most`` keys of all organizations."""
        newest = tuple([state.revision for state in states])
        if not contains(newest, revisions):
            return None
        since = (*revisions, *(0 for _ in newest))[: len(newest)]
        moved = {slot: since[slot] for slot, revision in enumerate(newest) if revision > since[slot]}
        if not moved:
            return []
        if not self._nothing_pruned(connection, moved) and not self._is_fresh(connection, since, states):
            return None
        numbers: dict[int, None] = {}
        for row in self.after(connection, moved, most + 1):
            numbers.update(dict.fromkeys(numbers_of(row.stock_ids)))
            if len(numbers) > most:
                return None
        return [key for key in self.keys(connection, list(numbers)).values() if key.organization == organization]

    def after(self, connection: DriverConnection, since: Mapping[int, int], most: int) -> list[Any]:
        """Rows (slot, revision, record_time, stock_ids) of these slots above a revision each, at most so many of a
        slot, in the order of their revisions within a slot."""
        feed = schema.feed
        return rows_of_bounds(
            connection,
            since,
            lambda slot, revision: (
                select(feed.c.slot, feed.c.revision, feed.c.record_time, feed.c.stock_ids)
                .where(feed.c.slot == slot, feed.c.revision > revision)
                .order_by(feed.c.revision)
                .limit(most)
            ),
        )

    def keys(self, connection: DriverConnection, numbers: Sequence[int]) -> dict[int, StockKey]:
        """The stock keys of these numbers."""
        return {
            stock_id: StockKey(organization, sku, location, dimensions_of(dimensions))
            for stock_id, organization, sku, location, dimensions in self._keys.find(connection, numbers)
        }

    def _nothing_pruned(self, connection: DriverConnection, since: Mapping[int, int]) -> bool:
        """Whether the oldest row of each slot lies not beyond the state. Commits that changed no balance have no row,
        nor have the revisions that a slot leaps over, so a gap at the start may be nothing; that cannot be told by
        it."""
        feed = schema.feed
        rows = rows_of_slots(
            connection,
            list(since),
            lambda slot: (
                select(feed.c.slot, feed.c.revision).where(feed.c.slot == slot).order_by(feed.c.revision).limit(1)
            ),
        )
        oldest = {slot: revision for slot, revision in rows}
        return all(slot in oldest and oldest[slot] <= revision + 1 for slot, revision in since.items())

    def _is_fresh(self, connection: DriverConnection, since: Sequence[int], states: States) -> bool:
        """Whether the state contains a commit so young that none after it can be pruned: rows are kept for a day, and
        what the state lacks was recorded no more than a batch's time before its newest."""
        slots = [slot for slot, revision in enumerate(since) if revision]
        rows = self._times.find_in(connection, slots, [since[slot] for slot in slots])
        newest = max((record_time for _, record_time in rows), default=0)
        return newest > max(max(state.now, state.record_time) for state in states) - FEED_KEPT + _LONGEST_BATCH


def numbers_of(stock_ids: bytes) -> Sequence[int]:
    """The stock numbers of a row of the feed."""
    return unpack(f">{len(stock_ids) // 8}q", stock_ids)
