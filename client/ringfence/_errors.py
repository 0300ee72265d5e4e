"""What can go wrong, as exceptions that name it and carry its figures as typed fields.

RingfenceError
├── Refused                    the service decided: no. Another try needs a new request_id
│   ├── InsufficientQuantity   shortages
│   ├── LeaseExpired, NotHeld, NotRejected   reservation, line_id, requested, available
│   ├── OrderReferenceInUse    order_reference, reservation_id
│   ├── QuotaInUse             quotas
│   ├── SettlementInUse        locations
│   ├── NotFound               resource_type, resource_name
│   │   └── ReservationNotFound, StockNotFound
│   ├── RevisionMismatch, ValueMismatch   field, expected, current
│   └── QuantityOverflow       violations
├── InvalidArgument            violations
│   └── RequestIdReused, RequestTooOld
├── Unavailable                nothing was done; the client has tried again already
│   └── Overloaded, RateLimited
├── OutcomeUnknown             request_id: ask again with it to learn what happened
├── DeadlineExceeded           no answer in time, and nothing was done
├── Unauthenticated, PermissionDenied
├── InternalError, Unsupported
└── ClientClosed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack

if TYPE_CHECKING:
    from google.rpc import status_pb2

    from ringfence._enums import LocationKind, ShortageReason
    from ringfence._types import Reservation, StockKey

__all__ = [
    "ClientClosed",
    "DeadlineExceeded",
    "FieldViolation",
    "InsufficientQuantity",
    "InternalError",
    "InvalidArgument",
    "LeaseExpired",
    "NotFound",
    "NotHeld",
    "NotRejected",
    "OrderReferenceInUse",
    "OrphanedQuota",
    "OutcomeUnknown",
    "Overloaded",
    "PermissionDenied",
    "QuantityOverflow",
    "QuotaInUse",
    "RateLimited",
    "Refused",
    "RequestIdReused",
    "RequestTooOld",
    "ReservationNotFound",
    "RevisionMismatch",
    "RingfenceError",
    "SettlementInUse",
    "Shortage",
    "StockNotFound",
    "Unauthenticated",
    "Unavailable",
    "UnsettledLocation",
    "Unsupported",
    "ValueMismatch",
]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks a rule."""

    field: str
    """The field's path in the request, such as "lines[3].quantity"."""
    description: str
    """What is wrong with it."""
    reason: str = ""
    """The rule, in capitals; may be empty."""

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


@dataclass(frozen=True, slots=True)
class Shortage:
    """One line that is short."""

    line_id: str
    """The line's `line_id`; for Allocate, Unallocate and Reallocate its number from "1"."""
    key: StockKey
    """What was asked for."""
    path: str
    """The path that asked."""
    requested: int
    """Units asked for."""
    available: int
    """Units that this very line would have got after the others of the request; not the key's stock."""
    reason: ShortageReason
    """Why."""
    bound_path: str
    """The path of the pool that bound the line; empty is the common pool, or the whole key with NET_SHORT."""
    available_with_fallback: int
    """Units this line would have got with fallback ANCESTORS."""
    cap: int
    """The cap, with CAP_REACHED."""

    def __str__(self) -> str:
        asked = f"line {self.line_id}: {self.key} for {self.path or 'the common pool'}"
        borrowed = self.available_with_fallback
        more = f", {borrowed} with fallback" if borrowed > self.available else ""
        why = {
            "no_quota": f"{self.path} has no quota",
            "quota_exhausted": f"{self.bound_path or 'the common pool'} has no more",
            "net_short": "more is promised than is there",
            "cap_reached": f"the cap of {self.cap} is reached",
        }.get(self.reason, str(self.reason))
        return f"{asked}: {self.requested} asked, {self.available} available{more} ({why})"


