"""SetPolicy: what it says as a command, its defaults, and its rules of form."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import common_pb2
from ringfence.v1 import policy_service_pb2 as pb
from ringfence_server.ledger.policy import (
    DAY,
    HOUR,
    MINUTE,
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
from ringfence_server.rpc.render_policy import policy_message
from tests.rpc.messages import new_id
from tests.rpc.parsing import command, parsed, rules

WHOLE = Policy(
    levels=(Level("channel", ("web", "store")), Level("region")),
    dimensions=("colour", "batch"),
    leases=LeaseBounds(MINUTE, HOUR, 2 * DAY, allow_never=True, revive_by_default=True),
    path_rules=(PathRule("", Fallback.ANCESTORS), PathRule("web", Fallback.NONE, quota_cap=0, sales_cap=10**12)),
    locations=(Location("north", LocationKind.OWNED, "counted", ("stores", "shops")),),
    location_order=("north",),
    allow_split=True,
    measures=(Measure("counted"), Measure("wms.inbound", MeasureKind.COUNTER)),
    supply=(SupplyTerm("counted", 1), SupplyTerm("wms.inbound", -3)),
)


def set_policy(policy: pb.Policy | None = None, *, expected_revision: int = 1) -> pb.SetPolicyRequest:
    """A SetPolicy; of an empty policy when none is given."""
    return pb.SetPolicyRequest(request_id=new_id(), policy=policy or pb.Policy(), expected_revision=expected_revision)


def test_a_policy_says_all_it_was_given() -> None:
    """Every field arrives in the command; so a policy that was read may be sent back as it is."""
    found = command(set_policy(policy_message(WHOLE), expected_revision=4))
    assert found.policy == WHOLE
    assert found.expected_revision == 4


def test_an_empty_policy_is_the_built_in_one() -> None:
    """What is left out has the default that the contract names."""
    assert command(set_policy()).policy == Policy()


def test_what_is_output_only_is_not_read() -> None:
    """A revision and a time come from the service."""
    policy = pb.Policy(revision=99, create_time=Timestamp(seconds=5))
    assert command(set_policy(policy)).policy == Policy()


def test_a_rule_without_caps_caps_nothing() -> None:
    """A cap of zero is a cap, an unset one is none."""
    policy = pb.Policy(path_rules=[pb.PathRule(path="web"), pb.PathRule(path="store", quota_cap=0)])
    assert command(set_policy(policy)).policy.path_rules == (PathRule("web"), PathRule("store", quota_cap=0))


def test_its_weight_is_one() -> None:
    """However large."""
    assert parsed(set_policy(policy_message(WHOLE))).weight == 1


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"levels": [pb.Level()]}, {"policy.levels[0].name": "REQUIRED"}),
        ({"levels": [pb.Level(name="l", values=["a", "\x00"])]}, {"policy.levels[0].values[1]": "BAD_NAME"}),
        ({"dimensions": ["d" * 65]}, {"policy.dimensions[0]": "BAD_NAME"}),
        ({"leases": pb.LeaseBounds(max_lease=Duration(nanos=10**9))}, {"policy.leases.max_lease": "BAD_DURATION"}),
        ({"path_rules": [pb.PathRule(path="//")]}, {"policy.path_rules[0].path": "BAD_PATH"}),
        ({"path_rules": [pb.PathRule(fallback=7)]}, {"policy.path_rules[0].fallback": "UNKNOWN_VALUE"}),  # type: ignore[arg-type]
        ({"locations": [pb.Location(name="n")]}, {"policy.locations[0].kind": "REQUIRED"}),
        ({"locations": [pb.Location(name="n", kind=9)]}, {"policy.locations[0].kind": "UNKNOWN_VALUE"}),  # type: ignore[arg-type]
        (
            {"locations": [pb.Location(kind=common_pb2.LOCATION_KIND_OWNED)]},
            {"policy.locations[0].name": "REQUIRED"},
        ),
        ({"location_order": [""]}, {"policy.location_order[0]": "REQUIRED"}),
        ({"measures": [pb.Measure(name="m")]}, {"policy.measures[0].kind": "REQUIRED"}),
        ({"measures": [pb.Measure(name="m", kind=8)]}, {"policy.measures[0].kind": "UNKNOWN_VALUE"}),  # type: ignore[arg-type]
        ({"supply": [pb.SupplyTerm(coefficient=1)]}, {"policy.supply[0].measure": "REQUIRED"}),
    ],
)
def test_a_rule_of_a_policy(fields: dict[str, Any], rule: dict[str, str]) -> None:
    """Each broken rule is told with its field."""
    assert rules(set_policy(pb.Policy(**fields))) == rule


@pytest.mark.parametrize(("revision", "rule"), [(0, "REQUIRED"), (-1, "OUT_OF_RANGE")])
def test_the_revision_that_was_seen_is_required(revision: int, rule: str) -> None:
    """A policy is never replaced unseen."""
    assert rules(set_policy(expected_revision=revision)) == {"expected_revision": rule}


def test_a_policy_is_required() -> None:
    """An unset one would silently be the built-in one."""
    assert rules(pb.SetPolicyRequest(request_id=new_id(), expected_revision=1)) == {"policy": "REQUIRED"}
