"""Cancel takes back whatever is left, in every state, and says when it can be sold again."""

from dataclasses import replace

import pytest

from ringfence_server.ledger.commands import CancelReason
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Invalid, NotHeld, Restock
from ringfence_server.ledger.policy import PathRule, Policy
from ringfence_server.ledger.state import ReservationState, reservation_state
from ringfence_server.ledger.till_state import EventState
from tests.ledger.world import BORROWING, TILLS, World, back, booked, figure, line, quota, refusal, shift


def test_a_hold_comes_back_at_once() -> None:
    """The units are free again in the pool that gave them."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    (taken,) = world.cancel(order, reason=CancelReason.PAYMENT, text="card refused").lines
    (part,) = order.parts
    assert (taken.line_id, taken.quantity, taken.restock) == ("1", 3, Restock.AT_ONCE)
    assert world.pool("web") == (4, 0, 0)
    assert (part.granted, part.held, part.cancelled) == (3, 0, 3)
    assert (order.state, order.revision) == (ReservationState.CANCELLED, 2)
    assert (order.cancel_reason, order.cancel_text) == (CancelReason.PAYMENT, "card refused")


def test_cancel_of_an_expired_order_succeeds_and_says_that_nothing_came_back() -> None:
    """The lease gave the units back already: quantity 0, restock NONE. The order is cancelled all the same, with its
    reason, and a second time changes nothing."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 3)
    world.advance(minutes=15)
    (taken,) = world.cancel(order, reason=CancelReason.CUSTOMER).lines
    (part,) = order.parts
    assert (taken.quantity, taken.restock) == (0, Restock.NONE)
    assert (order.state, order.cancel_reason) == (ReservationState.CANCELLED, CancelReason.CUSTOMER)
    assert (part.granted, part.cancelled, part.expired) == (3, 3, 0)
    assert world.pool(COMMON) == (10, 0, 0)
    revision = order.revision
    world.cancel(order, reason=CancelReason.OTHER)
    assert (order.revision, order.cancel_reason) == (revision, CancelReason.CUSTOMER)


def test_cancel_of_a_consumed_order_succeeds_and_says_what_came_back() -> None:
    """A sale that no till has been told of: c goes back to the pool that gave."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    world.consume(order)
    assert reservation_state(order) is ReservationState.CONSUMED
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.AT_ONCE)
    assert world.pool("web") == (4, 0, 0)
    assert (world.consumed("web"), world.on_hand()) == (0, 10)
    assert reservation_state(order) is ReservationState.CANCELLED


def test_cancel_of_a_settled_order_succeeds_and_says_what_came_back() -> None:
    """At an OWNED location the units come back to the count and to the pool that gave."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    world.consume(order)
    assert (order.state, world.on_hand()) == (ReservationState.SETTLED, 7)
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.AT_ONCE)
    assert world.pool("web") == (4, 0, 0)
    assert (world.on_hand(), world.consumed("web")) == (10, 0)
    assert reservation_state(order) is ReservationState.CANCELLED


