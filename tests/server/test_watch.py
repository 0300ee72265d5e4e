"""Watches over the network: each hears of what it watches, and of nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from ringfence.v1 import balance_pb2, stock_service_pb2
from ringfence_server.config import ServerConfig
from tests.rpc.messages import figure, new_id
from tests.server.serving import Client, serving

SKUS = [f"SKU-{number}" for number in range(20)]


async def post(client: Client, value: int) -> None:
    """So many units of every SKU, all in one commit."""
    figures = [figure(value=value, sku=sku) for sku in SKUS]
    await client.stock.PostStock(stock_service_pb2.PostStockRequest(request_id=new_id(), figures=figures))


async def figures_until(watch: Any, wanted: int) -> list[tuple[str, int]]:
    """(SKU, supply) of all that a watch tells, until some SKU has this supply."""
    told: list[tuple[str, int]] = []
    while True:
        message = await watch.read()
        told += [(balance.key.sku, balance.supply) for balance in message.balances]
        if (message.event == balance_pb2.WATCH_EVENT_SNAPSHOT_END and not wanted) or wanted in dict(told).values():
            return told


async def test_a_watcher_hears_of_its_own_keys_only() -> None:
    """Though the keys of all whom one commit concerns are read together."""
    async with serving(ServerConfig(port=0, in_memory=True)) as (_, client):
        await post(client, 1)
        watches = [
            client.allocation.WatchBalances(
                balance_pb2.WatchBalancesRequest(filter=balance_pb2.BalanceFilter(skus=[sku]))
            )
            for sku in SKUS
        ]
        for sku, watch in zip(SKUS, watches, strict=True):
            assert await figures_until(watch, 0) == [(sku, 1)]
        await post(client, 2)
        told = await asyncio.gather(*(figures_until(watch, 2) for watch in watches))
        assert told == [[(sku, 2)] for sku in SKUS]
