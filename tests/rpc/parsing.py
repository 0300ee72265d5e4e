"""Parsing one request without a server."""

from __future__ import annotations

from typing import Any, Final

from ringfence_server.committer import Request
from ringfence_server.ledger.outcomes import Invalid, Violation
from ringfence_server.rpc.errors import Refused
from ringfence_server.rpc.identity import Identity, identity_of
from ringfence_server.rpc.methods import METHODS, Method

IDENTITY: Final[Identity] = identity_of((("ringfence-organization", "acme"), ("ringfence-caller", "shop")))
BY_REQUEST: Final[dict[type, Method]] = {method.request_type: method for method in METHODS}


def parsed(message: Any, identity: Identity = IDENTITY) -> Request:
    """The request on its way to the committer. The message loses its id, as in a call."""
    return BY_REQUEST[type(message)].request(message, identity, None, lambda *_: None)


def command(message: Any) -> Any:
    """The frozen command of a message that breaks no rule."""
    return parsed(message).command


def faults(message: Any) -> list[Violation]:
    """Every rule the message breaks, in the order they are told."""
    try:
        parsed(message)
    except Refused as refused:
        refusal = refused.refusal
    else:
        return []
    assert isinstance(refusal, Invalid)
    return list(refusal.violations)


def rules(message: Any) -> dict[str, str]:
    """Field to rule of what the message breaks; every fault says what would be right."""
    found = faults(message)
    assert all(each.description for each in found)
    return {each.field: each.rule for each in found}
