"""A server in this process, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from ringfence.v1 import (
    allocation_service_pb2_grpc,
    ledger_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from ringfence_server.app import Server
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from tests.rpc.messages import figure, new_id


class Client:
    """The stubs of a server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.allocation: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        self.stock: Any = stock_service_pb2_grpc.StockServiceStub(channel)
        self.ledger: Any = ledger_service_pb2_grpc.LedgerServiceStub(channel)
        self.health: Any = health_pb2_grpc.HealthStub(channel)
        listing: Any = channel
        self.reflection: Any = reflection_pb2_grpc.ServerReflectionStub(listing)
        self.channel = channel

    async def post(self, value: int) -> None:
        """So many lamps are at the north store."""
        await self.stock.PostStock(
            stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(value=value)])
        )

    async def is_serving(self, service: str = "") -> bool:
        """What the health service says."""
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def serving(config: ServerConfig, clock: ManualClock | None = None) -> AsyncIterator[tuple[Server, Client]]:
    """A server on a free port and a client of it."""
    server = Server(config, clock=clock)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield server, Client(channel)
    finally:
        await server.stop(0)
