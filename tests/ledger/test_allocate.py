"""Allocate, Unallocate, Reallocate: free units move between the pools of a key, and nothing else moves."""

import pytest

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    PoolsChanged,
    ShortageReason,
    StockNotFound,
)
from ringfence_server.ledger.policy import Level, PathRule, Policy
from tests.ledger.world import BIKE, NORTH, TILLS, World, back, figure, line, quota, refusal, shift


def _touched(changed: PoolsChanged) -> set[str]:
    return {pool.path for _, pool in changed.pools}


def test_allocate_moves_free_units_of_the_common_pool_to_the_path() -> None:
    """Allocate moves common.a to p.a; supply, holds and every other pool stay as they are."""
    world = World(BIKE=500)
    changed = world.allocate(quota("web", 200))
    assert world.pool("web") == (200, 0, 0)
    assert world.pool(COMMON) == (300, 0, 0)
    assert world[BIKE, NORTH].supply == 500
    assert _touched(changed) == {"web", COMMON}
    assert changed.quantities == (200,)


def test_a_quota_of_a_parent_is_not_a_quota_of_its_child() -> None:
    """Pools are not nested: web does not contain web/london, and a path without quota has nothing of its own."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    with refusal(Insufficient) as refused:
        world.reserve(line("web/london", 1))
    assert refused.value.shortages[0].reason is ShortageReason.NO_QUOTA


def test_allocate_is_refused_when_the_common_pool_has_less() -> None:
    """common.a < q refuses the whole request, and says what the line would have got."""
    world = World(BIKE=10)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 11))
    (short,) = refused.value.shortages
    assert short.reason is ShortageReason.QUOTA_EXHAUSTED
    assert (short.line_id, short.requested, short.available, short.bound_path) == ("1", 11, 10, COMMON)


def test_a_negative_common_pool_gives_nothing() -> None:
    """What a count made negative is not available to allocate: 0, not minus 5."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.stock(on_hand=5)
    assert world.pool(COMMON) == (-5, 0, 0)
    with refusal(Insufficient) as refused:
        world.allocate(quota("app", 1))
    assert refused.value.shortages[0].available == 0


def test_demands_of_one_allocate_on_one_pool_are_summed() -> None:
    """Two lines of 6 on 10 are refused together, though each alone would fit."""
    world = World(BIKE=10)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 6), quota("app", 6))
    (short,) = refused.value.shortages
    assert (short.line_id, short.path, short.available) == ("2", "app", 4)


def test_every_short_line_of_an_allocate_is_listed() -> None:
    """A line behind a short one is judged by what that one would leave: with what is said, the request succeeds."""
    world = World(BIKE=10)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 12), quota("app", 8))
    assert [(short.line_id, short.available) for short in refused.value.shortages] == [("1", 10), ("2", 0)]
    world.allocate(quota("web", 10))


def test_allocate_is_atomic_over_keys() -> None:
    """A short line on one SKU leaves the other SKU untouched."""
    world = World(BIKE=10, LAMP=1)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 5), quota("web", 2, sku="LAMP"))
    assert [short.key.sku for short in refused.value.shortages] == ["LAMP"]
    assert world.pool("web") == (0, 0, 0)


def test_unallocate_gives_free_units_back_and_leaves_what_is_held() -> None:
    """Unallocate moves p.a to common.a; held units stay where they are and cannot be given back."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.hold("web", 4)
    with refusal(Insufficient) as refused:
        world.unallocate(back("web", 7))
    assert refused.value.shortages[0].available == 6
    assert world.unallocate(back("web", 5)).quantities == (5,)
    assert world.pool("web") == (1, 4, 0)
    assert world.pool(COMMON) == (5, 0, 0)


def test_unallocate_all_free_gives_back_what_there_is_be_it_nothing() -> None:
    """A planner cannot know a pool's free units under traffic: all free is whatever is free at the decision."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.hold("web", 4)
    assert world.unallocate(back("web")).quantities == (6,)
    assert world.unallocate(back("web"), back("app")).quantities == (0, 0)
    assert world.pool("web") == (0, 4, 0)
    assert world.pool(COMMON) == (6, 0, 0)


def test_lines_of_one_unallocate_are_summed() -> None:
    """All free after a line that took some is what that line left."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    assert world.unallocate(back("web", 4), back("web")).quantities == (4, 6)


def test_unallocate_needs_no_net() -> None:
    """Giving back a quota is possible though more is promised than is there."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.hold("web", 4)
    world.stock(on_hand=0)
    world.unallocate(back("web", 6))
    assert world.pool(COMMON) == (-4, 0, 0)
    assert world.pool("web") == (0, 4, 0)


