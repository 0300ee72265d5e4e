"""google.rpc.Status as bytes, and how much of it the trailer of a call carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ringfence.v1.errors_pb2 import InsufficientQuantity, QuotasInUse, ReservationRefusal, SettlementsInUse

DOMAIN: Final = "ringfence"
DETAILS_KEY: Final = "grpc-status-details-bin"
ROOM_KEY: Final = "ringfence-max-status-bytes"
"""Metadata by which a caller says how large a status its channel takes."""
ROOM_IN_TRAILER: Final = 5_000
"""Bytes of a status that every gRPC client takes: 8 KiB of headers, in base64, with its message and names beside it.
A larger one would reach the caller as RESOURCE_EXHAUSTED, and the refusal would be lost."""
MOST_ROOM: Final = 1_048_576
"""What a caller may ask for at most, bytes."""
_LONGEST_MESSAGE: Final = 320
_OMITTED_NOTE: Final = 40
"""Bytes that the metadata `omitted` may take, with lengths around it that grow by a byte."""
_PREFIX: Final = "type.googleapis.com/"

# Details that are lists: what to cut when a status is too large for a trailer.
_LISTS: Final[Mapping[str, tuple[type[Message], str]]] = {
    _PREFIX + BadRequest.DESCRIPTOR.full_name: (BadRequest, "field_violations"),
    _PREFIX + InsufficientQuantity.DESCRIPTOR.full_name: (InsufficientQuantity, "shortages"),
    _PREFIX + QuotasInUse.DESCRIPTOR.full_name: (QuotasInUse, "quotas"),
    _PREFIX + ReservationRefusal.DESCRIPTOR.full_name: (ReservationRefusal, "reservation.lines"),
    _PREFIX + SettlementsInUse.DESCRIPTOR.full_name: (SettlementsInUse, "locations"),
}
_INFO_URL: Final = _PREFIX + ErrorInfo.DESCRIPTOR.full_name
_URLS: Final[dict[type[Message], str]] = {}


def status_bytes(code: int, message: str, reason: str, metadata: Mapping[str, str], *details: Message) -> bytes:
    """A google.rpc.Status with an ErrorInfo of the service's domain and typed details, serialised.

    ``code`` is a number of google.rpc.Code, ``reason`` the rule's name, ``metadata`` every value of the message.
    """
    info = ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    packed = [{"type_url": _INFO_URL, "value": info.SerializeToString()}]
    packed += [{"type_url": _url(detail), "value": detail.SerializeToString()} for detail in details]
    return Status(code=code, message=cut_text(message, _LONGEST_MESSAGE), details=packed).SerializeToString()


def retry_after(seconds: float) -> RetryInfo:
    """When to come back."""
    whole = int(seconds)
    return RetryInfo(retry_delay=Duration(seconds=whole, nanos=int((seconds - whole) * 1e9)))


def cut_text(text: str, most: int) -> str:
    """The text, its end replaced when it is longer than ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def room_for(metadata: Iterable[Any] | None) -> int:
    """Bytes of a status that the caller of these metadata takes."""
    for key, value in metadata or ():
        if key == ROOM_KEY and isinstance(value, str) and value.isdecimal() and len(value) <= 9:
            return max(ROOM_IN_TRAILER, min(int(value), MOST_ROOM))
    return ROOM_IN_TRAILER


def fitted(serialised: bytes, room: int) -> bytes:
    """The status in at most ``room`` bytes: of a list as many items as fit, the number left out as ErrorInfo metadata
    ``omitted``; of a reservation not its attributes. Over Execute, where a status is part of a message, nothing is ever
    left out."""
    if len(serialised) <= room:
        return serialised
    status = Status.FromString(serialised)
    for detail in status.details:
        known = _LISTS.get(detail.type_url)
        if known is None:
            continue
        kind, field = known
        content = kind()
        content.MergeFromString(detail.value)
        if isinstance(content, ReservationRefusal):
            # The caller's own bytes, of which alone there may be more than there is room for.
            content.reservation.ClearField("attributes")
        owner, _, name = field.rpartition(".")
        items = getattr(getattr(content, owner) if owner else content, name)
        every = list(items)
        del items[:]
        # The rest of the status as it stands, and the note of what is left out.
        size = len(serialised) - len(detail.value) + content.ByteSize() + _OMITTED_NOTE
        for item in every:
            size += 1 + _varint_size(item.ByteSize()) + item.ByteSize()
            if size > room:
                break
            items.append(item)
        detail.value = content.SerializeToString()
        if len(items) < len(every):
            _note_omitted(status, len(every) - len(items))
    if status.ByteSize() > room:
        # Names of hundreds of four-byte characters: what the message says is kept, or else code, reason and message.
        info = _info_of(status)
        info.metadata["omitted"] = "all"
        _keep_only(status, info)
        if status.ByteSize() > room:
            _keep_only(status, ErrorInfo(reason=info.reason, domain=DOMAIN, metadata={"omitted": "all"}))
    return status.SerializeToString()


def _varint_size(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)


def _keep_only(status: Status, info: ErrorInfo) -> None:
    del status.details[:]
    status.details.add(type_url=_INFO_URL, value=info.SerializeToString())


def _note_omitted(status: Status, omitted: int) -> None:
    info = _info_of(status)
    info.metadata["omitted"] = str(omitted)
    for detail in status.details:
        if detail.type_url == _INFO_URL:
            detail.value = info.SerializeToString()


def _info_of(status: Status) -> ErrorInfo:
    for detail in status.details:
        if detail.type_url == _INFO_URL:
            return ErrorInfo.FromString(detail.value)
    return ErrorInfo(domain=DOMAIN)


def _url(detail: Message) -> str:
    kind = type(detail)
    url = _URLS.get(kind)
    if url is None:
        url = _URLS[kind] = _PREFIX + kind.DESCRIPTOR.full_name
    return url
