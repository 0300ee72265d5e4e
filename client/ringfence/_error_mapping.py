"""From what the wire says to the exception that a caller sees. The one place that knows codes, reasons and details."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from google.rpc import code_pb2, error_details_pb2, status_pb2

from ringfence import _errors as e
from ringfence import _parse
from ringfence._wire import LOCATION_KIND, SHORTAGE_REASON, to_timedelta
from ringfence.v1 import errors_pb2

DOMAIN = "ringfence"
_DETAILS_KEY = "grpc-status-details-bin"
_SHOWN = 5
"""Lines of a long list that a message spells out; the fields of the exception hold all."""

_BY_REASON: dict[str, type[e.RingfenceError]] = {
    "INSUFFICIENT_QUANTITY": e.InsufficientQuantity,
    "LEASE_EXPIRED": e.LeaseExpired,
    "NOT_HELD": e.NotHeld,
    "NOT_REJECTED": e.NotRejected,
    "SETTLEMENT_IN_USE": e.SettlementInUse,
    "QUOTA_IN_USE": e.QuotaInUse,
    "ORDER_REFERENCE_IN_USE": e.OrderReferenceInUse,
    "RESERVATION_NOT_FOUND": e.ReservationNotFound,
    "STOCK_NOT_FOUND": e.StockNotFound,
    "REVISION_MISMATCH": e.RevisionMismatch,
    "VALUE_MISMATCH": e.ValueMismatch,
    "QUANTITY_OVERFLOW": e.QuantityOverflow,
    "REQUEST_ID_REUSED": e.RequestIdReused,
    "REQUEST_TOO_OLD": e.RequestTooOld,
    "OVERLOADED": e.Overloaded,
    "RATE_LIMITED": e.RateLimited,
    "STORE_UNAVAILABLE": e.Unavailable,
    "DRAINING": e.Unavailable,
}

_BY_CODE: dict[str, type[e.RingfenceError]] = {
    "INVALID_ARGUMENT": e.InvalidArgument,
    "OUT_OF_RANGE": e.InvalidArgument,
    "FAILED_PRECONDITION": e.Refused,
    "ALREADY_EXISTS": e.Refused,
    "ABORTED": e.Refused,
    "NOT_FOUND": e.NotFound,
    "UNAVAILABLE": e.Unavailable,
    "DEADLINE_EXCEEDED": e.DeadlineExceeded,
    "UNAUTHENTICATED": e.Unauthenticated,
    "PERMISSION_DENIED": e.PermissionDenied,
    "UNIMPLEMENTED": e.Unsupported,
    "INTERNAL": e.InternalError,
    "UNKNOWN": e.InternalError,
    "DATA_LOSS": e.InternalError,
}

_DETAIL_TYPES: dict[str, Any] = {
    message.DESCRIPTOR.full_name: message
    for message in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
        errors_pb2.InsufficientQuantity,
        errors_pb2.ReservationRefusal,
        errors_pb2.QuotasInUse,
        errors_pb2.Mismatch,
        errors_pb2.SettlementsInUse,
    )
}

# gRPC's own words for a call that found no connection: such a call never left this process.
_NEVER_SENT = (
    "failed to connect to all addresses",
    "errors resolving",
    "DNS resolution failed",
    "empty address list",
    "Name resolution",
)


# What ends a stream for good, because no other stream will do better.
ENDS_STREAMS = (e.Refused, e.InvalidArgument, e.Unauthenticated, e.PermissionDenied, e.Unsupported, e.ClientClosed)


class Certainty(enum.Enum):
    """What an error tells about the request it answers."""

    DECIDED = enum.auto()
    """The service decided the request: this is its outcome, or it can have none."""
    NOT_DONE = enum.auto()
    """This try did nothing; an earlier one may have."""
    UNKNOWN = enum.auto()
    """This try may have been carried out."""


def from_rpc_error(error: Any, request_id: str = "") -> e.RingfenceError:
    """The exception for a `grpc.RpcError` of either kind of channel. `error` becomes its `__cause__`."""
    code = error.code()
    status = _status_of(error.trailing_metadata())
    if status is None:
        status = status_pb2.Status(code=code.value[0], message=error.details() or "")
    mapped = from_status(status, request_id)
    mapped.__cause__ = error
    return mapped


def closed_under(request_id: str) -> e.ClientClosed:
    """The client was closed while a request was on its way."""
    return e.ClientClosed("the client was closed during the call", code="CANCELLED", request_id=request_id)


def from_status(status: status_pb2.Status, request_id: str = "") -> e.RingfenceError:
    """The exception for a google.rpc.Status, as a call's error or as an outcome of Execute."""
    details = _details(status)
    info: Any = details.get("google.rpc.ErrorInfo")
    reason = info.reason if info is not None and info.domain == DOMAIN else ""
    try:
        code = code_pb2.Code.Name(status.code)
    except ValueError:
        code = str(status.code)
    retry: Any = details.get("google.rpc.RetryInfo")
    context = e.ErrorContext(
        code=code,
        reason=reason,
        metadata=dict(info.metadata) if info is not None else {},
        request_id=request_id,
        retry_after=to_timedelta(retry.retry_delay) if retry is not None else None,
        raw=status,
    )
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, e.RingfenceError)
    return _build(kind, status.message or code, details, context)