def test_reallocate_moves_free_units_between_two_pools() -> None:
    """p1.a goes to p2.a, parent to child too; the common pool is one of the pools."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.reallocate(shift("web", "web/london", 7), shift("web/london", COMMON, 2))
    assert world.pool("web") == (3, 0, 0)
    assert world.pool("web/london") == (5, 0, 0)
    assert world.pool(COMMON) == (2, 0, 0)


def test_reallocate_is_refused_when_the_giver_has_less() -> None:
    """p1.a < q is a refusal that names the giving pool; a pool that never was says NO_QUOTA."""
    world = World(BIKE=10)
    world.allocate(quota("web", 3))
    with refusal(Insufficient) as refused:
        world.reallocate(shift("web", "app", 4), shift("store", "app", 1))
    first, second = refused.value.shortages
    assert (first.reason, first.bound_path, first.available) == (ShortageReason.QUOTA_EXHAUSTED, "web", 3)
    assert (second.reason, second.bound_path, second.available) == (ShortageReason.NO_QUOTA, "store", 0)


def test_lines_of_a_reallocate_are_applied_in_order() -> None:
    """A later line may move what an earlier one brought, not the other way round."""
    world = World(BIKE=10)
    world.allocate(quota("web", 5))
    world.reallocate(shift("web", "app", 5), shift("app", "store", 5))
    assert world.pool("store") == (5, 0, 0)
    with refusal(Insufficient):
        world.reallocate(shift("app", "web", 5), shift("store", "app", 5))


def test_a_pool_that_gave_everything_away_is_no_quota_any_more() -> None:
    """After its last unit is given back the path answers NO_QUOTA; one that sold out answers QUOTA_EXHAUSTED."""
    world = World(BIKE=10)
    world.allocate(quota("web", 2), quota("app", 2))
    world.unallocate(back("web", 2))
    world.sell(line("app", 2))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 1), line("app", 1))
    assert [short.reason for short in refused.value.shortages] == [
        ShortageReason.NO_QUOTA,
        ShortageReason.QUOTA_EXHAUSTED,
    ]


def test_a_pool_with_a_hold_stays_a_quota() -> None:
    """A quota of which units are held is not gone when its free units are given back."""
    world = World(BIKE=10)
    world.allocate(quota("web", 2))
    order = world.hold("web", 1)
    world.unallocate(back("web"))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 1))
    assert refused.value.shortages[0].reason is ShortageReason.QUOTA_EXHAUSTED
    world.cancel(order)
    assert world.pool("web") == (1, 0, 0)


def test_a_key_that_no_source_posted_is_not_found() -> None:
    """STOCK_NOT_FOUND names the key and the field, in each of the three commands."""
    world = World(BIKE=10)
    with refusal(StockNotFound) as refused:
        world.allocate(quota("web", 1), quota("web", 1, sku="SOFA"))
    assert (refused.value.key.sku, refused.value.field) == ("SOFA", "lines[1].key")
    with refusal(StockNotFound):
        world.unallocate(back("web", sku="SOFA"))
    with refusal(StockNotFound):
        world.reallocate(shift(COMMON, "web", 1, location="moon"))


@pytest.mark.parametrize("path", ["shop", "web/paris", "web/london/vip"])
def test_a_path_must_be_one_of_the_policy(path: str) -> None:
    """Values and depth are the policy's; the refusal names the field that is wrong."""
    world = World(Policy(levels=(Level("channel", ("web", "app")), Level("region", ("london",)))), BIKE=10)
    world.allocate(quota("web/london", 1), quota("app", 1))
    with refusal(Invalid) as refused:
        world.allocate(quota("web", 1), quota(path, 1))
    with refusal(Invalid):
        world.unallocate(back(path))
    assert [(each.field, each.rule) for each in refused.value.violations] == [("lines[1].path", "PATH_NOT_IN_POLICY")]
    with refusal(Invalid) as refused:
        world.reallocate(shift("web", path, 1))
    assert refused.value.violations[0].field == "lines[0].to_path"
    with refusal(Invalid) as refused:
        world.reallocate(shift(path, "web", 1))
    assert refused.value.violations[0].field == "lines[0].from_path"


def test_a_line_that_is_short_leaves_the_others_what_it_could_not_get() -> None:
    """Of 20 units the capped path gets 3, so the 15 of the next line are there: it is not named as short."""
    world = World(Policy(path_rules=(PathRule("web", quota_cap=3),)), BIKE=20)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 10), quota("app", 15), quota("shop", 4))
    assert [(short.path, short.available, short.reason) for short in refused.value.shortages] == [
        ("web", 3, ShortageReason.CAP_REACHED),
        ("shop", 2, ShortageReason.QUOTA_EXHAUSTED),
    ]


def test_a_quota_lives_while_a_till_owes_a_sale_of_it() -> None:
    """Unallocating all that is free, which is nothing, does not end it: what is cancelled comes back to it."""
    world = World(TILLS)
    world.post(figure(10, position=1))
    world.allocate(quota("web", 3))
    order = world.sell(line("web", 3)).reservation
    world.unallocate(back("web"))
    world.cancel(order)
    assert (world.pool("web"), world.pool(COMMON)) == ((3, 0, 0), (7, 0, 0))
