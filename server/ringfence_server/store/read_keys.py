"""Reading stock keys with their pools and measures, as of now or as a read at an earlier instant saw them.

Functions over one connection inside one snapshot. What is hot is compiled once; scans are built as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, literal_column, or_, select, tuple_
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.balance import bring_to
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Fallback, Policy
from ringfence_server.ledger.reading import KeyFilter, KeyPosition, KeysRead
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import Published

from . import schema
from .codec import dimensions_of, dimensions_text, policy_of
from .driver import DriverConnection
from .load import SLOT
from .read_past import Past
from .read_till import TillRows
from .rows import SqlRow, has_published, measure_of, pool_of, stock_of
from .statements import KeyedSelect, Statement, joined_select, keyed_select

_DEFAULT_POLICY: Final = Policy()
_NOTHING_PUBLISHED: Final[dict[tuple[str, str], Published]] = {}
"""Of all keys of which nothing was: what is read is not written to."""


class SlotState(NamedTuple):
    """The counters of a slot as a snapshot has them."""

    revision: int = 0
    last_sequence: int = 0
    now: int = 0
    record_time: int = 0


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

    def __init__(self, dialect: Dialect) -> None:
        stock, part, state = schema.stock, schema.part, schema.slot_state
        self._columns = _all_but_slot(stock)
        identity = [stock.c.organization, stock.c.sku, stock.c.location, stock.c.dimensions]
        self._stocks_by_key = joined_select(dialect, self._columns, identity)
        self._pools = keyed_select(dialect, _all_but_slot(schema.pool), schema.pool.c.stock_id)
        self._measures = keyed_select(dialect, _all_but_slot(schema.measure), schema.measure.c.stock_id)
        self._policy_heads = KeyedSelect(dialect, _policy_heads, 1)
        self._state = Statement(
            select(state.c.revision, state.c.last_sequence, state.c.now, state.c.record_time).where(
                state.c.slot == bindparam("slot")
            ),
            dialect,
            ["slot"],
        )
        self._due = Statement(
            select(
                part.c.stock_id,
                part.c.reservation_id,
                part.c.part_number,
                part.c.path,
                part.c.asked_path,
                part.c.held,
                part.c.expire_time,
            ).where(
                part.c.slot == bindparam("slot"),
                # As a literal, or the partial index is not found to fit.
                part.c.held > literal_column("0"),
                part.c.expire_time.is_not(None),
                part.c.expire_time <= bindparam("until"),
            ),
            dialect,
            ["slot", "until"],
        )
        self._till = TillRows(dialect, SLOT)
        # By version, not by organization: threads may look at different snapshots.
        self._policies: dict[tuple[str, int], Policy] = {}

    def state(self, connection: DriverConnection) -> SlotState:
        """The slot's counters. As the first select of a transaction it fixes the snapshot."""
        rows = self._state.run(connection, (SLOT,))
        return SlotState(*rows[0]) if rows else SlotState()

    def policies(self, connection: DriverConnection, organizations: Sequence[str]) -> dict[str, Policy]:
        """The policies in force."""
        heads: dict[str, int] = {row[0]: row[1] for row in self._policy_heads.run(connection, SLOT, organizations)}
        return {
            name: self.policy(connection, name, heads[name]) if name in heads else _DEFAULT_POLICY
            for name in organizations
        }

    def policy_at(self, connection: DriverConnection, organization: str, instant: int) -> Policy:
        """The policy in force at an instant."""
        policy = schema.policy
        revision = connection.execute(
            select(func.max(policy.c.revision)).where(
                policy.c.slot == SLOT, policy.c.organization == organization, policy.c.create_time <= instant
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
                    policy.c.slot == SLOT, policy.c.organization == organization, policy.c.revision == revision
                )
            ).scalar()
            if body is None:
                return _DEFAULT_POLICY if revision == _DEFAULT_POLICY.revision else None
            known = policy_of(body)
            if len(self._policies) > 1_024:
                self._policies.clear()
            self._policies[organization, revision] = known
        return known

    def due(self, connection: DriverConnection, until: int) -> dict[int, list[SqlRow]]:
        """Holds that are over at an instant and not ended yet, by stock number; few, unless the sweeper is behind."""
        found: dict[int, list[SqlRow]] = {}
        for row in self._due.run(connection, (SLOT, until)):
            found.setdefault(row[0], []).append(tuple(row))
        return found

    def by_key(self, connection: DriverConnection, keys: Iterable[StockKey]) -> list[Stock]:
        """These keys as far as they exist, as they are stored."""
        rows = [(key.organization, key.sku, key.location, dimensions_text(key.dimensions)) for key in keys]
        return self._filled(connection, self._stocks_by_key.run(connection, SLOT, rows)) if rows else []

    def in_order(
        self, connection: DriverConnection, view: View, wanted: KeyFilter, start: KeyPosition | None, most: int
    ) -> KeysRead:
        """Up to ``most`` matching keys from ``start`` on (included), brought to the view."""
        stock = schema.stock
        query = select(*self._columns).where(stock.c.slot == SLOT, stock.c.organization == wanted.organization)
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
        query = query.order_by(stock.c.sku, stock.c.location, stock.c.dimensions).limit(most + 1)
        rows = list(connection.execute(query).all())
        following: KeyPosition | None = None
        if len(rows) > most:
            last = rows.pop()
            following = KeyPosition(last.sku, last.location, dimensions_of(last.dimensions))
        if wanted.dimensions:
            rows = [row for row in rows if wanted.matches_dimensions(dimensions_of(row.dimensions))]
        return KeysRead(self.brought(connection, view, self._filled(connection, rows)), following)

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
        published: dict[int, Stock] = {}
        for row in rows:
            stock = stock_of(row)
            stock.known_paths = None
            stock.measures_known = True
            stocks[stock.stock_id] = stock
            if has_published(row):
                published[stock.stock_id] = stock
            else:
                stock.published = _NOTHING_PUBLISHED
        if stocks:
            ids = list(stocks)
            for row in self._pools.run(connection, SLOT, ids):
                stock_id, pool = pool_of(row)
                stocks[stock_id].pools[pool.path] = pool
            for row in self._measures.run(connection, SLOT, ids):
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


def _policy_heads(size: int) -> tuple[Any, list[str]]:
    policy = schema.policy
    names = [f"k{number}" for number in range(size)]
    clause = (
        select(policy.c.organization, func.max(policy.c.revision))
        .where(policy.c.slot == bindparam("slot"), policy.c.organization.in_([bindparam(name) for name in names]))
        .group_by(policy.c.organization)
    )
    return clause, ["slot", *names]
