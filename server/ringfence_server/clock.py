"""Time, injected: microseconds since the epoch, UTC."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the server knows of time."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC. Callable from any thread."""

    def due_until(self) -> int:
        """The instant up to which leases may be ended; ``now()`` unless the clock is in doubt."""

    async def sleep_until(self, instant: int) -> None:
        """Returns once ``now()`` has reached the instant, or a little later."""


class ClockWatch:
    """Watches a wall clock against this machine's monotonic one. Thread-safe.

    A jump of more than 5 s between the two pauses expiry: an hour that never passed must not end a hold. Expiry goes on
    when the clocks agree again, or when the new time has stood for ten minutes.
    """

    JUMP_MICROSECONDS = 5_000_000
    TRUST_AFTER_SECONDS = 600.0

    def __init__(self, wall: int) -> None:
        """``wall``: what the clock says now, microseconds since the epoch."""
        self._lock = threading.Lock()
        self._offset = wall - time.monotonic_ns() // 1_000
        self._jumped_at: float | None = None
        self.jumps = 0
        """Jumps seen so far, for metrics and alarms."""

    def due_until(self, wall: int) -> int:
        """What the clock says now, ``wall``; or while it is in doubt the instant that the monotonic clock makes it."""
        monotonic = time.monotonic_ns() // 1_000
        expected = monotonic + self._offset
        if abs(wall - expected) <= self.JUMP_MICROSECONDS:
            if self._jumped_at is not None:
                self._jumped_at = None
            elif abs(wall - expected) > 100_000:
                self._offset = wall - monotonic
            return wall
        with self._lock:
            if self._jumped_at is None:
                self._jumped_at = time.monotonic()
                self.jumps += 1
            elif time.monotonic() - self._jumped_at > self.TRUST_AFTER_SECONDS:
                self._jumped_at = None
                self._offset = wall - monotonic
                return wall
        return min(wall, expected)

    @property
    def in_doubt(self) -> bool:
        """Whether expiry is paused because the clock jumped."""
        return self._jumped_at is not None


class SystemClock(ClockWatch):
    """This machine's wall clock, watched."""

    def __init__(self) -> None:
        super().__init__(self.now())

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000

    def due_until(self, wall: int | None = None) -> int:
        """``now()``, or while the clock is in doubt the instant that the monotonic clock makes it."""
        return super().due_until(self.now() if wall is None else wall)

    async def sleep_until(self, instant: int) -> None:
        """Sleeps on the monotonic clock for the distance of now."""
        await asyncio.sleep(max(0.0, (instant - self.now()) / 1e6))


class ManualClock:
    """A clock that a test moves. Thread-safe; sleepers of every event loop wake when it moves."""

    def __init__(self, start: datetime | None = None) -> None:
        moment = start or datetime(2026, 1, 1, 12, tzinfo=UTC)
        self._now = int(moment.timestamp() * 1_000_000)
        self._lock = threading.Lock()
        self._sleepers: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def now(self) -> int:
        """The instant the test has set."""
        return self._now

    def due_until(self) -> int:
        """``now()``: a test's clock is never in doubt."""
        return self._now

    @property
    def time(self) -> datetime:
        """The instant as an aware datetime."""
        return datetime.fromtimestamp(self._now / 1e6, UTC)

    def advance(self, step: timedelta) -> None:
        """Moves time forward and wakes whoever waited for it."""
        with self._lock:
            self._now += step // timedelta(microseconds=1)
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        for _, loop, future in due:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_wake, future)

    async def sleep_until(self, instant: int) -> None:
        """Returns when the test has moved the clock to the instant."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._now >= instant:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._sleepers.append((instant, loop, future))
        try:
            await future
        finally:
            with self._lock:
                self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[2] is not future]


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
