"""Reading reservations as they stand at an instant: everything due until then is applied, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, SmallInteger, and_, func, literal, select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.balance import scratch_batch
from ringfence_server.ledger.lease import apply_due
from ringfence_server.ledger.names import pool_id
from ringfence_server.ledger.reading import LiveHold, ReservationQuery
from ringfence_server.ledger.state import Place, Reservation, Stock
from ringfence_server.ledger.till_progress import stands_at

from . import schema
from .driver import DriverConnection
from .read_keys import View
from .read_slots import merged, rows_of_slots, share_of
from .read_till import stuck
from .rows import part_of, part_slots_of, reservation_of, stock_of
from .sales import SaleRows
from .slots import Slots
from .statements import keyed_select

_MOST_LOOKED_AT: Final = 10_000
"""Reservations looked at for one page; a filter that matches few gives short pages."""
_ROWS_AT_ONCE: Final = 500
_MOST_ENTRIES_FOR_HOLDS: Final = 20_000
_SECOND: Final = 1_000_000
_id_of_row: Final = attrgetter("reservation_id")
_sale_slot_of_row: Final = attrgetter("slot")


class ReservationRows:
    """Statements over reservations. Safe to use from several reading threads."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        self._reservations = keyed_select(
            dialect, _all_but_slot(schema.reservation), schema.reservation.c.reservation_id, slots.of_id
        )
        self._parts = keyed_select(dialect, _all_but_slot(schema.part), schema.part.c.reservation_id)
        self._stocks = keyed_select(dialect, _all_but_slot(schema.stock), schema.stock.c.stock_id, slots.of_stock)
        reservation_id = schema.reservation.c.reservation_id
        self._heads_by_id = keyed_select(dialect, _head_columns(), reservation_id, slots.of_id)
        self._sales = SaleRows(dialect, slots)

    def by_id(self, connection: DriverConnection, ids: Sequence[bytes], until: int) -> list[Reservation]:
        """These reservations as far as they exist, newest first, with what is due until an instant applied."""
        found = {}
        part_slots: list[int] = []
        parts_of: list[bytes] = []
        for row in self._reservations.find(connection, ids):
            reservation = reservation_of(row)
            found[reservation.reservation_id] = reservation
            for slot in part_slots_of(row):
                part_slots.append(slot)
                parts_of.append(reservation.reservation_id)
        if not found:
            return []
        part_rows = [tuple(row) for row in self._parts.find_in(connection, part_slots, parts_of)]
        stocks: dict[int, Stock] = {}
        for row in self._stocks.find(connection, list({row[4] for row in part_rows})):
            stock = stock_of(row)
            # No pools: only what a part holds and where it is counts here.
            stock.known_paths = None
            stocks[stock.stock_id] = stock
        for reservation_id, *rest in part_rows:
            found[reservation_id].parts.append(part_of(tuple(rest), stocks[rest[3]]))
        for reservation in found.values():
            reservation.parts.sort(key=lambda part: part.number)
        self._sales.put(connection, found, part_rows, whole=False)
        apply_due(
            scratch_batch(until), [(owner, part) for owner in found.values() for part in owner.parts if part.held]
        )
        return [found[reservation_id] for reservation_id in sorted(found, reverse=True)]

    def page(
        self,
        connection: DriverConnection,
        query: ReservationQuery,
        after: bytes | None,
        most: int,
        until: int,
        instant: int,
    ) -> tuple[list[Reservation], bytes | None]:
        """Matching reservations, newest first, and the id to go on after; None at the end. What is due until ``until``
        is applied, and what is stuck is so at ``instant``."""
        if query.order_reference:
            ids = [found for found in _by_reference(connection, query, self._slots) if after is None or found < after]
            matching = [found for found in self.by_id(connection, ids, until) if _matches(query, found, instant)]
            rest = matching[most:]
            return matching[:most], matching[most - 1].reservation_id if rest else None
        found: list[Reservation] = []
        below = after
        if below is None and query.create_time_until is not None:
            # An id is made just before its reservation is recorded, never after.
            below = _first_id(query.create_time_until // 1_000 + 1)
        oldest = None
        if query.create_time_from is not None:
            oldest = _first_id(max(0, (query.create_time_from - _SECOND) // 1_000))
        for _ in range(0, _MOST_LOOKED_AT, _ROWS_AT_ONCE):
            rows, complete = self._heads(connection, query, below, oldest, instant)
            wanted = [row[0] for row in rows if _head_matches(query, *row[1:])]
            for start in range(0, len(wanted), most):
                for reservation in self.by_id(connection, wanted[start : start + most], until):
                    if _matches(query, reservation, instant):
                        found.append(reservation)
                        if len(found) == most:
                            return found, reservation.reservation_id
            if complete:
                return found, None
            below = rows[-1][0]
        return found, below

    def _heads(
        self,
        connection: DriverConnection,
        query: ReservationQuery,
        below: bytes | None,
        oldest: bytes | None,
        instant: int,
    ) -> tuple[Sequence[Any], bool]:
        """What may match, newest first, and whether this is all that is left: of all reservations, or of those that
        tills keep waiting."""
        table = schema.reservation
        stands = query.till_progress is not None
        number = schema.till_sale.c.reservation_id if stands else table.c.reservation_id
        slots = self._slots.all
        limit = share_of(_ROWS_AT_ONCE, slots)

        def of_slot(slot: ColumnElement[Any]) -> Select[Any]:
            heads = stuck(query, slot, instant) if stands else select(*_head_columns()).where(table.c.slot == slot)
            if below is not None:
                heads = heads.where(number < below)
            if oldest is not None:
                heads = heads.where(number >= oldest)
            return heads.order_by(number.desc()).limit(limit)

        rows = rows_of_slots(connection, slots, of_slot)
        if not stands:
            return merged(rows, slots, limit, self._slot_of_row, _id_of_row, newest_first=True)
        # Sales lie beside their stock: what keeps one order waiting may lie in several slots.
        found, complete = merged(rows, slots, limit, _sale_slot_of_row, _id_of_row, newest_first=True)
        ids = list(dict.fromkeys(row.reservation_id for row in found))
        return sorted(self._heads_by_id.find(connection, ids), reverse=True), complete

    def _slot_of_row(self, row: Any) -> int:
        return self._slots.of_id(row.reservation_id)


class HoldRows:
    """Finds the live holds of a pool by its key's chain of entries: every held unit came by an entry of it."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        table = schema.reservation
        self._owners = keyed_select(
            dialect, [table.c.reservation_id, table.c.owner], table.c.reservation_id, slots.of_id
        )

    def of_pool(self, connection: DriverConnection, view: View, stock: Stock, path: str, most: int) -> list[LiveHold]:
        """Live holds, earliest end first, those without an end last; the search ends when they add up to what the pool
        holds, or after 20,000 entries."""
        pool = stock.pools.get(path)
        if pool is None or not pool.held:
            return []
        held_after: dict[tuple[bytes, int], int] = {}
        holds: dict[tuple[bytes, int], LiveHold] = {}
        missing = pool.held
        chain = _chain_with_parts(self._slots.of_stock(stock.stock_id), stock.stock_id, pool_id(path))
        for row in connection.execute(
            chain.order_by("length") if connection.sorts else chain,
            execution_options={"yield_per": _ROWS_AT_ONCE},
        ):
            part = (row.reservation_id, row.part_number)
            if view.past is not None and row.record_time > view.past.instant:
                if row.effective_time > view.past.instant:
                    change = (row.from_place == Place.HELD) - (row.to_place == Place.HELD)
                    held_after[part] = held_after.get(part, 0) + change * row.quantity
                continue
            if row.to_place != Place.HELD or part in holds:
                continue
            over = row.expire_time is not None and row.expire_time <= view.instant
            quantity = (0 if over else row.held) + held_after.get(part, 0)
            if quantity > 0:
                holds[part] = LiveHold(row.reservation_id, "", quantity, row.expire_time)
                missing -= quantity
                if missing <= 0:
                    break
        first = sorted(holds.values(), key=_by_end)[:most]
        owners = dict(self._owners.find(connection, list({hold.reservation_id for hold in first})))
        return [hold._replace(owner=owners[hold.reservation_id]) for hold in first]


def _chain_with_parts(slot: int, stock_id: int, number: int) -> Any:
    stock, entry, part = schema.stock, schema.entry, schema.part
    wanted = [
        entry.c.previous_sequence,
        entry.c.quantity,
        entry.c.from_place,
        entry.c.from_pool,
        entry.c.to_place,
        entry.c.to_pool,
        entry.c.reservation_id,
        entry.c.part_number,
        entry.c.record_time,
        entry.c.effective_time,
    ]
    chain = (
        select(literal(1).label("length"), *wanted)
        .select_from(stock)
        .join(entry, and_(entry.c.slot == stock.c.slot, entry.c.sequence == stock.c.last_sequence))
        .where(stock.c.slot == slot, stock.c.stock_id == stock_id)
        .cte("chain", recursive=True)
    )
    chain = chain.union_all(
        select(chain.c.length + 1, *wanted)
        .select_from(chain)
        .join(entry, and_(entry.c.slot == slot, entry.c.sequence == chain.c.previous_sequence))
        .where(chain.c.length < _MOST_ENTRIES_FOR_HOLDS)
    )
    # An outer join, though every part is there: so the chain is walked row by row as far as rows are asked for. With an
    # inner join SQLite walks all of it first, and scans the parts.
    return (
        select(chain, part.c.held, part.c.expire_time)
        .outerjoin(
            part,
            and_(
                part.c.slot == slot,
                part.c.reservation_id == chain.c.reservation_id,
                part.c.part_number == chain.c.part_number,
            ),
        )
        .where(
            ((chain.c.to_place == Place.HELD) & (chain.c.to_pool == number))
            | ((chain.c.from_place == Place.HELD) & (chain.c.from_pool == number))
        )
    )


def _by_end(hold: LiveHold) -> tuple[bool, int, bytes]:
    return hold.expire_time is None, hold.expire_time or 0, hold.reservation_id


def _by_reference(connection: DriverConnection, query: ReservationQuery, slots: Slots) -> list[bytes]:
    """Reservations of the organization with an order reference, newest first. The reference is unique per caller, and
    callers are few: each is skipped to, none of the references between is read."""
    if not connection.distributed:
        return sorted(_of_reference(connection, query, slots.within, lambda column: column), reverse=True)
    # Citus routes a recursive query that names one slot wherever it looks.
    found: list[bytes] = []
    for slot in slots.all:
        number: Any = literal(slot, SmallInteger)
        found += _of_reference(connection, query, number.__eq__, lambda _column, slot=number: slot)  # type: ignore[misc]
    return sorted(found, reverse=True)


def _of_reference(
    connection: DriverConnection,
    query: ReservationQuery,
    within: Callable[[Any], ColumnElement[bool]],
    slot_of: Callable[[Any], Any],
) -> list[bytes]:
    """Those in the slots ``within`` which a column lies; ``slot_of``: what to compare with for such a column."""
    reference, state = schema.order_reference, schema.slot_state

    def least_caller(slot: Any, *conditions: Any) -> Any:
        least = select(func.min(reference.c.caller)).where(
            reference.c.slot == slot_of(slot), reference.c.organization == query.organization, *conditions
        )
        return least.scalar_subquery()

    callers = (
        select(state.c.slot, least_caller(state.c.slot).label("caller"))
        .where(within(state.c.slot))
        .cte("callers", recursive=True)
    )
    following = least_caller(callers.c.slot, reference.c.caller > callers.c.caller)
    callers = callers.union_all(select(callers.c.slot, following).where(callers.c.caller.is_not(None)))
    rows = connection.execute(
        select(reference.c.reservation_id)
        .select_from(callers)
        .join(
            reference,
            and_(
                reference.c.slot == slot_of(callers.c.slot),
                reference.c.organization == query.organization,
                reference.c.caller == callers.c.caller,
                reference.c.order_reference == query.order_reference,
            ),
        )
    )
    return [row[0] for row in rows]


def _head_matches(query: ReservationQuery, organization: str, owner: str, create_time: int) -> bool:
    return (
        organization == query.organization
        and (not query.owner or owner == query.owner)
        and (query.create_time_from is None or create_time >= query.create_time_from)
        and (query.create_time_until is None or create_time < query.create_time_until)
    )


def _matches(query: ReservationQuery, found: Reservation, instant: int) -> bool:
    if not _head_matches(query, found.organization, found.owner, found.create_time):
        return False
    if query.states and found.state not in query.states:
        return False
    parts = found.parts
    if query.sku and not any(part.stock.key.sku == query.sku for part in parts):
        return False
    progress, until = query.till_progress, instant - query.stuck_for
    if progress is not None and not any(
        stands_at(found, part, progress, until)
        for part in parts
        if not query.location or part.stock.key.location == query.location
    ):
        return False
    return not query.location or any(part.stock.key.location == query.location for part in parts if part.granted)


def _first_id(millisecond: int) -> bytes:
    """The lowest UUIDv7 of a millisecond."""
    return (millisecond << 80).to_bytes(16, "big")


def _head_columns() -> list[Any]:
    table = schema.reservation
    return [table.c.reservation_id, table.c.organization, table.c.owner, table.c.create_time]


def _all_but_slot(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "slot"]
