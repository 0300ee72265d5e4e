"""Loading what commands of the till side need: the sales that a figure may still move, orders by their number, events
for adapters, full counts.

Nothing here is asked unless a command of the batch needs it, and then a fixed number of statements for all of them;
three or four for each location whose events are to be handed over, two for each full count that may end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal_column, or_, select, text
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import (
    MAX_ZEROED,
    CountKey,
    CountScope,
    CountSession,
    EventState,
    OrderEvent,
    ScopeKey,
)

from . import schema
from .driver import DriverConnection
from .rows_till import count_of, published_of
from .slots import Slots
from .statements import Statement, joined_select, keyed_select, slot_select

MOST_EVENTS: Final = 4_000
"""Events of one location that are loaded to be handed over by one batch."""
_MOST_CALLERS: Final = 1_000

OrderKey = tuple[str, str, str]


class TillState:
    """What a batch's commands of the till side name, as it was found."""

    def __init__(self) -> None:
        self.orders: dict[OrderKey, tuple[bytes, ...]] = {}
        self.counts: dict[CountKey, CountSession] = {}
        self.scopes: dict[ScopeKey, CountScope] = {}
        self._events: dict[int, bytes] = {}

    def note_event(self, sequence: int, reservation_id: bytes) -> None:
        """An event that a command may be about."""
        self._events[sequence] = reservation_id

    def events(self, reservations: dict[bytes, Reservation]) -> dict[bytes, tuple[Reservation, Part, OrderEvent]]:
        """The noted events, once their reservations are loaded."""
        found: dict[bytes, tuple[Reservation, Part, OrderEvent]] = {}
        for reservation_id in dict.fromkeys(self._events.values()):
            reservation = reservations[reservation_id]
            for part in reservation.parts:
                for event in part.till.events if part.till is not None else ():
                    if event.sequence in self._events:
                        found[event.event_id] = (reservation, part, event)
        return found


def needs_till(needs: Needs) -> bool:
    """Whether a command of the batch is of the till side."""
    return bool(needs.awaiting or needs.orders or needs.events or needs.takes or needs.counts)


