"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence.adapters import PosAdapter, PosRunner, QueriedBalances, RunnerConfig, Schedule
from tests.adapters.service import TillService
from tests.client.scripted import wait_for


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests end programs, not the power; test_state.py looks at what is made durable, and when."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, span: timedelta) -> None:
        """Moves on."""
        self.now += span


@pytest.fixture
def clock() -> Clock:
    """A clock that a test moves."""
    return Clock()


@pytest.fixture
def service() -> Iterator[TillService]:
    """A service on a free port."""
    served = TillService()
    served.start()
    yield served
    served.close()


MakeRunner = Callable[..., PosRunner]


@pytest.fixture
def make_runner(service: TillService, clock: Clock, tmp_path: Path) -> Iterator[MakeRunner]:
    """Makes a runner as after a start of the program, with the state of the one before; it is closed after the test."""
    made: list[Any] = []

    def make(
        adapter: PosAdapter,
        *,
        checkpoint: Callable[[str], None] = lambda step: None,
        timeout: timedelta = timedelta(seconds=60),
        **options: Any,
    ) -> PosRunner:
        client = service.client(timeout=timeout)
        made.append(client)
        chosen: dict[str, Any] = {
            "name": "till-1",
            "locations": ["berlin"],
            "state": tmp_path / "state",
            "read": Schedule.every(timedelta(minutes=15)),
            "publish": Schedule.every(timedelta(minutes=15)),
            **options,
        }
        runner = PosRunner(
            adapter,
            client,
            RunnerConfig(**chosen),
            clock=clock,
            random_fraction=lambda: 1.0,
            checkpoint=checkpoint,
            balances=QueriedBalances,
        )
        made.append(runner)
        return runner

    yield make
    for one in reversed(made):
        one.close()


QUARTER = timedelta(minutes=15)
"""The usual schedule of a read."""


def step_until(runner: PosRunner, done: Callable[[], bool]) -> None:
    """Steps until something is so."""

    def stepped() -> bool:
        runner.step(wait=timedelta(milliseconds=30))
        return done()

    wait_for(stepped)


def orders(runner: PosRunner, service: TillService, replies: int) -> None:
    """Steps until the service has so many replies."""
    step_until(runner, lambda: len(service.replies()) >= replies)
