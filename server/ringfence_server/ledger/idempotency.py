"""One id, one outcome: when a request is a repeat, and when it comes too late to tell."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from .outcomes import RequestIdReused, RequestTooOld
from .policy import DAY, HOUR

EFFECTS_KEPT: Final = 30 * DAY
"""Microseconds for which the outcome of an effect is kept."""
REFUSALS_KEPT: Final = 24 * HOUR
"""Microseconds for which the outcome of a refusal is kept."""


class StoredOutcome(NamedTuple):
    """What an earlier request with the same id came to."""

    fingerprint: bytes
    refusal: bool
    payload: bytes


def repeat_of(stored: StoredOutcome, fingerprint: bytes) -> StoredOutcome | RequestIdReused:
    """A repeat gets the stored outcome, refusals too; another payload under the same id is refused."""
    return stored if stored.fingerprint == fingerprint else RequestIdReused()


def too_old(request_id: bytes, now: int) -> RequestTooOld | None:
    """A UUIDv7 (its time is in the id) that is unknown but older than what is kept may have had an outcome already.

    Refusals are kept for the shorter time, so that is the bound: a late duplicate of a refused request must not
    succeed behind its caller's back. Other UUIDs carry no time and are taken as new.
    """
    if request_id[6] >> 4 != 7:
        return None
    made = int.from_bytes(request_id[:6], "big") * 1_000
    kept_since = now - REFUSALS_KEPT
    return RequestTooOld(kept_since) if made < kept_since else None


@lru_cache(maxsize=4_096)
def scope_of(organization: str, caller: str) -> int:
    """The 64-bit number under which a caller's request ids are its own."""
    text = f"{organization}\x1f{caller}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)
