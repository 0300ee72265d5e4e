"""The settlement table, rows 13 to 24: one test a row, with the numbers of a worked example.

Every example begins with a figure of 10 bikes at position 100, of which 5 are fenced for web, and an order of 3 from
web.
"""

from __future__ import annotations

import pytest

from ringfence_server.ledger.commands import CancellationConfirmed, CancellationRefused, CountBegin, CountEnd
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import CountResult, FigureResult, Restock
from ringfence_server.ledger.policy import Location, LocationKind, Measure, Policy, SupplyTerm
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.ledger.till_state import DiscrepancyKind, Mark
from tests.ledger.world import BIKE, NORTH, SOUTH, TILLS, World, booked, figure, line, quota


def shop(policy: Policy = TILLS) -> World:
    """10 bikes at position 100, 5 of them fenced for web."""
    world = World(policy)
    world.post(figure(10, position=100))
    world.allocate(quota("web", 5))
    return world


def sold(world: World, quantity: int = 3) -> Reservation:
    """An order from web that the till has received: web has 5 − quantity free and c = quantity."""
    order = world.consume(world.hold("web", quantity), order="web-1").reservation
    world.send()
    return order


def test_row_13_closed_without_a_booking() -> None:
    """The till gives the line up: c 3 → web, which has 5 free again. CANCELLED."""
    world = shop()
    order = sold(world)
    assert world.pool("web") == (2, 0, 3)
    world.post(booked(order, closed=True))
    assert (world.pool("web"), world.pool(COMMON)) == ((5, 0, 0), (5, 0, 0))
    assert (order.state, order.parts[0].cancelled) == (ReservationState.CANCELLED, 3)
    assert world.consumed("web") == 0


@pytest.mark.parametrize(
    ("position", "value", "web", "common", "settled"),
    [
        pytest.param(102, 10, (2, 0, 3), (5, 0, 0), 0, id="before both"),
        pytest.param(106, 7, (2, 0, 0), (5, 0, 0), 3, id="between"),
        pytest.param(110, 10, (5, 0, 0), (5, 0, 0), 0, id="after both"),
    ],
)
def test_row_14_booked_and_reversed(
    position: int, value: int, web: tuple[int, ...], common: tuple[int, ...], settled: int
) -> None:
    """Booked 3 at 104, reversed at 108, closed. The next figure is of 102 (10 bikes): c stays 3. Or of 106 (7): c →
    common, settled. Or of 110 (10): c → web. However it came there, at 110 the order is CANCELLED and 10 are free."""
    world = shop()
    order = sold(world)
    world.post(booked(order, (104, 3), (108, -3), closed=True))
    world.post(figure(value, position=position))
    assert (world.pool("web"), world.pool(COMMON)) == (web, common)
    assert order.parts[0].settled == settled
    world.post(figure(10, position=120))
    assert (order.state, world.net()) == (ReservationState.CANCELLED, 10)
    assert world.consumed("web") == 0


def test_row_15_cancel_of_a_settled_sale() -> None:
    """Settled at 104: 7 on hand, free 2 + 5. Cancel moves nothing and asks the till. The till reverses at 108: its
    figure of 110 says 10, free 2 + 8. Confirmed, it is CANCELLED; the stock came by the figure, once."""
    world = shop()
    order = sold(world)
    world.post(booked(order, (104, 3)), figure(7, position=104))
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.WHEN_TILL_CONFIRMS)
    assert (order.state, world.net()) == (ReservationState.CANCELLING, 7)
    (handed,) = world.take()
    world.post(booked(order, (104, 3), (108, -3)), figure(10, position=110))
    assert (world.pool("web"), world.pool(COMMON)) == ((2, 0, 0), (8, 0, 0))
    world.reply(handed, CancellationConfirmed())
    assert (world.pool("web"), world.pool(COMMON)) == ((2, 0, 0), (8, 0, 0))
    assert (order.state, world.consumed("web")) == (ReservationState.CANCELLED, 0)


