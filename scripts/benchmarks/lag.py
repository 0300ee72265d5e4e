"""Lag to a watcher: how long after the answer to a write the watcher hears of it, in a process of its own.

A plain grpc.aio client reserves one unit after the other of a key that it also watches, perhaps at another server; each
wait is from the answer to the watcher's message that shows it, 0 when the message came first. Prints sorted seconds as
JSON. Run as `python -m scripts.benchmarks.lag --port N --watch-port N --sku SKU --writes N`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import grpc

from ringfence.v1 import allocation_service_pb2_grpc, balance_pb2
from scripts.benchmarks.messages import LOCATION, PATH, call_metadata, request_id, reserve_request
from scripts.benchmarks.processes import HOST

_ANSWER_SECONDS = 30.0


async def _lags(port: int, watch_port: int, sku: str, writes: int) -> list[float]:
    headers = call_metadata()
    async with (
        grpc.aio.insecure_channel(f"{HOST}:{port}") as channel,
        grpc.aio.insecure_channel(f"{HOST}:{watch_port}") as watched,
    ):
        stub = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        watching = allocation_service_pb2_grpc.AllocationServiceStub(watched)
        balances = balance_pb2.BalanceFilter(skus=[sku], locations=[LOCATION], path=PATH, exact_path=True)
        watch = watching.WatchBalances(balance_pb2.WatchBalancesRequest(filter=balances), metadata=headers)
        held = 0
        async for message in watch:
            held = max([held, *(balance.own.held for balance in message.balances)])
            if message.event == balance_pb2.WATCH_EVENT_SNAPSHOT_END:
                break
        seen: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

        async def follow() -> None:
            async for message in watch:
                for balance in message.balances:
                    seen.put_nowait((balance.own.held, time.perf_counter()))

        following = asyncio.create_task(follow())
        lags = []
        for _ in range(writes):
            held += 1
            await stub.Reserve(reserve_request(sku, request_id().decode()), metadata=headers)
            answered = time.perf_counter()
            while True:
                shown, when = await asyncio.wait_for(seen.get(), _ANSWER_SECONDS)
                if shown >= held:
                    break
            lags.append(max(0.0, when - answered))
        following.cancel()
        watch.cancel()
        return sorted(lags)


def main() -> None:
    """Measures once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--watch-port", type=int, required=True)
    parser.add_argument("--sku", required=True)
    parser.add_argument("--writes", type=int, required=True)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(_lags(arguments.port, arguments.watch_port, arguments.sku, arguments.writes))))


if __name__ == "__main__":
    main()
