"""UpdateReservation: quantities, lease and owner change by differences."""

from dataclasses import replace

import pytest

from ringfence_server.ledger.commands import Lease
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    LeaseExpired,
    NotHeld,
    ReservationNotFound,
    RevisionMismatch,
    ShortageReason,
)
from ringfence_server.ledger.policy import MINUTE, Level, Policy
from ringfence_server.ledger.state import Reservation, ReservationState, reservation_state
from tests.ledger.world import BIKE, BORROWING, NORTH, SOUTH, World, line, quota, refusal


def _held(order: Reservation) -> list[tuple[str, int]]:
    return [(part.path, part.held) for part in order.parts]


def test_an_increase_asks_only_for_the_increment() -> None:
    """From 4 to 7 takes 3 more units: what is held need not be free again."""
    world = World(BIKE=7)
    order = world.hold(COMMON, 4)
    world.update(order, {"1": 7})
    assert world.pool(COMMON) == (0, 7, 0)
    (part,) = order.parts
    assert (part.requested, part.granted, part.held) == (7, 7, 7)


def test_an_increase_that_is_short_is_refused() -> None:
    """The shortage speaks of the increment; the hold stands as it was."""
    world = World(BIKE=7)
    order = world.hold(COMMON, 4)
    with refusal(Insufficient) as refused:
        world.update(order, {"1": 8})
    (short,) = refused.value.shortages
    assert (short.line_id, short.requested, short.available) == ("1", 4, 3)
    assert _held(order) == [(COMMON, 4)]


def test_an_increase_is_a_promise_and_needs_net() -> None:
    """The quota has the units on paper, the count does not."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    order = world.hold("web", 4)
    world.stock(on_hand=4)
    with refusal(Insufficient) as refused:
        world.update(order, {"1": 5})
    assert refused.value.shortages[0].reason is ShortageReason.NET_SHORT


def test_a_reduction_gives_units_back_to_the_pool_that_gave_them() -> None:
    """They are cancelled units of the part, and free at once."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    order = world.hold("web", 4)
    world.update(order, {"1": 1})
    (part,) = order.parts
    assert (part.granted, part.held, part.cancelled) == (4, 1, 3)
    assert world.pool("web") == (9, 1, 0)


def test_hold_8_count_falls_to_5_reducing_to_7_succeeds_and_returns_the_borrowed_first() -> None:
    """4 own + 4 borrowed, count falls to 5: reducing to 7 succeeds and returns a borrowed unit."""
    world = World(BORROWING, BIKE=8)
    world.allocate(quota("web", 4))
    order = world.hold("web", 8)
    assert _held(order) == [("web", 4), (COMMON, 4)]
    world.stock(on_hand=5)
    assert world[BIKE, NORTH].net == -3

    world.update(order, {"1": 7})

    assert _held(order) == [("web", 4), (COMMON, 3)]
    assert world.pool("web") == (0, 4, 0)
    assert world.pool(COMMON) == (-2, 3, 0)


def test_a_reduction_gives_back_the_latest_takes_first() -> None:
    """Of borrowed units those of the widest pool, taken last, go back first; own units last of all."""
    world = World(BORROWING, BIKE=6)
    world.allocate(quota("web/london", 2), quota("web", 2))
    order = world.hold("web/london", 6)
    world.update(order, {"1": 3})
    assert _held(order) == [("web/london", 2), ("web", 1), (COMMON, 0)]
    world.update(order, {"1": 1})
    assert _held(order) == [("web/london", 1), ("web", 0), (COMMON, 0)]


def test_a_reduction_gives_back_borrowed_units_before_own_ones_that_were_taken_later() -> None:
    """The quota came when two units were borrowed already: they go back before it, though it was taken last."""
    world = World(BORROWING, BIKE=10)
    order = world.hold("web", 2)
    world.allocate(quota("web", 3))
    world.update(order, {"1": 5})
    assert _held(order) == [(COMMON, 2), ("web", 3)]
    world.update(order, {"1": 4})
    assert _held(order) == [(COMMON, 1), ("web", 3)]


