"""A caller who is alone is served on the event loop's own thread; with company, the store's thread is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ringfence_server.committer import Answer, Committer, Failure, committer
from ringfence_server.committer.alone import AloneListener
from ringfence_server.ledger.commands import Command, SetPolicy
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.work import BatchRejected, Committed, StoreUnavailable, Work
from tests.committer.conftest import Desk, names, reserve
from tests.committer.memory import Caller, MemoryStore, explode

_UNTIL_ALONE = 4
_STRETCH = 31


@dataclass
class Time:
    """What the committer's clock says, seconds."""

    now: float = 0.0
    transaction: float = 0.001
    """What each transaction on the event loop takes."""


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """A clock that stands still but for transactions on the event loop and what the test adds."""
    time = Time()
    monkeypatch.setattr(committer, "perf_counter", lambda: time.now)
    return time


class Heard(AloneListener):
    """What was told of a lone caller, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def alone(self, calls: int) -> None:
        """So many further commands."""
        self.told.append(f"alone, {calls} calls")

    def company(self) -> None:
        """Somebody else."""
        self.told.append("company")


@pytest.fixture
def heard() -> Heard:
    """Who asked to hear of a lone caller."""
    return Heard()


@pytest.fixture
async def desk(desk: Desk, time: Time, heard: Heard) -> AsyncIterator[Desk]:
    """A running committer that may use the event loop's own thread, and has not yet found anyone alone."""
    told: list[Committed] = []

    def run_here(work: Work) -> Committed | None:
        time.now += time.transaction
        return desk.store.run_here(work)

    running = Committer(desk.store, on_commit=told.append, run_here=run_here, alone_listener=heard)
    running.start()
    yield Desk(desk.store, running, Caller(running), told)
    desk.store.let_go()
    await running.drain()


@pytest.fixture
def orders(desk: Desk, time: Time) -> Orders:
    """A channel's orders."""
    return Orders(desk, time)


class Orders:
    """Orders of one unit, one after the other, each half a millisecond after the answer to the one before it."""

    def __init__(self, desk: Desk, time: Time) -> None:
        self._desk = desk
        self._time = time
        self._number = 0

    async def send(self, count: int, command: Command | None = None, *, weight: int = 1) -> None:
        """Sends so many, each when the one before it is answered."""
        for _ in range(count):
            self._number += 1
            self._time.now += 0.000_5
            await self._desk.caller.submit(self._number, command or reserve(1, "BIKE"), weight=weight)

    def together(self, count: int, *, more: bool = False) -> list[asyncio.Future[Answer]]:
        """Sends so many at once; ``more``: and says so."""
        self._number += count
        numbers = range(self._number - count + 1, self._number + 1)
        return [self._desk.caller.submit(number, reserve(1, "BIKE"), more=more) for number in numbers]


def ways(store: MemoryStore) -> tuple[int, int]:
    """Transactions on the store's thread and on the event loop's since it was last asked."""
    counts = len(store.batches), len(store.here)
    store.batches.clear()
    store.here.clear()
    return counts


async def test_a_caller_who_is_alone_is_served_on_the_event_loop(desk: Desk, orders: Orders) -> None:
    """After four batches of one, thirty-one go without a change of thread; then one goes the other way, as a probe."""
    await orders.send(_UNTIL_ALONE)
    assert ways(desk.store) == (_UNTIL_ALONE, 0)
    await orders.send(_STRETCH)
    assert ways(desk.store) == (0, _STRETCH)
    await orders.send(1 + _STRETCH + 1)
    assert ways(desk.store) == (2, _STRETCH)
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 2 * _STRETCH - 2
    await asyncio.sleep(0)
    assert [committed.revision for committed in desk.told] == sorted({committed.revision for committed in desk.told})
    assert len(desk.told) == _UNTIL_ALONE + 2 * _STRETCH + 2


async def test_who_asked_hears_of_a_lone_caller_and_once_of_company(desk: Desk, orders: Orders, heard: Heard) -> None:
    """After each whole stretch and its probe, never for a short one; and of company only who heard of a lone caller."""
    stretch = f"alone, {_STRETCH + 1} calls"
    await orders.send(_UNTIL_ALONE + _STRETCH)
    assert heard.told == []
    await orders.send(1)
    assert heard.told == [stretch]
    await orders.send(_STRETCH + 1 + 5)
    assert heard.told == [stretch, stretch]
    for _ in range(3):
        await asyncio.gather(*orders.together(3))
    assert heard.told == [stretch, stretch, "company"]
    await orders.send(_UNTIL_ALONE + 5)
    await asyncio.gather(*orders.together(3))
    assert len(heard.told) == 3


