"""How names are written in columns: dimensions as sorted JSON pairs, policies and marks as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

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
from ringfence_server.ledger.till_state import Mark

Dimensions = tuple[tuple[str, str], ...]


@lru_cache(maxsize=65_536)
def dimensions_text(dimensions: Dimensions) -> str:
    """``(("colour", "red"),)`` as ``{"colour":"red"}``; nothing as the empty string."""
    return json.dumps(dict(dimensions), separators=(",", ":"), ensure_ascii=False) if dimensions else ""


@lru_cache(maxsize=65_536)
def dimensions_of(column: str) -> Dimensions:
    """The reverse of ``dimensions_text``."""
    return tuple(json.loads(column).items()) if column else ()


def epoch_ends_text(ends: tuple[Mark, ...]) -> str | None:
    """``(Mark(0, 17),)`` as ``[[0,17]]``; nothing as NULL."""
    return json.dumps(ends, separators=(",", ":")) if ends else None


def epoch_ends_of(column: str | None) -> tuple[Mark, ...]:
    """The reverse of ``epoch_ends_text``."""
    return tuple(Mark(*end) for end in json.loads(column)) if column else ()


def policy_text(policy: Policy) -> str:
    """A policy as JSON."""
    return json.dumps(asdict(policy), separators=(",", ":"), ensure_ascii=False)


def policy_of(column: str) -> Policy:
    """The reverse of ``policy_text``."""
    body: dict[str, Any] = json.loads(column)
    return Policy(
        revision=body["revision"],
        formula_revision=body["formula_revision"],
        levels=tuple(Level(level["name"], tuple(level["values"])) for level in body["levels"]),
        dimensions=tuple(body["dimensions"]),
        leases=LeaseBounds(**body["leases"]),
        path_rules=tuple(
            PathRule(
                rule["path"],
                None if rule["fallback"] is None else Fallback(rule["fallback"]),
                rule["quota_cap"],
                rule["sales_cap"],
            )
            for rule in body["path_rules"]
        ),
        locations=tuple(
            Location(
                location["name"],
                LocationKind(location["kind"]),
                location["settlement_measure"],
                tuple(location["groups"]),
                location.get("source", ""),
            )
            for location in body["locations"]
        ),
        location_order=tuple(body["location_order"]),
        allow_split=body["allow_split"],
        measures=tuple(Measure(measure["name"], MeasureKind(measure["kind"])) for measure in body["measures"]),
        supply=tuple(SupplyTerm(term["measure"], term["coefficient"]) for term in body["supply"]),
        create_time=body["create_time"],
        full_count_confirm_share=body.get("full_count_confirm_share", 20),
    )
