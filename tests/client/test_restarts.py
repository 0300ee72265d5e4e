"""Both ways of sending many commands, and a watch, over a restart of the real service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ringfence as r
from ringfence.testing import RingfenceServer, assert_eventually
from tests.client.conftest import PATIENCE, QUICK

LAMP, BERLIN = "LAMP", "berlin"


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[RingfenceServer]:
    """A server whose ledger outlives it."""
    running = RingfenceServer(in_memory=False, database_url=f"sqlite:///{tmp_path / 'ledger.db'}")
    with running:
        yield running


async def test_a_watch_outlives_its_server(durable: RingfenceServer) -> None:
    """After a restart the watch goes on from its token: it sees what changed, and no second snapshot."""
    client = durable.client(retry=QUICK)
    client.post_stock(r.StockFigure(LAMP, BERLIN, 10))
    async with durable.async_client(retry=QUICK) as other, other.watch() as watch:
        assert [(await anext(watch)).kind for _ in range(2)] == ["snapshot", "snapshot_end"]
        await asyncio.to_thread(durable.stop)
        await asyncio.to_thread(durable.start)
        await asyncio.to_thread(durable.client().reserve, r.Line(LAMP, BERLIN, 4))
        event = await asyncio.wait_for(anext(watch), 60)
        while event.kind is r.WatchEventKind.CHECKPOINT:
            event = await asyncio.wait_for(anext(watch), 60)
        assert event.kind is r.WatchEventKind.CHANGES
        assert event.balances[0].available == 6


@pytest.mark.parametrize("way", ["pipeline", "execute_many"])
async def test_a_restart_under_load_loses_and_doubles_nothing(durable: RingfenceServer, way: str) -> None:
    """A server that restarts in the middle of 3,000 commands: each took effect once, and the ledger adds up."""
    durable.client().post_stock(r.StockFigure(LAMP, BERLIN, 1_000_000))
    answered = answered_before = 0
    stopped = threading.Event()

    async def restart() -> None:
        nonlocal answered_before
        await asyncio.to_thread(assert_eventually, lambda: answered >= 500)
        await asyncio.to_thread(durable.stop, grace_seconds=0.0)
        answered_before = answered
        stopped.set()
        await asyncio.to_thread(durable.start)

    async with durable.async_client(retry=QUICK) as client:
        restarting = asyncio.create_task(restart())
        results: list[r.ReserveResult] = []
        if way == "pipeline":
            async with client.pipeline(max_in_flight=300, max_commands_per_message=50) as pipe:
                futures = []
                for number in range(3_000):
                    if number == 2_500:  # the last of them find it stopped, however long that takes
                        await asyncio.to_thread(stopped.wait, 60)
                    await pipe.ready()
                    futures.append(pipe.reserve(r.Line(LAMP, BERLIN, 1)))
                    answered = sum(future.done() for future in futures) if len(futures) % 100 == 0 else answered
                results = [await future for future in futures]
        else:

            def commands() -> Iterator[r.Reserve]:
                for number in range(3_000):
                    if number == 2_500:
                        stopped.wait(60)
                    yield r.Reserve(r.Line(LAMP, BERLIN, 1))

            def run() -> None:
                nonlocal answered
                ids = client.config.request_ids
                with r.Client(durable.target, retry=QUICK, timeout=PATIENCE, request_ids=ids) as other:
                    for outcome in other.execute_many(commands(), max_in_flight=300, max_commands_per_message=50):
                        results.append(outcome.unwrap())
                        answered = len(results)

            await asyncio.to_thread(run)
        await restarting
        assert 500 <= answered_before < 3_000
        assert len({result.reservation_id for result in results}) == 3_000
        balance = await client.balance(LAMP, BERLIN)
        assert balance is not None
        assert balance.held == 3_000
        assert (await client.verify()).ok
