"""The mutating methods: how each is parsed, weighed, fingerprinted, encoded and marked as replayed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from google.protobuf.message import Message

from ringfence.v1 import allocation_service_pb2 as allocation
from ringfence.v1 import policy_service_pb2 as policy
from ringfence.v1 import stock_service_pb2 as stock
from ringfence_server.committer import Answer, Request
from ringfence_server.committer.request import Encode, Sink
from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.ledger.till_state import MAX_ZEROED

from . import encode, encode_till, forms, parse_lines, parse_orders, parse_policy, parse_stock
from .errors import Refused
from .identity import Identity
from .wire import ReplayMark

Parse = Callable[[Any, Identity, list[Violation]], Command | None]

_FINGERPRINT_BYTES: Final = 16


class Method:
    """One mutating method of the contract. Made once, used by every call and by Execute."""

    __slots__ = (
        "_encode",
        "_hash",
        "_parse",
        "_replay",
        "_weigh",
        "accepted",
        "failed",
        "name",
        "path",
        "refused",
        "replayed",
        "request_type",
    )

    def __init__(
        self,
        service: str,
        name: str,
        request_type: type[Message],
        response_type: type[Message],
        parse: Parse,
        encode: Encode,
        weigh: Callable[[Any], int],
    ) -> None:
        self.name = name
        self.path = f"/ringfence.v1.{service}/{name}"
        self.request_type = request_type
        # What its outcomes are counted under.
        self.accepted, self.replayed = (name, "accepted"), (name, "replayed")
        self.refused, self.failed = (name, "refused"), (name, "failed")
        self._parse = parse
        self._encode = encode
        self._weigh = weigh
        self._hash = blake2b(key=name.encode(), digest_size=_FINGERPRINT_BYTES)
        fields = response_type.DESCRIPTOR.fields_by_name
        self._replay = ReplayMark(fields["replayed"].number, fields["server_time"].number)

    def request(self, message: Any, identity: Identity, deadline: float | None, sink: Sink) -> Request:
        """The request that a message is, on its way to the committer.

        ``deadline`` is on the event loop's clock. The message loses its request_id.

        Raises:
            Refused: rules of form are broken; all of them are listed.
        """
        faults: list[Violation] = []
        request_id = forms.request_id(message.request_id, faults)
        command = self._parse(message, identity, faults)
        if faults or command is None:
            raise Refused(Invalid(tuple(faults)))
        # What the id stands for is the rest: deterministic, because a map has no order on the wire.
        message.ClearField("request_id")
        fingerprint = self._hash.copy()
        fingerprint.update(message.SerializeToString(deterministic=True))
        return Request(
            organization=identity.organization,
            caller=identity.caller,
            scope=identity.scope,
            request_id=request_id,
            fingerprint=fingerprint.digest(),
            command=command,
            weight=self._weigh(command) or 1,
            deadline=deadline,
            encode=self._encode,
            sink=sink,
        )

    def response(self, answer: Answer) -> bytes:
        """The bytes of an effect's response message."""
        if answer.replayed:
            return self._replay.on(answer.payload, answer.server_time)
        return answer.payload


def _lines(command: Any) -> int:
    return len(command.lines)


def _lines_if_any(command: Any) -> int:
    return len(command.lines or ())


def _facts(command: Any) -> int:
    # The end of a full count may zero as many keys as the largest request posts.
    return len(command.figures) + len(command.bookings) + (MAX_ZEROED if command.end is not None else 0)


def _quantities(command: Any) -> int:
    return len(command.quantities)


def _one(command: Any) -> int:
    return 1


def _method(
    service: str, module: Any, name: str, field: str, parse: Parse, encode: Encode, weigh: Callable[[Any], int]
) -> tuple[str, Method]:
    """A method with its field of Command and Outcome; the contract names messages after their method."""
    request_type, response_type = getattr(module, f"{name}Request"), getattr(module, f"{name}Response")
    return field, Method(service, name, request_type, response_type, parse, encode, weigh)


_ALLOCATION: Final = "AllocationService"
_STOCK: Final = "StockService"
_BY_FIELD: Final = dict(
    (
        _method(_ALLOCATION, allocation, "Allocate", "allocate", parse_lines.allocate, encode.allocate, _lines),
        _method(_ALLOCATION, allocation, "Unallocate", "unallocate", parse_lines.unallocate, encode.unallocate, _lines),
        _method(_ALLOCATION, allocation, "Reallocate", "reallocate", parse_lines.reallocate, encode.reallocate, _lines),
        _method(_ALLOCATION, allocation, "Reserve", "reserve", parse_orders.reserve, encode.reserve, _lines),
        _method(
            _ALLOCATION,
            allocation,
            "UpdateReservation",
            "update_reservation",
            parse_orders.update_reservation,
            encode.update_reservation,
            _lines_if_any,
        ),
        _method(_ALLOCATION, allocation, "Consume", "consume", parse_orders.consume, encode.consume, _lines),
        _method(_ALLOCATION, allocation, "Cancel", "cancel", parse_orders.cancel, encode.cancel, _lines),
        _method(
            _ALLOCATION,
            allocation,
            "ReassignPart",
            "reassign_part",
            parse_orders.reassign_part,
            encode.reassign_part,
            _one,
        ),
        _method(_STOCK, stock, "PostStock", "post_stock", parse_stock.post_stock, encode_till.post_stock, _facts),
        _method(
            _STOCK,
            stock,
            "ReportPublished",
            "report_published",
            parse_stock.report_published,
            encode_till.report_published,
            _quantities,
        ),
        _method("PolicyService", policy, "SetPolicy", "set_policy", parse_policy.set_policy, encode.set_policy, _one),
    )
)
METHODS: Final = tuple(_BY_FIELD.values())
"""Every mutating unary method."""
COMMANDS: Final = {
    name: method for name, method in _BY_FIELD.items() if name in allocation.Command.DESCRIPTOR.fields_by_name
}
"""Those that Execute takes, by their field of Command."""
POST_STOCK: Final = _BY_FIELD["post_stock"]
"""The one that SyncStock takes."""
