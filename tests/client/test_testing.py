"""ringfence.testing: a real server whose clock the test moves."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence import Client, Line, ReservationState, RetryPolicy, StockFigure, Unavailable
from ringfence.testing import RingfenceServer, assert_eventually, assert_eventually_async


def test_the_server_is_real_and_its_clock_is_the_tests(ringfence_server: RingfenceServer) -> None:
    """A hold ends exactly when the test's clock reaches its end, not when time passes."""
    client = ringfence_server.client()
    client.post_stock(StockFigure("LAMP", "berlin", 10))
    held = client.reserve(Line("LAMP", "berlin", 1), ttl=timedelta(minutes=15))
    assert held.reservation.expire_time == ringfence_server.clock.time + timedelta(minutes=15)
    ringfence_server.clock.advance(timedelta(minutes=15) - timedelta(microseconds=1))
    assert client.get_reservation(held).state is ReservationState.HELD
    ringfence_server.clock.advance(timedelta(microseconds=1))
    assert client.get_reservation(held).state is ReservationState.EXPIRED


async def test_it_serves_asyncio_too(ringfence_server: RingfenceServer) -> None:
    """The server has a thread and a loop of its own: the test's loop is free for its client."""
    async with ringfence_server.async_client() as client:
        await client.post_stock(StockFigure("LAMP", "berlin", 10))
        results = await asyncio.gather(*(client.reserve(Line("LAMP", "berlin", 1)) for _ in range(10)))
    assert len({result.reservation_id for result in results}) == 10


def test_each_server_is_empty() -> None:
    """Two servers share nothing, and begin at the same instant unless they are told another."""
    with RingfenceServer() as one, RingfenceServer(start_time=datetime(2030, 1, 1, tzinfo=UTC)) as other:
        assert one.target != other.target
        one.client().post_stock(StockFigure("LAMP", "berlin", 10))
        assert list(other.client().list_stock()) == []
        assert other.clock.time == datetime(2030, 1, 1, tzinfo=UTC)
    with RingfenceServer() as again:
        assert again.clock.time < other.clock.time


def test_ids_follow_the_servers_clock(ringfence_server: RingfenceServer) -> None:
    """A test that moves time by a year is not told that its requests are too old."""
    client = ringfence_server.client()
    ringfence_server.clock.advance(timedelta(days=365))
    result = client.post_stock(StockFigure("LAMP", "berlin", 10))
    milliseconds = int(result.request_id.replace("-", "")[:12], 16)
    assert milliseconds == ringfence_server.clock.now() // 1000


def test_a_server_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    """With a database of its own, what was answered is there after a restart."""
    settings: dict[str, Any] = {"in_memory": False, "database_url": f"sqlite:///{tmp_path / 'ledger.db'}"}
    server = RingfenceServer(**settings)
    with server:
        server.client().post_stock(StockFigure("LAMP", "berlin", 10))
    with pytest.raises(RuntimeError, match="not running"):
        server.target  # noqa: B018
    server.stop()
    with server:
        assert server.client().get_stock("LAMP", "berlin").supply == 10


def test_stopping_closes_what_it_gave_out() -> None:
    """After stop the server's clients are closed, no thread is left, and nobody answers."""
    before = threading.active_count()
    server = RingfenceServer().start()
    target = server.target
    server.client().get_policy()
    with pytest.raises(RuntimeError, match="running already"):
        server.start()
    server.stop()
    assert_eventually(lambda: threading.active_count() <= before)
    once = RetryPolicy(maximum_attempts=1)
    with pytest.raises(Unavailable), Client(target, retry=once, timeout=timedelta(seconds=60)) as client:
        client.get_policy()


def test_what_keeps_it_from_starting_is_raised(ringfence_server: RingfenceServer) -> None:
    """A port that cannot be had, or a setting that does not exist, is said where start was called."""
    taken = RingfenceServer(port=int(ringfence_server.target.rpartition(":")[2]))
    with pytest.raises(Exception, match="in use"):
        taken.start()
    taken.stop()
    with pytest.raises(TypeError, match="colour"):
        RingfenceServer(colour="red")


def test_eventually_waits_no_longer_than_it_must() -> None:
    """It returns as soon as the condition holds, and tells what did not come true."""
    seen: list[int] = []

    def third_time() -> bool:
        seen.append(1)
        return len(seen) == 3

    assert_eventually(third_time)
    assert len(seen) == 3

    def never_true() -> bool:
        return False

    with pytest.raises(AssertionError, match=r"never_true did not come true within 0\.02 seconds"):
        assert_eventually(never_true, timeout=timedelta(milliseconds=20))


def test_eventually_tells_the_last_failure() -> None:
    """An assertion in the condition is the one that is raised at the end."""

    def condition() -> bool:
        raise AssertionError("one is not two")

    with pytest.raises(AssertionError, match="one is not two"):
        assert_eventually(condition, timeout=timedelta(milliseconds=20))


async def test_eventually_lets_the_loop_run() -> None:
    """The async one waits for what another task does, with plain and coroutine conditions."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, done.set)
    await assert_eventually_async(done.is_set)

    async def is_done() -> bool:
        return done.is_set()

    await assert_eventually_async(is_done)
    with pytest.raises(AssertionError):
        await assert_eventually_async(lambda: False, timeout=timedelta(milliseconds=20))
