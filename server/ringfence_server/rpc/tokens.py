"""Opaque tokens: the revision of a write or a read, and where a page ended.

All are versioned, so that a later server can tell an older token from its own. A revision is one number per slot of the
store; where there is one slot, or only the first one counts, it is written as one number.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from ringfence_server.committer import Stamp
from ringfence_server.ledger.revisions import Revisions, revisions_in

from .errors import Refused, invalid
from .wire import varint

_ONE_SLOT: Final = 1
_SEVERAL_SLOTS: Final = 2
_MOST_SLOTS: Final = 64
_PAGE: Final = b"\x01"
_WATCH: Final = b"\x02"
_DIGEST_BYTES: Final = 8
_LONGEST_TOKEN: Final = 8_192


@lru_cache(maxsize=256)
def stamp_token(stamp: Stamp) -> str:
    """The token of a write; a batch's answers share one."""
    return revision_token(revisions_in(stamp.slots, stamp.revision))


@lru_cache(maxsize=4_096)
def revision_token(revisions: Revisions) -> str:
    """The token of a state."""
    return urlsafe_b64encode(_packed(revisions)).decode().rstrip("=")


def revisions_of(token: str, field: str) -> Revisions:
    """The state a token stands for.

    Raises:
        Refused: it is no token of this service.
    """
    raw = _decoded(token)
    revisions = None if raw is None else _unpacked(raw)
    if revisions is None or revision_token(revisions) != token:
        raise invalid(field, "BAD_TOKEN", "the revision that a write or a read answered, unchanged")
    return revisions


def _packed(revisions: Revisions) -> bytes:
    """One slot: its number. Several: which (a bit for each), the highest number, and by how much each of them lies
    below it, unless none does: most of them were written at about the same time, and a write gives all the same."""
    present = [(slot, revision) for slot, revision in enumerate(revisions) if revision]
    if not present or present[-1][0] == 0:
        return bytes((_ONE_SLOT,)) + (present[0][1] if present else 0).to_bytes(8, "big")
    slots = 0
    for slot, _ in present:
        slots |= 1 << slot
    highest = max(revision for _, revision in present)
    lags = [highest - revision for _, revision in present]
    packed = bytes((_SEVERAL_SLOTS,)) + slots.to_bytes(_MOST_SLOTS // 8, "big") + varint(highest)
    return packed + b"".join(varint(lag) for lag in lags) if any(lags) else packed


def _unpacked(raw: bytes) -> Revisions | None:
    """The reverse of ``_packed``; None for anything that it never makes."""
    if len(raw) == 9 and raw[0] == _ONE_SLOT and not raw[1] & 0x80:
        return (int.from_bytes(raw[1:], "big"),)
    if len(raw) < 10 or raw[0] != _SEVERAL_SLOTS:
        return None
    slots = int.from_bytes(raw[1:9], "big")
    numbers = _varints(raw[9:])
    if numbers is None:
        return None
    highest, *lags = numbers
    wanted = iter(lags or [0] * slots.bit_count())
    revisions = tuple(highest - next(wanted, 0) if slots >> slot & 1 else 0 for slot in range(slots.bit_length()))
    return revisions if min(revisions, default=-1) >= 0 and _packed(revisions) == raw else None


def _varints(raw: bytes) -> list[int] | None:
    """Numbers below 2^63, at least one and not more than a token holds."""
    numbers: list[int] = []
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if number >> 63 or len(numbers) > _MOST_SLOTS:
                return None
            numbers.append(number)
            number = shift = 0
        elif shift > 63:
            return None
    return numbers if numbers and not shift else None


def page_token(organization: str, request: Any, position: Sequence[str | int | None]) -> str:
    """The token of the page after ``position`` of the list that ``request`` asks for.

    ``position`` is whatever the list is ordered by; ``page_position`` gives it back for the same request only.
    """
    body = json.dumps(list(position), separators=(",", ":"), ensure_ascii=False).encode()
    return urlsafe_b64encode(_PAGE + _digest(organization, request) + body).decode().rstrip("=")


def page_position(organization: str, request: Any, kinds: Sequence[type | tuple[type, ...]]) -> tuple[Any, ...] | None:
    """Where the page that ``request.page_token`` names begins; None for the first page.

    ``kinds`` are the types of the position's items, ``type(None)`` where one may be missing.

    Raises:
        Refused: the token is no token, or of another request: all fields but page_size must be the same.
    """
    if not request.page_token:
        return None
    raw = _decoded(request.page_token)
    if raw is None or raw[:1] != _PAGE or len(raw) <= 1 + _DIGEST_BYTES:
        raise _bad_page("the next_page_token of the page before, unchanged")
    if raw[1 : 1 + _DIGEST_BYTES] != _digest(organization, request):
        raise _bad_page("a token of the same list: the filters must be those of the page before")
    try:
        position = json.loads(raw[1 + _DIGEST_BYTES :])
    except ValueError:
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(kinds)
        or not all(
            isinstance(item, kind) and not isinstance(item, bool) for item, kind in zip(position, kinds, strict=True)
        )
    ):
        raise _bad_page("the next_page_token of the page before, unchanged")
    return tuple(position)


def _digest(organization: str, request: Any) -> bytes:
    """What makes a list the same list: whose it is, which, and its filters."""
    same = type(request)()
    same.CopyFrom(request)
    same.ClearField("page_token")
    same.ClearField("page_size")
    text = f"{organization}\x1f{request.DESCRIPTOR.full_name}\x1f".encode()
    return blake2b(text + same.SerializeToString(deterministic=True), digest_size=_DIGEST_BYTES).digest()


def _decoded(token: str) -> bytes | None:
    if len(token) > _LONGEST_TOKEN:
        return None
    try:
        return b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        return None


def _bad_page(description: str) -> Refused:
    return invalid("page_token", "BAD_TOKEN", description)


def watch_token(revisions: Revisions, organization: str, watched: bytes) -> str:
    """Where a watch goes on: a state, and what is watched."""
    packed = _WATCH + _watch_digest(organization, watched) + _packed(revisions)
    return urlsafe_b64encode(packed).decode().rstrip("=")


def revisions_of_watch(token: str, organization: str, watched: bytes) -> Revisions | None:
    """The state to go on from; None when the token is of another watch, another version, or none at all."""
    raw = _decoded(token)
    head = _WATCH + _watch_digest(organization, watched)
    return _unpacked(raw[len(head) :]) if raw is not None and raw.startswith(head) else None


def _watch_digest(organization: str, watched: bytes) -> bytes:
    return blake2b(organization.encode() + b"\x1f" + watched, digest_size=_DIGEST_BYTES).digest()
