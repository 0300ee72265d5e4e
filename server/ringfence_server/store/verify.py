"""Recomputing every balance from the ledger: one snapshot, a merge of ordered scans, constant memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import and_, case, func, literal, select, union_all

from ringfence_server.ledger.audit import KeySums, PartSums, flaws_of, sale_flaws
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import Flaw, VerifyProgress
from ringfence_server.ledger.state import Place, Stock

from . import schema
from .driver import DriverConnection
from .read_keys import KeyRows
from .read_lanes import begin_transaction
from .rows import measure_of, pool_of, stock_of
from .verify_sales import booking_rows, orders_of, sale_rows

MOST_FLAWS: Final = 1_000
_ROWS_AT_ONCE: Final = 2_000
_KEYS_BETWEEN_LOOKS: Final = 200


class Verification:
    """One verification on one connection; ``advance`` it until it is done. ``progress`` may be asked from elsewhere."""

    def __init__(self, organization: str, sku: str, keys: KeyRows) -> None:
        self._organization = organization
        self._sku = sku
        self._keys = keys
        self._steps: Iterator[None] | None = None
        self._policies: dict[int, Policy | None] = {}
        self._checked = 0
        self._entries = 0
        self._total = 0
        self._flaws: list[Flaw] = []

    def progress(self) -> VerifyProgress:
        """How far it is. Never that it is done, though it may be by now: that the last ``advance`` says, once, with the
        flaws."""
        return VerifyProgress(self._checked, self._entries, self._total, False, ())

    def advance(self, connection: DriverConnection, seconds: float) -> VerifyProgress:
        """Goes on for about so long. Sorting the ledger's sums is one statement and may take longer."""
        if self._steps is None:
            begin_transaction(connection)
            self._connection = connection
            self._steps = self._check(connection)
        until = time.monotonic() + seconds
        for _ in self._steps:
            if time.monotonic() >= until:
                return self.progress()
        return VerifyProgress(self._checked, self._entries, self._total, True, tuple(self._flaws))

    def _check(self, connection: DriverConnection) -> Iterator[None]:
        slots = self._keys.slots
        counted = select(func.count()).select_from(schema.stock).where(self._mine(slots.within(schema.stock.c.slot)))
        self._total = connection.execute(counted).scalar() or 0
        yield
        for slot in self._keys.slots_of(self._organization, (self._sku,) if self._sku else ()):
            yield from self._check_slot(connection, slot)
        self._total = self._checked

    def _check_slot(self, connection: DriverConnection, slot: int) -> Iterator[None]:
        """All that a key's balances are the sums of lies in the key's slot."""
        stock = schema.stock
        mine = self._mine(stock.c.slot == slot)
        moved, parts = (_all_of(schema.entry, slot), _all_of(schema.part, slot))
        if self._sku:
            moved, parts = self._moved_and_parts_of_sku(slot)
        ledger = _Merge(connection, _ledger_sums(moved))
        part_sums = _Merge(connection, _part_sums(parts))
        pools = _Merge(connection, self._rows_of(schema.pool, slot))
        measures = _Merge(connection, self._rows_of(schema.measure, slot))
        facts = _Merge(connection, self._fact_sums(slot))
        sales = _Merge(connection, self._of_my_keys(sale_rows(slot), schema.part, slot))
        bookings = _Merge(connection, self._of_my_keys(booking_rows(slot), schema.part, slot))
        in_force = self._keys.policies(connection, [self._organization])[self._organization]
        columns = [column for column in stock.c if column.name != "slot"]
        stocks = _Rows(connection, select(*columns).where(mine).order_by(stock.c.stock_id))
        while rows := stocks.some():
            for row in rows:
                found = stock_of(row)
                found.known_paths = None
                found.measures_known = True
                stock_id = found.stock_id
                for pool_row in pools.take(stock_id):
                    pool = pool_of(pool_row)[1]
                    found.pools[pool.path] = pool
                for measure_row in measures.take(stock_id):
                    value = measure_of(measure_row)[1]
                    found.measures[value.measure] = value
                balances: dict[int, tuple[int, int, int]] = {}
                sold: dict[str, int] = {}
                for _, pool_id, measure, free, held, unsettled, left, entries in ledger.take(stock_id):
                    self._entries += entries
                    if measure:
                        sold[measure] = left
                    else:
                        balances[pool_id] = free, held, unsettled
                sums = KeySums(
                    balances,
                    sold,
                    {measure: delta for _, measure, delta in facts.take(stock_id)},
                    {path: PartSums(*values) for _, path, *values in part_sums.take(stock_id)},
                )
                self._judge(found, sums)
                self._note(sale_flaws(found, in_force, orders_of(found, sales.take(stock_id), bookings.take(stock_id))))
                self._checked += 1
                if self._checked % _KEYS_BETWEEN_LOOKS == 0:
                    yield

    def _judge(self, stock: Stock, sums: KeySums) -> None:
        revision = stock.policy_revision
        if revision not in self._policies:
            found = self._keys.policy_version(self._connection, self._organization, revision)
            self._policies[revision] = found
        self._note(flaws_of(stock, self._policies[revision], sums))

    def _note(self, flaws: Iterable[Flaw]) -> None:
        for flaw in flaws:
            if len(self._flaws) < MOST_FLAWS:
                self._flaws.append(flaw)

    def _mine(self, in_slot: Any) -> Any:
        stock = schema.stock
        mine = and_(in_slot, stock.c.organization == self._organization)
        return and_(mine, stock.c.sku == self._sku) if self._sku else mine

    def _rows_of(self, table: Any, slot: int) -> Any:
        query = select(*[column for column in table.c if column.name != "slot"]).where(table.c.slot == slot)
        return self._of_my_keys(query, table, slot).order_by(table.c.stock_id)

    def _fact_sums(self, slot: int) -> Any:
        fact = schema.fact
        query = select(fact.c.stock_id, fact.c.measure, func.sum(fact.c.delta)).where(fact.c.slot == slot)
        query = self._of_my_keys(query, fact, slot)
        return query.group_by(fact.c.stock_id, fact.c.measure).order_by(fact.c.stock_id)

    def _of_my_keys(self, query: Any, table: Any, slot: int) -> Any:
        if not self._sku:
            return query
        stock = schema.stock
        return query.where(table.c.stock_id.in_(select(stock.c.stock_id).where(self._mine(stock.c.slot == slot))))

    def _moved_and_parts_of_sku(self, slot: int) -> tuple[Any, Any]:
        """The entries of one SKU's keys, along their chains, and the parts that these moved."""
        stock, entry, part = schema.stock, schema.entry, schema.part
        chain = (
            select(entry)
            .select_from(stock)
            .join(entry, and_(entry.c.slot == stock.c.slot, entry.c.sequence == stock.c.last_sequence))
            .where(self._mine(stock.c.slot == slot))
            .cte("chain", recursive=True)
        )
        chain = chain.union_all(
            select(entry)
            .select_from(chain)
            .join(entry, and_(entry.c.slot == slot, entry.c.sequence == chain.c.previous_sequence))
        )
        moved_parts = select(chain.c.reservation_id, chain.c.part_number).distinct().subquery("moved_parts")
        parts = (
            select(part)
            .select_from(moved_parts)
            .join(
                part,
                and_(
                    part.c.slot == slot,
                    part.c.reservation_id == moved_parts.c.reservation_id,
                    part.c.part_number == moved_parts.c.part_number,
                ),
            )
            .subquery("parts")
        )
        return chain, parts


