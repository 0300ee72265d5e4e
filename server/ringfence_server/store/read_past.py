"""The past, from the ledger: what entries and facts after an instant changed, found without an index of their own.

In each slot sequences rise with record_time, so one binary search on the primary key finds the newest entry of an
instant; from a stock key's newest entry its chain, which lies in one slot, is followed back to there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import CTE, BigInteger, Column, SmallInteger, and_, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import FromClause

from ringfence_server.ledger.history import PastEntry, PastFact, Rewind
from ringfence_server.ledger.state import Stock

from . import schema
from .driver import DriverConnection
from .read_slots import rows_of_slots

_ROWS_AT_ONCE: Final = 2_000


class Past:
    """A snapshot's past at one instant, in the slots whose newest commit lies after it."""

    def __init__(self, connection: DriverConnection, instant: int, last_sequences: Mapping[int, int]) -> None:
        """``last_sequences``: of the snapshot, by slot; a slot that is not named has not changed since."""
        self.instant = instant
        self.sequences = newest_sequences(connection, instant, last_sequences)
        """By slot: the newest entry recorded at or before the instant; 0: none was."""
        self.revisions = newest_revisions(connection, instant, list(last_sequences))
        """By slot: the newest group commit then; 0 when it is no longer known."""

    def rewound(self, connection: DriverConnection, stocks: Sequence[Stock]) -> list[Stock]:
        """Those of the stocks, loaded whole, that existed at the instant, taken back to it."""
        by_id = {stock.stock_id: stock for stock in stocks}
        changed = [stock for stock in stocks if stock.slot in self.sequences]
        rewinds: dict[int, Rewind] = {}
        oldest: dict[int, int] = {}
        """The entry before the oldest of those recorded later; 0: there is none."""
        for stock in changed:
            if stock.last_sequence > self.sequences[stock.slot]:
                rewinds[stock.stock_id] = Rewind(stock, self.instant)
        if rewinds:
            for stock_id, previous, entry in self._entries(connection, [by_id[stock_id] for stock_id in rewinds]):
                rewinds[stock_id].undo((entry,))
                oldest[stock_id] = min(previous, oldest.get(stock_id, previous))
        facts = self._facts(connection, changed)
        unmoved = {stock.stock_id for stock in changed if not oldest.get(stock.stock_id, stock.last_sequence)}
        if facts or unmoved:
            in_force = self._facts_in_force(connection, [by_id[stock_id] for stock_id in facts.keys() | unmoved])
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
                stock = by_id[stock_id]
                stock.revision = self.revisions[stock.slot]
        return list(by_id.values())

    def _entries(self, connection: DriverConnection, stocks: Sequence[Stock]) -> Iterable[tuple[int, int, PastEntry]]:
        """Entries of these stocks recorded after the instant, each stock's newest first, with the number of the entry
        before."""
        part = schema.part
        for table, wanted, slot in _of_stocks(connection, schema.stock, stocks):
            chain = self._chain(table, wanted, slot)
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
                    _in_slot(part, slot),
                    part.c.slot == chain.c.slot,
                    part.c.reservation_id == chain.c.reservation_id,
                    part.c.part_number == chain.c.part_number,
                ),
            )
            if connection.sorts:
                query = query.order_by(chain.c.sequence.desc())
            for stock_id, previous, *rest in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
                yield stock_id, previous, PastEntry(*rest)

    def _chain(self, table: FromClause, wanted: Any, slot: int | None) -> CTE:
        """Of each stock the newest entry, the one before it, and so on, back to the instant."""
        stock, entry = schema.stock, schema.entry
        columns = [
            entry.c.slot,
            entry.c.sequence,
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
        newest = (
            select(*columns)
            .select_from(table)
            .join(entry, and_(entry.c.slot == stock.c.slot, entry.c.sequence == stock.c.last_sequence))
            .where(wanted, entry.c.record_time > self.instant)
            .cte("chain", recursive=True)
        )
        # The slot is said again of each table: Citus does not follow it from row to row.
        return newest.union_all(
            select(*columns)
            .select_from(newest)
            .join(entry, and_(entry.c.slot == newest.c.slot, entry.c.sequence == newest.c.previous_sequence))
            .where(_in_slot(entry, slot), entry.c.record_time > self.instant)
        )

    def _facts(self, connection: DriverConnection, stocks: Sequence[Stock]) -> dict[int, list[PastFact]]:
        """Facts of these stocks recorded after the instant."""
        fact = schema.fact
        found: dict[int, list[PastFact]] = {}
        for table, wanted, _ in _of_stocks(connection, fact, stocks, self.sequences):
            rows = connection.execute(
                select(fact.c.stock_id, *_fact_columns())
                .select_from(table)
                .where(wanted, fact.c.record_time > self.instant)
            )
            for stock_id, *rest in rows:
                found.setdefault(stock_id, []).append(PastFact(*rest))
        return found

    def _facts_in_force(self, connection: DriverConnection, stocks: Sequence[Stock]) -> dict[int, dict[str, PastFact]]:
        """The newest fact of every measure recorded at or before the instant."""
        fact = schema.fact
        found: dict[int, dict[str, PastFact]] = {}
        for table, wanted, slot in _of_stocks(connection, fact, stocks):
            newest = (
                select(func.max(fact.c.sequence).label("sequence"), fact.c.slot, fact.c.stock_id)
                .select_from(table)
                .where(wanted, fact.c.record_time <= self.instant)
                .group_by(fact.c.slot, fact.c.stock_id, fact.c.measure)
                .subquery()
            )
            rows = connection.execute(
                select(fact.c.stock_id, *_fact_columns()).join(
                    newest,
                    and_(
                        _in_slot(fact, slot),
                        fact.c.slot == newest.c.slot,
                        fact.c.stock_id == newest.c.stock_id,
                        fact.c.sequence == newest.c.sequence,
                    ),
                )
            )
            for stock_id, *rest in rows:
                later = PastFact(*rest)
                found.setdefault(stock_id, {})[later.measure] = later
        return found


def _of_stocks(
    connection: DriverConnection, table: Any, stocks: Sequence[Stock], above: Mapping[int, int] | None = None
) -> Iterable[tuple[FromClause, Any, int | None]]:
    """Rows of a table that belong to these stocks: what to select from, the condition, and the slot if it is one; in
    several statements where one may name one slot only. ``above``: by slot, only with a sequence above it."""
    by_slot: dict[int, list[Stock]] = {}
    for stock in stocks:
        by_slot.setdefault(stock.slot, []).append(stock)
    if len(by_slot) <= 1 or connection.distributed:
        for slot, its in by_slot.items():
            condition = and_(table.c.slot == slot, table.c.stock_id.in_([stock.stock_id for stock in its]))
            if above is not None:
                condition = and_(condition, table.c.sequence > above[slot])
            yield table, condition, slot
        return
    arrays = (
        func.unnest(
            _array("stock_slots", SmallInteger, [stock.slot for stock in stocks]),
            _array("stock_ids", BigInteger, [stock.stock_id for stock in stocks]),
            _array("stock_from", BigInteger, [0 if above is None else above[stock.slot] for stock in stocks]),
        )
        .table_valued("slot", "stock_id", "above")
        .render_derived(name="wanted")
    )
    matches = and_(table.c.slot == arrays.c.slot, table.c.stock_id == arrays.c.stock_id)
    if above is not None:
        matches = and_(matches, table.c.sequence > arrays.c.above)
    yield arrays.join(table, matches), true(), None


def _in_slot(table: Any, slot: int | None) -> Any:
    """The condition that names the slot, where it is one."""
    return true() if slot is None else table.c.slot == slot


def _array(name: str, kind: Any, values: Sequence[int]) -> Any:
    return bindparam(name, list(values), type_=ARRAY(kind))


def newest_sequences(connection: DriverConnection, instant: int, last_sequences: Mapping[int, int]) -> dict[int, int]:
    """By slot: the newest entry recorded at or before an instant; 0: none was."""
    entry = schema.entry
    return _newest(connection, entry.c.sequence, entry.c.record_time, instant, last_sequences)


def newest_revisions(connection: DriverConnection, instant: int, slots: Sequence[int]) -> dict[int, int]:
    """By slot: the newest group commit at or before an instant that the feed still knows; 0: none."""
    feed = schema.feed
    rows = rows_of_slots(
        connection,
        slots,
        lambda slot: (
            select(feed.c.slot, feed.c.revision).where(feed.c.slot == slot).order_by(feed.c.revision.desc()).limit(1)
        ),
    )
    last = dict.fromkeys(slots, 0) | {slot: revision for slot, revision in rows}
    return _newest(connection, feed.c.revision, feed.c.record_time, instant, last)


# A probe has no lower bound: below `low` lies only what was recorded in time, and of a range with two ends PostgreSQL
# expects so few rows that it reads and sorts all of it.
_SEARCH: Final = """
WITH RECURSIVE search(slot, found, low, high) AS (
  SELECT slot, 0::bigint, 1::bigint, high FROM {given}
  UNION ALL
  SELECT
    search.slot,
    CASE WHEN probe.time <= $3::bigint THEN probe.number ELSE search.found END,
    CASE WHEN probe.time > $3::bigint THEN search.low ELSE (search.low + search.high) / 2 + 1 END,
    CASE WHEN probe.time > $3::bigint THEN probe.number - 1 ELSE search.high END
  FROM search
  LEFT JOIN LATERAL (
    SELECT {number} AS number, {time} AS time FROM {table}
    WHERE {table}.slot = {slot} AND {number} <= (search.low + search.high) / 2
    ORDER BY {number} DESC LIMIT 1
  ) AS probe ON true
  WHERE search.low <= search.high
)
SELECT slot, max(found) FROM search GROUP BY slot
"""
_OF_SLOTS: Final = {"given": "unnest($1::smallint[], $2::bigint[]) AS given(slot, high)", "slot": "search.slot"}
_OF_ONE_SLOT: Final = {"given": "(SELECT $1::smallint, $2::bigint) AS given(slot, high)", "slot": "$1::smallint"}


def _newest(
    connection: DriverConnection, number: Column[Any], time: Column[Any], instant: int, last: Mapping[int, int]
) -> dict[int, int]:
    """By slot: the highest number whose time is not after the instant: numbers rise with time and may have gaps."""
    if len(last) > 1 or connection.distributed:
        table = number.table.name
        names = {"table": table, "number": f"{table}.{number.name}", "time": f"{table}.{time.name}"}
        if not connection.distributed:
            sql = _SEARCH.format(**names, **_OF_SLOTS)
            return dict(connection.rows(sql, (list(last), list(last.values()), instant)))
        sql = _SEARCH.format(**names, **_OF_ONE_SLOT)
        return dict(row for slot, high in last.items() for row in connection.rows(sql, (slot, high, instant)))
    return {slot: _newest_of_slot(connection, number, time, instant, slot, high) for slot, high in last.items()}


def _newest_of_slot(
    connection: DriverConnection, number: Column[Any], time: Column[Any], instant: int, slot: int, last: int
) -> int:
    found, low, high = 0, 1, last
    while low <= high:
        middle = (low + high) // 2
        row = connection.execute(
            select(number, time)
            .where(number.table.c.slot == slot, number.between(low, middle))
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
