"""A common pace for all watchers of a server, so that many of them never crowd out the writers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

PER_SECOND: Final = 1_000.0
"""Deliveries a second at most, of all watchers together."""
BUSY_SHARE: Final = 0.1
"""What part of the time deliveries may take while commands wait."""


class Pacer:
    """Lets deliveries start one after the other, first come first served, with a small burst.

    At most ``per_second`` of them, and while commands wait (``is_busy``) so few that they take BUSY_SHARE of the time:
    each says what it cost. A watcher that has to wait loses nothing: what changes meanwhile is delivered with it, its
    newest state per key.
    """

    def __init__(
        self, per_second: float = PER_SECOND, burst: int = 50, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._spacing = 1.0 / per_second
        self._burst_time = burst * self._spacing
        self._is_busy = is_busy
        self._next = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Returns when the caller may deliver."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._admit(loop.time()):
            return
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        self._arm(loop)
        await future

    def spent(self, seconds: float) -> None:
        """A delivery cost that much processor time."""
        if self._is_busy():
            self._next += seconds / BUSY_SHARE

    def _admit(self, now: float) -> bool:
        self._next = max(self._next, now - self._burst_time)
        if self._next > now:
            return False
        self._next += self._spacing
        return True

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiting:
            self._timer = loop.call_at(max(self._next, loop.time()), self._release, loop)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif self._admit(loop.time()):
                self._waiting.popleft().set_result(None)
                if self._is_busy():
                    # One at a time: what it costs is known when it is done.
                    break
            else:
                break
        self._arm(loop)
