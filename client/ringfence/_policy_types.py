"""The rules an organization plays by, as SetPolicy takes and GetPolicy gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ringfence._enums import Fallback, LocationKind, MeasureKind

if TYPE_CHECKING:
    from ringfence.v1 import policy_service_pb2

__all__ = ["LeaseBounds", "Level", "Location", "Measure", "PathRule", "Policy"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the group hierarchy."""

    name: str
    """The level's name, such as "channel"."""
    values: Sequence[str] = ()
    """The values allowed on this level, at most 1,000; empty allows any."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that a data source posts."""

    name: str
    """The name, such as "on_hand"."""
    kind: MeasureKind = MeasureKind.FIGURE
    """Whether it is a count or a sum of differences."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place that has stock."""

    name: str
    """The name used in stock keys."""
    kind: LocationKind = LocationKind.OWNED
    """Who keeps the count."""
    settlement_measure: str = ""
    """The measure that sales of this location lower; empty is "on_hand"."""
    groups: Sequence[str] = ()
    """The groups it belongs to, such as "north"; at most 16."""
    source: str = ""
    """TILL only: the one data source whose figures may move the settlement measure here; empty: any."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """Rules for one path and, unless a deeper rule says otherwise, everything below it. Caps hold per stock key for the
    path itself only."""

    path: str = ""
    """The path; empty is the rule for all paths."""
    fallback: Fallback | None = None
    """The widest fallback a request of this path may use; None inherits."""
    quota_cap: int | None = None
    """Most units of one stock key that may be allocated to this path (free plus held); None is no cap."""
    sales_cap: int | None = None
    """Most units of one stock key that this path may hold or have sold, borrowed ones included; None is no cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBounds:
    """Bounds of leases. None is the service's default."""

    default_lease: timedelta | None = None
    """What a Reserve without expiration gets; the service's default is 15 minutes."""
    max_lease: timedelta | None = None
    """Longest lease from the moment it is given or extended; the service's default is 24 hours."""
    max_total_hold: timedelta | None = None
    """Longest hold from the reservation's creation; the service's default is 7 days."""
    allow_never: bool = False
    """Whether a hold may have no end."""
    revive_by_default: bool = False
    """Whether a lease that is over may be revived unless the request says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An organization's rules. Read it, `dataclasses.replace` what should change, and set the result."""

    revision: int = 0
    """The version this was read as; 1 is the built-in policy. 0: never read."""
    levels: Sequence[Level] = ()
    """Levels of the group hierarchy, top first, at most 8. Empty: paths of any values up to 8 levels."""
    dimensions: Sequence[str] = ()
    """Names of the dimensions that every stock key carries, at most 8."""
    leases: LeaseBounds = field(default_factory=LeaseBounds)
    """Bounds of leases."""
    path_rules: Sequence[PathRule] = ()
    """Rules per path, at most 10,000."""
    locations: Sequence[Location] = ()
    """Known locations, at most 10,000; one that is not listed is OWNED and has no group."""
    location_order: Sequence[str] = ()
    """The order in which a line without a location is sourced, at most 100."""
    allow_split: bool = False
    """Whether such a line may be split over several locations when the request allows it."""
    measures: Sequence[Measure] = ()
    """Measures that sources may post, at most 64; empty is on_hand and safety_stock."""
    supply: Mapping[str, int] = field(default_factory=dict)
    """The supply formula: coefficient by measure, at most 32; empty is on_hand - safety_stock."""
    full_count_confirm_share: int | None = None
    """A full count that would zero more than this percentage of a location's units waits for a person, 0 to 100; None
    is 20."""
    create_time: datetime | None = field(default=None, compare=False)
    """When this version came into force; set by the service."""
    raw: policy_service_pb2.Policy | None = field(default=None, repr=False, compare=False)
    """The message this was read from."""
