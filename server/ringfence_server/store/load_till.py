"""Loading what commands of the till side need: the sales that a figure may still move, orders by their number, events
for adapters, full counts.

Nothing here is asked unless a command of the batch needs it, and then a fixed number of statements for all of them;
three or four for each location whose events are to be handed over, two for each full count that may end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
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
from .statements import Statement, joined_select, keyed_select

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

    def __init__(self, dialect: Dialect, slot: int) -> None:
        self._slot = slot
        sale, event, count = schema.till_sale, schema.order_event, schema.count_session
        reference, published = schema.order_reference, schema.published
        self._awaiting = keyed_select(dialect, [sale.c.reservation_id], sale.c.awaiting_stock_id)
        self._events = keyed_select(dialect, [event.c.sequence, event.c.reservation_id], event.c.event_id)
        # Two ranges of one index: what never waited for anything, by age, and what has become free since. In one range
        # a long queue of the first would hide the second.
        self._ready = Statement(
            _events(event.c.ready_time == literal_column("0"))
            .order_by(event.c.sequence)
            .suffix_with(text("LIMIT :most")),
            dialect,
            [*_PLACE, "most"],
        )
        self._freed = Statement(
            _events(event.c.ready_time > literal_column("0"), event.c.ready_time <= bindparam("now"))
            .order_by(event.c.ready_time, event.c.sequence)
            .suffix_with(text("LIMIT :most")),
            dialect,
            [*_PLACE, "now", "most"],
        )
        self._only_for = Statement(
            _events(
                event.c.only_for == bindparam("adapter"),
                event.c.state == bindparam("state"),
            )
            .order_by(event.c.sequence)
            .suffix_with(text("LIMIT :most")),
            dialect,
            [*_PLACE, "adapter", "state", "most"],
        )
        self._counts = joined_select(
            dialect, _all_but_slot(count), [count.c.organization, count.c.source, count.c.count_id]
        )
        owner = [reference.c.organization, reference.c.caller, reference.c.order_reference]
        self._references = joined_select(dialect, [*owner, reference.c.reservation_id], owner)
        self._callers = Statement(_callers(), dialect, ["slot", "organization", "slot", "organization"])
        self._published = keyed_select(dialect, _all_but_slot(published), published.c.stock_id)
        self._scope_sums = Statement(_scope_sums(), dialect, [*_OLDER, *_OLDER, *_SCOPE])
        self._scope_keys = Statement(_scope_keys(), dialect, [*_SCOPE, *_OLDER])

    def resolve(self, connection: DriverConnection, needs: Needs, stocks: dict[StockKey, Stock], now: int) -> TillState:
        """Finds what names other rows, and adds the reservations behind it to ``needs.reservations``. ``stocks`` holds
        those of ``needs.pools``."""
        state = TillState()
        if needs.counts:
            for row in self._counts.run(connection, self._slot, list(needs.counts)):
                session = count_of(row)
                state.counts[session.organization, session.source, session.count_id] = session
        if needs.orders:
            state.orders = self._orders(connection, needs.orders)
            for found in state.orders.values():
                needs.reservations.update(found)
        if needs.events:
            self._note(state, needs, self._events.run(connection, self._slot, list(needs.events)))
        if needs.takes:
            self._takes(connection, needs, state, now)
        if needs.awaiting:
            needs.reservations.update(
                self.awaiting(connection, [stocks[key] for key in needs.awaiting if key in stocks])
            )
        return state

    def awaiting(self, connection: DriverConnection, stocks: Iterable[Stock]) -> set[bytes]:
        """Reservations with a sale that a figure of these keys may still move."""
        rows = self._awaiting.run(connection, self._slot, sorted(stock.stock_id for stock in stocks))
        return {reservation_id for (reservation_id,) in rows}

    def scope(self, connection: DriverConnection, name: ScopeKey) -> tuple[CountScope, list[int]]:
        """What lies below a full count that may end, without its keys, and their numbers; two statements over the keys
        of its location."""
        organization, location, measure, mark = name
        older = (mark.epoch, mark.epoch, mark.position)
        place = (self._slot, measure, self._slot, organization, location)
        ((units, lower_keys, lower_units),) = self._scope_sums.run(connection, (*older, *older, *place))
        ids = [stock_id for (stock_id,) in self._scope_keys.run(connection, (*place, *older))]
        return CountScope(mark, [], int(lower_keys or 0), int(lower_units or 0), int(units or 0)), ids

    def published(self, connection: DriverConnection, stocks: Iterable[Stock]) -> None:
        """Adds what was published of these keys."""
        unknown = {stock.stock_id: stock for stock in stocks if stock.published is None}
        for stock in unknown.values():
            stock.published = {}
        for row in self._published.run(connection, self._slot, list(unknown)):
            stock_id, report = published_of(row)
            reports = unknown[stock_id].published
            assert reports is not None
            reports[report.publisher, report.path] = report

    def _orders(self, connection: DriverConnection, wanted: Collection[OrderKey]) -> dict[OrderKey, tuple[bytes, ...]]:
        """An empty channel is any caller's: callers are few, and each is asked for the number."""
        callers: dict[str, list[str]] = {}
        for organization in {organization for organization, channel, _ in wanted if not channel}:
            place = (self._slot, organization)
            rows = self._callers.run(connection, (*place, *place))
            callers[organization] = [caller for (caller,) in rows if caller is not None]
        names = {
            (organization, caller, reference)
            for organization, channel, reference in wanted
            for caller in ([channel] if channel else callers[organization])
        }
        holders: dict[tuple[str, str], dict[str, bytes]] = {}
        for organization, caller, reference, holder in self._references.run(connection, self._slot, sorted(names)):
            holders.setdefault((organization, reference), {})[caller] = holder
        found: dict[OrderKey, tuple[bytes, ...]] = {}
        for organization, channel, reference in wanted:
            known = holders.get((organization, reference), {})
            matching = [holder for caller, holder in sorted(known.items()) if channel in ("", caller)]
            found[organization, channel, reference] = tuple(dict.fromkeys(matching))
        return found

    def _takes(self, connection: DriverConnection, needs: Needs, state: TillState, now: int) -> None:
        """The events that may be handed over now: the oldest of those that anybody may have, and what only the adapter
        that asks may have. As many as all adapters of the batch together ask for, so that each finds enough."""
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
            place = (self._slot, organization, location)
            self._note(state, needs, self._ready.run(connection, (*place, limit)))
            self._note(state, needs, self._freed.run(connection, (*place, now, limit)))
        for (organization, location, adapter, event_state), asked in own.items():
            place = (self._slot, organization, location)
            limit = min(asked, MOST_EVENTS)
            self._note(state, needs, self._only_for.run(connection, (*place, adapter, event_state, limit)))

    @staticmethod
    def _note(state: TillState, needs: Needs, rows: Iterable[tuple[Any, ...]]) -> None:
        for sequence, reservation_id in rows:
            state.note_event(sequence, reservation_id)
            needs.reservations.add(reservation_id)


