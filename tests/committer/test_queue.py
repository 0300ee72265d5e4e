"""The committer's queue: bounded, with room for those who can wait, and emptied before the server ends."""

from __future__ import annotations

import asyncio

import pytest

from ringfence_server.committer import Committer, CommitterLimits, Draining, Failure, Overloaded
from ringfence_server.ledger.commands import Lease
from ringfence_server.ledger.work import StoreUnavailable
from tests.committer.conftest import Desk, hold_one, reserve
from tests.committer.memory import Caller, MemoryStore, key
from tests.watch.virtual import run


@pytest.fixture
def limits() -> CommitterLimits:
    """A queue of ten lines."""
    return CommitterLimits(max_queued_lines=10)


async def test_a_full_queue_refuses(desk: Desk) -> None:
    """The eleventh waiting line is Overloaded, says when to come back, and is never executed."""
    await hold_one(desk)
    for number in range(1, 11):
        desk.caller.submit(number, reserve(1))
    assert desk.committer.queued_lines == 10
    with pytest.raises(Overloaded) as refused:
        desk.caller.submit(11, reserve(1))
    assert refused.value.retry_after_seconds > 0
    desk.store.let_go()
    await desk.caller.all()
    assert desk.store.free("LAMP") == 100 - 11
    assert desk.committer.queued_lines == 0


async def test_the_queue_is_bounded_in_lines(desk: Desk) -> None:
    """A command of eight lines leaves room for two, not for three."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(1), weight=8)
    with pytest.raises(Overloaded):
        desk.caller.submit(2, reserve(1), weight=3)
    desk.caller.submit(3, reserve(1), weight=2)
    desk.store.let_go()
    assert len(await desk.caller.all()) == 3


async def test_a_command_larger_than_the_queue_is_taken_when_nothing_waits(desk: Desk) -> None:
    """Otherwise it could never be carried out."""
    answer = await desk.caller.submit(1, reserve(1), weight=2_000)
    assert not answer.refusal


async def test_room_is_half_a_queue(desk: Desk) -> None:
    """A stream that waits for room goes on when at most half of the queue is taken."""
    await hold_one(desk)
    for number in range(1, 5):
        desk.caller.submit(number, reserve(1))
    await asyncio.wait_for(desk.committer.room(), 60)
    desk.caller.submit(5, reserve(1))
    waiting = asyncio.ensure_future(desk.committer.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    desk.store.let_go()
    await asyncio.wait_for(waiting, 60)


async def test_draining_commits_what_was_taken_and_takes_no_more(desk: Desk) -> None:
    """What waited is committed and answered; what comes then is refused; then the loop has ended."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(1))
    desk.caller.submit(2, reserve(1))
    drained = asyncio.ensure_future(desk.committer.drain())
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        desk.caller.submit(3, reserve(1))
    assert not drained.done()
    desk.store.let_go()
    await asyncio.wait_for(drained, 60)
    assert desk.store.free("LAMP") == 97
    assert desk.store.batches == [1, 2]


async def test_draining_lets_those_go_who_wait_for_room(desk: Desk) -> None:
    """A stream that waits hears of the end."""
    await hold_one(desk)
    for number in range(1, 11):
        desk.caller.submit(number, reserve(1))
    waiting = asyncio.ensure_future(desk.committer.room())
    drained = asyncio.ensure_future(desk.committer.drain())
    await asyncio.wait_for(waiting, 60)
    desk.store.let_go()
    await drained


async def test_a_sweep_ends_what_is_due(desk: Desk) -> None:
    """Leases that are over give their units back though nobody asks, and listeners hear of it."""
    await desk.caller.submit(1, reserve(10, lease=Lease(ttl=60_000_000)))
    desk.store.now += 60_000_000
    committed = await desk.committer.sweep()
    assert desk.store.free("LAMP") == 100
    assert committed.changed == [key("LAMP")]
    assert desk.told[-1] == committed


async def test_a_sweep_tells_when_the_store_is_away(desk: Desk) -> None:
    """The fault is the sweeper's to handle; commands behind it are carried out."""
    desk.store.hold()
    sweep = asyncio.ensure_future(desk.committer.sweep())
    await desk.store.entered.wait()
    future = desk.caller.submit(1, reserve(1))
    desk.store.faults = [StoreUnavailable("disk full")]
    desk.store.let_go()
    with pytest.raises(StoreUnavailable):
        await sweep
    assert not (await future).refusal


class TestAStoreThatIsSlowToFail:
    """No patience: every failure took long."""

    @pytest.fixture
    def limits(self) -> CommitterLimits:
        """Of a committer without patience."""
        return CommitterLimits(max_queued_lines=10, store_patience_seconds=0)

    async def test_those_who_waited_hear_it_too(self, desk: Desk) -> None:
        """They are not tried, their lines make room, and what comes later is tried again."""
        await hold_one(desk)
        desk.store.faults = [StoreUnavailable("nobody answers")]
        for number in range(1, 11):
            desk.caller.submit(number, reserve(1))
        desk.store.let_go()
        assert {answer.failure for answer in await desk.caller.all()} == {Failure.STORE}
        assert desk.store.batches == [1]
        assert desk.committer.queued_lines == 0
        assert (await desk.caller.submit(11, reserve(1), weight=10)).failure is None
        assert desk.store.free("LAMP") == 99

    async def test_a_sweep_that_failed_fails_them_too(self, desk: Desk) -> None:
        """Whatever found out that the store is away."""
        desk.store.hold()
        desk.store.faults = [StoreUnavailable("nobody answers")]
        sweep = asyncio.ensure_future(desk.committer.sweep())
        await desk.store.entered.wait()
        waiting = desk.caller.submit(1, reserve(1))
        desk.store.let_go()
        with pytest.raises(StoreUnavailable):
            await sweep
        assert (await waiting).failure is Failure.STORE


async def test_a_store_that_fails_at_once_fails_its_batch_alone(desk: Desk) -> None:
    """What waited behind it is tried."""
    await hold_one(desk)
    desk.store.faults = [StoreUnavailable("a connection broke")]
    behind = desk.caller.submit(1, reserve(1))
    desk.store.let_go()
    assert (await behind).failure is None


async def test_a_sweep_is_refused_while_draining(desk: Desk) -> None:
    """It would wait for ever: nobody runs it any more."""
    await desk.committer.drain()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(desk.committer.sweep(), 60)


def test_a_lone_caller_does_not_make_it_busy() -> None:
    """Busy is when commands wait for others; it stays so for 50 ms, for under full load there are moments of rest."""

    async def main() -> None:
        store = MemoryStore()
        committer = Committer(store)
        committer.start()
        caller = Caller(committer)

        def busy() -> bool:
            return committer.busy

        store.hold()
        caller.submit(0, reserve(1))
        await store.entered.wait()
        assert not busy()
        caller.submit(1, reserve(1))
        assert busy()
        store.let_go()
        await caller.all()
        await asyncio.sleep(0.051)
        assert not busy()
        store.hold()
        caller.submit(2, reserve(1))
        caller.submit(3, reserve(1))
        await store.entered.wait()
        assert store.batches == [1, 1, 2]
        await asyncio.sleep(1)
        assert busy()
        store.let_go()
        await caller.all()
        await asyncio.sleep(0.049)
        assert busy()
        await asyncio.sleep(0.002)
        assert not busy()
        await committer.drain()

    run(main())
