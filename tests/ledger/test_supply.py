"""PostStock: facts move the common pool alone, are atomic, and only a source's position says which is newer."""

import pytest

from ringfence_server.ledger.names import COMMON, MAX_QUANTITY
from ringfence_server.ledger.outcomes import FigureResult, Invalid, Overflow, Posted, ValueMismatch
from ringfence_server.ledger.policy import Measure, MeasureKind, Policy, SupplyTerm
from tests.ledger.world import BIKE, NORTH, SOUTH, TILLS, World, figure, line, quota, refusal

INBOUND = Policy(
    measures=(Measure("on_hand"), Measure("safety_stock"), Measure("wms.inbound", MeasureKind.COUNTER)),
    supply=(SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -1), SupplyTerm("wms.inbound", 2)),
)


def _results(posted: Posted) -> list[FigureResult]:
    return [outcome.result for outcome in posted.outcomes]


def test_the_first_post_makes_a_key_known() -> None:
    """Its units are common; the answer says what is in force."""
    world = World()
    (outcome,) = world.post(figure(500, position=7, count_time=3)).outcomes
    assert (outcome.measure, outcome.result, outcome.value, outcome.position) == (
        "on_hand",
        FigureResult.APPLIED,
        500,
        7,
    )
    assert outcome.stock.supply == 500
    assert world.pool(COMMON) == (500, 0, 0)
    in_force = world[BIKE, NORTH].measures["on_hand"]
    assert (in_force.source, in_force.count_time, in_force.record_time) == ("wms", 3, world.now)


def test_a_first_post_of_zero_makes_a_key_known_too() -> None:
    """Known with nothing is not unknown."""
    world = World()
    world.stock(on_hand=0)
    assert world.pool(COMMON) == (0, 0, 0)


def test_supply_is_the_formula_over_the_measures() -> None:
    """on_hand - safety_stock by default; other coefficients as the policy says; unposted measures are 0."""
    world = World(INBOUND)
    world.stock(on_hand=50, safety_stock=8)
    assert world[BIKE, NORTH].supply == 42
    world.post(figure(5, "wms.inbound", delta=True))
    assert world[BIKE, NORTH].supply == 52
    assert world.pool(COMMON) == (52, 0, 0)


def test_a_measure_outside_the_formula_moves_nothing() -> None:
    """It is kept, and supply does not hear of it."""
    world = World(Policy(measures=(Measure("on_hand"), Measure("damaged")), supply=(SupplyTerm("on_hand", 1),)))
    world.stock(on_hand=5, damaged=3)
    assert world[BIKE, NORTH].supply == 5
    assert world[BIKE, NORTH].measures["damaged"].value == 3


def test_a_fact_moves_only_the_common_pool_and_may_make_it_negative() -> None:
    """A count is never refused: quotas and holds stay, the common pool shows what is missing."""
    world = World(BIKE=10)
    world.allocate(quota("web", 6))
    world.hold("web", 2)
    world.stock(on_hand=3)
    assert world.pool("web") == (4, 2, 0)
    assert world.pool(COMMON) == (-3, 0, 0)
    assert world[BIKE, NORTH].net == 1
    world.stock(on_hand=20)
    assert world.pool(COMMON) == (14, 0, 0)


def test_supply_below_zero_is_possible() -> None:
    """Safety stock above stock."""
    world = World()
    world.stock(on_hand=2, safety_stock=5)
    assert (world[BIKE, NORTH].supply, world[BIKE, NORTH].net) == (-3, -3)


