"""StreamOrders: events go out under leases, the till's replies come in, each acknowledged once it is durable.

A stream has a reader, a taker and a writer. The reader takes the subscription, then replies, and hands them to the
committer. The taker (``order_taking``) asks the ledger for events (``TakeOrders``, committed like any command) whenever
the adapter has room and a commit, the end of a lease or the end of a pause may have opened some; beside it the leases
of an adapter that says something begin anew. The writer sends what has gathered.
Nothing is taken while the caller does not read what was taken before, so a slow one holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import grpc
import grpc.aio

from ringfence.v1 import order_feed_service_pb2 as pb
from ringfence_server.committer import Answer, Request, Stamp
from ringfence_server.ledger.outcomes import Decision, Invalid, OrderReplied, ReplyResult, Violation
from ringfence_server.watch import OrderListener

from .encode import refused
from .encode_till import order_ack
from .errors import Refused, draining_status, invalid, replaced_status, status_for
from .execute import submit_patiently
from .handlers import Context, Handlers, end, parser, unreadable
from .identity import Identity, identity_of
from .order_commands import OrderCommands, Stopped, status_of
from .order_taking import Handed, OrderTaking
from .parse_till import order_reply, subscription
from .services import Services
from .wire import delimited, delimited_tag, messages, timestamp

PATH: Final = "/ringfence.v1.OrderFeedService/StreamOrders"
METHOD: Final = "StreamOrders"
_LARGEST_MESSAGE: Final = 1_048_576
_MOST_REPLIES: Final = 1_000
_LONGEST_ID: Final = 64
_RESPONSE: Final = pb.StreamOrdersResponse.DESCRIPTOR.fields_by_name
_ACK: Final = delimited_tag(_RESPONSE["acks"].number)
_SERVER_TIME: Final = delimited_tag(_RESPONSE["server_time"].number)


def order_feed_handlers(services: Services) -> Handlers:
    """The handler of StreamOrders."""

    async def handle(_: Any, context: Context) -> None:
        stream: _Stream | None = None
        services.counts.adapters += 1
        status: bytes | None
        try:
            stream = _Stream(services, identity_of(context.invocation_metadata()), context)
            status = await stream.serve()
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            status = status_for(error, METHOD)
        finally:
            services.counts.adapters -= 1
            if stream is not None:
                stream.close()
        if status is not None:
            await end(context, status)

    return {PATH: grpc.stream_stream_rpc_method_handler(handle, request_deserializer=parser(pb.StreamOrdersRequest))}


class _Stream:
    """One call."""

    def __init__(self, services: Services, identity: Identity, context: Context) -> None:
        self._services = services
        self._committer = services.committer
        self._clock = services.clock
        self._identity = identity
        self._context = context
        self._counts = services.counts
        self._listener: OrderListener | None = None
        self._commands = OrderCommands(services, identity)
        self._taking: OrderTaking | None = None
        self._events: list[Handed] = []
        self._acks: list[bytes] = []
        self._unanswered = 0
        """Replies that wait to be durable, or whose acknowledgement waits to be sent."""
        self._status: bytes | None = None
        self._stopping = False
        self._ended = False
        self._reading = self._writing = False
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._sent = asyncio.Event()
        self._takers: list[asyncio.Task[None]] = []
        self._reader = self._start(self._read)
        self._drain = asyncio.create_task(services.draining.wait(), name="orders-drain")
        self._drain.add_done_callback(lambda _: self._stop(draining_status()))

    async def serve(self) -> bytes | None:
        """Writes until the stream ends; answers the status that it ends with, None where the adapter ended it."""
        context, wake = self._context, self._wake
        while True:
            if self._events or self._acks:
                self._writing = True
                for message in self._messages():
                    await context.write(message)
                self._writing = False
                self._sent.set()
                self._space.set()
            elif self._stopping and self._reader.done() and not self._unanswered:
                return self._status
            else:
                wake.clear()
                await wake.wait()

    def close(self) -> None:
        """Ends the stream's tasks. What the adapter has stays its own until it comes back or the leases end."""
        self._ended = self._stopping = True
        if self._listener is not None:
            self._services.bell.leave(self._listener)
        for task in (self._reader, self._drain, *self._takers):
            task.cancel()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work), name="orders")
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Stopped as stopped:
            self._stop(stopped.status)
        except Exception as error:
            self._counts.commands[METHOD, "refused" if isinstance(error, Refused) else "failed"] += 1
            self._stop(status_for(error, METHOD))

    def _stop(self, status: bytes | None) -> None:
        """Takes no more events, reads no more; what was read is answered. A message that is being taken is taken to its
        end."""
        if self._stopping:
            return
        self._stopping = True
        self._status = status
        if self._listener is not None:
            self._services.bell.leave(self._listener)
        for taker in self._takers:
            taker.cancel()
        if self._reading:
            self._reader.cancel()
        self._space.set()
        self._wake.set()

    # --- replies in --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        most = self._services.limits.max_replies_per_stream
        while True:
            while self._unanswered >= most and not self._stopping:
                self._space.clear()
                await self._space.wait()
            await self._committer.room()
            if self._stopping:
                return
            self._reading = True
            message = await self._context.read()
            self._reading = False
            if message is grpc.aio.EOF:
                self._stop(None)
                return
            if message is None:
                raise unreadable()
            self._subscribe(message)
            if self._taking is not None:
                self._taking.said_something()
            if len(message.replies) > _MOST_REPLIES:
                text = f"at most {_MOST_REPLIES:,} replies a message; got {len(message.replies):,}"
                raise invalid("replies", "TOO_MANY", text)
            for reply in message.replies:
                await self._reply(reply)

    def _subscribe(self, message: pb.StreamOrdersRequest) -> None:
        if self._listener is not None:
            if message.HasField("subscribe"):
                text = "a stream has one subscription, in its first message; open another stream for another one"
                raise invalid("subscribe", "SUBSCRIBED_ALREADY", text)
            return
        if not message.HasField("subscribe"):
            raise invalid("subscribe", "REQUIRED", "the first message says which adapter takes which locations")
        faults: list[Violation] = []
        wanted = subscription(message.subscribe, faults)
        if faults:
            raise Refused(Invalid(tuple(faults)))
        replaced = partial(self._stop, replaced_status(wanted.adapter))
        look = asyncio.Event()
        listener = OrderListener(self._identity.organization, wanted.adapter, wanted.locations, replaced, look)
        self._listener = listener
        self._services.bell.listen(listener)
        taking = self._taking = OrderTaking(
            self._services, self._commands, wanted, look, hand_over=self._hand_over, until_read=self._until_read
        )
        self._takers = [self._start(taking.take), self._start(taking.keep)]

    async def _reply(self, reply: pb.OrderReply) -> None:
        faults: list[Violation] = []
        name = reply.event_id
        command = order_reply(reply, faults)
        self._unanswered += 1
        if command is None:
            first = faults[0]
            text = f"{first.field}: {first.rule}: {first.description}"
            self._counts.commands[METHOD, "refused"] += 1
            self._acknowledge(order_ack(name[:_LONGEST_ID], ReplyResult.REFUSED, text))
            return
        results: list[ReplyResult] = []

        def encode(decision: Decision, stamp: Stamp) -> bytes:
            if not isinstance(decision, OrderReplied):
                return refused(decision)
            results[:] = (decision.result,)
            return order_ack(name, decision.result, decision.fault)

        def sink(request: Request, answer: Answer) -> None:
            if self._ended:
                return
            if answer.failure is not None or answer.refusal:
                # Not acknowledged: the adapter says it again on its next stream.
                self._unanswered -= 1
                self._counts.commands[METHOD, "failed"] += 1
                self._stop(status_of(request, answer))
                self._wake.set()
                return
            taken = results[0] is not ReplyResult.REFUSED
            if taken and self._taking is not None:
                self._taking.replied(command.event_id)
            self._counts.commands[METHOD, "accepted" if taken else "refused"] += 1
            self._acknowledge(answer.payload)

        request = self._commands.request(command, 1, encode, sink, kept=True)
        try:
            await submit_patiently(self._committer, request)
        except BaseException:
            self._unanswered -= 1
            raise

    def _acknowledge(self, ack: bytes) -> None:
        self._acks.append(delimited(_ACK, ack))
        self._wake.set()

    # --- events out --------------------------------------------------------------------------------------------------

    def _hand_over(self, taken: Sequence[Handed]) -> None:
        if taken:
            self._events.extend(taken)
            self._wake.set()

    async def _until_read(self) -> None:
        while self._events or self._writing:
            self._sent.clear()
            await self._sent.wait()

    # --- messages ----------------------------------------------------------------------------------------------------

    def _messages(self) -> list[bytes]:
        """What has gathered, as messages. Events whose lease ended while the caller did not read are left out."""
        now = self._clock.now()
        events, self._events = self._events, []
        acks, self._acks = self._acks, []
        self._unanswered -= len(acks)
        live = [each.message for each in events if each.lease_until > now]
        self._counts.events_handed += len(live)
        time = timestamp(_SERVER_TIME, now)
        return [piece + time for piece in messages((*acks, *live), _LARGEST_MESSAGE)]
