"""Protobuf written by hand, where a payload must not be parsed or serialised twice.

A stored response is bytes. Two properties of the format are used, and tests hold them against the generated classes:
fields may follow in any order, the last value of a scalar field counts and messages given twice are merged, so a replay
is the stored bytes with two fields appended; and a message field is its tag, its length and the message's own bytes, so
an outcome of Execute is wrapped around the payload that the unary call would have answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_VARINT: Final = 0
_DELIMITED: Final = 2
_SMALL: Final = 16_384
_MILLION: Final = 1_000_000

# Two digits at a time: an instant is ten of them, and an answer has three instants.
_LAST_DIGITS: Final = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(_SMALL)]
_MORE_DIGITS: Final = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(_SMALL)]


def varint(number: int) -> bytes:
    """A number >= 0 in base 128, low digits first."""
    digits = b""
    while number >= _SMALL:
        digits += _MORE_DIGITS[number & _SMALL - 1]
        number >>= 14
    return digits + _LAST_DIGITS[number]


def signed(number: int) -> bytes:
    """An int64 as a field of that type has it: a negative one as its two's complement."""
    return varint(number if number >= 0 else number + (1 << 64))


def delimited_tag(field_number: int) -> bytes:
    """What stands before the length of a string, bytes or message field."""
    return varint(field_number << 3 | _DELIMITED)


def varint_tag(field_number: int) -> bytes:
    """What stands before a number or a truth value."""
    return varint(field_number << 3 | _VARINT)


def delimited(tag: bytes, payload: bytes) -> bytes:
    """A whole string, bytes or message field."""
    return tag + varint(len(payload)) + payload


def timestamp(tag: bytes, microseconds: int) -> bytes:
    """A Timestamp field, an instant since the epoch. Zero nanoseconds are written: merged, they must win."""
    return tag + _instant(microseconds)


@lru_cache(maxsize=1_024)
def _instant(microseconds: int) -> bytes:
    """A Timestamp with its length: the answers of a batch share their instants."""
    seconds, rest = divmod(microseconds, _MILLION)
    return delimited(b"", _second(seconds) + varint(rest * 1_000))


@lru_cache(maxsize=16)
def _second(seconds: int) -> bytes:
    """A Timestamp up to its nanoseconds."""
    return b"\x08" + varint(seconds) + b"\x10"


class ReplayMark:
    """Marks a stored response of one method as replayed, at the time of the replay."""

    __slots__ = ("_replayed", "_server_time")

    def __init__(self, replayed_field: int, server_time_field: int) -> None:
        self._replayed = varint_tag(replayed_field) + b"\x01"
        self._server_time = delimited_tag(server_time_field)

    def on(self, stored: bytes, server_time: int) -> bytes:
        """The stored bytes, saying that they are a replay answered at ``server_time`` (microseconds)."""
        return stored + self._replayed + timestamp(self._server_time, server_time)


_OUTCOME_ID: Final = delimited_tag(1)
_OUTCOMES: Final = delimited_tag(1)


def outcome(request_id: bytes, tag: bytes, payload: bytes) -> bytes:
    """An Outcome as a field of ExecuteResponse, or a SyncStockOutcome as one of SyncStockResponse: the id as text, the
    payload under the field that ``tag`` opens."""
    length = varint(len(request_id))
    payload_length = varint(len(payload))
    size = len(_OUTCOME_ID) + len(length) + len(request_id) + len(tag) + len(payload_length) + len(payload)
    return b"".join((_OUTCOMES, varint(size), _OUTCOME_ID, length, request_id, tag, payload_length, payload))


def messages(outcomes: Iterable[bytes], most: int) -> list[bytes]:
    """Outcomes joined to messages of at most ``most`` bytes, unless a single outcome is larger."""
    joined: list[bytes] = []
    pieces: list[bytes] = []
    size = 0
    for piece in outcomes:
        if pieces and size + len(piece) > most:
            joined.append(b"".join(pieces))
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece)
    if pieces:
        joined.append(b"".join(pieces))
    return joined
