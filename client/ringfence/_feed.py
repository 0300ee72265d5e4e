"""Where an order feed stands: what it subscribes to, what waits to be read, and which replies are not durable yet. No
gRPC, no waiting."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import TypeAlias

from ringfence import _errors as e
from ringfence import _rpcs
from ringfence._config import ClientConfig
from ringfence._enums import OrderReplyResult
from ringfence._error_mapping import never_sent
from ringfence._parse_till import order_event
from ringfence._queries import strings
from ringfence._reconnect import Reconnects
from ringfence._till_types import OrderEvent
from ringfence._wire import ORDER_REPLY_RESULT, fill_duration, fill_timestamp
from ringfence.v1 import order_feed_service_pb2 as pb

EventLike: TypeAlias = "str | OrderEvent"
"""An event, or its id: a reply may come from another process than took the event."""

MOST_REPLIES = 1_000
"""Replies in one message, and replies that may be without an acknowledgement: who sends more waits."""
_ALIVE_SECONDS = 2.0
"""A stream that lasted this long was with a service, though no order came on it."""


def subscription(
    locations: Iterable[str], *, adapter: str, source: str, max_in_flight: int, lease: timedelta
) -> pb.OrderSubscription:
    """What a feed takes; ValueError or TypeError for what cannot be written."""
    if not 1 <= max_in_flight <= 1_000:
        raise ValueError("max_in_flight must be 1 to 1,000")
    message = pb.OrderSubscription(
        adapter=adapter, source=source, locations=strings(locations, "locations"), max_in_flight=max_in_flight
    )
    fill_duration(message.lease, lease)
    return message


def received(event: EventLike, document_number: str, time: datetime | None) -> pb.OrderReply:
    """The till has the order."""
    reply = _reply(event)
    reply.received.SetInParent()
    reply.received.document_number = document_number
    if time is not None:
        fill_timestamp(reply.received.time, time, "time")
    return reply


def rejected(event: EventLike, reason: str) -> pb.OrderReply:
    """The till will not serve the order."""
    reply = _reply(event)
    reply.rejected.reason = reason
    return reply


def confirm_cancellation(event: EventLike) -> pb.OrderReply:
    """The till has cancelled the units."""
    reply = _reply(event)
    reply.confirm_cancellation.SetInParent()
    return reply


def refuse_cancellation(event: EventLike, reason: str) -> pb.OrderReply:
    """The till does not cancel."""
    reply = _reply(event)
    reply.refuse_cancellation.reason = reason
    return reply


def failed(event: EventLike, error: str, retry_after: timedelta | None) -> pb.OrderReply:
    """The event could not be passed on."""
    reply = _reply(event)
    reply.failed.error = error
    if retry_after is not None:
        fill_duration(reply.failed.retry_after, retry_after)
    return reply


def postponed(event: EventLike, retry_after: timedelta | None) -> pb.OrderReply:
    """The till was told and answers later."""
    reply = _reply(event)
    reply.postponed.SetInParent()
    if retry_after is not None:
        fill_duration(reply.postponed.retry_after, retry_after)
    return reply


def _reply(event: EventLike) -> pb.OrderReply:
    return pb.OrderReply(event_id=event if isinstance(event, str) else event.event_id)


class PendingReply:
    """A reply until it is durable."""

    __slots__ = ("message", "outcome", "sent")

    def __init__(self, message: pb.OrderReply) -> None:
        self.message = message
        self.sent = False
        self.outcome: Future[OrderReplyResult] = Future()


class FeedCursor:
    """The state of one order feed over all its streams. Not thread-safe: its owner sees to that."""

    def __init__(self, subscribe: pb.OrderSubscription, config: ClientConfig) -> None:
        self._subscribe = subscribe
        self._config = config
        # Of an event that comes again before it is read, only the newest handing over counts.
        self._events: dict[str, OrderEvent] = {}
        self._replies: dict[str, PendingReply] = {}
        self._reconnects = Reconnects(config, _rpcs.STREAM_ORDERS, "an order feed")
        self._opened = 0.0
        self._keep = False

    def subscribe(self) -> pb.StreamOrdersRequest:
        """The first message of the next stream. What an earlier stream brought and nobody read comes again."""
        self._opened = time.monotonic()
        self._events.clear()
        self._keep = False
        for reply in self._replies.values():
            reply.sent = False
        return pb.StreamOrdersRequest(subscribe=self._subscribe)

    def reply(self, message: pb.OrderReply) -> PendingReply:
        """Takes a reply in. ValueError when another one to the same event is on its way."""
        found = self._replies.get(message.event_id)
        if found is not None:
            if found.message == message:
                return found
            raise ValueError(f"another reply to event {message.event_id} is on its way already")
        pending = self._replies[message.event_id] = PendingReply(message)
        return pending

    def keep(self) -> None:
        """The next message says that the adapter lives, with replies or without."""
        self._keep = True

    def unsent(self) -> pb.StreamOrdersRequest | None:
        """The next message; None when there is nothing to send."""
        waiting = [reply for reply in self._replies.values() if not reply.sent][:MOST_REPLIES]
        keep, self._keep = self._keep, False
        if not waiting:
            return pb.StreamOrdersRequest() if keep else None
        for reply in waiting:
            reply.sent = True
        return pb.StreamOrdersRequest(replies=[reply.message for reply in waiting])

    def accept(self, message: pb.StreamOrdersResponse) -> None:
        """Takes in what the stream brought."""
        self._reconnects.answered()
        for event in message.events:
            self._events[event.event_id] = order_event(event)
        for ack in message.acks:
            pending = self._replies.pop(ack.event_id, None)
            if pending is None or pending.outcome.done():
                continue
            result = ORDER_REPLY_RESULT[ack.result]
            if result is OrderReplyResult.REFUSED:
                pending.outcome.set_exception(
                    e.InvalidArgument(
                        f"the reply to event {ack.event_id} was refused: {ack.error}", code="INVALID_ARGUMENT"
                    )
                )
            else:
                pending.outcome.set_result(result)

    def next_event(self) -> OrderEvent | None:
        """The event that has waited longest; None when there is none."""
        if not self._events:
            return None
        return self._events.pop(next(iter(self._events)))

    def give_up(self, pending: PendingReply) -> e.OutcomeUnknown:
        """Forgets a reply whose acknowledgement did not come in time, and says so."""
        if self._replies.get(pending.message.event_id) is pending:
            del self._replies[pending.message.event_id]
        return e.OutcomeUnknown(
            f"no acknowledgement of the reply to event {pending.message.event_id} in time: it may be recorded. "
            "Replying again is safe",
            code="DEADLINE_EXCEEDED",
        )

    def fail(self, error: e.RingfenceError) -> None:
        """Gives every reply up."""
        replies, self._replies = self._replies, {}
        for pending in replies.values():
            if not pending.outcome.done():
                pending.outcome.set_exception(error)

    def broken(self, error: e.RingfenceError | None) -> float:
        """The seconds to wait before the next stream; raises `error` when no other will do better."""
        lasted = time.monotonic() - self._opened
        if lasted >= _ALIVE_SECONDS and not (error is not None and never_sent(error)):
            self._reconnects.began = True
        return self._reconnects.broken(error)
