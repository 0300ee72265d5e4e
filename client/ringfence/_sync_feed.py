"""An order feed over a plain gRPC channel."""

from __future__ import annotations

import queue
import threading
import time as clock
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import grpc

from ringfence import _feed, _rpcs
from ringfence._enums import OrderReplyResult
from ringfence._error_mapping import from_rpc_error
from ringfence._errors import ClientClosed, InternalError, RingfenceError
from ringfence._feed import EventLike, FeedCursor
from ringfence._sync_transport import SyncTransport
from ringfence._till_types import OrderEvent
from ringfence.v1 import order_feed_service_pb2 as pb

__all__ = ["OrderFeed"]


class OrderFeed:
    """Events for tills, for `for`, and the way back for replies. At least once: an event comes again after a lease that
    ended, a failure or a broken stream, so dedupe by `event_id` and book by `order_reference`.

    Every reply returns when it is durable: RECORDED, DUPLICATE (replied to before) or UNKNOWN_EVENT. Each takes the
    event or its id, and raises InvalidArgument when it does not answer that kind of event, OutcomeUnknown when no
    acknowledgement came within the client's timeout. Replies may come from any thread. The feed reconnects by itself
    until it is closed, from any thread, or its client is.
    """

    def __init__(self, transport: SyncTransport, cursor: FeedCursor) -> None:
        self._transport = transport
        self._cursor = cursor
        self._changed = threading.Condition()
        self._room = threading.BoundedSemaphore(_feed.MOST_REPLIES)
        self._closing = threading.Event()
        self._outbox: queue.SimpleQueue[pb.StreamOrdersRequest | None] | None = None
        self._call: Any = None
        self._thread: threading.Thread | None = None
        self._ended: RingfenceError | None = None

    def __iter__(self) -> Iterator[OrderEvent]:
        return self

    def __next__(self) -> OrderEvent:
        taken = self.take()
        if not taken:
            raise StopIteration
        return taken[0]

    def take(self, most: int = 1, *, timeout: timedelta | None = None) -> list[OrderEvent]:
        """Up to `most` events that are there, waiting for the first at most `timeout`; None is without end. Empty when
        none came, or the feed is closed."""
        end = None if timeout is None else clock.monotonic() + timeout.total_seconds()
        with self._changed:
            self._start()
            while True:
                taken: list[OrderEvent] = []
                while len(taken) < most and (event := self._cursor.next_event()) is not None:
                    taken.append(event)
                if taken:
                    return taken
                if self._ended is not None:
                    if isinstance(self._ended, ClientClosed):
                        return []
                    raise self._ended
                left = None if end is None else end - clock.monotonic()
                if left is not None and left <= 0:
                    return []
                self._changed.wait(left)

    def received(
        self, event: EventLike, *, document_number: str = "", time: datetime | None = None
    ) -> OrderReplyResult:
        """The till has the order, under its own `document_number`, since `time` by its clock; None is now. That is not
        booked and not settled."""
        return self._reply(_feed.received(event, document_number, time))

    def rejected(self, event: EventLike, reason: str) -> OrderReplyResult:
        """The till will not serve the order. The sale stands until the channel decides."""
        return self._reply(_feed.rejected(event, reason))

    def confirm_cancellation(self, event: EventLike) -> OrderReplyResult:
        """The till has cancelled the units: they can be sold again."""
        return self._reply(_feed.confirm_cancellation(event))

    def refuse_cancellation(self, event: EventLike, reason: str) -> OrderReplyResult:
        """The till does not cancel: the sale stands."""
        return self._reply(_feed.refuse_cancellation(event, reason))

    def failed(self, event: EventLike, error: str, *, retry_after: timedelta | None = None) -> OrderReplyResult:
        """The event could not be passed on; it comes again after `retry_after`, 0 to 24 hours, None at once."""
        return self._reply(_feed.failed(event, error, retry_after))

    def postponed(self, event: EventLike, *, retry_after: timedelta | None = None) -> OrderReplyResult:
        """The till was told and takes its time: the event gives its place in `max_in_flight` back, so that newer ones
        come, and stays this adapter's for `retry_after`, 1 second to 24 hours, None is an hour. It comes again then,
        unless it was answered or postponed anew. DUPLICATE says that it needs no answer any more."""
        return self._reply(_feed.postponed(event, retry_after))

    def keep(self) -> None:
        """Says that this adapter lives: what it was handed and has not answered stays its own for at least another
        lease. Every reply says so too; who says nothing for a lease loses its events to another adapter. Sends nothing
        while there is no stream."""
        with self._changed:
            if self._outbox is not None:
                self._cursor.keep()
                self._send()

    def close(self) -> None:
        """Ends the feed; whoever reads it gets the end of the iteration. What was not replied to comes again, to any
        adapter of the location. Closing twice is nothing."""
        self._closing.set()
        self._end(ClientClosed("the order feed is closed"))
        self._hang_up()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def __enter__(self) -> OrderFeed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _reply(self, message: pb.OrderReply) -> OrderReplyResult:
        with self._room:
            with self._changed:
                self._start()
                if self._ended is not None:
                    raise self._ended
                pending = self._cursor.reply(message)
                self._send()
            try:
                return _outcome(pending.outcome, self._transport.config.timeout)
            except TimeoutError:
                with self._changed:
                    unknown = self._cursor.give_up(pending)
                # A stream that acknowledges nothing is worth nothing.
                self._hang_up()
                raise unknown from None

    def _send(self) -> None:
        """Sends what waits to be sent, if there is a stream; its opening sends it else."""
        while self._outbox is not None and (message := self._cursor.unsent()) is not None:
            self._outbox.put(message)

    def _start(self) -> None:
        if self._thread is None and self._ended is None:
            self._thread = threading.Thread(target=self._run, name="ringfence-orders", daemon=True)
            self._thread.start()

    def _end(self, error: RingfenceError) -> None:
        with self._changed:
            if self._ended is None:
                self._ended = error
            self._cursor.fail(error)
            self._changed.notify_all()

    def _hang_up(self) -> None:
        with self._changed:
            call, outbox = self._call, self._outbox
            self._outbox = None
        if outbox is not None:
            outbox.put(None)
        if call is not None:
            call.cancel()

    def _run(self) -> None:
        """One stream after the other, until none will do better."""
        try:
            while not self._closing.is_set():
                error = self._one_stream()
                if self._transport.closed:
                    raise ClientClosed("the client was closed")
                with self._changed:
                    pause = self._cursor.broken(error)
                self._closing.wait(pause)
        except RingfenceError as error:
            self._end(error)
        except Exception as error:
            if self._transport.closed:  # gRPC has many words for a channel that was closed under it
                self._end(ClientClosed("the client was closed"))
                return
            # A fault of this client must not leave anybody waiting.
            fault = InternalError(f"the order feed failed: {error!r}")
            fault.__cause__ = error
            self._end(fault)
            raise

    def _one_stream(self) -> RingfenceError | None:
        """One stream from its opening to its end. Gives why it ended; None is in good order, or by this side."""
        outbox: queue.SimpleQueue[pb.StreamOrdersRequest | None] = queue.SimpleQueue()
        with self._changed:
            # Before the service hears of the stream: what the one before brought and nobody read comes by this one.
            outbox.put(self._cursor.subscribe())
        call = self._transport.stream(_rpcs.STREAM_ORDERS, iter(outbox.get, None))
        with self._changed:
            self._call, self._outbox = call, outbox
            self._send()
        if self._closing.is_set():
            self._hang_up()
        try:
            for message in call:
                with self._changed:
                    self._cursor.accept(message)
                    self._changed.notify_all()
        except grpc.RpcError as failure:
            error = from_rpc_error(failure)
            return None if error.code == "CANCELLED" else error
        finally:
            self._hang_up()
        return None


def _outcome(future: Future[OrderReplyResult], timeout: timedelta) -> OrderReplyResult:
    return future.result(timeout=timeout.total_seconds())
