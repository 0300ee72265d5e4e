"""Reserve, UpdateReservation, Consume and Cancel as frozen commands."""

from __future__ import annotations

from typing import Any, Final

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence_server.ledger.commands import (
    DEFAULT_LEASE,
    Cancel,
    CancelReason,
    Consume,
    ConsumeDirect,
    Lease,
    LineQuantity,
    ReassignPart,
    Reserve,
    UpdateReservation,
)
from ringfence_server.ledger.names import MAX_ATTRIBUTES, MAX_QUANTITY
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.policy import Fallback

from . import forms
from .identity import Identity
from .parse_lines import reserve_lines
from .times import SPAN_RULE, span_of

_MOST_REASON_TEXT: Final = 512
_MAX_PART: Final = 2**31 - 1
_UPDATABLE: Final = ("lines", "expiration", "owner")
_REVIVE: Final[dict[int, bool | None]] = {0: None, 1: False, 2: True}


def reserve(request: pb.ReserveRequest, identity: Identity, faults: list[Violation]) -> Reserve:
    """A Reserve."""
    owner = request.owner
    return Reserve(
        reserve_lines(request.lines, identity.organization, "lines", faults),
        forms.label(owner, "owner", faults) if owner else owner,
        lease(request, faults),
        request.allow_partial,
        request.allow_split,
    )


def update_reservation(
    request: pb.UpdateReservationRequest, identity: Identity, faults: list[Violation]
) -> UpdateReservation:
    """An UpdateReservation. What the mask does not name is not read."""
    reservation_id = forms.reservation_id(request.reservation_id, "reservation_id", faults)
    if request.expected_revision < 0:
        text = f"a revision that was read, or 0 for any; got {request.expected_revision}"
        faults.append(Violation("expected_revision", "OUT_OF_RANGE", text))
    masked = _masked(request, faults)
    lines: tuple[LineQuantity, ...] | None = None
    if "lines" in masked:
        lines = forms.line_quantities(request.lines, faults, zero_is_all=False)
        if not request.lines:
            text = "at least one line when update_mask names lines; a line that is not named stays as it is"
            faults.append(Violation("lines", "REQUIRED", text))
    return UpdateReservation(
        reservation_id,
        request.expected_revision,
        lines,
        lease(request, faults) if "expiration" in masked else None,
        forms.label(request.owner, "owner", faults) if "owner" in masked else None,
        request.allow_split,
    )


def consume(request: pb.ConsumeRequest, identity: Identity, faults: list[Violation]) -> Consume | ConsumeDirect | None:
    """A Consume, of a reservation or of lines directly."""
    order_reference = forms.label(request.order_reference, "order_reference", faults)
    attributes = request.attributes
    if len(attributes) > MAX_ATTRIBUTES:
        text = f"at most {MAX_ATTRIBUTES:,} bytes; got {len(attributes):,}"
        faults.append(Violation("attributes", "TOO_LONG", text))
    if request.revive not in _REVIVE:
        text = f"NO (1) or YES (2), or unset for the policy's; got {request.revive}"
        faults.append(Violation("revive", "UNKNOWN_VALUE", text))
    match request.WhichOneof("source"):
        case "reservation_id":
            return Consume(
                forms.reservation_id(request.reservation_id, "reservation_id", faults),
                forms.line_quantities(request.lines, faults, zero_is_all=True),
                request.release_rest,
                _REVIVE.get(request.revive),
                order_reference,
                attributes,
            )
        case "direct":
            direct = request.direct
            if request.lines:
                text = "none with direct: its lines stand in direct.lines; these name lines of a reservation"
                faults.append(Violation("lines", "NOT_WITH_DIRECT", text))
            return ConsumeDirect(
                reserve_lines(direct.lines, identity.organization, "direct.lines", faults),
                forms.label(direct.owner, "direct.owner", faults),
                direct.allow_split,
                order_reference,
                attributes,
            )
        case _:
            faults.append(Violation("source", "REQUIRED", "a reservation_id, or direct with the lines to be sold"))
            return None


def cancel(request: pb.CancelRequest, identity: Identity, faults: list[Violation]) -> Cancel:
    """A Cancel."""
    reason = forms.member(CancelReason, request.reason, "reason", faults, unset=CancelReason.UNSPECIFIED)
    return Cancel(
        forms.reservation_id(request.reservation_id, "reservation_id", faults),
        forms.line_quantities(request.lines, faults, zero_is_all=True),
        reason or CancelReason.UNSPECIFIED,
        forms.free_text(request.reason_text, _MOST_REASON_TEXT, "reason_text", faults),
    )


def reassign_part(request: pb.ReassignPartRequest, identity: Identity, faults: list[Violation]) -> ReassignPart:
    """A ReassignPart."""
    units = request.quantity
    if not 0 <= units <= MAX_QUANTITY:
        text = f"1 to 10^12 base units, or 0 for all that may move; got {units:,}"
        faults.append(Violation("quantity", "OUT_OF_RANGE", text))
    return ReassignPart(
        forms.reservation_id(request.reservation_id, "reservation_id", faults),
        forms.number(request.part_number, 1, _MAX_PART, "the number of a part, from 1", "part_number", faults),
        forms.name(request.location, "location", faults),
        forms.group_path(request.path, "path", faults) if request.HasField("path") else None,
        forms.member(Fallback, request.fallback, "fallback", faults),
        units,
    )


def lease(request: Any, faults: list[Violation]) -> Lease:
    """When a hold ends, as the request's ``expiration`` says it."""
    match request.WhichOneof("expiration"):
        case None:
            return DEFAULT_LEASE
        case "ttl":
            span = span_of(request.ttl)
            if span is None:
                faults.append(Violation("ttl", "BAD_DURATION", SPAN_RULE))
            elif span <= 0:
                text = "a duration above zero, of at least a microsecond: the lease would be over at once"
                faults.append(Violation("ttl", "LEASE_NOT_IN_FUTURE", text))
            return Lease(ttl=span)
        case "expire_time":
            return Lease(expire_time=forms.instant(request.expire_time, "expire_time", faults))
        case _:
            if not request.never:
                faults.append(Violation("never", "NEVER_IS_FALSE", "true; for an end set ttl or expire_time instead"))
            return Lease(never=True)


def _masked(request: pb.UpdateReservationRequest, faults: list[Violation]) -> set[str]:
    """What an update changes: what the mask names or, without one, whatever is set."""
    if request.update_mask.paths:
        masked = set(request.update_mask.paths)
        unknown = sorted(masked.difference(_UPDATABLE))
        if unknown:
            text = f"any of {', '.join(_UPDATABLE)}; got {unknown[0][:64]!r}"
            faults.append(Violation("update_mask", "UNKNOWN_VALUE", text))
        return masked
    masked = set()
    if request.lines:
        masked.add("lines")
    if request.WhichOneof("expiration") is not None:
        masked.add("expiration")
    if request.owner:
        masked.add("owner")
    if not masked:
        text = f"something to change: {', '.join(_UPDATABLE)}; to clear the owner name it in update_mask"
        faults.append(Violation("update_mask", "NOTHING_TO_UPDATE", text))
    return masked
