"""Execute and SyncStock: commands as a stream, each with its own outcome, answered as they are committed.

Execute takes commands of any kind, SyncStock facts; what differs is how a message holds them (``Kind``).

A stream has a reader and a writer. The reader hands commands to the committer in their order and reads on; the writer
sends what was answered since it last wrote: the committer answers a whole batch at once, so that is one message for a
batch. The reader stops reading while too much of the stream waits, or the committer's queue is more than half full:
then the connection's flow control holds the sender back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import Message

from ringfence.v1 import allocation_service_pb2 as allocation
from ringfence.v1 import stock_service_pb2 as stock
from ringfence_server.committer import Answer, Committer, Overloaded, Request
from ringfence_server.ledger.outcomes import Invalid, Violation

from .errors import Refused, draining_status, failure_status, invalid, status_for
from .handlers import Context, Handlers, end, parser, unreadable
from .identity import Identity, identity_of
from .methods import COMMANDS, POST_STOCK, Method
from .refusals import refusal_status
from .services import Services
from .wire import delimited_tag, messages, outcome

_LARGEST_ANSWER: Final = 1_048_576
"""Bytes of outcomes in one message: well below the 4 MiB that a gRPC client takes unless told otherwise."""
_COMMANDS_AT_ONCE: Final = 256
"""Commands taken without letting anything else run: others share the event loop."""
_LONGEST_PAUSE_SECONDS: Final = 0.05
_MOST_UNSENT: Final = 4 * 1_048_576
"""Bytes of outcomes that wait for a slow caller; no further message is read beyond it."""
_NO_COMMAND: Final = refusal_status(
    Invalid((Violation("command", "REQUIRED", f"one of {', '.join(COMMANDS)}, with a request_id of its own"),))
)


class Kind(NamedTuple):
    """One of the methods that are such a stream."""

    name: str
    path: str
    request_type: type[Message]
    items: str
    """The field of a message that holds its commands."""
    command_of: Callable[[Any], tuple[Method, Any] | None]
    """Of one of them the method and the method's request; None: it names no method."""
    tags: Mapping[str, bytes]
    """By the method's name what opens its response in an outcome."""
    error_tag: bytes
    """What opens a google.rpc.Status in an outcome."""


def _command_of(command: allocation.Command) -> tuple[Method, Any] | None:
    field = command.WhichOneof("command")
    return (COMMANDS[field], getattr(command, field)) if field in COMMANDS else None


def _post_of(post: stock.PostStockRequest) -> tuple[Method, Any]:
    return POST_STOCK, post


def _tags(outcome_type: type[Message], methods: Mapping[str, Method]) -> dict[str, bytes]:
    fields = outcome_type.DESCRIPTOR.fields_by_name
    return {method.name: delimited_tag(fields[field].number) for field, method in methods.items()}


def _error_tag(outcome_type: type[Message]) -> bytes:
    return delimited_tag(outcome_type.DESCRIPTOR.fields_by_name["error"].number)


EXECUTE: Final = Kind(
    "Execute",
    "/ringfence.v1.AllocationService/Execute",
    allocation.ExecuteRequest,
    "commands",
    _command_of,
    _tags(allocation.Outcome, COMMANDS),
    _error_tag(allocation.Outcome),
)
SYNC_STOCK: Final = Kind(
    "SyncStock",
    "/ringfence.v1.StockService/SyncStock",
    stock.SyncStockRequest,
    "posts",
    _post_of,
    _tags(stock.SyncStockOutcome, {"post_stock": POST_STOCK}),
    _error_tag(stock.SyncStockOutcome),
)


def execute_handlers(services: Services) -> Handlers:
    """The handlers of Execute and SyncStock."""
    return {kind.path: _handler(services, kind) for kind in (EXECUTE, SYNC_STOCK)}


def _handler(services: Services, kind: Kind) -> grpc.RpcMethodHandler[Any, Any]:
    async def handle(_: Any, context: Context) -> None:
        stream: _Stream | None = None
        try:
            # A client that waits for this before its first command knows that nothing was done where it never came.
            await context.send_initial_metadata(())
            stream = _Stream(services, kind, identity_of(context.invocation_metadata()), context)
            if await stream.serve():
                return
            status = draining_status()
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            status = status_for(error, kind.name)
        finally:
            if stream is not None:
                stream.close()
        await end(context, status)

    return grpc.stream_stream_rpc_method_handler(handle, request_deserializer=parser(kind.request_type))


async def submit_patiently(committer: Committer, request: Request) -> None:
    """Queues a command; where a call is told OVERLOADED, a stream waits.

    Raises:
        Draining: the server goes down.
    """
    try:
        committer.submit(request)
    except Overloaded as overloaded:
        await submit_later(committer, request, overloaded)


async def submit_later(committer: Committer, request: Request, overloaded: Overloaded) -> None:
    """Queues a command that found no room.

    Raises:
        Draining: the server goes down.
    """
    while True:
        await committer.room()
        # Room is half a queue; a command that is larger than the other half waits for more.
        await asyncio.sleep(min(overloaded.retry_after_seconds, _LONGEST_PAUSE_SECONDS))
        try:
            committer.submit(request)
            return
        except Overloaded as again:
            overloaded = again


