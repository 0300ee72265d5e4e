"""Leases: a hold ends exactly at its instant, and the policy bounds how long it may last."""

import pytest

from ringfence_server.ledger.commands import Lease
from ringfence_server.ledger.lease import end_of_lease
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Invalid, LeaseExpired, Violation
from ringfence_server.ledger.policy import DAY, HOUR, MINUTE, LeaseBounds, Policy
from ringfence_server.ledger.state import EntryKind, ReservationState, reservation_state
from tests.ledger.engine import SECOND
from tests.ledger.world import BORROWING, World, line, quota, refusal

BOUNDS = LeaseBounds(default_lease=15 * MINUTE, max_lease=HOUR, max_total_hold=2 * HOUR)


def _rule(violation: int | Violation | None) -> tuple[str, str]:
    assert isinstance(violation, Violation)
    return violation.field, violation.rule


def test_a_lease_that_is_not_given_is_the_policys_default() -> None:
    """Counted from the decision."""
    world = World(Policy(leases=BOUNDS), BIKE=10)
    assert world.hold(COMMON, 1).expire_time == world.now + 15 * MINUTE


def test_a_lease_is_an_instant_a_duration_or_never() -> None:
    """expire_time is taken as it is, ttl counts from now, never has no end if the policy lets it."""
    world = World(Policy(leases=LeaseBounds(allow_never=True)), BIKE=10)
    instant = world.now + 7 * MINUTE + 1
    assert world.reserve(line(COMMON, 1), expire_time=instant).reservation.expire_time == instant
    assert world.reserve(line(COMMON, 1), ttl=5 * MINUTE).reservation.expire_time == world.now + 5 * MINUTE
    forever = world.reserve(line(COMMON, 1), never=True).reservation
    world.advance(minutes=10 * 365 * 24 * 60)
    assert (forever.expire_time, forever.state) == (None, ReservationState.HELD)


@pytest.mark.parametrize(
    ("lease", "field", "rule"),
    [
        (Lease(ttl=HOUR + 1), "ttl", "LEASE_TOO_LONG"),
        (Lease(expire_time=HOUR + 1), "expire_time", "LEASE_TOO_LONG"),
        (Lease(ttl=0), "ttl", "LEASE_NOT_IN_FUTURE"),
        (Lease(expire_time=0), "expire_time", "LEASE_NOT_IN_FUTURE"),
        (Lease(expire_time=-1), "expire_time", "LEASE_NOT_IN_FUTURE"),
        (Lease(never=True), "never", "LEASE_NEVER_NOT_ALLOWED"),
    ],
)
def test_a_lease_outside_its_bounds_is_refused(lease: Lease, field: str, rule: str) -> None:
    """It is not cut: the field and the bound are named."""
    assert _rule(end_of_lease(BOUNDS, lease, 0, 0)) == (field, rule)


def test_a_lease_at_its_bounds_is_given() -> None:
    """max_lease itself, one microsecond from now, and max_total_hold itself are within."""
    assert end_of_lease(BOUNDS, Lease(ttl=HOUR), 0, 0) == HOUR
    assert end_of_lease(BOUNDS, Lease(expire_time=1), 0, 0) == 1
    assert end_of_lease(BOUNDS, Lease(ttl=HOUR), HOUR, 0) == 2 * HOUR


def test_the_total_hold_counts_from_the_creation() -> None:
    """However often it is extended, a hold ends max_total_hold after it was made."""
    assert _rule(end_of_lease(BOUNDS, Lease(ttl=HOUR), HOUR + 1, 0)) == ("ttl", "HOLD_TOO_LONG")
    assert end_of_lease(BOUNDS, Lease(ttl=HOUR - 1), HOUR + 1, 0) == 2 * HOUR


def test_the_default_lease_is_cut_to_what_the_total_hold_leaves() -> None:
    """Nobody named it, so it is shortened; when nothing is left that is a refusal, not a lease in the past."""
    assert end_of_lease(BOUNDS, Lease(), 2 * HOUR - MINUTE, 0) == 2 * HOUR
    assert _rule(end_of_lease(BOUNDS, Lease(), 2 * HOUR, 0)) == ("expiration", "HOLD_TOO_LONG")


