"""A policy as a message."""

from __future__ import annotations

from typing import Any

from ringfence.v1 import policy_service_pb2 as pb
from ringfence_server.ledger.policy import Location, PathRule, Policy

from .times import time_fields


def policy_message(policy: Policy) -> pb.Policy:
    """One version of an organization's rules, with every default written out."""
    leases = policy.leases
    fields: dict[str, Any] = {
        "revision": policy.revision,
        "levels": [{"name": level.name, "values": level.values} for level in policy.levels],
        "dimensions": policy.dimensions,
        "leases": {
            "default_lease": time_fields(leases.default_lease),
            "max_lease": time_fields(leases.max_lease),
            "max_total_hold": time_fields(leases.max_total_hold),
            "allow_never": leases.allow_never,
            "revive_by_default": leases.revive_by_default,
        },
        "path_rules": [_rule_fields(rule) for rule in policy.path_rules],
        "locations": [_location_fields(location) for location in policy.locations],
        "location_order": policy.location_order,
        "allow_split": policy.allow_split,
        "measures": [{"name": measure.name, "kind": measure.kind.value} for measure in policy.measures],
        "supply": [{"measure": term.measure, "coefficient": term.coefficient} for term in policy.supply],
        "full_count_confirm_share": policy.full_count_confirm_share,
    }
    if policy.create_time:
        # The built-in policy was never put in force.
        fields["create_time"] = time_fields(policy.create_time)
    return pb.Policy(**fields)


def _rule_fields(rule: PathRule) -> dict[str, Any]:
    fields: dict[str, Any] = {"path": rule.path}
    if rule.fallback is not None:
        fields["fallback"] = rule.fallback.value
    if rule.quota_cap is not None:
        fields["quota_cap"] = rule.quota_cap
    if rule.sales_cap is not None:
        fields["sales_cap"] = rule.sales_cap
    return fields


def _location_fields(location: Location) -> dict[str, Any]:
    return {
        "name": location.name,
        "kind": location.kind.value,
        "settlement_measure": location.settlement_measure,
        "groups": location.groups,
        "source": location.source,
    }
