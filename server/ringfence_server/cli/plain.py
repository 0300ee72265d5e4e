"""Messages of the contract as plain values for `--json`.

As in `import ringfence`: fields go by their names in the contract, enumerations by their lower-case values ("held").
Quantities are numbers, instants RFC 3339 in UTC, spans seconds ("900s"), bytes base64. Every field is always there;
what is not set is null.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from google.protobuf.message import Message

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_AS_STRING = {"google.protobuf.Timestamp", "google.protobuf.Duration"}


def plain(message: Message) -> dict[str, Any]:
    """The message's fields by name."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def plain_details(status: Any) -> list[dict[str, Any]]:
    """The typed details of a google.rpc.Status, those of the contract: ErrorInfo stands beside them already."""
    from google.protobuf import descriptor_pool, message_factory

    found = []
    for packed in status.details:
        name = packed.type_url.rpartition("/")[2]
        if name.startswith("ringfence."):
            try:
                descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
            except KeyError:  # a newer server's
                continue
            detail = message_factory.GetMessageClass(descriptor).FromString(packed.value)
            found.append({"@type": name, **plain(detail)})
    return found


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            held = field.message_type.fields_by_name["value"]
            return {str(key): _value(value[key], held) for key in sorted(value)}
        return [_value(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else _enum_word(known)
    if field.message_type is not None:
        return value.ToJsonString() if field.message_type.full_name in _AS_STRING else plain(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _enum_word(value: Any) -> str | None:
    """RESERVATION_STATE_HELD → "held"; what is unspecified is None."""
    prefix = _WORD.sub("_", value.type.name).upper() + "_"
    word: str = value.name.removeprefix(prefix).lower()
    return None if word == "unspecified" else word