def test_a_sale_that_was_sent_stays_counted() -> None:
    """Restocking a sent sale at once would oversell: the till may book it yet."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    order = world.hold(COMMON, 3)
    world.consume(order)
    world.send()
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.WHEN_TILL_CONFIRMS)
    assert world.pool(COMMON) == (7, 0, 3)
    with refusal(NotHeld):
        world.cancel(order, {"1": 1})


def test_of_an_order_sent_in_part_the_unsent_sale_comes_back_first() -> None:
    """The borrowed part went to the till and stays counted, though borrowed units go back first; own ones return. Only
    for more than these the till is asked."""
    world = World(replace(TILLS, path_rules=BORROWING.path_rules))
    world.post(figure(10, position=1))
    world.allocate(quota("web", 4))
    order = world.hold("web", 6)
    world.consume(order)
    own, borrowed = order.parts
    assert borrowed.till is not None
    borrowed.till.events[0].attempts = 1
    borrowed.till.events[0].state = EventState.DONE
    (taken,) = world.cancel(order, {"1": 3}).lines
    assert (taken.quantity, taken.restock) == (3, Restock.AT_ONCE)
    assert (own.unsettled, borrowed.unsettled) == (1, 2)
    assert (world.pool("web"), world.pool(COMMON)) == ((3, 0, 1), (4, 0, 2))
    (taken,) = world.cancel(order, {"1": 2}).lines
    assert (taken.quantity, taken.restock) == (2, Restock.WHEN_TILL_CONFIRMS)
    assert (world.pool("web"), world.pool(COMMON)) == ((4, 0, 0), (4, 0, 2))
    assert borrowed.till.cancelling == 1


def test_a_sale_of_a_till_that_is_one_no_more_comes_back_at_once() -> None:
    """The till had booked it; the service keeps the count now, so nobody is left to be asked, and who was is not."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    order, asked = world.sell(line(COMMON, 3)).reservation, world.sell(line(COMMON, 2)).reservation
    world.send()
    world.post(booked(order, (2, 3)), booked(asked, (3, 2)), figure(5, position=3))
    assert world.cancel(asked).lines[0].restock is Restock.WHEN_TILL_CONFIRMS
    world.set_policy(Policy())
    for each, units in ((order, 3), (asked, 2)):
        (taken,) = world.cancel(each).lines
        assert (taken.quantity, taken.restock) == (units, Restock.AT_ONCE)
        assert each.state is ReservationState.CANCELLED
        assert all(part.till is not None and part.till.cancelling == 0 for part in each.parts)
    assert (world.pool(COMMON), world.on_hand(), world.consumed(COMMON)) == ((10, 0, 0), 10, 0)
    world.set_policy(TILLS)
    assert not world.take()


def test_a_second_cancel_takes_back_nothing() -> None:
    """It succeeds, changes nothing and leaves the first one's reason."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 3)
    world.cancel(order, reason=CancelReason.FRAUD)
    (taken,) = world.cancel(order, reason=CancelReason.OTHER).lines
    assert (taken.quantity, taken.restock) == (0, Restock.NONE)
    assert (order.revision, order.cancel_reason) == (2, CancelReason.FRAUD)


def test_an_order_sold_in_part_comes_back_whole() -> None:
    """What is held and what is sold are both left, so both are taken back."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    world.consume(order, {"1": 3})
    assert [(each.line_id, each.quantity) for each in world.cancel(order).lines] == [("1", 4), ("2", 2)]
    assert (world.pool(COMMON), world.on_hand()) == ((10, 0, 0), 10)


def test_a_partial_cancel_returns_the_borrowed_first() -> None:
    """Own units stay with the order as long as there are borrowed ones to return."""
    world = World(BORROWING, BIKE=8)
    world.allocate(quota("web", 4))
    order = world.hold("web", 8)
    world.cancel(order, {"1": 3})
    assert [(part.path, part.held) for part in order.parts] == [("web", 4), (COMMON, 1)]
    world.cancel(order, {"1": 2})
    assert [(part.path, part.held) for part in order.parts] == [("web", 3), (COMMON, 0)]
    assert reservation_state(order) is ReservationState.HELD


def test_a_partial_cancel_of_a_sale_returns_the_borrowed_first() -> None:
    """Sold units come back in the same order, each to the pool that gave it."""
    world = World(BORROWING, BIKE=8)
    world.allocate(quota("web", 4))
    order = world.hold("web", 8)
    world.consume(order)
    world.cancel(order, {"1": 5})
    assert (world.pool("web"), world.pool(COMMON)) == ((1, 0, 0), (4, 0, 0))
    assert reservation_state(order) is ReservationState.SETTLED


def test_of_a_part_what_is_held_goes_back_before_what_is_sold() -> None:
    """A sale is undone last."""
    world = World(BIKE=8)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 2})
    world.cancel(order, {"1": 3})
    (part,) = order.parts
    assert (part.held, part.settled, part.cancelled) == (0, 1, 3)


