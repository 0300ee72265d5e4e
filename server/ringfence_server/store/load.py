"""Loading what a unit of work needs: a fixed number of statements, however many commands are in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.names import COMMON, MAX_INT64, StockKey, pool_id
from ringfence_server.ledger.needs import Needs, part_paths
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Reservation, Stock

from . import schema
from .codec import dimensions_text, policy_of
from .driver import DriverConnection
from .load_till import TillLoader
from .rows import SqlRow, measure_of, part_of, part_slots_of, pool_of, reservation_of, stock_of
from .sales import SaleRows
from .slots import Slots
from .statements import joined_select, keyed_select, newest_select, slot_select

MOST_DUE: Final = 1_000
"""Holds (parts of reservations) that end in one transaction; more are ended in transactions of their own before it."""
_MOST_KEYS_CACHED: Final = 65_536
MOST_RESIDENT: Final = 20_000
"""Stock keys kept in memory between batches, least recently used first to go: about 1.5 kB each."""
_MOST_POLICIES: Final = 1_000
_DEFAULT_POLICY: Final = Policy()
_by_end = itemgetter(1, 0)


class LoadedState:
    """Rows of one batch, linked."""

    def __init__(self) -> None:
        self.stocks: dict[StockKey, Stock] = {}
        self.by_id: dict[int, Stock] = {}
        self.reservations: dict[bytes, Reservation] = {}
        self.slots = 0
        """A bit for each slot in which a loaded reservation or a part of it lies."""

    def add(self, stock: Stock) -> None:
        """Makes a stock known by key and number."""
        self.stocks[stock.key] = stock
        self.by_id[stock.stock_id] = stock


class Loader:
    """Reads rows into state, for one writing connection; remembers what never changes under it.

    Where that connection is the database's only writer (SQLite: the server holds a lock on the file) stocks with their
    pools stay resident between batches: what one batch wrote, the next one need not read. A batch that did not commit
    drops them all.
    """

    def __init__(self, dialect: Dialect, slots: Slots, *, only_writer: bool = False) -> None:
        self._slots = slots
        self._only_writer = only_writer
        self._most_resident = MOST_RESIDENT if only_writer else 0
        self._resident: dict[int, Stock] = {}
        self._in_force: dict[str, Policy] = {}
        self._nothing_due_before: int | None = None
        stock, pool, part = schema.stock, schema.pool, schema.part
        reference, policy = schema.order_reference, schema.policy
        self._stocks = keyed_select(dialect, _all_but_slot(stock), stock.c.stock_id, slots.of_stock, packed=True)
        identity = [stock.c.organization, stock.c.sku, stock.c.location, stock.c.dimensions]
        self._stock_ids = joined_select(
            dialect, [stock.c.stock_id, *identity], identity, slots.of_identity, packed=True
        )
        self._pools = joined_select(
            dialect, _all_but_slot(pool), [pool.c.stock_id, pool.c.pool_id], slots.of_pool, packed=True
        )
        measure = schema.measure
        self._measures = keyed_select(dialect, _all_but_slot(measure), measure.c.stock_id, slots.of_stock, packed=True)
        reservation_id = schema.reservation.c.reservation_id
        self._reservations = keyed_select(
            dialect, _all_but_slot(schema.reservation), reservation_id, slots.of_id, packed=True
        )
        self._part_slots = keyed_select(
            dialect, [reservation_id, schema.reservation.c.part_slots], reservation_id, slots.of_id
        )
        self._parts = keyed_select(dialect, _all_but_slot(part), part.c.reservation_id, packed=True)
        owner = [reference.c.organization, reference.c.caller, reference.c.order_reference]
        self._references = joined_select(dialect, [*owner, reference.c.reservation_id], owner, slots.of_reference)
        self._policy_heads = newest_select(dialect, policy.c.organization, policy.c.revision, slots.of_policy)
        self._policy_bodies = joined_select(
            dialect, [policy.c.organization, policy.c.body], [policy.c.organization, policy.c.revision], slots.of_policy
        )
        self._due = slot_select(dialect, _due, across=True)
        self._next_end = slot_select(dialect, _next_end, across=True)
        self._sales = SaleRows(dialect, slots)
        self.till = TillLoader(dialect, slots)
        self._ids: dict[StockKey, int] = {}
        self._cached_policies: dict[str, Policy] = {}

    def forget(self) -> None:
        """Drops what was remembered, after a batch that did not commit."""
        self._ids.clear()
        self._cached_policies.clear()
        self._resident.clear()
        self._in_force.clear()
        self._nothing_due_before = None

    def keep(self, stocks: Collection[Stock], earliest_end: int | None, new_policies: Iterable[str]) -> None:
        """Keeps what a batch that committed leaves behind: its stocks, as far as there is room. ``earliest_end`` is the
        earliest end of a lease among its reservations."""
        for organization in new_policies:
            self._in_force.pop(organization, None)
        if earliest_end is not None and self._nothing_due_before is not None:
            self._nothing_due_before = min(self._nothing_due_before, earliest_end)
        resident = self._resident
        # While there is room for many more, which of them was used last does not matter.
        roomy = len(resident) < self._most_resident * 3 // 4
        kept = [stock for stock in stocks if stock.stock_id not in resident] if roomy else stocks
        # New keys too: nobody else would tell their numbers to the next batch.
        self.remember(kept)
        if not self._most_resident:
            return
        for stock in kept:
            resident.pop(stock.stock_id, None)
            resident[stock.stock_id] = stock
        while len(resident) > self._most_resident:
            del resident[next(iter(resident))]

    def remember(self, stocks: Iterable[Stock]) -> None:
        """Keeps the numbers of keys, which never change once committed."""
        if len(self._ids) > _MOST_KEYS_CACHED:
            self._ids.clear()
        for stock in stocks:
            self._ids[stock.key] = stock.stock_id

    def due(self, connection: DriverConnection, until: int, slots: Sequence[int]) -> tuple[list[bytes], bool]:
        """Reservations with holds in these slots that end at or before ``until``, the earliest first, and whether there
        may be more: of at most MOST_DUE holds."""
        if self._nothing_due_before is not None and until < self._nothing_due_before:
            return [], False
        rows = list(self._due.run(connection, slots, (until,)))
        if not rows and self._only_writer:
            end = self.next_end(connection)
            self._nothing_due_before = MAX_INT64 if end is None else end
        if len(slots) > 1:
            rows = sorted(rows, key=_by_end)[:MOST_DUE]
        return list(dict.fromkeys(row[0] for row in rows)), len(rows) >= MOST_DUE

    def next_end(self, connection: DriverConnection) -> int | None:
        """The instant (microseconds) at which the next hold ends; None when none has an end."""
        ends = [end for (end,) in self._next_end.run(connection, self._slots.all) if end is not None]
        return min(ends, default=None)

    def policies(self, connection: DriverConnection, organizations: Collection[str]) -> dict[str, Policy]:
        """The policies in force; a remembered one is checked by its revision in this transaction, unless nobody else
        can have changed it."""
        if not organizations:
            return {}
        in_force = self._in_force
        if in_force and all(name in in_force for name in organizations):
            return {name: in_force[name] for name in organizations}
        names = list(organizations)
        heads: dict[str, int] = {name: revision for name, revision in self._policy_heads.find(connection, names)}
        stale = [
            (name, revision)
            for name, revision in heads.items()
            if name not in self._cached_policies or self._cached_policies[name].revision != revision
        ]
        if stale:
            for name, body in self._policy_bodies.find(connection, stale):
                self._cached_policies[name] = policy_of(body)
        found = {name: self._cached_policies[name] if name in heads else _DEFAULT_POLICY for name in names}
        if self._only_writer:
            if len(in_force) > _MOST_POLICIES:
                in_force.clear()
            in_force.update(found)
        return found

    def reservations(self, connection: DriverConnection, state: LoadedState, ids: Collection[bytes]) -> list[SqlRow]:
        """Adds reservations; answers the rows of their parts, which need their stocks first."""
        if not ids:
            return []
        slots: list[int] = []
        where: list[bytes] = []
        for row in self._reservations.find(connection, list(ids)):
            found = reservation_of(row)
            state.reservations[found.reservation_id] = found
            for slot in part_slots_of(row):
                slots.append(slot)
                where.append(found.reservation_id)
            state.slots |= row[-1] | 1 << self._slots.of_id(found.reservation_id)
        return list(self._parts.find_in(connection, slots, where))

    def slots_of_reservations(self, connection: DriverConnection, ids: Collection[bytes]) -> dict[bytes, int]:
        """The slots in which each of these reservations and its parts lie, as a bitmap; of one that is not there its
        id's."""
        slots = self._slots
        found = {reservation_id: 1 << slots.of_id(reservation_id) for reservation_id in ids}
        for reservation_id, part_slots in self._part_slots.find(connection, list(ids)):
            found[reservation_id] |= part_slots & slots.all_bits
        return found

    def stocks(
        self, connection: DriverConnection, state: LoadedState, keys: Collection[StockKey], ids: Collection[int]
    ) -> None:
        """Adds the stocks of these keys and numbers that exist and are not there yet."""
        known, resident = self._ids, self._resident
        wanted = {stock_id for stock_id in ids if stock_id not in state.by_id}
        unknown: list[StockKey] = []
        for key in keys:
            if key not in state.stocks:
                stock_id = known.get(key)
                if stock_id is None:
                    unknown.append(key)
                else:
                    wanted.add(stock_id)
        if unknown:
            rows = [(key.organization, key.sku, key.location, dimensions_text(key.dimensions)) for key in unknown]
            found = [row[0] for row in self._stock_ids.find(connection, rows)]
            wanted.update(found)
            # Those that are to be read are remembered when they are.
            self.remember([resident[stock_id] for stock_id in found if stock_id in resident])
        if resident:
            missing = set()
            for stock_id in wanted:
                stock = resident.get(stock_id)
                if stock is None:
                    missing.add(stock_id)
                else:
                    state.add(stock)
            wanted = missing
        if wanted:
            fresh = [stock_of(row) for row in self._stocks.find(connection, sorted(wanted))]
            for stock in fresh:
                state.add(stock)
            self.remember(fresh)

    def link_parts(self, connection: DriverConnection, state: LoadedState, rows: Collection[SqlRow]) -> None:
        """Puts parts on their reservations and stocks, and on parts that have one the sale of their till."""
        for row in rows:
            reservation_id, *rest = row
            stock = state.by_id[rest[3]]
            state.reservations[reservation_id].parts.append(part_of(tuple(rest), stock))
        for reservation in state.reservations.values():
            reservation.parts.sort(key=lambda part: part.number)
        self._sales.put(connection, state.reservations, rows)

    def pools(self, connection: DriverConnection, state: LoadedState, needs: Needs) -> None:
        """Adds the pools that commands and parts can touch, and marks which were looked for."""
        asked: dict[int, set[str]] = {}
        for key, paths in needs.pools.items():
            stock = state.stocks.get(key)
            if stock is not None:
                asked[stock.stock_id] = paths
        for reservation in state.reservations.values():
            for part in reservation.parts:
                asked.setdefault(part.stock.stock_id, {COMMON}).update(part_paths(part.path, part.asked_path))
        wanted: list[tuple[int, int]] = []
        for stock_id, paths in asked.items():
            known = state.by_id[stock_id].known_paths
            if known is not None and not paths <= known:
                wanted.extend((stock_id, pool_id(path)) for path in paths - known)
                known |= paths
        for row in self._pools.find(connection, wanted) if wanted else ():
            stock_id, pool = pool_of(row)
            stock = state.by_id[stock_id]
            if stock.known_paths is not None and pool.path not in stock.known_paths:
                raise LookupError(f"two paths of {stock.key} share the number of {pool.path!r}")
            stock.pools[pool.path] = pool

    def measures(self, connection: DriverConnection, state: LoadedState, stocks: Collection[Stock]) -> None:
        """Adds all measures of these stocks."""
        unknown = [stock for stock in stocks if not stock.measures_known]
        for stock in unknown:
            stock.measures_known = True
        for row in self._measures.find(connection, [stock.stock_id for stock in unknown]) if unknown else ():
            stock_id, value = measure_of(row)
            state.by_id[stock_id].measures[value.measure] = value

    def references(
        self, connection: DriverConnection, wanted: Collection[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], bytes]:
        """Which reservations carry these order references."""
        if not wanted:
            return {}
        rows = self._references.find(connection, list(wanted))
        return {(organization, caller, reference): holder for organization, caller, reference, holder in rows}


