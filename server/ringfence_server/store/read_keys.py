"""Reading stock keys with their pools and measures, as of now or as a read at an earlier instant saw them.

Functions over one connection inside one snapshot. What is hot is compiled once; scans are built as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, or_, select, tuple_
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.balance import bring_to
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Fallback, Policy
from ringfence_server.ledger.reading import KeyFilter, KeyPosition, KeysRead
from ringfence_server.ledger.revisions import Revisions
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import Published

from . import schema
from .codec import dimensions_of, dimensions_text, policy_of
from .driver import DriverConnection
from .read_past import Past
from .read_slots import merged, rows_of_slots, share_of
from .read_till import TillRows
from .rows import SqlRow, has_published, measure_of, pool_of, stock_of
from .slots import Slots
from .statements import Statement, joined_select, keyed_select, newest_select, slot_select

_DEFAULT_POLICY: Final = Policy()
_place_of_row: Final = attrgetter("sku", "location", "dimensions")
_NOTHING_PUBLISHED: Final[dict[tuple[str, str], Published]] = {}
"""Of all keys of which nothing was: what is read is not written to."""


class SlotState(NamedTuple):
    """The counters of a slot as a snapshot has them."""

    revision: int = 0
    last_sequence: int = 0
    """Not below that of any entry of the slot."""
    now: int = 0
    record_time: int = 0


States = Sequence[SlotState]
"""By slot."""


def revisions_at(states: States, slots: Sequence[int]) -> Revisions:
    """What a snapshot contains of these slots."""
    if len(states) == 1:
        return (states[0].revision,)
    found = [0] * len(states)
    for slot in slots:
        found[slot] = states[slot].revision
    return tuple(found)


class View(NamedTuple):
    """What a snapshot is looked at for: the instant, the rules then, what is due until then, and the past if it is one.

    ``due`` holds parts that are due and not ended yet, by stock number.
    """

    instant: int
    policy: Policy
    due: Mapping[int, Sequence[SqlRow]]
    past: Past | None


class KeyRows:
    """Statements over stock keys. Safe to use from several reading threads."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        stock, state, policy = schema.stock, schema.slot_state, schema.policy
        self.slots = slots
        self._columns = _all_but_slot(stock)
        identity = [stock.c.organization, stock.c.sku, stock.c.location, stock.c.dimensions]
        self._stocks_by_key = joined_select(dialect, self._columns, identity, slots.of_identity, packed=True)
        self._pools = keyed_select(
            dialect, _all_but_slot(schema.pool), schema.pool.c.stock_id, slots.of_stock, packed=True
        )
        self._measures = keyed_select(
            dialect, _all_but_slot(schema.measure), schema.measure.c.stock_id, slots.of_stock, packed=True
        )
        self._policy_heads = newest_select(dialect, policy.c.organization, policy.c.revision, slots.of_policy)
        self._states = Statement(
            select(state.c.slot, state.c.revision, state.c.last_sequence, state.c.now, state.c.record_time).where(
                # As literals: it is one text, without parameters.
                state.c.slot == literal_column("0")
                if slots.count == 1
                else state.c.slot.between(literal_column("0"), literal_column(str(slots.mask)))
            ),
            dialect,
            [],
        )
        self._due = slot_select(dialect, _due, across=True)
        self._till = TillRows(dialect, slots)
        # By version, not by organization: threads may look at different snapshots.
        self._policies: dict[tuple[str, int], Policy] = {}

    def states(self, connection: DriverConnection) -> States:
        """The counters of all slots. As the first select of a transaction it fixes the snapshot."""
        states = [SlotState()] * self.slots.count
        mask = self.slots.mask
        for slot, revision, last_sequence, now, record_time in self._states.run(connection):
            states[slot] = SlotState(revision, last_sequence | mask if last_sequence else 0, now, record_time)
        return states

    def slots_of(self, organization: str, skus: Sequence[str]) -> tuple[int, ...]:
        """The slots in which keys of these SKUs lie; of all, when none are named."""
        slots = self.slots
        if slots.count == 1 or not skus:
            return slots.all
        return tuple(sorted({slots.of_sku(organization, sku) for sku in skus}))

    def policies(self, connection: DriverConnection, organizations: Sequence[str]) -> dict[str, Policy]:
        """The policies in force."""
        heads: dict[str, int] = {row[0]: row[1] for row in self._policy_heads.find(connection, organizations)}
        return {
            name: self.policy(connection, name, heads[name]) if name in heads else _DEFAULT_POLICY
            for name in organizations
        }

    def policy_at(self, connection: DriverConnection, organization: str, instant: int) -> Policy:
        """The policy in force at an instant."""
        policy = schema.policy
        revision = connection.execute(
            select(func.max(policy.c.revision)).where(
                policy.c.slot == 0, policy.c.organization == organization, policy.c.create_time <= instant
            )
        ).scalar()
        return _DEFAULT_POLICY if revision is None else self.policy(connection, organization, revision)

    def policy(self, connection: DriverConnection, organization: str, revision: int) -> Policy:
        """A version that is there."""
        found = self.policy_version(connection, organization, revision)
        assert found is not None, "a policy's head has a body"
        return found

    def policy_version(self, connection: DriverConnection, organization: str, revision: int) -> Policy | None:
        """A version of the policy; the built-in one is the first."""
        known = self._policies.get((organization, revision))
        if known is None:
            policy = schema.policy
            body = connection.execute(
                select(policy.c.body).where(
                    policy.c.slot == 0, policy.c.organization == organization, policy.c.revision == revision
                )
            ).scalar()
            if body is None:
                return _DEFAULT_POLICY if revision == _DEFAULT_POLICY.revision else None
            known = policy_of(body)
            if len(self._policies) > 1_024:
                self._policies.clear()
            self._policies[organization, revision] = known
        return known

    def due(self, connection: DriverConnection, until: int, slots: Sequence[int]) -> dict[int, list[SqlRow]]:
        """Holds in these slots that are over at an instant and not ended yet, by stock number; few, unless the sweeper
        is behind."""
        found: dict[int, list[SqlRow]] = {}
        for row in self._due.run(connection, slots, (until,)):
            found.setdefault(row[0], []).append(tuple(row))
        return found

    def by_key(self, connection: DriverConnection, keys: Iterable[StockKey]) -> list[Stock]:
        """These keys as far as they exist, as they are stored."""
        rows = [(key.organization, key.sku, key.location, dimensions_text(key.dimensions)) for key in keys]
        return self._filled(connection, self._stocks_by_key.find(connection, rows)) if rows else []

    def in_order(
        self, connection: DriverConnection, view: View, wanted: KeyFilter, start: KeyPosition | None, most: int
    ) -> KeysRead:
        """Up to ``most`` matching keys from ``start`` on (included), brought to the view."""
        slots = self.slots_of(wanted.organization, wanted.skus)
        limit = share_of(most + 1, slots)
        found = rows_of_slots(connection, slots, lambda slot: self._some_of_slot(slot, wanted, start).limit(limit))
        rows, complete = merged(found, slots, limit, self._slot_of_row, _place_of_row)
        following: KeyPosition | None = None
        if len(rows) > most or not complete:
            # The first row behind the page, or the last that is known.
            del rows[most + 1 :]
            last = rows.pop()
            following = KeyPosition(last.sku, last.location, dimensions_of(last.dimensions))
        if wanted.dimensions:
            rows = [row for row in rows if wanted.matches_dimensions(dimensions_of(row.dimensions))]
        return KeysRead(self.brought(connection, view, self._filled(connection, rows)), following)

    def _some_of_slot(self, slot: ColumnElement[Any], wanted: KeyFilter, start: KeyPosition | None) -> Select[Any]:
        stock = schema.stock
        query = select(*self._columns).where(stock.c.slot == slot, stock.c.organization == wanted.organization)
        if wanted.skus:
            skus = wanted.skus
            if start is not None:
                # Not as one comparison of rows: the planner would take that for its range and scan all SKUs from there.
                skus = tuple(sku for sku in skus if sku >= start.sku)
                rest = tuple_(stock.c.location, stock.c.dimensions)
                begun = rest >= tuple_(start.location, dimensions_text(start.dimensions))
                query = query.where(or_(stock.c.sku != start.sku, begun))
            query = query.where(stock.c.sku.in_(skus))
        elif start is not None:
            place = tuple_(stock.c.sku, stock.c.location, stock.c.dimensions)
            query = query.where(place >= tuple_(start.sku, start.location, dimensions_text(start.dimensions)))
        if wanted.locations is not None:
            query = query.where(stock.c.location.in_(wanted.locations))
        # The order is also what makes the planner take the index by key: without it, it scans the whole slot.
        return query.order_by(stock.c.sku, stock.c.location, stock.c.dimensions)

    def _slot_of_row(self, row: Any) -> int:
        return self.slots.of_stock(row.stock_id)

    def brought(self, connection: DriverConnection, view: View, stocks: list[Stock]) -> list[Stock]:
        """Stored stocks as the view has them: taken back to its instant, and everything due until then applied."""
        if view.past is not None:
            stocks = view.past.rewound(connection, stocks)
            for stock in stocks:
                # Only the newest reports are kept.
                stock.published = _NOTHING_PUBLISHED
        parts: list[tuple[Reservation, Part]] = []
        if view.due:
            for stock in stocks:
                parts.extend(_due_part(stock, row) for row in view.due.get(stock.stock_id, ()))
        bring_to(view.policy, stocks, parts, view.instant, value_all=view.past is not None)
        return stocks

    def _filled(self, connection: DriverConnection, rows: Iterable[Any]) -> list[Stock]:
        """Stocks with all their pools and measures and what was published of them, in the order of their rows."""
        stocks: dict[int, Stock] = {}
        of_stock = self.slots.of_stock
        published: dict[int, Stock] = {}
        for row in rows:
            stock = stock_of(row)
            stock.slot = of_stock(stock.stock_id)
            stock.known_paths = None
            stock.measures_known = True
            stocks[stock.stock_id] = stock
            if has_published(row):
                published[stock.stock_id] = stock
            else:
                stock.published = _NOTHING_PUBLISHED
        if stocks:
            ids = list(stocks)
            for row in self._pools.find(connection, ids):
                stock_id, pool = pool_of(row)
                stocks[stock_id].pools[pool.path] = pool
            for row in self._measures.find(connection, ids):
                stock_id, value = measure_of(row)
                stocks[stock_id].measures[value.measure] = value
        if published:
            self._till.put_published(connection, published)
        return list(stocks.values())


def _due_part(stock: Stock, row: SqlRow) -> tuple[Reservation, Part]:
    """A due hold as far as its end moves anything."""
    _, reservation_id, number, path, asked_path, held, expire_time = row
    part = Part(number, 0, "", stock, path, asked_path, Fallback.NONE, True, 0, expire_time)
    part.granted = part.held = held
    return Reservation(reservation_id, stock.key.organization, "", "", expire_time, 0), part


def _all_but_slot(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "slot"]


def _due(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    part = schema.part
    query = select(
        part.c.stock_id,
        part.c.reservation_id,
        part.c.part_number,
        part.c.path,
        part.c.asked_path,
        part.c.held,
        part.c.expire_time,
    ).where(
        part.c.slot == slot,
        # As a literal, or the partial index is not found to fit.
        part.c.held > literal_column("0"),
        part.c.expire_time.is_not(None),
        part.c.expire_time <= bindparam("until"),
    )
    return query, ["until"]
