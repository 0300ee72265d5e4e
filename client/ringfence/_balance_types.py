"""Balances: which are meant, what they say, and how a watch tells of their changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ringfence._enums import RollUpBy

if TYPE_CHECKING:
    from ringfence._enums import WatchEventKind
    from ringfence._types import PoolBalance, Published, StockKey
    from ringfence.v1 import balance_pb2

__all__ = [
    "Balance",
    "BalanceFilter",
    "Explanation",
    "Figures",
    "FormulaTerm",
    "Freshness",
    "LiveHold",
    "RollUp",
    "WatchEvent",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFilter:
    """Which balances are meant. Every filter that is set must match; an empty one matches everything."""

    skus: Iterable[str] = ()
    """These SKUs, exactly; at most 1,000."""
    locations: Iterable[str] = ()
    """These locations, exactly; at most 1,000."""
    location_groups: Iterable[str] = ()
    """Locations of these groups of the policy; at most 100."""
    path: str = ""
    """This path and everything below it; empty is every path."""
    exact_path: bool = False
    """Only the path itself. With an empty path: the common pool alone."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """These values of these dimensions; the empty value matches "does not apply"."""


@dataclass(frozen=True, slots=True)
class RollUp:
    """One thing that a roll-up keeps apart."""

    by: RollUpBy
    """What is kept apart."""
    level: int = 0
    """With LEVEL: the depth, 1 to 8. Pools above that depth are shown under their own path."""
    dimension: str = ""
    """With DIMENSION: the dimension's name."""

    @classmethod
    def sku(cls) -> RollUp:
        """One row per SKU."""
        return cls(RollUpBy.SKU)

    @classmethod
    def location(cls) -> RollUp:
        """One row per location."""
        return cls(RollUpBy.LOCATION)

    @classmethod
    def location_group(cls) -> RollUp:
        """One row per location group."""
        return cls(RollUpBy.LOCATION_GROUP)

    @classmethod
    def to_level(cls, depth: int) -> RollUp:
        """One row per path prefix of `depth` levels, 1 to 8."""
        return cls(RollUpBy.LEVEL, level=depth)

    @classmethod
    def by_dimension(cls, name: str) -> RollUp:
        """One row per value of the dimension `name`."""
        return cls(RollUpBy.DIMENSION, dimension=name)


@dataclass(frozen=True, slots=True)
class Figures:
    """Quantities of one pool, of a subtree or of a roll-up. In a roll-up every summand is floored at zero before it is
    added, and what was cut off stands in `shortfall`: -4 and 3 are 3 and a shortfall of 4."""

    allocated: int
    """Free plus held: the quota that is not sold yet. Not "what is left": that is `available`."""
    available: int
    """What one pool can promise, without fallback."""
    held: int
    """Tied to live reservations."""
    unsettled: int
    """Sold, but not in the till's own figure yet."""
    consumed: int
    """Sold less cancelled, over all time; settlement does not lower it."""
    shortfall: int
    """Units by which `allocated` was below zero before it was floored."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the oldest figure behind a balance is. For people and alarms; it decides nothing."""

    count_time: datetime | None
    """When the source began its consistent read; None when it did not say."""
    position: int
    """The position of that figure."""
    measure: str
    """The measure it belongs to."""
    age: timedelta
    """Its age at the time of the read."""


@dataclass(frozen=True, slots=True)
class FormulaTerm:
    """One term of the supply formula."""

    measure: str
    """The measure's name."""
    coefficient: int
    """Its coefficient."""
    value: int
    """Its present value for the key."""


@dataclass(frozen=True, slots=True)
class LiveHold:
    """One live hold of a pool."""

    reservation_id: str
    """The reservation."""
    owner: str
    """Its owner label."""
    quantity: int
    """Units held."""
    expire_time: datetime | None
    """When the hold ends; None is never."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a balance is what it is."""

    terms: tuple[FormulaTerm, ...]
    """The supply formula's terms with their present values."""
    pools: tuple[PoolBalance, ...]
    """All pools of the key."""
    holds: tuple[LiveHold, ...]
    """The live holds of the pool, earliest end first, at most 100."""
    bound: str
    """What bounds `available_to_reserve`: "POOL" (the pools' free units), "NET" (more is promised than is there) or
    "CAP" (the path's sales_cap leaves less than both)."""
    policy_revision: int
    """The policy revision the key is valued at."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of one pool, or one row of a roll-up."""

    key: StockKey
    """The stock key; in a roll-up only what the roll-up keeps apart is set."""
    path: str
    """The pool's path; in a roll-up by level the prefix; empty for the common pool, or where paths are summed."""
    location_group: str
    """The location group, in a roll-up by location group."""
    own: Figures
    """The pool's own figures, or the roll-up's sums."""
    subtree: Figures
    """The figures of the path and everything below it. Pools are not nested: this is a sum, not a pool."""
    available_to_allocate: int
    """Free units of the common pool that can still be fenced, floored at zero."""
    available_to_reserve: int
    """What one Reserve of this path would get now with the policy's widest fallback; in a roll-up the sum."""
    supply: int
    """Supply by the policy's formula; may be below zero."""
    net: int
    """Supply less all that is held and unsettled; below zero: promises are short."""
    quotas_short: int
    """Units by which quotas exceed what is there."""
    promises_short: int
    """Units by which promises to customers exceed what is there."""
    freshness: Freshness | None
    """How old the oldest figure behind this balance is; None when there is none."""
    revision: str
    """Opaque token of the key's newest write."""
    explanation: Explanation | None
    """Why the figures are what they are, where it was asked for."""
    key_count: int
    """In a roll-up: how many stock keys were summed."""
    published: tuple[Published, ...]
    """What adapters last said they published for this pool, at most 16; empty in a roll-up and with read_time."""
    raw: balance_pb2.Balance = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""

    # The figures asked for most, without `own`.

    @property
    def allocated(self) -> int:
        """`own.allocated`: free plus held."""
        return self.own.allocated

    @property
    def available(self) -> int:
        """`own.available`: what this one pool can promise, without fallback."""
        return self.own.available

    @property
    def held(self) -> int:
        """`own.held`: tied to live reservations."""
        return self.own.held

    @property
    def unsettled(self) -> int:
        """`own.unsettled`: sold, but not in the till's own figure yet."""
        return self.own.unsettled

    @property
    def consumed(self) -> int:
        """`own.consumed`: sold less cancelled, over all time."""
        return self.own.consumed


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch."""

    kind: WatchEventKind
    """What the event is."""
    balances: tuple[Balance, ...]
    """The newest state of what changed, or a piece of the first state."""
    removed: tuple[Balance, ...]
    """What ceased to match; only `key`, `path` and `location_group` are set."""
    resume_token: str
    """Where to go on after this event, in this or another process. Empty within a snapshot."""
    server_time: datetime | None
    """The service's time of the event; None in a RESET that the client itself makes after a broken snapshot."""
    raw: balance_pb2.WatchBalancesResponse = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""
