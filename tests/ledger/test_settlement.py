"""Settlement beyond the table's rows: epochs, lines of several pools, full counts that wait, orders named by number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence_server.ledger.commands import CountBegin, CountEnd
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    BookingResult,
    CountOutcome,
    CountResult,
    FigureResult,
    Insufficient,
    Invalid,
    NotRejected,
    Posted,
    StockNotFound,
    ValueMismatch,
)
from ringfence_server.ledger.policy import Location, LocationKind, Policy
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.ledger.till_state import DiscrepancyKind, Mark
from tests.ledger.world import BIKE, BORROWING, NORTH, SOUTH, TILLS, World, booked, figure, line, quota, refusal

BORROWING_TILLS = replace(TILLS, path_rules=BORROWING.path_rules)
FULL = CountBegin(NORTH, "", Mark(0, 200))


def shop(policy: Policy = TILLS) -> World:
    """10 bikes at position 100."""
    world = World(policy)
    world.post(figure(10, position=100))
    return world


def sold(world: World, quantity: int = 3, path: str = COMMON) -> Reservation:
    """An order that the till has received."""
    order = world.consume(world.hold(path, quantity), order="web-1").reservation
    world.send()
    return order


def end_of(posted: Posted) -> CountOutcome:
    """What came of the end of a count."""
    assert posted.end is not None
    return posted.end


def test_a_higher_epoch_is_newer_whatever_its_position() -> None:
    """A replaced till starts anew at position 1; what the old one still says is STALE; a delta across epochs is a
    GAP."""
    world = shop()
    (applied,) = world.post(figure(8, position=1, epoch=1)).outcomes
    assert (applied.result, applied.position, applied.epoch) == (FigureResult.APPLIED, 1, 1)
    (late,) = world.post(figure(9, position=500)).outcomes
    assert (late.result, world.net()) == (FigureResult.STALE, 8)
    (gap,) = world.post(figure(-1, position=7, previous=6, epoch=2)).outcomes
    assert (gap.result, world.net()) == (FigureResult.GAP, 8)


def test_what_the_old_tills_last_figure_contained_stays_settled() -> None:
    """Booked at 104 and contained: settled, also under the new till's figure. Booked at 120, beyond the old till's last
    figure: owed until the new till tells of it in its own positions."""
    world = shop()
    first = sold(world, 2)
    world.post(booked(first, (104, 2)), figure(8, position=110))
    second = world.consume(world.hold(COMMON, 3)).reservation
    world.post(booked(second, (120, 3), closed=True))
    world.post(figure(5, position=1, epoch=1))
    assert first.parts[0].settled == 2
    assert (second.parts[0].unsettled, world.net()) == (3, 2)
    world.post(booked(second, (1, 1, 3), closed=True))
    assert (second.parts[0].settled, world.net()) == (3, 5)


def test_a_new_till_that_tells_a_settled_line_anew_counts_it_once() -> None:
    """2 of 3 were contained by the old till's figure; told anew at position 1 of the new one they are still 2."""
    world = shop()
    order = sold(world)
    world.post(booked(order, (104, 2)), figure(8, position=110))
    world.post(booked(order, (1, 1, 2)), figure(8, position=5, epoch=1))
    assert (order.parts[0].settled, order.parts[0].unsettled, world.net()) == (2, 1, 7)
    assert world.listed() == []


def test_a_new_till_that_tells_an_undone_booking_anew_does_not_hold_it_back() -> None:
    """Booked at 104 and undone at 106, both in the old till's figure: told anew before the new till's first figure, the
    units stay free; of 2 booked on top by the new till 2 are owed until its figure has them."""
    world = shop()
    order = sold(world)
    world.post(booked(order, (104, 3), (106, -3), closed=True), figure(10, position=110))
    assert (order.parts[0].unsettled, world.net()) == (0, 10)
    world.post(booked(order, (1, 1, 3), (1, 2, -3), closed=True))
    assert (order.parts[0].unsettled, world.net()) == (0, 10)
    world.post(booked(order, (1, 1, 3), (1, 2, -3), (1, 5, 2), closed=True))
    assert world.net() == 8
    world.post(figure(8, position=5, epoch=1))
    assert (order.parts[0].settled, order.parts[0].unsettled, world.net()) == (2, 0, 8)


def test_a_line_of_two_pools_is_one_line_to_the_till() -> None:
    """2 of web and 1 borrowed: 2 booked settle web's units, the third the borrowed one; a fourth is a surplus of 1."""
    world = shop(BORROWING_TILLS)
    world.allocate(quota("web", 2))
    order = sold(world, 3, "web")
    own, borrowed = order.parts
    world.post(booked("web-1", (104, 2)), figure(8, position=104))
    assert (own.settled, borrowed.settled) == (2, 0)
    assert (world.pool("web"), world.pool(COMMON)) == ((0, 0, 0), (7, 0, 1))
    (outcome,) = world.post(booked("web-1", (104, 2), (106, 2)), figure(6, position=106)).bookings
    assert (borrowed.settled, outcome.surplus, world.net()) == (1, 1, 6)
    assert world.listed() == [(DiscrepancyKind.SURPLUS_BOOKING, 1)]


