"""Timestamps and durations of the wire as the server's integer microseconds, and back."""

from __future__ import annotations

from typing import Final, TypedDict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_MILLION: Final = 1_000_000
_FIRST_SECOND: Final = -62_135_596_800
"""0001-01-01T00:00:00Z, the first instant a Timestamp may hold."""
_LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59Z."""
_LONGEST_SECONDS: Final = 315_576_000_000
"""About 10,000 years: what a Duration may hold."""


class TimeFields(TypedDict):
    """A Timestamp or a Duration as the fields of its message."""

    seconds: int
    nanos: int


def instant_of(timestamp: Timestamp) -> int | None:
    """Microseconds since the epoch, what is finer cut off; None when the message holds no valid instant."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos <= 999_999_999):
        return None
    return seconds * _MILLION + nanos // 1_000


SPAN_RULE: Final = "-315,576,000,000 to 315,576,000,000 seconds, nanos below 10^9 and of the same sign"
"""What a duration has to be for ``span_of``."""


def span_of(duration: Duration) -> int | None:
    """Microseconds, what is finer cut off; None when the message holds no valid duration."""
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > _LONGEST_SECONDS or abs(nanos) > 999_999_999 or seconds * nanos < 0:
        return None
    # Both have one sign, so cutting the nanoseconds toward zero cuts the whole toward zero.
    return seconds * _MILLION + (nanos // 1_000 if nanos >= 0 else -(-nanos // 1_000))


def time_fields(microseconds: int) -> TimeFields:
    """An instant or a span that is not negative, as the fields of its message."""
    return {"seconds": microseconds // _MILLION, "nanos": microseconds % _MILLION * 1_000}


def timestamp_of(microseconds: int) -> Timestamp:
    """An instant as a message."""
    return Timestamp(seconds=microseconds // _MILLION, nanos=microseconds % _MILLION * 1_000)
