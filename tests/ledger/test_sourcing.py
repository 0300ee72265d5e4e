"""Sourcing: a line without a location is filled over the policy's location order, in four steps."""

from dataclasses import replace

from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import Insufficient, Invalid, ShortageReason, StockNotFound
from ringfence_server.ledger.policy import PathRule, Policy
from ringfence_server.ledger.state import Reservation
from tests.ledger.world import ANCESTORS, NONE, NORTH, SOUTH, World, key, line, quota, refusal

EAST = "east"
ORDER = Policy(location_order=(NORTH, SOUTH, EAST), path_rules=(PathRule(COMMON, fallback=ANCESTORS),))
SPLITTING = replace(ORDER, allow_split=True)


def _world(policy: Policy = ORDER, **units: tuple[int, int, int]) -> World:
    """A World where ``BIKE=(3, 0, 5)`` is what north, south and east have."""
    world = World(policy)
    for sku, figures in units.items():
        for location, on_hand in zip((NORTH, SOUTH, EAST), figures, strict=True):
            world.stock(sku, location, on_hand=on_hand)
    return world


def _sources(order: Reservation) -> list[tuple[str, str, str, int]]:
    """Line, location, pool and units of every part."""
    return [(part.line_id, part.stock.key.location, part.path, part.held) for part in order.parts]


def test_the_first_location_that_has_it_gives() -> None:
    """The policy's order decides, not who has most; the part names its location and that the caller named none."""
    world = _world(BIKE=(1, 4, 90))
    order = world.reserve(line(COMMON, 3, location="")).reservation
    assert _sources(order) == [("1", SOUTH, COMMON, 3)]
    assert not order.parts[0].located


def test_step_1_one_location_for_all_lines_from_own_pools() -> None:
    """North fills the bike but not the lamp: both come from the first location that fills both from own pools."""
    world = _world(BIKE=(9, 9, 9), LAMP=(0, 2, 9))
    order = world.reserve(line(COMMON, 3, location=""), line(COMMON, 2, sku="LAMP", location="")).reservation
    assert _sources(order) == [("1", SOUTH, COMMON, 3), ("2", SOUTH, COMMON, 2)]


def test_step_1_holds_for_a_line_that_only_one_location_knows() -> None:
    """A line with one candidate is sourced with the others: the order stays in one parcel."""
    world = _world(BIKE=(9, 9, 9))
    world.stock("LAMP", SOUTH, on_hand=2)
    order = world.reserve(line(COMMON, 3, location=""), line(COMMON, 2, sku="LAMP", location="")).reservation
    assert _sources(order) == [("1", SOUTH, COMMON, 3), ("2", SOUTH, COMMON, 2)]


def test_step_1_own_pools_at_a_later_location_come_before_borrowing_at_an_earlier_one() -> None:
    """North could fill the order with fallback, south from its own quota: south gives."""
    world = _world(BIKE=(9, 9, 9))
    world.allocate(quota("web", 2), quota("web", 5, location=SOUTH))
    order = world.reserve(line("web", 5, location="")).reservation
    assert _sources(order) == [("1", SOUTH, "web", 5)]


def test_step_2_one_location_for_all_lines_with_fallback() -> None:
    """When no location fills all lines from own pools, the first that does so with fallback gives."""
    world = _world(BIKE=(4, 9, 9), LAMP=(9, 9, 9))
    world.allocate(quota("web", 3), quota("web", 3, location=SOUTH))
    order = world.reserve(line("web", 5, location=""), line("web", 1, sku="LAMP", location="")).reservation
    assert _sources(order) == [
        ("1", SOUTH, "web", 3),
        ("1", SOUTH, COMMON, 2),
        ("2", SOUTH, COMMON, 1),
    ]


def test_step_2_lends_only_to_lines_that_may_borrow() -> None:
    """A line that narrowed its fallback to NONE does not borrow in any step."""
    world = _world(BIKE=(9, 9, 9))
    world.allocate(quota("web", 5, location=EAST))
    order = world.reserve(line("web", 5, location="", fallback=NONE)).reservation
    assert _sources(order) == [("1", EAST, "web", 5)]
    with refusal(Insufficient):
        world.reserve(line("web", 1, location="", fallback=NONE))


