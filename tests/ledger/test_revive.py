"""Revive: a late payment has its stock if it is still there, judged as a new promise."""

from dataclasses import replace

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, LeaseExpired, NotHeld, ShortageReason
from ringfence_server.ledger.policy import LeaseBounds, PathRule, Policy
from ringfence_server.ledger.state import EntryKind, Reservation, ReservationState
from tests.ledger.world import BORROWING, NORTH, SOUTH, World, line, quota, refusal


def _expired(world: World, path: str, quantity: int) -> Reservation:
    order = world.hold(path, quantity)
    world.advance(minutes=15)
    assert order.state is ReservationState.EXPIRED
    return order


def test_without_revive_a_late_consume_is_refused() -> None:
    """LEASE_EXPIRED carries the reservation; nothing is sold."""
    world = World(BIKE=10)
    order = _expired(world, COMMON, 4)
    with refusal(LeaseExpired) as refused:
        world.consume(order)
    assert refused.value.reservation is order
    with refusal(LeaseExpired):
        world.consume(order, {"1": 1}, revive=False)
    assert world.on_hand() == 10


def test_revive_sells_from_the_same_pool_if_it_is_still_there() -> None:
    """The expired units are taken anew and sold; each granted unit is counted once."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = _expired(world, "web", 4)
    world.consume(order, revive=True)
    (part,) = order.parts
    assert (part.path, part.granted, part.expired, part.settled) == ("web", 4, 0, 4)
    assert world.pool("web") == (0, 0, 0)
    assert world.on_hand() == 6
    assert order.state is ReservationState.SETTLED
    assert [entry.kind for entry in world.journal.entries[-2:]] == [EntryKind.REVIVE, EntryKind.CONSUME]


def test_revive_of_a_part_leaves_the_rest_expired() -> None:
    """Only what is asked for is taken anew, and nothing stays held behind the lease."""
    world = World(BIKE=10)
    order = _expired(world, COMMON, 4)
    world.consume(order, {"1": 3}, revive=True)
    (part,) = order.parts
    assert (part.held, part.expired, part.settled) == (0, 1, 3)
    assert world.pool(COMMON) == (7, 0, 0)


def test_revive_falls_back_as_the_line_may() -> None:
    """The own pool was sold meanwhile: the units come from the next pool of the line's chain."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    order = _expired(world, "web", 4)
    world.sell(line("web", 3))
    world.consume(order, revive=True)
    sold = {part.path: (part.granted, part.settled, part.expired) for part in order.parts}
    assert sold == {"web": (1, 1, 0), COMMON: (3, 3, 0)}
    assert world.consumed(COMMON) == 3


def test_what_a_pool_gives_anew_is_what_had_expired_of_it() -> None:
    """The quota was sold meanwhile: the unit comes from the common pool, whose part has one expired unit less."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 2))
    order = _expired(world, "web", 4)
    world.sell(line("web", 2))
    world.consume(order, {"1": 1}, revive=True)
    parts = {part.path: (part.granted, part.settled, part.expired) for part in order.parts}
    assert parts == {"web": (2, 0, 2), COMMON: (2, 1, 1)}


def test_revive_that_is_short_is_refused_with_the_shortage() -> None:
    """INSUFFICIENT_QUANTITY, and the order stays expired as it was."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = _expired(world, "web", 4)
    world.sell(line("web", 3))
    with refusal(Insufficient) as refused:
        world.consume(order, revive=True)
    (short,) = refused.value.shortages
    assert (short.requested, short.available, short.reason) == (4, 1, ShortageReason.QUOTA_EXHAUSTED)
    assert order.state is ReservationState.EXPIRED


def test_revive_is_a_promise_and_needs_net() -> None:
    """The pool has the units on paper, the count does not."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    order = _expired(world, "web", 4)
    world.stock(on_hand=3)
    with refusal(Insufficient) as refused:
        world.consume(order, revive=True)
    assert refused.value.shortages[0].reason is ShortageReason.NET_SHORT
    world.consume(order, {"1": 3}, revive=True)


def test_revive_counts_toward_the_sales_cap_again() -> None:
    """What expired counted no longer, so others may have used the cap meanwhile."""
    world = World(Policy(path_rules=(PathRule(COMMON, sales_cap=4),)), BIKE=10)
    order = _expired(world, COMMON, 4)
    world.sell(line(COMMON, 1))
    with refusal(Insufficient) as refused:
        world.consume(order, revive=True)
    assert refused.value.shortages[0].reason is ShortageReason.CAP_REACHED
    world.consume(order, {"1": 3}, revive=True)


def test_all_lines_revive_or_none() -> None:
    """One short line keeps the other from being sold."""
    world = World(BIKE=4, LAMP=4)
    order = world.reserve(line(COMMON, 4), line(COMMON, 4, sku="LAMP")).reservation
    world.advance(minutes=15)
    world.sell(line(COMMON, 1, sku="LAMP"))
    with refusal(Insufficient):
        world.consume(order, revive=True)
    assert world.pool(COMMON) == (4, 0, 0)


def test_the_policy_may_make_revive_the_default() -> None:
    """A request that says no is heard all the same."""
    world = World(Policy(leases=LeaseBounds(revive_by_default=True)), BIKE=10)
    order = _expired(world, COMMON, 4)
    with refusal(LeaseExpired):
        world.consume(order, {"1": 1}, revive=False)
    world.consume(order)
    assert world.on_hand() == 6


def test_more_than_expired_is_not_revived() -> None:
    """A late payment has what the order had, not more: NOT_HELD, and what there would be."""
    world = World(BIKE=10)
    order = _expired(world, COMMON, 4)
    with refusal(NotHeld) as refused:
        world.consume(order, {"1": 5}, revive=True)
    assert (refused.value.requested, refused.value.available) == (5, 4)
    with refusal(NotHeld) as refused:
        world.consume(order, {"1": 5})
    assert (refused.value.requested, refused.value.available) == (5, 0)
    world.consume(order, {"1": 4}, revive=True)


def test_a_revive_borrows_no_further_than_the_policy_in_force() -> None:
    """Judged as a new promise: what the line borrowed once it may not borrow now."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    order = _expired(world, "web", 5)
    world.set_policy(Policy())
    with refusal(Insufficient) as refused:
        world.consume(order, revive=True)
    (short,) = refused.value.shortages
    assert (short.requested, short.available, short.bound_path) == (5, 4, "web")
    world.consume(order, {"1": 4}, revive=True)


