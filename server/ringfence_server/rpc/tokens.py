"""Opaque tokens: the revision of a write or a read, and where a page ended.

Both are versioned, so that a later server can tell an older token from its own: a revision will become one number per
slot when several servers write.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from .errors import Refused, invalid

_REVISION: Final = b"\x01"
_PAGE: Final = b"\x01"
_WATCH: Final = b"\x01"
_DIGEST_BYTES: Final = 8
_LONGEST_TOKEN: Final = 8_192


@lru_cache(maxsize=256)
def revision_token(revision: int) -> str:
    """The token of a revision; a batch's answers share one."""
    return urlsafe_b64encode(_REVISION + revision.to_bytes(8, "big")).decode()


def revision_of(token: str, field: str) -> int:
    """The revision a token stands for.

    Raises:
        Refused: it is no token of this service.
    """
    raw = _decoded(token)
    if raw is None or len(raw) != 9 or raw[:1] != _REVISION or raw[1] & 0x80:
        raise invalid(field, "BAD_TOKEN", "the revision that a write or a read answered, unchanged")
    return int.from_bytes(raw[1:], "big")


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


def watch_token(revision: int, organization: str, watched: bytes) -> str:
    """Where a watch goes on: a revision, and what is watched."""
    digest = blake2b(organization.encode() + b"\x1f" + watched, digest_size=_DIGEST_BYTES).digest()
    return urlsafe_b64encode(_WATCH + digest + revision.to_bytes(8, "big")).decode().rstrip("=")


def revision_of_watch(token: str, organization: str, watched: bytes) -> int | None:
    """The revision to go on from; None when the token is of another watch, another version, or none at all."""
    raw = _decoded(token)
    if raw is None or len(raw) != 9 + _DIGEST_BYTES or raw[9] & 0x80:
        return None
    revision = int.from_bytes(raw[-8:], "big")
    return revision if watch_token(revision, organization, watched) == token else None
