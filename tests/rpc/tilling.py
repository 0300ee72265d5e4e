"""The RPCs of the till side served on loopback over a store in memory: a north store with a till, a shop that sells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, cast

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import (
    allocation_service_pb2_grpc,
    common_pb2,
    order_feed_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.clock import ManualClock
from ringfence_server.committer import Committer
from ringfence_server.ledger.policy import Location, LocationKind, Policy
from ringfence_server.ledger.reading import Reader
from ringfence_server.ledger.state import Part
from ringfence_server.ledger.till_state import EventState
from ringfence_server.rpc.commands import command_handlers
from ringfence_server.rpc.execute import execute_handlers
from ringfence_server.rpc.handlers import serve_all
from ringfence_server.rpc.order_feed import order_feed_handlers
from ringfence_server.rpc.services import Counts, RpcLimits, Services
from ringfence_server.watch import Hub, OrderBell
from tests.committer.memory import MemoryStore, events_of
from tests.rpc.messages import new_id, stock_key

CUSTOMER = common_pb2.CANCEL_REASON_CUSTOMER
LIMITS = RpcLimits()
TILLS = Policy(
    revision=2,
    locations=(Location("north", LocationKind.TILL), Location("south", LocationKind.TILL, source="pos-south")),
)


class ClockedStore(MemoryStore):
    """A store in memory whose time is a clock's."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        super().__init__()

    @property
    def now(self) -> int:
        """Microseconds since the epoch."""
        return self._clock.now()

    @now.setter
    def now(self, _: int) -> None:
        """The clock is moved instead."""


class MemoryReader:
    """What the order feed reads."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.looked = 0

    async def orders_due(self, organization: str, locations: Sequence[str]) -> int | None:
        """The first end of a lease or of a pause."""
        self.looked += 1
        return min(
            (
                event.not_before if event.state is EventState.WAITING else event.lease_until
                for _, part, event in events_of(self._store.rows)
                if part.stock.key.location in locations
                and event.open
                and (event.state is not EventState.WAITING or event.not_before > self._store.now)
            ),
            default=None,
        )


class Tilled(NamedTuple):
    """What a test works with."""

    store: ClockedStore
    clock: ManualClock
    committer: Committer
    services: Services
    reader: MemoryReader
    address: str
    allocation: Any
    stock: Any
    feed: Any

    async def sell(self, quantity: int = 1, *, sku: str = "LAMP", location: str = "north", order: str = "") -> str:
        """Sells units without a hold; answers the reservation's id."""
        line = pb.ReserveLine(key=stock_key(sku, location), quantity=quantity)
        request = pb.ConsumeRequest(
            request_id=new_id(), direct=pb.DirectSale(lines=[line]), order_reference=order, attributes=b"gift wrap"
        )
        answer: pb.ConsumeResponse = await self.allocation.Consume(request)
        return answer.reservation.reservation_id

    async def cancel(self, reservation_id: str, reason: str = "changed her mind") -> pb.CancelResponse:
        """Cancels all of it."""
        request = pb.CancelRequest(
            request_id=new_id(), reservation_id=reservation_id, reason=CUSTOMER, reason_text=reason
        )
        answer: pb.CancelResponse = await self.allocation.Cancel(request)
        return answer

    async def post(self, value: int, position: int, *, location: str = "north", **fields: Any) -> Any:
        """Posts a figure of the lamps."""
        figure = stock_service_pb2.StockFigure(key=stock_key("LAMP", location), value=value, position=position)
        request = stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure], **fields)
        return await self.stock.PostStock(request)

    def part(self, reservation_id: str) -> Part:
        """The only part of a reservation, as stored."""
        return self.store.rows.reservations[bytes.fromhex(reservation_id.replace("-", ""))].parts[0]

    def stream(self, adapter: str = "erp", *locations: str, lease: int = 60, **fields: Any) -> AdapterStream:
        """An adapter's stream, subscribed."""
        subscription = feed.OrderSubscription(
            adapter=adapter, locations=locations or ("north",), lease=Duration(seconds=lease), **fields
        )
        return AdapterStream(self.feed.StreamOrders(), subscription)