def test_zero_gives_a_lines_hold_back() -> None:
    """0 is really zero; lines that are not named stay as they are."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    world.update(order, {"1": 0})
    assert [part.held for part in order.parts] == [0, 2]
    assert reservation_state(order) is ReservationState.HELD
    world.update(order, {"2": 0})
    assert reservation_state(order) is ReservationState.CANCELLED


def test_one_line_may_grow_by_what_another_gives_back() -> None:
    """Reductions of a request come before its increases, so a swap inside a full pool succeeds."""
    world = World(BIKE=6)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2)).reservation
    world.update(order, {"2": 5, "1": 1})
    assert [part.held for part in order.parts] == [1, 5]


def test_an_increase_may_borrow_as_the_line_may() -> None:
    """The increment falls back like the line it belongs to, and gets a part of its own."""
    world = World(BORROWING, BIKE=6)
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    world.update(order, {"1": 6})
    assert _held(order) == [("web", 4), (COMMON, 2)]
    assert [part.requested for part in order.parts] == [6, 6]


def test_increases_of_one_request_are_summed() -> None:
    """Two lines that grow into one pool are judged together."""
    world = World(BIKE=6)
    order = world.reserve(line(COMMON, 1), line(COMMON, 1)).reservation
    with refusal(Insufficient):
        world.update(order, {"1": 4, "2": 4})
    world.update(order, {"1": 3, "2": 3})


def test_an_extension_moves_nothing() -> None:
    """The lease counts from this decision; nothing in the ledger moves, nor does an owner's change."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    entries = len(world.journal.entries)
    world.advance(minutes=10)
    world.update(order, lease=Lease(ttl=20 * MINUTE), owner="basket 8")
    assert order.expire_time == world.now + 20 * MINUTE
    assert order.owner == "basket 8"
    assert len(world.journal.entries) == entries
    world.advance(minutes=19)
    assert reservation_state(order) is ReservationState.HELD


def test_an_extension_is_possible_while_net_is_negative() -> None:
    """Extensions never need net."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.stock(on_hand=0)
    world.update(order, lease=Lease(ttl=20 * MINUTE))
    assert reservation_state(order) is ReservationState.HELD


def test_a_refused_update_changes_neither_lease_nor_owner() -> None:
    """One request is atomic: a short increase keeps the extension from happening."""
    world = World(BIKE=4)
    order = world.hold(COMMON, 4)
    before = order.expire_time
    with refusal(Insufficient):
        world.update(order, {"1": 5}, lease=Lease(ttl=30 * MINUTE), owner="other")
    assert (order.expire_time, order.owner) == (before, "")


def test_the_expected_revision_is_compared() -> None:
    """Another revision is REVISION_MISMATCH with the current one; every change raises it by one."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.update(order, {"1": 3}, expected_revision=1)
    assert order.revision == 2
    with refusal(RevisionMismatch) as refused:
        world.update(order, {"1": 2}, expected_revision=1)
    assert (refused.value.expected, refused.value.current) == (1, 2)