@pytest.mark.parametrize(
    ("amount", "position", "result", "in_force"),
    [
        (9, 6, FigureResult.APPLIED, (9, 6)),
        (10, 6, FigureResult.APPLIED, (10, 6)),
        (10, 5, FigureResult.DUPLICATE, (10, 5)),
        (9, 5, FigureResult.CONFLICT, (10, 5)),
        (9, 4, FigureResult.STALE, (10, 5)),
        (9, 0, FigureResult.APPLIED, (9, 5)),
    ],
)
def test_position_decides_which_figure_is_newer(
    amount: int, position: int, result: FigureResult, in_force: tuple[int, int]
) -> None:
    """Newer is applied, older stale, the same a duplicate or a conflict; at an OWNED location none means now."""
    world = World()
    world.post(figure(10, position=5))
    (outcome,) = world.post(figure(amount, position=position)).outcomes
    assert (outcome.result, (outcome.value, outcome.position)) == (result, in_force)
    assert world.on_hand() == in_force[0]
    assert world[BIKE, NORTH].supply == in_force[0]


def test_positions_count_per_measure_and_key() -> None:
    """A figure of one measure or location does not age another."""
    world = World()
    world.post(figure(10, position=5))
    posted = world.post(figure(1, "safety_stock", position=2), figure(7, position=3, location=SOUTH))
    assert _results(posted) == [FigureResult.APPLIED, FigureResult.APPLIED]


def test_what_is_not_applied_leaves_no_trace() -> None:
    """STALE, DUPLICATE and CONFLICT are outcomes, not errors, and write neither entry nor fact."""
    world = World()
    world.post(figure(10, position=5))
    entries, facts = len(world.journal.entries), len(world.journal.facts)
    posted = world.post(figure(9, position=4), figure(10, position=5), figure(9, position=5))
    assert _results(posted) == [FigureResult.STALE, FigureResult.DUPLICATE, FigureResult.CONFLICT]
    assert (len(world.journal.entries), len(world.journal.facts)) == (entries, facts)


def test_a_delta_of_the_own_count_is_a_delivery_or_a_return() -> None:
    """At an OWNED location the service keeps the count, so its settlement measure takes differences."""
    world = World(BIKE=10)
    world.post(figure(5, delta=True), figure(-2, delta=True))
    assert world.on_hand() == 13
    assert world.pool(COMMON) == (13, 0, 0)


def test_a_delta_of_another_figure_is_refused() -> None:
    """DELTA_OF_FIGURE: a lost or doubled difference could never be told; the till's own count too."""
    world = World(BIKE=10)
    with refusal(Invalid) as refused:
        world.post(figure(12), figure(5, "safety_stock", delta=True))
    assert [(each.field, each.rule) for each in refused.value.violations] == [("figures[1].delta", "DELTA_OF_FIGURE")]
    assert world.on_hand() == 10
    till = World(TILLS)
    with refusal(Invalid) as refused:
        till.post(figure(5, delta=True))
    assert refused.value.violations[0].rule == "DELTA_OF_FIGURE"


def test_a_counter_takes_differences_in_any_order_and_no_value() -> None:
    """VALUE_OF_COUNTER; positions do not order differences."""
    world = World(INBOUND)
    world.post(figure(0), figure(5, "wms.inbound", delta=True, position=9), figure(-2, "wms.inbound", delta=True))
    posted = world.post(figure(4, "wms.inbound", delta=True, position=3))
    assert _results(posted) == [FigureResult.APPLIED]
    assert world[BIKE, NORTH].measures["wms.inbound"].value == 7
    with refusal(Invalid) as refused:
        world.post(figure(4, "wms.inbound"))
    assert (refused.value.violations[0].field, refused.value.violations[0].rule) == (
        "figures[0].value",
        "VALUE_OF_COUNTER",
    )


def test_a_tills_figure_needs_its_position() -> None:
    """POSITION_REQUIRED: without it two counts of a till cannot be ordered."""
    world = World(TILLS)
    with refusal(Invalid) as refused:
        world.post(figure(10))
    assert refused.value.violations[0].rule == "POSITION_REQUIRED"
    world.post(figure(10, position=1))


