"""One id, one outcome: when a request is a repeat, and when it comes too late to tell."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from .outcomes import RequestIdReused, RequestTooOld
from .policy import DAY, HOUR

EFFECTS_KEPT: Final = 30 * DAY
"""Microseconds for which the outcome of an effect is kept."""
REFUSALS_KEPT: Final = 24 * HOUR
"""Microseconds for which the outcome of a refusal is kept."""
REFUSALS_KEPT_PER_CALLER: Final = 100_000
"""Refusals kept of one caller; of more, the oldest are forgotten before their time."""


class StoredOutcome(NamedTuple):
    """What an earlier request with the same id came to."""

    fingerprint: bytes
    refusal: bool
    payload: bytes


def repeat_of(stored: StoredOutcome, fingerprint: bytes) -> StoredOutcome | RequestIdReused:
    """A repeat gets the stored outcome, refusals too; another payload under the same id is refused."""
    return stored if stored.fingerprint == fingerprint else RequestIdReused()


def time_of(request_id: bytes) -> int | None:
    """When a UUIDv7 was made, by its maker's clock (microseconds since the epoch); other UUIDs carry no time."""
    return int.from_bytes(request_id[:6], "big") * 1_000 if request_id[6] >> 4 == 7 else None


def too_old(request_id: bytes, now: int, forgotten_until: int = 0) -> RequestTooOld | None:
    """A UUIDv7 that is unknown but older than what is kept may have had an outcome already.

    Refusals are kept for the shorter time, and of a caller that has too many not even that long (``forgotten_until``),
    so that is the bound: a late duplicate of a refused request must not succeed behind its caller's back. Other UUIDs
    carry no time and are taken as new.
    """
    made = time_of(request_id)
    kept_since = max(now - REFUSALS_KEPT, forgotten_until)
    return RequestTooOld(kept_since) if made is not None and made < kept_since else None


def past_keeping(request_id: bytes, record_time: int, now: int, *, refusal: bool) -> bool:
    """Whether the outcome of a request, recorded at ``record_time``, may be forgotten at ``now`` (microseconds).

    The id of a clock that runs ahead is kept until its own time is over too: its repeat would be taken as new.
    """
    if record_time >= now - (REFUSALS_KEPT if refusal else EFFECTS_KEPT):
        return False
    return time_of(request_id) is None or too_old(request_id, now) is not None


def forgotten_until(request_ids: Iterable[bytes], now: int) -> int:
    """The instant before which a caller's unknown ids are too old once its refusals of these ids are forgotten.

    An id that lies ahead of ``now`` was made by a clock that is wrong: it must not make the caller's right ones old.
    """
    times = (time_of(request_id) for request_id in request_ids)
    return max((made + 1_000 for made in times if made is not None and made < now), default=0)


@lru_cache(maxsize=4_096)
def scope_of(organization: str, caller: str) -> int:
    """The 64-bit number under which a caller's request ids are its own."""
    text = f"{organization}\x1f{caller}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)
