"""SetPolicy as a frozen command. What makes a policy sound is judged in the ledger; here are forms and defaults."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import policy_service_pb2 as pb
from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.policy import (
    Fallback,
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

from . import forms
from .identity import Identity
from .times import SPAN_RULE, span_of

_DEFAULT = Policy()
_DEFAULT_MEASURE = Location("").settlement_measure


def set_policy(request: pb.SetPolicyRequest, identity: Identity, faults: list[Violation]) -> SetPolicy:
    """A SetPolicy. What the request leaves out has the default that the contract names."""
    if not request.HasField("policy"):
        faults.append(Violation("policy", "REQUIRED", "the whole new policy; an empty one is the built-in policy"))
    if request.expected_revision < 1:
        text = f"the revision of the policy that GetPolicy answered, at least 1; got {request.expected_revision}"
        rule = "OUT_OF_RANGE" if request.expected_revision else "REQUIRED"
        faults.append(Violation("expected_revision", rule, text))
    return SetPolicy(_policy(request.policy, faults), request.expected_revision)


def _policy(policy: pb.Policy, faults: list[Violation]) -> Policy:
    return Policy(
        levels=tuple(
            Level(
                forms.name(level.name, f"policy.levels[{number}].name", faults),
                _names(level.values, f"policy.levels[{number}].values", faults),
            )
            for number, level in enumerate(policy.levels)
        ),
        dimensions=_names(policy.dimensions, "policy.dimensions", faults),
        leases=_leases(policy.leases, faults),
        path_rules=tuple(_rule(rule, number, faults) for number, rule in enumerate(policy.path_rules)),
        locations=tuple(_location(location, number, faults) for number, location in enumerate(policy.locations)),
        location_order=_names(policy.location_order, "policy.location_order", faults),
        allow_split=policy.allow_split,
        measures=tuple(_measure(measure, number, faults) for number, measure in enumerate(policy.measures))
        or _DEFAULT.measures,
        supply=tuple(
            SupplyTerm(forms.name(term.measure, f"policy.supply[{number}].measure", faults), term.coefficient)
            for number, term in enumerate(policy.supply)
        )
        or _DEFAULT.supply,
        full_count_confirm_share=policy.full_count_confirm_share
        if policy.HasField("full_count_confirm_share")
        else _DEFAULT.full_count_confirm_share,
    )


def _names(names: Iterable[str], field: str, faults: list[Violation]) -> tuple[str, ...]:
    return tuple(forms.name(name, f"{field}[{number}]", faults) for number, name in enumerate(names))


def _leases(leases: pb.LeaseBounds, faults: list[Violation]) -> LeaseBounds:
    default = _DEFAULT.leases

    def span(name: str, duration: Duration, unset: int) -> int:
        if not leases.HasField(name):
            return unset
        found = span_of(duration)
        if found is None:
            faults.append(Violation(f"policy.leases.{name}", "BAD_DURATION", SPAN_RULE))
            return unset
        return found

    return LeaseBounds(
        default_lease=span("default_lease", leases.default_lease, default.default_lease),
        max_lease=span("max_lease", leases.max_lease, default.max_lease),
        max_total_hold=span("max_total_hold", leases.max_total_hold, default.max_total_hold),
        allow_never=leases.allow_never,
        revive_by_default=leases.revive_by_default,
    )


def _rule(rule: pb.PathRule, number: int, faults: list[Violation]) -> PathRule:
    field = f"policy.path_rules[{number}]"
    return PathRule(
        forms.group_path(rule.path, f"{field}.path", faults),
        forms.member(Fallback, rule.fallback, f"{field}.fallback", faults),
        rule.quota_cap if rule.HasField("quota_cap") else None,
        rule.sales_cap if rule.HasField("sales_cap") else None,
    )


def _location(location: pb.Location, number: int, faults: list[Violation]) -> Location:
    field = f"policy.locations[{number}]"
    kind = forms.member(LocationKind, location.kind, f"{field}.kind", faults)
    if kind is None and not location.kind:
        faults.append(Violation(f"{field}.kind", "REQUIRED", "OWNED (1) or TILL (2)"))
    return Location(
        forms.name(location.name, f"{field}.name", faults),
        kind or LocationKind.OWNED,
        forms.name(location.settlement_measure, f"{field}.settlement_measure", faults, required=False)
        or _DEFAULT_MEASURE,
        _names(location.groups, f"{field}.groups", faults),
        forms.name(location.source, f"{field}.source", faults, required=False),
    )


def _measure(measure: pb.Measure, number: int, faults: list[Violation]) -> Measure:
    field = f"policy.measures[{number}]"
    kind = forms.member(MeasureKind, measure.kind, f"{field}.kind", faults)
    if kind is None and not measure.kind:
        faults.append(Violation(f"{field}.kind", "REQUIRED", "FIGURE (1) or COUNTER (2)"))
    return Measure(forms.name(measure.name, f"{field}.name", faults), kind or MeasureKind.FIGURE)
