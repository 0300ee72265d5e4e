"""ListDiscrepancies: what did not fit, with its evidence."""

from __future__ import annotations

from typing import Any

from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.reading import DiscrepancyQuery, Reader
from ringfence_server.ledger.till_state import Discrepancy, DiscrepancyKind

from . import forms
from .balance_messages import names_of
from .errors import Refused
from .identity import Identity
from .pages import bound, page_size
from .render import Fields, key_fields, uuid_text
from .services import Services
from .times import time_fields
from .tokens import page_position, page_token


class ListDiscrepancies:
    """The behaviour of ListDiscrepancies."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: pb.ListDiscrepanciesRequest, identity: Identity, context: Any
    ) -> pb.ListDiscrepanciesResponse:
        """Answers one page, newest first."""
        faults: list[Violation] = []
        organization = identity.organization
        query = _query_of(request, organization, faults)
        size = page_size(request.page_size, faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        position = page_position(organization, request, (int,))
        read = await self._reader.discrepancies(query, None if position is None else position[0], size)
        return pb.ListDiscrepanciesResponse(
            discrepancies=[_fields_of(each) for each in read.discrepancies],
            next_page_token="" if read.last is None else page_token(organization, request, (read.last,)),
            server_time=time_fields(read.instant),
        )


def _query_of(request: pb.ListDiscrepanciesRequest, organization: str, faults: list[Violation]) -> DiscrepancyQuery:
    forms.sku(request.sku, "sku", faults)
    return DiscrepancyQuery(
        organization,
        names_of(request.locations, "locations", faults),
        forms.members(DiscrepancyKind, request.kinds, "kinds", faults),
        request.sku,
        bound(request, "record_time_from", faults),
        bound(request, "record_time_until", faults),
    )


def _fields_of(found: Discrepancy) -> Fields:
    return {
        "sequence": found.sequence,
        "kind": found.kind.value,
        "record_time": time_fields(found.record_time),
        "key": key_fields(found.key),
        "quantity": found.quantity,
        "source": found.source,
        "measure": found.measure,
        "position": found.position,
        "epoch": found.epoch,
        "known": found.known,
        "reported": found.reported,
        "reservation_id": uuid_text(found.reservation_id) if found.reservation_id else "",
        "part_number": found.part_number,
        "order_reference": found.order_reference,
        "request_id": uuid_text(found.request_id) if found.request_id else "",
    }
