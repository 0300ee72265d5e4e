"""The order feed: at least once, in order per part, shared under leases, and nothing is lost or told for nothing."""

from __future__ import annotations

from ringfence_server.ledger.commands import (
    CancellationConfirmed,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    OrderRejected,
    PublishedQuantity,
    ReplyOrder,
    ReportPublished,
    TakeOrders,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    Invalid,
    OrderReplied,
    OrdersTaken,
    PublishedReported,
    ReplyResult,
    StockNotFound,
)
from ringfence_server.ledger.policy import MINUTE, Location, LocationKind, Policy
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.ledger.till_state import EventKind
from tests.ledger.world import BIKE, NORTH, SOUTH, TILLS, World, booked, figure, key, line, refusal


def shop() -> World:
    """10 bikes at the north till, 10 at the south till."""
    world = World(TILLS)
    world.post(figure(10, position=100), figure(10, location=SOUTH, position=100))
    return world


def sold(world: World, location: str = NORTH) -> Reservation:
    """One order of 2."""
    order = world.reserve(line(COMMON, 2, location=location)).reservation
    return world.consume(order).reservation


def test_an_event_is_one_adapters_until_its_lease_ends() -> None:
    """Two adapters of one till share its orders; what the first one keeps is handed to the second when its lease is
    over, with the same id and as the second attempt."""
    world = shop()
    orders = [sold(world), sold(world)]
    (first,) = world.take(adapter="one", limit=1)
    (second,) = world.take(adapter="two")
    assert [each.reservation for each in (first, second)] == orders
    assert world.take(adapter="two") == []
    world.advance(minutes=1)
    again = world.take(adapter="two", limit=1)
    assert [each.event.event_id for each in again] == [first.event.event_id]
    assert (again[0].event.attempts, again[0].event.lease_until) == (2, world.now + MINUTE)
    till = orders[0].parts[0].till
    assert till is not None
    assert till.attempts == 2
    assert world.reply(first, OrderReceived("T1", None)).result is ReplyResult.RECORDED, "a late reply is a fact"
    assert world.reply(first, OrderRejected("no")).result is ReplyResult.DUPLICATE
    assert orders[0].state is ReservationState.RECEIVED


def test_an_adapter_that_lives_keeps_what_it_has() -> None:
    """A sign of life begins the leases anew; only who says nothing for a lease loses them to another. The order itself
    is as it was: who changes it next need not know."""
    world = shop()
    order = sold(world)
    (held,) = world.take(adapter="one")
    revision = order.revision
    for _ in range(3):
        world.advance(seconds=40)
        assert world.keep(held, adapter="one") == 1
        assert world.take(adapter="two") == []
    assert order.revision == revision
    world.advance(seconds=60)
    (again,) = world.take(adapter="two")
    assert again.event is held.event


def test_a_lease_that_is_over_is_not_begun_anew() -> None:
    """Nor that of another adapter, nor of an event that has its reply: each may be somebody else's business by now."""
    world = shop()
    sold(world)
    (held,) = world.take(adapter="one")
    assert world.keep(held, adapter="two") == 0
    world.advance(minutes=1)
    assert world.keep(held, adapter="one") == 0
    (again,) = world.take(adapter="two")
    world.reply(again, OrderReceived("T1", None))
    assert world.keep(again, adapter="two") == 0


def test_an_adapter_that_comes_back_has_its_own_again_at_once() -> None:
    """Under its name, before its lease is over; another one has to wait."""
    world = shop()
    sold(world)
    (held,) = world.take(adapter="one")
    assert world.take(adapter="two", resume=True) == []
    (again,) = world.take(adapter="one", resume=True)
    assert again.event is held.event


def test_a_till_gets_only_its_own_locations() -> None:
    """Of those it asked for."""
    world = shop()
    here, there = sold(world), sold(world, SOUTH)
    assert [each.reservation for each in world.take(SOUTH)] == [there]
    assert [each.reservation for each in world.take(NORTH, SOUTH)] == [here]


def test_a_cancellation_comes_after_its_order() -> None:
    """As long as another adapter has the order, or it has to be told again later, nobody gets the cancellation."""
    world = shop()
    order = sold(world)
    (handed,) = world.take(adapter="one")
    world.cancel(order)
    assert world.take(adapter="two") == []
    world.reply(handed, OrderFailed("offline", 5 * MINUTE))
    assert world.take(adapter="two") == []
    till = order.parts[0].till
    assert till is not None
    assert till.last_error == "offline"
    world.advance(minutes=5)
    kinds = [each.event.kind for each in world.take(adapter="two")]
    assert kinds == [EventKind.ORDER, EventKind.CANCELLATION]


def test_a_postponed_order_holds_up_no_cancellation() -> None:
    """The till has been told of the order, so anybody may tell it of the cancellation; when the order's time is over it
    is told again first."""
    world = shop()
    order = sold(world)
    (handed,) = world.take(adapter="one")
    world.reply(handed, OrderPostponed(5 * MINUTE))
    world.cancel(order)
    (cancellation,) = world.take(adapter="two")
    assert cancellation.event.kind is EventKind.CANCELLATION
    world.reply(cancellation, OrderFailed("offline", 0))
    world.advance(minutes=5)
    kinds = [each.event.kind for each in world.take(adapter="two")]
    assert kinds == [EventKind.ORDER, EventKind.CANCELLATION]


