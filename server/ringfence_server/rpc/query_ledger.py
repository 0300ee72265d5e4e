"""ListEntries and Verify: the source of truth, and the proof that balances are its sums."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from ringfence.v1 import ledger_service_pb2 as pb
from ringfence_server.ledger.checks import dimensions_violation
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.reading import EntryQuery, EntryRead, Flaw, Reader

from . import forms
from .errors import Refused
from .identity import Identity
from .pages import bound, page_size
from .render import Fields, key_fields, uuid_text
from .services import Services
from .times import time_fields
from .tokens import page_position, page_token


class ListEntries:
    """The behaviour of ListEntries."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: pb.ListEntriesRequest, identity: Identity, context: Any
    ) -> pb.ListEntriesResponse:
        """Answers one page, newest first."""
        faults: list[Violation] = []
        organization = identity.organization
        query = EntryQuery(
            organization,
            forms.stock_key(request.key, organization, "key", faults) if request.HasField("key") else None,
            forms.reservation_id(request.reservation_id, "reservation_id", faults) if request.reservation_id else b"",
            forms.request_id(request.request_id, faults) if request.request_id else b"",
            bound(request, "record_time_from", faults),
            bound(request, "record_time_until", faults),
        )
        size = page_size(request.page_size, faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        position = page_position(organization, request, (int,))
        read = await self._reader.entries(query, None if position is None else position[0], size)
        if query.key is not None and read.policy is not None:
            violation = dimensions_violation(read.policy, query.key, "key")
            if violation is not None:
                raise Refused(Invalid((violation,)))
        return pb.ListEntriesResponse(
            entries=[_entry_fields(entry) for entry in read.entries],
            next_page_token="" if read.last is None else page_token(organization, request, (read.last,)),
        )


class Verify:
    """The behaviour of Verify."""

    def __init__(self, services: Services) -> None:
        self._reader: Reader = services.reader

    async def __call__(
        self, request: pb.VerifyRequest, identity: Identity, context: Any
    ) -> AsyncIterator[pb.VerifyResponse]:
        """Answers progress, then the verdict."""
        faults: list[Violation] = []
        forms.sku(request.sku, "sku", faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        async with aclosing(self._reader.verify(identity.organization, request.sku)) as steps:
            async for step in steps:
                yield pb.VerifyResponse(
                    keys_checked=step.keys_checked,
                    entries_read=step.entries_read,
                    keys_total=step.keys_total,
                    done=step.done,
                    violations=[_flaw_fields(flaw) for flaw in step.flaws],
                )


def _entry_fields(entry: EntryRead) -> Fields:
    return {
        "sequence": entry.sequence,
        "key": key_fields(entry.key),
        "kind": entry.kind,
        "quantity": entry.quantity,
        "from_place": entry.from_place,
        "from_path": entry.from_path,
        "to_place": entry.to_place,
        "to_path": entry.to_path,
        "reservation_id": uuid_text(entry.reservation_id) if entry.reservation_id else "",
        "part_number": entry.part_number,
        "request_id": uuid_text(entry.request_id) if entry.request_id else "",
        "measure": entry.measure,
        "record_time": time_fields(entry.record_time),
        "effective_time": time_fields(entry.effective_time),
    }


def _flaw_fields(flaw: Flaw) -> Fields:
    return {"key": key_fields(flaw.key), "path": flaw.path, "rule": flaw.rule, "description": flaw.description}
