"""Many commands over a stream, for threads."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.message import Message

from ringfence._calls import CommandKind, StreamKind
from ringfence._commands import Command
from ringfence._config import timeout_seconds
from ringfence._error_mapping import ENDS_STREAMS, from_rpc_error
from ringfence._errors import ClientClosed, RingfenceError
from ringfence._outcomes import CommandWithId, Outcome, split
from ringfence._retry import pause_seconds
from ringfence._sync_transport import SyncTransport
from ringfence._window import Window

_TICK_SECONDS = 0.1


def execute_many(
    transport: SyncTransport,
    kind: StreamKind,
    commands: Iterable[CommandWithId],
    *,
    timeout: timedelta,
    max_in_flight: int,
    max_commands_per_message: int,
) -> Iterator[Outcome[Any]]:
    """The outcomes of `commands`, in their order. See `Client.execute_many` and `Client.sync_stock`."""
    window: Window[_Entry] = Window(
        transport.config,
        timeout_seconds=timeout_seconds(timeout),
        max_in_flight=max_in_flight,
        max_commands_per_message=max_commands_per_message,
    )
    return _Execution(transport, kind, window, commands, max_commands_per_message).outcomes()


class _Entry:
    """A command on its way, and what came of it."""

    __slots__ = (
        "answer",
        "command",
        "deadline",
        "done",
        "error",
        "kind",
        "lost",
        "message",
        "request_id",
        "sent",
        "size",
        "tries",
    )

    def __init__(self, command: Command[Any], kind: CommandKind, message: Message, request_id: str) -> None:
        self.command = command
        self.kind = kind
        self.message = message
        self.request_id = request_id
        self.size = message.ByteSize()
        self.deadline: float | None = None
        self.sent = False
        self.lost = False
        self.tries = 0
        self.done = False
        self.answer: Message | None = None
        self.error: RingfenceError | None = None

    def settle(self, answer: Message | None, error: RingfenceError | None) -> None:
        """Takes what came of it."""
        self.answer = answer
        self.error = error
        self.done = True

    def outcome(self) -> Outcome[Any]:
        """What came of it, for the caller."""
        result = None if self.error is not None else self.kind.parse(self.answer, self.request_id)
        return Outcome(self.command, self.request_id, result, self.error)


class _Stream:
    """One stream. Into `inbox` comes what it brings: that the service took it, messages, at its end why it ended."""

    def __init__(self, transport: SyncTransport, kind: StreamKind) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._kind = kind
        self._call = transport.stream(kind.rpc, iter(self._outbox.get, None))
        threading.Thread(target=self._read, name="ringfence-execute", daemon=True).start()

    def send(self, commands: list[_Entry]) -> None:
        """Sends one message."""
        self._outbox.put(self._kind.rpc.request(**{self._kind.field: [command.message for command in commands]}))

    def end(self) -> None:
        """Ends the stream, whatever is on its way."""
        self._call.cancel()
        self._outbox.put(None)

    def _read(self) -> None:
        error: RingfenceError | None = None
        try:
            self._call.initial_metadata()  # waits until the service has taken the call, or it ended before
            if self._call.is_active():
                self.inbox.put(_TAKEN)
            for message in self._call:
                self.inbox.put(message)
        except grpc.RpcError as failure:
            error = from_rpc_error(failure)
        finally:
            self.inbox.put(_End(error))


_TAKEN = object()


class _End:
    """The end of a stream; `error` None is an end in good order."""

    __slots__ = ("error",)

    def __init__(self, error: RingfenceError | None) -> None:
        self.error = error


class _Execution:
    """One run of `execute_many`, in the thread that reads its outcomes."""

    def __init__(
        self,
        transport: SyncTransport,
        kind: StreamKind,
        window: Window[_Entry],
        commands: Iterable[CommandWithId],
        max_commands_per_message: int,
    ) -> None:
        self._transport = transport
        self._kind = kind
        self._window = window
        self._commands = iter(commands)
        self._chunk = max_commands_per_message
        self._exhausted = False
        self._order: deque[_Entry] = deque()
        self._stream: _Stream | None = None
        self._taken = False
        self._failures = 0

    def outcomes(self) -> Iterator[Outcome[Any]]:
        """Reads commands as there is room, and gives outcomes in the order of the commands."""
        try:
            while True:
                self._fill()
                self._send()
                while self._order and self._order[0].done:
                    yield self._order.popleft().outcome()
                if self._exhausted and not self._order:
                    return
                # With room for more commands, only what is there already is taken in.
                self._receive(wait=self._exhausted or len(self._order) >= self._window.max_in_flight)
        finally:
            if self._stream is not None:
                self._stream.end()

    def _fill(self) -> None:
        """Reads the commands of the next message, as far as there is room."""
        room = min(self._chunk, self._window.max_in_flight - len(self._order))
        for _ in range(room):
            try:
                request_id, command = split(next(self._commands))
            except StopIteration:
                self._exhausted = True
                return
            chosen = request_id or self._transport.config.request_ids()
            entry = _Entry(command, *self._kind.write(command, chosen), chosen)
            self._window.submit(entry)
            self._order.append(entry)

    def _send(self) -> None:
        if len(self._window) and self._stream is None:
            self._window.opening(time.monotonic())
            self._stream = _Stream(self._transport, self._kind)
        # What never left this process was not done: so nothing leaves it for a service that may not be there.
        while self._stream is not None and self._taken and (commands := self._window.take(time.monotonic())):
            self._stream.send(commands)

    def _receive(self, *, wait: bool) -> None:
        """Takes in what the stream brought; with `wait`, at least one message, unless something falls due before."""
        if self._stream is None:
            return
        timeout = self._window.next_event(time.monotonic()) if wait else 0.0
        while True:
            try:
                message = self._stream.inbox.get(timeout=timeout) if timeout != 0 else self._stream.inbox.get_nowait()
            except queue.Empty:
                break
            timeout = 0.0
            if isinstance(message, _End):
                self._reconnect(message.error)
                return
            if message is _TAKEN:
                self._taken = True
                self._window.connected()
                return
            self._failures = 0
            now = time.monotonic()
            for outcome in message.outcomes:
                self._window.answered(outcome, now)
        if self._window.expire(time.monotonic(), None):
            self._reconnect(RingfenceError("no answer in time", code="DEADLINE_EXCEEDED"))

    def _reconnect(self, error: RingfenceError | None) -> None:
        """Gives the stream up and waits before the next one; raises what no other stream mends."""
        if self._stream is not None:
            self._stream.end()
            self._stream = None
            self._taken = False
        if self._transport.closed:
            error = ClientClosed("the client was closed")
        self._window.broken(time.monotonic(), error)
        if isinstance(error, ENDS_STREAMS):
            raise error
        self._failures += 1
        pause = pause_seconds(self._transport.config.retry, self._failures, error, random.random)
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0 and not self._transport.closed:
            self._transport.pause(min(left, _TICK_SECONDS))
            self._window.expire(time.monotonic(), error)
