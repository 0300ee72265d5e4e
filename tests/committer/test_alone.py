"""A caller who is alone is served on the event loop's own thread; with company, the store's thread is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence_server.committer import Committer, Failure, committer
from ringfence_server.ledger.commands import Command, SetPolicy
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.work import BatchRejected, Committed, StoreUnavailable
from tests.committer.conftest import Desk
from tests.committer.memory import Caller, MemoryStore, explode
from tests.committer.test_group_commit import names, reserve

_UNTIL_ALONE = 4
_STRETCH = 31


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each transaction on the event loop takes: one number, which a test may change."""
    spent, now = [0.001], [0.0]

    def clock() -> float:
        now[0] += spent[0]
        return now[0]

    monkeypatch.setattr(committer, "perf_counter", clock)
    return spent


@pytest.fixture
async def desk(desk: Desk, seconds: list[float]) -> AsyncIterator[Desk]:
    """A running committer that may use the event loop's own thread, and has not yet found anyone alone."""
    told: list[Committed] = []
    running = Committer(desk.store, on_commit=told.append, run_here=desk.store.run_here)
    running.start()
    yield Desk(desk.store, running, Caller(running), told)
    desk.store.let_go()
    await running.drain()


class Orders:
    """Orders of one unit, one after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._number = 0

    async def send(self, count: int, command: Command | None = None, *, weight: int = 1) -> None:
        """Sends so many, each when the one before it is answered."""
        for _ in range(count):
            self._number += 1
            await self._desk.caller.submit(self._number, command or reserve(1, "BIKE"), weight=weight)

    def together(self, count: int) -> list[asyncio.Future[object]]:
        """Sends so many at once."""
        self._number += count
        numbers = range(self._number - count + 1, self._number + 1)
        return [self._desk.caller.submit(number, reserve(1, "BIKE")) for number in numbers]  # type: ignore[misc]


def ways(store: MemoryStore) -> tuple[int, int]:
    """Transactions on the store's thread and on the event loop's since it was last asked."""
    counts = len(store.batches), len(store.here)
    store.batches.clear()
    store.here.clear()
    return counts


async def test_a_caller_who_is_alone_is_served_on_the_event_loop(desk: Desk) -> None:
    """After four batches of one, thirty-one go without a change of thread, then one goes the other way to look around."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    assert ways(desk.store) == (_UNTIL_ALONE, 0)
    await orders.send(_STRETCH)
    assert ways(desk.store) == (0, _STRETCH)
    await orders.send(1 + _STRETCH + 1)
    assert ways(desk.store) == (2, _STRETCH)
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 2 * _STRETCH - 2
    assert len(desk.told) == _UNTIL_ALONE + 2 * _STRETCH + 2


async def test_what_comes_together_is_one_batch_on_the_stores_thread(desk: Desk) -> None:
    """Two at once end the lone caller's stretch: group commit is as it was, and must be found alone anew."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE + 1)
    ways(desk.store)
    await asyncio.gather(*orders.together(2))
    assert desk.store.batches == [2]
    await orders.send(_UNTIL_ALONE)
    assert ways(desk.store) == (1 + _UNTIL_ALONE, 0)
    await orders.send(1)
    assert ways(desk.store) == (0, 1)


async def test_company_that_comes_one_by_one_is_found_out(desk: Desk) -> None:
    """Callers whose requests never meet in a batch meet the probe: something has queued up by its end."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE + _STRETCH)
    ways(desk.store)
    desk.store.hold()
    (probe,) = orders.together(1)
    await desk.store.entered.wait()
    (company,) = orders.together(1)
    desk.store.let_go()
    await asyncio.gather(probe, company)
    await orders.send(_UNTIL_ALONE - 1)
    assert ways(desk.store) == (1 + _UNTIL_ALONE, 0)


@pytest.mark.parametrize("command", [reserve(1, "BIKE"), SetPolicy(Policy(dimensions=("colour",)), 0)])
async def test_what_may_take_long_goes_the_other_way(desk: Desk, command: Command) -> None:
    """A command of many lines, or a change of policy, never holds up the event loop."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    await orders.send(1, command, weight=1 if isinstance(command, SetPolicy) else 17)
    assert ways(desk.store) == (1, 0)


async def test_what_the_store_finds_too_long_goes_the_other_way(desk: Desk) -> None:
    """The store may know better than the request tells: nothing happened then, and the thread does it, once."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    desk.store.too_long_here = lambda _: True
    await orders.send(2)
    assert ways(desk.store) == (2, 0)
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 2


async def test_a_slow_disk_keeps_to_the_thread(desk: Desk, seconds: list[float]) -> None:
    """A write that takes long ends the stretch; the third in a row, and the event loop is spared for 256 batches."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    seconds[0] = 0.004
    await orders.send(6, SetPolicy(Policy(), 7))
    assert ways(desk.store) == (6, 0)
    await orders.send(6)
    assert ways(desk.store) == (3, 3)
    seconds[0] = 0.001
    await orders.send(256 - 1, SetPolicy(Policy(), 7))
    assert ways(desk.store) == (255, 0)
    await orders.send(1)
    assert ways(desk.store) == (0, 1)


async def test_one_slow_write_costs_one_look_around(desk: Desk, seconds: list[float]) -> None:
    """Every disk is slow now and then."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    for _ in range(3):
        seconds[0] = 0.004
        await orders.send(1)
        seconds[0] = 0.001
        ways(desk.store)
        await orders.send(1 + _STRETCH + 1)
        assert ways(desk.store) == (2, _STRETCH)


async def test_faults_are_answered_as_on_the_thread(desk: Desk) -> None:
    """A store that is away, rows it refuses, a command that cannot be decided: the caller hears the same, and service
    goes on."""
    orders = Orders(desk)
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    desk.store.faults += [StoreUnavailable("no disk"), BatchRejected("a constraint")]
    answers = [await desk.caller.submit(900 + number, reserve(1, "BIKE")) for number in range(2)]
    answers.append(await desk.caller.submit(902, reserve(1, "BIKE"), encode=explode))
    answers.append(await desk.caller.submit(903, reserve(1, "BIKE")))
    assert [answer.failure for answer in answers] == [Failure.STORE, Failure.INTERNAL, Failure.INTERNAL, None]
    assert ways(desk.store) == (0, 4)
    assert names(answers[3:]) == ["Reserved"]
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 1
