"""A lone caller's calls run on one core, and only while one caller at a time is all there is."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from ringfence_server import one_core
from ringfence_server.one_core import OneCore

CALLS = 32


class Threads:
    """Threads that do nothing, by name, until the test is over."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._started: list[threading.Thread] = []

    def start(self, name: str) -> int:
        """Starts one; answers its number."""
        thread = threading.Thread(target=self._over.wait, name=name)
        self._started.append(thread)
        thread.start()
        assert thread.native_id is not None
        return thread.native_id

    def end(self) -> None:
        """Ends them."""
        self._over.set()
        for thread in self._started:
            thread.join()


@pytest.fixture
def threads() -> Iterator[Threads]:
    """The test's threads; it is skipped where there is nothing to choose."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2 or one_core._current_core() is None:
        pytest.skip("there is one core, or no way to keep to it")
    threads = Threads()
    yield threads
    threads.end()


class Calls:
    """How many calls were served."""

    def __init__(self) -> None:
        self.served = 1_000

    def __call__(self) -> int:
        """All of them, whoever's."""
        return self.served


@pytest.fixture
async def calls() -> Calls:
    """Calls so far."""
    return Calls()


@pytest.fixture
def kept(calls: Calls, threads: Threads) -> Iterator[OneCore]:
    """What keeps them, and ends it."""
    kept = OneCore(calls)
    yield kept
    kept.company()


async def test_threads_of_calls_share_the_event_loop_s_core(kept: OneCore, threads: Threads) -> None:
    """Whatever they are named; the store's and the readers' threads go on beside it. Company ends it for all, be they
    started meanwhile."""
    all_cores = os.sched_getaffinity(0)
    other, own = threads.start("grpc"), threads.start("ringfence-store_0")
    kept.alone(CALLS)
    core = os.sched_getaffinity(0)
    assert (kept.kept, len(core)) == (True, 1)
    assert [os.sched_getaffinity(each) for each in (other, own)] == [core, all_cores]
    later = threads.start("grpc too")
    assert os.sched_getaffinity(later) == core
    kept.company()
    assert not kept.kept
    assert [os.sched_getaffinity(each) for each in (0, other, own, later)] == [all_cores] * 4


async def test_it_lasts_while_the_caller_calls(kept: OneCore, calls: Calls) -> None:
    """A tenth of a second without a further stretch of calls ends it, and the next stretch begins it again."""
    for _ in range(2):
        kept.alone(CALLS)
        for _ in range(3):
            kept.alone(CALLS)
            calls.served += CALLS
            kept.look()
            assert kept.kept
        kept.look()
        assert not kept.kept


async def test_others_who_are_served_as_often_end_it(
    kept: OneCore, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries are no company to a writer, but as many of them want both cores: for a second nobody is alone."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    kept.alone(CALLS)
    goes_on = []
    for others in (CALLS, CALLS + 1):
        kept.alone(CALLS)
        calls.served += CALLS + others
        kept.look()
        goes_on.append(kept.kept)
    assert goes_on == [True, False]
    begun = []
    for later in (0.9, 0.2):
        now += later
        kept.alone(CALLS)
        begun.append(kept.kept)
    assert begun == [False, True]


async def test_the_next_look_comes_by_itself(kept: OneCore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller who went away leaves nothing behind."""
    monkeypatch.setattr(one_core, "_LOOK_SECONDS", 0)
    kept.alone(CALLS)
    assert kept.kept
    async with asyncio.timeout(30):
        while kept.kept:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0)


async def test_a_system_that_does_not_tell_its_core_is_left_alone(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is moved there."""
    monkeypatch.setattr(one_core, "_current_core", lambda: None)
    kept = OneCore(calls)
    kept.alone(CALLS)
    assert not kept.kept
