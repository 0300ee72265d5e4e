"""Fallback: the own pool, each parent, the common pool; the policy fixes the widest, a request may narrow it."""

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Invalid, ShortageReason
from ringfence_server.ledger.policy import Fallback, Level, PathRule, Policy
from tests.ledger.world import ANCESTORS, BORROWING, NONE, World, line, quota, refusal

VIP = "web/london/vip"


def _sources(world: World, path: str, quantity: int) -> list[tuple[str, int]]:
    return [(part.path, part.held) for part in world.hold(path, quantity).parts]


def test_units_come_from_the_own_pool_then_each_parent_then_the_common_pool() -> None:
    """A line takes from the deepest pool first, and each part says which pool gave and which path asked."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota(VIP, 1), quota("web/london", 2), quota("web", 3))
    order = world.hold(VIP, 8)
    assert [(part.path, part.held, part.borrowed) for part in order.parts] == [
        (VIP, 1, False),
        ("web/london", 2, True),
        ("web", 3, True),
        (COMMON, 2, True),
    ]
    assert {part.asked_path for part in order.parts} == {VIP}
    assert {part.fallback for part in order.parts} == {Fallback.ANCESTORS}


def test_siblings_and_children_are_never_drawn_on() -> None:
    """Fallback goes up, neither down nor sideways."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web/london", 4), quota("app", 4))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 3))
    (short,) = refused.value.shortages
    assert (short.available, short.reason, short.bound_path) == (2, ShortageReason.QUOTA_EXHAUSTED, COMMON)


def test_without_fallback_the_own_pool_alone_gives() -> None:
    """A policy that says nothing allows no fallback: the common pool's units are not the path's."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 5))
    (short,) = refused.value.shortages
    assert (short.available, short.bound_path, short.available_with_fallback) == (4, "web", 5)


def test_a_request_may_narrow_the_fallback() -> None:
    """NONE in the request keeps a line to its own pool under a policy that would let it borrow."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4))
    with refusal(Insufficient):
        world.reserve(line("web", 5, fallback=NONE))
    assert world.hold("web", 4, fallback=NONE).parts[0].fallback is NONE


def test_a_request_may_not_widen_the_fallback() -> None:
    """ANCESTORS where the policy says NONE breaks a rule, whether or not it would be needed."""
    world = World(BIKE=10)
    world.allocate(quota("web", 4))
    with refusal(Invalid) as refused:
        world.reserve(line("web", 1, fallback=ANCESTORS))
    assert refused.value.violations[0].rule == "FALLBACK_WIDER_THAN_POLICY"


def test_unset_fallback_is_the_policys() -> None:
    """Not NONE: the part echoes which one was used."""
    world = World(BORROWING, BIKE=1)
    assert world.hold("web", 1).parts[0].fallback is ANCESTORS


def test_the_nearest_rule_decides() -> None:
    """A path inherits the fallback of its nearest ancestor that sets one; a rule that sets only a cap sets none."""
    policy = Policy(
        path_rules=(
            PathRule(COMMON, fallback=ANCESTORS),
            PathRule("web", fallback=NONE),
            PathRule("web/london", quota_cap=100),
            PathRule(VIP, fallback=ANCESTORS),
        )
    )
    widest = {path: policy.widest_fallback(path) for path in ("app", "app/x", "web", "web/london", VIP, f"{VIP}/x")}
    assert [path for path, fallback in widest.items() if fallback is ANCESTORS] == ["app", "app/x", VIP, f"{VIP}/x"]


def test_lines_that_cannot_borrow_are_filled_before_those_that_can() -> None:
    """A line without fallback has the first claim on its pool, wherever it stands in the request."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 5))
    order = world.reserve(line("web", 5), line("web", 5, fallback=NONE)).reservation
    assert [(part.line_id, part.path) for part in order.parts] == [("2", "web"), ("1", COMMON)]


def test_deeper_pools_are_emptied_before_wider_ones_are_touched() -> None:
    """The line of london takes its own unit and leaves web's to the line of web, so both fit."""
    world = World(BORROWING, BIKE=3)
    world.allocate(quota("web/london", 1), quota("web", 1))
    order = world.reserve(line("web", 2), line("web/london", 1)).reservation
    assert {(part.line_id, part.path, part.held) for part in order.parts} == {
        ("2", "web/london", 1),
        ("1", "web", 1),
        ("1", COMMON, 1),
    }


def test_pools_are_served_from_the_deepest_up_whatever_the_order_of_lines() -> None:
    """Where net has less than the pools, the deepest pool's line is served first, though it stands behind."""
    world = World(BORROWING, BIKE=4)
    world.allocate(quota("web/london", 2), quota("web", 2))
    world.stock(on_hand=2)
    order = world.reserve(line("web", 2), line("web/london", 2), partial=True).reservation
    assert [(part.line_id, part.path, part.held) for part in order.parts] == [("2", "web/london", 2), ("1", "web", 0)]


def test_within_a_pool_the_order_of_the_request_decides() -> None:
    """The line that stands first has the shared pool; the other goes one pool up."""
    world = World(BORROWING, BIKE=3)
    world.allocate(quota("web", 1))
    order = world.reserve(line("web/london", 1), line("web/paris", 1)).reservation
    assert [(part.line_id, part.path) for part in order.parts] == [("1", "web"), ("2", COMMON)]


def test_with_fallback_a_missing_quota_is_an_exhausted_chain() -> None:
    """NO_QUOTA is said to a line that cannot borrow; one that can has run out of its whole chain."""
    world = World(BORROWING, BIKE=1)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 2))
    (short,) = refused.value.shortages
    assert (short.reason, short.bound_path, short.available) == (ShortageReason.QUOTA_EXHAUSTED, COMMON, 1)


def test_a_negative_common_pool_does_not_lend() -> None:
    """Fallback finds nothing in a common pool below zero, and net guards what the own pool has."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 8))
    world.stock(on_hand=5)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 6))
    (short,) = refused.value.shortages
    assert (short.available, short.reason) == (5, ShortageReason.NET_SHORT)


def test_of_a_path_that_the_policy_does_not_have_no_fallback_is_judged() -> None:
    """One thing is wrong with the line, and one is said: leaving the fallback out would not help."""
    world = World(Policy(levels=(Level("channel", ("web",)),), path_rules=BORROWING.path_rules), BIKE=10)
    with refusal(Invalid) as refused:
        world.reserve(line("shop", 1, fallback=ANCESTORS))
    assert [each.rule for each in refused.value.violations] == ["PATH_NOT_IN_POLICY"]
