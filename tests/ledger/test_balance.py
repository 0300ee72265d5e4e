"""What queries answer about stock keys: figures, what can be promised, what is short, how fresh."""

from __future__ import annotations

import copy
from dataclasses import replace
from random import Random

import pytest

from ringfence_server.ledger.balance import (
    BalanceFilter,
    Figures,
    Freshness,
    bring_to,
    key_figures,
    to_reserve,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Invalid
from ringfence_server.ledger.policy import Fallback, Level, Location, Measure, MeasureKind, PathRule, Policy, SupplyTerm
from tests.ledger.balances import balances, only
from tests.ledger.engine import ORGANIZATION, SECOND
from tests.ledger.world import BIKE, BORROWING, NORTH, SOUTH, World, back, figure, key, line, quota, refusal, shift

MINUTES_15 = 15 * 60 * SECOND


def test_the_subtree_of_web_has_the_red_bikes() -> None:
    """Of 500 bikes 200 are web/london/vip's: the common pool still has 300, vip shows 200 and the subtree of web says
    200, although web itself has nothing."""
    world = World(BIKE=500)
    world.allocate(quota("web/london/vip", 200))

    found = balances(world)
    assert list(found) == [COMMON, "web/london/vip"]
    assert found[COMMON].own == Figures(300, 300, 0, 0, 0, 0)
    assert found[COMMON].subtree == Figures(500, 500, 0, 0, 0, 0)
    assert found["web/london/vip"].own.allocated == 200

    (web,) = balances(world, only("web")).values()
    assert web.own == Figures(0, 0, 0, 0, 0, 0)
    assert web.subtree == Figures(200, 200, 0, 0, 0, 0)
    assert list(balances(world, BalanceFilter(path="web"))) == ["web", "web/london/vip"]


def test_held_units_stay_allocated_and_sold_ones_do_not() -> None:
    """allocated is free plus held; available what is free; consumed stays when the quota is gone."""
    world = World(BIKE=20)
    world.allocate(quota("web", 10))
    order = world.hold("web", 6)
    assert balances(world)["web"].own == Figures(10, 4, held=6, unsettled=0, consumed=0, shortfall=0)
    world.consume(order)
    assert balances(world)["web"].own == Figures(4, 4, held=0, unsettled=0, consumed=6, shortfall=0)
    world.sell(line("web", 4))
    assert balances(world)["web"].own == Figures(0, 0, held=0, unsettled=0, consumed=10, shortfall=0)


def test_a_pool_that_gave_everything_away_is_not_shown() -> None:
    """Nothing is left to say of it; the common pool always stands there, also with nothing."""
    world = World(BIKE=5)
    world.allocate(quota("web", 5))
    world.reallocate(shift("web", "app", 5))
    assert list(balances(world)) == [COMMON, "app"]


def test_a_path_asked_for_by_name_is_answered_where_it_has_or_could_get_something() -> None:
    """A path without quota is absent, until fallback would give it something."""
    world = World(BIKE=5)
    assert balances(world, only("web")) == {}
    assert list(balances(world, only(COMMON))) == [COMMON]
    world = World(BORROWING, BIKE=5)
    (web,) = balances(world, only("web")).values()
    assert (web.own.available, web.available_to_reserve) == (0, 5)


@pytest.mark.parametrize(
    ("asked", "path", "expected"),
    [
        ("web", "web", True),
        ("web", "web/london", True),
        ("web", "webshop", False),
        ("web/london", "web", False),
        ("", "web", True),
    ],
)
def test_a_path_means_itself_and_what_lies_below(asked: str, path: str, expected: bool) -> None:
    """Whole levels are compared, not the letters a path begins with."""
    world = World(BIKE=5)
    world.allocate(quota(path, 5))
    assert (path in balances(world, BalanceFilter(path=asked))) is expected
    assert BalanceFilter(path=asked).has_path(path) is expected


def test_what_facts_made_negative_is_shown_as_it_is() -> None:
    """A count that falls below the quotas makes the common pool negative: nothing is available beyond net."""
    world = World(BIKE=10)
    world.allocate(quota("web", 6), quota("app", 3))
    world.stock(on_hand=5)

    found = balances(world)
    assert found[COMMON].own == Figures(allocated=-4, available=0, held=0, unsettled=0, consumed=0, shortfall=0)
    assert found[COMMON].whole.available_to_allocate == 0
    assert [found[path].own.available for path in ("web", "app")] == [5, 3]
    assert found[COMMON].subtree == Figures(allocated=9, available=5, held=0, unsettled=0, consumed=0, shortfall=4)


@pytest.mark.parametrize(
    ("count", "quotas", "promises"),
    [(10, 0, 0), (9, 1, 0), (6, 4, 0), (5, 4, 1), (0, 4, 6), (-3, 4, 6)],
    ids=["enough", "quotas first", "all quotas", "then promises", "everything", "supply below zero alarms nobody"],
)
def test_quotas_are_short_before_promises(count: int, quotas: int, promises: int) -> None:
    """Free quota is no promise to a customer: of what is missing it takes the first share."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.hold("web", 6)
    world.stock(on_hand=count)

    whole = key_figures(world.policy, world[BIKE, NORTH])
    assert (whole.quotas_short, whole.promises_short) == (quotas, promises)
    assert (whole.supply, whole.net) == (count, count - 6)


def test_available_to_reserve_is_what_one_reserve_gets() -> None:
    """Over many states, with fallback, caps and too little behind the quotas: that many units are granted, one more is
    refused."""
    paths = ["", "web", "web/london", "app"]
    for seed in range(60):
        random = Random(seed)
        caps = {path: random.randint(0, 12) for path in paths if random.random() < 0.3}
        policy = Policy(
            path_rules=tuple(
                PathRule(path, random.choice([None, Fallback.NONE, Fallback.ANCESTORS]), None, caps.get(path))
                for path in paths
            )
        )
        world = World(policy, BIKE=30)
        for path in paths[1:]:
            if random.random() < 0.7:
                world.allocate(quota(path, random.randint(1, 9)))
        for path in paths:
            if random.random() < 0.6:
                units = to_reserve(world.policy, world[BIKE, NORTH], path).quantity
                if units:
                    world.hold(path, random.randint(1, units))
        world.stock(on_hand=random.randint(0, 40))
        for path in paths:
            units = to_reserve(world.policy, world[BIKE, NORTH], path).quantity
            with refusal(Insufficient):
                world.hold(path, units + 1)
            if units:
                world.cancel(world.hold(path, units))


def test_a_path_that_the_policy_does_not_have_can_reserve_nothing() -> None:
    """Every path may borrow, but a Reserve of this one is refused: the common pool's units are not offered to it. What
    it sold under an earlier policy stays to be seen."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("app", 2))
    world.sell(line("app", 2))
    world.unallocate(back("app"))
    assert balances(world, only("app"))["app"].available_to_reserve == 8
    world.set_policy(replace(BORROWING, levels=(Level("channel", ("web",)),)))
    with refusal(Invalid):
        world.reserve(line("app", 1))
    sold = balances(world, only("app"))["app"]
    assert (sold.available_to_reserve, sold.own.consumed) == (0, 2)
    assert balances(world, only("shop")) == {}
    assert balances(world, only("web"))["web"].available_to_reserve == 8


def test_what_bounds_a_reserve_is_named() -> None:
    """The pools' free units, the net behind them, or a cap."""
    world = World(Policy(path_rules=(PathRule("app", sales_cap=2),)), BIKE=10)
    world.allocate(quota("web", 5), quota("app", 5))
    assert to_reserve(world.policy, world[BIKE, NORTH], "web") == (5, "POOL")
    assert to_reserve(world.policy, world[BIKE, NORTH], "app") == (2, "CAP")
    world.stock(on_hand=3)
    assert to_reserve(world.policy, world[BIKE, NORTH], "web") == (3, "NET")


def test_the_oldest_figure_of_the_formula_says_how_fresh_a_balance_is() -> None:
    """By the source's own time where it gave one, else by when it was recorded. Measures outside the formula do not
    count."""
    policy = Policy(
        measures=(Measure("on_hand"), Measure("safety_stock"), Measure("seen", MeasureKind.COUNTER)),
    )
    world = World(policy)
    world.post(figure(3, "seen", delta=True))
    assert key_figures(policy, world[BIKE, NORTH]).freshness is None
    world.advance(minutes=1)
    posted = world.now
    world.post(figure(500, "on_hand", position=7))
    world.advance(minutes=1)
    assert key_figures(policy, world[BIKE, NORTH]).freshness == Freshness(posted, None, 7, "on_hand")
    world.post(figure(20, "safety_stock", position=9, count_time=posted - SECOND))
    assert key_figures(policy, world[BIKE, NORTH]).freshness == Freshness(
        posted - SECOND, posted - SECOND, 9, "safety_stock"
    )


def test_a_look_ends_what_is_due_without_touching_the_ledger() -> None:
    """A hold is over exactly at its instant, in the pool that gave it or its nearest living ancestor."""
    world = World(BORROWING, BIKE=10)
    world.allocate(quota("web", 4), quota("web/london", 2))
    order = world.hold("web/london", 7)
    world.unallocate()
    stock, holds = world[BIKE, NORTH], [(order, part) for part in order.parts]
    entries = len(world.journal.entries)

    early, late = copy.deepcopy((stock, holds)), copy.deepcopy((stock, holds))
    bring_to(world.policy, [early[0]], early[1], world.now + MINUTES_15 - 1)
    assert early[0].promised == 7
    bring_to(world.policy, [late[0]], late[1], world.now + MINUTES_15)
    assert late[0].promised == 0
    assert {path: pool.free for path, pool in late[0].pools.items()} == {"": 4, "web": 4, "web/london": 2}
    assert stock.promised == 7
    assert len(world.journal.entries) == entries


def test_a_look_values_a_key_by_the_formula_in_force() -> None:
    """A key that an older formula valued is valued anew before it is answered."""
    world = World(BIKE=10)
    world.stock(safety_stock=4)
    policy = Policy(revision=2, formula_revision=2, supply=(SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -2)))
    stock = copy.deepcopy(world[BIKE, NORTH])
    bring_to(policy, [stock], [], world.now)
    assert (stock.supply, stock.net, stock.pools[COMMON].free) == (2, 2, 2)


def test_key_filters_look_at_every_part_of_a_key() -> None:
    """Organization, SKU, location and dimensions; location groups are those of the policy."""
    policy = Policy(locations=(Location(NORTH, groups=("cold",)), Location(SOUTH)))
    cold = BalanceFilter(location_groups=("cold",)).keys(ORGANIZATION, policy)
    assert cold.matches(key(location=NORTH))
    assert not cold.matches(key(location=SOUTH))
    nowhere = BalanceFilter(locations=(SOUTH,), location_groups=("cold",)).keys(ORGANIZATION, policy)
    assert nowhere.locations == ()
    assert not nowhere.matches(key(location=SOUTH))
    named = BalanceFilter(skus=(BIKE,), dimensions=(("colour", "red"), ("batch", ""))).keys(ORGANIZATION, policy)
    assert named.matches(key(colour="red"))
    assert not named.matches(key(colour="red", batch="7"))
    assert not named.matches(key("LAMP", colour="red"))
    assert not named.matches(key(colour="red")._replace(organization="other"))
