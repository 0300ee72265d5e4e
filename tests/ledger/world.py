"""A ledger in memory to try rules on: say what happens, then look at what it did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Generic, NamedTuple, TypeVar

import pytest

from ringfence_server.ledger.commands import (
    Allocate,
    AllocationLine,
    BookedOrder,
    BookedPart,
    Cancel,
    CancelReason,
    Consume,
    ConsumeDirect,
    CountBegin,
    CountEnd,
    Figure,
    KeepOrders,
    Lease,
    LineQuantity,
    OrderReceived,
    PostStock,
    Reallocate,
    ReallocationLine,
    ReassignPart,
    Reply,
    ReplyOrder,
    Reserve,
    ReserveLine,
    SaleBooking,
    SetPolicy,
    TakeOrders,
    Unallocate,
    UnallocationLine,
    UpdateReservation,
)
from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.outcomes import (
    Cancelled,
    Consumed,
    HandedOrder,
    OrderReplied,
    OrdersKept,
    OrdersTaken,
    PolicySet,
    PoolsChanged,
    Posted,
    Reassigned,
    Reserved,
    Updated,
)
from ringfence_server.ledger.policy import MINUTE, Fallback, Location, LocationKind, PathRule, Policy
from ringfence_server.ledger.state import Pool, Reservation, Stock
from ringfence_server.ledger.till_state import Booking, DiscrepancyKind, EventKind
from tests.ledger.engine import CALLER, ORGANIZATION, Engine, Refused

NORTH: Final = "north"
SOUTH: Final = "south"
BIKE: Final = "BIKE"
ANCESTORS: Final = Fallback.ANCESTORS
NONE: Final = Fallback.NONE
BORROWING: Final = Policy(path_rules=(PathRule(COMMON, fallback=ANCESTORS),))
"""Every path may draw on its ancestors and the common pool."""
TILLS: Final = Policy(locations=(Location(NORTH, LocationKind.TILL), Location(SOUTH, LocationKind.TILL)))
"""Two stores whose tills keep the count."""

R = TypeVar("R")


class Caught(Generic[R]):
    """What ``refusal`` caught."""

    def __init__(self) -> None:
        self.found: R | None = None

    @property
    def value(self) -> R:
        assert self.found is not None
        return self.found


@contextmanager
def refusal(kind: type[R]) -> Iterator[Caught[R]]:
    """The command inside is refused, in this way."""
    caught: Caught[R] = Caught()
    with pytest.raises(Refused) as refused:
        yield caught
    why = refused.value.why
    assert isinstance(why, kind), f"refused with {why!r}, not {kind.__name__}"
    caught.found = why


def key(sku: str = BIKE, location: str = NORTH, **dimensions: str) -> StockKey:
    """A stock key; ``key(location="")`` is to be sourced."""
    return StockKey(ORGANIZATION, sku, location, tuple(sorted(dimensions.items())))


def quota(path: str, quantity: int, *, sku: str = BIKE, location: str = NORTH) -> AllocationLine:
    """A line of Allocate."""
    return AllocationLine(key(sku, location), path, quantity)


def back(path: str, quantity: int | None = None, *, sku: str = BIKE, location: str = NORTH) -> UnallocationLine:
    """A line of Unallocate; without quantity all that is free."""
    return UnallocationLine(key(sku, location), path, quantity)


def shift(source: str, target: str, quantity: int, *, sku: str = BIKE, location: str = NORTH) -> ReallocationLine:
    """A line of Reallocate."""
    return ReallocationLine(key(sku, location), source, target, quantity)


def line(
    path: str,
    quantity: int,
    *,
    sku: str = BIKE,
    location: str = NORTH,
    fallback: Fallback | None = None,
    line_id: str = "",
) -> ReserveLine:
    """A line of an order."""
    return ReserveLine(line_id, key(sku, location), path, quantity, fallback)


def figure(
    amount: int,
    measure: str = "",
    *,
    sku: str = BIKE,
    location: str = NORTH,
    delta: bool = False,
    position: int = 0,
    expected: int | None = None,
    count_time: int | None = None,
    previous: int | None = None,
    epoch: int = 0,
    **dimensions: str,
) -> Figure:
    """A figure of a measure, by default of the one that sales lower; with ``previous`` a chained delta."""
    found = key(sku, location, **dimensions)
    chained = delta or previous is not None
    return Figure(found, measure, amount, chained, position, count_time, expected, previous, epoch)


def booked(
    sale: Reservation | str,
    *bookings: tuple[int, int] | tuple[int, int, int],
    part: int = 1,
    location: str = NORTH,
    closed: bool = False,
    reject: str = "",
    channel: str = "",
    line_id: str = "",
    sku: str = "",
) -> SaleBooking:
    """What a till booked for a part of an order, or for an order number: ``(position, quantity)``, or with the epoch
    first."""
    named: BookedPart | BookedOrder
    if isinstance(sale, str):
        named = BookedOrder(sale, channel, line_id, sku, ())
    else:
        named = BookedPart(sale.reservation_id, part)
    movements = tuple(Booking(0, *each) if len(each) == 2 else Booking(*each) for each in bookings)
    return SaleBooking(named, location, movements, closed or bool(reject), reject)


class Figures(NamedTuple):
    """a(p), h(p), c(p)."""

    free: int
    held: int
    unsettled: int = 0


def _numbered(lines: Iterable[ReserveLine]) -> tuple[ReserveLine, ...]:
    return tuple(each if each.line_id else each._replace(line_id=str(n)) for n, each in enumerate(lines, 1))


def _quantities(lines: Mapping[str, int] | None) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id, quantity) for line_id, quantity in (lines or {}).items())


class World(Engine):
    """One organization's stock, orders and policy. Every method is one request of one line or more."""

    def __init__(self, policy: Policy | None = None, **on_hand: int) -> None:
        """With a policy, and units on hand of a SKU at the north location: ``World(BIKE=500)``."""
        super().__init__(policy)
        for sku, units in on_hand.items():
            self.stock(sku, on_hand=units)

    # --- commands ----------------------------------------------------------------------------------------------------

    def stock(self, sku: str = BIKE, location: str = NORTH, **measures: int) -> Posted:
        """Posts absolute figures: ``world.stock("BIKE", "north", on_hand=500)``."""
        return self.post(*(figure(units, name, sku=sku, location=location) for name, units in measures.items()))

    def post(
        self,
        *facts: Figure | SaleBooking,
        source: str = "wms",
        count: str = "",
        begin: CountBegin | None = None,
        end: CountEnd | None = None,
    ) -> Posted:
        """Figures and bookings in one request, which may belong to a full count."""
        figures = tuple(fact for fact in facts if isinstance(fact, Figure))
        bookings = tuple(fact for fact in facts if isinstance(fact, SaleBooking))
        return self.effect(Posted, PostStock(source, figures, bookings, count, begin, end))

    def reassign(
        self,
        reservation: Reservation,
        location: str,
        part: int = 1,
        *,
        quantity: int = 0,
        path: str | None = None,
        fallback: Fallback | None = None,
    ) -> Reassigned:
        return self.effect(
            Reassigned, ReassignPart(reservation.reservation_id, part, location, path, fallback, quantity)
        )

    def take(
        self,
        *locations: str,
        adapter: str = "pos",
        source: str = "",
        limit: int = 100,
        lease: int = MINUTE,
        resume: bool = False,
    ) -> list[HandedOrder]:
        """What an adapter of these tills, by default the north one, is handed."""
        command = TakeOrders(adapter, source, locations or (NORTH,), limit, lease, resume)
        return list(self.effect(OrdersTaken, command).orders)

    def keep(self, *orders: HandedOrder, adapter: str = "pos", lease: int = MINUTE) -> int:
        """An adapter says that it lives; of how many of these events the lease begins anew."""
        command = KeepOrders(adapter, frozenset(order.event.event_id for order in orders), lease)
        return len(self.effect(OrdersKept, command).event_ids)

    def reply(self, order: HandedOrder, reply: Reply) -> OrderReplied:
        """What a till says to what it was handed."""
        return self.effect(OrderReplied, ReplyOrder(order.event.event_id, reply))

    def send(self, *locations: str) -> list[HandedOrder]:
        """Hands everything that waits to the tills, which say that they have it."""
        orders = self.take(*locations)
        for order in orders:
            if order.event.kind is EventKind.ORDER:
                self.reply(order, OrderReceived("", None))
        return orders

    def allocate(self, *lines: AllocationLine) -> PoolsChanged:
        return self.effect(PoolsChanged, Allocate(lines))

    def unallocate(self, *lines: UnallocationLine) -> PoolsChanged:
        return self.effect(PoolsChanged, Unallocate(lines))

    def reallocate(self, *lines: ReallocationLine) -> PoolsChanged:
        return self.effect(PoolsChanged, Reallocate(lines))

    def reserve(
        self,
        *lines: ReserveLine,
        ttl: int | None = None,
        expire_time: int | None = None,
        never: bool = False,
        owner: str = "",
        partial: bool = False,
        split: bool = False,
        caller: str = CALLER,
    ) -> Reserved:
        lease = Lease(expire_time, ttl, never)
        return self.effect(Reserved, Reserve(_numbered(lines), owner, lease, partial, split), caller=caller)

    def hold(self, path: str, quantity: int, **options: Fallback | str) -> Reservation:
        """Reserves one line, for the default lease."""
        return self.reserve(line(path, quantity, **options)).reservation  # type: ignore[arg-type]

    def update(
        self,
        reservation: Reservation,
        lines: Mapping[str, int] | None = None,
        *,
        lease: Lease | None = None,
        owner: str | None = None,
        expected_revision: int = 0,
        split: bool = False,
    ) -> Updated:
        quantities = None if lines is None else _quantities(lines)
        identity = reservation.reservation_id
        return self.effect(Updated, UpdateReservation(identity, expected_revision, quantities, lease, owner, split))

    def consume(
        self,
        reservation: Reservation,
        lines: Mapping[str, int] | None = None,
        *,
        release_rest: bool = False,
        revive: bool | None = None,
        order: str = "",
        attributes: bytes = b"",
        caller: str = CALLER,
    ) -> Consumed:
        command = Consume(reservation.reservation_id, _quantities(lines), release_rest, revive, order, attributes)
        return self.effect(Consumed, command, caller=caller)

    def sell(
        self, *lines: ReserveLine, split: bool = False, order: str = "", attributes: bytes = b"", owner: str = ""
    ) -> Consumed:
        """Consume without a reservation before."""
        return self.effect(Consumed, ConsumeDirect(_numbered(lines), owner, split, order, attributes))

    def cancel(
        self,
        reservation: Reservation,
        lines: Mapping[str, int] | None = None,
        reason: CancelReason = CancelReason.UNSPECIFIED,
        text: str = "",
    ) -> Cancelled:
        return self.effect(Cancelled, Cancel(reservation.reservation_id, _quantities(lines), reason, text))

    def set_policy(self, policy: Policy, expected_revision: int | None = None) -> PolicySet:
        """By default with the revision in force. Keys are valued by it from the next moment on."""
        expected = self.policy.revision if expected_revision is None else expected_revision
        return self.effect(PolicySet, SetPolicy(policy, expected))

    # --- looking -----------------------------------------------------------------------------------------------------

    def __getitem__(self, where: tuple[str, str]) -> Stock:
        """``world[BIKE, NORTH]``"""
        return self.stocks[key(*where)]

    def pool(self, path: str, sku: str = BIKE, location: str = NORTH) -> Figures:
        """a(p), h(p), c(p); a path that has no pool has nothing."""
        pool = self._pool(path, sku, location)
        return Figures(pool.free, pool.held, pool.unsettled)

    def net(self, sku: str = BIKE, location: str = NORTH) -> int:
        """What is really there for new promises."""
        return self[sku, location].net

    def listed(self) -> list[tuple[DiscrepancyKind, int]]:
        """What did not fit so far: kind and units."""
        return [(each.kind, each.quantity) for each in self.discrepancies]

    def consumed(self, path: str, sku: str = BIKE, location: str = NORTH) -> int:
        """Sold less cancelled."""
        return self._pool(path, sku, location).consumed

    def on_hand(self, sku: str = BIKE, location: str = NORTH) -> int:
        return self[sku, location].measures["on_hand"].value

    def give_history(self, path: str, **totals: int) -> None:
        """Makes a pool look as after years of sales: ``consumed`` and ``taken``."""
        pool = self[BIKE, NORTH].pool(path)
        pool.stored = True
        for name, units in totals.items():
            setattr(pool, name, units)
            self.history[key(), path, name] = units

    def _pool(self, path: str, sku: str, location: str) -> Pool:
        return self[sku, location].pools.get(path, Pool(path))
