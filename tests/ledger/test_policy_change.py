"""SetPolicy: a sound policy replaces another, compare-and-set; what a change would break is refused."""

from dataclasses import replace

import pytest

from ringfence_server.ledger.names import COMMON, MAX_QUANTITY
from ringfence_server.ledger.outcomes import (
    Invalid,
    OpenSales,
    QuotaInUse,
    QuotasInUse,
    RevisionMismatch,
    SettlementInUse,
    SettlementsInUse,
)
from ringfence_server.ledger.policy import (
    HOUR,
    MINUTE,
    LeaseBounds,
    Level,
    Location,
    LocationKind,
    Measure,
    MeasureKind,
    PathRule,
    Policy,
    SupplyTerm,
)
from ringfence_server.ledger.policy_change import policy_violations
from ringfence_server.ledger.state import EntryKind
from tests.ledger.world import BIKE, BORROWING, NORTH, TILLS, World, back, figure, key, line, quota, refusal

WITH_INBOUND = Policy(
    measures=(Measure("on_hand"), Measure("safety_stock"), Measure("inbound")),
    supply=(SupplyTerm("on_hand", 1), SupplyTerm("inbound", 1)),
)


def test_a_new_version_is_in_force_at_once() -> None:
    """Its revision is the next, whatever the caller wrote there; its time is the service's."""
    world = World(BIKE=10)
    policy = world.set_policy(replace(BORROWING, revision=77, create_time=5)).policy
    assert (policy.revision, policy.create_time) == (2, world.now)
    world.hold("web", 3)
    assert world.pool(COMMON) == (7, 3, 0)


def test_the_revision_is_compared() -> None:
    """Two planners do not overwrite each other: the second sees REVISION_MISMATCH and the current revision."""
    world = World()
    world.set_policy(BORROWING, expected_revision=1)
    with refusal(RevisionMismatch) as refused:
        world.set_policy(Policy(), expected_revision=1)
    assert (refused.value.expected, refused.value.current) == (1, 2)
    assert world.policy.path_rules == BORROWING.path_rules


def test_a_changed_formula_values_every_key_anew() -> None:
    """As a fact, before the next decision: the common pool alone moves, and the ledger says REVALUE."""
    world = World(BIKE=10)
    world.stock(safety_stock=4)
    world.allocate(quota("web", 5))
    world.set_policy(WITH_INBOUND)
    assert world[BIKE, NORTH].supply == 6
    world.advance()
    assert world[BIKE, NORTH].supply == 10
    assert (world.pool("web"), world.pool(COMMON)) == ((5, 0, 0), (5, 0, 0))
    assert world.journal.entries[-1].kind == EntryKind.REVALUE
    assert world[BIKE, NORTH].policy_revision == 2


def test_revaluing_may_make_the_common_pool_negative() -> None:
    """A fact is never refused for what it makes negative."""
    world = World(WITH_INBOUND, BIKE=2)
    world.stock(inbound=8)
    world.allocate(quota("web", 9))
    world.set_policy(Policy())
    world.advance()
    assert (world.pool(COMMON), world[BIKE, NORTH].supply) == ((-7, 0, 0), 2)


def test_a_policy_with_the_same_formula_values_nothing_anew() -> None:
    """Only a change of the formula costs a movement; it is done once."""
    world = World(BIKE=10)
    world.stock(safety_stock=4)
    entries = len(world.journal.entries)
    world.set_policy(BORROWING)
    world.advance()
    assert len(world.journal.entries) == entries
    assert world.policy.formula_revision == 1
    world.set_policy(WITH_INBOUND)
    world.advance()
    world.advance(minutes=1)
    assert len(world.journal.entries) == entries + 1
    assert world.policy.formula_revision == 3


