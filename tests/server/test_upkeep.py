"""The server's own work: leases end on time though nobody asks, and a store that is away stops nothing for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ringfence.testing import assert_eventually_async
from ringfence_server import upkeep
from ringfence_server.clock import ManualClock
from ringfence_server.ledger.work import Committed, StoreUnavailable
from ringfence_server.upkeep import Sweeper, prune_forever, watch_store
from tests.watch.virtual import in_virtual_time

MINUTE = timedelta(minutes=1)


class Desk:
    """A store whose leases are a list of instants, and the committer that ends those that are due."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.leases: list[int] = []
        self.looks = 0
        self.sweeps: list[int] = []
        """The instants at which leases were ended."""
        self.faults: list[Exception] = []
        self.prunings = 0
        self.sweeper = Sweeper(self, self, self.clock)  # type: ignore[arg-type]

    async def next_due(self) -> int | None:
        """As of a store."""
        self.looks += 1
        if self.faults:
            raise self.faults.pop(0)
        return min(self.leases, default=None)

    async def sweep(self) -> Committed:
        """As of a committer."""
        self.sweeps.append(self.clock.now())
        self.leases = [end for end in self.leases if end > self.clock.due_until()]
        return Committed(1, self.clock.now(), ())

    async def prune(self) -> int:
        """As of a store."""
        self.prunings += 1
        if self.faults:
            raise self.faults.pop(0)
        return 0

    def lease(self, length: timedelta) -> int:
        """A lease is given, and committed."""
        end = self.clock.now() + length // timedelta(microseconds=1)
        self.leases.append(end)
        self.sweeper.written()
        return end


@asynccontextmanager
async def sweeping() -> AsyncIterator[Desk]:
    """A desk whose sweeper runs."""
    desk = Desk()
    task = asyncio.create_task(desk.sweeper.run())
    yield desk
    assert not task.done(), "the sweeper runs until it is cancelled"
    task.cancel()


async def looked(desk: Desk) -> None:
    """The sweeper has looked at the leases as they are now."""
    before = desk.looks
    await assert_eventually_async(lambda: desk.looks > before)


@in_virtual_time
async def test_a_lease_is_ended_when_its_instant_has_come() -> None:
    """Not before."""
    async with sweeping() as desk:
        end = desk.lease(15 * MINUTE)
        await looked(desk)
        desk.clock.advance(15 * MINUTE - timedelta(microseconds=1))
        await asyncio.sleep(0)
        assert desk.sweeps == []
        desk.clock.advance(timedelta(microseconds=1))
        await assert_eventually_async(lambda: desk.sweeps == [end])


@in_virtual_time
async def test_a_shorter_lease_that_comes_later_is_ended_first() -> None:
    """The sweeper does not sleep through it."""
    async with sweeping() as desk:
        desk.lease(60 * MINUTE)
        await looked(desk)
        end = desk.lease(MINUTE)
        await looked(desk)
        desk.clock.advance(MINUTE)
        await assert_eventually_async(lambda: desk.sweeps == [end])
        assert len(desk.leases) == 1


@in_virtual_time
async def test_what_was_due_before_the_start_is_ended_at_once() -> None:
    """A server that was down for a while."""
    desk = Desk()
    desk.lease(MINUTE)
    desk.clock.advance(2 * MINUTE)
    task = asyncio.create_task(desk.sweeper.run())
    await assert_eventually_async(lambda: desk.leases == [])
    task.cancel()


@in_virtual_time
async def test_an_idle_server_asks_the_store_nothing() -> None:
    """No lease, no write: nothing to look for; and none before a lease's end."""
    async with sweeping() as desk:
        await assert_eventually_async(lambda: desk.looks == 1)
        await asyncio.sleep(0.6)
        assert desk.looks == 1
        desk.lease(MINUTE)
        await assert_eventually_async(lambda: desk.looks == 2)
        await asyncio.sleep(0.6)
        assert desk.looks <= 3


@in_virtual_time
async def test_a_busy_server_asks_the_store_a_few_times_a_second() -> None:
    """However many commits there are: a thousand writes in half a second are no thousand questions."""
    async with sweeping() as desk:
        desk.leases.append(desk.clock.now() + 10**12)
        for _ in range(1_000):
            desk.sweeper.written()
            await asyncio.sleep(0.0005)
        assert desk.looks <= 10


@in_virtual_time
async def test_leases_that_end_all_the_time_are_ended_in_bunches() -> None:
    """Four times a second at most: a sweep is a transaction."""
    async with sweeping() as desk:
        for _ in range(300):
            desk.lease(timedelta(microseconds=1))
            desk.clock.advance(timedelta(microseconds=1))
            await asyncio.sleep(0.002)
        await assert_eventually_async(lambda: desk.leases == [])
        assert len(desk.sweeps) <= 8


@pytest.mark.parametrize("fault", [StoreUnavailable("disk full"), ValueError("a fault of ours")])
@in_virtual_time
async def test_a_fault_is_survived(fault: Exception) -> None:
    """The next look is a second later, not never and not at once."""
    desk = Desk()
    desk.faults = [fault, fault]
    desk.lease(MINUTE)
    desk.clock.advance(MINUTE)
    task = asyncio.create_task(desk.sweeper.run())
    await assert_eventually_async(lambda: desk.leases == [])
    assert desk.looks <= 4
    task.cancel()


@in_virtual_time
async def test_a_clock_in_doubt_ends_no_lease_and_is_not_asked_without_end() -> None:
    """The wall clock jumped an hour ahead: whether the lease is over is not known."""

    class Doubted(ManualClock):
        """Leases may be ended up to where it started only."""

        def due_until(self) -> int:
            """Before the jump."""
            return ManualClock().now()

    desk = Desk()
    desk.clock = clock = Doubted()
    desk.sweeper = Sweeper(desk, desk, clock)  # type: ignore[arg-type]
    desk.lease(MINUTE)
    clock.advance(60 * MINUTE)
    task = asyncio.create_task(desk.sweeper.run())
    await asyncio.sleep(0.3)
    assert desk.sweeps == []
    assert desk.looks <= 2
    task.cancel()


@in_virtual_time
async def test_forgetting_goes_on_after_a_fault() -> None:
    """A store that is away is asked again."""
    desk = Desk()
    desk.faults = [StoreUnavailable("disk full"), ValueError("a fault of ours")]
    task = asyncio.create_task(prune_forever(desk))
    await assert_eventually_async(lambda: desk.prunings >= 4)
    task.cancel()


@in_virtual_time
async def test_an_absent_store_is_told_once_and_so_is_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """One failure is nothing; the second in a row is told, further ones are not; the first answer is told again."""
    monkeypatch.setattr(upkeep, "_LOOK_SECONDS", 0)
    desk, told = Desk(), list[bool]()
    away: list[Exception] = [StoreUnavailable("away")]

    async def tell(serving: bool) -> None:
        told.append(serving)

    async def looks(count: int) -> None:
        before = desk.looks
        while desk.looks < before + count:  # noqa: ASYNC110  # the task under test looks
            await asyncio.sleep(0)

    desk.faults = away * 1
    task = asyncio.ensure_future(watch_store(desk, tell))
    try:
        await looks(4)
        assert told == []
        desk.faults = away * 5
        await looks(5)
        assert told == [False]
        await looks(4)
        assert told == [False, True]
    finally:
        task.cancel()
