"""On which cores a lone caller's calls run.

A call goes through three threads: one of gRPC's reads it, one collects it, the event loop's serves it. Each wakes the
next, and the scheduler wakes a thread on a core that has nothing to do. While one caller at a time is all there is that
core sleeps, and in a virtual machine to wake it takes longer than the thread is then busy. With these threads on one
core a lone caller was served 19 % more often, by turns with the same server left to the scheduler.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_TASKS: Final = Path("/proc/self/task")
_OWN_PREFIX: Final = "ringfence-"
"""Of the names of threads that do the server's own work beside the event loop's: what they do is better done beside."""
_LOOK_SECONDS: Final = 0.1
_LEFT_ALONE_SECONDS: Final = 1.0
"""After others than the lone caller were served as often."""


class OneCore:
    """Keeps the threads of calls on one core for as long as a lone caller calls time and again, and nobody else does
    much. For a process of the server's own, on its event loop; does nothing where there is one core, or no Linux."""

    def __init__(self, served: Callable[[], int]) -> None:
        """``served``: how many calls were served so far, queries and everybody's among them."""
        self._served = served
        self._before = 0
        self._calls = 0
        self._not_before = 0.0
        self._cores: Collection[int] = ()
        """Those of all threads, while they are kept on one."""
        self._timer: asyncio.TimerHandle | None = None
        self._current = _current_core()

    @property
    def kept(self) -> bool:
        """Whether the threads are on one core."""
        return bool(self._cores)

    def alone(self, calls: int) -> None:
        """So many further calls were one caller's, each sent when the one before it was answered."""
        self._calls += calls
        if not self.kept and asyncio.get_running_loop().time() >= self._not_before:
            self._keep()

    def company(self) -> None:
        """Somebody else is there: everything as it was, at once."""
        if not self.kept:
            return
        cores, self._cores = self._cores, ()
        if self._timer is not None:
            self._timer.cancel()
        # All of them, for who is started meanwhile has its starter's core.
        _place(_threads(), cores)

    def look(self) -> None:
        """Whether it still is as it was told: called ten times a second while threads are kept on one core."""
        calls, self._calls = self._calls, 0
        served = self._served()
        others, self._before = served - self._before - calls, served
        if calls and others <= calls:
            self._look_later()
            return
        if calls:
            self._not_before = asyncio.get_running_loop().time() + _LEFT_ALONE_SECONDS
        self.company()

    def _keep(self) -> None:
        if self._current is None:
            return
        cores = os.sched_getaffinity(0)
        if len(cores) < 2:
            return
        self._cores = cores
        _place(_threads(spared=_own_threads()), (self._current(),))
        self._before, self._calls = self._served(), 0
        self._look_later()

    def _look_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self.look)


def _current_core() -> Callable[[], int] | None:
    """What tells the core that the calling thread runs on; None: nothing does."""
    if sys.platform != "linux" or not _TASKS.is_dir():
        return None
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None


def _own_threads() -> set[int]:
    return {
        each.native_id
        for each in threading.enumerate()
        if each.name.startswith(_OWN_PREFIX) and each.native_id is not None
    }


def _threads(spared: Collection[int] = ()) -> list[int]:
    """This process's, but those that are spared."""
    return [number for each in os.listdir(_TASKS) if (number := int(each)) not in spared]


def _place(threads: Iterable[int], cores: Iterable[int]) -> None:
    for thread in threads:
        try:
            os.sched_setaffinity(thread, cores)
        except OSError as error:
            # It has ended, or some of the cores are no longer to be had.
            _log.debug("thread %d stays on its cores: %s", thread, error)