class _Stream:
    """One call."""

    def __init__(self, services: Services, kind: Kind, identity: Identity, context: Context) -> None:
        self._services = services
        self._kind = kind
        self._committer = services.committer
        self._identity = identity
        self._context = context
        left = context.time_remaining()
        # Of the whole call, hence of every command in it.
        self._deadline = None if left is None else asyncio.get_running_loop().time() + left
        self._counts = services.counts.commands
        self._most_in_flight = services.limits.max_in_flight_per_stream
        self._in_flight = 0
        self._answers: list[bytes] = []
        self._unsent = 0
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._reading = False
        self._stopping = False
        self._ended = False
        self._reader = asyncio.create_task(self._read(), name=f"{kind.name.lower()}-reader")
        self._reader.add_done_callback(lambda _: self._wake.set())
        self._drain = asyncio.create_task(services.draining.wait(), name=f"{kind.name.lower()}-drain")
        self._drain.add_done_callback(self._stop)

    async def serve(self) -> bool:
        """Writes answers until the caller has sent everything and has every answer; False when the server drains.

        Raises:
            Refused: a message broke the rules of the stream; what was taken before it is answered.
        """
        context, reader, wake = self._context, self._reader, self._wake
        while True:
            if self._answers:
                answers, self._answers = self._answers, []
                for message in messages(answers, _LARGEST_ANSWER):
                    await context.write(message)
                    self._unsent -= len(message)
                self._in_flight -= len(answers)
                self._space.set()
            elif reader.done() and not self._in_flight:
                break
            else:
                wake.clear()
                await wake.wait()
        return not reader.cancelled() and reader.result()

    def close(self) -> None:
        """Ends the stream's tasks; answers that still come are dropped."""
        self._ended = True
        self._reader.cancel()
        self._drain.cancel()

    async def _read(self) -> bool:
        """Takes messages until the caller has no more (True) or the server drains (False)."""
        context, committer, items = self._context, self._committer, self._kind.items
        most_commands = self._services.limits.max_commands_per_message
        while True:
            while self._in_flight >= self._most_in_flight or self._unsent >= _MOST_UNSENT:
                self._space.clear()
                await self._space.wait()
            if not committer.has_room:
                await committer.room()
            if self._stopping:
                break
            self._reading = True
            message = await context.read()
            self._reading = False
            if message is grpc.aio.EOF:
                return True
            if message is None:
                raise unreadable()
            commands = getattr(message, items)
            if not 1 <= len(commands) <= most_commands:
                text = f"1 to {most_commands:,} {items} a message; got {len(commands):,}"
                raise invalid(items, "TOO_MANY" if commands else "REQUIRED", text)
            await self._take(commands)
        return False

    async def _take(self, commands: Any) -> None:
        submit, deadline, several = self._committer.submit, self._deadline, len(commands) > 1
        command_of, error_tag = self._kind.command_of, self._kind.error_tag
        # A list of them: an iteration over the field itself ends with an exception, which is dear.
        for number, command in enumerate(commands[:], 1):
            self._in_flight += 1
            known = command_of(command)
            if known is None:
                self._answer(outcome(b"", error_tag, _NO_COMMAND))
                continue
            method, message = known
            name = message.request_id.encode()
            try:
                request = method.request(message, self._identity, deadline, partial(self._decided, method, name))
                try:
                    submit(request, more=several)
                except Overloaded as overloaded:
                    await submit_later(self._committer, request, overloaded)
            except Exception as error:
                self._counts[method.refused if isinstance(error, Refused) else method.failed] += 1
                self._answer(outcome(name, error_tag, status_for(error, method.name)))
            if not number % _COMMANDS_AT_ONCE:
                await asyncio.sleep(0)

    def _decided(self, method: Method, name: bytes, request: Request, answer: Answer) -> None:
        """The committer's sink: called for every command of a batch, one after the other."""
        if self._ended:
            return
        if not answer.refusal:
            self._counts[method.replayed if answer.replayed else method.accepted] += 1
            self._answer(outcome(name, self._kind.tags[method.name], method.response(answer)))
        elif answer.failure is None:
            self._counts[method.refused] += 1
            self._answer(outcome(name, self._kind.error_tag, answer.payload))
        else:
            self._counts[method.failed] += 1
            self._answer(outcome(name, self._kind.error_tag, failure_status(answer.failure, name.decode())))

    def _answer(self, outcome: bytes) -> None:
        answers = self._answers
        answers.append(outcome)
        self._unsent += len(outcome)
        if len(answers) == 1:
            # The writer takes all there are, and looks again before it waits.
            self._wake.set()

    def _stop(self, drained: asyncio.Task[Any]) -> None:
        """The server drains: read no more. A message that is being taken is taken to its end."""
        self._stopping = True
        if self._reading:
            self._reader.cancel()
