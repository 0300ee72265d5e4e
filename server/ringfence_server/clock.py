"""Time, injected: microseconds since the epoch, UTC."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

_DRIFT_MICROSECONDS: Final = 100_000
"""Small steps and slewing are followed: what adds up over days is no jump."""


class Clock(Protocol):
    """What the server knows of time."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC. Callable from any thread."""

    def due_until(self) -> int:
        """The instant up to which leases may be ended; ``now()`` unless the clock is in doubt."""

    def accept(self) -> bool:
        """Takes the time as it is now for right; False when it is not in doubt."""

    @property
    def in_doubt(self) -> bool:
        """Whether ``due_until()`` lies behind because the clock jumped."""

    @property
    def jumps(self) -> int:
        """Jumps seen so far."""

    @property
    def jumped_by(self) -> int:
        """Microseconds by which the newest jump moved the clock; negative: back."""

    async def sleep_until(self, instant: int) -> None:
        """Returns once ``now()`` has reached the instant, or a little later."""


class _Doubt(NamedTuple):
    """A jump that is not trusted yet."""

    offset: int
    """Wall clock less monotonic clock since the jump, microseconds."""
    since: int
    """When it was seen, by the monotonic clock, microseconds."""


class SystemClock:
    """The wall clock, watched against the monotonic one. Thread-safe.

    A jump of more than 5 s between the two pauses expiry: an hour that never passed must not end a hold. Expiry goes on
    when the clocks agree again, when the new time has stood for ``trust_after_seconds``, or when somebody who knows
    accepts it.
    """

    JUMP_MICROSECONDS: Final = 5_000_000
    TRUST_AFTER_SECONDS: Final = 600.0

    def __init__(
        self,
        *,
        trust_after_seconds: float = TRUST_AFTER_SECONDS,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``trust_after_seconds`` 0 trusts every jump at once; ``wall_ns`` and ``monotonic_ns`` are the two clocks."""
        self._trust = round(trust_after_seconds * 1_000_000)
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._offset = wall_ns() // 1_000 - monotonic_ns() // 1_000
        self._doubt: _Doubt | None = None
        self._jumps = 0
        self._jumped_by = 0

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return self._wall_ns() // 1_000

    def due_until(self) -> int:
        """``now()``, or while the clock is in doubt the instant that the monotonic clock makes it."""
        wall, monotonic = self._wall_ns() // 1_000, self._monotonic_ns() // 1_000
        moved = wall - monotonic - self._offset
        if self._doubt is None and abs(moved) <= self.JUMP_MICROSECONDS:
            if abs(moved) > _DRIFT_MICROSECONDS:
                self._offset += moved
            return wall
        with self._lock:
            return self._judged(wall, monotonic)

    def _judged(self, wall: int, monotonic: int) -> int:
        offset = wall - monotonic
        if abs(offset - self._offset) <= self.JUMP_MICROSECONDS:
            self._doubt = None
            return wall
        doubt = self._doubt
        if doubt is None or abs(offset - doubt.offset) > self.JUMP_MICROSECONDS:
            # A second jump begins anew: its time has not stood at all yet.
            doubt = self._doubt = _Doubt(offset, monotonic)
            self._jumps += 1
            self._jumped_by = offset - self._offset
        if monotonic - doubt.since >= self._trust:
            self._doubt = None
            self._offset = offset
            return wall
        return min(wall, monotonic + self._offset)

    def accept(self) -> bool:
        """Takes the time as it is now for right, so that expiry goes on at once; False when it is not in doubt.

        A later jump is doubted again.
        """
        self.due_until()
        with self._lock:
            if self._doubt is None:
                return False
            self._doubt = None
            self._offset = self._wall_ns() // 1_000 - self._monotonic_ns() // 1_000
            return True

    @property
    def in_doubt(self) -> bool:
        """Whether expiry is paused because the wall clock jumped, as far as anybody has looked."""
        return self._doubt is not None

    @property
    def jumps(self) -> int:
        """Jumps seen so far."""
        return self._jumps

    @property
    def jumped_by(self) -> int:
        """Microseconds by which the newest jump moved the wall clock; negative: back."""
        return self._jumped_by

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

    def accept(self) -> bool:
        """Nothing to accept."""
        return False

    @property
    def in_doubt(self) -> bool:
        """Never."""
        return False

    @property
    def jumps(self) -> int:
        """None: what the test sets is the time."""
        return 0

    @property
    def jumped_by(self) -> int:
        """Nothing."""
        return 0

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
