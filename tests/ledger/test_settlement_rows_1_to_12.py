"""The settlement table, rows 1 to 12: one test a row, with the numbers of a worked example.

Every example begins at 10:00 with a figure of 10 bikes at position 100, and an order of 3 unless it says otherwise.
"""

from __future__ import annotations

from ringfence_server.ledger.commands import OrderReceived
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import BookingResult, FigureResult, Posted, Restock
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.ledger.till_state import DiscrepancyKind, EventKind
from tests.ledger.world import TILLS, World, booked, figure, line


def shop() -> World:
    """The north till counts 10 bikes at its journal's position 100."""
    world = World(TILLS)
    world.post(figure(10, position=100), source="pos")
    return world


def sold(world: World, quantity: int = 3, *, sent: bool = True) -> Reservation:
    """An order that the till has been sent and has received."""
    order = world.consume(world.hold(COMMON, quantity), order="web-1").reservation
    if sent:
        world.send()
    return order


def only_figure(posted: Posted) -> tuple[FigureResult, int, int]:
    """Result, value and Σ c of the key."""
    (outcome,) = posted.outcomes
    return outcome.result, outcome.value, outcome.unsettled


def test_row_1_consume() -> None:
    """Held 3 of 10: free 7, held 3. Consume: free 7, c 3; the order is CONSUMED, and an event of 3 waits for the
    till."""
    world = shop()
    order = world.hold(COMMON, 3)
    assert world.pool(COMMON) == (7, 3, 0)
    world.consume(order, order="web-1", attributes=b"gift")
    assert world.pool(COMMON) == (7, 0, 3)
    assert order.state is ReservationState.CONSUMED
    (handed,) = world.take()
    event = handed.event
    assert (event.kind, event.quantity, event.channel) == (EventKind.ORDER, 3, "webshop")
    assert (handed.reservation.order_reference, handed.reservation.attributes) == ("web-1", b"gift")


def test_row_2_sent_and_received() -> None:
    """Free 7 and c 3 before, between and after: that the till has the order, as document R-17, settles nothing."""
    world = shop()
    order = sold(world, sent=False)
    (handed,) = world.take()
    assert (order.state, world.pool(COMMON)) == (ReservationState.SENT, (7, 0, 3))
    world.reply(handed, OrderReceived("R-17", 5))
    assert (order.state, world.pool(COMMON)) == (ReservationState.RECEIVED, (7, 0, 3))
    (part,) = order.parts
    assert (part.sent_time, part.received_time, part.document_number) == (world.now, 5, "R-17")


def test_row_3_a_booking_beyond_the_figure() -> None:
    """Booked at 104, the figure is of 100: remembered, and c stays 3. The bike count still says 10, so 7 are free."""
    world = shop()
    order = sold(world)
    (outcome,) = world.post(booked(order, (104, 3))).bookings
    assert (outcome.result, outcome.contained, outcome.owed) == (BookingResult.APPLIED, 0, 3)
    assert world.pool(COMMON) == (7, 0, 3)


def test_row_4_a_late_booking() -> None:
    """The figure of 110 says 7, and the booking of 104 comes after it: until then 4 are free, too low by 3; then c →
    free at once, 7, without a new figure."""
    world = shop()
    order = sold(world)
    world.post(figure(7, position=110))
    assert world.pool(COMMON) == (4, 0, 3)
    (outcome,) = world.post(booked(order, (104, 3))).bookings
    assert (outcome.contained, outcome.owed) == (3, 0)
    assert world.pool(COMMON) == (7, 0, 0)
    assert (order.state, order.parts[0].settled_time) == (ReservationState.SETTLED, world.now)


def test_row_5_a_figure_with_its_bookings() -> None:
    """Booked 3 at 104 and a walk-in of 1 at 107; the figure of 110 says 6 and brings the booking: free 6, c 0.
    Exact."""
    world = shop()
    order = sold(world)
    posted = world.post(booked(order, (104, 3)), figure(6, position=110))
    assert only_figure(posted) == (FigureResult.APPLIED, 6, 0)
    assert world.pool(COMMON) == (6, 0, 0)
    assert order.state is ReservationState.SETTLED


def test_row_6_a_stale_figure_and_its_booking() -> None:
    """The figure of 110 (7) is in force; that of 105 (7), with the booking of 104, arrives later. It is STALE and moves
    nothing, but its booking is good: c 3 → 0, free 4 → 7."""
    world = shop()
    order = sold(world)
    world.post(figure(7, position=110))
    posted = world.post(booked(order, (104, 3)), figure(7, position=105))
    assert only_figure(posted) == (FigureResult.STALE, 7, 0)
    assert posted.outcomes[0].position == 110
    assert world.pool(COMMON) == (7, 0, 0)


