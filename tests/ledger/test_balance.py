"""What queries answer about stock keys: figures, what can be promised, what is short, how fresh, and sums."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from ringfence_server.ledger.balance import (
    NOTHING,
    Balance,
    BalanceFilter,
    Figures,
    Freshness,
    KeyFigures,
    balances_of,
    bring_to,
    key_figures,
    to_reserve,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Invalid
from ringfence_server.ledger.policy import Fallback, Level, Location, Measure, MeasureKind, PathRule, Policy, SupplyTerm
from ringfence_server.ledger.rollup import RollUp, RollUps, overflow_of
from tests.ledger.engine import ORGANIZATION, SECOND
from tests.ledger.world import BIKE, BORROWING, NORTH, SOUTH, World, back, figure, key, line, quota, refusal, shift

EVERYTHING = BalanceFilter()
MINUTES_15 = 15 * 60 * SECOND


def balances(world: World, wanted: BalanceFilter = EVERYTHING, *, location: str = NORTH) -> dict[str, Balance]:
    """The balances of the bikes, by path."""
    return {found.path: found for found in balances_of(world.policy, world[BIKE, location], wanted)}


def only(path: str) -> BalanceFilter:
    return BalanceFilter(path=path, exact_path=True)


def rolled(
    world: World, by: RollUp, wanted: BalanceFilter = EVERYTHING, *, most: int = 100, page: int | None = None
) -> list[Balance]:
    """All rows of a roll-up, in pages."""
    rows: list[Balance] = []
    after = None
    while True:
        sums = RollUps(world.policy, wanted, by, after=after, most=page or most)
        for stock in world.stocks.values():
            if wanted.keys(ORGANIZATION, world.policy).matches(stock.key):
                sums.add(stock)
        found = sums.rows()
        rows += found[: page or most]
        if len(found) <= (page or most):
            return rows
        after = sums.key_of(rows[-1])


# --- one key ---------------------------------------------------------------------------------------------------------


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


# --- roll-ups --------------------------------------------------------------------------------------------------------


def two_stores(north: int, south: int) -> World:
    world = World(
        Policy(
            locations=(Location(NORTH, groups=("stores", "cold")), Location(SOUTH, groups=("stores",))),
        )
    )
    world.stock(location=NORTH, on_hand=north)
    world.stock(location=SOUTH, on_hand=south)
    return world


def test_two_stores_with_35_and_59_in_allocation_show_94_and_the_parts() -> None:
    """35 + 59 → 94"""
    world = two_stores(100, 100)
    world.allocate(quota("web", 35), quota("web", 59, location=SOUTH))
    wanted = BalanceFilter(path="web")
    (row,) = rolled(world, RollUp(sku=True), wanted)
    assert (row.key.sku, row.key.location, row.own.allocated, row.key_count) == (BIKE, "", 94, 2)
    assert row.subtree.allocated == 94
    assert row.whole.available_to_allocate == 65 + 41
    parts = [balances(world, wanted, location=place)["web"].own.allocated for place in (NORTH, SOUTH)]
    assert parts == [35, 59]


def test_minus_4_and_3_are_3_and_a_shortfall_of_4() -> None:
    """A store that is short does not eat what another one has, in any figure."""
    world = two_stores(6, 3)
    world.allocate(quota("web", 6))
    world.stock(location=NORTH, on_hand=2)
    (row,) = rolled(world, RollUp(sku=True), only(COMMON))
    assert (row.own.allocated, row.own.shortfall) == (3, 4)
    assert (row.whole.supply, row.whole.net) == (2 + 3, 2 + 3)
    assert (row.whole.quotas_short, row.whole.promises_short) == (4, 0)
    world.stock(location=NORTH, on_hand=-5)
    (row,) = rolled(world, RollUp(sku=True), only(COMMON))
    assert (row.whole.supply, row.whole.net, row.available_to_reserve) == (3, 3, 3)


def test_a_roll_up_keeps_apart_what_it_names_and_sums_the_rest() -> None:
    """By location, by location group (a location counts in each of its groups, and under none where it has none), by
    dimension, by level."""
    world = two_stores(10, 20)
    world.stock(location="kiosk", on_hand=5)
    world.allocate(quota("web/london/vip", 3), quota("web", 2), quota("web/berlin", 4, location=SOUTH))

    by_location = rolled(world, RollUp(location=True))
    assert [(row.key.location, row.own.allocated) for row in by_location] == [("kiosk", 5), (NORTH, 10), (SOUTH, 20)]

    by_group = rolled(world, RollUp(location_group=True))
    assert [(row.location_group, row.own.allocated, row.key_count) for row in by_group] == [
        ("", 5, 1),
        ("cold", 10, 1),
        ("stores", 30, 2),
    ]
    only_cold = rolled(world, RollUp(location_group=True), BalanceFilter(location_groups=("cold",)))
    assert [(row.location_group, row.own.allocated) for row in only_cold] == [("cold", 10)]

    by_level = rolled(world, RollUp(level=2))
    assert [(row.path, row.own.allocated, row.subtree.allocated, row.key_count) for row in by_level] == [
        ("", 26, 35, 3),
        ("web", 2, 9, 1),
        ("web/berlin", 4, 4, 1),
        ("web/london", 3, 3, 1),
    ]


def test_a_roll_up_by_dimension_has_a_row_for_what_has_no_value() -> None:
    """One row per value; the empty one is "does not apply"."""
    world = World(Policy(dimensions=("batch", "colour")))
    world.post(
        figure(1, "on_hand", colour="red"),
        figure(2, "on_hand", colour="red", batch="7"),
        figure(4, "on_hand", colour="blue"),
        figure(8, "on_hand"),
    )
    rows = rolled(world, RollUp(dimensions=("colour",)))
    assert [(row.key.dimensions, row.own.allocated) for row in rows] == [
        ((), 8),
        ((("colour", "blue"),), 4),
        ((("colour", "red"),), 3),
    ]
    (unbatched,) = rolled(world, RollUp(sku=True), BalanceFilter(dimensions=(("batch", ""),)))
    assert unbatched.own.allocated == 13


def test_available_units_of_one_key_are_not_summed_beyond_its_net() -> None:
    """Two pools that could each sell the last two units have two together."""
    world = World(BIKE=10)
    world.allocate(quota("web/london", 5), quota("web/berlin", 5))
    world.stock(on_hand=2)
    (row,) = rolled(world, RollUp(sku=True, level=1), BalanceFilter(path="web"))
    assert (row.own.available, row.subtree.available) == (2, 2)


@cache
def many_keys() -> World:
    """Sixty keys in three places, two colours and none, with quotas on five paths. Only to look at."""
    random = Random(5)
    world = World(
        Policy(
            dimensions=("colour",),
            locations=(Location(NORTH, groups=("a", "b")), Location(SOUTH, groups=("b",))),
        )
    )
    colours: tuple[dict[str, str], ...] = ({}, {"colour": "red"}, {"colour": "blue"})
    for number in range(60):
        each = key(f"S{random.randrange(30):02}", random.choice([NORTH, SOUTH, "kiosk"]), **random.choice(colours))
        world.post(figure(20, "on_hand", position=number + 1)._replace(key=each))
    for stock in world.stocks.values():
        for path in ("web", "web/london", "web/london/vip", "web-x", "app"):
            if random.random() < 0.4:
                world.allocate(quota(path, random.randint(1, 3))._replace(key=stock.key))
    return world


@pytest.mark.parametrize(
    "by",
    [
        RollUp(sku=True),
        RollUp(sku=True, location=True, level=1),
        RollUp(location=True, level=3),
        RollUp(level=2),
        RollUp(location_group=True, dimensions=("colour",), level=1),
    ],
)
@pytest.mark.parametrize("wanted", [EVERYTHING, BalanceFilter(path="web"), only("web")])
def test_pages_of_a_roll_up_are_the_roll_up(by: RollUp, wanted: BalanceFilter, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pages, and though rows behind a page are dropped while it is summed."""
    monkeypatch.setattr("ringfence_server.ledger.rollup._SLACK", 0)
    world = many_keys()
    whole = rolled(world, by, wanted, most=10_000)
    assert whole
    assert rolled(world, by, wanted, page=1) == whole
    assert rolled(world, by, wanted, page=7) == whole


