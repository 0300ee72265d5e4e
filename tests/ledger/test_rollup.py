"""What queries answer about many stock keys at once: sums over paths, locations, groups and dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

import pytest

from ringfence_server.ledger.balance import (
    NOTHING,
    Balance,
    BalanceFilter,
    KeyFigures,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.policy import Location, Policy
from ringfence_server.ledger.rollup import RollUp, RollUps, overflow_of
from tests.ledger.balances import EVERYTHING, balances, only
from tests.ledger.engine import ORGANIZATION
from tests.ledger.world import BIKE, NORTH, SOUTH, World, figure, key, line, quota


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