def test_an_order_cancelled_after_its_lease_ended_is_not_revived() -> None:
    """The order was given up: a payment that comes later still finds nothing, though the units are free."""
    world = World(Policy(leases=LeaseBounds(revive_by_default=True)), BIKE=10)
    order = _expired(world, COMMON, 4)
    world.cancel(order)
    with refusal(NotHeld) as refused:
        world.consume(order)
    assert refused.value.available == 0
    with refusal(NotHeld):
        world.consume(order, {"1": 4})
    assert world.pool(COMMON) == (10, 0, 0)


def test_an_order_sold_in_part_and_cancelled_whole_is_not_revived() -> None:
    """What was sold came back, and what had expired of it is over too."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 1})
    world.advance(minutes=15)
    world.cancel(order)
    assert order.state is ReservationState.CANCELLED
    with refusal(NotHeld):
        world.consume(order, revive=True)
    assert world.on_hand() == 10


def test_a_line_cancelled_whole_is_not_revived_and_the_others_are() -> None:
    """Quantity 0 names the whole line; a line that is not named, or only in part, may still be paid late."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 2), line(COMMON, 3)).reservation
    world.consume(order, {"2": 1})
    world.advance(minutes=15)
    world.cancel(order, {"1": 0})
    world.cancel(order, {"2": 1})
    assert world.consume(order, revive=True).quantities == (("2", 2),)


def test_a_cancelled_part_is_not_revived() -> None:
    """Units given back before the lease ended are not the order's any more."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.cancel(order, {"1": 3})
    world.advance(minutes=15)
    assert world.consume(order, revive=True).quantities == (("1", 1),)


def test_a_sourced_line_revives_at_the_locations_that_had_given() -> None:
    """The parcel goes out from where it lay, not from another place that has the goods by now."""
    policy = replace(BORROWING, location_order=(NORTH, SOUTH), allow_split=True)
    world = World(policy)
    world.stock(on_hand=2)
    world.stock(location=SOUTH, on_hand=2)
    order = world.reserve(line(COMMON, 3, location=""), split=True).reservation
    world.advance(minutes=15)
    world.consume(order, revive=True)
    assert (world.on_hand(), world.on_hand(location=SOUTH)) == (0, 1)
    assert all(part.granted == part.settled for part in order.parts)

    lone = world.reserve(line(COMMON, 1, location="")).reservation
    world.advance(minutes=15)
    world.sell(line(COMMON, 1, location=SOUTH))
    world.stock(on_hand=5)
    with refusal(Insufficient):
        world.consume(lone, revive=True)


def test_a_location_that_no_longer_had_a_share_does_not_revive() -> None:
    """The part in the south was cancelled before the lease ended: the late payment is the north's alone."""
    world = World(replace(BORROWING, location_order=(NORTH, SOUTH), allow_split=True))
    world.stock(on_hand=2)
    world.stock(location=SOUTH, on_hand=2)
    order = world.reserve(line(COMMON, 4, location=""), split=True).reservation
    world.cancel(order, {"1": 2})
    world.advance(minutes=15)
    world.sell(line(COMMON, 1))
    with refusal(Insufficient):
        world.consume(order, revive=True)
    world.consume(order, {"1": 1}, revive=True)
    assert (world.on_hand(), world.on_hand(location=SOUTH)) == (0, 2)


def test_only_what_was_still_held_expires_and_revives() -> None:
    """An order sold in part revives its expired rest; sold units are not sold twice."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.consume(order, {"1": 1})
    world.advance(minutes=15)
    assert world.consume(order, revive=True).quantities == (("1", 3),)
    with refusal(NotHeld):
        world.consume(order, revive=True)
