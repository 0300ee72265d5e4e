"""The past, from the ledger: what entries and facts after an instant changed, found without an index of their own.

Sequences rise with record_time, so one binary search on the primary key finds the newest entry of an instant; from a
stock key's newest entry its chain is followed back to there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, and_, func, select

from ringfence_server.ledger.history import PastEntry, PastFact, Rewind
from ringfence_server.ledger.state import Stock

from . import schema
from .driver import DriverConnection
from .load import SLOT

_ROWS_AT_ONCE: Final = 2_000


class Past:
    """A snapshot's past at one instant, before its newest commit."""

    def __init__(self, connection: DriverConnection, instant: int, last_sequence: int) -> None:
        self.instant = instant
        self.sequence = newest_sequence(connection, instant, last_sequence)
        """The newest entry recorded at or before the instant; 0: none was."""
        self.revision = newest_revision(connection, instant)
        """The newest group commit then; 0 when it is no longer known."""

    def rewound(self, connection: DriverConnection, stocks: Sequence[Stock]) -> list[Stock]:
        """Those of the stocks, loaded whole, that existed at the instant, taken back to it."""
        by_id = {stock.stock_id: stock for stock in stocks}
        rewinds: dict[int, Rewind] = {}
        oldest: dict[int, int] = {}
        """The entry before the oldest of those recorded later; 0: there is none."""
        for stock in stocks:
            if stock.last_sequence > self.sequence:
                rewinds[stock.stock_id] = Rewind(stock, self.instant)
        if rewinds:
            for stock_id, previous, entry in self._entries(connection, list(rewinds)):
                rewinds[stock_id].undo((entry,))
                oldest[stock_id] = min(previous, oldest.get(stock_id, previous))
        facts = self._facts(connection, list(by_id))
        unmoved = {stock_id for stock_id, stock in by_id.items() if not oldest.get(stock_id, stock.last_sequence)}
        if facts or unmoved:
            in_force = self._facts_in_force(connection, list(facts.keys() | unmoved))
            for stock_id in unmoved:
                if not in_force.get(stock_id):
                    # The first post of any measure makes a key known, or a till that booked there.
                    del by_id[stock_id]
            for stock_id, later in facts.items():
                if stock_id not in by_id:
                    continue
                earlier = in_force.get(stock_id, {})
                rewind = rewinds.get(stock_id)
                if rewind is None:
                    rewind = rewinds[stock_id] = Rewind(by_id[stock_id], self.instant)
                rewind.undo_facts(later, earlier)
        for stock_id, rewind in rewinds.items():
            if stock_id in by_id:
                rewind.finish()
                by_id[stock_id].revision = self.revision
        return list(by_id.values())

    def _entries(self, connection: DriverConnection, stock_ids: Sequence[int]) -> Iterable[tuple[int, int, PastEntry]]:
        """Entries of these stocks recorded after the instant, each stock's newest first, with the number of the entry
        before."""
        stock, entry, part = schema.stock, schema.entry, schema.part
        wanted = [
            entry.c.stock_id,
            entry.c.previous_sequence,
            entry.c.kind,
            entry.c.quantity,
            entry.c.from_place,
            entry.c.from_pool,
            entry.c.to_place,
            entry.c.to_pool,
            entry.c.measure,
            entry.c.effective_time,
            entry.c.reservation_id,
            entry.c.part_number,
        ]
        chain = (
            select(*wanted)
            .select_from(stock)
            .join(entry, and_(entry.c.slot == stock.c.slot, entry.c.sequence == stock.c.last_sequence))
            .where(stock.c.slot == SLOT, stock.c.stock_id.in_(stock_ids), entry.c.record_time > self.instant)
            .cte("chain", recursive=True)
        )
        chain = chain.union_all(
            select(*wanted)
            .select_from(chain)
            .join(entry, and_(entry.c.slot == SLOT, entry.c.sequence == chain.c.previous_sequence))
            .where(entry.c.record_time > self.instant)
        )
        query = select(
            chain.c.stock_id,
            chain.c.previous_sequence,
            chain.c.kind,
            chain.c.quantity,
            chain.c.from_place,
            chain.c.from_pool,
            chain.c.to_place,
            chain.c.to_pool,
            chain.c.measure,
            chain.c.effective_time,
            part.c.path,
            part.c.asked_path,
        ).outerjoin(
            part,
            and_(
                part.c.slot == SLOT,
                part.c.reservation_id == chain.c.reservation_id,
                part.c.part_number == chain.c.part_number,
            ),
        )
        for stock_id, previous, *rest in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
            yield stock_id, previous, PastEntry(*rest)

    def _facts(self, connection: DriverConnection, stock_ids: Sequence[int]) -> dict[int, list[PastFact]]:
        """Facts of these stocks recorded after the instant."""
        fact = schema.fact
        found: dict[int, list[PastFact]] = {}
        rows = connection.execute(
            select(fact.c.stock_id, *_fact_columns()).where(
                fact.c.slot == SLOT,
                fact.c.stock_id.in_(stock_ids),
                fact.c.sequence > self.sequence,
                fact.c.record_time > self.instant,
            )
        )
        for stock_id, *rest in rows:
            found.setdefault(stock_id, []).append(PastFact(*rest))
        return found

    def _facts_in_force(self, connection: DriverConnection, stock_ids: Sequence[int]) -> dict[int, dict[str, PastFact]]:
        """The newest fact of every measure recorded at or before the instant."""
        fact = schema.fact
        newest = (
            select(func.max(fact.c.sequence).label("sequence"), fact.c.stock_id)
            .where(fact.c.slot == SLOT, fact.c.stock_id.in_(stock_ids), fact.c.record_time <= self.instant)
            .group_by(fact.c.stock_id, fact.c.measure)
            .subquery()
        )
        found: dict[int, dict[str, PastFact]] = {}
        rows = connection.execute(
            select(fact.c.stock_id, *_fact_columns()).join(
                newest,
                and_(fact.c.slot == SLOT, fact.c.stock_id == newest.c.stock_id, fact.c.sequence == newest.c.sequence),
            )
        )
        for stock_id, *rest in rows:
            later = PastFact(*rest)
            found.setdefault(stock_id, {})[later.measure] = later
        return found


