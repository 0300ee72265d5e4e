"""The program ends between any two steps of the runner, and is started again: nothing is lost, nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ringfence.adapters import PosRunner
from tests.adapters.conftest import QUARTER, Clock, MakeRunner
from tests.adapters.crashing import Crash, CrashAt
from tests.adapters.service import TillService
from tests.adapters.till import Till, TillAdapter
from tests.client.scripted import wait_for


class Day:
    """A short day of one till, driven over crashes: an order, its booking in two parts, a walk-in, a cancellation."""

    def __init__(self, service: TillService, make_runner: MakeRunner, clock: Clock, crash: CrashAt) -> None:
        self.service = service
        self.till = Till({"LAMP": 10, "RUG": 5})
        self._make = make_runner
        self._clock = clock
        self._crash = crash
        self.crashes = 0
        self._runner = self._start()

    def _start(self) -> PosRunner:
        adapter = TillAdapter(self.till)
        adapter.full_count = True
        return self._make(adapter, checkpoint=self._crash)

    def step(self, until: Callable[[], bool] = lambda: True) -> None:
        """Steps until something is so, starting again after a crash; then a quarter of an hour passes."""

        def done() -> bool:
            try:
                self._runner.step(wait=timedelta(milliseconds=30))
            except Crash:
                self.crashes += 1
                self._runner.close()
                # A crash takes longer than a moment: the next read is due.
                self._clock.advance(QUARTER)
                self._runner = self._start()
                return False
            return until()

        wait_for(done)
        self._clock.advance(QUARTER)

    def run(self) -> None:
        """The day. What is available is never more than is there, and exact after each read."""
        service, till = self.service, self.till
        self.step()
        sale = service.sell("LAMP", "berlin", 3, "4711")
        other = service.sell("RUG", "berlin", 2, "4712")
        self.step(lambda: len(service.replies()) == 2)
        assert service.available("LAMP", "berlin") == 7
        till.book("4711", 2)
        self.step()
        assert service.available("LAMP", "berlin") == 7
        till.walk_in("LAMP", 1)
        till.book("4711", 1)
        self.step()
        assert service.available("LAMP", "berlin") == 6
        service.cancel(other)
        self.step(lambda: len(service.replies()) == 3)
        self.step()
        assert service.available("LAMP", "berlin") == till.on_hand["LAMP"] == 6
        assert service.available("RUG", "berlin") == till.on_hand["RUG"] == 5
        assert till.shown == {"LAMP": 6, "RUG": 5}
        assert sorted(till.times_posted) == ["4711", "4712"]
        assert sum(sale.bookings.values()) == 3
        assert len(sale.bookings) == 2
        assert {(one.key.sku, one.quantity) for one in service.published[-2:]} <= {("LAMP", 6), ("RUG", 5), ("RUG", 3)}


STEPS = 70
"""More than the day has."""


def test_the_day_without_a_crash(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """The day passes all kinds of steps, and no more of them than are tried below."""
    never = CrashAt(0)
    Day(service, make_runner, clock, never).run()
    assert set(never.passed) == {
        "read",
        "positions saved",
        "count begun",
        "part posted",
        "count posted",
        "posted",
        "read handed back",
        "events saved",
        "till told",
        "answer saved",
        "replied",
        "orders saved",
        "shown",
        "shown saved",
        "reported",
    }
    assert len(never.passed) < STEPS


@pytest.mark.parametrize("number", range(1, STEPS))
def test_a_crash_at_every_step(service: TillService, make_runner: MakeRunner, clock: Clock, number: int) -> None:
    """Wherever the program ends, the day ends in the same state."""
    Day(service, make_runner, clock, CrashAt(number)).run()


@pytest.mark.parametrize("number", range(3, 40, 9))
def test_crashes_in_a_row(service: TillService, make_runner: MakeRunner, clock: Clock, number: int) -> None:
    """Another crash on the way back changes nothing."""

    class Again(CrashAt):
        def __call__(self, step: str) -> None:
            try:
                super().__call__(step)
            except Crash:
                if len(self.passed) < number + 5:
                    self.left = 3
                raise

    day = Day(service, make_runner, clock, Again(number))
    day.run()
    assert day.crashes >= 2


def test_acknowledgements_that_are_lost(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """A reply whose acknowledgement is lost is told again, and the till hears of the order once."""
    service.faults["StreamOrders"] = ["lost"]
    till = Till({"LAMP": 10})
    runner = make_runner(TillAdapter(till), timeout=timedelta(seconds=2))
    service.sell("LAMP", "berlin", 1, "4711")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=30)) is not None and runner.counters.replies >= 1)
    assert runner.counters.reply_failures >= 1
    assert till.times_posted == ["4711"]


def test_what_may_have_reached_the_till_is_marked(service: TillService, make_runner: MakeRunner) -> None:
    """A program that ends after the till was told, before it noted the answer, tells it again as a repetition: a till
    that cannot tell twice from once must look."""
    till = Till({"LAMP": 10})

    def crash(step: str) -> None:
        if step == "till told":
            raise Crash(step)

    service.sell("LAMP", "berlin", 1, "4711")
    runner = make_runner(TillAdapter(till), checkpoint=crash)
    with pytest.raises(Crash):
        wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) < timedelta(0))
    assert (till.times_posted, till.repeated) == (["4711"], [])
    runner.close()
    runner = make_runner(TillAdapter(till))
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.replies == 1)
    assert (till.times_posted, till.repeated) == (["4711"], ["4711"])