def test_a_measure_or_dimension_that_the_policy_does_not_know_is_refused() -> None:
    """Names are the policy's."""
    world = World()
    with refusal(Invalid) as refused:
        world.post(figure(10, "on_hnad"))
    assert refused.value.violations[0].rule == "MEASURE_NOT_IN_POLICY"
    with refusal(Invalid) as refused:
        world.post(figure(10, colour="red"))
    assert refused.value.violations[0].rule == "DIMENSION_NOT_IN_POLICY"


def test_a_batch_is_atomic_over_measures_and_keys() -> None:
    """One wrong figure and none is posted, not even the key is known."""
    world = World(BIKE=10)
    with refusal(Invalid):
        world.post(figure(3), figure(9, sku="LAMP"), figure(1, "nonsense"))
    assert world.on_hand() == 10
    assert len(world.stocks) == 1


def test_expected_value_compares_and_sets() -> None:
    """The value, not a revision; another one refuses the whole batch and says which is in force."""
    world = World(BIKE=10)
    world.post(figure(12, expected=10))
    with refusal(ValueMismatch) as refused:
        world.post(figure(9, sku="LAMP"), figure(13, expected=10))
    assert (refused.value.field, refused.value.expected, refused.value.current) == (
        "figures[1].expected_value",
        10,
        12,
    )
    assert world.on_hand() == 12
    world.post(figure(5, sku="LAMP", expected=0))


def test_a_sale_changes_the_value_that_is_expected() -> None:
    """At an OWNED location the service's own sales are in the count."""
    world = World(BIKE=10)
    world.sell(line(COMMON, 3))
    with refusal(ValueMismatch):
        world.post(figure(12, expected=10))
    world.post(figure(12, expected=7))


def test_figures_of_one_batch_build_on_each_other() -> None:
    """In their order: the second sees what the first posted."""
    world = World(BIKE=10)
    posted = world.post(figure(20, position=3), figure(5, delta=True, expected=20), figure(1, position=2))
    assert _results(posted) == [FigureResult.APPLIED, FigureResult.APPLIED, FigureResult.STALE]
    assert (world.on_hand(), world[BIKE, NORTH].supply) == (25, 25)


def test_a_key_that_is_left_out_stays_as_it_is() -> None:
    """It does not become zero."""
    world = World(BIKE=10, LAMP=4)
    world.stock("LAMP", on_hand=3)
    assert world.on_hand() == 10


@pytest.mark.parametrize(("value", "delta"), [(MAX_QUANTITY, 1), (-MAX_QUANTITY, -1)])
def test_a_measure_stays_within_its_range(value: int, delta: int) -> None:
    """A total beyond 10^12 is OUT_OF_RANGE, never wrapped, and the batch is refused."""
    world = World()
    world.post(figure(value))
    with refusal(Overflow) as refused:
        world.post(figure(delta, delta=True))
    assert refused.value.field == "figures[0].delta"
    assert world.on_hand() == value


def test_a_return_may_lift_the_own_count_above_the_range_and_no_late_figure_is_refused_for_it() -> None:
    """Cancel is never refused; what is not applied is no total."""
    world = World()
    world.post(figure(MAX_QUANTITY, position=5))
    order = world.sell(line(COMMON, 3)).reservation
    world.post(figure(MAX_QUANTITY, position=6))
    world.cancel(order)
    assert world.on_hand() == MAX_QUANTITY + 3
    assert _results(world.post(figure(9, position=4))) == [FigureResult.STALE]


def test_every_fact_is_kept_with_its_source() -> None:
    """Beside the entries, so that the past can be valued; a post that changes nothing is a fact too."""
    world = World()
    world.post(figure(10, position=1, count_time=42), source="till 7")
    world.post(figure(10, position=2), source="till 7")
    first, second = world.journal.facts
    assert (first.delta, first.value, first.position, first.source, first.count_time) == (10, 10, 1, "till 7", 42)
    assert (second.delta, second.value, second.position) == (0, 10, 2)