def certainty(error: e.RingfenceError) -> Certainty:
    """What the error tells about the request it answers."""
    if isinstance(error, (e.Refused, e.InvalidArgument)):
        return Certainty.DECIDED
    if isinstance(error, (e.RateLimited, e.Overloaded, e.Unauthenticated, e.PermissionDenied, e.Unsupported)):
        return Certainty.NOT_DONE
    if isinstance(error, e.DeadlineExceeded) and error.reason:
        return Certainty.NOT_DONE  # the service itself says that it did not decide in time
    if isinstance(error, e.ClientClosed) and error.code != "CANCELLED":
        return Certainty.NOT_DONE
    if isinstance(error, e.Unavailable) and (error.reason == "DRAINING" or never_sent(error)):
        return Certainty.NOT_DONE
    return Certainty.UNKNOWN


def never_sent(error: e.RingfenceError) -> bool:
    """Whether no connection was there to send the request over."""
    return error.code == "UNAVAILABLE" and not error.reason and str(error).startswith(_NEVER_SENT)


def may_retry(error: e.RingfenceError) -> bool:
    """Whether the same request may be sent again: UNAVAILABLE and what carries RetryInfo, but never a refusal."""
    if isinstance(error, (e.Refused, e.InvalidArgument)):
        return False
    return error.code == "UNAVAILABLE" or error.retry_after is not None


def _build(
    kind: type[e.RingfenceError], message: str, details: dict[str, Any], context: e.ErrorContext
) -> e.RingfenceError:
    """An exception of `kind` with the fields that its detail fills."""
    for kinds, read in _DETAILS_OF:
        if issubclass(kind, kinds):
            text, fields = read(message, details, context)
            return kind(text, **fields, **context)
    return kind(message, **context)


_Read: TypeAlias = tuple[str, dict[str, Any]]
"""What an exception says, and its fields."""


