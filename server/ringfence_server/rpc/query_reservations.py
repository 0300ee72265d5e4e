"""GetReservation and ListReservations: reservations as they stand, everything due applied."""

from __future__ import annotations

from typing import Any

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence_server.ledger.outcomes import Invalid, ReservationNotFound, Violation
from ringfence_server.ledger.policy import DAY
from ringfence_server.ledger.reading import Reader, ReservationQuery, TillProgress
from ringfence_server.ledger.state import ReservationState

from . import forms
from .errors import Refused
from .identity import Identity
from .pages import bad_page, bound, page_size
from .render import reservation_fields
from .services import Services
from .times import span_of, time_fields
from .tokens import page_position, page_token

_LONGEST_STUCK = 365 * DAY
_TIMED = (TillProgress.NOT_SENT, TillProgress.NOT_RECEIVED, TillProgress.NOT_SETTLED)


class GetReservation:
    """The behaviour of GetReservation."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: pb.GetReservationRequest, identity: Identity, context: Any
    ) -> pb.GetReservationResponse:
        """Answers the reservation, or refuses with RESERVATION_NOT_FOUND: another organization's does not exist."""
        faults: list[Violation] = []
        reservation_id = forms.reservation_id(request.reservation_id, "reservation_id", faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        instant, reservation = await self._reader.reservation(identity.organization, reservation_id)
        if reservation is None:
            raise Refused(ReservationNotFound(reservation_id))
        return pb.GetReservationResponse(reservation=reservation_fields(reservation), server_time=time_fields(instant))


class ListReservations:
    """The behaviour of ListReservations."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: pb.ListReservationsRequest, identity: Identity, context: Any
    ) -> pb.ListReservationsResponse:
        """Answers one page, newest first."""
        faults: list[Violation] = []
        query = _query_of(request, identity.organization, faults)
        size = page_size(request.page_size, faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        position = page_position(identity.organization, request, (str,))
        try:
            after = None if position is None else bytes.fromhex(position[0])
        except ValueError:
            raise bad_page() from None
        read = await self._reader.reservations(query, after, size)
        token = "" if read.last is None else page_token(identity.organization, request, (read.last.hex(),))
        return pb.ListReservationsResponse(
            reservations=[reservation_fields(reservation) for reservation in read.reservations],
            next_page_token=token,
            server_time=time_fields(read.instant),
        )


def _query_of(request: pb.ListReservationsRequest, organization: str, faults: list[Violation]) -> ReservationQuery:
    forms.sku(request.sku, "sku", faults)
    if request.location:
        forms.name(request.location, "location", faults)
    progress = forms.member(TillProgress, request.till_progress, "till_progress", faults)
    return ReservationQuery(
        organization,
        forms.members(ReservationState, request.states, "states", faults),
        forms.label(request.owner, "owner", faults),
        request.sku,
        request.location,
        forms.label(request.order_reference, "order_reference", faults),
        bound(request, "create_time_from", faults),
        bound(request, "create_time_until", faults),
        progress,
        _stuck_for(request, progress, faults),
    )


def _stuck_for(request: pb.ListReservationsRequest, progress: TillProgress | None, faults: list[Violation]) -> int:
    if not request.HasField("stuck_for"):
        return 0
    span = span_of(request.stuck_for)
    if span is None or not 0 <= span <= _LONGEST_STUCK:
        faults.append(Violation("stuck_for", "OUT_OF_RANGE", "0 to 365 days; seconds and nanos have one sign"))
        return 0
    if progress not in _TIMED:
        text = f"only with till_progress {', '.join(each.name for each in _TIMED)}: of others no time is told"
        faults.append(Violation("stuck_for", "STUCK_WITHOUT_PROGRESS", text))
    return span