class AdapterStream:
    """An adapter's side of StreamOrders."""

    def __init__(self, call: Any, subscription: feed.OrderSubscription) -> None:
        self.call = call
        self._subscription: feed.OrderSubscription | None = subscription
        self._events: list[feed.OrderEvent] = []
        self._acks: list[feed.OrderAck] = []

    async def _begin(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await self.call.write(feed.StreamOrdersRequest(subscribe=subscription))

    async def events(self, count: int = 1) -> list[feed.OrderEvent]:
        """The next events."""
        await self._read(self._events, count)
        taken, self._events = self._events[:count], self._events[count:]
        return taken

    async def event(self) -> feed.OrderEvent:
        """The next event."""
        (event,) = await self.events()
        return event

    def waiting(self) -> list[feed.OrderEvent]:
        """Events that came with what was read."""
        taken, self._events = self._events, []
        return taken

    async def send(self, *replies: feed.OrderReply) -> None:
        """Replies, without waiting."""
        await self._begin()
        await self.call.write(feed.StreamOrdersRequest(replies=replies))

    async def reply(self, event: feed.OrderEvent | str, **reply: Any) -> feed.OrderAck:
        """Replies to an event and waits until that is durable."""
        event_id = event if isinstance(event, str) else event.event_id
        await self.send(feed.OrderReply(event_id=event_id, **reply))
        (ack,) = await self.acks()
        return ack

    async def acks(self, count: int = 1) -> list[feed.OrderAck]:
        """The next acknowledgements."""
        await self._read(self._acks, count)
        taken, self._acks = self._acks[:count], self._acks[count:]
        return taken

    async def settled(self) -> None:
        """Whatever was to be handed over at this moment was read: the answer to a reply to no event comes behind it."""
        for _ in range(2):
            ack = await self.reply("00000000-0000-4000-8000-000000000000", received={})
            assert ack.result == feed.ORDER_REPLY_RESULT_UNKNOWN_EVENT

    async def nothing(self) -> None:
        """Nothing is handed over."""
        await self.settled()
        assert not self._events

    async def failure(self) -> grpc.aio.AioRpcError:
        """What the stream ends with."""
        try:
            while True:
                await self._begin()
                if await self.call.read() is grpc.aio.EOF:
                    raise AssertionError(f"the stream ended with {await self.call.code()}")
        except grpc.aio.AioRpcError as error:
            return error

    async def done(self) -> None:
        """Ends the stream as an adapter does that stops."""
        await self.call.done_writing()
        while await self.call.read() is not grpc.aio.EOF:
            pass
        assert await self.call.code() == grpc.StatusCode.OK

    def keep(self, message: feed.StreamOrdersResponse) -> None:
        """Keeps what was read for whoever asks."""
        self._events.extend(message.events)
        self._acks.extend(message.acks)

    async def _read(self, into: list[Any], count: int) -> None:
        await self._begin()
        while len(into) < count:
            async with asyncio.timeout(60):
                message = await self.call.read()
            assert message is not grpc.aio.EOF, "the stream ended"
            self.keep(message)


@contextlib.asynccontextmanager
async def tills_served(limits: RpcLimits = LIMITS) -> AsyncIterator[Tilled]:
    """100 LAMP at the north and the south store; each has a till."""
    clock = ManualClock()
    store = ClockedStore(clock)
    store.rows.policies["default"] = TILLS
    reader, bell = MemoryReader(store), OrderBell()
    committer = Committer(store, on_commit=bell.publish)
    committer.start()
    services = Services(
        committer=committer,
        reader=cast(Reader, reader),
        clock=clock,
        limits=limits,
        hub=Hub(),
        draining=asyncio.Event(),
        counts=Counts(),
        bell=bell,
    )
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handlers = {**command_handlers(services), **execute_handlers(services), **order_feed_handlers(services)}
    server.add_generic_rpc_handlers((serve_all(handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        tilled = Tilled(
            store,
            clock,
            committer,
            services,
            reader,
            address,
            allocation_service_pb2_grpc.AllocationServiceStub(channel),
            stock_service_pb2_grpc.StockServiceStub(channel),
            order_feed_service_pb2_grpc.OrderFeedServiceStub(channel),
        )
        await tilled.post(100, 1)
        await tilled.post(100, 1, location="south", source="pos-south")
        yield tilled
    store.let_go()
    await server.stop(0)
    await committer.drain()
