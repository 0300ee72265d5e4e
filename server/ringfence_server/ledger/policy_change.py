"""SetPolicy: what makes a policy sound, and what a change must not break."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .commands import SetPolicy
from .journal import Batch
from .names import MAX_DEPTH, MAX_NAME, MAX_QUANTITY, MAX_SOURCED_LOCATIONS
from .outcomes import (
    Invalid,
    OpenSales,
    PolicySet,
    QuotaInUse,
    QuotasInUse,
    Refusal,
    RevisionMismatch,
    SettlementInUse,
    SettlementsInUse,
    Violation,
)
from .policy import LocationKind, MeasureKind, Policy

_MEASURE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")
_MOST_LISTED = 100


def set_policy(
    batch: Batch,
    organization: str,
    command: SetPolicy,
    quotas: Iterable[QuotaInUse],
    dimensions_in_use: Iterable[str],
    unsettled: Mapping[str, OpenSales] | None = None,
) -> PolicySet | Refusal:
    """Puts a new version in force, compare-and-set on the revision.

    ``quotas`` are the organization's pools that live or hold or owe something; a policy whose levels no longer allow
    one of their paths is refused with the list. So is one that drops a dimension which stock keys carry, and one that
    takes the figure from under sales that it does not contain yet: ``unsettled`` says of them by location.
    """
    current = batch.policy(organization)
    if command.expected_revision != current.revision:
        return RevisionMismatch("expected_revision", command.expected_revision, current.revision)
    violations = policy_violations(command.policy)
    for name in sorted(set(dimensions_in_use) - set(command.policy.dimensions)):
        violations.append(
            Violation("policy.dimensions", "DIMENSION_IN_USE", f"stock keys carry values of {name!r}; keep it")
        )
    if violations:
        return Invalid(tuple(violations))
    orphans = [quota for quota in quotas if command.policy.path_fault(quota.path)]
    if orphans:
        return QuotasInUse(tuple(orphans[:_MOST_LISTED]))
    stranded = _stranded(current, command.policy, unsettled or {})
    if stranded:
        return SettlementsInUse(tuple(stranded[:_MOST_LISTED]))
    revision = current.revision + 1
    same_formula = command.policy.supply == current.supply
    policy = replace(
        command.policy,
        revision=revision,
        formula_revision=current.formula_revision if same_formula else revision,
        create_time=batch.record_time,
    )
    batch.policies[organization] = policy
    batch.new_policies.append((organization, policy))
    return PolicySet(policy)


def _stranded(current: Policy, policy: Policy, unsettled: Mapping[str, OpenSales]) -> list[SettlementInUse]:
    """Locations with unsettled sales whose kind, settlement measure or source would change."""
    found = []
    for name, sales in sorted(unsettled.items()):
        old, new = current.location(name), policy.location(name)
        before = (old.kind, old.settlement_measure, old.source)
        if sales.units and before != (new.kind, new.settlement_measure, new.source):
            found.append(SettlementInUse(old, sales))
    return found


def policy_violations(policy: Policy) -> list[Violation]:
    """Every rule of form that a policy breaks."""
    found: list[Violation] = []

    def rule(broken: bool, field: str, name: str, description: str) -> None:
        if broken:
            found.append(Violation(f"policy.{field}", name, description))

    rule(len(policy.levels) > MAX_DEPTH, "levels", "TOO_MANY", f"at most {MAX_DEPTH} levels")
    rule(len(policy.dimensions) > 8, "dimensions", "TOO_MANY", "at most 8 dimensions")
    rule(len(policy.path_rules) > 10_000, "path_rules", "TOO_MANY", "at most 10,000 rules")
    rule(len(policy.locations) > 10_000, "locations", "TOO_MANY", "at most 10,000 locations")
    rule(len(policy.measures) > 64, "measures", "TOO_MANY", "at most 64 measures")
    rule(len(policy.supply) > 32, "supply", "TOO_MANY", "at most 32 terms")
    rule(
        len(policy.location_order) > MAX_SOURCED_LOCATIONS,
        "location_order",
        "TOO_MANY",
        f"at most {MAX_SOURCED_LOCATIONS} locations",
    )
    for field, names in (
        ("levels", [level.name for level in policy.levels]),
        ("dimensions", policy.dimensions),
        ("path_rules", [item.path for item in policy.path_rules]),
        ("locations", [location.name for location in policy.locations]),
        ("location_order", policy.location_order),
        ("measures", [measure.name for measure in policy.measures]),
        ("supply", [term.measure for term in policy.supply]),
    ):
        found.extend(_name_violations(field, names, may_be_empty=field == "path_rules"))
    for number, level in enumerate(policy.levels):
        rule(len(level.values) > 1_000, f"levels[{number}].values", "TOO_MANY", "at most 1,000 values")
        bad = [value for value in level.values if not value or "/" in value or len(value) > MAX_NAME]
        rule(bool(bad), f"levels[{number}].values", "BAD_NAME", f"1 to {MAX_NAME} characters without '/': {bad[:5]}")
    share = policy.full_count_confirm_share
    rule(not 0 <= share <= 100, "full_count_confirm_share", "OUT_OF_RANGE", "percent, 0 to 100")
    found.extend(_lease_violations(policy))
    found.extend(_rule_violations(policy))
    found.extend(_formula_violations(policy))
    return found


def _name_violations(field: str, names: Sequence[str], *, may_be_empty: bool) -> list[Violation]:
    found = []
    seen: set[str] = set()
    for number, name in enumerate(names):
        if (not name and not may_be_empty) or (len(name) > MAX_NAME and field != "path_rules"):
            text = f"a name has 1 to {MAX_NAME} characters"
            found.append(Violation(f"policy.{field}[{number}]", "BAD_NAME", text))
        elif name in seen:
            found.append(Violation(f"policy.{field}[{number}]", "NAMED_TWICE", f"{name!r} stands there already"))
        seen.add(name)
    return found


def _lease_violations(policy: Policy) -> list[Violation]:
    leases = policy.leases
    found = []
    for field, value in (
        ("default_lease", leases.default_lease),
        ("max_lease", leases.max_lease),
        ("max_total_hold", leases.max_total_hold),
    ):
        if value <= 0:
            found.append(Violation(f"policy.leases.{field}", "OUT_OF_RANGE", "a duration above zero"))
    if not leases.default_lease <= leases.max_lease <= leases.max_total_hold:
        text = "default_lease <= max_lease <= max_total_hold"
        found.append(Violation("policy.leases", "LEASE_BOUNDS_ORDER", text))
    return found


def _rule_violations(policy: Policy) -> list[Violation]:
    found = []
    for number, item in enumerate(policy.path_rules):
        fault = policy.path_fault(item.path)
        if fault:
            found.append(Violation(f"policy.path_rules[{number}].path", "PATH_NOT_IN_POLICY", fault))
        for name, cap in (("quota_cap", item.quota_cap), ("sales_cap", item.sales_cap)):
            if cap is not None and not 0 <= cap <= MAX_QUANTITY:
                found.append(Violation(f"policy.path_rules[{number}].{name}", "OUT_OF_RANGE", "0 to 10^12"))
        if not item.path and item.quota_cap is not None:
            text = "the common pool has no quota to cap"
            found.append(Violation(f"policy.path_rules[{number}].quota_cap", "CAP_OF_COMMON_POOL", text))
    return found


def _formula_violations(policy: Policy) -> list[Violation]:
    found = []
    for number, measure in enumerate(policy.measures):
        if not set(measure.name) <= _MEASURE_CHARACTERS:
            text = "a-z, 0-9, '_' and '.' only"
            found.append(Violation(f"policy.measures[{number}].name", "BAD_NAME", text))
    for number, term in enumerate(policy.supply):
        if policy.measure(term.measure) is None:
            text = f"{term.measure!r} is not among the policy's measures"
            found.append(Violation(f"policy.supply[{number}].measure", "MEASURE_NOT_IN_POLICY", text))
        if not 1 <= abs(term.coefficient) <= 1_000:
            found.append(Violation(f"policy.supply[{number}].coefficient", "OUT_OF_RANGE", "-1,000 to 1,000, not 0"))
    settlement = {location.settlement_measure: f"location {location.name!r}" for location in policy.locations}
    # Locations that the policy does not list settle against the default measure.
    settlement.setdefault(policy.location("").settlement_measure, "every location that the policy does not list")
    for name, whose in sorted(settlement.items()):
        counted = policy.measure(name)
        if counted is None or counted.kind is not MeasureKind.FIGURE or policy.coefficient(name) != 1:
            text = (
                f"{name!r}, the settlement measure of {whose}, is a FIGURE among the policy's measures and stands in "
                "the supply formula with coefficient +1"
            )
            found.append(Violation("policy.supply", "SETTLEMENT_MEASURE_COEFFICIENT", text))
    for number, location in enumerate(policy.locations):
        if len(location.groups) > 16:
            found.append(Violation(f"policy.locations[{number}].groups", "TOO_MANY", "at most 16 groups"))
        if location.source and location.kind is LocationKind.OWNED:
            text = "the service keeps the count of an OWNED location: leave it out"
            found.append(Violation(f"policy.locations[{number}].source", "SOURCE_OF_OWNED_LOCATION", text))
        if len(location.source) > MAX_NAME:
            text = f"a name has at most {MAX_NAME} characters"
            found.append(Violation(f"policy.locations[{number}].source", "BAD_NAME", text))
    return found
