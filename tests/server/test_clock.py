"""The wall clock against the monotonic one: what a jump pauses, and what ends the pause."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import urllib.request
from datetime import timedelta
from functools import partial
from typing import Any

import grpc.aio
import pytest

from ringfence.testing import assert_eventually_async
from ringfence.v1 import allocation_service_pb2_grpc, balance_pb2, stock_service_pb2, stock_service_pb2_grpc
from ringfence_server.app import Server
from ringfence_server.clock import RemoteClock, SystemClock
from ringfence_server.config import ServerConfig
from ringfence_server.upkeep import watch_clock
from tests.rpc.messages import figure, new_id, reserve

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE


class Hands:
    """A machine's two clocks, moved by hand; in microseconds."""

    def __init__(self, **settings: Any) -> None:
        self.wall = 1_700_000_000_000_000
        self.monotonic = 5_000_000
        self.clock = SystemClock(
            wall_ns=lambda: self.wall * 1_000, monotonic_ns=lambda: self.monotonic * 1_000, **settings
        )

    def run(self, span: int) -> None:
        """Time passes."""
        self.wall += span
        self.monotonic += span

    def jump(self, span: int) -> None:
        """Somebody sets the wall clock."""
        self.wall += span

    @property
    def held_back(self) -> int:
        """By how much expiry is behind the wall clock."""
        return self.clock.now() - self.clock.due_until()


def test_a_jump_is_not_trusted_before_it_has_stood_for_ten_minutes() -> None:
    """Until then leases end as if it had not been."""
    hands = Hands()
    assert hands.held_back == 0
    hands.jump(HOUR)
    assert hands.held_back == HOUR
    assert (hands.clock.in_doubt, hands.clock.jumps, hands.clock.jumped_by) == (True, 1, HOUR)
    hands.run(10 * MINUTE - 1)
    assert hands.held_back == HOUR
    hands.run(1)
    assert hands.held_back == 0
    assert not hands.clock.in_doubt


def test_how_long_is_a_setting() -> None:
    """0 trusts every jump at once, and counts it."""
    hands = Hands(trust_after_seconds=1.5)
    hands.jump(HOUR)
    assert hands.held_back == HOUR
    hands.run(1_500_000)
    assert hands.held_back == 0
    hands = Hands(trust_after_seconds=0)
    hands.jump(HOUR)
    assert (hands.held_back, hands.clock.jumps, hands.clock.in_doubt) == (0, 1, False)


def test_a_time_that_is_accepted_is_trusted_at_once() -> None:
    """Whether or not anybody saw the jump before; the next one is doubted again."""
    hands = Hands()
    for looked in (True, False):
        hands.jump(HOUR)
        if looked:
            assert hands.held_back == HOUR
        assert hands.clock.accept()
        assert hands.held_back == 0
        assert not hands.clock.in_doubt
    hands.jump(HOUR)
    assert hands.held_back == HOUR
    assert hands.clock.jumps == 3


def test_there_is_nothing_to_accept_in_a_clock_that_is_not_in_doubt() -> None:
    """And nothing is accepted in advance."""
    hands = Hands()
    assert not hands.clock.accept()
    hands.jump(HOUR)
    assert hands.held_back == HOUR


def test_a_second_jump_begins_anew() -> None:
    """Its time has not stood at all yet."""
    hands = Hands()
    hands.jump(HOUR)
    assert hands.held_back == HOUR
    hands.run(9 * MINUTE)
    hands.jump(HOUR)
    assert hands.held_back == 2 * HOUR
    hands.run(9 * MINUTE)
    assert hands.held_back == 2 * HOUR
    hands.run(MINUTE)
    assert (hands.held_back, hands.clock.jumps) == (0, 2)


def test_a_jump_that_is_taken_back_was_none() -> None:
    """Expiry goes on with the clocks in step."""
    hands = Hands()
    hands.jump(-HOUR)
    assert hands.held_back == 0, "a clock that went back ends no lease early"
    assert hands.clock.in_doubt
    hands.jump(HOUR)
    assert (hands.held_back, hands.clock.in_doubt) == (0, False)