def test_row_7_the_same_position_again() -> None:
    """10 at 100 again is a DUPLICATE. 9 at 100 is a CONFLICT: 10 stands, and the difference of -1 is listed."""
    world = shop()
    assert only_figure(world.post(figure(10, position=100))) == (FigureResult.DUPLICATE, 10, 0)
    assert world.listed() == []
    assert only_figure(world.post(figure(9, position=100), source="pos-2")) == (FigureResult.CONFLICT, 10, 0)
    assert world.pool(COMMON) == (10, 0, 0)
    (row,) = world.discrepancies
    assert (row.kind, row.quantity, row.known, row.reported) == (DiscrepancyKind.POSITION_CONFLICT, -1, 10, 9)
    assert (row.position, row.source, row.measure) == (100, "pos-2", "on_hand")


def test_row_8_a_chained_delta() -> None:
    """-3 at 104, chained to 100, is the order's booking: value 7, free 7, c 0. +5 at 108, chained to 104, is a
    delivery: free 12. A delta may be chained to any position that the one in force has passed."""
    world = shop()
    order = sold(world)
    posted = world.post(booked(order, (104, 3)), figure(-3, position=104, previous=100))
    assert only_figure(posted) == (FigureResult.APPLIED, 7, 0)
    assert (world.pool(COMMON), order.state) == ((7, 0, 0), ReservationState.SETTLED)
    assert only_figure(world.post(figure(5, position=108, previous=102))) == (FigureResult.APPLIED, 12, 0)
    assert world.pool(COMMON) == (12, 0, 0)


def test_row_9_a_delta_out_of_order() -> None:
    """Chained to 104 while 100 is in force: a GAP, nothing moves, send the figure. At 100 or before: STALE. The booking
    that a delta brought is remembered all the same, and settles with the figure."""
    world = shop()
    order = sold(world)
    posted = world.post(booked(order, (104, 3)), figure(-1, position=106, previous=104))
    assert only_figure(posted) == (FigureResult.GAP, 10, 3)
    assert only_figure(world.post(figure(-1, position=100, previous=99))) == (FigureResult.STALE, 10, 3)
    assert world.pool(COMMON) == (7, 0, 3)
    world.post(figure(6, position=106))
    assert world.pool(COMMON) == (6, 0, 0)


def test_row_10_walk_ins_returns_and_deliveries() -> None:
    """They are in figures only. With 8 of 10 sold online and not booked, 4 walk-ins leave 6: free -2, which may be; no
    new promise is made, and the shortfall of 2 is listed. A delivery of 5 brings free 3."""
    world = shop()
    sold(world, 8)
    assert only_figure(world.post(figure(6, position=110))) == (FigureResult.APPLIED, 6, 8)
    assert (world.pool(COMMON), world.net()) == ((-2, 0, 8), -2)
    assert world.listed() == [(DiscrepancyKind.SHORTFALL, 2)]
    world.post(figure(5, position=112, previous=110))
    assert world.pool(COMMON) == (3, 0, 8)


def test_row_11_cancel_before_it_is_sent() -> None:
    """c 3 → the giving pool at once, AT_ONCE; the till is never told, not of the order and not of its cancellation."""
    world = shop()
    order = sold(world, sent=False)
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.AT_ONCE)
    assert (world.pool(COMMON), order.state) == ((10, 0, 0), ReservationState.CANCELLED)
    assert world.take() == []


def test_row_12_cancel_of_a_sent_order() -> None:
    """Nothing moves, c stays 3: CANCELLING, WHEN_TILL_CONFIRMS, and the till is sent a cancellation of 3. A second
    Cancel finds nothing left to take back. A new order cannot have the units: 7 are free."""
    world = shop()
    order = sold(world)
    (taken,) = world.cancel(order).lines
    assert (taken.quantity, taken.restock) == (3, Restock.WHEN_TILL_CONFIRMS)
    assert (world.pool(COMMON), order.state) == ((7, 0, 3), ReservationState.CANCELLING)
    (handed,) = world.take()
    assert (handed.event.kind, handed.event.quantity) == (EventKind.CANCELLATION, 3)
    assert [(each.quantity, each.restock) for each in world.cancel(order).lines] == [(0, Restock.NONE)]
    world.reserve(line(COMMON, 7))
    assert world.net() == 0
