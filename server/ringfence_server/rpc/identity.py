"""Who calls, from the call's metadata: the organization whose stock is meant, and the calling service."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ringfence_server.ledger.idempotency import scope_of
from ringfence_server.ledger.names import MAX_NAME
from ringfence_server.ledger.outcomes import Invalid, Violation

from .errors import Refused
from .forms import got

ORGANIZATION_KEY: Final = "ringfence-organization"
CALLER_KEY: Final = "ringfence-caller"
DEFAULT_ORGANIZATION: Final = "default"
DEFAULT_CALLER: Final = "anonymous"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Identity(NamedTuple):
    """On whose behalf a call is made."""

    organization: str
    caller: str
    scope: int
    """The number under which the caller's request ids are its own."""


def identity_of(metadata: Iterable[Any] | None) -> Identity:
    """The identity that a call's metadata names; what it leaves out has its default.

    Raises:
        Refused: a name is empty, too long, holds control characters, or is given twice.
    """
    organization = caller = None
    for key, value in metadata or ():
        if key == ORGANIZATION_KEY:
            if organization is not None and value != organization:
                raise _refused(ORGANIZATION_KEY, "GIVEN_TWICE", "name one organization")
            organization = value
        elif key == CALLER_KEY:
            if caller is not None and value != caller:
                raise _refused(CALLER_KEY, "GIVEN_TWICE", "name one caller")
            caller = value
    return _identity(
        DEFAULT_ORGANIZATION if organization is None else organization, DEFAULT_CALLER if caller is None else caller
    )


@lru_cache(maxsize=4_096)
def _identity(organization: str, caller: str) -> Identity:
    for key, name in ((ORGANIZATION_KEY, organization), (CALLER_KEY, caller)):
        if not 1 <= len(name) <= MAX_NAME or _CONTROL.search(name):
            what = f"a name of 1 to {MAX_NAME} characters without control characters"
            raise _refused(key, "BAD_IDENTITY", f"{what}{got(name) or '; got an empty one'}")
    return Identity(organization, caller, scope_of(organization, caller))


def _refused(key: str, rule: str, description: str) -> Refused:
    return Refused(Invalid((Violation(f"metadata.{key}", rule, description),)))