@dataclass(frozen=True, slots=True)
class OrphanedQuota:
    """A quota that a change of policy would orphan."""

    key: StockKey
    """The stock key."""
    path: str
    """The pool's path."""
    allocated: int
    """Free plus held units; 0: sold out, and a quota all the same."""
    held: int = 0
    """Of them the held ones."""
    unsettled: int = 0
    """Units sold from it that no till's figure contains yet."""

    def __str__(self) -> str:
        sold = f", {self.unsettled} not settled" if self.unsettled else ""
        held = f" ({self.held} of them held)" if self.held else ""
        return f"{self.path} has {self.allocated}{held} of {self.key}{sold}"


@dataclass(frozen=True, slots=True)
class UnsettledLocation:
    """A location whose settlement a change of policy would break."""

    location: str
    """The location."""
    unsettled: int
    """Units sold there that no figure contains yet."""
    keys: int = 0
    """Stock keys with such units."""
    sales: int = 0
    """Parts of orders with such units."""
    kind: LocationKind | None = None
    """The kind that it has to keep until they are settled or cancelled."""
    settlement_measure: str = ""
    """The settlement measure that it has to keep."""
    source: str = ""
    """The source that it has to keep; empty: any."""

    def __str__(self) -> str:
        kept = f"; keep {self.kind.name}, {self.settlement_measure!r}, source {self.source!r}" if self.kind else ""
        return f"{self.location} has {self.unsettled} unsettled units of {self.sales} sales{kept}"


class ErrorContext(TypedDict, total=False):
    """What every error of this client may carry."""

    code: str
    reason: str
    metadata: Mapping[str, str]
    request_id: str
    retry_after: timedelta | None
    raw: status_pb2.Status | None


class RingfenceError(Exception):
    """The base of everything this client raises about a request. All fields have defaults, so errors can be pickled."""

    def __init__(self, message: str = "", **context: Unpack[ErrorContext]) -> None:
        super().__init__(message)
        self.code = context.get("code", "")
        """The gRPC status code's name, such as "FAILED_PRECONDITION"; empty for what the client itself found."""
        self.reason = context.get("reason", "")
        """The reason in the service's error catalogue, such as "INSUFFICIENT_QUANTITY"; may be empty."""
        self.metadata = dict(context.get("metadata", {}))
        """Every value of the message, by name."""
        self.request_id = context.get("request_id", "")
        """The id the request was sent with; empty for reads."""
        self.retry_after = context.get("retry_after")
        """How long the service asked to wait before another try; None when it did not."""
        self.raw = context.get("raw")
        """The status the service answered; None for what the client itself found."""


class Refused(RingfenceError):
    """The service decided: no. The refusal is the outcome of its request_id; another try needs a new one."""


class InsufficientQuantity(Refused):
    """Some line is short; nothing was done. `shortages` names every short line and what bound it; where the channel has
    no room for all, `metadata["omitted"]` says how many are missing."""

    def __init__(
        self, message: str = "", *, shortages: Sequence[Shortage] = (), **context: Unpack[ErrorContext]
    ) -> None:
        super().__init__(message, **context)
        self.shortages = tuple(shortages)
        """Every short line."""


