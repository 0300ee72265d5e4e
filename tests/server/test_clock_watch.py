"""A clock that jumps ends no lease before its time."""

from __future__ import annotations

import pytest

from ringfence_server.clock import ClockWatch, RemoteClock, SystemClock

SECOND = 1_000_000
HOUR = 3_600 * SECOND


class Monotonic:
    """This machine's monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 5 * HOUR

    def nanoseconds(self) -> int:
        return self.now * 1_000

    def passes(self, microseconds: int) -> None:
        self.now += microseconds


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


def test_a_steady_clock_is_believed(monotonic: Monotonic) -> None:
    """Also one that is moved a little, again and again, as one that is kept right is."""
    wall = 100 * HOUR
    watch = ClockWatch(wall, monotonic_ns=monotonic.nanoseconds)
    for _ in range(100):
        monotonic.passes(SECOND)
        wall += SECOND + SECOND // 5
        assert watch.judged(wall) == wall
    assert (watch.in_doubt, watch.jumps) == (False, 0)


def test_an_hour_that_did_not_pass_ends_nothing(monotonic: Monotonic) -> None:
    """Leases go on ending by the time that did, until the clocks agree again."""
    watch = ClockWatch(100 * HOUR, monotonic_ns=monotonic.nanoseconds)
    monotonic.passes(SECOND)
    assert watch.judged(101 * HOUR) == 100 * HOUR + SECOND
    monotonic.passes(SECOND)
    assert watch.judged(101 * HOUR + SECOND) == 100 * HOUR + 2 * SECOND
    assert (watch.in_doubt, watch.jumps) == (True, 1)
    assert watch.judged(100 * HOUR + 2 * SECOND) == 100 * HOUR + 2 * SECOND
    assert (watch.in_doubt, watch.jumps) == (False, 1)


def test_a_clock_that_goes_back_is_followed_no_further_than_it_says(monotonic: Monotonic) -> None:
    """Nothing ends after what the clock itself says."""
    watch = ClockWatch(100 * HOUR, monotonic_ns=monotonic.nanoseconds)
    monotonic.passes(SECOND)
    assert watch.judged(99 * HOUR) == 99 * HOUR
    assert watch.in_doubt


def test_a_new_time_that_stands_is_believed(monotonic: Monotonic) -> None:
    """After ten minutes it was no slip."""
    watch = ClockWatch(100 * HOUR, monotonic_ns=monotonic.nanoseconds)
    watch.judged(101 * HOUR)
    monotonic.passes(601 * SECOND)
    assert watch.judged(101 * HOUR + 601 * SECOND) == 101 * HOUR + 601 * SECOND
    assert not watch.in_doubt


def test_the_system_clock_is_watched() -> None:
    """Undisturbed, leases end by what it says."""
    clock = SystemClock()
    before = clock.now()
    assert before <= clock.due_until() <= clock.now()


async def test_a_remote_clock_goes_on_between_two_looks(monotonic: Monotonic) -> None:
    """By this machine's monotonic one, from the newest reading, however little it differs; in doubt it ends no lease
    early."""
    wall = 100 * HOUR
    clock = RemoteClock(monotonic_ns=monotonic.nanoseconds)
    with pytest.raises(RuntimeError, match="nobody has read"):
        clock.now()
    clock.judged(wall)
    monotonic.passes(SECOND)
    assert clock.now() == clock.due_until() == wall + SECOND
    clock.judged(wall + SECOND + 1_000)
    assert clock.now() == wall + SECOND + 1_000
    clock.judged(wall + HOUR)
    assert (clock.now(), clock.in_doubt, clock.jumps) == (wall + HOUR, True, 1)
    assert clock.due_until() == wall + SECOND
    assert clock.accept()
    assert clock.due_until() == clock.now() == wall + HOUR
    assert not clock.in_doubt
    await clock.sleep_until(wall)