def test_a_hold_without_end_that_gets_one_keeps_the_bounds() -> None:
    """An old never-ending hold cannot be given a lease that its age forbids; it stays as it is."""
    world = World(Policy(leases=LeaseBounds(allow_never=True)), BIKE=10)
    order = world.reserve(line(COMMON, 1), never=True).reservation
    world.advance(minutes=8 * DAY // MINUTE)
    with refusal(Invalid) as refused:
        world.update(order, lease=Lease())
    assert refused.value.violations[0].rule == "HOLD_TOO_LONG"
    assert reservation_state(order) is ReservationState.HELD


def test_a_refused_lease_reserves_nothing() -> None:
    """The bound is named in the request's own field."""
    world = World(BIKE=10)
    with refusal(Invalid) as refused:
        world.reserve(line(COMMON, 1), ttl=25 * HOUR)
    assert refused.value.violations[0].rule == "LEASE_TOO_LONG"
    assert not world.reservations


def test_a_hold_ends_exactly_at_its_instant() -> None:
    """One microsecond before it lives and can be consumed; at the instant itself it is over."""
    world = World(BIKE=10)
    early, late = world.hold(COMMON, 4), world.hold(COMMON, 3)
    world.advance(minutes=15, microseconds=-1)
    assert reservation_state(early) is ReservationState.HELD
    world.consume(early)
    world.advance(microseconds=1)
    assert reservation_state(late) is ReservationState.EXPIRED
    with refusal(LeaseExpired):
        world.consume(late)
    assert world.pool(COMMON) == (6, 0, 0)


def test_an_ended_hold_counts_from_its_instant() -> None:
    """Applied an hour late, the entry's effective_time is the instant, its record_time the moment it was written."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 4)
    world.advance(minutes=75)
    (part,) = order.parts
    entry = world.journal.entries[-1]
    assert (entry.kind, entry.effective_time, entry.record_time) == (EntryKind.EXPIRE, order.expire_time, world.now)
    assert (entry.request_id, entry.reservation_id) == (b"", order.reservation_id)
    assert (part.held, part.expired, part.granted) == (0, 4, 4)
    assert order.revision == 2


def test_what_is_due_ends_in_the_order_of_its_instants() -> None:
    """Whatever the order of reserving, the ledger shows the ends one after the other as they came."""
    world = World(BIKE=10, LAMP=10)
    seconds = [40, 10, 30, 20]
    orders = {
        world.reserve(line(COMMON, 1, sku=sku), ttl=each * SECOND).reservation.reservation_id: each
        for each, sku in zip(seconds, ["BIKE", "LAMP", "LAMP", "BIKE"], strict=True)
    }
    start = world.now
    world.advance(seconds=35)
    ended = [entry for entry in world.journal.entries if entry.kind == EntryKind.EXPIRE]
    assert [orders[entry.reservation_id] for entry in ended] == [10, 20, 30]
    assert [entry.effective_time - start for entry in ended] == [10 * SECOND, 20 * SECOND, 30 * SECOND]


def test_holds_that_end_together_end_in_one_fixed_order() -> None:
    """By reservation, then by part: two servers write the same ledger."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 1))
    first, second = world.hold("web", 2), world.hold("web", 2)
    world.advance(minutes=15)
    ended = [entry for entry in world.journal.entries if entry.kind == EntryKind.EXPIRE]
    assert [(entry.reservation_id, entry.part_number) for entry in ended] == [
        (first.reservation_id, 1),
        (first.reservation_id, 2),
        (second.reservation_id, 1),
    ]


def test_a_command_finds_what_ended_before_it_already_free() -> None:
    """No sweeper's lag: at the instant itself another order can have the units."""
    world = World(BIKE=4)
    world.hold(COMMON, 4)
    world.advance(minutes=15)
    world.hold(COMMON, 4)


def test_expired_units_go_back_to_the_pools_that_gave_them() -> None:
    """Borrowed units too, each to its own."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    world.hold("web", 6)
    world.advance(minutes=15)
    assert (world.pool("web"), world.pool(COMMON)) == ((4, 0, 0), (6, 0, 0))


def test_what_was_sold_or_cancelled_does_not_expire() -> None:
    """Only what is held ends; an order of which something was sold is not EXPIRED but settled."""
    world = World(BIKE=10)
    order = world.reserve(line(COMMON, 4), line(COMMON, 3)).reservation
    world.consume(order, {"1": 1})
    world.cancel(order, {"2": 1})
    world.advance(minutes=15)
    assert [(part.settled, part.cancelled, part.expired) for part in order.parts] == [(1, 0, 3), (0, 1, 2)]
    assert reservation_state(order) is ReservationState.SETTLED


def test_an_extension_moves_the_end_of_every_part() -> None:
    """Nothing ends at the old instant."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    order = world.hold("web", 6)
    world.update(order, lease=Lease(ttl=30 * MINUTE))
    world.advance(minutes=29)
    assert reservation_state(order) is ReservationState.HELD
    world.advance(minutes=1)
    assert reservation_state(order) is ReservationState.EXPIRED


def test_a_lease_may_be_shortened() -> None:
    """An update sets the end, it does not only extend."""
    world = World(BIKE=10)
    order = world.hold(COMMON, 1)
    world.update(order, lease=Lease(ttl=MINUTE))
    world.advance(minutes=1)
    assert reservation_state(order) is ReservationState.EXPIRED
