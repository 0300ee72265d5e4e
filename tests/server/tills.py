"""A whole server with tills at the north and the south store, on a clock that the test moves, spoken to over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import (
    allocation_service_pb2_grpc,
    balance_pb2,
    common_pb2,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    order_feed_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.app import Server
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from ringfence_server.store.instants import SharedInstants
from tests.rpc.messages import new_id, stock_key
from tests.rpc.tilling import AdapterStream

TILL, OWNED = common_pb2.LOCATION_KIND_TILL, common_pb2.LOCATION_KIND_OWNED


class TillShop:
    """One server; short ways to say what happens, and to ask what is."""

    def __init__(self, server: Server, clock: ManualClock, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.clock = clock
        self.allocation: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        self.stocks: Any = stock_service_pb2_grpc.StockServiceStub(channel)
        self.policies: Any = policy_service_pb2_grpc.PolicyServiceStub(channel)
        self.ledger: Any = ledger_service_pb2_grpc.LedgerServiceStub(channel)
        self.feed: Any = order_feed_service_pb2_grpc.OrderFeedServiceStub(channel)

    def advance(self, **span: float) -> None:
        """Time passes."""
        self.clock.advance(timedelta(**span))

    async def set_policy(self, **fields: Any) -> None:
        """Puts a policy in force."""
        before = (await self.policies.GetPolicy(policy_service_pb2.GetPolicyRequest())).policy
        await self.policies.SetPolicy(
            policy_service_pb2.SetPolicyRequest(
                request_id=new_id(), policy=policy_service_pb2.Policy(**fields), expected_revision=before.revision
            )
        )

    async def post(self, *items: Any, source: str = "pos", **fields: Any) -> stock_service_pb2.PostStockResponse:
        """Posts figures and bookings in one request."""
        request = stock_service_pb2.PostStockRequest(
            request_id=new_id(),
            source=source,
            figures=[each for each in items if isinstance(each, stock_service_pb2.StockFigure)],
            bookings=[each for each in items if isinstance(each, stock_service_pb2.SaleBooking)],
            **fields,
        )
        answer: stock_service_pb2.PostStockResponse = await self.stocks.PostStock(request)
        return answer

    async def allocate(self, path: str, quantity: int) -> None:
        """Fences bikes of the north store."""
        line = pb.AllocationLine(key=stock_key("BIKE"), path=path, quantity=quantity)
        await self.allocation.Allocate(pb.AllocateRequest(request_id=new_id(), lines=[line]))

    async def hold(self, quantity: int = 3, path: str = "", sku: str = "BIKE") -> str:
        """Reserves; answers the reservation's id."""
        line = pb.ReserveLine(key=stock_key(sku), path=path, quantity=quantity)
        answer = await self.allocation.Reserve(pb.ReserveRequest(request_id=new_id(), lines=[line]))
        return str(answer.reservation.reservation_id)

    async def consume(self, reservation_id: str, order: str = "web-1") -> common_pb2.Reservation:
        """Sells what is held."""
        answer: pb.ConsumeResponse = await self.allocation.Consume(
            pb.ConsumeRequest(
                request_id=new_id(), reservation_id=reservation_id, order_reference=order, attributes=b"gift"
            )
        )
        return answer.reservation

    async def sell(self, quantity: int = 3, path: str = "", *, sku: str = "BIKE", sent: bool = True) -> str:
        """An order; sent: that the till has received."""
        sold = await self.hold(quantity, path, sku)
        await self.consume(sold, order=f"web-{sold}")
        if sent:
            stream = self.stream()
            await stream.reply(await stream.event(), received={})
            await stream.done()
        return sold

    async def cancel(self, reservation_id: str) -> pb.CancelResponse:
        """Cancels whatever is left."""
        answer: pb.CancelResponse = await self.allocation.Cancel(
            pb.CancelRequest(request_id=new_id(), reservation_id=reservation_id)
        )
        return answer

    async def reservation(self, reservation_id: str) -> common_pb2.Reservation:
        """As it stands."""
        answer: pb.GetReservationResponse = await self.allocation.GetReservation(
            pb.GetReservationRequest(reservation_id=reservation_id)
        )
        return answer.reservation

    async def part(self, reservation_id: str, number: int = 1) -> common_pb2.Part:
        """A part of the only line."""
        (line,) = (await self.reservation(reservation_id)).lines
        (found,) = (each for each in line.parts if each.part_number == number)
        return found

    async def state(self, reservation_id: str) -> str:
        """CONSUMED, SENT …"""
        state = (await self.reservation(reservation_id)).state
        return common_pb2.ReservationState.Name(state).removeprefix("RESERVATION_STATE_")

    async def balances(self, sku: str = "BIKE", location: str = "north", **fields: Any) -> Sequence[Any]:
        """The pools of a key."""
        wanted = balance_pb2.BalanceFilter(skus=[sku], locations=[location])
        answer = await self.allocation.QueryBalance(balance_pb2.QueryBalanceRequest(filter=wanted, **fields))
        found: Sequence[Any] = answer.balances
        return found

    async def pool(self, path: str = "", sku: str = "BIKE", location: str = "north") -> tuple[int, int, int]:
        """(free, held, unsettled) of a pool, shortfall below zero."""
        for balance in await self.balances(sku, location):
            if balance.path == path:
                own = balance.own
                return own.allocated - own.shortfall - own.held, own.held, own.unsettled
        return 0, 0, 0

    async def net(self, sku: str = "BIKE", location: str = "north") -> int:
        """What is there for new promises."""
        return int((await self.balances(sku, location))[0].net)

    async def listed(self, **filters: Any) -> list[tuple[str, int]]:
        """Discrepancies, oldest first: kind and quantity."""
        answer = await self.stocks.ListDiscrepancies(stock_service_pb2.ListDiscrepanciesRequest(**filters))
        kinds = stock_service_pb2.DiscrepancyKind
        return [
            (kinds.Name(each.kind).removeprefix("DISCREPANCY_KIND_"), each.quantity)
            for each in reversed(answer.discrepancies)
        ]

    async def sound(self) -> None:
        """Every balance is the sum of its ledger entries."""
        progress = [each async for each in self.ledger.Verify(ledger_service_pb2.VerifyRequest())]
        assert progress[-1].done
        assert [flaw for each in progress for flaw in each.violations] == []

    def stream(self, adapter: str = "erp", *locations: str, lease: int = 60, **fields: Any) -> AdapterStream:
        """An adapter's stream of orders."""
        subscription = feed.OrderSubscription(
            adapter=adapter, locations=locations or ("north",), lease=Duration(seconds=lease), **fields
        )
        return AdapterStream(self.feed.StreamOrders(), subscription)