def test_a_line_that_the_order_does_not_have_is_named() -> None:
    """The refusal lists what lines there are."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4, line_id="saddle")
    with refusal(Invalid) as refused:
        world.update(order, {"bell": 2})
    (violation,) = refused.value.violations
    assert violation.rule == "LINE_NOT_FOUND"
    assert "saddle" in violation.description


def test_what_is_over_cannot_be_changed() -> None:
    """An expired order says LEASE_EXPIRED, a cancelled or sold one NOT_HELD; an owner may still be written."""
    world = World(BIKE=10)
    expired, cancelled, sold = world.hold(COMMON, 1), world.hold(COMMON, 1), world.hold(COMMON, 1)
    world.cancel(cancelled)
    world.consume(sold)
    world.advance(minutes=15)
    with refusal(LeaseExpired):
        world.update(expired, {"1": 2})
    with refusal(LeaseExpired):
        world.update(expired, lease=Lease(ttl=MINUTE))
    for order in (cancelled, sold):
        with refusal(NotHeld):
            world.update(order, {"1": 2})
    world.update(sold, owner="someone else")
    assert sold.owner == "someone else"


def test_an_unknown_reservation_is_not_found() -> None:
    """RESERVATION_NOT_FOUND names the id."""
    world = World(BIKE=10)
    stranger = Reservation(b"?" * 16, "other", "", "", None, 0)
    with refusal(ReservationNotFound) as refused:
        world.update(stranger, {"1": 2})
    assert refused.value.reservation_id == b"?" * 16


def test_a_line_with_a_partial_grant_of_nothing_can_grow() -> None:
    """A line that got nothing is still a line of the order."""
    world = World(BIKE=4)
    order = world.reserve(line(COMMON, 4), line(COMMON, 2), partial=True).reservation
    world.stock(on_hand=9)
    world.update(order, {"2": 2})
    assert [part.held for part in order.parts] == [4, 2]


@pytest.mark.parametrize("policy_may", [True, False])
@pytest.mark.parametrize("request_may", [True, False])
def test_a_sourced_line_grows_where_it_is(policy_may: bool, request_may: bool) -> None:
    """One parcel stays one: another location gives only if policy and request let the line be split."""
    world = World(Policy(location_order=(NORTH, SOUTH), allow_split=policy_may))
    world.stock(on_hand=3)
    world.stock(location=SOUTH, on_hand=9)
    order = world.reserve(line(COMMON, 2, location="")).reservation
    if policy_may and request_may:
        world.update(order, {"1": 5}, split=request_may)
        expected = [(NORTH, 2), (SOUTH, 3)]
    else:
        with refusal(Insufficient) as refused:
            world.update(order, {"1": 5}, split=request_may)
        assert (refused.value.shortages[0].requested, refused.value.shortages[0].available) == (3, 1)
        expected = [(NORTH, 2)]
    assert [(part.stock.key.location, part.held) for part in order.parts] == expected


def test_a_sourced_line_that_has_nothing_left_is_sourced_anew() -> None:
    """After a reduction to zero no location gives, so any of the order may."""
    world = World(Policy(location_order=(NORTH, SOUTH)))
    world.stock(on_hand=3)
    world.stock(location=SOUTH, on_hand=9)
    order = world.reserve(line(COMMON, 2, location=""), line(COMMON, 1, location=SOUTH)).reservation
    world.update(order, {"1": 0})
    world.update(order, {"1": 6})
    assert sum(part.held for part in order.parts if part.stock.key.location == SOUTH) == 7


def test_a_split_increase_takes_the_given_location_first() -> None:
    """Splitting where it must: the increment that fits where the line is does not open a second parcel."""
    policy = Policy(location_order=(SOUTH, NORTH), allow_split=True)
    world = World(policy)
    world.stock(on_hand=9)
    world.stock(location=SOUTH, on_hand=1)
    order = world.reserve(line(COMMON, 2, location="")).reservation
    world.update(order, {"1": 3}, split=True)
    assert [(part.stock.key.location, part.held) for part in order.parts] == [(NORTH, 3)]


def test_making_up_for_a_partial_grant_asks_for_no_more() -> None:
    """Of 12 asked 10 were granted: holding 12 now is what was requested, and only what goes beyond adds to it."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 12), partial=True).reservation
    world.stock(on_hand=20)
    (part,) = order.parts
    world.update(order, {"1": 12})
    assert (part.requested, part.granted, part.held) == (12, 12, 12)
    world.update(order, {"1": 15})
    assert (part.requested, part.granted, part.held) == (15, 15, 15)


def test_an_increase_borrows_no_further_than_the_policy_in_force() -> None:
    """The line may have borrowed when it was reserved; an increase is a new promise, under the rules of now."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 3)
    world.set_policy(Policy())
    with refusal(Insufficient) as refused:
        world.update(order, {"1": 6})
    (short,) = refused.value.shortages
    assert (short.requested, short.available, short.bound_path) == (3, 1, "web")
    world.update(order, {"1": 4})
    assert _held(order) == [("web", 4)]


def test_a_path_that_the_policy_no_longer_has_grows_no_more() -> None:
    """The line borrowed all it has, so no quota kept its path in the policy; the hold stands, more is not promised."""
    world = World(BORROWING, BIKE=10)
    order = world.hold("app", 3)
    world.set_policy(replace(BORROWING, levels=(Level("channel", ("web",)),)))
    with refusal(Insufficient):
        world.update(order, {"1": 4})
    world.update(order, {"1": 2})
    assert _held(order) == [(COMMON, 2)]
