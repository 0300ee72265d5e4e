"""What a watch is asked for, and what makes two watches the same."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ringfence.v1 import balance_pb2
from ringfence_server.ledger.balance import BalanceFilter
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.policy import Location, PathRule, Policy
from ringfence_server.ledger.rollup import RollUp

from .balance_messages import filter_of, roll_up_of
from .errors import Refused
from .times import span_of

_DEFAULT_CHECKPOINT_SECONDS: Final = 15.0
_SECOND: Final = 1_000_000


@dataclass(frozen=True)
class Spec:
    """What is watched, and how."""

    organization: str
    wanted: BalanceFilter
    roll_up: RollUp | None
    min_interval: int
    """Microseconds; 0: the server's floor."""
    checkpoint_seconds: float
    request: balance_pb2.WatchBalancesRequest
    """As it came."""


def spec_of(request: balance_pb2.WatchBalancesRequest, organization: str) -> Spec:
    """A watch as it is asked for; what needs the policy is not judged here.

    Raises:
        Refused: a field breaks a rule.
    """
    faults: list[Violation] = []
    wanted = filter_of(request.filter, faults)
    roll_up = roll_up_of(request.roll_up, faults) if request.roll_up else None
    min_interval = span_of(request.min_interval) if request.HasField("min_interval") else 0
    if min_interval is None or not 0 <= min_interval <= 86_400 * _SECOND:
        faults.append(Violation("min_interval", "OUT_OF_RANGE", "0 to 24 hours"))
    checkpoint = span_of(request.checkpoint_interval) if request.HasField("checkpoint_interval") else 0
    if checkpoint is None or (checkpoint and not _SECOND <= checkpoint <= 3_600 * _SECOND):
        faults.append(Violation("checkpoint_interval", "OUT_OF_RANGE", "1 second to 1 hour, or 0 for 15 seconds"))
    if faults:
        raise Refused(Invalid(tuple(faults)))
    seconds = (checkpoint or 0) / _SECOND or _DEFAULT_CHECKPOINT_SECONDS
    return Spec(organization, wanted, roll_up, min_interval or 0, seconds, request)


def watch_digest(request: balance_pb2.WatchBalancesRequest, policy: Policy) -> bytes:
    """What makes two watches the same: a token of another one cannot be continued. It is the filter, the roll-up, what
    the policy puts into watched groups of locations, and, where a policy alone can change or end what is shown, its
    rules for paths: they move no balance, so nobody else would tell of them. A pace may change."""
    same = balance_pb2.WatchBalancesRequest(filter=request.filter, roll_up=request.roll_up)
    digest = blake2b(same.SerializeToString(deterministic=True), digest_size=16)
    if same.filter.location_groups or any(one.by == balance_pb2.ROLL_UP_BY_LOCATION_GROUP for one in same.roll_up):
        for location in sorted(policy.locations, key=_name_of):
            if location.groups:
                digest.update("\x1f".join((location.name, *sorted(location.groups))).encode() + b"\n")
    if not same.roll_up:
        for level in policy.levels if policy.path_rules else ():
            digest.update("\x1f".join(("level", *level.values)).encode() + b"\n")
        for rule in sorted(policy.path_rules, key=_path_of):
            fallback = rule.fallback.name if rule.fallback is not None else ""
            digest.update(f"rule\x1f{rule.path}\x1f{fallback}\x1f{rule.sales_cap}\n".encode())
    return digest.digest()


def _path_of(rule: PathRule) -> str:
    return rule.path


def _name_of(location: Location) -> str:
    return location.name
