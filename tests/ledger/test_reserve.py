"""Reserve: a request's lines are judged together, against the pools they draw on and what is really there."""

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Invalid, ShortageReason, StockNotFound
from ringfence_server.ledger.policy import Fallback, Level, Policy
from ringfence_server.ledger.state import ReservationState
from tests.ledger.world import (
    ANCESTORS,
    BIKE,
    BORROWING,
    NONE,
    NORTH,
    World,
    figure,
    key,
    line,
    quota,
    refusal,
)


def test_reserve_ties_free_units_to_an_order() -> None:
    """p.a falls and p.h rises by the quantity; supply stays, and the line's part says where the units came from."""
    world = World(BIKE=500)
    world.allocate(quota("web", 10))
    reserved = world.reserve(line("web", 4, line_id="saddle"), owner="basket 7", caller="webshop")
    order = reserved.reservation
    (part,) = order.parts
    assert reserved.full
    assert world.pool("web") == (6, 4, 0)
    assert world[BIKE, NORTH].supply == 500
    assert (part.line_id, part.path, part.asked_path, part.located) == ("saddle", "web", "web", True)
    assert (part.requested, part.granted, part.held) == (4, 4, 4)
    assert (order.owner, order.caller, order.state, order.revision) == ("basket 7", "webshop", ReservationState.HELD, 1)


def test_the_empty_path_sells_unfenced_stock() -> None:
    """Whoever sells what is fenced for nobody reserves on the empty path; quotas are out of its reach."""
    world = World(BIKE=10)
    world.allocate(quota("web", 7))
    world.hold(COMMON, 3)
    with refusal(Insufficient) as refused:
        world.reserve(line(COMMON, 1))
    (short,) = refused.value.shortages
    assert (short.reason, short.available, short.bound_path) == (ShortageReason.QUOTA_EXHAUSTED, 0, COMMON)


def test_quota_10_count_0_web_may_not_reserve_10() -> None:
    """A count of 0 makes the common pool negative; the fence stands, but net says that nothing is there."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.stock(on_hand=0)
    assert world.pool("web") == (10, 0, 0)
    assert world.pool(COMMON) == (-10, 0, 0)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 10))
    (short,) = refused.value.shortages
    assert (short.reason, short.bound_path) == (ShortageReason.NET_SHORT, COMMON)
    assert (short.requested, short.available, short.available_with_fallback) == (10, 0, 0)


def test_a_promise_needs_both_its_pool_and_net() -> None:
    """sellable(p) = min(a(p), net): of a quota of 10 exactly the 4 that are there can be promised."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.stock(on_hand=4)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 5))
    assert (refused.value.shortages[0].available, refused.value.shortages[0].reason) == (4, ShortageReason.NET_SHORT)
    world.hold("web", 4)
    assert world[BIKE, NORTH].net == 0
    with refusal(Insufficient):
        world.reserve(line("web", 1))


def test_net_is_shared_by_all_pools_of_the_key() -> None:
    """Two quotas that are both full on paper share what is there."""
    world = World(BIKE=10)
    world.allocate(quota("web", 5), quota("app", 5))
    world.stock(on_hand=6)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 5), line("app", 5))
    (short,) = refused.value.shortages
    assert (short.path, short.available, short.reason) == ("app", 1, ShortageReason.NET_SHORT)
    world.reserve(line("web", 5), line("app", 1))


def test_lines_of_one_request_on_one_pool_are_summed() -> None:
    """Two lines of 6 on a quota of 10 are refused together, though each alone would fit."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 6), line("web", 6))
    (short,) = refused.value.shortages
    assert (short.line_id, short.requested, short.available) == ("2", 6, 4)
    world.reserve(line("web", 6), line("web", 4))


def test_demand_is_summed_over_fallback_too() -> None:
    """Two paths that borrow from one common pool cannot both have its last units."""
    world = World(BORROWING, BIKE=10)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 6), line("app", 6))
    (short,) = refused.value.shortages
    assert (short.line_id, short.available, short.bound_path) == ("2", 4, COMMON)


def test_every_short_line_is_listed_with_what_bound_it() -> None:
    """One refusal names all short lines: no quota, an exhausted one, and what each would have with fallback."""
    world = World(BIKE=10, LAMP=5, SOFA=9)
    world.allocate(quota("web", 2), quota("app", 3), quota("web", 9, sku="SOFA"))
    world.stock("SOFA", on_hand=0)
    with refusal(Insufficient) as refused:
        world.reserve(
            line("web", 4, line_id="exhausted"),
            line("app", 3, line_id="fine"),
            line("web", 6, sku="LAMP", line_id="no quota"),
            line("web", 1, sku="SOFA", line_id="net"),
        )
    shortages = refused.value.shortages
    assert [(short.line_id, short.reason, short.bound_path) for short in shortages] == [
        ("exhausted", ShortageReason.QUOTA_EXHAUSTED, "web"),
        ("no quota", ShortageReason.NO_QUOTA, "web"),
        ("net", ShortageReason.NET_SHORT, COMMON),
    ]
    assert [(short.requested, short.available, short.available_with_fallback) for short in shortages] == [
        (4, 2, 4),
        (6, 0, 5),
        (1, 0, 0),
    ]
    assert [short.key for short in shortages] == [key(), key("LAMP"), key("SOFA")]


def test_what_fallback_would_give_counts_what_others_of_the_request_took() -> None:
    """The common pool's units that another line of the request takes are not offered twice."""
    world = World(BIKE=10)
    world.allocate(quota("web", 2))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 9), line(COMMON, 6))
    (short,) = refused.value.shortages
    assert (short.line_id, short.available, short.available_with_fallback) == ("1", 2, 4)


