"""What the server does by itself: ending leases on time where nobody asks, and forgetting what is past its keeping."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from .clock import Clock, WatchedClock
from .committer import Committer
from .ledger.work import StoreUnavailable

_log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 0.25
"""Between two sweeps, and between two looks at the next end while the store is being written: a watcher hears of an
ended lease within a second, and a busy store is asked four times a second."""
_RETRY_SECONDS: Final = 1.0
_CLOCK_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
_PRUNE_SECONDS: Final = 5.0
_PRUNE_BUSY_SECONDS: Final = 0.2


class Upkept(Protocol):
    """What upkeep asks of a store."""

    async def next_due(self) -> int | None:
        """The instant (microseconds) at which the next lease ends; None when none has an end."""

    async def prune(self) -> int:
        """Deletes one bounded step of what is past its keeping; answers the rows deleted."""


class Sweeper:
    """Ends leases whose instant has come. Decisions and reads do that for the keys they touch; this is for the watchers
    of all others, and so that nothing is left to pile up."""

    def __init__(self, store: Upkept, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._written = asyncio.Event()

    def written(self) -> None:
        """Something was committed: the next end may be another one."""
        self._written.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._written.clear()
            try:
                due = await self._store.next_due()
                if due is not None and due <= min(self._clock.now(), self._clock.due_until()):
                    await self._committer.sweep()
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
            except StoreUnavailable as away:
                _log.warning("ending leases waits for the store: %s", away)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            except Exception:
                _log.exception("ending leases failed")
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if due is not None and due <= self._clock.now():
                # The clock is in doubt: the lease has ended only if it is right.
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await self._until(due)

    async def _until(self, due: int | None) -> None:
        """Waits for the instant, or for a write and a pause."""
        if due is None:
            await self._written.wait()
            await asyncio.sleep(_PAUSE_SECONDS)
            return
        reached = asyncio.ensure_future(self._clock.sleep_until(due))
        written = asyncio.ensure_future(self._written.wait())
        try:
            await asyncio.wait((reached, written), return_when=asyncio.FIRST_COMPLETED)
            if not reached.done():
                await asyncio.wait((reached,), timeout=_PAUSE_SECONDS)
        finally:
            reached.cancel()
            written.cancel()


async def watch_clock(
    clock: WatchedClock,
    *,
    name: str = "the wall clock",
    look: Callable[[], object] | None = None,
    how_to_accept: str = "",
) -> None:
    """Tells of the jumps of a clock, of each within a second after somebody met it. Runs until cancelled.

    ``look`` is called every second, so that a jump is met though nothing else asks. ``name`` is for the log line, and
    so is ``how_to_accept``: what an operator does to say that the new time is right.
    """
    jumps = clock.jumps
    paused = False
    while True:
        if look is not None:
            look()
        if clock.jumps != jumps:
            jumps = clock.jumps
            seconds = clock.jumped_by / 1e6
            text = f"{name} jumped by %+.1f s against the monotonic one"
            if clock.in_doubt:
                hint = f"; {how_to_accept}" if how_to_accept else ""
                _log.warning(f"{text}: no lease ends by it until the new time is trusted{hint}", seconds)
            else:
                _log.warning(f"{text}, and its new time is trusted", seconds)
        elif paused and not clock.in_doubt:
            _log.warning("%s is trusted again: leases end by it", name)
        paused = clock.in_doubt
        await asyncio.sleep(_CLOCK_SECONDS)


async def watch_store(store: Upkept, tell: Callable[[bool], Awaitable[None]]) -> None:
    """Tells whether the store answers, each time that this changes; it does at the beginning. One failure may be a
    broken connection that the next look replaces: two in a row are an absence. Runs until cancelled."""
    failures = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await store.next_due()
        except StoreUnavailable:
            failures += 1
            if failures == 2:
                await tell(False)
        except Exception:
            _log.exception("looking after the store failed")
        else:
            if failures >= 2:
                await tell(True)
            failures = 0


async def prune_forever(store: Upkept) -> None:
    """Forgets in small steps, faster while there is something to forget. Runs until cancelled."""
    while True:
        pause = _PRUNE_SECONDS
        try:
            if await store.prune():
                pause = _PRUNE_BUSY_SECONDS
        except StoreUnavailable as away:
            _log.warning("forgetting waits for the store: %s", away)
        except Exception:
            _log.exception("forgetting failed")
        await asyncio.sleep(pause)