def _insufficient(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    shortages = [_shortage(found) for found in _items(details, "ringfence.v1.InsufficientQuantity", "shortages")]
    return _listed("not enough", shortages, context) or message, {"shortages": shortages}


def _reservation_refused(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    refusal: Any = details.get("ringfence.v1.ReservationRefusal")
    if refusal is None:
        return message, {}
    return message, {
        "reservation": _parse.reservation(refusal.reservation) if refusal.HasField("reservation") else None,
        "line_id": refusal.line_id,
        "requested": refusal.requested,
        "available": refusal.available,
    }


def _quota_in_use(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    quotas = [
        e.OrphanedQuota(_parse.stock_key(found.key), found.path, found.allocated, found.held, found.unsettled)
        for found in _items(details, "ringfence.v1.QuotasInUse", "quotas")
    ]
    return _listed(message, quotas, context) or message, {"quotas": quotas}


def _settlement_in_use(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    locations = [
        e.UnsettledLocation(
            found.location,
            found.unsettled,
            found.keys,
            found.sales,
            LOCATION_KIND[found.kind] if found.kind else None,
            found.settlement_measure,
            found.source,
        )
        for found in _items(details, "ringfence.v1.SettlementsInUse", "locations")
    ]
    return _listed(message, locations, context) or message, {"locations": locations}


def _order_reference_in_use(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    known = context.get("metadata", {})
    return message, {name: known.get(name, "") for name in ("order_reference", "reservation_id")}


def _not_found(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    resource: Any = details.get("google.rpc.ResourceInfo")
    if resource is None:
        return message, {}
    return message, {"resource_type": resource.resource_type, "resource_name": resource.resource_name}


def _mismatch(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    found: Any = details.get("ringfence.v1.Mismatch")
    if found is None:
        return message, {}
    fields = {"field": found.field, "expected": found.expected, "current": found.current}
    return f"{message} ({found.field}: expected {found.expected}, is {found.current})", fields


def _rules_of_fields(message: str, details: dict[str, Any], context: e.ErrorContext) -> _Read:
    violations = [
        e.FieldViolation(found.field, found.description, found.reason)
        for found in _items(details, "google.rpc.BadRequest", "field_violations")
    ]
    return _rules_broken(message, violations, context), {"violations": violations}


_DETAILS_OF: tuple[
    tuple[tuple[type[e.RingfenceError], ...], Callable[[str, dict[str, Any], e.ErrorContext], _Read]], ...
] = (
    ((e.InsufficientQuantity,), _insufficient),
    ((e.LeaseExpired, e.NotHeld, e.NotRejected), _reservation_refused),
    ((e.QuotaInUse,), _quota_in_use),
    ((e.SettlementInUse,), _settlement_in_use),
    ((e.OrderReferenceInUse,), _order_reference_in_use),
    ((e.NotFound,), _not_found),
    ((e.RevisionMismatch, e.ValueMismatch), _mismatch),
    ((e.InvalidArgument, e.QuantityOverflow), _rules_of_fields),
)


def _shortage(message: errors_pb2.Shortage) -> e.Shortage:
    return e.Shortage(
        line_id=message.line_id,
        key=_parse.stock_key(message.key),
        path=message.path,
        requested=message.requested,
        available=message.available,
        reason=SHORTAGE_REASON[message.reason],
        bound_path=message.bound_path,
        available_with_fallback=message.available_with_fallback,
        cap=message.cap,
    )


def _rules_broken(message: str, violations: list[e.FieldViolation], context: e.ErrorContext) -> str:
    """Every violation once: the service's message is the first of them, at times without its field."""
    if not violations or violations[0].description not in message:
        return _listed(message, violations, context) or message
    return message if len(violations) == 1 else _several(violations, context)


def _listed(head: str, items: list[Any], context: e.ErrorContext) -> str:
    """The items behind `head`, or an empty text when there are none or the head says it already."""
    if not items or (len(items) == 1 and str(items[0]) in head):
        return ""
    return f"{head}: {_several(items, context)}"


def _several(items: Sequence[Any], context: e.ErrorContext) -> str:
    """The first of the items, and how many more there are."""
    shown = "; ".join(str(item) for item in items[:_SHOWN])
    omitted = context.get("metadata", {}).get("omitted", "")
    left = max(0, len(items) - _SHOWN) + (int(omitted) if omitted.isdecimal() else 0)
    return shown + (f"; and {left} more" if left else "")


def _items(details: dict[str, Any], name: str, field: str) -> Iterable[Any]:
    detail = details.get(name)
    return getattr(detail, field) if detail is not None else ()


def _details(status: status_pb2.Status) -> dict[str, Any]:
    """The details this client knows, by message name."""
    found: dict[str, Any] = {}
    for packed in status.details:
        name = packed.type_url.rpartition("/")[2]
        known = _DETAIL_TYPES.get(name)
        if known is not None:
            found[name] = known.FromString(packed.value)
    return found


def _status_of(metadata: Iterable[tuple[str, Any]] | None) -> status_pb2.Status | None:
    for key, value in metadata or ():
        if key == _DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return None