class TillLoader:
    """Reads rows of the till side, for one writing connection."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        sale, event, count = schema.till_sale, schema.order_event, schema.count_session
        reference, published = schema.order_reference, schema.published
        self._awaiting = keyed_select(dialect, [sale.c.reservation_id], sale.c.awaiting_stock_id, slots.of_stock)
        event_columns = [event.c.sequence, event.c.reservation_id, event.c.event_id]
        self._events = keyed_select(dialect, event_columns, event.c.event_id, slots.of_id)
        # Two ranges of one index: what never waited for anything, by age, and what has become free since. In one range
        # a long queue of the first would hide the second.
        self._ready = slot_select(dialect, _ready)
        self._freed = slot_select(dialect, _freed)
        self._only_for = slot_select(dialect, _only_for)
        identity = [count.c.organization, count.c.source, count.c.count_id]
        self._counts = joined_select(dialect, _all_but_slot(count), identity, slots.of_count)
        owner = [reference.c.organization, reference.c.caller, reference.c.order_reference]
        self._references = joined_select(dialect, [*owner, reference.c.reservation_id], owner, slots.of_reference)
        self._callers = Statement(_callers(), dialect, ["slot", "organization", "next_slot", "next_organization"])
        self._published = keyed_select(dialect, _all_but_slot(published), published.c.stock_id, slots.of_stock)
        self._scope_sums = Statement(_scope_sums(), dialect, [*_older_names("a"), *_older_names("b"), *_SCOPE])
        self._scope_keys = Statement(_scope_keys(), dialect, [*_SCOPE, *_older_names("a")])

    def resolve(self, connection: DriverConnection, needs: Needs, stocks: dict[StockKey, Stock], now: int) -> TillState:
        """Finds what names other rows, and adds the reservations behind it to ``needs.reservations``. ``stocks`` holds
        those of ``needs.pools``."""
        state = TillState()
        if needs.counts:
            for row in self._counts.find(connection, list(needs.counts)):
                session = count_of(row)
                state.counts[session.organization, session.source, session.count_id] = session
        if needs.orders:
            state.orders = self._orders(connection, needs.orders)
            for found in state.orders.values():
                needs.reservations.update(found)
        if needs.events:
            self._note(state, needs, self._named(connection, list(needs.events)))
        if needs.takes:
            self._takes(connection, needs, state, now)
        if needs.awaiting:
            needs.reservations.update(
                self.awaiting(connection, [stocks[key] for key in needs.awaiting if key in stocks])
            )
        return state

    def _named(self, connection: DriverConnection, ids: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """Events by their ids. One that was copied from a store of one slot has an id that does not tell its slot."""
        rows = list(self._events.find(connection, ids))
        slots = self._slots.all
        if len(slots) > 1 and len(rows) < len(ids):
            found = {row[2] for row in rows}
            missing = [event_id for event_id in ids if event_id not in found]
            everywhere = [slot for slot in slots for _ in missing]
            rows += self._events.find_in(connection, everywhere, missing * len(slots))
        return rows

    def awaiting(self, connection: DriverConnection, stocks: Iterable[Stock]) -> set[bytes]:
        """Reservations with a sale that a figure of these keys may still move."""
        rows = self._awaiting.find(connection, sorted(stock.stock_id for stock in stocks))
        return {reservation_id for (reservation_id,) in rows}

    def scope(self, connection: DriverConnection, name: ScopeKey) -> tuple[CountScope, list[int]]:
        """What lies below a full count that may end, without its keys, and their numbers; two statements over the keys
        of its location."""
        organization, location, measure, mark = name
        older = (mark.epoch, mark.epoch, mark.position)
        units = lower_keys = lower_units = 0
        ids: list[int] = []
        for slot in self._slots.all:
            place = (slot, measure, slot, organization, location)
            ((more_units, more_keys, more_lower),) = self._scope_sums.run(connection, (*older, *older, *place))
            units += int(more_units or 0)
            lower_keys += int(more_keys or 0)
            lower_units += int(more_lower or 0)
            if len(ids) < MAX_ZEROED:
                ids += [stock_id for (stock_id,) in self._scope_keys.run(connection, (*place, *older))]
        return CountScope(mark, [], lower_keys, lower_units, units), ids[:MAX_ZEROED]

    def published(self, connection: DriverConnection, stocks: Iterable[Stock]) -> None:
        """Adds what was published of these keys."""
        unknown = {stock.stock_id: stock for stock in stocks if stock.published is None}
        for stock in unknown.values():
            stock.published = {}
        for row in self._published.find(connection, list(unknown)):
            stock_id, report = published_of(row)
            reports = unknown[stock_id].published
            assert reports is not None
            reports[report.publisher, report.path] = report

    def _orders(self, connection: DriverConnection, wanted: Collection[OrderKey]) -> dict[OrderKey, tuple[bytes, ...]]:
        """An empty channel is any caller's: callers are few, and each is asked for the number."""
        callers: dict[str, list[str]] = {}
        for organization in {organization for organization, channel, _ in wanted if not channel}:
            known: dict[str, None] = {}
            for slot in self._slots.all:
                place = (slot, organization)
                rows = self._callers.run(connection, (*place, *place))
                known.update((caller, None) for (caller,) in rows if caller is not None)
            callers[organization] = sorted(known)
        names = {
            (organization, caller, reference)
            for organization, channel, reference in wanted
            for caller in ([channel] if channel else callers[organization])
        }
        holders: dict[tuple[str, str], dict[str, bytes]] = {}
        for organization, caller, reference, holder in self._references.find(connection, sorted(names)):
            holders.setdefault((organization, reference), {})[caller] = holder
        found: dict[OrderKey, tuple[bytes, ...]] = {}
        for organization, channel, reference in wanted:
            by_caller = holders.get((organization, reference), {})
            matching = [holder for caller, holder in sorted(by_caller.items()) if channel in ("", caller)]
            found[organization, channel, reference] = tuple(dict.fromkeys(matching))
        return found

    def _takes(self, connection: DriverConnection, needs: Needs, state: TillState, now: int) -> None:
        """The events that may be handed over now: the oldest of those that anybody may have, and what only the adapter
        that asks may have. As many as all adapters of the batch together ask for, so that each finds enough."""
        slots = self._slots.all
        most: Counter[tuple[str, str]] = Counter()
        own: Counter[tuple[str, str, str, EventState]] = Counter()
        for organization, command in needs.takes:
            for location in command.locations:
                most[organization, location] += command.limit
                own[organization, location, command.adapter, EventState.WAITING] += command.limit
                if command.resume:
                    # What it says that it still holds is not handed to it again.
                    asked = command.limit + len(command.holding or ())
                    own[organization, location, command.adapter, EventState.HANDED] += asked
        for (organization, location), asked in most.items():
            limit = min(asked, MOST_EVENTS)
            place = (organization, location)
            self._note(state, needs, self._ready.run(connection, slots, (*place, limit)), limit)
            self._note(state, needs, self._freed.run(connection, slots, (*place, now, limit)), limit)
        for (organization, location, adapter, event_state), asked in own.items():
            place = (organization, location)
            limit = min(asked, MOST_EVENTS)
            rows = self._only_for.run(connection, slots, (*place, adapter, event_state.value, limit))
            self._note(state, needs, rows, limit)

    @staticmethod
    def _note(state: TillState, needs: Needs, rows: Iterable[tuple[Any, ...]], most: int | None = None) -> None:
        """Of rows (sequence, reservation_id, when it became free) of several slots the first ``most``."""
        found = list(rows)
        if most is not None and len(found) > most:
            found = sorted(found, key=lambda row: (row[2], row[0]))[:most]
        for sequence, reservation_id, *_ in found:
            state.note_event(sequence, reservation_id)
            needs.reservations.add(reservation_id)