def test_what_a_till_books_on_one_part_too_much_counts_for_the_lines_other_part() -> None:
    """3 booked for the own part of 2: the third is the borrowed part's, and told of the line later it is known."""
    world = shop(BORROWING_TILLS)
    world.allocate(quota("web", 2))
    order = sold(world, 3, "web")
    world.post(booked(order, (104, 3), part=1), figure(7, position=104))
    assert [part.settled for part in order.parts] == [2, 1]
    (again,) = world.post(booked("web-1", (104, 3))).bookings
    assert (again.result, again.surplus) == (BookingResult.DUPLICATE, 0)


def test_an_order_number_is_found_by_channel_line_or_item() -> None:
    """Two lines need a line_id or a SKU; two channels with one number need the channel; an unknown one is listed."""
    world = shop()
    world.post(figure(5, sku="LAMP", position=100))
    order = world.reserve(line(COMMON, 2), line(COMMON, 1, sku="LAMP"))
    world.consume(order.reservation, order="web-1")
    (lost,) = world.post(booked("web-1", (104, 2))).bookings
    assert (lost.result, lost.reservation) == (BookingResult.UNKNOWN_ORDER, None)
    assert world.listed() == [(DiscrepancyKind.UNKNOWN_ORDER, 2)]
    (by_line,) = world.post(booked("web-1", (104, 2), line_id="1")).bookings
    (by_item,) = world.post(booked("web-1", (105, 1), sku="LAMP")).bookings
    assert [each.part.number for each in (by_line, by_item) if each.part is not None] == [1, 2]
    world.consume(world.hold(COMMON, 1), order="web-1", caller="market")
    with refusal(Invalid) as refused:
        world.post(booked("web-1", (106, 1), line_id="1"))
    assert [each.rule for each in refused.value.violations] == ["AMBIGUOUS_ORDER"]
    (found,) = world.post(booked("web-1", (106, 1), channel="market")).bookings
    assert found.result is BookingResult.APPLIED


def test_a_booking_with_another_quantity_is_a_conflict() -> None:
    """The first stands, the other is listed with both."""
    world = shop()
    order = sold(world)
    world.post(booked(order, (104, 3)))
    (outcome,) = world.post(booked(order, (104, 2))).bookings
    assert (outcome.result, outcome.owed) == (BookingResult.CONFLICT, 3)
    (row,) = world.discrepancies
    assert (row.kind, row.known, row.reported) == (DiscrepancyKind.BOOKING_CONFLICT, 3, 2)


def test_a_line_that_is_closed_and_booked_after_all_is_owed_again() -> None:
    """CANCELLED by the till, then booked at 104 beyond the figure: the unit is not there. Listed, and settled in the
    end."""
    world = shop()
    order = sold(world)
    world.post(booked(order, closed=True))
    assert (order.state, world.net()) == (ReservationState.CANCELLED, 10)
    world.post(booked(order, (104, 3), closed=True))
    assert (order.parts[0].unsettled, world.net()) == (3, 7)
    assert world.listed() == [(DiscrepancyKind.BOOKED_AFTER_END, 3)]
    world.post(figure(7, position=104))
    assert (order.state, world.net()) == (ReservationState.SETTLED, 7)


def test_a_store_takes_over_only_what_it_booked() -> None:
    """South books 1 of 3: 2 stay at north. It books another: 1 stays. More than the order had is a surplus there."""
    world = shop()
    world.post(figure(4, location=SOUTH, position=7))
    order = sold(world)
    for bookings, left in (([(9, 1)], 2), ([(9, 1), (10, 1)], 1), ([(9, 1), (10, 1), (11, 2)], 0)):
        world.post(booked(order, *bookings, location=SOUTH))
        assert (order.parts[0].unsettled, order.parts[1].unsettled) == (left, 3 - left)
    assert world.listed()[-1] == (DiscrepancyKind.SURPLUS_BOOKING, 1)
    world.post(figure(0, location=SOUTH, position=11))
    assert (world.net(), world.net(BIKE, SOUTH)) == (10, 0)


def test_a_count_that_would_zero_too_much_waits_for_a_person() -> None:
    """Of 30 units 10 would become zero, a third where a fifth is allowed: nothing moves until somebody confirms."""
    world = shop()
    world.post(figure(20, sku="LAMP", position=100))
    posted = world.post(figure(20, sku="LAMP"), count="c", begin=FULL, end=CountEnd(1, False))
    assert end_of(posted) == CountOutcome(CountResult.NEEDS_CONFIRMATION, 1, 1, 10)
    assert world.net() == 10
    assert end_of(world.post(count="c", end=CountEnd(1, True))) == CountOutcome(CountResult.APPLIED, 1, 1, 10)
    assert world.net() == 0
    assert end_of(world.post(count="c", end=CountEnd(1, True))).result is CountResult.DUPLICATE


