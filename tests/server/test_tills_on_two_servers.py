"""Adapters of one location on two servers of one PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from ringfence_server.store.instants import SharedInstants
from tests.server.tills import TillShop, figure, till_shop

pytestmark = pytest.mark.postgres
_PATIENCE_SECONDS = 60
"""Time that the clock of the servers does not see: there nothing ends by itself."""


@pytest.fixture
async def shops(postgres_url: str) -> AsyncIterator[tuple[TillShop, TillShop]]:
    """One shop, spoken to by way of two servers."""
    clock = ManualClock()
    instants = SharedInstants(clock)
    config = ServerConfig(port=0, database_url=postgres_url)
    async with till_shop(config, clock, instants) as one, till_shop(config, clock, instants) as other:
        yield one, other


async def test_a_reply_on_one_server_frees_an_event_for_an_adapter_of_the_other(
    shops: tuple[TillShop, TillShop],
) -> None:
    """A cancellation waits for the reply to its order. When that comes, an adapter on another server has the
    cancellation at once, and not when the order's lease would have ended; no balance moved that it could hear of."""
    one, other = shops
    await one.post(figure(10, 1))
    sold = await one.sell(sent=False)
    first = one.stream("first")
    order = await first.event()
    await first.done()
    await one.cancel(sold)
    second = other.stream("second")
    await second.nothing()
    elsewhere = one.stream("first", "south")
    assert (await elsewhere.reply(order, received={})).result == feed.ORDER_REPLY_RESULT_RECORDED
    freed = await asyncio.wait_for(second.event(), _PATIENCE_SECONDS)
    assert (freed.kind, freed.reservation_id) == (feed.ORDER_EVENT_KIND_CANCELLATION, sold)
