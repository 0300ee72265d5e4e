"""Which status a refusal is: its code, its reason, and what its message says.

A message says what would have worked; every value in it stands in the ErrorInfo's metadata too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo

from ringfence.v1 import errors_pb2
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    LeaseExpired,
    NotHeld,
    NotRejected,
    OrderReferenceInUse,
    Overflow,
    QuotasInUse,
    Refusal,
    RequestIdReused,
    RequestTooOld,
    ReservationNotFound,
    RevisionMismatch,
    SettlementsInUse,
    Shortage,
    ShortageReason,
    StockNotFound,
    ValueMismatch,
    Violation,
)

from .refusals_policy import quotas_in_use, settlements_in_use
from .render import dimension_metadata, key_fields, key_text, reservation_fields, uuid_text
from .status import status_bytes
from .times import timestamp_of

RESERVATION_TYPE: Final = "ringfence.v1.Reservation"
STOCK_TYPE: Final = "ringfence.v1.StockKey"


def refusal_status(refusal: Refusal) -> bytes:
    """The google.rpc.Status of a refusal, serialised, with nothing left out."""
    match refusal:
        case Insufficient():
            return _insufficient(refusal.shortages) if len(refusal.shortages) > 1 else _one_short(*refusal.shortages)
        case Invalid():
            return _invalid(refusal.violations)
        case LeaseExpired():
            return _lease_expired(refusal)
        case NotHeld():
            return _not_held(refusal)
        case NotRejected():
            return _not_rejected(refusal)
        case ReservationNotFound():
            return _reservation_not_found(refusal)
        case StockNotFound():
            return _stock_not_found(refusal)
        case RevisionMismatch():
            text = f"{refusal.field}: the current revision is {refusal.current}, not {refusal.expected}; read it again"
            return _mismatch(refusal, "REVISION_MISMATCH", text)
        case ValueMismatch():
            text = (
                f"{refusal.field}: the value in force is {refusal.current}, not {refusal.expected}; nothing was posted"
            )
            return _mismatch(refusal, "VALUE_MISMATCH", text)
        case Overflow():
            return _overflow(refusal)
        case OrderReferenceInUse():
            return _order_reference_in_use(refusal)
        case QuotasInUse():
            return quotas_in_use(refusal)
        case SettlementsInUse():
            return settlements_in_use(refusal)
        case RequestIdReused():
            return _request_id_reused()
        case RequestTooOld():
            return _request_too_old(refusal)


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    return BadRequest(
        field_violations=[
            {"field": violation.field, "description": violation.description, "reason": violation.rule}
            for violation in violations
        ]
    )


def _invalid(violations: Sequence[Violation]) -> bytes:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return status_bytes(
        code_pb2.INVALID_ARGUMENT,
        f"{first.field}: {first.description}{more}" if first.field else first.description + more,
        first.rule,
        # In its words: a description may quote any value, and each of them is in here.
        {"field": first.field, "description": first.description, "violations": str(len(violations))},
        _bad_request(violations),
    )


def _one_field(code: int, field: str, rule: str, description: str, text: str, **metadata: str) -> bytes:
    """A status of one rule that one field broke."""
    violation = Violation(field, rule, description)
    return status_bytes(code, text, rule, {"field": field, **metadata}, _bad_request([violation]))


def _overflow(refusal: Overflow) -> bytes:
    field, description = refusal.field, refusal.description
    return status_bytes(
        code_pb2.OUT_OF_RANGE,
        f"{field}: {description}",
        "QUANTITY_OVERFLOW",
        {"field": field, "description": description},
        _bad_request([Violation(field, "QUANTITY_OVERFLOW", description)]),
    )


def _request_id_reused() -> bytes:
    text = "the request_id was used for another command; a new command takes a new UUID"
    return _one_field(code_pb2.INVALID_ARGUMENT, "request_id", "REQUEST_ID_REUSED", text, text)


def _request_too_old(refusal: RequestTooOld) -> bytes:
    since = timestamp_of(refusal.kept_since).ToJsonString()
    text = (
        f"the request_id was made before {since}, from when outcomes are kept: whether it was carried out can "
        "no longer be told. Look for its effect, then send a new UUID"
    )
    return _one_field(code_pb2.INVALID_ARGUMENT, "request_id", "REQUEST_TOO_OLD", text, text, kept_since=since)


def _reservation_not_found(refusal: ReservationNotFound) -> bytes:
    name = uuid_text(refusal.reservation_id)
    text = f"the organization has no reservation {name}"
    found = ResourceInfo(resource_type=RESERVATION_TYPE, resource_name=name, description=text)
    return status_bytes(code_pb2.NOT_FOUND, text, "RESERVATION_NOT_FOUND", {"reservation_id": name}, found)


@lru_cache(maxsize=2_048)
def _one_short(shortage: Shortage) -> bytes:
    """A sold-out item is asked for again and again, in the same words: its refusal is written once."""
    return _insufficient((shortage,))


def _insufficient(shortages: Sequence[Shortage]) -> bytes:
    first = shortages[0]
    more = f"; {len(shortages) - 1} more lines are short" if len(shortages) > 1 else ""
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        _shortage_text(first) + more,
        "INSUFFICIENT_QUANTITY",
        {
            "shortage_reason": first.reason.name,
            "line_id": first.line_id,
            "sku": first.key.sku,
            "location": first.key.location,
            "path": first.path,
            "requested": str(first.requested),
            "available": str(first.available),
            "bound_path": first.bound_path,
            "available_with_fallback": str(first.available_with_fallback),
            "cap": str(first.cap),
            "short_lines": str(len(shortages)),
            **dimension_metadata(first.key),
        },
        errors_pb2.InsufficientQuantity(
            shortages=[
                {
                    "line_id": shortage.line_id,
                    "key": key_fields(shortage.key),
                    "path": shortage.path,
                    "requested": shortage.requested,
                    "available": shortage.available,
                    "reason": shortage.reason.value,
                    "bound_path": shortage.bound_path,
                    "available_with_fallback": shortage.available_with_fallback,
                    "cap": shortage.cap,
                }
                for shortage in shortages
            ]
        ),
    )


def _shortage_text(shortage: Shortage) -> str:
    """``path 'web/london/vip' of BIKE at north: asked 201, 200 to give; fallback would give 500``"""
    pool = f"path {shortage.path!r}" if shortage.path else "the common pool"
    text = f"{pool} of {key_text(shortage.key)}: asked {shortage.requested}, {shortage.available} to give"
    if shortage.available_with_fallback > shortage.available:
        # A fallback that the request did not have; it would give at most what was asked for.
        text += f"; fallback would give {shortage.available_with_fallback}"
    match shortage.reason:
        case ShortageReason.NO_QUOTA:
            text += " (the path has no quota there)"
        case ShortageReason.NET_SHORT:
            text += " (more is promised than is there)"
        case ShortageReason.CAP_REACHED:
            text += f" (the cap of {shortage.bound_path!r} is {shortage.cap})"
        case ShortageReason.QUOTA_EXHAUSTED:
            pass
    return text


def _lease_expired(refusal: LeaseExpired) -> bytes:
    reservation = refusal.reservation
    name = uuid_text(reservation.reservation_id)
    ended = timestamp_of(reservation.expire_time).ToJsonString() if reservation.expire_time is not None else ""
    line = f", line {refusal.line_id!r}" if refusal.line_id else ""
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        f"the lease of reservation {name}{line} ended at {ended}; reserve anew, or consume with revive",
        "LEASE_EXPIRED",
        {"reservation_id": name, "line_id": refusal.line_id, "expire_time": ended},
        errors_pb2.ReservationRefusal(reservation=reservation_fields(reservation), line_id=refusal.line_id),
    )


def _not_held(refusal: NotHeld) -> bytes:
    reservation = refusal.reservation
    name = uuid_text(reservation.reservation_id)
    if refusal.line_id:
        text = (
            f"line {refusal.line_id!r} of reservation {name}: asked {refusal.requested}, "
            f"{refusal.available} left for this command"
        )
    else:
        text = f"reservation {name} is {reservation.state.name} and has nothing left for this command"
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        text,
        "NOT_HELD",
        {
            "reservation_id": name,
            "line_id": refusal.line_id,
            "requested": str(refusal.requested),
            "available": str(refusal.available),
            "state": reservation.state.name,
        },
        _units_refused(refusal),
    )


def _not_rejected(refusal: NotRejected) -> bytes:
    name = uuid_text(refusal.reservation.reservation_id)
    asked = f"{refusal.requested} units" if refusal.requested else "all that may move"
    text = (
        f"line {refusal.line_id!r} of reservation {name}: asked to move {asked}, but {refusal.available} units of the "
        "part are rejected by its till or not sent yet; what the till was sent it has to reject first, or Cancel it"
    )
    return status_bytes(
        code_pb2.FAILED_PRECONDITION,
        text,
        "NOT_REJECTED",
        {
            "reservation_id": name,
            "line_id": refusal.line_id,
            "requested": str(refusal.requested),
            "available": str(refusal.available),
        },
        _units_refused(refusal),
    )


def _units_refused(refusal: NotHeld | NotRejected) -> errors_pb2.ReservationRefusal:
    return errors_pb2.ReservationRefusal(
        reservation=reservation_fields(refusal.reservation),
        line_id=refusal.line_id,
        requested=refusal.requested,
        available=refusal.available,
    )


def _stock_not_found(refusal: StockNotFound) -> bytes:
    name = key_text(refusal.key)
    text = f"no source ever posted {name}: post a figure first, or mend the key"
    metadata = {
        "field": refusal.field,
        "sku": refusal.key.sku,
        "location": refusal.key.location,
        **dimension_metadata(refusal.key),
    }
    found = ResourceInfo(resource_type=STOCK_TYPE, resource_name=name, description=text)
    return status_bytes(code_pb2.NOT_FOUND, text, "STOCK_NOT_FOUND", metadata, found)


def _mismatch(refusal: RevisionMismatch | ValueMismatch, reason: str, text: str) -> bytes:
    return status_bytes(
        code_pb2.ABORTED,
        text,
        reason,
        {"field": refusal.field, "expected": str(refusal.expected), "current": str(refusal.current)},
        errors_pb2.Mismatch(field=refusal.field, expected=refusal.expected, current=refusal.current),
    )


def _order_reference_in_use(refusal: OrderReferenceInUse) -> bytes:
    name = uuid_text(refusal.reservation_id)
    text = f"order_reference {refusal.order_reference!r} names reservation {name} already; take another"
    found = ResourceInfo(resource_type=RESERVATION_TYPE, resource_name=name, description=text)
    return status_bytes(
        code_pb2.ALREADY_EXISTS,
        text,
        "ORDER_REFERENCE_IN_USE",
        {"order_reference": refusal.order_reference, "reservation_id": name},
        found,
    )
