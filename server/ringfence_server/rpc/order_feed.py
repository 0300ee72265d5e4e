"""StreamOrders: events go out under leases, the till's replies come in, each acknowledged once it is durable.

A stream has a reader, a taker and a writer. The reader takes the subscription, then replies, and hands them to the
committer. The taker asks the ledger for events (``TakeOrders``, committed like any command) whenever the adapter has
room and a commit, the end of a lease or the end of a pause may have opened some. The writer sends what has gathered.
Nothing is taken while the caller does not read what was taken before, so a slow one holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio

from ringfence.v1 import order_feed_service_pb2 as pb
from ringfence_server.committer import Answer, Request, Stamp
from ringfence_server.ledger.commands import Command, TakeOrders
from ringfence_server.ledger.outcomes import Decision, Invalid, OrderReplied, OrdersTaken, ReplyResult, Violation
from ringfence_server.watch import OrderListener

from .encode import refused
from .encode_till import order_ack, order_event
from .errors import Refused, draining_status, failure_status, invalid, replaced_status, status_for
from .execute import submit_patiently
from .handlers import Context, Handlers, end, parser, unreadable
from .identity import Identity, identity_of
from .parse_till import order_reply, subscription
from .render import uuid_text
from .services import Services
from .wire import delimited, delimited_tag, messages, timestamp

PATH: Final = "/ringfence.v1.OrderFeedService/StreamOrders"
METHOD: Final = "StreamOrders"
_LARGEST_MESSAGE: Final = 1_048_576
_MOST_REPLIES: Final = 1_000
_MOST_A_TAKE: Final = 200
"""Events of one transaction, so that a stream with much to do holds up no others."""
_LONGEST_ID: Final = 64
_SHORTEST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_RESPONSE: Final = pb.StreamOrdersResponse.DESCRIPTOR.fields_by_name
_EVENT: Final = delimited_tag(_RESPONSE["events"].number)
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


class _Handed(NamedTuple):
    """An event that was handed over."""

    event_id: bytes
    lease_until: int
    message: bytes
    """As a field of the response."""


class _Stopped(Exception):
    """The committer could not carry out what the stream asked; the stream ends with this status."""

    def __init__(self, status: bytes) -> None:
        super().__init__("the stream ends")
        self.status = status


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
        self._in_flight: dict[bytes, int] = {}
        """Events handed over and not replied to, with the end of their lease."""
        self._events: list[_Handed] = []
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
        self._look = asyncio.Event()
        """Rung when there may be something to take, or room for it again."""
        self._most_in_flight = 0
        self._taker: asyncio.Task[None] | None = None
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
        for task in (self._reader, self._drain, self._taker):
            if task is not None:
                task.cancel()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work), name="orders")
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except _Stopped as stopped:
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
        if self._taker is not None:
            self._taker.cancel()
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
        listener = OrderListener(self._identity.organization, wanted.adapter, wanted.locations, replaced, self._look)
        self._listener = listener
        self._most_in_flight = wanted.limit
        self._services.bell.listen(listener)
        self._taker = self._start(partial(self._take_on, wanted))

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
                self._stop(_status_of(request, answer))
                self._wake.set()
                return
            taken = results[0] is not ReplyResult.REFUSED
            if taken:
                if len(self._in_flight) >= self._most_in_flight:
                    self._look.set()
                self._in_flight.pop(command.event_id, None)
            self._counts.commands[METHOD, "accepted" if taken else "refused"] += 1
            self._acknowledge(answer.payload)

        request = self._request(command, 1, encode, sink, kept=True)
        try:
            await submit_patiently(self._committer, request)
        except BaseException:
            self._unanswered -= 1
            raise

    def _acknowledge(self, ack: bytes) -> None:
        self._acks.append(delimited(_ACK, ack))
        self._wake.set()

    # --- events out --------------------------------------------------------------------------------------------------

    async def _take_on(self, wanted: TakeOrders) -> None:
        """Takes events while the adapter has room, until the stream ends."""
        resume, pause = True, _SHORTEST_PAUSE_SECONDS
        while True:
            while self._events or self._writing:
                # The caller does not read: what is taken for it now would only wait here while its lease runs out.
                self._sent.clear()
                await self._sent.wait()
            self._look.clear()
            now = self._clock.now()
            self._in_flight = {event: until for event, until in self._in_flight.items() if until > now}
            room = min(wanted.limit - len(self._in_flight), _MOST_A_TAKE)
            if not room:
                await self._until(min(self._in_flight.values()))
                continue
            command = wanted._replace(limit=room, resume=resume, holding=frozenset(self._in_flight))
            taken = await self._take(command)
            # Of what it had before it came back the rest follows as it gets room.
            resume = resume and len(taken) == room
            self._hand_over(taken)
            if taken or self._look.is_set():
                pause = _SHORTEST_PAUSE_SECONDS
            if len(taken) == room or self._look.is_set():
                continue
            due = await self._services.reader.orders_due(self._identity.organization, wanted.locations)
            if due is None or due > self._clock.now():
                await self._until(due)
            else:
                # Opened since, or open and behind an earlier event of its part that another adapter has.
                await self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _take(self, command: TakeOrders) -> Sequence[_Handed]:
        """Commits the handing over; what it answers is this adapter's alone.

        Raises:
            _Stopped: the subscription is refused, or the store cannot be had.
        """
        taken: list[_Handed] = []
        outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def encode(decision: Decision, stamp: Stamp) -> bytes:
            if not isinstance(decision, OrdersTaken):
                return refused(decision)
            # A batch that is run again hands over again.
            taken[:] = [
                _Handed(each.event.event_id, each.event.lease_until, delimited(_EVENT, order_event(each)))
                for each in decision.orders
            ]
            return b""

        def sink(request: Request, answer: Answer) -> None:
            if not outcome.done():
                outcome.set_result(answer)

        request = self._request(command, command.limit, encode, sink, kept=False)
        await submit_patiently(self._committer, request)
        answer = await outcome
        if answer.failure is not None or answer.refusal:
            raise _Stopped(_status_of(request, answer))
        return taken

    def _hand_over(self, taken: Sequence[_Handed]) -> None:
        self._in_flight.update((each.event_id, each.lease_until) for each in taken)
        if taken:
            self._events.extend(taken)
            self._wake.set()

    async def _until(self, instant: int | None) -> None:
        """Waits for the bell, a reply, or an instant of the server's clock."""
        if instant is None:
            await self._look.wait()
            return
        waiting = {
            asyncio.ensure_future(self._look.wait()),
            asyncio.ensure_future(self._clock.sleep_until(instant)),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look.wait()

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

    def _request(self, command: Command, weight: int, encode: Any, sink: Any, *, kept: bool) -> Request:
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


def _status_of(request: Request, answer: Answer) -> bytes:
    if answer.failure is not None:
        return failure_status(answer.failure, uuid_text(request.request_id))
    return answer.payload


def _new_id(now: int) -> bytes:
    """A UUIDv7 for a command that a stream makes: nobody sends it twice, and what it moved is found by it."""
    value = (now // 1_000 & (1 << 48) - 1) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return value.to_bytes(16, "big")