def test_a_count_zeroes_in_slices() -> None:
    """What does not fit one request is left for the next end."""
    world = shop()
    world.post(*(figure(1, sku=f"S{number}", position=100) for number in range(5)))
    world.most_zeroed = 4
    world.post(figure(10), count="c", begin=FULL)
    end = end_of(world.post(count="c", end=CountEnd(1, True)))
    assert (end.result, end.zeroed_units, end.remaining) == (CountResult.CONTINUE, 4, 1)
    end = end_of(world.post(count="c", end=CountEnd(1, True)))
    assert (end.result, end.zeroed_units) == (CountResult.APPLIED, 1)


def test_a_count_that_never_began_or_began_otherwise_is_told() -> None:
    """INCOMPLETE for an end alone; CONFLICT for a second begin at another position; its figures are of its scope."""
    world = shop()
    assert end_of(world.post(count="c", end=CountEnd(0, True))).result is CountResult.INCOMPLETE
    world.post(count="c", begin=FULL)
    again = world.post(count="c", begin=FULL).begin
    other = world.post(count="c", begin=FULL._replace(mark=Mark(0, 300))).begin
    assert again is not None
    assert other is not None
    assert (again.result, other.result) == (CountResult.DUPLICATE, CountResult.CONFLICT)
    for wrong, rule in (
        (figure(1, location=SOUTH, position=200), "FIGURE_NOT_OF_COUNT"),
        (figure(1, position=199), "POSITION_BEFORE_COUNT"),
        (figure(1, position=201, previous=200), "DELTA_IN_COUNT"),
    ):
        with refusal(Invalid) as refused:
            world.post(wrong, count="c")
        assert [each.rule for each in refused.value.violations] == [rule]


def test_a_zero_by_a_full_count_settles_like_any_figure() -> None:
    """The unmentioned key's sale, booked before the count, is contained in the zero."""
    world = shop()
    order = sold(world)
    world.post(figure(40, sku="LAMP", position=100))
    world.post(booked(order, (104, 3)), figure(40, sku="LAMP"), count="c", begin=FULL, end=CountEnd(1, False))
    assert (order.state, world.net()) == (ReservationState.SETTLED, 0)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (figure(-1, position=0, delta=True), "DELTA_OF_FIGURE"),
        (figure(5), "POSITION_REQUIRED"),
        (figure(1, position=5, previous=5), "POSITION_NOT_AFTER_PREVIOUS"),
        (figure(5, position=105)._replace(previous_position=3), "PREVIOUS_POSITION_OF_VALUE"),
    ],
)
def test_a_figure_that_no_till_can_mean_is_refused(wrong: object, rule: str) -> None:
    """With the field and what would be right; nothing is posted."""
    world = shop()
    if rule == "PREVIOUS_POSITION_OF_VALUE":
        wrong = figure(5, position=105)._replace(previous_position=3, delta=False)
    with refusal(Invalid) as refused:
        world.post(wrong)  # type: ignore[arg-type]  # a figure
    assert [each.rule for each in refused.value.violations] == [rule]
    assert world.net() == 10


def test_only_the_source_that_the_policy_names_moves_the_settlement_measure() -> None:
    """Another one's positions cannot be compared."""
    world = World(Policy(locations=(Location(NORTH, LocationKind.TILL, source="pos"),)))
    with refusal(Invalid) as refused:
        world.post(figure(10, position=1), source="erp")
    assert [each.rule for each in refused.value.violations] == ["SOURCE_NOT_OF_LOCATION"]
    world.post(figure(10, position=1), source="pos")
    world.post(figure(2, "safety_stock", position=1), source="erp")
    assert world.net() == 8


def test_an_expected_value_refuses_the_whole_request() -> None:
    """Its bookings too: one request is one transaction."""
    world = shop()
    order = sold(world)
    with refusal(ValueMismatch) as refused:
        world.post(booked(order, (104, 3)), figure(7, position=104, expected=9))
    assert (refused.value.expected, refused.value.current) == (9, 10)
    assert order.parts[0].till is not None
    assert order.parts[0].till.bookings == {}


def test_a_part_moves_whole_or_not_at_all() -> None:
    """What is short at the other store, or not rejected, or unknown there, leaves everything where it is."""
    world = shop()
    order = sold(world)
    with refusal(NotRejected) as refused:
        world.reassign(order, SOUTH)
    assert refused.value.available == 0
    world.post(booked(order, reject="damaged"))
    with refusal(StockNotFound):
        world.reassign(order, SOUTH)
    world.post(figure(2, location=SOUTH, position=7))
    with refusal(Insufficient):
        world.reassign(order, SOUTH)
    with refusal(NotRejected):
        world.reassign(order, SOUTH, quantity=4)
    with refusal(Invalid):
        world.reassign(order, NORTH)
    world.reassign(order, SOUTH, quantity=2)
    assert [part.unsettled for part in order.parts] == [1, 2]
    assert order.state is ReservationState.REJECTED