def test_a_reserve_is_atomic_over_keys_and_locations() -> None:
    """One short line and nothing is held anywhere."""
    world = World(BIKE=10, LAMP=1)
    with refusal(Insufficient):
        world.reserve(line(COMMON, 5), line(COMMON, 2, sku="LAMP"))
    assert world.pool(COMMON) == (10, 0, 0)
    world.reserve(line(COMMON, 5), line(COMMON, 1, sku="LAMP"))
    assert (world.pool(COMMON), world.pool(COMMON, "LAMP")) == ((5, 5, 0), (0, 1, 0))


def test_allow_partial_grants_what_there_is() -> None:
    """With ALLOW_PARTIAL the fill is partial, and every line says what it asked for and what it got."""
    world = World(BIKE=10, LAMP=3)
    reserved = world.reserve(line(COMMON, 12), line(COMMON, 3, sku="LAMP"), line(COMMON, 1), partial=True)
    assert not reserved.full
    parts = reserved.reservation.parts
    assert {part.line_id: (part.requested, part.granted) for part in parts} == {"1": (12, 10), "2": (3, 3), "3": (1, 0)}
    assert world.pool(COMMON) == (0, 10, 0)


def test_allow_partial_with_enough_is_a_full_fill() -> None:
    """Nothing is partial when everything was granted."""
    world = World(BIKE=10)
    assert world.reserve(line(COMMON, 10), partial=True).full


def test_allow_partial_with_nothing_to_give_is_a_refusal() -> None:
    """An order of nothing is no order."""
    world = World(BIKE=10)
    world.hold(COMMON, 10)
    with refusal(Insufficient):
        world.reserve(line(COMMON, 1), line("web", 1), partial=True)
    assert len(world.reservations) == 1


def test_a_partial_grant_respects_net() -> None:
    """Net bounds what ALLOW_PARTIAL gives, too."""
    world = World(BIKE=10)
    world.allocate(quota("web", 10))
    world.stock(on_hand=3)
    assert not world.reserve(line("web", 10), partial=True).full
    assert world.pool("web") == (7, 3, 0)


def test_two_orders_of_one_owner_stand_side_by_side() -> None:
    """The owner is a label: a second Reserve replaces nothing."""
    world = World(BIKE=10)
    world.reserve(line(COMMON, 3), owner="basket")
    world.reserve(line(COMMON, 3), owner="basket")
    assert world.pool(COMMON) == (4, 6, 0)


def test_a_key_that_no_source_posted_is_not_found() -> None:
    """STOCK_NOT_FOUND rather than a shortage of a key that nobody knows."""
    world = World(BIKE=10)
    with refusal(StockNotFound) as refused:
        world.reserve(line(COMMON, 1), line(COMMON, 1, sku="SOFA"))
    assert (refused.value.key, refused.value.field) == (key("SOFA"), "lines[1].key")


def test_a_key_with_other_dimensions_is_another_key() -> None:
    """Commands need an exact key: red bikes are no blue bikes, and the empty colour is no wildcard."""
    world = World(Policy(dimensions=("colour",)))
    world.post(figure(5, colour="red"))
    red = line(COMMON, 1)._replace(key=key(colour="red"))
    world.reserve(red)
    with refusal(StockNotFound):
        world.reserve(red._replace(key=key(colour="blue")))
    with refusal(StockNotFound):
        world.reserve(line(COMMON, 1))


def test_every_broken_rule_of_a_request_is_named_at_once() -> None:
    """Paths, dimensions and fallback that the policy does not know are answered together, and nothing is judged."""
    world = World(Policy(levels=(Level("channel", ("web",)),)), BIKE=10)
    with refusal(Invalid) as refused:
        world.reserve(
            line("shop", 1),
            line("web", 1)._replace(key=key(size="XL")),
            line("web", 1, fallback=Fallback.ANCESTORS),
            line("web", 1, location=""),
        )
    assert [(each.field, each.rule) for each in refused.value.violations] == [
        ("lines[0].path", "PATH_NOT_IN_POLICY"),
        ("lines[1].key.dimensions", "DIMENSION_NOT_IN_POLICY"),
        ("lines[2].fallback", "FALLBACK_WIDER_THAN_POLICY"),
        ("lines[3].key.location", "LOCATION_REQUIRED"),
    ]


def test_vip_with_and_without_fallback_fit_in_either_order() -> None:
    """[vip 1 with fallback, vip 2 without] on a quota that just suffices is filled in either line order."""
    with_fallback = line("vip", 1, fallback=ANCESTORS, line_id="may borrow")
    without = line("vip", 2, fallback=NONE, line_id="may not")
    for lines in ((with_fallback, without), (without, with_fallback)):
        world = World(BORROWING, BIKE=3)
        world.allocate(quota("vip", 2))
        order = world.reserve(*lines).reservation
        assert {part.line_id: (part.path, part.held) for part in order.parts} == {
            "may not": ("vip", 2),
            "may borrow": (COMMON, 1),
        }