def test_step_3_each_line_from_the_first_location_that_fills_it() -> None:
    """No location fills both lines: each is whole at one location, in two parcels."""
    world = _world(BIKE=(0, 9, 0), LAMP=(0, 0, 9))
    order = world.reserve(line(COMMON, 3, location=""), line(COMMON, 2, sku="LAMP", location="")).reservation
    assert _sources(order) == [("1", SOUTH, COMMON, 3), ("2", EAST, COMMON, 2)]


def test_step_3_finds_what_a_failed_attempt_gave_back() -> None:
    """Both lines fit the north alone but not together: what that attempt took is there again for the first of them."""
    world = _world(BIKE=(3, 3, 0))
    world.allocate(quota("web", 3), quota("web", 3, location=SOUTH))
    order = world.reserve(line("web", 2, location=""), line("web", 2, location="")).reservation
    assert _sources(order) == [("1", NORTH, "web", 2), ("2", SOUTH, "web", 2)]


def test_step_3_asks_own_pools_of_all_locations_before_borrowing() -> None:
    """For one line, too, a later location's own quota comes before an earlier location's common pool."""
    world = _world(BIKE=(9, 9, 0), LAMP=(0, 0, 9))
    world.allocate(quota("web", 5, location=SOUTH))
    order = world.reserve(line("web", 5, location=""), line(COMMON, 1, sku="LAMP", location="")).reservation
    assert _sources(order) == [("1", SOUTH, "web", 5), ("2", EAST, COMMON, 1)]


def test_step_4_splits_if_policy_and_request_allow_it() -> None:
    """A line that no location fills is put together from several."""
    world = _world(SPLITTING, BIKE=(4, 3, 9))
    order = world.reserve(line(COMMON, 12, location=""), split=True).reservation
    assert _sources(order) == [("1", NORTH, COMMON, 4), ("1", SOUTH, COMMON, 3), ("1", EAST, COMMON, 5)]


def test_a_split_needs_the_policy_and_the_request() -> None:
    """Neither may split alone; the refusal says what the best single location has."""
    for policy, split in ((ORDER, True), (SPLITTING, False)):
        world = _world(policy, BIKE=(4, 3, 9))
        with refusal(Insufficient) as refused:
            world.reserve(line(COMMON, 12, location=""), split=split)
        (short,) = refused.value.shortages
        assert (short.key, short.requested, short.available) == (key(location=""), 12, 9)


def test_step_4_takes_own_pools_of_all_locations_before_borrowing_anywhere() -> None:
    """Own quota in the east comes before the common pool in the north."""
    world = _world(SPLITTING, BIKE=(4, 4, 4))
    world.allocate(quota("web", 1), quota("web", 2, location=EAST))
    order = world.reserve(line("web", 6, location=""), split=True).reservation
    assert _sources(order) == [("1", NORTH, "web", 1), ("1", EAST, "web", 2), ("1", NORTH, COMMON, 3)]


def test_step_4_borrows_pool_by_pool_from_the_deepest_up() -> None:
    """The parent's quota in the south comes before the common pool in the north."""
    world = _world(SPLITTING, BIKE=(4, 4, 0))
    world.allocate(quota("web", 1), quota("web", 2, location=SOUTH))
    order = world.reserve(line("web/london", 6, location=""), split=True).reservation
    assert _sources(order) == [
        ("1", NORTH, "web", 1),
        ("1", SOUTH, "web", 2),
        ("1", NORTH, COMMON, 3),
    ]


def test_net_bounds_each_location_of_a_split() -> None:
    """A quota that is not there at one location is made up for at the next."""
    world = _world(SPLITTING, BIKE=(4, 4, 4))
    world.allocate(quota("web", 4), quota("web", 4, location=SOUTH))
    world.stock(on_hand=1)
    order = world.reserve(line("web", 5, location="", fallback=NONE), split=True).reservation
    assert _sources(order) == [("1", NORTH, "web", 1), ("1", SOUTH, "web", 4)]


def test_lines_with_a_location_are_served_before_lines_to_be_sourced() -> None:
    """What a line names it gets; the line that names nothing goes elsewhere."""
    world = _world(BIKE=(3, 3, 0))
    order = world.reserve(line(COMMON, 3, location=""), line(COMMON, 3, location=NORTH)).reservation
    assert _sources(order) == [("2", NORTH, COMMON, 3), ("1", SOUTH, COMMON, 3)]


def test_a_partial_grant_without_split_comes_from_the_location_that_has_most() -> None:
    """ALLOW_PARTIAL on a line to be sourced still sends one parcel."""
    world = _world(BIKE=(4, 7, 7))
    reserved = world.reserve(line(COMMON, 12, location=""), partial=True)
    assert not reserved.full
    assert _sources(reserved.reservation) == [("1", SOUTH, COMMON, 7)]