def test_cancel_with_lines_is_strict() -> None:
    """More than is left is NOT_HELD, and no line is taken back."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    with refusal(NotHeld) as refused:
        world.cancel(order, {"1": 1, "2": 3})
    assert (refused.value.line_id, refused.value.requested, refused.value.available) == ("2", 3, 2)
    world.advance(minutes=15)
    with refusal(NotHeld):
        world.cancel(order, {"1": 1})


def test_zero_takes_back_all_that_a_named_line_has() -> None:
    """Lines that are not named stay; the answer follows the order of the reservation."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2), line(COMMON, 1)).reservation
    lines = world.cancel(order, {"3": 1, "1": 0}).lines
    assert [(each.line_id, each.quantity) for each in lines] == [("1", 4), ("3", 1)]
    assert world.pool(COMMON) == (8, 2, 0)


def test_what_comes_back_goes_to_the_nearest_living_ancestor_of_a_pool_that_is_gone() -> None:
    """The quota of web/london was dissolved after the sale: the return goes to web."""
    world = World(BIKE=10)
    world.allocate(quota("web/london", 3), quota("web", 2))
    order = world.sell(line("web/london", 2)).reservation
    world.unallocate(back("web/london"))
    world.cancel(order)
    assert (world.pool("web/london"), world.pool("web"), world.pool(COMMON)) == ((0, 0, 0), (4, 0, 0), (6, 0, 0))


def test_without_a_living_ancestor_the_common_pool_gets_it() -> None:
    """The common pool always lives."""
    world = World(BIKE=10)
    world.allocate(quota("web/london", 3), quota("web", 2))
    order = world.sell(line("web/london", 2)).reservation
    world.reallocate(shift("web/london", "app", 1), shift("web", "app", 2))
    world.cancel(order)
    assert (world.pool("web/london"), world.pool("web"), world.pool(COMMON)) == ((0, 0, 0), (0, 0, 0), (7, 0, 0))


def test_no_cap_refuses_what_comes_back() -> None:
    """The pool was filled up to its quota_cap while the units were sold; the return goes above it."""
    world = World(Policy(path_rules=(PathRule("web", quota_cap=4),)), BIKE=10)
    world.allocate(quota("web", 4))
    order = world.sell(line("web", 3)).reservation
    world.allocate(quota("web", 3))
    world.cancel(order)
    assert world.pool("web") == (7, 0, 0)


def test_cancel_never_needs_net() -> None:
    """More is promised than is there, and taking a promise back is possible all the same."""
    world = World(BIKE=10)
    order, sold = world.hold(COMMON, 4), world.hold(COMMON, 4)
    world.consume(sold)
    world.stock(on_hand=0)
    world.cancel(order)
    assert world.pool(COMMON) == (0, 0, 0)
    world.cancel(sold)
    assert (world.pool(COMMON), world.on_hand()) == ((4, 0, 0), 4)


def test_reserve_then_cancel_restores_every_balance() -> None:
    """Borrowed, own and second-location units all find their way home."""
    world = World(BORROWING, BIKE=10, LAMP=3)
    world.allocate(quota("web", 2), quota("web/london", 1))
    before = (world.pool("web/london"), world.pool("web"), world.pool(COMMON), world.pool(COMMON, "LAMP"))
    world.cancel(world.reserve(line("web/london", 9), line(COMMON, 2, sku="LAMP")).reservation)
    assert before == (world.pool("web/london"), world.pool("web"), world.pool(COMMON), world.pool(COMMON, "LAMP"))


@pytest.mark.parametrize("line_id", ["2", "saddle"])
def test_a_line_that_the_order_does_not_have_is_named(line_id: str) -> None:
    """LINE_NOT_FOUND is a fault of the request, and nothing is taken back."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    with refusal(Invalid) as refused:
        world.cancel(order, {"1": 1, line_id: 1})
    assert refused.value.violations[0].rule == "LINE_NOT_FOUND"