def test_what_was_not_sent_is_withdrawn_or_told_with_less() -> None:
    """2 of 3 sold, and 2 cancelled before anybody had it: first the held one goes back, then one sold; the till is told
    of 1. That one cancelled too, it is told of nothing."""
    world = shop()
    order = world.hold(COMMON, 3)
    world.consume(order, {"1": 2})
    world.cancel(order, {"1": 2})
    (part,) = order.parts
    assert part.till is not None
    assert (part.held, part.unsettled, part.till.unsent) == (0, 1, 1)
    world.cancel(order)
    assert (world.net(), world.take()) == (10, [])


def test_a_confirmed_cancellation_gives_the_units_back() -> None:
    """c 2 → common; a confirmation is no answer to an order, and an unknown event has no answer."""
    world = shop()
    order = sold(world)
    (handed,) = world.send()
    assert world.reply(handed, CancellationConfirmed()).result is ReplyResult.DUPLICATE
    other = sold(world)
    (open_order,) = world.take()
    refused = world.reply(open_order, CancellationConfirmed())
    assert (refused.result, refused.fault.partition(":")[0]) == (ReplyResult.REFUSED, "REPLY_OF_OTHER_KIND")
    unknown = world.effect(OrderReplied, ReplyOrder(b"0" * 16, OrderReceived("", None)))
    assert unknown.result is ReplyResult.UNKNOWN_EVENT
    world.cancel(order)
    (cancellation,) = world.take()
    assert world.net() == 6
    world.reply(cancellation, CancellationConfirmed())
    assert (world.net(), order.state, other.state) == (8, ReservationState.CANCELLED, ReservationState.SENT)


def test_a_cancellation_of_some_units_leaves_the_others_owed() -> None:
    """1 of 2 confirmed, the other booked at 104: settled by its figure, and nothing is a surplus."""
    world = shop()
    order = sold(world)
    world.send()
    world.cancel(order, {"1": 1})
    (cancellation,) = world.take()
    assert cancellation.event.quantity == 1
    world.reply(cancellation, CancellationConfirmed())
    assert (world.net(), order.parts[0].unsettled) == (9, 1)
    world.post(booked(order, (104, 1), closed=True), figure(9, position=104))
    assert (world.net(), order.state, world.listed()) == (9, ReservationState.SETTLED, [])


def test_an_adapter_that_comes_back_is_handed_its_own_bit_by_bit() -> None:
    """It had two orders and died; back with room for one it gets the first, then the second, each before its
    cancellation, and nothing that it holds twice."""
    world = shop()
    orders = [sold(world), sold(world)]
    world.take()
    for each in orders:
        world.cancel(each)
    holding: frozenset[bytes] = frozenset()
    kinds = []
    for _ in range(4):
        command = TakeOrders("pos", "", (NORTH,), 1, MINUTE, True, holding)
        (handed,) = world.effect(OrdersTaken, command).orders
        holding |= {handed.event.event_id}
        kinds.append((handed.reservation, handed.event.kind))
    assert kinds == [(each, kind) for kind in EventKind for each in orders]
    assert world.effect(OrdersTaken, TakeOrders("pos", "", (NORTH,), 1, MINUTE, True, holding)).orders == ()


def test_an_order_does_not_come_again_behind_its_confirmed_cancellation() -> None:
    """Handed both, the till answers the cancellation alone: nothing is left to be booked."""
    world = shop()
    order = sold(world)
    world.take()
    world.cancel(order)
    (cancellation,) = world.take()
    world.reply(cancellation, CancellationConfirmed())
    world.advance(minutes=2)
    assert (world.take(), order.state) == ([], ReservationState.CANCELLED)


def test_a_subscription_names_tills_of_its_source() -> None:
    """An OWNED location has no feed, and another source's till is not this adapter's."""
    world = World(Policy(locations=(Location(NORTH, LocationKind.TILL, source="pos"), Location(SOUTH))))
    with refusal(Invalid) as refused:
        world.effect(tuple, TakeOrders("one", "erp", (NORTH, SOUTH), 1, MINUTE, False))
    assert [(each.field, each.rule) for each in refused.value.violations] == [
        ("subscribe.locations[0]", "SOURCE_NOT_OF_LOCATION"),
        ("subscribe.locations[1]", "LOCATION_NOT_A_TILL"),
    ]


def test_the_newest_report_of_what_was_published_stands() -> None:
    """By the publisher's own time, per key, path and publisher."""
    world = shop()

    def publish(quantity: int, at: int, publisher: str = "shop", sku: str = BIKE) -> int:
        command = ReportPublished(publisher, (PublishedQuantity(key(sku), COMMON, quantity, at),))
        return world.effect(PublishedReported, command).applied

    assert [publish(9, 20), publish(8, 10), publish(7, 30), publish(1, 5, "market")] == [1, 0, 1, 1]
    published = world[BIKE, NORTH].published
    assert published is not None
    assert {name: each.quantity for name, each in published.items()} == {("shop", COMMON): 7, ("market", COMMON): 1}
    with refusal(StockNotFound):
        publish(1, 1, sku="UNKNOWN")