def test_a_partial_grant_with_split_takes_everything() -> None:
    """Where splitting is allowed ALLOW_PARTIAL gathers what all locations have."""
    world = _world(SPLITTING, BIKE=(4, 7, 7))
    reserved = world.reserve(line(COMMON, 20, location=""), partial=True, split=True)
    assert not reserved.full
    assert sum(part.held for part in reserved.reservation.parts) == 18


def test_a_location_that_does_not_know_the_key_is_passed_over() -> None:
    """Only keys that a source has posted are candidates; none at all is STOCK_NOT_FOUND."""
    world = World(ORDER)
    world.stock(location=EAST, on_hand=2)
    assert _sources(world.reserve(line(COMMON, 2, location="")).reservation) == [("1", EAST, COMMON, 2)]
    with refusal(StockNotFound) as refused:
        world.reserve(line(COMMON, 1, sku="SOFA", location=""))
    assert refused.value.key == key("SOFA", "")


def test_a_location_outside_the_order_gives_only_by_name() -> None:
    """What the policy's order leaves out is never sourced."""
    world = _world(BIKE=(0, 0, 0))
    world.stock(location="attic", on_hand=5)
    with refusal(Insufficient):
        world.reserve(line(COMMON, 1, location=""))
    world.hold(COMMON, 1, location="attic")


def test_a_policy_without_an_order_wants_every_line_to_name_its_location() -> None:
    """Nothing is guessed."""
    world = World(BIKE=5)
    with refusal(Invalid) as refused:
        world.reserve(line(COMMON, 1, location=""))
    assert refused.value.violations[0].rule == "LOCATION_REQUIRED"


def test_what_bound_a_sourced_line_is_told_of_the_location_that_came_nearest() -> None:
    """North has a quota and ran out of it: that is no NET_SHORT, and no NO_QUOTA of some other location."""
    world = _world(BIKE=(3, 2, 0))
    world.allocate(quota("web", 3), quota("web", 2, location=SOUTH))
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 10, location="", fallback=NONE))
    (short,) = refused.value.shortages
    assert (short.reason, short.bound_path, short.available) == (ShortageReason.QUOTA_EXHAUSTED, "web", 3)


def test_what_fallback_would_give_a_sourced_line_is_what_one_location_has() -> None:
    """Without a split two locations cannot be added up; with it they are."""
    for policy, split, expected in ((ORDER, False, 7), (SPLITTING, True, 10)):
        world = _world(policy, BIKE=(3, 7, 0))
        world.allocate(quota("web", 3), quota("web", 2, location=SOUTH))
        with refusal(Insufficient) as refused:
            world.reserve(line("web", 12, location="", fallback=NONE), split=split)
        assert refused.value.shortages[0].available_with_fallback == expected


def test_no_quota_is_said_only_where_no_location_has_one() -> None:
    """A path with an exhausted quota somewhere is exhausted; one without quota anywhere has NO_QUOTA."""
    world = _world(BIKE=(5, 5, 5))
    world.allocate(quota("web", 1, location=EAST))
    world.hold("web", 1, location=EAST)
    with refusal(Insufficient) as refused:
        world.reserve(line("web", 1, location="", fallback=NONE), line("app", 1, location="", fallback=NONE))
    assert [short.reason for short in refused.value.shortages] == [
        ShortageReason.QUOTA_EXHAUSTED,
        ShortageReason.NO_QUOTA,
    ]


def test_a_line_without_fallback_is_not_refused_for_one_that_could_have_borrowed() -> None:
    """The line that names the north could be served by its common pool; the one to be sourced has only the quota there,
    so the quota is its, whichever of them is asked first."""
    named, sourced = line("web", 2, line_id="named"), line("web", 2, location="", fallback=NONE, line_id="sourced")
    for lines in ((named, sourced), (sourced, named)):
        world = _world(BIKE=(4, 0, 0))
        world.allocate(quota("web", 2))
        order = world.reserve(*lines).reservation
        assert set(_sources(order)) == {("sourced", NORTH, "web", 2), ("named", NORTH, COMMON, 2)}