def _all_but_slot(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "slot"]


def _due(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    part = schema.part
    # Conditions as literals, or the partial index is not found to fit.
    query = (
        select(part.c.reservation_id, part.c.expire_time)
        .where(
            part.c.slot == slot,
            part.c.held > literal_column("0"),
            part.c.expire_time.is_not(None),
            part.c.expire_time <= bindparam("until"),
        )
        .order_by(part.c.expire_time, part.c.reservation_id)
        .suffix_with(f"LIMIT {MOST_DUE}")
    )
    return query, ["until"]


def _next_end(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    part = schema.part
    query = select(func.min(part.c.expire_time)).where(
        part.c.slot == slot,
        part.c.held > literal_column("0"),
        part.c.expire_time.is_not(None),
        # True of all. Without it SQLite, when it has the statistics of a young database, walks all parts.
        part.c.expire_time <= literal_column(str(MAX_INT64)),
    )
    return query, []


def needed_measures(
    needs: Needs, state: LoadedState, named: Collection[bytes], policies: Mapping[str, Policy]
) -> list[Stock]:
    """Stocks whose measures a batch can read or change: facts, sales and returns, and keys to be valued anew."""
    stocks: dict[int, Stock] = {}
    for key in needs.measures:
        stock = state.stocks.get(key)
        if stock is not None:
            stocks[stock.stock_id] = stock
    for reservation_id in named:
        reservation = state.reservations.get(reservation_id)
        for part in reservation.parts if reservation is not None else ():
            stocks[part.stock.stock_id] = part.stock
    for stock in state.stocks.values():
        if stock.policy_revision < policies[stock.key.organization].formula_revision:
            stocks[stock.stock_id] = stock
    return list(stocks.values())