def test_row_16_the_till_refuses_the_cancellation() -> None:
    """CANCELLING with c 3, refused because it is wrapped: nothing moves, the order stands where it stood, and the
    reason is told. It may be asked again."""
    world = shop()
    order = sold(world)
    world.cancel(order)
    (handed,) = world.take()
    world.reply(handed, CancellationRefused("wrapped"))
    assert (order.state, world.pool("web")) == (ReservationState.RECEIVED, (2, 0, 3))
    assert order.parts[0].till is not None
    assert (order.parts[0].till.cancelling, order.parts[0].till.refused_reason) == (0, "wrapped")
    assert [each.restock for each in world.cancel(order).lines] == [Restock.WHEN_TILL_CONFIRMS]


def test_row_17_a_partial_booking() -> None:
    """2 of 3 booked at 104, with the figure of 8: c 1 stays owed, 2 settled, free 2 + 5. The third at 108, with 7."""
    world = shop()
    order = sold(world)
    (outcome,) = world.post(booked(order, (104, 2)), figure(8, position=104)).bookings
    assert (outcome.contained, outcome.owed) == (2, 1)
    (part,) = order.parts
    assert (part.settled, part.unsettled, world.net()) == (2, 1, 7)
    assert (world.pool("web"), world.pool(COMMON)) == ((2, 0, 1), (5, 0, 0))
    world.post(booked(order, (104, 2), (108, 1)), figure(7, position=108))
    assert (order.state, world.net()) == (ReservationState.SETTLED, 7)


def test_row_18_closed_short_or_rejected() -> None:
    """2 of 3 booked and closed: c 1 stays, REJECTED; Cancel gives it back to web at once. Rejected whole: c 3 stays,
    and ReassignPart moves it to the south store, which has 4: web 5 free at north, c 3 of common at south."""
    world = shop()
    short = sold(world)
    world.post(booked(short, (104, 2), closed=True), figure(8, position=104))
    assert (short.state, world.pool("web"), world.net()) == (ReservationState.REJECTED, (2, 0, 1), 7)
    (taken,) = world.cancel(short).lines
    assert (taken.quantity, taken.restock, world.pool("web")) == (3, Restock.WHEN_TILL_CONFIRMS, (3, 0, 0))
    assert short.parts[0].cancelled == 1

    world = shop()
    world.post(figure(4, location=SOUTH, position=7))
    order = sold(world)
    world.post(booked(order, reject="damaged"))
    assert (order.state, world.pool("web")) == (ReservationState.REJECTED, (2, 0, 3))
    (part,) = world.reassign(order, SOUTH, path=COMMON).parts
    assert (world.pool("web"), world.pool(COMMON, location=SOUTH)) == ((5, 0, 0), (1, 0, 3))
    assert (part.number, part.unsettled, order.parts[0].granted) == (2, 3, 0)
    assert order.state is ReservationState.CONSUMED
    assert [handed.part.number for handed in world.take(SOUTH)] == [2]


def test_row_19_booked_beyond_what_was_sold() -> None:
    """4 booked for 3, with the figure of 6: c 0, free 6; the fourth is a walk-in, listed."""
    world = shop()
    order = sold(world)
    (outcome,) = world.post(booked(order, (104, 4)), figure(6, position=104)).bookings
    assert outcome.surplus == 1
    assert (order.state, order.parts[0].settled, world.net()) == (ReservationState.SETTLED, 3, 6)
    assert world.listed() == [(DiscrepancyKind.SURPLUS_BOOKING, 1)]