def test_a_change_that_would_orphan_quotas_is_refused_with_the_list() -> None:
    """The levels no longer allow a path that has a quota; once it is given back the change goes through."""
    world = World(BIKE=10)
    world.allocate(quota("web/london", 4), quota("app", 2))
    world.hold("web/london", 1)
    channels = Policy(levels=(Level("channel", ("web", "app")),))
    with refusal(QuotasInUse) as refused:
        world.set_policy(channels)
    assert [(quota.key, quota.path, quota.allocated) for quota in refused.value.quotas] == [(key(), "web/london", 4)]
    world.unallocate(back("web/london"))
    with refusal(QuotasInUse):
        world.set_policy(channels)
    world.advance(minutes=15)
    world.unallocate(back("web/london"))
    world.set_policy(channels)


def test_a_sold_out_quota_is_in_use_until_it_is_ended() -> None:
    """Units of its sales that are cancelled would come back to it, and nobody could reach them there; unallocating all
    that is free, which is nothing, ends it."""
    world = World(BIKE=10)
    world.allocate(quota("web/london", 4))
    order = world.consume(world.hold("web/london", 4)).reservation
    channels = Policy(levels=(Level("channel", ("web",)),))
    with refusal(QuotasInUse) as refused:
        world.set_policy(channels)
    assert refused.value.quotas == (QuotaInUse(key(), "web/london", 0, 0, 0),)
    world.unallocate(back("web/london"))
    world.set_policy(channels)
    world.cancel(order)
    assert world.pool(COMMON) == (10, 0, 0)


def test_at_most_100_orphans_are_listed() -> None:
    """A refusal stays a message, whatever the size of the range."""
    world = World(BIKE=1_000)
    world.allocate(*(quota(f"group{number}", 1) for number in range(120)))
    with refusal(QuotasInUse) as refused:
        world.set_policy(Policy(levels=(Level("channel", ("web",)),)))
    assert len(refused.value.quotas) == 100


def test_a_dimension_that_keys_carry_cannot_be_dropped() -> None:
    """DIMENSION_IN_USE; adding one is free, since the empty value means that it does not apply."""
    world = World(Policy(dimensions=("colour",)))
    world.post(figure(5, colour="red"))
    with refusal(Invalid) as refused:
        world.set_policy(Policy(dimensions=("size",)))
    assert [(each.field, each.rule) for each in refused.value.violations] == [
        ("policy.dimensions", "DIMENSION_IN_USE"),
    ]
    world.set_policy(Policy(dimensions=("colour", "size")))
    world.reserve(line(COMMON, 1)._replace(key=key(colour="red")))


def test_a_policy_with_tills_is_sound() -> None:
    """A till's location may name its source and a settlement measure with coefficient +1."""
    till = Location("a", LocationKind.TILL, source="pos")
    assert policy_violations(TILLS) == policy_violations(Policy(locations=(till,))) == []


@pytest.mark.parametrize(
    "location",
    [Location(NORTH), Location(NORTH, LocationKind.TILL, source="erp"), Location(NORTH, LocationKind.TILL, "counted")],
    ids=["kind", "source", "measure"],
)
def test_unsettled_sales_keep_their_figure(location: Location) -> None:
    """SETTLEMENT_IN_USE: kind, source and settlement measure of a location stay while it has unsettled sales, and may
    change when they are settled."""
    measures = (Measure("on_hand"), Measure("counted"))
    rules = Policy(measures=measures, supply=(SupplyTerm("on_hand", 1), SupplyTerm("counted", 1)))
    world = World(replace(rules, locations=(Location(NORTH, LocationKind.TILL),)))
    world.post(figure(10, position=1))
    order = world.consume(world.hold(COMMON, 3)).reservation
    changed = replace(rules, locations=(location,))
    with refusal(SettlementsInUse) as refused:
        world.set_policy(changed)
    kept = Location(NORTH, LocationKind.TILL)
    assert refused.value.locations == (SettlementInUse(kept, OpenSales(3, 1, 1)),)
    world.cancel(order)
    world.set_policy(changed)


