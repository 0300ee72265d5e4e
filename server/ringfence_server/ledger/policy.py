"""What an organization's policy says, and the questions that commands put to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Final

from .names import COMMON, MAX_DEPTH, MAX_NAME, ancestors, depth

MINUTE: Final = 60 * 1_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class Fallback(IntEnum):
    """How far a line may borrow. The numbers are those of the contract."""

    NONE = 1
    ANCESTORS = 2


class LocationKind(IntEnum):
    """Who keeps a location's count."""

    OWNED = 1
    TILL = 2


class MeasureKind(IntEnum):
    """Absolute values with a position, or unordered differences."""

    FIGURE = 1
    COUNTER = 2


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the hierarchy; no values allow any."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that data sources post."""

    name: str
    kind: MeasureKind = MeasureKind.FIGURE


@dataclass(frozen=True, slots=True)
class SupplyTerm:
    """One term of the supply formula."""

    measure: str
    coefficient: int


@dataclass(frozen=True, slots=True)
class Location:
    """A place that has stock."""

    name: str
    kind: LocationKind = LocationKind.OWNED
    settlement_measure: str = "on_hand"
    groups: tuple[str, ...] = ()
    source: str = ""
    """TILL: the data source whose figures may move the settlement measure; empty: any."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """Rules of a path. ``fallback`` is inherited downward, the caps hold for the path itself."""

    path: str
    fallback: Fallback | None = None
    quota_cap: int | None = None
    sales_cap: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseBounds:
    """Bounds of leases, in microseconds."""

    default_lease: int = 15 * MINUTE
    max_lease: int = 24 * HOUR
    max_total_hold: int = 7 * DAY
    allow_never: bool = False
    revive_by_default: bool = False


@dataclass(frozen=True)
class Policy:
    """One version of an organization's rules. The default is what an organization has that never set one."""

    revision: int = 1
    formula_revision: int = 1
    """The revision in which the supply formula last changed; keys valued before it are re-valued when touched."""
    levels: tuple[Level, ...] = ()
    dimensions: tuple[str, ...] = ()
    leases: LeaseBounds = field(default_factory=LeaseBounds)
    path_rules: tuple[PathRule, ...] = ()
    locations: tuple[Location, ...] = ()
    location_order: tuple[str, ...] = ()
    allow_split: bool = False
    measures: tuple[Measure, ...] = (Measure("on_hand"), Measure("safety_stock"))
    supply: tuple[SupplyTerm, ...] = (SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -1))
    create_time: int = 0
    full_count_confirm_share: int = 20
    """Percent of a location's units that a full count may zero without a person."""

    @cached_property
    def _rules(self) -> dict[str, PathRule]:
        return {rule.path: rule for rule in self.path_rules}

    @cached_property
    def _locations(self) -> dict[str, Location]:
        return {location.name: location for location in self.locations}

    @cached_property
    def _unlisted(self) -> dict[str, Location]:
        return {}

    @cached_property
    def _measures(self) -> dict[str, Measure]:
        return {measure.name: measure for measure in self.measures}

    @cached_property
    def _coefficients(self) -> dict[str, int]:
        return {term.measure: term.coefficient for term in self.supply}

    @cached_property
    def _fallbacks(self) -> dict[str, Fallback]:
        return {}

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {}

    @cached_property
    def location_groups(self) -> frozenset[str]:
        """The groups that any location belongs to."""
        return frozenset(group for location in self.locations for group in location.groups)

    @cached_property
    def has_sales_caps(self) -> bool:
        """Whether any path has a sales_cap."""
        return any(rule.sales_cap is not None for rule in self.path_rules)

    @cached_property
    def has_tills(self) -> bool:
        """Whether any location is a TILL."""
        return any(location.kind is LocationKind.TILL for location in self.locations)

    def location(self, name: str) -> Location:
        """The location's settings; one that the policy does not list is OWNED."""
        known = self._locations.get(name) or self._unlisted.get(name)
        if known is None:
            known = Location(name)
            if len(self._unlisted) < 65_536:
                self._unlisted[name] = known
        return known

    def measure(self, name: str) -> Measure | None:
        """The measure, or None when the policy does not know it."""
        return self._measures.get(name)

    def coefficient(self, measure: str) -> int:
        """What one unit of the measure adds to supply; 0 when the formula does not name it."""
        return self._coefficients.get(measure, 0)

    def widest_fallback(self, path: str) -> Fallback:
        """The widest fallback of a path: its own rule's, else the nearest ancestor's that sets one, else NONE. A path
        that is not one of this policy's borrows nothing."""
        known = self._fallbacks.get(path)
        if known is None:
            known = Fallback.NONE
            for ancestor in ancestors(path) if not self.path_fault(path) else ():
                rule = self._rules.get(ancestor)
                if rule is not None and rule.fallback is not None:
                    known = rule.fallback
                    break
            if len(self._fallbacks) < 65_536:
                self._fallbacks[path] = known
        return known

    def narrowed(self, path: str, fallback: Fallback) -> Fallback:
        """The fallback that an earlier policy gave to a line of the path, as far as this one lets it go."""
        return min(fallback, self.widest_fallback(path))

    def quota_cap(self, path: str) -> int | None:
        """Most units of a key that the path may have allocated (free plus held), or None."""
        rule = self._rules.get(path)
        return rule.quota_cap if rule else None

    def sales_cap(self, path: str) -> int | None:
        """Most units of a key that the path may hold or have sold, or None."""
        rule = self._rules.get(path)
        return rule.sales_cap if rule else None

    def path_fault(self, path: str) -> str:
        """Why the path is not one of this policy's, in words; empty when it is one."""
        known = self._paths.get(path)
        if known is None:
            known = self._find_path_fault(path)
            if len(self._paths) < 65_536:
                self._paths[path] = known
        return known

    def _find_path_fault(self, path: str) -> str:
        if path == COMMON:
            return ""
        segments = path.split("/")
        if any(not segment or len(segment) > MAX_NAME for segment in segments):
            return f"each segment of a path has 1 to {MAX_NAME} characters, without gaps; got {path!r}"
        limit = len(self.levels) or MAX_DEPTH
        if depth(path) > limit:
            return f"the path {path!r} has {depth(path)} levels, the policy allows {limit}"
        for level, segment in zip(self.levels, segments, strict=False):
            if level.values and segment not in level.values:
                return f"{segment!r} is not a value of level {level.name!r}; allowed: {', '.join(level.values[:20])}"
        return ""
