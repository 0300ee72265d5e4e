"""On PostgreSQL the clock of a server's own machine does not matter: it may be hours off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from ringfence.v1 import balance_pb2
from ringfence_server.clock import ManualClock, SystemClock
from ringfence_server.config import ServerConfig
from tests.patience import PATIENT
from tests.rpc.messages import reserve
from tests.server.serving import Client, serving
from tests.server.tills import TILL, TillShop, figure

pytestmark = pytest.mark.postgres

HOUR_SECONDS = 3_600
PATIENCE_SECONDS = 60


@pytest.fixture(params=[-3, 3], ids=["behind", "ahead"])
async def served(
    request: pytest.FixtureRequest, postgres_place: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TillShop, Client]]:
    """A server on a machine whose wall clock is three hours off, and the only one of its database."""
    wrong = partial(SystemClock, wall_ns=lambda: time.time_ns() + request.param * HOUR_SECONDS * 10**9)
    monkeypatch.setattr("ringfence_server.app.SystemClock", wrong)
    config = ServerConfig(port=0, database_url=postgres_place, postgres=PATIENT)
    async with serving(config) as (server, client), asyncio.timeout(10 * PATIENCE_SECONDS):
        yield TillShop(server, ManualClock(), client.channel), client


async def test_watchers_hear_of_a_lease_that_ended(served: tuple[TillShop, Client]) -> None:
    """Soon after its instant, though nobody else asks; and the time they are told is the database's."""
    _, client = served
    await client.post(10)
    watch = client.allocation.WatchBalances(balance_pb2.WatchBalancesRequest())
    while (await watch.read()).event != balance_pb2.WATCH_EVENT_SNAPSHOT_END:
        pass
    answer = await client.allocation.Reserve(reserve(ttl=timedelta(seconds=1)))
    assert abs(answer.server_time.seconds - time.time()) < HOUR_SECONDS
    held: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not held or held[-1]:
            message = await watch.read()
            assert abs(message.server_time.seconds - time.time()) < HOUR_SECONDS
            held += [balance.own.held for balance in message.balances]
    watch.cancel()


async def test_a_till_is_handed_its_orders(served: tuple[TillShop, Client]) -> None:
    """Whether the lease of an order's event is over is told by the clock that gave it."""
    shop, _ = served
    await shop.set_policy(locations=[{"name": "north", "kind": TILL}])
    await shop.post(figure(10, 100))
    stream = shop.stream()
    sold = await shop.sell(1, sent=False)
    async with asyncio.timeout(PATIENCE_SECONDS):
        event = await stream.event()
        await stream.reply(event, received={})
    await stream.done()
    assert await shop.state(sold) == "RECEIVED"
