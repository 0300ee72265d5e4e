"""What comes of a command: an effect, or a refusal that says what would have worked.

Effects refer to the live objects of the batch; the edge encodes them before the next command is decided.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

from .names import StockKey
from .policy import Policy
from .state import Pool, Reservation, Stock


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


class Posted(NamedTuple):
    """PostStock."""

    outcomes: tuple[FigureOutcome, ...]


class PolicySet(NamedTuple):
    """SetPolicy."""

    policy: Policy


Effect: TypeAlias = PoolsChanged | Reserved | Updated | Consumed | Cancelled | Posted | PolicySet

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


class QuotasInUse(NamedTuple):
    """The policy would orphan quotas; at most 100 are listed."""

    quotas: tuple[QuotaInUse, ...]


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
    | ReservationNotFound
    | StockNotFound
    | RevisionMismatch
    | ValueMismatch
    | Overflow
    | OrderReferenceInUse
    | QuotasInUse
    | RequestIdReused
    | RequestTooOld
)

UNSTORED = (Invalid, RequestIdReused, RequestTooOld)
"""Refusals that are no outcome of the request: the same id may be sent again, corrected."""
REFUSALS = (
    Insufficient,
    Invalid,
    LeaseExpired,
    NotHeld,
    ReservationNotFound,
    StockNotFound,
    RevisionMismatch,
    ValueMismatch,
    Overflow,
    OrderReferenceInUse,
    QuotasInUse,
    RequestIdReused,
    RequestTooOld,
)

Decision: TypeAlias = Effect | Refusal
