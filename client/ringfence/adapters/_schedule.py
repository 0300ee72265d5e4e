"""When a runner does what: schedules, and pauses after failures. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["Backoff", "Schedule"]

LONGEST_PAUSE = timedelta(minutes=5)
"""The longest pause after failures."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often something is done. The first time is at once."""

    interval: timedelta
    """The time from one to the next, 1 second to 24 hours."""
    aligned: bool = False
    """True: at whole multiples of the interval by UTC, such as every full hour."""
    on_change: bool = False
    """True: only when something changed, which is asked at this interval."""

    def __post_init__(self) -> None:
        if not timedelta(seconds=1) <= self.interval <= timedelta(hours=24):
            raise ValueError("an interval is 1 second to 24 hours")

    @classmethod
    def every(cls, interval: timedelta) -> Schedule:
        """Every so often."""
        return cls(interval)

    @classmethod
    def hourly(cls) -> Schedule:
        """At every full hour."""
        return cls(timedelta(hours=1), aligned=True)

    @classmethod
    def when_changed(cls, interval: timedelta = timedelta(seconds=5)) -> Schedule:
        """When something changed, looked for every `interval`."""
        return cls(interval, on_change=True)

    def next_after(self, done: datetime) -> datetime:
        """When it is due again after it was done."""
        if not self.aligned:
            return done + self.interval
        return _EPOCH + ((done - _EPOCH) // self.interval + 1) * self.interval

    def soon_enough(self, due: datetime, now: datetime) -> datetime:
        """When it is due as far as the clock can be trusted: one that was set back must not leave everything undone
        until it is where it was, so nothing is due later than its interval, or the longest pause, from now."""
        return min(due, now + max(self.interval, LONGEST_PAUSE))


class Backoff:
    """Pauses after failures in a row: doubling, bounded, drawn from the upper half so that adapters do not come back
    together."""

    def __init__(
        self,
        *,
        initial: timedelta = timedelta(seconds=1),
        cap: timedelta = LONGEST_PAUSE,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._initial = initial
        self._cap = cap
        self._random = random_fraction
        self._failures = 0

    def failed(self) -> timedelta:
        """The pause before the next try."""
        # The exponent is bounded too: a till may be away for weeks.
        longest = min(self._cap, self._initial * (1 << min(self._failures, 32)))
        self._failures += 1
        pause: timedelta = longest * (0.5 + self._random() / 2)
        return pause

    def succeeded(self) -> None:
        """The next failure is the first of its row."""
        self._failures = 0