def test_a_small_line_does_not_take_the_only_location_that_fills_a_large_one() -> None:
    """2 and 3 fit into 3 and 2, in either line order."""
    small, large = line(COMMON, 2, location="", line_id="small"), line(COMMON, 3, location="", line_id="large")
    for lines in ((small, large), (large, small)):
        order = _world(BIKE=(3, 2, 0)).reserve(*lines).reservation
        assert set(_sources(order)) == {("small", SOUTH, COMMON, 2), ("large", NORTH, COMMON, 3)}


def test_lines_of_one_item_are_laid_out_so_that_all_of_them_fit() -> None:
    """3 fills the second location to the last unit, and 2 and 2 the first: largest first would waste one of each."""
    three, two, two_more = (line(COMMON, units, location="") for units in (3, 2, 2))
    for lines in ((three, two, two_more), (two, three, two_more), (two, two_more, three)):
        order = _world(BIKE=(4, 3, 0)).reserve(*lines).reservation
        assert sorted((location, units) for _, location, _, units in _sources(order)) == [
            (NORTH, 2),
            (NORTH, 2),
            (SOUTH, 3),
        ]


def test_a_line_leaves_a_location_to_one_that_has_nothing_else_there_but_its_promises() -> None:
    """The north has both quotas on paper and units for one: the line that finds its own elsewhere goes there."""
    world = _world(BIKE=(7, 5, 0))
    world.allocate(quota("web/eu", 2), quota("web", 5), quota("web/eu", 5, location=SOUTH))
    world.stock(on_hand=5)
    order = world.reserve(line("web/eu", 2, location="", fallback=NONE), line("web", 4, location="")).reservation
    assert set(_sources(order)) == {("1", SOUTH, "web/eu", 2), ("2", NORTH, "web", 4)}


def test_an_item_that_can_be_filled_is_not_short_for_one_that_cannot() -> None:
    """The refusal names the line that nothing fills, alone; without it the others have what they asked for."""
    lines = [line(COMMON, 2, location=""), line(COMMON, 3, location=""), line(COMMON, 1, sku="LAMP", location="")]
    world = _world(BIKE=(3, 2, 0), LAMP=(0, 0, 0))
    with refusal(Insufficient) as refused:
        world.reserve(*lines)
    assert [short.line_id for short in refused.value.shortages] == ["3"]
    assert world.reserve(*lines[:2]).full


def test_the_search_for_a_layout_is_bounded() -> None:
    """An order of 2,000 lines of one item that does not fit is refused, whatever layouts there might be."""
    world = _world(BIKE=(1_000, 1_000, 1_000))
    with refusal(Insufficient):
        world.reserve(*(line(COMMON, 2 + number % 3, location="") for number in range(2_000)))


def test_a_line_that_is_whole_at_one_location_is_split_where_another_would_be_refused() -> None:
    """Web could be filled in the north, with all that its common pool has; of its own units in two places it leaves app
    what app needs."""
    world = _world(SPLITTING, BIKE=(3, 2, 0))
    world.allocate(quota("web", 1), quota("web", 2, location=SOUTH))
    order = world.reserve(line("web", 3, location=""), line("app", 2, location=""), split=True).reservation
    assert _sources(order) == [("1", NORTH, "web", 1), ("1", SOUTH, "web", 2), ("2", NORTH, COMMON, 2)]


def test_where_no_order_of_the_lines_fills_them_the_four_steps_say_what_is_short() -> None:
    """The refusal, and what ALLOW_PARTIAL grants, are those of the lines as they were asked."""
    lines = (line(COMMON, 2, location=""), line(COMMON, 4, location=""))
    world = _world(BIKE=(3, 2, 0))
    with refusal(Insufficient) as refused:
        world.reserve(*lines)
    (short,) = refused.value.shortages
    assert (short.line_id, short.requested, short.available) == ("2", 4, 2)
    reserved = world.reserve(*lines, partial=True)
    assert _sources(reserved.reservation) == [("1", NORTH, COMMON, 2), ("2", SOUTH, COMMON, 2)]


def test_a_partial_grant_without_split_serves_lines_without_fallback_first() -> None:
    """Neither line can be filled: the one that has only the quota gets it, the other what it may borrow."""
    world = _world(BIKE=(3, 0, 0))
    world.allocate(quota("web", 2))
    borrowing, narrow = line("web", 4, location=""), line("web", 3, location="", fallback=NONE)
    order = world.reserve(borrowing, narrow, partial=True).reservation
    assert set(_sources(order)) == {("1", NORTH, COMMON, 1), ("2", NORTH, "web", 2)}
