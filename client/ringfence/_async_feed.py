"""An order feed over a grpc.aio channel."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from types import TracebackType

from ringfence import _feed, _rpcs
from ringfence._async_stream import AsyncStream
from ringfence._async_transport import AsyncTransport
from ringfence._enums import OrderReplyResult
from ringfence._errors import ClientClosed, InternalError, RingfenceError
from ringfence._feed import EventLike, FeedCursor
from ringfence._till_types import OrderEvent
from ringfence.v1 import order_feed_service_pb2 as pb

__all__ = ["AsyncOrderFeed"]


class AsyncOrderFeed:
    """Events for tills, for `async for`, and the way back for replies. At least once: an event comes again after a
    lease that ended, a failure or a broken stream, so dedupe by `event_id` and book by `order_reference`.

    Every reply returns when it is durable: RECORDED, DUPLICATE (replied to before) or UNKNOWN_EVENT. Each takes the
    event or its id, and raises InvalidArgument when it does not answer that kind of event, OutcomeUnknown when no
    acknowledgement came within the client's timeout. The feed reconnects by itself until it is closed, or its
    client is.
    """

    def __init__(self, transport: AsyncTransport, cursor: FeedCursor) -> None:
        self._transport = transport
        self._cursor = cursor
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._room = asyncio.Semaphore(_feed.MOST_REPLIES)
        self._stream: AsyncStream | None = None
        self._ended: RingfenceError | None = None

    def __aiter__(self) -> AsyncOrderFeed:
        return self

    async def __anext__(self) -> OrderEvent:
        taken = await self.take()
        if not taken:
            raise StopAsyncIteration
        return taken[0]

    async def take(self, most: int = 1, *, timeout: timedelta | None = None) -> list[OrderEvent]:
        """Up to `most` events that are there, waiting for the first at most `timeout`; None is without end. Empty when
        none came, or the feed is closed."""
        self._start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                while True:
                    self._changed.clear()
                    taken: list[OrderEvent] = []
                    while len(taken) < most and (event := self._cursor.next_event()) is not None:
                        taken.append(event)
                    if taken:
                        return taken
                    if self._ended is not None:
                        if isinstance(self._ended, ClientClosed):
                            return []
                        raise self._ended
                    await self._changed.wait()
        return []

    async def received(
        self, event: EventLike, *, document_number: str = "", time: datetime | None = None
    ) -> OrderReplyResult:
        """The till has the order, under its own `document_number`, since `time` by its clock; None is now. That is not
        booked and not settled."""
        return await self._reply(_feed.received(event, document_number, time))

    async def rejected(self, event: EventLike, reason: str) -> OrderReplyResult:
        """The till will not serve the order. The sale stands until the channel decides."""
        return await self._reply(_feed.rejected(event, reason))

    async def confirm_cancellation(self, event: EventLike) -> OrderReplyResult:
        """The till has cancelled the units: they can be sold again."""
        return await self._reply(_feed.confirm_cancellation(event))

    async def refuse_cancellation(self, event: EventLike, reason: str) -> OrderReplyResult:
        """The till does not cancel: the sale stands."""
        return await self._reply(_feed.refuse_cancellation(event, reason))

    async def failed(self, event: EventLike, error: str, *, retry_after: timedelta | None = None) -> OrderReplyResult:
        """The event could not be passed on; it comes again after `retry_after`, 0 to 24 hours, None at once."""
        return await self._reply(_feed.failed(event, error, retry_after))

    async def postponed(self, event: EventLike, *, retry_after: timedelta | None = None) -> OrderReplyResult:
        """The till was told and takes its time: the event gives its place in `max_in_flight` back, so that newer ones
        come, and stays this adapter's for `retry_after`, 1 second to 24 hours, None is an hour. It comes again then,
        unless it was answered or postponed anew. DUPLICATE says that it needs no answer any more."""
        return await self._reply(_feed.postponed(event, retry_after))

    def keep(self) -> None:
        """Says that this adapter lives: what it was handed and has not answered stays its own for at least another
        lease. Every reply says so too; who says nothing for a lease loses its events to another adapter. Sends nothing
        while there is no stream."""
        if self._stream is not None:
            self._cursor.keep()
            self._wake.set()

    async def aclose(self) -> None:
        """Ends the feed; whoever reads it gets the end of the iteration. What was not replied to comes again, to any
        adapter of the location. Closing twice is nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._end(ClientClosed("the order feed is closed"))

    async def __aenter__(self) -> AsyncOrderFeed:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _reply(self, message: pb.OrderReply) -> OrderReplyResult:
        self._start()
        async with self._room:
            if self._ended is not None:
                raise self._ended
            pending = self._cursor.reply(message)
            self._wake.set()
            try:
                async with asyncio.timeout(self._transport.config.timeout.total_seconds()):
                    return await asyncio.shield(asyncio.wrap_future(pending.outcome))
            except TimeoutError:
                # A stream that acknowledges nothing is worth nothing.
                if self._stream is not None:
                    self._stream.cancel()
                raise self._cursor.give_up(pending) from None

    def _start(self) -> None:
        if self._task is None and self._ended is None:
            self._task = asyncio.create_task(self._run(), name="ringfence-orders")

    def _end(self, error: RingfenceError) -> None:
        if self._ended is None:
            self._ended = error
        self._cursor.fail(error)
        self._changed.set()

    async def _run(self) -> None:
        """One stream after the other, until none will do better."""
        try:
            while True:
                pause = self._cursor.broken(await self._one_stream())
                await asyncio.sleep(pause)
        except RingfenceError as error:
            self._end(error)
        except Exception as error:
            # A fault of this client must not leave anybody waiting.
            fault = InternalError(f"the order feed failed: {error!r}")
            fault.__cause__ = error
            self._end(fault)
            raise

    async def _one_stream(self) -> RingfenceError | None:
        """One stream from its opening to its end. Gives why it ended; None is in good order."""
        stream = self._stream = AsyncStream(self._transport.stream(_rpcs.STREAM_ORDERS))
        writing = asyncio.create_task(self._write(stream, self._cursor.subscribe()))
        try:
            return await stream.read(self._take)
        finally:
            stream.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, stream: AsyncStream, first: pb.StreamOrdersRequest) -> None:
        message: pb.StreamOrdersRequest | None = first
        while True:
            if message is not None and not await stream.write(message):
                return
            self._wake.clear()
            message = self._cursor.unsent()
            if message is None:
                await self._wake.wait()

    def _take(self, message: pb.StreamOrdersResponse) -> None:
        self._cursor.accept(message)
        self._changed.set()