def _all_of(table: Any, slot: int) -> Any:
    return select(table).where(table.c.slot == slot).subquery(f"all_of_{table.name}")


class _Rows:
    """What a statement answers, a piece at a time, straight from the driver: ten rows a key are too many to be wrapped
    each."""

    def __init__(self, connection: DriverConnection, query: Any) -> None:
        self._result = connection.execute(query)
        self._cursor: Any = self._result.cursor

    def some(self) -> list[Any]:
        """The next rows; none at the end."""
        rows: list[Any] = self._cursor.fetchmany(_ROWS_AT_ONCE)
        return rows


class _Merge(_Rows):
    """An ordered scan that gives up the rows of one stock key after the other."""

    def __init__(self, connection: DriverConnection, query: Any) -> None:
        super().__init__(connection, query)
        self._rows = self.some()
        self._at = 0

    def take(self, stock_id: int) -> list[Any]:
        """Rows of this key; those of keys before it are another organization's and are passed over."""
        found: list[Any] = []
        while rows := self._rows:
            at, end = self._at, len(rows)
            while at < end:
                row = rows[at]
                if row[0] >= stock_id:
                    if row[0] > stock_id:
                        self._at = at
                        return found
                    found.append(row)
                at += 1
            self._rows, self._at = self.some(), 0
        return found


def _ledger_sums(moved: Any) -> Any:
    """Units by stock key and pool (free, held, unsettled), and by stock key and measure (sold and not come back); with
    the number of entries, in the order of stock keys."""
    sides = []
    for side, sign in (("to", 1), ("from", -1)):
        place = moved.c[f"{side}_place"]
        # Every entry is counted once: where it went to a pool or was sold, else where it came from.
        counted = literal(1) if sign > 0 else case((moved.c.to_place == Place.OUTSIDE, 1), else_=0)
        sides.append(
            select(
                moved.c.stock_id,
                moved.c[f"{side}_pool"].label("pool_id"),
                case((place == Place.SOLD, moved.c.measure), else_="").label("measure"),
                place.label("place"),
                (moved.c.quantity if sign > 0 else -moved.c.quantity).label("units"),
                counted.label("entries"),
            ).where(place != Place.OUTSIDE)
        )
    both = union_all(*sides).subquery("both")
    by = [both.c.stock_id, both.c.pool_id, both.c.measure]
    places = (Place.FREE, Place.HELD, Place.UNSETTLED, Place.SOLD)
    sums = [func.sum(case((both.c.place == place, both.c.units), else_=0)) for place in places]
    return select(*by, *sums, func.sum(both.c.entries)).group_by(*by).order_by(both.c.stock_id)


def _part_sums(parts: Any) -> Any:
    """Units of parts by stock key and path: what each pool gave, and what each path took."""
    nothing = literal(0)
    gave = select(
        parts.c.stock_id,
        parts.c.path.label("path"),
        parts.c.held.label("held"),
        parts.c.unsettled.label("unsettled"),
        (parts.c.unsettled + parts.c.settled).label("sold"),
        nothing.label("taken"),
    )
    took = select(
        parts.c.stock_id,
        parts.c.asked_path,
        nothing,
        nothing,
        nothing,
        (parts.c.granted - parts.c.expired - parts.c.cancelled),
    )
    both = union_all(gave, took).subquery("both")
    sums = [func.sum(both.c[name]) for name in ("held", "unsettled", "sold", "taken")]
    return select(both.c.stock_id, both.c.path, *sums).group_by(both.c.stock_id, both.c.path).order_by(both.c.stock_id)
