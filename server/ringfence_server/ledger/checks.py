"""Rules of form that need the policy: paths, dimensions, fallback. Each answers violations, none raises.

What needs no policy (lengths, ranges, UUIDs) is checked at the edge, before a command exists.
"""

from __future__ import annotations

from typing import Final

from .journal import Batch
from .names import StockKey
from .outcomes import Invalid, StockNotFound, Violation
from .policy import Fallback, Policy
from .state import Stock

_MOST_NAMED: Final = 20


def path_violation(policy: Policy, path: str, field: str) -> Violation | None:
    """The path must be one of the policy's."""
    fault = policy.path_fault(path)
    return Violation(field, "PATH_NOT_IN_POLICY", fault) if fault else None


def dimensions_violation(policy: Policy, key: StockKey, field: str) -> Violation | None:
    """A key names only dimensions of the policy (the empty value is left out of a parsed key)."""
    for name, _ in key.dimensions:
        violation = dimension_violation(policy, name, f"{field}.dimensions")
        if violation is not None:
            return violation
    return None


def dimension_violation(policy: Policy, name: str, field: str) -> Violation | None:
    """A dimension must be one of the policy's."""
    if name in policy.dimensions:
        return None
    allowed = ", ".join(policy.dimensions) or "none"
    return Violation(field, "DIMENSION_NOT_IN_POLICY", f"{name!r} is no dimension of the policy, it has {allowed}")


def location_group_violation(policy: Policy, name: str, field: str) -> Violation | None:
    """A location group must be one that a location of the policy belongs to."""
    if name in policy.location_groups:
        return None
    known = sorted(policy.location_groups)
    allowed = ", ".join(known[:_MOST_NAMED]) or "none"
    if len(known) > _MOST_NAMED:
        allowed += f" and {len(known) - _MOST_NAMED} more"
    text = f"{name!r} is no location group of the policy, it has {allowed}"
    return Violation(field, "LOCATION_GROUP_NOT_IN_POLICY", text)


def level_violation(policy: Policy, level: int, field: str) -> Violation | None:
    """A depth to keep apart is at most that of the policy's levels; a policy that names none allows any."""
    levels = policy.levels
    if not levels or level <= len(levels):
        return None
    allowed = ", ".join(f"{number} ({one.name})" for number, one in enumerate(levels, 1))
    return Violation(field, "LEVEL_NOT_IN_POLICY", f"the policy has no level {level}: {allowed}")


def fallback_violation(policy: Policy, path: str, fallback: Fallback | None, field: str) -> Violation | None:
    """A request may narrow the policy's fallback, never widen it."""
    if fallback is not Fallback.ANCESTORS or policy.path_fault(path):
        return None
    if policy.widest_fallback(path) is Fallback.NONE:
        return Violation(
            field, "FALLBACK_WIDER_THAN_POLICY", f"the policy's widest fallback of {path!r} is NONE; leave it unset"
        )
    return None


def located_stock(batch: Batch, policy: Policy, key: StockKey, field: str) -> Stock | Invalid | StockNotFound:
    """The stock of an exact key that a source has posted."""
    stock = batch.stocks.get(key)
    if stock is not None:
        return stock
    violation = dimensions_violation(policy, key, field)
    if violation is not None:
        return Invalid((violation,))
    return StockNotFound(key, field)