SETTLEMENT = ("policy.supply", "SETTLEMENT_MEASURE_COEFFICIENT")
UNSOUND: list[tuple[Policy, set[tuple[str, str]]]] = [
    (Policy(levels=tuple(Level(f"level{n}") for n in range(9))), {("policy.levels", "TOO_MANY")}),
    (Policy(levels=(Level(""),)), {("policy.levels[0]", "BAD_NAME")}),
    (Policy(levels=(Level("a"), Level("a"))), {("policy.levels[1]", "NAMED_TWICE")}),
    (Policy(levels=(Level("a", ("x/y",)),)), {("policy.levels[0].values", "BAD_NAME")}),
    (Policy(levels=(Level("a", ("",)),)), {("policy.levels[0].values", "BAD_NAME")}),
    (Policy(levels=(Level("a", ("x" * 65,)),)), {("policy.levels[0].values", "BAD_NAME")}),
    (Policy(levels=(Level("a", tuple(map(str, range(1_001)))),)), {("policy.levels[0].values", "TOO_MANY")}),
    (Policy(dimensions=tuple("abcdefghi")), {("policy.dimensions", "TOO_MANY")}),
    (Policy(dimensions=("a", "a")), {("policy.dimensions[1]", "NAMED_TWICE")}),
    (Policy(dimensions=("x" * 65,)), {("policy.dimensions[0]", "BAD_NAME")}),
    (Policy(path_rules=(PathRule("web"), PathRule("web"))), {("policy.path_rules[1]", "NAMED_TWICE")}),
    (Policy(path_rules=(PathRule("web//x"),)), {("policy.path_rules[0].path", "PATH_NOT_IN_POLICY")}),
    (Policy(path_rules=(PathRule("web", quota_cap=-1),)), {("policy.path_rules[0].quota_cap", "OUT_OF_RANGE")}),
    (
        Policy(path_rules=(PathRule("web", sales_cap=MAX_QUANTITY + 1),)),
        {("policy.path_rules[0].sales_cap", "OUT_OF_RANGE")},
    ),
    (Policy(path_rules=(PathRule("", quota_cap=5),)), {("policy.path_rules[0].quota_cap", "CAP_OF_COMMON_POOL")}),
    (Policy(location_order=tuple(map(str, range(101)))), {("policy.location_order", "TOO_MANY")}),
    (Policy(location_order=("a", "a")), {("policy.location_order[1]", "NAMED_TWICE")}),
    (Policy(locations=(Location("a"), Location("a"))), {("policy.locations[1]", "NAMED_TWICE")}),
    (
        Policy(locations=(Location("a", groups=tuple(map(str, range(17)))),)),
        {("policy.locations[0].groups", "TOO_MANY")},
    ),
    (
        Policy(locations=(Location("a", source="pos"),)),
        {("policy.locations[0].source", "SOURCE_OF_OWNED_LOCATION")},
    ),
    (Policy(full_count_confirm_share=101), {("policy.full_count_confirm_share", "OUT_OF_RANGE")}),
    (Policy(full_count_confirm_share=-1), {("policy.full_count_confirm_share", "OUT_OF_RANGE")}),
    (Policy(locations=(Location("a", settlement_measure="safety_stock"),)), {SETTLEMENT}),
    (Policy(locations=(Location("a", settlement_measure="unknown"),)), {SETTLEMENT}),
    (Policy(supply=(SupplyTerm("on_hand", 2),)), {SETTLEMENT}),
    (Policy(supply=(SupplyTerm("safety_stock", -1),)), {SETTLEMENT}),
    (Policy(measures=(Measure("on_hand", MeasureKind.COUNTER),), supply=(SupplyTerm("on_hand", 1),)), {SETTLEMENT}),
    (
        Policy(supply=(SupplyTerm("on_hand", 1), SupplyTerm("inbound", 1))),
        {("policy.supply[1].measure", "MEASURE_NOT_IN_POLICY")},
    ),
    (
        Policy(supply=(SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", 0))),
        {("policy.supply[1].coefficient", "OUT_OF_RANGE")},
    ),
    (
        Policy(supply=(SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -1_001))),
        {("policy.supply[1].coefficient", "OUT_OF_RANGE")},
    ),
    (
        Policy(measures=(*Policy().measures, Measure("In Bound"))),
        {("policy.measures[2].name", "BAD_NAME")},
    ),
    (
        Policy(leases=LeaseBounds(default_lease=2 * HOUR, max_lease=HOUR)),
        {("policy.leases", "LEASE_BOUNDS_ORDER")},
    ),
    (
        Policy(leases=LeaseBounds(max_lease=HOUR, max_total_hold=HOUR - 1)),
        {("policy.leases", "LEASE_BOUNDS_ORDER")},
    ),
    (Policy(leases=LeaseBounds(default_lease=0)), {("policy.leases.default_lease", "OUT_OF_RANGE")}),
]


@pytest.mark.parametrize(("policy", "broken"), UNSOUND, ids=lambda value: "" if isinstance(value, Policy) else None)
def test_an_unsound_policy_is_refused(policy: Policy, broken: set[tuple[str, str]]) -> None:
    """Every broken rule is named with its field, and the old policy stays in force."""
    world = World()
    with refusal(Invalid) as refused:
        world.set_policy(policy)
    assert {(each.field, each.rule) for each in refused.value.violations} == broken
    assert world.policy.revision == 1


@pytest.mark.parametrize(
    ("locations", "whose"),
    [
        ((Location("shop", settlement_measure="pos"),), "location 'shop'"),
        ((), "every location that the policy does not"),
    ],
)
def test_a_settlement_measure_outside_the_formula_says_whose_it_is(locations: tuple[Location, ...], whose: str) -> None:
    """Who lists every location under a measure of its own still hears why "on_hand" has to stay."""
    world = World()
    with refusal(Invalid) as refused:
        world.set_policy(Policy(locations=locations, supply=(SupplyTerm("safety_stock", 1),)))
    assert whose in refused.value.violations[-1].description


def test_policies_at_their_limits_are_sound() -> None:
    """The largest of everything, and the built-in one."""
    largest = Policy(
        levels=tuple(Level(f"level{n}", ("x" * 64,)) for n in range(8)),
        dimensions=tuple("abcdefgh"),
        leases=LeaseBounds(MINUTE, MINUTE, MINUTE),
        path_rules=(PathRule(COMMON, sales_cap=0), PathRule("x" * 64, quota_cap=MAX_QUANTITY)),
        locations=(Location("a", groups=tuple(map(str, range(16)))),),
        location_order=tuple(map(str, range(100))),
        measures=(*(Measure(f"m.{n}") for n in range(62)), *Policy().measures),
        supply=(SupplyTerm("on_hand", 1), *(SupplyTerm(f"m.{n}", (-1) ** n * 1_000) for n in range(31))),
    )
    assert policy_violations(largest) == []
    assert policy_violations(Policy()) == []


@pytest.mark.parametrize(
    ("path", "sound"),
    [
        ("", True),
        ("web", True),
        ("web/anything", True),
        ("shop", False),
        ("web/a/b", False),
        ("/web", False),
        ("web/", False),
        ("web//", False),
        ("web/" + "x" * 64, True),
        ("web/" + "x" * 65, False),
    ],
)
def test_a_path_has_values_of_the_levels_top_first_without_gaps(path: str, sound: bool) -> None:
    """As deep as there are levels; a level without values takes any of 1 to 64 characters."""
    policy = Policy(levels=(Level("channel", ("web", "app")), Level("region")))
    assert (policy.path_fault(path) == "") is sound


def test_a_policy_without_levels_takes_paths_of_eight_levels() -> None:
    """Whoever has set no hierarchy may still fence."""
    assert Policy().path_fault("a/b/c/d/e/f/g/h") == ""
    assert "8" in Policy().path_fault("a/b/c/d/e/f/g/h/i")