def newest_sequence(connection: DriverConnection, instant: int, last_sequence: int) -> int:
    """The newest entry recorded at or before an instant; 0: none was."""
    entry = schema.entry
    return _newest(connection, entry.c.sequence, entry.c.record_time, instant, last_sequence)


def newest_revision(connection: DriverConnection, instant: int) -> int:
    """The newest group commit at or before an instant that the feed still knows; 0: none."""
    feed = schema.feed
    last = connection.execute(select(func.max(feed.c.revision)).where(feed.c.slot == SLOT)).scalar()
    return _newest(connection, feed.c.revision, feed.c.record_time, instant, last or 0)


def _newest(connection: DriverConnection, number: Column[Any], time: Column[Any], instant: int, last: int) -> int:
    """The highest number whose time is not after the instant: numbers rise with time and may have gaps."""
    found, low, high = 0, 1, last
    while low <= high:
        middle = (low + high) // 2
        row = connection.execute(
            select(number, time)
            .where(number.table.c.slot == SLOT, number.between(low, middle))
            .order_by(number.desc())
            .limit(1)
        ).first()
        if row is None:
            low = middle + 1
        elif row[1] <= instant:
            found, low = row[0], middle + 1
        else:
            high = row[0] - 1
    return found


def _fact_columns() -> list[Column[Any]]:
    fact = schema.fact
    return [
        fact.c.measure,
        fact.c.delta,
        fact.c.position,
        fact.c.source,
        fact.c.count_time,
        fact.c.record_time,
        fact.c.epoch,
    ]
