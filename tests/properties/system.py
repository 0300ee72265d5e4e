"""What a system under test is asked and what it answers, in words of its own: the ledger, a store or a server can stand
behind ``System`` and be held against the same model.

Quantities are small integers, times are whole seconds since the system was started, paths are strings with the empty
one for the common pool, orders are numbered from 0 in the order in which they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

SKUS: Final = ("BIKE", "LAMP")
LOCATIONS: Final = ("north", "south")
"""Also the order in which lines without a location are sourced."""
PATHS: Final = ("", "web", "web/eu", "web/eu/vip", "app")
DEFAULT_LEASE: Final = 900
MAX_LEASE: Final = 3_600
MAX_TOTAL_HOLD: Final = 5_400
NEVER: Final = 0
"""As a ttl: no end."""


@dataclass(frozen=True)
class Rules:
    """The policy that a run plays by; supply is on_hand - safety_stock."""

    fallback: tuple[tuple[str, bool], ...] = ()
    """Path rules: whether the path, and what lies below it, may draw on its ancestors."""
    quota_caps: tuple[tuple[str, int], ...] = ()
    sales_caps: tuple[tuple[str, int], ...] = ()
    allow_split: bool = False
    revive_by_default: bool = False
    allow_never: bool = False
    tills: frozenset[str] = frozenset()
    """Locations whose till keeps the count; a system that has none is not given any."""


# --- operations ------------------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """One figure, or a difference of the location's own count."""

    sku: str
    location: str
    measure: str
    amount: int
    delta: bool
    position: int
    expected: int | None


class Quota(NamedTuple):
    """Units for a path, or from it; None is all that is free."""

    sku: str
    location: str
    path: str
    quantity: int | None


class Shift(NamedTuple):
    """Units from one path to another."""

    sku: str
    location: str
    source: str
    target: str
    quantity: int


class Line(NamedTuple):
    """A line of an order; an empty location is sourced. Its line_id is its number from "1"."""

    sku: str
    location: str
    path: str
    quantity: int
    fallback: bool | None
    """None: the policy's; False narrows it, True asks for ANCESTORS."""


Amount: TypeAlias = tuple[int, int]
"""(line number from 0, quantity)"""


@dataclass(frozen=True)
class Post:
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Allocate:
    lines: tuple[Quota, ...]


@dataclass(frozen=True)
class Unallocate:
    lines: tuple[Quota, ...]


@dataclass(frozen=True)
class Reallocate:
    lines: tuple[Shift, ...]


@dataclass(frozen=True)
class Reserve:
    lines: tuple[Line, ...]
    ttl: int | None = None
    partial: bool = False
    split: bool = False


@dataclass(frozen=True)
class Update:
    order: int
    lines: tuple[Amount, ...] | None
    ttl: int | None
    split: bool = False


@dataclass(frozen=True)
class Consume:
    order: int
    lines: tuple[Amount, ...] = ()
    release_rest: bool = False
    revive: bool | None = None
    reference: str = ""


@dataclass(frozen=True)
class Sell:
    lines: tuple[Line, ...]
    split: bool = False
    reference: str = ""


@dataclass(frozen=True)
class Cancel:
    order: int
    lines: tuple[Amount, ...] = ()


@dataclass(frozen=True)
class Decree:
    """Other rules from now on, for what was promised before too. The tills stay what they are."""

    rules: Rules


Operation: TypeAlias = Post | Allocate | Unallocate | Reallocate | Reserve | Update | Consume | Sell | Cancel | Decree

# --- answers ---------------------------------------------------------------------------------------------------------


class Short(NamedTuple):
    """One short line."""

    number: int
    requested: int
    available: int
    with_fallback: int
    reason: str
    """NO_QUOTA, QUOTA_EXHAUSTED, NET_SHORT or CAP_REACHED."""


class LineView(NamedTuple):
    """A line of an order as it stands; cancelled and expired units are summed over its parts."""

    requested: int
    granted: int
    cancelled: int
    expired: int
    held: tuple[tuple[str, str, int], ...]
    """(location, path, units), sorted, without zeros."""
    unsettled: tuple[tuple[str, str, int], ...]
    settled: tuple[tuple[str, str, int], ...]


class OrderView(NamedTuple):
    """An order as it stands."""

    state: str
    """HELD, CONSUMED, SETTLED, EXPIRED or CANCELLED."""
    ends: int | None
    """Seconds since the start; None: never."""
    reference: str
    lines: tuple[LineView, ...]


@dataclass(frozen=True)
class Refused:
    """The ErrorInfo reason, and every short line where it is INSUFFICIENT_QUANTITY."""

    reason: str
    shortages: tuple[Short, ...] = ()


@dataclass(frozen=True)
class Done:
    """An effect. ``order`` is set where the operation concerns one; ``units`` is what it moved per line."""

    units: tuple[int, ...] = ()
    order: OrderView | None = None
    full: bool = True
    at_risk: bool = False
    figures: tuple[tuple[str, int], ...] = ()
    """Post: per figure APPLIED, DUPLICATE, STALE or CONFLICT, and the value in force."""


Answer: TypeAlias = Done | Refused


class Balance(NamedTuple):
    """a(p), h(p), c(p), and what was sold less cancelled."""

    free: int
    held: int
    unsettled: int
    consumed: int


Balances: TypeAlias = dict[tuple[str, str, str], Balance]
"""(sku, location, path) → figures; pools with nothing but zeros may be there or not."""


class System(Protocol):
    """Something that keeps stock. One instance plays one run."""

    def start(self, rules: Rules) -> None:
        """Begins empty, at second 0, with this policy."""

    def apply(self, operation: Operation) -> Answer:
        """Has one request decided."""

    def advance(self, seconds: int) -> None:
        """Lets time pass; what is due shows in the next answer."""

    def balances(self) -> Balances:
        """All pools, with everything due applied."""

    def order(self, number: int) -> OrderView:
        """One order, with everything due applied."""

    def verify(self) -> None:
        """The system's own check that the ledger's sums are the balances and supply is conserved; raises if not."""

    def close(self) -> None:
        """Ends the run."""
