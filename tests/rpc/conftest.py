"""The mutating RPCs served on loopback over a store in memory whose transactions a test holds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, cast

import grpc.aio
import pytest

from ringfence.v1 import allocation_service_pb2_grpc, policy_service_pb2_grpc, stock_service_pb2_grpc
from ringfence_server.clock import ManualClock
from ringfence_server.committer import Committer, CommitterLimits
from ringfence_server.ledger.commands import Figure, PostStock
from ringfence_server.ledger.reading import Reader
from ringfence_server.rpc.commands import command_handlers
from ringfence_server.rpc.execute import execute_handlers
from ringfence_server.rpc.handlers import serve_all
from ringfence_server.rpc.services import Counts, RpcLimits, Services
from ringfence_server.watch import Hub
from tests.committer.memory import Caller, MemoryStore, key
from tests.rpc.querying import Shop, open_shop
from tests.rpc.tilling import Tilled, tills_served


class Served(NamedTuple):
    """What a test works with."""

    store: MemoryStore
    committer: Committer
    services: Services
    address: str
    allocation: Any
    """AllocationServiceAsyncStub: whatever it is called with is a message or an iterator of them."""
    stock: Any
    policy: Any


@pytest.fixture
def limits() -> CommitterLimits:
    """The committer's bounds; a test module may give its own."""
    return CommitterLimits()


@pytest.fixture
def rpc_limits() -> RpcLimits:
    """The bounds of calls; a test module may give its own."""
    return RpcLimits()


@pytest.fixture
async def served(limits: CommitterLimits, rpc_limits: RpcLimits) -> AsyncIterator[Served]:
    """100 LAMP and 100 BIKE at the north store, nothing allocated."""
    store = MemoryStore()
    committer = Committer(store, limits=limits)
    committer.start()
    figures = tuple(Figure(key(sku), "on_hand", 100, False, 0, None, None) for sku in ("LAMP", "BIKE"))
    await Caller(committer).submit(1, PostStock("wms", figures))
    store.batches.clear()
    services = Services(
        committer=committer,
        reader=cast(Reader, None),  # no read is served here
        clock=ManualClock(),
        limits=rpc_limits,
        hub=Hub(),
        draining=asyncio.Event(),
        counts=Counts(),
    )
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((serve_all({**command_handlers(services), **execute_handlers(services)}),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        yield Served(
            store,
            committer,
            services,
            address,
            allocation_service_pb2_grpc.AllocationServiceStub(channel),
            stock_service_pb2_grpc.StockServiceStub(channel),
            policy_service_pb2_grpc.PolicyServiceStub(channel),
        )
    store.let_go()
    await server.stop(0)
    await committer.drain()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A whole server, and nothing in its ledger."""
    async with open_shop() as shop:
        yield shop


@pytest.fixture
async def tilled() -> AsyncIterator[Tilled]:
    """100 lamps at two stores with tills."""
    async with tills_served() as found:
        yield found