def test_a_roll_up_is_the_sum_of_its_parts() -> None:
    """Own figures over a level are those of its pools; each key is counted once."""
    world = two_stores(50, 50)
    world.allocate(quota("web", 7), quota("web/london", 5), quota("web/london", 9, location=SOUTH))
    world.hold("web/london", 3)
    world.sell(line("web", 2, location=NORTH))
    rows = {row.path: row for row in rolled(world, RollUp(level=1))}
    pools = [balances(world, location=place) for place in (NORTH, SOUTH)]
    for name in ("allocated", "available", "held", "unsettled", "consumed"):
        parts: Sequence[int] = [
            getattr(found.own, name) for each in pools for path, found in each.items() if path.startswith("web")
        ]
        assert getattr(rows["web"].own, name) == sum(parts)
    assert rows["web"].key_count == 2
    assert rows["web"].whole.supply == 98


def test_a_sum_that_leaves_64_bits_is_an_overflow() -> None:
    """10 sums of 10^18 are told; no figure of one key comes near."""
    whole = KeyFigures(0, 10**18, 0, 0, 0, None)
    row = Balance(key(), COMMON, "", NOTHING, NOTHING, 0, whole, (1,), 10)
    assert overflow_of(row) is None
    assert overflow_of(row._replace(whole=whole._replace(supply=2**63 - 1))) is None
    for large in (
        row._replace(whole=whole._replace(supply=2**63)),
        row._replace(own=NOTHING._replace(consumed=2**63)),
        row._replace(subtree=NOTHING._replace(shortfall=2**63)),
        row._replace(available_to_reserve=2**63),
    ):
        overflow = overflow_of(large)
        assert overflow is not None
        assert (overflow.field, "10 stock keys" in overflow.description) == ("roll_up", True)


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
