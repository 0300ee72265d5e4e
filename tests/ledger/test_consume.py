"""Consume: held or free units become a sale; at an OWNED location they leave the count at once."""

import pytest

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    NotHeld,
    OrderReferenceInUse,
    ReservationNotFound,
)
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Reservation, ReservationState
from tests.ledger.world import BIKE, BORROWING, NORTH, SOUTH, TILLS, World, figure, line, quota, refusal


def test_consume_at_an_owned_location_lowers_the_measure_at_once() -> None:
    """p.h goes out and on hand falls with it: the sale is settled, supply and net agree."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    consumed = world.consume(order)
    (part,) = order.parts
    assert consumed.quantities == (("1", 3),)
    assert not consumed.at_risk
    assert world.on_hand() == 7
    assert (world[BIKE, NORTH].supply, world[BIKE, NORTH].net) == (7, 7)
    assert world.pool("web") == (1, 0, 0)
    assert world.consumed("web") == 3
    assert (part.held, part.unsettled, part.settled, part.settled_time) == (0, 0, 3, world.now)
    assert (order.state, order.consume_time) == (ReservationState.SETTLED, world.now)


def test_consume_at_a_till_stays_unsettled() -> None:
    """p.h goes to p.c: the till's figure does not contain the sale yet, so supply stays and the units stay promised."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    world.consume(order)
    (part,) = order.parts
    assert world.on_hand() == 10
    assert world.pool("web") == (1, 0, 3)
    assert (world[BIKE, NORTH].supply, world[BIKE, NORTH].net) == (10, 7)
    assert world.consumed("web") == 3
    assert (part.unsettled, part.settled, part.settled_time) == (3, 0, None)
    assert order.state is ReservationState.CONSUMED


def test_a_partial_consume_leaves_the_rest_held_under_the_same_lease() -> None:
    """What is not named stays held; a later Consume may sell it, until the lease ends."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    lease = order.expire_time
    assert world.consume(order, {"1": 1}).quantities == (("1", 1),)
    assert [part.held for part in order.parts] == [3, 2]
    assert (order.state, order.expire_time) == (ReservationState.HELD, lease)
    assert world.consume(order, {"1": 0}).quantities == (("1", 3),)
    world.advance(minutes=15)
    assert [part.expired for part in order.parts] == [0, 2]
    assert order.state is ReservationState.SETTLED


def test_a_partial_consume_takes_own_units_first() -> None:
    """Of 4 own and 4 borrowed units a sale of 5 takes the 4 own ones and one borrowed."""
    world = World(BORROWING, BIKE=8)
    world.allocate(quota("web", 4))
    order = world.hold("web", 8)
    world.consume(order, {"1": 3})
    assert [(part.path, part.held) for part in order.parts] == [("web", 1), (COMMON, 4)]
    world.consume(order, {"1": 2})
    assert [(part.path, part.held) for part in order.parts] == [("web", 0), (COMMON, 3)]
    assert (world.consumed("web"), world.consumed(COMMON)) == (4, 1)


def test_release_rest_gives_back_what_stays_held() -> None:
    """The rest of every line goes back to the pools that gave it."""
    world = World(BORROWING, BIKE=8)
    world.allocate(quota("web", 4))
    order = world.reserve(line("web", 5), line(COMMON, 1)).reservation
    world.consume(order, {"1": 2}, release_rest=True)
    assert world.pool("web") == (2, 0, 0)
    assert world.pool(COMMON) == (4, 0, 0)
    assert [(part.settled, part.cancelled) for part in order.parts] == [(2, 2), (0, 1), (0, 1)]
    assert order.state is ReservationState.SETTLED


def test_more_than_is_held_is_refused() -> None:
    """NOT_HELD says of which line, how much was asked and how much there is; no line is sold."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    with refusal(NotHeld) as refused:
        world.consume(order, {"1": 4, "2": 3})
    assert (refused.value.line_id, refused.value.requested, refused.value.available) == ("2", 3, 2)
    assert world.on_hand() == 10


def test_what_is_sold_or_cancelled_cannot_be_sold_again() -> None:
    """A second Consume finds nothing held."""
    world = World(BIKE=10)
    sold, cancelled = world.hold(COMMON, 4), world.hold(COMMON, 2)
    world.consume(sold)
    world.cancel(cancelled)
    for order in (sold, cancelled):
        with refusal(NotHeld):
            world.consume(order)
        with refusal(NotHeld):
            world.consume(order, {"1": 1})


def test_consume_of_a_live_hold_never_needs_net_and_says_at_risk() -> None:
    """The count fell below what is promised: the sale stands, but delivery may fail."""
    world = World(BIKE=10)
    first, second = world.hold(COMMON, 5), world.hold(COMMON, 5)
    world.stock(on_hand=7)
    assert world.consume(first).at_risk
    assert world[BIKE, NORTH].net == -3
    world.stock(on_hand=5)
    assert not world.consume(second).at_risk


def test_at_risk_speaks_of_the_keys_of_this_sale() -> None:
    """A line that stays held on another key does not put the sold one at risk."""
    world = World(BIKE=10, LAMP=10)
    order = world.reserve(line(COMMON, 5), line(COMMON, 5, sku="LAMP")).reservation
    world.stock("LAMP", on_hand=1)
    assert not world.consume(order, {"1": 5}).at_risk
    assert world.consume(order, {"2": 5}).at_risk


