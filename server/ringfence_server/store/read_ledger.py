"""Reading ledger entries, newest first: along a key's or a reservation's chain, by a request's range, or by time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, and_, literal, select

from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.policy import HOUR
from ringfence_server.ledger.reading import EntriesRead, EntryQuery, EntryRead

from . import schema
from .codec import dimensions_of, dimensions_text
from .driver import DriverConnection
from .read_keys import States
from .read_past import newest_sequences
from .read_slots import rows_of_bounds, rows_of_slots
from .slots import Slots

_MOST_LOOKED_AT: Final = 10_000
"""Entries looked at for one page; a filter that matches few gives short pages."""
_ROWS_AT_ONCE: Final = 1_000
_FIRST_PIECE: Final = 64
_ROWS_OF_A_SLOT: Final = 64
"""Read ahead of each slot, when the entries of many are merged."""

_entry, _stock = schema.entry, schema.stock
_COLUMNS: Final = [column for column in _entry.c if column.name != "slot"]
_KEYS: Final = [_stock.c.organization, _stock.c.sku, _stock.c.location, _stock.c.dimensions]

Ranges: TypeAlias = Mapping[int, tuple[int, int]]
"""By slot: entries with first < sequence <= last."""
KeysOf: TypeAlias = Callable[[DriverConnection, Sequence[int]], Mapping[int, StockKey]]
"""The stock keys of these stock numbers."""
Found: TypeAlias = tuple[Row[Any], StockKey]
"""An entry and its key."""


class EntryRows:
    """Answers pages of entries, in the order of their record_time; those of one instant in the order of sequences."""

    def __init__(self, slots: Slots, keys_of: KeysOf) -> None:
        self._slots = slots
        self._keys_of = keys_of

    def page(
        self, connection: DriverConnection, query: EntryQuery, below: int | None, most: int, states: States
    ) -> EntriesRead:
        """Up to ``most`` matching entries behind one, and where to go on."""
        found: list[Found] = []
        last: int | None = None
        for looked_at, (row, key) in enumerate(self._candidates(connection, query, below, states), 1):
            if _matches(query, row, key):
                found.append((row, key))
            if len(found) == most or looked_at == _MOST_LOOKED_AT:
                last = row.sequence
                break
        return EntriesRead(self._named(connection, found), last)

    def _candidates(
        self, connection: DriverConnection, query: EntryQuery, below: int | None, states: States
    ) -> Iterator[Found]:
        """Entries that may match, newest first, by the narrowest way in."""
        if query.request_id:
            for ranges in self._ranges_of_request(connection, query.request_id, states):
                yield from self._in_ranges(connection, ranges, below)
        elif query.reservation_id:
            reservation = schema.reservation
            head = select(reservation.c.last_sequence).where(
                reservation.c.slot == self._slots.of_id(query.reservation_id),
                reservation.c.reservation_id == query.reservation_id,
                reservation.c.organization == query.organization,
            )
            yield from self._along(connection, head, below, _entry.c.reservation_previous)
        elif query.key is not None:
            key = query.key
            head = select(_stock.c.last_sequence).where(
                _stock.c.slot == self._slots.of_key(key),
                _stock.c.organization == key.organization,
                _stock.c.sku == key.sku,
                _stock.c.location == key.location,
                _stock.c.dimensions == dimensions_text(key.dimensions),
            )
            yield from self._along(connection, head, below, _entry.c.previous_sequence)
        else:
            last = _last_sequences(states)
            first = dict.fromkeys(last, 0)
            if query.record_time_from is not None:
                first = newest_sequences(connection, query.record_time_from - 1, last)
            if query.record_time_until is not None:
                last = newest_sequences(connection, query.record_time_until - 1, last)
            yield from self._in_ranges(connection, {slot: (first[slot], last[slot]) for slot in last}, below)

    def _along(
        self, connection: DriverConnection, head: Select[Any], below: int | None, previous: Any
    ) -> Iterator[Found]:
        """A chain of entries from its newest, or from the one before ``below``. A sequence says in which slot it lies:
        a reservation's chain may lead through several."""
        if below is not None:
            head = select(previous).where(_entry.c.slot == self._slots.of_sequence(below), _entry.c.sequence == below)
        start = connection.execute(head).scalar()
        if not start:
            return
        rows: Iterable[Row[Any]]
        if connection.distributed:
            rows = self._step_by_step(connection, start, previous)
        elif self._slots.count > 1:
            rows = self._in_pieces(connection, start, previous)
        else:
            rows = connection.execute(self._chain(start, previous), execution_options={"yield_per": _ROWS_AT_ONCE})
        for row in rows:
            yield row, _key_of(row)

    def _chain(self, start: int, previous: Any, most: int | None = None) -> Select[Any]:
        """A chain of entries with their keys, newest first; of ``most`` entries."""
        chain = (
            select(literal(1).label("length"), *_COLUMNS)
            .where(_entry.c.slot == self._slots.of_sequence(start), _entry.c.sequence == start)
            .cte("chain", recursive=True)
        )
        before = chain.c[previous.name]
        step = (
            select(chain.c.length + 1, *_COLUMNS)
            .select_from(chain)
            .join(_entry, and_(_entry.c.slot == self._slot_in(before), _entry.c.sequence == before))
        )
        chain = chain.union_all(step if most is None else step.where(chain.c.length < most))
        # An outer join, though every entry has its key: so the chain is walked row by row as far as rows are asked for.
        # With an inner join SQLite walks all of it first.
        query = select(chain, *_KEYS).outerjoin(
            _stock, and_(_stock.c.slot == self._slot_in(chain.c.stock_id), _stock.c.stock_id == chain.c.stock_id)
        )
        return query if most is None else query.order_by(chain.c.length)

    def _in_pieces(self, connection: DriverConnection, start: int, previous: Any) -> Iterator[Row[Any]]:
        """A chain where a database promises no order but one that it has sorted by, for which it walks to the end: in
        pieces, each larger than the one before."""
        most = _FIRST_PIECE
        while start:
            rows = connection.execute(self._chain(start, previous, most)).all()
            yield from rows
            start = getattr(rows[-1], previous.name)
            most = min(4 * most, _ROWS_AT_ONCE)

    def _step_by_step(self, connection: DriverConnection, start: int, previous: Any) -> Iterator[Row[Any]]:
        """A chain, a statement of one slot for each entry."""
        while start:
            query = (
                select(*_COLUMNS, *_KEYS)
                .join(_stock, and_(_stock.c.slot == _entry.c.slot, _stock.c.stock_id == _entry.c.stock_id))
                .where(_entry.c.slot == self._slots.of_sequence(start), _entry.c.sequence == start)
            )
            row = connection.execute(query).one()
            yield row
            start = getattr(row, previous.name)

    def _slot_in(self, number: ColumnElement[Any]) -> Any:
        """The slot that a number's lowest bits name."""
        return number.op("&")(self._slots.mask) if self._slots.mask else 0

    def _in_ranges(self, connection: DriverConnection, ranges: Ranges, below: int | None) -> Iterator[Found]:
        """Entries of these ranges, newest first."""
        if len(ranges) == 1:
            ((slot, (first, last)),) = ranges.items()
            yield from self._in_range(connection, slot, first, last if below is None else min(last, below - 1))
            return
        place: tuple[int, int] | None = None
        if below is not None:
            slot = self._slots.of_sequence(below)
            time = connection.execute(
                select(_entry.c.record_time).where(_entry.c.slot == slot, _entry.c.sequence == below)
            ).scalar()
            if time is None:
                return
            place = time, below
            # Of what was recorded at the same instant, some comes behind the place and some does not.
            newest = newest_sequences(connection, time, {slot: last for slot, (_, last) in ranges.items()})
            ranges = {slot: (first, newest[slot]) for slot, (first, _) in ranges.items()}
        slots = [slot for slot, (first, last) in ranges.items() if last > first]
        ahead: dict[int, list[Found]] = {slot: [] for slot in slots}
        rows = rows_of_bounds(
            connection,
            {slot: ranges[slot][1] for slot in slots},
            lambda slot, last: _newest(slot, last, _ROWS_OF_A_SLOT),
        )
        for found in self._with_keys(connection, rows):
            ahead[self._slots.of_sequence(found[0].sequence)].append(found)
        streams = [self._of_slot(connection, slot, *ranges[slot], ahead[slot]) for slot in slots]
        for found in merge(*streams, key=_recorded, reverse=True):
            if place is None or _recorded(found) < place:
                yield found

    def _of_slot(
        self, connection: DriverConnection, slot: int, first: int, last: int, ahead: Sequence[Found]
    ) -> Iterator[Found]:
        """Entries of one slot, newest first; the first ones are read already."""
        for found in ahead:
            if first < found[0].sequence <= last:
                yield found
        if len(ahead) == _ROWS_OF_A_SLOT:
            yield from self._in_range(connection, slot, first, min(last, ahead[-1][0].sequence - 1))

    def _in_range(self, connection: DriverConnection, slot: int, first: int, last: int) -> Iterator[Found]:
        """Entries of one slot with first < sequence <= last, newest first, in pieces that grow."""
        most = _FIRST_PIECE
        while first < last:
            rows = connection.execute(_newest(slot, last, most)).all()
            for found in self._with_keys(connection, rows):
                if found[0].sequence <= first:
                    return
                yield found
            if len(rows) < most:
                return
            last = rows[-1].sequence - 1
            most = min(4 * most, _ROWS_AT_ONCE)

    def _with_keys(self, connection: DriverConnection, rows: Sequence[Row[Any]]) -> Iterator[Found]:
        keys = self._keys_of(connection, list(dict.fromkeys([row.stock_id for row in rows])))
        return ((row, keys[row.stock_id]) for row in rows)

    def _ranges_of_request(self, connection: DriverConnection, request_id: bytes, states: States) -> Sequence[Ranges]:
        """Where entries of a request can be, newest first.

        Its outcome tells exactly. When that is forgotten, an id with a time in it (UUIDv7) tells roughly: ids older
        than a day are not carried out. Otherwise it is all of the ledger, page by page.
        """
        outcome = schema.request_outcome
        rows = connection.execute(
            select(outcome.c.first_sequence, outcome.c.last_sequence)
            .where(outcome.c.slot == self._slots.of_id(request_id), outcome.c.request_id == request_id)
            .order_by(outcome.c.last_sequence.desc())
        ).all()
        last = _last_sequences(states)
        if rows:
            return [dict.fromkeys(last, (row.first_sequence, row.last_sequence)) for row in rows]
        if request_id[6] >> 4 != 7:
            return [{slot: (0, newest) for slot, newest in last.items()}]
        made = int.from_bytes(request_id[:6], "big") * 1_000
        first = newest_sequences(connection, made - HOUR, last)
        until = newest_sequences(connection, made + 25 * HOUR, last)
        return [{slot: (first[slot], until[slot]) for slot in last}]

    def _named(self, connection: DriverConnection, found: Sequence[Found]) -> list[EntryRead]:
        """Entries with the texts of their pools."""
        pool = schema.pool
        paths: dict[tuple[int, int], str] = {}
        by_slot: dict[int, dict[int, None]] = {}
        for row, _ in found:
            if row.from_pool or row.to_pool:
                by_slot.setdefault(self._slots.of_stock(row.stock_id), {})[row.stock_id] = None
        for stock_id, number, path in rows_of_slots(
            connection,
            list(by_slot),
            lambda slot: select(pool.c.stock_id, pool.c.pool_id, pool.c.path).where(
                pool.c.slot == slot, pool.c.stock_id.in_([stock_id for its in by_slot.values() for stock_id in its])
            ),
        ):
            paths[stock_id, number] = path
        return [
            EntryRead(
                row.sequence,
                key,
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
            for row, key in found
        ]


def _newest(slot: Any, last: Any, most: int) -> Select[Any]:
    """The newest ``most`` entries of a slot up to one, newest first.

    Without a lower bound, and of one table: of a range whose ends it does not know yet PostgreSQL expects a
    two-hundredth of the rows, and would rather read, join and sort all of it than walk the index backwards.
    """
    return (
        select(*_COLUMNS)
        .where(_entry.c.slot == slot, _entry.c.sequence <= last)
        .order_by(_entry.c.sequence.desc())
        .limit(most)
    )


def _recorded(found: Found) -> tuple[int, int]:
    row = found[0]
    return row.record_time, row.sequence


def _last_sequences(states: States) -> dict[int, int]:
    """By slot, of those that have any."""
    return {slot: state.last_sequence for slot, state in enumerate(states) if state.last_sequence or not slot}


def _matches(query: EntryQuery, row: Row[Any], key: StockKey) -> bool:
    return (
        key.organization == query.organization
        and (query.key is None or key == query.key)
        and (not query.reservation_id or row.reservation_id == query.reservation_id)
        and (not query.request_id or row.request_id == query.request_id)
        and (query.record_time_from is None or row.record_time >= query.record_time_from)
        and (query.record_time_until is None or row.record_time < query.record_time_until)
    )


def _key_of(row: Row[Any]) -> StockKey:
    return StockKey(row.organization, row.sku, row.location, dimensions_of(row.dimensions))
