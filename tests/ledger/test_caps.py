"""Caps: quota_cap bounds what a path may have allocated, sales_cap what it may hold or have sold."""

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, ShortageReason
from ringfence_server.ledger.policy import PathRule, Policy
from tests.ledger.world import ANCESTORS, SOUTH, World, back, line, quota, refusal, shift

QUOTA = Policy(path_rules=(PathRule("web", quota_cap=5),))
SALES = Policy(path_rules=(PathRule(COMMON, fallback=ANCESTORS), PathRule("web", sales_cap=5)))


def test_the_quota_cap_bounds_allocate() -> None:
    """CAP_REACHED names the capped path, its cap and what could still be allocated."""
    world = World(QUOTA, BIKE=20)
    world.allocate(quota("web", 3))
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 3))
    (short,) = refused.value.shortages
    assert (short.reason, short.bound_path, short.cap, short.available) == (ShortageReason.CAP_REACHED, "web", 5, 2)
    world.allocate(quota("web", 2))


def test_the_quota_cap_counts_free_and_held_units() -> None:
    """A hold does not make room for more quota; a sale does."""
    world = World(QUOTA, BIKE=20)
    world.allocate(quota("web", 5))
    order = world.hold("web", 3)
    with refusal(Insufficient):
        world.allocate(quota("web", 1))
    world.consume(order)
    world.allocate(quota("web", 3))
    assert world.pool("web") == (5, 0, 0)


def test_the_quota_cap_bounds_reallocate() -> None:
    """Of the taking path; a giver's cap does not matter, and what a request gives away makes room in it."""
    world = World(QUOTA, BIKE=20)
    world.allocate(quota("app", 9), quota("web", 5))
    with refusal(Insufficient) as refused:
        world.reallocate(shift("app", "web", 1))
    assert refused.value.shortages[0].reason is ShortageReason.CAP_REACHED
    world.reallocate(shift("web", "app", 4), shift("app", "web", 4))
    assert world.pool("web") == (5, 0, 0)


def test_lines_toward_one_quota_cap_are_summed() -> None:
    """Two lines that fit alone are too much together."""
    world = World(QUOTA, BIKE=20)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 3), quota("web", 3))
    assert [(short.line_id, short.available) for short in refused.value.shortages] == [("2", 2)]


def test_a_cap_holds_per_stock_key_and_for_the_path_itself() -> None:
    """Another SKU or location has its own room, and a child path is not capped by its parent's cap."""
    world = World(QUOTA, BIKE=20, LAMP=20)
    world.stock(location=SOUTH, on_hand=20)
    world.allocate(quota("web", 5), quota("web", 5, sku="LAMP"), quota("web", 5, location=SOUTH))
    world.allocate(quota("web/london", 6))


def test_what_bound_is_the_scarcer_of_pool_and_cap() -> None:
    """The common pool had less than the cap leaves: that is no CAP_REACHED."""
    world = World(QUOTA, BIKE=2)
    with refusal(Insufficient) as refused:
        world.allocate(quota("web", 9))
    (short,) = refused.value.shortages
    assert (short.reason, short.available, short.cap) == (ShortageReason.QUOTA_EXHAUSTED, 2, 0)


def test_no_cap_refuses_what_is_given_back() -> None:
    """Unallocate moves to the common pool, which has no quota to cap."""
    world = World(QUOTA, BIKE=20)
    world.allocate(quota("web", 5))
    world.unallocate(back("web"))


def test_the_sales_cap_counts_held_and_sold_units() -> None:
    """Of a quota of 10 the path may hold or have sold 5."""
    world = World(SALES, BIKE=20)
    world.allocate(quota("web", 10))
    order = world.hold("web", 3)
    world.consume(order)
    world.hold("web", 1)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 2))
    (short,) = refused.value.shortages
    assert (short.reason, short.bound_path, short.cap, short.available) == (ShortageReason.CAP_REACHED, "web", 5, 1)
    assert short.available_with_fallback == 1


def test_the_sales_cap_counts_borrowed_units_for_the_path_that_asked() -> None:
    """2 own and 3 borrowed units are 5 for web, and none for the pool that lent them."""
    world = World(SALES, BIKE=20)
    world.allocate(quota("web", 2))
    order = world.hold("web", 5)
    with refusal(Insufficient):
        world.reserve(line("web", 1))
    world.hold(COMMON, 10)
    world.cancel(order, {"1": 2})
    assert [(part.path, part.held) for part in order.parts] == [("web", 2), (COMMON, 1)]
    world.hold("web", 2)


def test_what_comes_back_counts_no_longer() -> None:
    """Cancelled holds, cancelled sales, expired holds and reductions all make room again."""
    world = World(SALES, BIKE=20)
    for free in ("cancel", "return", "expire", "reduce"):
        order = world.hold("web", 5)
        match free:
            case "cancel":
                world.cancel(order)
            case "return":
                world.consume(order)
                world.cancel(order)
            case "expire":
                world.advance(minutes=15)
            case _:
                world.update(order, {"1": 0})
    world.hold("web", 5)


def test_lines_toward_one_sales_cap_are_summed() -> None:
    """Own and borrowed, over all lines of the request that ask this path."""
    world = World(SALES, BIKE=20)
    world.allocate(quota("web", 2))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 3), line("web", 3), line("app", 5))
    assert [(short.line_id, short.available) for short in refused.value.shortages] == [("2", 2)]


def test_the_sales_cap_bounds_a_direct_sale_and_an_increase() -> None:
    """Every promise asks it."""
    world = World(SALES, BIKE=20)
    with refusal(Insufficient):
        world.sell(line("web", 6))
    order = world.hold("web", 4)
    with refusal(Insufficient):
        world.update(order, {"1": 6})
    world.update(order, {"1": 5})


def test_a_partial_grant_stops_at_the_sales_cap() -> None:
    """ALLOW_PARTIAL grants up to the cap."""
    world = World(SALES, BIKE=20)
    reserved = world.reserve(line("web", 9), partial=True)
    assert not reserved.full
    assert world.pool(COMMON) == (15, 5, 0)


def test_one_line_may_use_the_room_that_another_line_of_the_update_frees() -> None:
    """A reduction counts no longer before the increase is judged."""
    world = World(SALES, BIKE=20)
    order = world.reserve(line("web", 3), line("web", 2)).reservation
    world.update(order, {"1": 1, "2": 4})
    assert [part.held for part in order.parts] == [1, 4]


def test_a_cap_lowered_below_what_is_promised_lets_it_stand() -> None:
    """Nothing is taken from anyone; new promises wait until enough has come back."""
    world = World(SALES, BIKE=20)
    order = world.hold("web", 5)
    world.set_policy(Policy(path_rules=(PathRule(COMMON, fallback=ANCESTORS), PathRule("web", sales_cap=2))))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 1))
    assert (refused.value.shortages[0].available, refused.value.shortages[0].cap) == (0, 2)
    world.consume(order, {"1": 1})
    world.cancel(order, {"1": 4})
    world.hold("web", 1)