def test_what_drifts_slowly_is_followed() -> None:
    """Three seconds at a time, a minute in all: no jump."""
    hands = Hands()
    for _ in range(20):
        hands.run(MINUTE)
        hands.jump(3_000_000)
        assert hands.held_back == 0
    assert hands.clock.jumps == 0


async def test_a_jump_is_told_of_though_nobody_asks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with what an operator can do; and so is its end."""
    monkeypatch.setattr("ringfence_server.upkeep._CLOCK_SECONDS", 0.001)
    caplog.set_level(logging.INFO, "ringfence_server.upkeep")
    hands = Hands()
    watching = asyncio.create_task(
        watch_clock(hands.clock, look=hands.clock.due_until, how_to_accept="kill -USR1 7 trusts it")
    )
    await asyncio.sleep(0)
    hands.jump(-HOUR)
    await assert_eventually_async(lambda: caplog.messages)
    hands.clock.accept()
    await assert_eventually_async(lambda: len(caplog.messages) > 1)
    watching.cancel()
    assert caplog.messages == [
        "the wall clock jumped by -3600.0 s against the monotonic one: no lease ends by it until the new time is "
        "trusted; kill -USR1 7 trusts it",
        "the wall clock is trusted again: leases end by it",
    ]


async def test_leases_end_when_an_operator_accepts_the_clock() -> None:
    """A hold outlives a jump of an hour, for reads as for new orders, until the new time is accepted."""
    hands = Hands()
    server = Server(ServerConfig(port=0, in_memory=True), clock=hands.clock)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stocks: Any = stock_service_pb2_grpc.StockServiceStub(channel)
            allocation: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
            await stocks.PostStock(stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(value=1)]))
            await allocation.Reserve(reserve(ttl=timedelta(minutes=15)))

            async def held() -> int:
                answer = await allocation.QueryBalance(balance_pb2.QueryBalanceRequest())
                return int(answer.balances[0].own.held)

            hands.jump(HOUR)
            assert await held() == 1
            with pytest.raises(grpc.aio.AioRpcError):
                await allocation.Reserve(reserve())
            assert server.accept_clock()
            assert await held() == 0
            await allocation.Reserve(reserve())
            assert not server.accept_clock()
    finally:
        await server.stop(0)


@pytest.mark.postgres
async def test_a_jump_of_the_database_s_clock_is_told_and_counted(
    postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside this machine's: a line in the log, two metrics, and the same signal accepts it."""
    jumped = 0
    monkeypatch.setattr(
        "ringfence_server.opening.RemoteClock",
        partial(RemoteClock, monotonic_ns=lambda: time.monotonic_ns() + jumped * 1_000),
    )
    monkeypatch.setattr("ringfence_server.upkeep._CLOCK_SECONDS", 0.001)
    caplog.set_level(logging.INFO, "ringfence_server.upkeep")
    server = Server(ServerConfig(port=0, database_url=postgres_url, metrics_port=0), how_to_accept_clock="so")
    port = await server.start()
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"

    async def metrics() -> list[str]:
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        return [line for line in text.splitlines() if re.match(r"ringfence_.*clock", line)]

    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stocks: Any = stock_service_pb2_grpc.StockServiceStub(channel)

            async def post() -> None:
                request = stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(value=1)])
                await stocks.PostStock(request)

            await post()
            # To the database nothing happened: its clock is an hour behind what passed here.
            jumped = HOUR
            await post()
            await assert_eventually_async(lambda: caplog.messages)
            assert await metrics() == [
                "ringfence_clock_jumps_total 0.0",
                "ringfence_clock_in_doubt 0.0",
                "ringfence_database_clock_jumps_total 1.0",
                "ringfence_database_clock_in_doubt 1.0",
            ]
            assert server.accept_clock()
            assert not server.accept_clock()
            await assert_eventually_async(lambda: len(caplog.messages) > 1)
    finally:
        await server.stop(0)
    told, ended = caplog.messages
    assert re.fullmatch(
        r"the database's clock jumped by -3[56]\d\d\.\d s against the monotonic one: no lease ends by it until the new "
        "time is trusted; so",
        told,
    )
    assert ended == "the database's clock is trusted again: leases end by it"