async def test_it_is_answered_before_anything_else_happens(desk: Desk, orders: Orders) -> None:
    """A lone caller's request waits in no queue: it is durable and answered when the committer has taken it."""
    await orders.send(_UNTIL_ALONE)
    (order,) = orders.together(1)
    assert order.done()
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 1


async def test_what_comes_right_behind_an_answer_had_to_wait_for_it(desk: Desk, orders: Orders) -> None:
    """Nobody answers that fast: the stretch ends with it, and group commit is as it was."""
    await orders.send(_UNTIL_ALONE + 1)
    ways(desk.store)
    await asyncio.gather(*orders.together(3))
    assert desk.store.batches == [3]
    await orders.send(_UNTIL_ALONE)
    assert ways(desk.store) == (1 + _UNTIL_ALONE, 0)
    await orders.send(1)
    assert ways(desk.store) == (0, 1)


async def test_what_others_follow_at_once_waits_for_them(desk: Desk, orders: Orders) -> None:
    """A message of several commands is a batch, whoever sends it."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    await asyncio.gather(*orders.together(3, more=True))
    assert (desk.store.batches, desk.store.here) == ([3], [])


async def test_company_that_comes_one_by_one_is_found_out(desk: Desk, orders: Orders) -> None:
    """Callers whose requests never meet in a batch meet the probe: something has queued up by its end."""
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
async def test_what_may_take_long_goes_the_other_way(desk: Desk, orders: Orders, command: Command) -> None:
    """A command of many lines, or a change of policy, never holds up the event loop."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    await orders.send(1, command, weight=1 if isinstance(command, SetPolicy) else 17)
    assert ways(desk.store) == (1, 0)


async def test_what_the_store_finds_too_long_goes_the_other_way(desk: Desk, orders: Orders) -> None:
    """The store may know better than the request tells: nothing happened then, and the thread does it, once."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    desk.store.too_long_here = lambda _: True
    await orders.send(2)
    assert ways(desk.store) == (2, 0)
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 2


async def test_a_slow_disk_keeps_to_the_thread(desk: Desk, orders: Orders, time: Time) -> None:
    """A write that takes long ends the stretch; the third in a row, and the event loop is spared for 256 batches."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    time.transaction = 0.004
    await orders.send(6, SetPolicy(Policy(), 7))
    assert ways(desk.store) == (6, 0)
    await orders.send(6)
    assert ways(desk.store) == (3, 3)
    time.transaction = 0.001
    await orders.send(256 - 1, SetPolicy(Policy(), 7))
    assert ways(desk.store) == (255, 0)
    await orders.send(1)
    assert ways(desk.store) == (0, 1)


async def test_one_slow_write_costs_one_look_around(desk: Desk, orders: Orders, time: Time) -> None:
    """Every disk is slow now and then."""
    await orders.send(_UNTIL_ALONE)
    for _ in range(3):
        time.transaction = 0.004
        await orders.send(1)
        time.transaction = 0.001
        ways(desk.store)
        await orders.send(1 + _STRETCH + 1)
        assert ways(desk.store) == (2, _STRETCH)


async def test_faults_are_answered_as_on_the_thread(desk: Desk, orders: Orders) -> None:
    """A store that is away, rows it refuses, a command that cannot be decided: what fails here is tried there, so the
    caller hears the same, and service goes on."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    away, refused = StoreUnavailable("no disk"), BatchRejected("a constraint")
    desk.store.faults += [away, away, refused, refused]
    answers = [await desk.caller.submit(900 + number, reserve(1, "BIKE")) for number in range(2)]
    answers.append(await desk.caller.submit(902, reserve(1, "BIKE"), encode=explode))
    answers.append(await desk.caller.submit(903, reserve(1, "BIKE")))
    assert [answer.failure for answer in answers] == [Failure.STORE, Failure.INTERNAL, Failure.INTERNAL, None]
    assert names(answers[3:]) == ["Reserved"]
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 1


async def test_what_fails_here_alone_happens_once(desk: Desk, orders: Orders) -> None:
    """A fault that has passed when the thread tries again is nothing that a caller hears of."""
    await orders.send(_UNTIL_ALONE)
    ways(desk.store)
    desk.store.faults.append(StoreUnavailable("for a moment"))
    answer = await desk.caller.submit(900, reserve(1, "BIKE"))
    assert (answer.failure, ways(desk.store)) == (None, (1, 1))
    assert desk.store.free("BIKE") == 100 - _UNTIL_ALONE - 1
