"""Time, injected: microseconds since the epoch, UTC."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

_DRIFT_MICROSECONDS: Final = 100_000
"""Small steps and slewing are followed: what adds up over days is no jump."""


class WatchedClock(Protocol):
    """A clock of which is known when it jumped."""

    def accept(self) -> bool:
        """Takes the time as it is now for right; False when it is not in doubt."""

    @property
    def in_doubt(self) -> bool:
        """Whether no lease ends by it because it jumped, as far as anybody has looked."""

    @property
    def jumps(self) -> int:
        """Jumps seen so far."""

    @property
    def jumped_by(self) -> int:
        """Microseconds by which the newest jump moved the clock; negative: back."""


class Clock(WatchedClock, Protocol):
    """What the server knows of time."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC. Callable from any thread."""

    def due_until(self) -> int:
        """The instant up to which leases may be ended; ``now()`` unless the clock is in doubt."""

    async def sleep_until(self, instant: int) -> None:
        """Returns once ``now()`` has reached the instant, or a little later."""


class _Doubt(NamedTuple):
    """A jump that is not trusted yet."""

    offset: int
    """Wall clock less monotonic clock since the jump, microseconds."""
    since: int
    """When it was seen, by the monotonic clock, microseconds."""


class ClockWatch:
    """Watches a wall clock (this machine's, or a database's) against this machine's monotonic one. Thread-safe.

    A jump of more than 5 s between the two pauses expiry: an hour that never passed must not end a hold. Expiry goes on
    when the clocks agree again, when the new time has stood for ``trust_after_seconds``, or when somebody who knows
    accepts it.
    """

    JUMP_MICROSECONDS: Final = 5_000_000
    TRUST_AFTER_SECONDS: Final = 600.0

    def __init__(
        self,
        wall: int | None = None,
        *,
        trust_after_seconds: float = TRUST_AFTER_SECONDS,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``wall``: what the clock says now, microseconds since the epoch; None: what it says when it is first judged.
        ``trust_after_seconds`` 0 trusts every jump at once."""
        self._trust = round(trust_after_seconds * 1_000_000)
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._offset = None if wall is None else wall - self._monotonic_ns() // 1_000
        self._doubt: _Doubt | None = None
        self._jumps = 0
        self._jumped_by = 0

    def judged(self, wall: int) -> int:
        """The instant up to which leases may be ended when the clock says ``wall``: that, or while it is in doubt what
        the monotonic clock makes it."""
        monotonic = self._monotonic_ns() // 1_000
        offset, trusted = wall - monotonic, self._offset
        if trusted is not None and self._doubt is None and abs(offset - trusted) <= self.JUMP_MICROSECONDS:
            if abs(offset - trusted) > _DRIFT_MICROSECONDS:
                self._offset = offset
            return wall
        with self._lock:
            return self._judged(wall, monotonic)

    def _judged(self, wall: int, monotonic: int) -> int:
        offset = wall - monotonic
        if self._offset is None:
            self._offset = offset
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
        """Takes the time after the jump for right, so that expiry goes on at once; False when it is not in doubt.

        A later jump is doubted again.
        """
        with self._lock:
            if self._doubt is None:
                return False
            self._offset = self._doubt.offset
            self._doubt = None
            return True

    @property
    def in_doubt(self) -> bool:
        """Whether no lease ends by it because it jumped, as far as anybody has looked."""
        return self._doubt is not None

    @property
    def jumps(self) -> int:
        """Jumps seen so far."""
        return self._jumps

    @property
    def jumped_by(self) -> int:
        """Microseconds by which the newest jump moved the clock; negative: back."""
        return self._jumped_by


class RunningClock(ClockWatch, ABC):
    """A clock that nobody moves, watched."""

    @abstractmethod
    def now(self) -> int:
        """Microseconds since the epoch, UTC."""

    def due_until(self) -> int:
        """``now()``, or while the clock is in doubt the instant that the monotonic clock makes it."""
        return self.judged(self.now())

    async def sleep_until(self, instant: int) -> None:
        """Sleeps on the monotonic clock for the distance of now."""
        await asyncio.sleep(max(0.0, (instant - self.now()) / 1e6))


class SystemClock(RunningClock):
    """This machine's wall clock, watched."""

    def __init__(
        self,
        *,
        trust_after_seconds: float = ClockWatch.TRUST_AFTER_SECONDS,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``wall_ns`` and ``monotonic_ns`` are the two clocks."""
        self._wall_ns = wall_ns
        super().__init__(self.now(), trust_after_seconds=trust_after_seconds, monotonic_ns=monotonic_ns)

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        return self._wall_ns() // 1_000

    def accept(self) -> bool:
        """Takes the time as it is now for right; False when it is not in doubt."""
        self.due_until()
        return super().accept()


class RemoteClock(RunningClock):
    """Another machine's clock, such as a database's: between two looks at it (``judged``) this machine's monotonic one
    goes on from the last. What this machine's wall clock says does not matter."""

    def __init__(
        self,
        *,
        trust_after_seconds: float = ClockWatch.TRUST_AFTER_SECONDS,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Nobody has looked yet."""
        super().__init__(trust_after_seconds=trust_after_seconds, monotonic_ns=monotonic_ns)
        self._newest: int | None = None

    def judged(self, wall: int) -> int:
        """As everywhere; and what the clock said is what ``now`` goes on from."""
        self._newest = wall - self._monotonic_ns() // 1_000
        return super().judged(wall)

    def now(self) -> int:
        """Microseconds since the epoch, UTC; behind by as long as the last reading took to get here.

        Raises RuntimeError before anybody has looked.
        """
        if self._newest is None:
            raise RuntimeError("nobody has read the clock yet")
        return self._monotonic_ns() // 1_000 + self._newest


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
