"""Reading ledger entries, newest first: along a key's or a reservation's chain, by a request's range, or by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select, and_, select

from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.policy import HOUR
from ringfence_server.ledger.reading import EntriesRead, EntryQuery, EntryRead

from . import schema
from .codec import dimensions_of, dimensions_text
from .driver import DriverConnection
from .load import SLOT
from .read_past import newest_sequence

_MOST_LOOKED_AT: Final = 10_000
"""Entries looked at for one page; a filter that matches few gives short pages."""
_ROWS_AT_ONCE: Final = 1_000

_entry, _stock = schema.entry, schema.stock
_COLUMNS: Final = [column for column in _entry.c if column.name != "slot"]


class EntryRows:
    """Answers pages of entries."""

    def page(
        self, connection: DriverConnection, query: EntryQuery, below: int | None, most: int, last_sequence: int
    ) -> EntriesRead:
        """Up to ``most`` matching entries below a sequence, and where to go on."""
        found: list[Row[Any]] = []
        last: int | None = None
        for looked_at, row in enumerate(_candidates(connection, query, below, last_sequence), 1):
            if _matches(query, row):
                found.append(row)
            if len(found) == most or looked_at == _MOST_LOOKED_AT:
                last = row.sequence
                break
        return EntriesRead(_named(connection, found), last)


def _candidates(
    connection: DriverConnection, query: EntryQuery, below: int | None, last_sequence: int
) -> Iterator[Row[Any]]:
    """Entries that may match, newest first, by the narrowest way in."""
    if query.request_id:
        ranges = _ranges_of_request(connection, query.request_id, last_sequence)
        for first, last in ranges:
            yield from _in_range(connection, first, last if below is None else min(last, below - 1))
    elif query.reservation_id:
        reservation = schema.reservation
        head = select(reservation.c.last_sequence).where(
            reservation.c.slot == SLOT,
            reservation.c.reservation_id == query.reservation_id,
            reservation.c.organization == query.organization,
        )
        yield from _along(connection, head, below, _entry.c.reservation_previous)
    elif query.key is not None:
        key = query.key
        head = select(_stock.c.last_sequence).where(
            _stock.c.slot == SLOT,
            _stock.c.organization == key.organization,
            _stock.c.sku == key.sku,
            _stock.c.location == key.location,
            _stock.c.dimensions == dimensions_text(key.dimensions),
        )
        yield from _along(connection, head, below, _entry.c.previous_sequence)
    else:
        first, last = 0, last_sequence
        if query.record_time_from is not None:
            first = newest_sequence(connection, query.record_time_from - 1, last_sequence)
        if query.record_time_until is not None:
            last = newest_sequence(connection, query.record_time_until - 1, last_sequence)
        yield from _in_range(connection, first, last if below is None else min(last, below - 1))


def _along(connection: DriverConnection, head: Select[Any], below: int | None, previous: Any) -> Iterator[Row[Any]]:
    """A chain of entries from its newest, or from the one before ``below``."""
    if below is not None:
        head = select(previous).where(_entry.c.slot == SLOT, _entry.c.sequence == below)
    start = connection.execute(head).scalar()
    if not start:
        return
    chain = select(*_COLUMNS).where(_entry.c.slot == SLOT, _entry.c.sequence == start).cte("chain", recursive=True)
    chain = chain.union_all(
        select(*_COLUMNS)
        .select_from(chain)
        .join(_entry, and_(_entry.c.slot == SLOT, _entry.c.sequence == chain.c[previous.name]))
    )
    keys = [_stock.c.organization, _stock.c.sku, _stock.c.location, _stock.c.dimensions]
    # An outer join, though every entry has its key: so the chain is walked row by row as far as rows are asked for.
    # With an inner join SQLite walks all of it first.
    query = select(chain, *keys).outerjoin(_stock, and_(_stock.c.slot == SLOT, _stock.c.stock_id == chain.c.stock_id))
    yield from connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})


def _in_range(connection: DriverConnection, first: int, last: int) -> Iterator[Row[Any]]:
    """Entries with first < sequence <= last, newest first."""
    keys = [_stock.c.organization, _stock.c.sku, _stock.c.location, _stock.c.dimensions]
    query = (
        select(*_COLUMNS, *keys)
        .join(_stock, and_(_stock.c.slot == _entry.c.slot, _stock.c.stock_id == _entry.c.stock_id))
        .where(_entry.c.slot == SLOT, _entry.c.sequence > first, _entry.c.sequence <= last)
        .order_by(_entry.c.sequence.desc())
    )
    yield from connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})


def _ranges_of_request(
    connection: DriverConnection, request_id: bytes, last_sequence: int
) -> Sequence[tuple[int, int]]:
    """Where entries of a request can be (first < sequence <= last), newest first.

    Its outcome tells exactly. When that is forgotten, an id with a time in it (UUIDv7) tells roughly: ids older than a
    day are not carried out. Otherwise it is all of the ledger, page by page.
    """
    outcome = schema.request_outcome
    rows = connection.execute(
        select(outcome.c.first_sequence, outcome.c.last_sequence)
        .where(outcome.c.slot == SLOT, outcome.c.request_id == request_id)
        .order_by(outcome.c.last_sequence.desc())
    ).all()
    if rows:
        return [(row.first_sequence, row.last_sequence) for row in rows]
    if request_id[6] >> 4 != 7:
        return [(0, last_sequence)]
    made = int.from_bytes(request_id[:6], "big") * 1_000
    return [
        (
            newest_sequence(connection, made - HOUR, last_sequence),
            newest_sequence(connection, made + 25 * HOUR, last_sequence),
        )
    ]


def _matches(query: EntryQuery, row: Row[Any]) -> bool:
    return (
        row.organization == query.organization
        and (query.key is None or _key_of(row) == query.key)
        and (not query.reservation_id or row.reservation_id == query.reservation_id)
        and (not query.request_id or row.request_id == query.request_id)
        and (query.record_time_from is None or row.record_time >= query.record_time_from)
        and (query.record_time_until is None or row.record_time < query.record_time_until)
    )


def _key_of(row: Row[Any]) -> StockKey:
    return StockKey(row.organization, row.sku, row.location, dimensions_of(row.dimensions))


def _named(connection: DriverConnection, rows: Iterable[Row[Any]]) -> list[EntryRead]:
    """Entries with the texts of their pools."""
    rows = list(rows)
    pool = schema.pool
    paths: dict[tuple[int, int], str] = {}
    stock_ids = list({row.stock_id for row in rows if row.from_pool or row.to_pool})
    if stock_ids:
        for stock_id, number, path in connection.execute(
            select(pool.c.stock_id, pool.c.pool_id, pool.c.path).where(
                pool.c.slot == SLOT, pool.c.stock_id.in_(stock_ids)
            )
        ):
            paths[stock_id, number] = path
    return [
        EntryRead(
            row.sequence,
            _key_of(row),
            row.kind,
            row.quantity,
            row.from_place,
            paths[row.stock_id, row.from_pool] if row.from_pool else COMMON,
            row.to_place,
            paths[row.stock_id, row.to_pool] if row.to_pool else COMMON,
            row.reservation_id,
            row.part_number,
            row.request_id,
            row.measure,
            row.record_time,
            row.effective_time,
        )
        for row in rows
    ]
