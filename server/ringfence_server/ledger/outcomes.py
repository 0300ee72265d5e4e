"""What comes of a command: an effect, or a refusal that says what would have worked.

Effects refer to the live objects of the batch; the edge encodes them before the next command is decided.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias, get_args

from .names import StockKey
from .policy import Location, Policy
from .state import Part, Pool, Reservation, Stock
from .till_state import OrderEvent


class Restock(IntEnum):
    """When cancelled units can be sold again. The numbers are those of the contract."""

    AT_ONCE = 1
    WHEN_TILL_CONFIRMS = 2
    NONE = 3


class FigureResult(IntEnum):
    """What came of a figure. The numbers are those of the contract."""

    APPLIED = 1
    DUPLICATE = 2
    STALE = 3
    CONFLICT = 4
    GAP = 5


class BookingResult(IntEnum):
    """What came of the report of a sale line. The numbers are those of the contract."""

    APPLIED = 1
    DUPLICATE = 2
    CONFLICT = 3
    UNKNOWN_ORDER = 4


class CountResult(IntEnum):
    """What came of the begin or end of a full count. The numbers are those of the contract."""

    BEGUN = 1
    APPLIED = 2
    DUPLICATE = 3
    INCOMPLETE = 4
    NEEDS_CONFIRMATION = 5
    CONTINUE = 6
    CONFLICT = 7


class ReplyResult(IntEnum):
    """What became of a till's reply. The numbers are those of the contract."""

    RECORDED = 1
    DUPLICATE = 2
    UNKNOWN_EVENT = 3
    REFUSED = 4


class ShortageReason(IntEnum):
    """What bound a line. The numbers are those of the contract."""

    NO_QUOTA = 1
    QUOTA_EXHAUSTED = 2
    NET_SHORT = 3
    CAP_REACHED = 4


# --- effects ---------------------------------------------------------------------------------------------------------


class PoolsChanged(NamedTuple):
    """Allocate, Unallocate and Reallocate: the pools as they stand, and what each line moved."""

    pools: tuple[tuple[Stock, Pool], ...]
    quantities: tuple[int, ...]


class Reserved(NamedTuple):
    """Reserve."""

    reservation: Reservation
    full: bool


class Updated(NamedTuple):
    """UpdateReservation."""

    reservation: Reservation


class Consumed(NamedTuple):
    """Consume."""

    reservation: Reservation
    at_risk: bool
    quantities: tuple[tuple[str, int], ...]


class CancelledLine(NamedTuple):
    """What was taken back of one line."""

    line_id: str
    quantity: int
    restock: Restock


class Cancelled(NamedTuple):
    """Cancel."""

    reservation: Reservation
    lines: tuple[CancelledLine, ...]


class FigureOutcome(NamedTuple):
    """What came of one figure, with what is in force."""

    key: StockKey
    measure: str
    result: FigureResult
    value: int
    position: int
    stock: Stock
    epoch: int = 0
    unsettled: int = 0
    """Σ c over the pools of the key, after the request; 0 at an OWNED location."""


class BookingOutcome(NamedTuple):
    """What came of the report of one sale line."""

    result: BookingResult
    reservation: Reservation | None
    """None: no such sale."""
    part: Part | None
    contained: int = 0
    """Of the line at that location, what the figure in force contains."""
    owed: int = 0
    """By this the figure has still to fall for it."""
    surplus: int = 0
    """Booked beyond what was sold."""


class CountOutcome(NamedTuple):
    """What came of the begin or end of a full count."""

    result: CountResult
    mentioned: int
    unmentioned: int = 0
    zeroed_units: int = 0
    remaining: int = 0


class Posted(NamedTuple):
    """PostStock."""

    outcomes: tuple[FigureOutcome, ...]
    bookings: tuple[BookingOutcome, ...] = ()
    begin: CountOutcome | None = None
    end: CountOutcome | None = None


class Reassigned(NamedTuple):
    """ReassignPart."""

    reservation: Reservation
    parts: tuple[Part, ...]
    """Those that took over."""
    at_risk: bool


class PublishedReported(NamedTuple):
    """ReportPublished."""

    applied: int
    """Reports that were not older than what is known."""


class HandedOrder(NamedTuple):
    """One event that is handed over."""

    reservation: Reservation
    part: Part
    event: OrderEvent


class OrdersTaken(NamedTuple):
    """TakeOrders: in the order in which they are to be passed on."""

    orders: tuple[HandedOrder, ...]


class OrdersKept(NamedTuple):
    """KeepOrders."""

    event_ids: frozenset[bytes]
    """Those that the adapter still had."""
    lease_until: int
    """The end of their leases, microseconds."""


