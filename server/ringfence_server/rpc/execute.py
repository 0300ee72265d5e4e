"""Execute: commands of any kind as a stream, each with its own outcome, answered as they are committed.

A stream has a reader and a writer. The reader hands commands to the committer in their order and reads on; the writer
sends what was answered since it last wrote: the committer answers a whole batch at once, so that is one message for a
batch. The reader stops reading while too much of the stream waits, or the committer's queue is more than half full:
then the connection's flow control holds the sender back.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence_server.committer import Answer, Overloaded, Request
from ringfence_server.ledger.outcomes import Invalid, Violation

from .errors import Refused, draining_status, failure_status, invalid, refusal_status, status_for
from .handlers import Context, Handlers, end, parser, unreadable
from .identity import Identity, identity_of
from .methods import COMMANDS, ERROR_TAG, Method
from .services import Services
from .wire import messages, outcome

PATH: Final = "/ringfence.v1.AllocationService/Execute"
_LARGEST_ANSWER: Final = 1_048_576
"""Bytes of outcomes in one message: well below the 4 MiB that a gRPC client takes unless told otherwise."""
_COMMANDS_AT_ONCE: Final = 256
"""Commands taken without letting anything else run: others share the event loop."""
_LONGEST_PAUSE_SECONDS: Final = 0.05
_NO_COMMAND: Final = refusal_status(
    Invalid((Violation("command", "REQUIRED", f"one of {', '.join(COMMANDS)}, with a request_id of its own"),))
)


def execute_handlers(services: Services) -> Handlers:
    """The handler of Execute."""

    async def handle(_: Any, context: Context) -> None:
        stream: _Stream | None = None
        try:
            stream = _Stream(services, identity_of(context.invocation_metadata()), context)
            if await stream.serve():
                return
            status = draining_status()
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            status = status_for(error, "Execute")
        finally:
            if stream is not None:
                stream.close()
        await end(context, status)

    return {PATH: grpc.stream_stream_rpc_method_handler(handle, request_deserializer=parser(pb.ExecuteRequest))}


class _Stream:
    """One Execute call."""

    def __init__(self, services: Services, identity: Identity, context: Context) -> None:
        self._services = services
        self._committer = services.committer
        self._identity = identity
        self._context = context
        self._counts = services.counts.commands
        self._most_in_flight = services.limits.max_in_flight_per_stream
        self._in_flight = 0
        self._answers: list[bytes] = []
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._reading = False
        self._stopping = False
        self._ended = False
        self._reader = asyncio.create_task(self._read(), name="execute-reader")
        self._reader.add_done_callback(lambda _: self._wake.set())
        self._drain = asyncio.create_task(services.draining.wait(), name="execute-drain")
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
        context, committer = self._context, self._committer
        most_commands = self._services.limits.max_commands_per_message
        while True:
            while self._in_flight >= self._most_in_flight:
                self._space.clear()
                await self._space.wait()
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
            commands = message.commands
            if not 1 <= len(commands) <= most_commands:
                text = f"1 to {most_commands:,} commands a message; got {len(commands):,}"
                raise invalid("commands", "TOO_MANY" if commands else "REQUIRED", text)
            await self._take(commands)
        return False

    async def _take(self, commands: Any) -> None:
        left = self._context.time_remaining()
        deadline = None if left is None else asyncio.get_running_loop().time() + left
        for number, command in enumerate(commands, 1):
            self._in_flight += 1
            field = command.WhichOneof("command")
            if field not in COMMANDS:
                self._answer(outcome(b"", ERROR_TAG, _NO_COMMAND))
                continue
            method, message = COMMANDS[field], getattr(command, field)
            name = message.request_id.encode()
            try:
                request = method.request(message, self._identity, deadline, partial(self._decided, method, name))
                await self._submit(request)
            except Exception as error:
                self._counts[method.refused if isinstance(error, Refused) else method.failed] += 1
                self._answer(outcome(name, ERROR_TAG, status_for(error, method.name)))
            if not number % _COMMANDS_AT_ONCE:
                await asyncio.sleep(0)

    async def _submit(self, request: Request) -> None:
        """Queues a command; where a call is told OVERLOADED, a stream waits.

        Raises:
            Draining: the server goes down.
        """
        while True:
            try:
                self._committer.submit(request)
                return
            except Overloaded as overloaded:
                await self._committer.room()
                # Room is half a queue; a command that is larger than the other half waits for more.
                await asyncio.sleep(min(overloaded.retry_after_seconds, _LONGEST_PAUSE_SECONDS))

    def _decided(self, method: Method, name: bytes, request: Request, answer: Answer) -> None:
        """The committer's sink: called for every command of a batch, one after the other."""
        if self._ended:
            return
        if not answer.refusal:
            self._counts[method.replayed if answer.replayed else method.accepted] += 1
            self._answer(outcome(name, method.outcome_tag, method.response(answer)))
        elif answer.failure is None:
            self._counts[method.refused] += 1
            self._answer(outcome(name, ERROR_TAG, answer.payload))
        else:
            self._counts[method.failed] += 1
            self._answer(outcome(name, ERROR_TAG, failure_status(answer.failure, name.decode())))

    def _answer(self, outcome: bytes) -> None:
        self._answers.append(outcome)
        self._wake.set()

    def _stop(self, drained: asyncio.Task[Any]) -> None:
        """The server drains: read no more. A message that is being taken is taken to its end."""
        self._stopping = True
        if self._reading:
            self._reader.cancel()