def test_row_20_booked_in_another_store() -> None:
    """North 10, south 4. The south till books the 3: north c 3 → web; south free 4 → 1, c 3; its figure of 1 settles
    them. The order has a part at south, and the move is listed."""
    world = shop()
    world.post(figure(4, location=SOUTH, position=7))
    order = sold(world)
    world.post(booked(order, (9, 3), location=SOUTH))
    assert (world.pool("web"), world.pool(COMMON, location=SOUTH)) == ((5, 0, 0), (1, 0, 3))
    assert world.listed() == [(DiscrepancyKind.MOVED_STORE, 3)]
    world.post(figure(1, location=SOUTH, position=9))
    assert (world.net(), world.net(BIKE, SOUTH)) == (10, 1)
    assert [part.stock.key.location for part in order.parts if part.settled] == [SOUTH]
    assert order.state is ReservationState.SETTLED


@pytest.mark.parametrize("ended", [False, True], ids=["held", "expired"])
def test_row_21_booked_while_only_held_or_after_the_end(ended: bool) -> None:
    """Held 3, and the till books them: h → c, consumed by that fact, and its figure of 7 settles them. Expired: nothing
    moves, the units are a walk-in, listed, and the figure of 7 has them."""
    world = shop()
    order = world.hold("web", 3)
    if ended:
        world.advance(minutes=15)
    world.post(booked(order, (104, 3)))
    assert world.pool("web") == ((5, 0, 0) if ended else (2, 0, 3))
    kind = DiscrepancyKind.BOOKED_AFTER_END if ended else DiscrepancyKind.BOOKED_WHILE_HELD
    assert world.listed() == [(kind, 3)]
    world.post(figure(7, position=104))
    assert order.state is (ReservationState.EXPIRED if ended else ReservationState.SETTLED)
    assert world.net() == 7


def test_row_22_a_full_count_ends() -> None:
    """The count of position 200 mentions bikes (10) and not lamps (2, of position 100). With one of two keys durable
    the end is INCOMPLETE; with both lamps become zero, as by a figure of 200, and a figure of 150 is STALE then."""
    world = shop()
    world.post(figure(2, sku="LAMP", position=100), figure(9, sku="BELL", position=100))
    world.post(count="c1", begin=CountBegin(NORTH, "", Mark(0, 200)))
    world.post(figure(10), count="c1")
    end = world.post(count="c1", end=CountEnd(2, False)).end
    assert end is not None
    assert (end.result, end.mentioned) == (CountResult.INCOMPLETE, 1)
    assert world.net("LAMP") == 2
    world.post(figure(9, sku="BELL"), count="c1")
    end = world.post(count="c1", end=CountEnd(2, False)).end
    assert end is not None
    assert (end.result, end.unmentioned, end.zeroed_units) == (CountResult.APPLIED, 1, 2)
    assert (world.net("LAMP"), world.net("BELL"), world.net()) == (0, 9, 10)
    (late,) = world.post(figure(2, sku="LAMP", position=150)).outcomes
    assert (late.result, world.net("LAMP")) == (FigureResult.STALE, 0)


def test_row_23_a_figure_of_another_measure() -> None:
    """6 inbound at coefficient +1, from the warehouse's own position 900: free rises by 6, and c 3 stays: it settles
    nothing, though its position is beyond the booking's."""
    policy = Policy(
        locations=(Location(NORTH, LocationKind.TILL, source="wms"),),
        measures=(Measure("on_hand"), Measure("inbound")),
        supply=(SupplyTerm("on_hand", 1), SupplyTerm("inbound", 1)),
    )
    world = shop(policy)
    order = sold(world)
    world.post(booked(order, (104, 3)))
    world.post(figure(6, "inbound", position=900), source="warehouse")
    assert (world.pool("web"), world.pool(COMMON)) == ((2, 0, 3), (11, 0, 0))


def test_row_24_consume_at_an_owned_location() -> None:
    """The service counts 10 itself: Consume of 3 lowers the count to 7 and settles at once; no till is told."""
    world = World(BIKE=10)
    order = world.consume(world.hold(COMMON, 3)).reservation
    assert (world.on_hand(), world.pool(COMMON)) == (7, (7, 0, 0))
    assert (order.state, order.parts[0].till) == (ReservationState.SETTLED, None)
    world.reserve(line(COMMON, 7))
