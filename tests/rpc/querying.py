"""A whole server in memory with a clock that the test moves, asked over its stubs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from google.rpc.status_pb2 import Status

from ringfence.v1 import (
    allocation_service_pb2,
    allocation_service_pb2_grpc,
    balance_pb2,
    ledger_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from ringfence_server.app import Server
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from tests.rpc.messages import new_id, status_of, stock_key


class Shop:
    """One server; short ways to write what a test then asks for."""

    def __init__(self, server: Server, clock: ManualClock, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.clock = clock
        self.allocation: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        self.stocks: Any = stock_service_pb2_grpc.StockServiceStub(channel)
        self.policies: Any = policy_service_pb2_grpc.PolicyServiceStub(channel)
        self.ledger: Any = ledger_service_pb2_grpc.LedgerServiceStub(channel)

    async def post(
        self, value: int, sku: str = "BIKE", location: str = "north", measure: str = "", **dimensions: str
    ) -> Any:
        """Posts an absolute figure, by default of what is on hand."""
        key = stock_key(sku, location, **dimensions)
        figure = stock_service_pb2.StockFigure(key=key, value=value, measure=measure)
        return await self.stocks.PostStock(stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure]))

    async def allocate(self, path: str, quantity: int, sku: str = "BIKE", location: str = "north") -> Any:
        """Sets units aside."""
        line = allocation_service_pb2.AllocationLine(key=stock_key(sku, location), path=path, quantity=quantity)
        return await self.allocation.Allocate(allocation_service_pb2.AllocateRequest(request_id=new_id(), lines=[line]))

    async def reserve(self, path: str, quantity: int, sku: str = "BIKE", location: str = "north", **fields: Any) -> Any:
        """Ties units to an order of one line."""
        line = allocation_service_pb2.ReserveLine(key=stock_key(sku, location), path=path, quantity=quantity)
        return await self.allocation.Reserve(
            allocation_service_pb2.ReserveRequest(request_id=new_id(), lines=[line], **fields)
        )

    async def set_policy(self, **fields: Any) -> Any:
        """Puts a policy in the place of the one in force."""
        before = (await self.policies.GetPolicy(policy_service_pb2.GetPolicyRequest())).policy
        request = policy_service_pb2.SetPolicyRequest(
            request_id=new_id(), policy=policy_service_pb2.Policy(**fields), expected_revision=before.revision
        )
        return (await self.policies.SetPolicy(request)).policy

    async def query(self, request: balance_pb2.QueryBalanceRequest | None = None, **fields: Any) -> Any:
        """One page of balances."""
        return await self.allocation.QueryBalance(request or balance_pb2.QueryBalanceRequest(**fields))

    def advance(self, **span: float) -> None:
        """Time passes."""
        self.clock.advance(timedelta(**span))


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    """Serves on a free port of loopback."""
    clock = ManualClock()
    server = Server(ServerConfig(port=0, in_memory=True), clock=clock)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Shop(server, clock, channel)
    finally:
        await server.stop(0)


async def refusal(call: Any) -> Status:
    """The status in which the call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return status_of(refused.value)


def at(sku: str = "BIKE", location: str = "north", path: str | None = None) -> balance_pb2.BalanceFilter:
    """A filter of one key, and of one path of it where that is given."""
    return balance_pb2.BalanceFilter(skus=[sku], locations=[location], path=path or "", exact_path=path is not None)