class OrderReplied(NamedTuple):
    """ReplyOrder."""

    event_id: bytes
    result: ReplyResult
    fault: str = ""
    """With REFUSED: the rule and what would have worked."""


class PolicySet(NamedTuple):
    """SetPolicy."""

    policy: Policy


Effect: TypeAlias = (
    PoolsChanged
    | Reserved
    | Updated
    | Consumed
    | Cancelled
    | Reassigned
    | Posted
    | PublishedReported
    | OrdersTaken
    | OrdersKept
    | OrderReplied
    | PolicySet
)

# --- refusals --------------------------------------------------------------------------------------------------------


class Violation(NamedTuple):
    """One broken rule of the input."""

    field: str
    """Path in the request, such as ``lines[3].quantity``."""
    rule: str
    """The rule's name, the ErrorInfo reason."""
    description: str
    """What is wrong and what would be right."""


class Invalid(NamedTuple):
    """The request breaks rules of form or policy. Never stored as an outcome."""

    violations: tuple[Violation, ...]


class Shortage(NamedTuple):
    """One short line."""

    line_id: str
    key: StockKey
    path: str
    requested: int
    available: int
    """What this very line would have got after the others."""
    reason: ShortageReason
    bound_path: str
    available_with_fallback: int
    cap: int


class Insufficient(NamedTuple):
    """Not everything asked for is there."""

    shortages: tuple[Shortage, ...]


class LeaseExpired(NamedTuple):
    """The lease was over and could not be or was not to be revived."""

    reservation: Reservation
    line_id: str


class NotHeld(NamedTuple):
    """More was asked of a reservation than it has for this command."""

    reservation: Reservation
    line_id: str
    requested: int
    available: int


class NotRejected(NamedTuple):
    """More was to be moved elsewhere than a till rejected or was not sent."""

    reservation: Reservation
    line_id: str
    requested: int
    available: int


class ReservationNotFound(NamedTuple):
    """No reservation of this organization has the id."""

    reservation_id: bytes


class StockNotFound(NamedTuple):
    """No source ever posted the key."""

    key: StockKey
    field: str


class RevisionMismatch(NamedTuple):
    """Compare-and-set on a revision failed."""

    field: str
    expected: int
    current: int


class ValueMismatch(NamedTuple):
    """Compare-and-set on a measure's value failed."""

    field: str
    expected: int
    current: int


class Overflow(NamedTuple):
    """A total would leave its range."""

    field: str
    description: str


class OrderReferenceInUse(NamedTuple):
    """Another reservation of the caller carries the order reference."""

    order_reference: str
    reservation_id: bytes


class QuotaInUse(NamedTuple):
    """A pool that a new policy would orphan."""

    key: StockKey
    path: str
    allocated: int
    """Free plus held units. 0: it is sold out, and what comes back of its sales would come back to it."""
    held: int = 0
    unsettled: int = 0
    """Units sold from it that no figure contains yet."""


class QuotasInUse(NamedTuple):
    """The policy would orphan quotas; at most 100 are listed."""

    quotas: tuple[QuotaInUse, ...]


class OpenSales(NamedTuple):
    """What of a location's sales its till's figures do not contain yet."""

    units: int
    keys: int
    """Stock keys with such units."""
    sales: int
    """Parts of orders with such units."""


class SettlementInUse(NamedTuple):
    """A location whose unsettled sales a new policy would leave without their figure."""

    keep: Location
    """The location as it has to stay until they are settled."""
    open: OpenSales


class SettlementsInUse(NamedTuple):
    """The policy would break the settlement of sales; at most 100 locations are listed."""

    locations: tuple[SettlementInUse, ...]


class RequestIdReused(NamedTuple):
    """The id was used for another command. Never stored."""


class RequestTooOld(NamedTuple):
    """The id is older than the outcomes that are kept. Never stored."""

    kept_since: int


Refusal: TypeAlias = (
    Invalid
    | Insufficient
    | LeaseExpired
    | NotHeld
    | NotRejected
    | ReservationNotFound
    | StockNotFound
    | RevisionMismatch
    | ValueMismatch
    | Overflow
    | OrderReferenceInUse
    | QuotasInUse
    | SettlementsInUse
    | RequestIdReused
    | RequestTooOld
)

# To be looked up by a decision's type: most decisions are effects, and would be asked for every class.
REFUSAL_TYPES = frozenset(get_args(Refusal))
UNSTORED_TYPES = frozenset((Invalid, RequestIdReused, RequestTooOld))
"""Refusals that are no outcome of the request: the same id may be sent again, corrected."""

Decision: TypeAlias = Effect | Refusal