def test_a_direct_sale_makes_a_reservation() -> None:
    """p.a goes out without a hold; the answer carries a reservation that is consumed and never ends."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    consumed = world.sell(line("web", 3), line(COMMON, 2), order="A-1", attributes=b"gift", owner="till 4")
    order = consumed.reservation
    assert consumed.quantities == (("1", 3), ("2", 2))
    assert (order.expire_time, order.consume_time, order.state) == (None, world.now, ReservationState.SETTLED)
    assert (order.order_reference, order.attributes, order.owner) == ("A-1", b"gift", "till 4")
    assert (world.pool("web"), world.pool(COMMON), world.on_hand()) == ((1, 0, 0), (4, 0, 0), 5)


def test_a_direct_sale_at_a_till_owes_its_units() -> None:
    """p.a goes to p.c."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    world.sell(line(COMMON, 3))
    assert world.pool(COMMON) == (7, 0, 3)


def test_a_direct_sale_is_a_promise_and_all_or_nothing() -> None:
    """It is judged as Reserve is: summed, against net, every short line listed."""
    world = World(BIKE=10, LAMP=3)
    world.allocate(quota("web", 10))
    world.stock(on_hand=4)
    with refusal(Insufficient) as refused:
        world.sell(line("web", 3), line("web", 2), line(COMMON, 4, sku="LAMP"))
    assert [(short.line_id, short.available) for short in refused.value.shortages] == [("2", 1), ("3", 3)]


def test_a_direct_sale_is_sourced_and_split_like_a_reservation() -> None:
    """A line without a location may be put together from several."""
    world = World(Policy(location_order=(NORTH, SOUTH), allow_split=True))
    world.stock(on_hand=3)
    world.stock(location=SOUTH, on_hand=3)
    with refusal(Insufficient):
        world.sell(line(COMMON, 5, location=""))
    world.sell(line(COMMON, 5, location=""), split=True)
    assert (world.on_hand(), world.on_hand(location=SOUTH)) == (0, 1)


def test_an_order_reference_is_unique_per_caller() -> None:
    """A second order of the caller under the same number is refused and told which one has it; another caller may."""
    world = World(BIKE=10)
    first, second, third = (world.hold(COMMON, 1) for _ in range(3))
    world.consume(first, order="A-1")
    with refusal(OrderReferenceInUse) as refused:
        world.consume(second, order="A-1")
    assert (refused.value.order_reference, refused.value.reservation_id) == ("A-1", first.reservation_id)
    with refusal(OrderReferenceInUse):
        world.sell(line(COMMON, 1), order="A-1")
    world.consume(third, order="A-1", caller="marketplace")


def test_an_order_reference_belongs_to_the_caller_that_sells() -> None:
    """Who consumed under a number has it, though another caller made the reservation."""
    world = World(BIKE=10)
    first = world.reserve(line(COMMON, 1), caller="basket").reservation
    second = world.reserve(line(COMMON, 1), caller="basket").reservation
    world.consume(first, order="A-1", caller="checkout")
    with refusal(OrderReferenceInUse):
        world.consume(second, order="A-1", caller="checkout")
    world.consume(second, order="A-1", caller="basket")


def test_a_reservation_keeps_its_order_reference() -> None:
    """Later sales of the same order may repeat the number or leave it out, not change it."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 1}, order="A-1")
    world.consume(order, {"1": 1})
    world.consume(order, {"1": 1}, order="A-1")
    assert order.order_reference == "A-1"
    with refusal(Invalid) as refused:
        world.consume(order, {"1": 1}, order="A-2")
    assert refused.value.violations[0].rule == "ORDER_REFERENCE_FIXED"


def test_attributes_are_handed_on_untouched() -> None:
    """The newest that a sale carried stand on the order; a sale without any leaves them."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 1}, attributes=b"\x00\xff")
    world.consume(order, {"1": 1})
    assert order.attributes == b"\x00\xff"


def test_the_consume_time_is_that_of_the_first_unit() -> None:
    """And every sale raises the order's revision by one."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 1})
    first = world.now
    world.advance(minutes=1)
    world.consume(order, {"1": 1})
    assert (order.consume_time, order.revision) == (first, 3)


@pytest.mark.parametrize("line_id", ["2", "saddle"])
def test_a_line_that_the_order_does_not_have_is_named(line_id: str) -> None:
    """LINE_NOT_FOUND is a fault of the request."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    with refusal(Invalid) as refused:
        world.consume(order, {"1": 1, line_id: 1})
    assert (refused.value.violations[0].rule, refused.value.violations[0].field) == (
        "LINE_NOT_FOUND",
        "lines[1].line_id",
    )


def test_another_organizations_reservation_does_not_exist() -> None:
    """RESERVATION_NOT_FOUND, as for an id that never was."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    order.organization = "other"
    with refusal(ReservationNotFound):
        world.consume(order)
    with refusal(ReservationNotFound):
        world.cancel(order)
    with refusal(ReservationNotFound):
        world.consume(Reservation(b"?" * 16, "other", "", "", None, 0))