def figure(value: int, position: int, sku: str = "BIKE", location: str = "north", **fields: Any) -> Any:
    """A figure of a till."""
    return stock_service_pb2.StockFigure(key=stock_key(sku, location), value=value, position=position, **fields)


def delta(units: int, previous: int, position: int) -> Any:
    """A chained delta of the north till's bikes."""
    key = stock_key("BIKE")
    return stock_service_pb2.StockFigure(key=key, delta=units, previous_position=previous, position=position)


def booked(
    reservation_id: str, *bookings: tuple[int, int], location: str = "north", part: int = 1, **fields: Any
) -> Any:
    """What a till booked for a part: (position, quantity)."""
    return stock_service_pb2.SaleBooking(
        part={"reservation_id": reservation_id, "part_number": part},
        location=location,
        bookings=[{"position": position, "quantity": units} for position, units in bookings],
        **fields,
    )


@asynccontextmanager
async def till_shop(
    config: ServerConfig | None = None, clock: ManualClock | None = None, instants: SharedInstants | None = None
) -> AsyncIterator[TillShop]:
    """Serves on a free port of loopback; north and south have tills. Servers of one database share clock and
    instants."""
    clock = clock or ManualClock()
    server = Server(config or ServerConfig(port=0, in_memory=True), clock=clock, instants=instants)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            shop = TillShop(server, clock, channel)
            policy = (await shop.policies.GetPolicy(policy_service_pb2.GetPolicyRequest())).policy
            if policy.revision == 1:
                await shop.set_policy(locations=[{"name": name, "kind": TILL} for name in ("north", "south")])
            yield shop
    finally:
        await server.stop(0)
