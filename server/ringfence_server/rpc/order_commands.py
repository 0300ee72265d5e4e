"""What a stream of orders asks of the committer: commands that no caller wrote, each with an id of its own."""

from __future__ import annotations

import asyncio
import secrets

from ringfence_server.committer import Answer, Request
from ringfence_server.committer.request import Encode, Sink
from ringfence_server.ledger.commands import Command

from .errors import failure_status
from .execute import submit_patiently
from .identity import Identity
from .render import uuid_text
from .services import Services


class Stopped(Exception):
    """The committer could not carry out what the stream asked; the stream ends with this status."""

    def __init__(self, status: bytes) -> None:
        super().__init__("the stream ends")
        self.status = status


class OrderCommands:
    """The commands of one stream, on behalf of its caller."""

    def __init__(self, services: Services, identity: Identity) -> None:
        self.organization = identity.organization
        self._committer = services.committer
        self._clock = services.clock
        self._identity = identity

    def request(self, command: Command, weight: int, encode: Encode, sink: Sink, *, kept: bool) -> Request:
        """A command, ready to be submitted."""
        identity = self._identity
        request_id = _new_id(self._clock.now())
        return Request(
            organization=identity.organization,
            caller=identity.caller,
            scope=identity.scope,
            request_id=request_id,
            fingerprint=request_id,
            command=command,
            weight=weight,
            deadline=None,
            encode=encode,
            sink=sink,
            kept=kept,
        )

    async def commit(self, command: Command, weight: int, encode: Encode) -> None:
        """Commits a command whose outcome nobody asks for twice; ``encode`` gets its decision.

        Raises:
            Stopped: it is refused, or the store cannot be had.
            Draining: the server goes down.
        """
        outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def sink(request: Request, answer: Answer) -> None:
            if not outcome.done():
                outcome.set_result(answer)

        request = self.request(command, weight, encode, sink, kept=False)
        await submit_patiently(self._committer, request)
        answer = await outcome
        if answer.failure is not None or answer.refusal:
            raise Stopped(status_of(request, answer))


def status_of(request: Request, answer: Answer) -> bytes:
    """The status of an answer that is a refusal or a failure."""
    if answer.failure is not None:
        return failure_status(answer.failure, uuid_text(request.request_id))
    return answer.payload


def _new_id(now: int) -> bytes:
    """A UUIDv7 for a command that a stream makes: nobody sends it twice, and what it moved is found by it."""
    value = (now // 1_000 & (1 << 48) - 1) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return value.to_bytes(16, "big")
