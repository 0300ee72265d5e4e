"""Pipelining over a stream: many commands on their way at once, grouped into messages, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
import time
from collections.abc import Generator, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from ringfence._async_stream import AsyncStream
from ringfence._async_transport import AsyncTransport
from ringfence._calls import EXECUTE, SYNC_STOCK, CommandKind, StreamKind
from ringfence._commands import Command, PostStock
from ringfence._config import timeout_seconds
from ringfence._error_mapping import ENDS_STREAMS
from ringfence._errors import ClientClosed, InternalError, RingfenceError
from ringfence._facts import CountBegin, CountEnd, SaleBooking, StockFigure
from ringfence._pipeline_commands import PipelineCommands
from ringfence._results import PostStockResult
from ringfence._retry import pause_seconds
from ringfence._window import Window

__all__ = ["AsyncPipeline", "AsyncStockPipeline", "CommandFuture", "CommandStream"]

T = TypeVar("T")

_TICK_SECONDS = 0.1
"""How exactly deadlines are kept."""


class CommandFuture(asyncio.Future[T]):
    """What will come of a command of a pipeline: awaiting it gives the result or raises the typed error.

    It is an asyncio.Future in everything, and it can be left alone: an outcome that nobody asks for is no error.
    Cancelling it takes back nothing; the command may still be carried out.
    """

    __slots__ = (
        "_answer",
        "_error",
        "_parsed",
        "deadline",
        "kind",
        "lost",
        "message",
        "request_id",
        "sent",
        "size",
        "tries",
    )

    def __init__(self, kind: CommandKind, message: Message, request_id: str) -> None:
        super().__init__()
        self.request_id = request_id
        """The id the command is sent with."""
        self.kind = kind
        self.message = message
        self.size = message.ByteSize()
        self.deadline: float | None = None
        self.sent = False
        self.lost = False
        self.tries = 0
        self._answer: Message | None = None
        self._error: RingfenceError | None = None
        self._parsed: T | None = None

    def settle(self, answer: Message | None, error: RingfenceError | None) -> None:
        """Takes what came of the command. The answer is read when it is asked for: most callers of a million commands
        look at few."""
        if self.done():
            return  # cancelled by its owner
        self._answer = answer
        self._error = error
        super().set_result(None)  # type: ignore[arg-type]  # `result` gives the real one

    def result(self) -> T:
        """The result; raises the typed error, or asyncio.InvalidStateError while there is none."""
        super().result()
        if self._error is not None:
            raise self._error
        if self._parsed is None:
            self._parsed = self.kind.parse(self._answer, self.request_id)
        return self._parsed

    def exception(self) -> BaseException | None:
        """The typed error, or None."""
        super().exception()
        return self._error

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            yield from super().__await__()
        return self.result()

    __iter__ = __await__


class CommandStream:
    """Commands on their way over one stream, for `async with`.

    Commands submitted in one turn of the event loop travel in one message. A broken stream is opened again, and what it
    left unanswered goes again with the same ids, until a command has waited for `timeout` since it was first sent.
    There is no order between commands of different turns: await one before submitting another that needs it.

    Leaving the block waits until everything is answered; on an exception it gives up what is unanswered.
    """

    _kind: StreamKind
    """How the commands travel."""

    def __init__(
        self, transport: AsyncTransport, *, timeout: timedelta, max_in_flight: int, max_commands_per_message: int
    ) -> None:
        self._transport = transport
        self._request_ids = transport.config.request_ids
        self._window: Window[CommandFuture[Any]] = Window(
            transport.config,
            timeout_seconds=timeout_seconds(timeout),
            max_in_flight=max_in_flight,
            max_commands_per_message=max_commands_per_message,
        )
        self._room_again = max_in_flight * 3 // 4
        self._wake = asyncio.Event()
        self._room_waiters: list[asyncio.Future[None]] = []
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed: RingfenceError | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    def submit(self, command: Command[T], *, request_id: str | None = None) -> CommandFuture[T]:
        """Puts a command on its way and gives its future at once. It takes any number; `ready` waits for room.

        Raises ClientClosed; ValueError or TypeError for a command that cannot be written, and ValueError for a
        `request_id` that is still on its way here.
        """
        if self._closed is not None:
            raise copy.copy(self._closed)
        chosen = request_id or self._request_ids()
        kind, message = self._kind.write(command, chosen)
        future: CommandFuture[T] = CommandFuture(kind, message, chosen)
        self._window.submit(future)
        self._drained.clear()
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="ringfence-pipeline")
        return future

    @property
    def failure(self) -> RingfenceError | None:
        """Why the pipeline takes no more commands, such as PermissionDenied or ClientClosed; None while it does."""
        return self._closed

    def __len__(self) -> int:
        """Commands without an answer."""
        return len(self._window)

    async def ready(self) -> None:
        """Waits until there is room for another command: fewer than `max_in_flight` are without an answer."""
        if self._window.message_is_full:
            await asyncio.sleep(0)  # a full message goes before the next one is filled
        while len(self._window) >= self._window.max_in_flight and self._closed is None:
            waiter = asyncio.get_running_loop().create_future()
            self._room_waiters.append(waiter)
            await waiter

    async def drain(self) -> None:
        """Waits until every command has an answer."""
        await self._drained.wait()

    async def aclose(self) -> None:
        """Waits until every command has an answer, then ends the stream. Closing twice is nothing."""
        await self.drain()
        await self._end(ClientClosed("the pipeline is closed"))

    async def abort(self) -> None:
        """Ends the stream at once: what was not sent fails with ClientClosed, what was sent with OutcomeUnknown."""
        await self._end(ClientClosed("the pipeline was given up"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            await self.abort()
            return
        try:
            await self.aclose()
        except asyncio.CancelledError:
            await self.abort()
            raise

    async def _end(self, error: RingfenceError) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._fail(error)

    def _fail(self, error: RingfenceError) -> None:
        """Gives everything up, now and from now on."""
        if self._closed is None:
            self._closed = error
        self._window.fail(error)
        self._settled()

    def _settled(self) -> None:
        """Some commands were settled: wakes those who wait for that."""
        left = len(self._window)
        if not left:
            self._drained.set()
        if self._room_waiters and (left <= self._room_again or self._closed is not None):
            waiters, self._room_waiters = self._room_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def _run(self) -> None:
        """One stream after the other, until the pipeline ends."""
        try:
            while True:
                if not len(self._window):
                    self._wake.clear()
                    await self._wake.wait()
                error = await self._stream()
                self._window.broken(time.monotonic(), error)
                if isinstance(error, ENDS_STREAMS):
                    self._fail(error)
                    return
                self._failures += 1
                await self._pause(error)
        except Exception as error:
            # A fault of this client must not leave anybody waiting.
            fault = InternalError(f"the pipeline failed: {error!r}")
            fault.__cause__ = error
            self._fail(fault)
            raise

    async def _stream(self) -> RingfenceError | None:
        """One stream from its opening to its end. Gives why it ended; None is in good order."""
        try:
            stream = AsyncStream(self._transport.stream(self._kind.rpc))
        except ClientClosed as error:
            return error
        self._window.opening(time.monotonic())
        writing = asyncio.create_task(self._write(stream))
        reading = asyncio.create_task(stream.read(self._take))
        going = {writing, reading}
        try:
            while True:
                # The stream ends with its reader, who alone has every answer and the reason.
                done, going = await asyncio.wait(going, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if writing in done and not writing.cancelled():
                    writing.result()  # raises a fault of this client
                if reading in done:
                    return reading.result()
                if self._window.expire(time.monotonic(), None):
                    self._settled()
                    return RingfenceError("no answer in time", code="DEADLINE_EXCEEDED")
                self._settled()
        finally:
            stream.cancel()
            writing.cancel()
            reading.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def _write(self, stream: AsyncStream) -> None:
        """Sends what there is, message after message, as long as the stream takes it."""
        # What never left this process was not done: so nothing leaves it for a service that may not be there.
        if not await stream.accepted():
            return
        self._window.connected()
        while True:
            commands = self._window.take(time.monotonic())
            if commands:
                message = self._kind.rpc.request(**{self._kind.field: [command.message for command in commands]})
                if not await stream.write(message):
                    return
            else:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    # What was put off falls due by itself.
                    async with asyncio.timeout(self._window.next_delayed(time.monotonic())):
                        await self._wake.wait()

    def _take(self, message: Any) -> None:
        """Settles what is answered."""
        self._failures = 0
        now = time.monotonic()
        for outcome in message.outcomes:
            self._window.answered(outcome, now)
        self._settled()
        self._wake.set()

    async def _pause(self, error: RingfenceError | None) -> None:
        """Waits before the next stream; deadlines pass meanwhile too."""
        end = time.monotonic() + pause_seconds(self._transport.config.retry, self._failures, error, random.random)
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _TICK_SECONDS))
            self._window.expire(time.monotonic(), error)
            self._settled()


class AsyncPipeline(CommandStream, PipelineCommands):
    """Commands of any kind on their way over one Execute stream. See CommandStream."""

    _kind = EXECUTE


class AsyncStockPipeline(CommandStream):
    """Facts on their way over one SyncStock stream. See CommandStream; posts submitted in one turn of the event loop
    are decided in their order."""

    _kind = SYNC_STOCK

    def post_stock(
        self,
        figures: StockFigure | Iterable[StockFigure] = (),
        *,
        source: str = "",
        bookings: SaleBooking | Iterable[SaleBooking] = (),
        count_id: str = "",
        begin_count: CountBegin | None = None,
        end_count: CountEnd | None = None,
        request_id: str | None = None,
    ) -> CommandFuture[PostStockResult]:
        """Submits PostStock, with the arguments of the client's method."""
        command = PostStock(
            figures,
            source=source,
            bookings=bookings,
            count_id=count_id,
            begin_count=begin_count,
            end_count=end_count,
        )
        return self.submit(command, request_id=request_id)
