"""Whatever a caller sends becomes a command, or a refusal that lists what is wrong with it. Nothing else is raised."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ringfence_server.committer import Answer, Committer, Request
from ringfence_server.ledger.commands import Figure, PostStock
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import Invalid
from ringfence_server.rpc.identity import identity_of
from ringfence_server.rpc.methods import METHODS, Method
from ringfence_server.rpc.refusals import refusal_status
from ringfence_server.rpc.render import uuid_text
from tests.committer.memory import ORGANIZATION, Caller, MemoryStore
from tests.rpc.messages import Status, new_id, reason
from tests.rpc.parsing import IDENTITY, faults, parsed

_TEXTS = ("", "a", "web/london", "a//b", "/", "x" * 65, "y" * 600, "\x00", "\n", "é", "\U0001f6b2", "1", "2", "on_hand")
_NUMBERS = (0, 1, 2, 3, -1, 10**12, 10**12 + 1, -(10**12), 2**63 - 1, -(2**63), 999_999_999, 10**9)
_TYPES = FieldDescriptor
KNOWN: Final = StockKey(ORGANIZATION, "a", "a")


class Filler:
    """Fills messages at random: a share of the values is odd, the others are what a caller means."""

    def __init__(self, chance: random.Random, odd: float) -> None:
        self._chance = chance
        self._odd = odd
        self._lines = 0

    def fill(self, message: Any) -> None:
        """Sets fields of a message."""
        chance = self._chance
        for field in message.DESCRIPTOR.fields:
            odd = chance.random() < self._odd
            optional = field.containing_oneof is not None or field.name in ("dimensions", "update_mask", "fallback")
            if chance.random() < (0.5 if odd or optional else 0.1):
                continue
            value = getattr(message, field.name)
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                for _ in range(chance.randrange(3) if odd else 0):
                    value[chance.choice(_TEXTS)] = chance.choice(_TEXTS)
            elif field.is_repeated:
                for _ in range(chance.randrange(4) if odd else 1 + chance.randrange(2)):
                    if field.message_type is not None:
                        self.fill(value.add())
                    else:
                        value.append(self._scalar(field, odd))
            elif field.message_type is not None:
                value.SetInParent()
                self.fill(value)
            else:
                setattr(message, field.name, self._scalar(field, odd))

    def _scalar(self, field: FieldDescriptor, odd: bool) -> Any:
        chance = self._chance
        match field.type:
            case _TYPES.TYPE_STRING:
                return chance.choice(_TEXTS) if odd else self._text(field.name)
            case _TYPES.TYPE_BYTES:
                return bytes(chance.randrange(3) * 5_000 if odd else 10)
            case _TYPES.TYPE_BOOL:
                return field.containing_oneof is not None or chance.random() < 0.5
            case _TYPES.TYPE_ENUM:
                return chance.randrange(12) if odd else 1
            case _TYPES.TYPE_INT32:
                numbers = [number for number in _NUMBERS if -(2**31) <= number < 2**31]
                return chance.choice(numbers) if odd else 1
            case _:
                return chance.choice(_NUMBERS) if odd else 1 + chance.randrange(9)

    def _text(self, name: str) -> str:
        self._lines += 1
        match name:
            case "request_id" | "reservation_id":
                return new_id()
            case "line_id" | "order_reference":
                return str(self._lines)
            case "path" | "from_path":
                return self._chance.choice(("web", "web/london"))
            case "measure" | "settlement_measure":
                return "on_hand"
            case "paths":
                return "owner"
            case _:
                return "a"


def first_name(path: str) -> str:
    """The field of the request that a field path begins in."""
    return path.partition(".")[0].partition("[")[0]


def check(method: Method, message: Message) -> bool:
    """The message is a command (True), or all that is wrong with it is told with fields that it has."""
    again = type(message).FromString(message.SerializeToString())
    found = faults(message)
    descriptor: Any = message.DESCRIPTOR
    known = {*descriptor.fields_by_name, *descriptor.oneofs_by_name}
    for each in found:
        assert first_name(each.field) in known, each
        assert each.rule == each.rule.upper()
        assert each.description
    event(f"{method.name}: {'refused' if found else 'a command'}")
    if found:
        assert Status.FromString(refusal_status(Invalid(tuple(found)))).details
        return False
    first, second = parsed(again), parsed_again(method, again)
    assert first.command == second.command
    assert first.fingerprint == second.fingerprint
    return True


def parsed_again(method: Method, message: Any) -> Request:
    """A second parse of a message that lost its id to the first."""
    message.request_id = new_id()
    return method.request(message, IDENTITY, None, lambda *_: None)


METHOD = st.sampled_from(METHODS)
# A seed, not Hypothesis's own generator: that one favours zeros, and nearly every message would be odd.
CHANCE = st.integers(min_value=0, max_value=2**32).map(random.Random)
ODD = st.sampled_from((0.0, 0.02, 0.1, 0.6))


@settings(max_examples=500, deadline=None)
@given(method=METHOD, chance=CHANCE, odd=ODD)
def test_random_messages_are_commands_or_lists_of_faults(method: Method, chance: random.Random, odd: float) -> None:
    """Fields of every kind, more or fewer odd values among them."""
    message = method.request_type()
    Filler(chance, odd).fill(message)
    check(method, message)


@settings(max_examples=400, deadline=None)
@given(method=METHOD, raw=st.binary(max_size=200))
def test_random_bytes_are_commands_or_lists_of_faults(method: Method, raw: bytes) -> None:
    """What decodes by chance is judged like anything else."""
    try:
        message = method.request_type.FromString(raw)
    except DecodeError:
        return
    check(method, message)


def test_most_messages_without_odd_values_are_commands() -> None:
    """Or the property above would be of refusals only."""
    accepted = dict.fromkeys((method.name for method in METHODS), 0)
    chance = random.Random(7)
    for _ in range(200):
        for method in METHODS:
            message = method.request_type()
            Filler(chance, 0.0).fill(message)
            accepted[method.name] += not faults(message)
    assert min(accepted.values()) >= 10, accepted


@settings(max_examples=100, deadline=None)
@given(chance=CHANCE, odd=ODD)
def test_whatever_is_a_command_is_decided(chance: random.Random, odd: float) -> None:
    """By an effect or a refusal, never a fault of ours: ten random commands on one key."""
    answers = asyncio.run(_decided(chance, odd))
    for answer in answers:
        assert answer.failure is None
        if answer.refusal:
            event(reason(Status.FromString(answer.payload)))


async def _decided(chance: random.Random, odd: float) -> list[Answer]:
    store = MemoryStore()
    committer = Committer(store)
    committer.start()
    await Caller(committer).submit(1, PostStock("wms", (Figure(KNOWN, "on_hand", 20, False, 0, None, None),)))
    answers: list[Answer] = []
    for _ in range(10):
        method = chance.choice(METHODS)
        message: Any = method.request_type()
        Filler(chance, odd).fill(message)
        if store.rows.reservations and hasattr(message, "reservation_id") and chance.random() < 0.8:
            message.reservation_id = uuid_text(chance.choice(sorted(store.rows.reservations)))
        if not faults(type(message).FromString(message.SerializeToString())):
            request = method.request(message, identity_of(()), None, lambda _, answer: answers.append(answer))
            committer.submit(request)
            await asyncio.sleep(0)
    await committer.drain()
    return answers