_SCOPE: Final = ("slot", "measure", "stock_slot", "organization", "location")


def _older_names(prefix: str) -> tuple[str, str, str]:
    return f"{prefix}_epoch", f"{prefix}_same_epoch", f"{prefix}_position"


def _ready(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    event = schema.order_event
    query = _events(slot, event.c.ready_time, event.c.ready_time == literal_column("0")).order_by(event.c.sequence)
    return query.suffix_with(text("LIMIT :most")), ["organization", "location", "most"]


def _freed(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    event = schema.order_event
    query = _events(
        slot, event.c.ready_time, event.c.ready_time > literal_column("0"), event.c.ready_time <= bindparam("now")
    )
    query = query.order_by(event.c.ready_time, event.c.sequence)
    return query.suffix_with(text("LIMIT :most")), ["organization", "location", "now", "most"]


def _only_for(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    event = schema.order_event
    query = _events(
        slot, literal_column("0"), event.c.only_for == bindparam("adapter"), event.c.state == bindparam("state")
    )
    query = query.order_by(event.c.sequence)
    return query.suffix_with(text("LIMIT :most")), ["organization", "location", "adapter", "state", "most"]


def _events(slot: ColumnElement[Any], free: ColumnElement[Any], *conditions: Any) -> Select[Any]:
    """Events of a location, by what stands in the index alone; ``free``: what they are ordered by before their age."""
    event = schema.order_event
    return select(event.c.sequence, event.c.reservation_id, free.label("free")).where(
        event.c.slot == slot,
        event.c.organization == bindparam("organization"),
        event.c.location == bindparam("location"),
        *conditions,
    )


def _callers() -> Select[Any]:
    """Who ever used an order number in an organization: each is skipped to, none of the numbers between is read."""
    reference = schema.order_reference

    def least(prefix: str, *conditions: Any) -> Any:
        return select(func.min(reference.c.caller).label("caller")).where(
            reference.c.slot == bindparam(f"{prefix}slot"),
            reference.c.organization == bindparam(f"{prefix}organization"),
            *conditions,
        )

    wanted = least("").cte("wanted_callers", recursive=True)
    following = least("next_", reference.c.caller > wanted.c.caller).scalar_subquery()
    wanted = wanted.union_all(select(following).where(wanted.c.caller.is_not(None)))
    return select(wanted.c.caller).suffix_with(f"LIMIT {_MOST_CALLERS}")


def _is_older(prefix: str) -> Any:
    """Each parameter has a name of its own: PostgreSQL's form would take one name as one parameter."""
    measure = schema.measure
    epoch, names = measure.c.epoch, _older_names(prefix)
    before = and_(epoch == bindparam(names[1]), measure.c.position < bindparam(names[2]))
    return or_(epoch < bindparam(names[0]), before)


def _of_scope(*columns: Any) -> Select[Any]:
    """Over the figures of a measure at a location."""
    stock, measure = schema.stock, schema.measure
    # Not a join: the planner might begin with the measures, and walk those of all locations.
    there = select(stock.c.stock_id).where(
        stock.c.slot == bindparam("stock_slot"),
        stock.c.organization == bindparam("organization"),
        stock.c.location == bindparam("location"),
    )
    return select(*columns).where(
        measure.c.slot == bindparam("slot"), measure.c.measure == bindparam("measure"), measure.c.stock_id.in_(there)
    )


def _scope_sums() -> Select[Any]:
    value = schema.measure.c.value
    nothing: ColumnElement[int] = literal_column("0")
    units = case((value > nothing, value), else_=nothing)
    return _of_scope(
        func.sum(units),
        func.sum(case((_is_older("a"), literal_column("1")), else_=nothing)),
        func.sum(case((_is_older("b"), units), else_=nothing)),
    )


def _scope_keys() -> Select[Any]:
    return _of_scope(schema.measure.c.stock_id).where(_is_older("a")).suffix_with(f"LIMIT {MAX_ZEROED}")


def _all_but_slot(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "slot"]
