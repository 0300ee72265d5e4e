"""A common pace for all watchers of a server, so that many of them never crowd out the writers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import thread_time
from typing import Final

PER_SECOND: Final = 1_000.0
"""Deliveries a second at most, of all watchers together."""
BUSY_SHARE: Final = 0.07
"""What part of the time deliveries may take while the server is busy."""
OVERDUE_SHARE: Final = 0.5
PATIENCE_SECONDS: Final = 10.0
"""The same once the first in line has waited so long: the writers come first, but not for ever."""
_FIRST_GUESS_SECONDS: Final = 0.0005
_SMOOTHING: Final = 0.1


class Pacer:
    """Lets deliveries start one after the other, first come first served, with a small burst.

    At most ``per_second`` of them, and while the server is busy (``is_busy``) so few that they take BUSY_SHARE of the
    time, by what the last ones cost. A watcher that has to wait loses nothing: what changes meanwhile is delivered with
    it, its newest state per key.
    """

    def __init__(
        self, per_second: float = PER_SECOND, burst: int = 50, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._spacing = 1.0 / per_second
        self._burst_time = burst * self._spacing
        self._is_busy = is_busy
        self._usual = _FIRST_GUESS_SECONDS
        self._next = 0.0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Returns when the caller may deliver."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._waiting and self._admit(now, now):
            return
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((now, future))
        self._arm(loop)
        await future

    def spent(self, seconds: float) -> None:
        """A delivery cost that much processor time: the next ones are taken to cost about as much."""
        self._usual += _SMOOTHING * (seconds - self._usual)

    def _admit(self, now: float, since: float) -> bool:
        """Whether one that has waited since then may start now."""
        spacing, burst_time = self._spacing, self._burst_time
        if self._is_busy():
            # No burst: what was saved up while nobody wrote is not to be spent while somebody does.
            burst_time = 0.0
            share = BUSY_SHARE if now - since < PATIENCE_SECONDS else OVERDUE_SHARE
            spacing = max(spacing, self._usual / share)
        if self._next > now:
            return False
        self._next = max(self._next, now - burst_time) + spacing
        return True

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiting:
            self._timer = loop.call_at(max(self._next, loop.time()), self._release, loop)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting:
            since, future = self._waiting[0]
            if not future.done():
                if not self._admit(loop.time(), since):
                    break
                future.set_result(None)
            self._waiting.popleft()
        self._arm(loop)


class Meter:
    """Adds up the processor time that one task spends between its waits: ``with meter:`` around what does not wait."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = thread_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += thread_time() - self._began
