"""Balances on the wire: filters and roll-ups in, figures out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ringfence.v1 import balance_pb2 as pb
from ringfence_server.ledger.balance import Balance, BalanceFilter, Figures, Freshness
from ringfence_server.ledger.checks import dimension_violation, level_violation, location_group_violation
from ringfence_server.ledger.names import MAX_DEPTH, MAX_NAME, MAX_SKU
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.rollup import RollUp, overflow_of

from . import forms
from .errors import Refused
from .render import Fields, key_fields
from .times import time_fields
from .tokens import revision_token

_MOST_NAMES: Final = 1_000
_MOST_GROUPS: Final = 100
_MOST_ROLL_UPS: Final = 4


def filter_of(wanted: pb.BalanceFilter, faults: list[Violation], field: str = "filter") -> BalanceFilter:
    """Which balances are meant."""
    path = wanted.path
    if path:
        forms.group_path(path, f"{field}.path", faults)
    return BalanceFilter(
        names_of(wanted.skus, f"{field}.skus", faults, longest=MAX_SKU),
        names_of(wanted.locations, f"{field}.locations", faults),
        names_of(wanted.location_groups, f"{field}.location_groups", faults, most=_MOST_GROUPS),
        path,
        wanted.exact_path,
        _dimensions_of(wanted.dimensions, f"{field}.dimensions", faults) if wanted.dimensions else (),
    )


def names_of(
    names: Iterable[str],
    field: str,
    faults: list[Violation],
    *,
    most: int = _MOST_NAMES,
    longest: int = MAX_NAME,
) -> tuple[str, ...]:
    """A list of names, each once, in their order."""
    found = tuple(names)
    if not found:
        return found
    if len(found) > most:
        faults.append(Violation(field, "TOO_MANY", f"at most {most:,}; got {len(found):,}"))
    else:
        for number, name in enumerate(found):
            if not 1 <= len(name) <= longest or not forms.is_clean(name):
                text = f"1 to {longest} characters without control characters{forms.got(name)}"
                faults.append(Violation(f"{field}[{number}]", "BAD_NAME", text))
                break
    return found if len(found) == 1 else tuple(sorted(set(found)))


def roll_up_of(asked: Sequence[pb.RollUp], faults: list[Violation], field: str = "roll_up") -> RollUp:
    """What is kept apart; call it when anything is."""
    by = RollUp()
    if len(asked) > _MOST_ROLL_UPS:
        faults.append(Violation(field, "TOO_MANY", f"at most {_MOST_ROLL_UPS}; got {len(asked)}"))
        return by
    for number, one in enumerate(asked):
        at = f"{field}[{number}]"
        before = by
        match one.by:
            case pb.ROLL_UP_BY_SKU:
                by = by._replace(sku=True)
            case pb.ROLL_UP_BY_LOCATION:
                by = by._replace(location=True)
            case pb.ROLL_UP_BY_LOCATION_GROUP:
                by = by._replace(location_group=True)
            case pb.ROLL_UP_BY_LEVEL:
                if not 1 <= one.level <= MAX_DEPTH:
                    text = f"the depth to keep apart, 1 to {MAX_DEPTH}; got {one.level}"
                    faults.append(Violation(f"{at}.level", "OUT_OF_RANGE", text))
                    continue
                if before.level:
                    faults.append(Violation(at, "NAMED_TWICE", "one depth of the path is kept apart, name one level"))
                    continue
                by = by._replace(level=one.level)
            case pb.ROLL_UP_BY_DIMENSION:
                name = forms.name(one.dimension, f"{at}.dimension", faults)
                if name not in by.dimensions:
                    by = by._replace(dimensions=(*by.dimensions, name))
            case _:
                text = "SKU, LOCATION, LOCATION_GROUP, LEVEL or DIMENSION"
                faults.append(Violation(f"{at}.by", "UNKNOWN_VALUE" if one.by else "REQUIRED", text))
                continue
        if by == before:
            faults.append(Violation(at, "NAMED_TWICE", "this is kept apart already"))
    return by


def check_named(policy: Policy, wanted: pb.BalanceFilter, roll_up: Sequence[pb.RollUp]) -> None:
    """Whether the policy that a query is answered with has what the query names of it. A parsed query only.

    Raises:
        Refused: a dimension, location group or level is none of the policy's. It would match nothing, or sum
            everything, without a word.
    """
    if not (roll_up or wanted.dimensions or wanted.location_groups):
        return
    found = [
        location_group_violation(policy, name, f"filter.location_groups[{number}]")
        for number, name in enumerate(wanted.location_groups)
    ]
    found += [dimension_violation(policy, name, "filter.dimensions") for name in sorted(wanted.dimensions)]
    for number, one in enumerate(roll_up):
        if one.by == pb.ROLL_UP_BY_DIMENSION:
            found.append(dimension_violation(policy, one.dimension, f"roll_up[{number}].dimension"))
        elif one.by == pb.ROLL_UP_BY_LEVEL:
            found.append(level_violation(policy, one.level, f"roll_up[{number}].level"))
    violations = tuple(violation for violation in found if violation is not None)
    if violations:
        raise Refused(Invalid(violations))


def balance_fields(balance: Balance, instant: int) -> dict[str, Any]:
    """A balance or a row of a roll-up, read at an instant.

    Raises:
        Refused: QUANTITY_OVERFLOW, a sum that is no int64.
    """
    if balance.key_count:
        overflow = overflow_of(balance)
        if overflow is not None:
            raise Refused(overflow)
    whole = balance.whole
    fields: dict[str, Any] = {
        "key": key_fields(balance.key),
        "path": balance.path,
        "own": _figures_fields(balance.own),
        "subtree": _figures_fields(balance.subtree),
        "available_to_allocate": whole.available_to_allocate,
        "available_to_reserve": balance.available_to_reserve,
        "supply": whole.supply,
        "net": whole.net,
        "quotas_short": whole.quotas_short,
        "promises_short": whole.promises_short,
        "revision": revision_token(balance.revisions),
        "key_count": balance.key_count,
    }
    if balance.location_group:
        fields["location_group"] = balance.location_group
    if whole.freshness is not None:
        fields["freshness"] = _freshness_fields(whole.freshness, instant)
    return fields


def _figures_fields(figures: Figures) -> Fields:
    # Zeros are left out: most figures of most pools are, and each costs as much as another.
    return {name: value for name, value in zip(_FIGURES, figures, strict=True) if value}


_FIGURES: Final = Figures._fields


def _freshness_fields(fresh: Freshness, instant: int) -> Fields:
    fields: dict[str, Any] = {
        "position": fresh.position,
        "measure": fresh.measure,
        # A source whose clock is ahead has read nothing in the future.
        "age": time_fields(max(0, instant - fresh.since)),
    }
    if fresh.count_time is not None:
        fields["count_time"] = time_fields(fresh.count_time)
    return fields


def _dimensions_of(dimensions: Mapping[str, str], field: str, faults: list[Violation]) -> tuple[tuple[str, str], ...]:
    if len(dimensions) > forms.MOST_DIMENSIONS:
        faults.append(Violation(field, "TOO_MANY", f"at most {forms.MOST_DIMENSIONS}; got {len(dimensions)}"))
    for name, value in dimensions.items():
        if (
            not 1 <= len(name) <= MAX_NAME
            or len(value) > MAX_NAME
            or not (forms.is_clean(name) and forms.is_clean(value))
        ):
            text = f"names of 1 to {MAX_NAME} characters, values of at most as many, no control characters"
            faults.append(Violation(field, "BAD_NAME", text))
            break
    return tuple(sorted(dimensions.items()))
