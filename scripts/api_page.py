"""Writes docs/api.md from a descriptor set with comments: what the contract says of every call, message and field."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

_HEAD = """# API

Written by `scripts/generate` from `protos/ringfence/v1`: change it there. Every call carries the metadata
`ringfence-organization` and `ringfence-caller`. Errors are `google.rpc.Status` with ErrorInfo (domain `ringfence`) and
a typed detail; see [errors](#errors).
"""
_ERRORS = """## Errors

| code | reason | detail |
|---|---|---|
| INVALID_ARGUMENT | one per rule of form; REQUEST_ID_REUSED, REQUEST_TOO_OLD | `BadRequest` with field paths |
| FAILED_PRECONDITION | INSUFFICIENT_QUANTITY | `InsufficientQuantity`: every short line |
| FAILED_PRECONDITION | LEASE_EXPIRED, NOT_HELD | `ReservationRefusal` |
| FAILED_PRECONDITION | QUOTA_IN_USE | `QuotasInUse` |
| NOT_FOUND | RESERVATION_NOT_FOUND, STOCK_NOT_FOUND | `google.rpc.ResourceInfo` |
| ABORTED | REVISION_MISMATCH, VALUE_MISMATCH | `Mismatch` |
| OUT_OF_RANGE | QUANTITY_OVERFLOW | – |
| RESOURCE_EXHAUSTED | OVERLOADED | `google.rpc.RetryInfo` |
| UNAVAILABLE | STORE_UNAVAILABLE, DRAINING | `google.rpc.RetryInfo`; the request_id tells what happened |

A refusal is an outcome of its request: sent again with the same id it is answered again. A client never retries it.
"""
# The stubs do not say that this descriptor is an extension of field options.
_BEHAVIOUR: Any = field_behavior_pb2.field_behavior
_TYPES = {
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}
_MESSAGE_FIELD, _FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 2, 4, 5, 6


class _Comments:
    """The comments of one file, by place."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._by_path = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}

    def at(self, *path: int) -> str:
        """The comment before the thing at a descriptor path, as one line."""
        return " ".join(self._by_path.get(path, "").split()).replace("|", "\\|")


def page(files: FileDescriptorSet) -> str:
    """The whole page."""
    own = [file for file in files.file if file.package == "ringfence.v1"]
    parts = [_HEAD]
    for file in own:
        parts.extend(_services(file, _Comments(file)))
    parts.append(_ERRORS)
    parts.append("## Messages\n")
    for file in own:
        comments = _Comments(file)
        for number, message in enumerate(file.message_type):
            parts.extend(_message(message, comments, number))
        for number, enum in enumerate(file.enum_type):
            parts.extend(_enum(enum, comments, number))
    return "\n".join(parts).rstrip() + "\n"


def _services(file: FileDescriptorProto, comments: _Comments) -> Iterator[str]:
    for number, service in enumerate(file.service):
        yield f"## {service.name}\n"
        yield comments.at(_FILE_SERVICE, number) + "\n"
        for place, method in enumerate(service.method):
            asked, answered = (name.rpartition(".")[2] for name in (method.input_type, method.output_type))
            stream_in = "stream " if method.client_streaming else ""
            stream_out = "stream " if method.server_streaming else ""
            yield f"### {method.name}\n"
            yield comments.at(_FILE_SERVICE, number, 2, place) + "\n"
            yield f"{stream_in}{_link(asked)} → {stream_out}{_link(answered)}\n"


def _message(message: DescriptorProto, comments: _Comments, number: int) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield f"### {message.name}\n"
    yield comments.at(_FILE_MESSAGE, number) + "\n"
    if message.field:
        yield "| field | type | |"
        yield "|---|---|---|"
        for place, field in enumerate(message.field):
            text = comments.at(_FILE_MESSAGE, number, _MESSAGE_FIELD, place)
            behaviour: Any = field.options.Extensions[_BEHAVIOUR]
            needed = "**Required.** " if field_behavior_pb2.REQUIRED in behaviour else ""
            either = ""
            if field.HasField("oneof_index") and not field.proto3_optional:
                either = f"One of `{message.oneof_decl[field.oneof_index].name}`. "
            yield f"| `{field.name}` | {_type(field, message)} | {needed}{either}{text} |"
        yield ""


def _enum(enum: EnumDescriptorProto, comments: _Comments, number: int) -> Iterator[str]:
    yield f"### {enum.name}\n"
    yield comments.at(_FILE_ENUM, number) + "\n"
    yield "| value | number | |"
    yield "|---|---|---|"
    for place, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {comments.at(_FILE_ENUM, number, 2, place)} |"
    yield ""


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{nested.name}"):
            return "map of string to string"
    kind = _TYPES.get(field.type)
    if kind is None:
        name = field.type_name.lstrip(".")
        kind = _link(name.rpartition(".")[2]) if name.startswith("ringfence.v1.") else f"`{name}`"
    return f"repeated {kind}" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def main() -> None:
    """Reads a descriptor set from the first argument and writes the page to the second."""
    files = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_text(page(files), encoding="utf-8")


if __name__ == "__main__":
    main()