class _ReservationRefused(Refused):
    """A reservation that is not what the request needs."""

    def __init__(
        self,
        message: str = "",
        *,
        reservation: Reservation | None = None,
        line_id: str = "",
        requested: int = 0,
        available: int = 0,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.reservation = reservation
        """The reservation as it stands; None when the service did not say."""
        self.line_id = line_id
        """The line, where one line is the reason; else empty."""
        self.requested = requested
        """Units asked for."""
        self.available = available
        """Units there are."""


class LeaseExpired(_ReservationRefused):
    """The lease is over, and `revive` was not allowed."""


class NotHeld(_ReservationRefused):
    """More was asked than the reservation, or one line of it, has left."""


class NotRejected(_ReservationRefused):
    """The part has no units, or fewer, that may move: a till has neither rejected them nor never been sent them."""


class SettlementInUse(Refused):
    """A change of policy would change kind, measure or source of a location with unsettled sales; nothing was done."""

    def __init__(
        self, message: str = "", *, locations: Sequence[UnsettledLocation] = (), **context: Unpack[ErrorContext]
    ) -> None:
        super().__init__(message, **context)
        self.locations = tuple(locations)
        """The locations in the way, at most 100."""


class QuotaInUse(Refused):
    """A change of policy would orphan quotas; nothing was changed."""

    def __init__(
        self, message: str = "", *, quotas: Sequence[OrphanedQuota] = (), **context: Unpack[ErrorContext]
    ) -> None:
        super().__init__(message, **context)
        self.quotas = tuple(quotas)
        """The quotas in the way, at most 100."""


class NotFound(Refused):
    """What the request names does not exist."""

    def __init__(
        self,
        message: str = "",
        *,
        resource_type: str = "",
        resource_name: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.resource_type = resource_type
        """What kind of thing is missing."""
        self.resource_name = resource_name
        """Its name or id."""


class ReservationNotFound(NotFound):
    """There is no reservation of that id in this organization."""


class StockNotFound(NotFound):
    """No source ever posted that stock key: check SKU, location and every dimension."""


class OrderReferenceInUse(Refused):
    """Another reservation of this caller carries the order reference: this order may have been consumed before."""

    def __init__(
        self,
        message: str = "",
        *,
        order_reference: str = "",
        reservation_id: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.order_reference = order_reference
        """The order reference."""
        self.reservation_id = reservation_id
        """The reservation that carries it."""


class _Mismatch(Refused):
    """A compare-and-set whose expectation does not hold."""

    def __init__(
        self,
        message: str = "",
        *,
        field: str = "",
        expected: int = 0,
        current: int = 0,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.field = field
        """The field that did not match, as a path in the request."""
        self.expected = expected
        """What the caller expected."""
        self.current = current
        """What is current."""


class RevisionMismatch(_Mismatch):
    """Somebody changed it in between: read it again and decide anew."""


class ValueMismatch(_Mismatch):
    """The measure has another value than `expected_value`; the whole batch was refused."""


class _FieldsRefused(RingfenceError):
    """An error that names fields of the request."""

    def __init__(
        self, message: str = "", *, violations: Sequence[FieldViolation] = (), **context: Unpack[ErrorContext]
    ) -> None:
        super().__init__(message, **context)
        self.violations = tuple(violations)
        """The fields and what is wrong with them."""


class QuantityOverflow(_FieldsRefused, Refused):
    """A total would leave the range of 64-bit integers; nothing was done."""


class InvalidArgument(_FieldsRefused):
    """The request breaks a rule and was not decided; the same request will always be refused."""


class RequestIdReused(InvalidArgument):
    """The request_id belongs to another request: every new request needs a new id."""


class RequestTooOld(InvalidArgument):
    """The request_id is older than the outcomes the service keeps: it cannot tell whether this was done already."""


class Unavailable(RingfenceError):
    """The service could not take the request, and nothing was done. The client has tried again already."""


class Overloaded(Unavailable):
    """The service has more to do than it can; come back after `retry_after`."""


class RateLimited(Unavailable):
    """The caller sends more than it may; come back after `retry_after`."""


class OutcomeUnknown(RingfenceError):
    """No answer came, and the request may or may not have been done. Sending the same request with the same
    `request_id` again is safe: it has one outcome, and the answer tells which. `__cause__` says why no answer came."""


class DeadlineExceeded(RingfenceError):
    """No answer came in time, and nothing was changed: a read, or a request that the service did not come to decide."""


class Unauthenticated(RingfenceError):
    """The service does not know who is calling."""


class PermissionDenied(RingfenceError):
    """The caller may not do this; `metadata` says which scope is missing."""


class InternalError(RingfenceError):
    """A fault of the service. Its text and `metadata` belong into a report to its operator."""


class Unsupported(RingfenceError):
    """The service does not know this call: it is older than this client, or the target is another service."""


class ClientClosed(RingfenceError):
    """The client, or the pipeline, was closed."""
