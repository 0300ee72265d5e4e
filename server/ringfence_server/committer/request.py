"""A request on its way through the committer, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.outcomes import Decision


class Stamp(NamedTuple):
    """What an encoded answer says of its batch."""

    revision: int
    """The revision the batch gets when it commits."""
    server_time: int
    """Microseconds since the epoch."""


class Failure(Enum):
    """Why a request was not decided. Never stored: the same id may be sent again."""

    DEADLINE = "its deadline passed before it was decided"
    STORE = "the store is away"
    INTERNAL = "the service met a fault of its own"
    DRAINING = "the server is going down"


class Answer(NamedTuple):
    """What the caller gets: an encoded effect, an encoded refusal, or a failure."""

    payload: bytes
    refusal: bool
    replayed: bool
    server_time: int
    failure: Failure | None = None


Encode: TypeAlias = Callable[[Decision, Stamp], bytes]
Sink: TypeAlias = Callable[["Request", Answer], None]


class Request:
    """One command with its identity. ``encode`` turns its decision into the bytes that are stored and answered."""

    __slots__ = (
        "caller",
        "command",
        "deadline",
        "encode",
        "fingerprint",
        "kept",
        "organization",
        "request_id",
        "scope",
        "sink",
        "weight",
    )

    def __init__(
        self,
        *,
        organization: str,
        caller: str,
        scope: int,
        request_id: bytes,
        fingerprint: bytes,
        command: Command,
        weight: int,
        deadline: float | None,
        encode: Encode,
        sink: Sink,
        kept: bool = True,
    ) -> None:
        self.organization = organization
        self.caller = caller
        self.scope = scope
        self.request_id = request_id
        """16 bytes."""
        self.fingerprint = fingerprint
        """16 bytes over the method and the normalised command."""
        self.command = command
        self.weight = weight
        """Its lines, at least 1: what a batch and the queue are bounded by."""
        self.deadline = deadline
        """On the event loop's clock, seconds; None: none. Once passed the command is not executed."""
        self.encode = encode
        self.sink = sink
        """Called on the event loop when the outcome is durable."""
        self.kept = kept
        """Whether its outcome is kept for a repeat; False for what the service itself asks, never with one id twice."""
