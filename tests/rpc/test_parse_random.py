"""Whatever a caller sends becomes a command, or a refusal that lists what is wrong with it. Nothing else is raised."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_server.rpc.errors import refusal_status
from ringfence_server.rpc.methods import METHODS, Method
from tests.rpc.messages import Status, new_id
from tests.rpc.parsing import IDENTITY, faults, parsed

_TEXTS = ("", "a", "web/london", "a//b", "/", "x" * 65, "y" * 600, "\x00", "\n", "é", "\U0001f6b2", "1", "2", "on_hand")
_NUMBERS = (0, 1, 2, 3, -1, 10**12, 10**12 + 1, -(10**12), 2**63 - 1, -(2**63), 999_999_999, 10**9)
_TYPES = FieldDescriptor


def fill(message: Any, chance: random.Random, depth: int = 0) -> None:
    """Sets fields of a message at random, to what is usual and what is odd."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.35:
            continue
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(chance.randrange(3)):
                value[chance.choice(_TEXTS)] = chance.choice(_TEXTS)
        elif field.is_repeated:
            for _ in range(chance.randrange(4)):
                if field.message_type is not None:
                    fill(value.add(), chance, depth + 1)
                else:
                    value.append(scalar(field, chance))
        elif field.message_type is not None:
            value.SetInParent()
            fill(value, chance, depth + 1)
        else:
            setattr(message, field.name, scalar(field, chance))


def scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    """A value of a field."""
    match field.type:
        case _TYPES.TYPE_STRING:
            ids = [new_id()] if field.name.endswith("_id") else []
            return chance.choice([*_TEXTS, *ids * 20])
        case _TYPES.TYPE_BYTES:
            return bytes(chance.randrange(3) * 5_000)
        case _TYPES.TYPE_BOOL:
            return chance.random() < 0.5
        case _TYPES.TYPE_ENUM:
            return chance.randrange(12)
        case _TYPES.TYPE_INT32:
            return chance.choice([number for number in _NUMBERS if -(2**31) <= number < 2**31])
        case _:
            return chance.choice(_NUMBERS)


def first_name(path: str) -> str:
    """The field of the request that a field path begins in."""
    return path.partition(".")[0].partition("[")[0]


def check(method: Method, message: Message) -> None:
    """The message is a command, or all that is wrong with it is told with fields that it has."""
    again = type(message).FromString(message.SerializeToString())
    found = faults(message)
    descriptor: Any = message.DESCRIPTOR
    known = {*descriptor.fields_by_name, *descriptor.oneofs_by_name}
    for each in found:
        assert first_name(each.field) in known, each
        assert each.rule == each.rule.upper()
        assert each.description
    if found:
        from ringfence_server.ledger.outcomes import Invalid

        assert Status.FromString(refusal_status(Invalid(tuple(found)))).details
    else:
        first, second = parsed(again), parsed_again(method, again)
        assert first.command == second.command


def parsed_again(method: Method, message: Any) -> Any:
    """A second parse of a message that lost its id to the first."""
    message.request_id = new_id()
    return method.request(message, IDENTITY, None, lambda *_: None)


@settings(max_examples=400, deadline=None)
@given(method=st.sampled_from(METHODS), chance=st.randoms(use_true_random=False))
def test_random_messages_are_commands_or_lists_of_faults(method: Method, chance: random.Random) -> None:
    """Fields of every kind, odd values among them."""
    message = method.request_type()
    fill(message, chance)
    check(method, message)


@settings(max_examples=400, deadline=None)
@given(method=st.sampled_from(METHODS), raw=st.binary(max_size=200))
def test_random_bytes_are_commands_or_lists_of_faults(method: Method, raw: bytes) -> None:
    """What decodes by chance is judged like anything else."""
    try:
        message = method.request_type.FromString(raw)
    except DecodeError:
        return
    check(method, message)