_PLACE: Final = ("slot", "organization", "location")
_SCOPE: Final = ("slot", "measure", *_PLACE)
_OLDER: Final = ("epoch", "epoch", "position")


def _events(*conditions: Any) -> Select[Any]:
    """Events of a location, by what stands in the indexes alone."""
    event = schema.order_event
    return select(event.c.sequence, event.c.reservation_id).where(
        event.c.slot == bindparam("slot"),
        event.c.organization == bindparam("organization"),
        event.c.location == bindparam("location"),
        *conditions,
    )


def _callers() -> Select[Any]:
    """Who ever used an order number in an organization: each is skipped to, none of the numbers between is read."""
    reference = schema.order_reference

    def least(*conditions: Any) -> Any:
        return select(func.min(reference.c.caller).label("caller")).where(
            reference.c.slot == bindparam("slot"), reference.c.organization == bindparam("organization"), *conditions
        )

    wanted = least().cte("wanted_callers", recursive=True)
    following = least(reference.c.caller > wanted.c.caller).scalar_subquery()
    wanted = wanted.union_all(select(following).where(wanted.c.caller.is_not(None)))
    return select(wanted.c.caller).suffix_with(f"LIMIT {_MOST_CALLERS}")


def _is_older() -> Any:
    measure = schema.measure
    epoch = measure.c.epoch
    before = and_(epoch == bindparam("epoch"), measure.c.position < bindparam("position"))
    return or_(epoch < bindparam("epoch"), before)


def _of_scope(*columns: Any) -> Select[Any]:
    """Over the figures of a measure at a location."""
    stock, measure = schema.stock, schema.measure
    # Not a join: the planner might begin with the measures, and walk those of all locations.
    there = select(stock.c.stock_id).where(
        stock.c.slot == bindparam("slot"),
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
        func.sum(case((_is_older(), literal_column("1")), else_=nothing)),
        func.sum(case((_is_older(), units), else_=nothing)),
    )


def _scope_keys() -> Select[Any]:
    return _of_scope(schema.measure.c.stock_id).where(_is_older()).suffix_with(f"LIMIT {MAX_ZEROED}")


def _all_but_slot(table: Any) -> list[Any]:
    return [column for column in table.c if column.name != "slot"]
