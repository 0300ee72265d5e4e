"""Whether one caller at a time is all there is: then the way to the store's thread and back costs more than it frees.

A caller that waits for each answer before it sends the next request leaves the event loop idle meanwhile, and two
changes of thread are then two sleeping cores to wake. So the committer may run such a request on the event loop's own
thread, at once, without a queue. While it does, the loop takes nothing in: who else is there shows by a request that
comes right behind an answer, for it had to wait for that, and by a probe, a batch that goes the thread's way.
"""

from __future__ import annotations

from typing import Final, Protocol

from ringfence_server.ledger.commands import SetPolicy

from .request import Request

_QUIET_BATCHES: Final = 4
"""Batches of one, with nothing queued behind them, until one caller is taken to be alone."""
_HERE_BEFORE_PROBE: Final = 31
"""Batches on the event loop between two probes."""
_SOONEST_SECONDS: Final = 0.000_15
"""After an answer a caller's next request takes longer than this: on one machine gRPC alone takes twice as long. What
is there sooner is somebody else's."""
_MOST_LINES: Final = 16
"""Lines of a command that is brief."""
_MOST_SECONDS: Final = 0.003
"""What a batch may take on the event loop. A disk that is slower time and again keeps to the thread: the loop goes on
then, and the hop is small beside the write."""
_SLOW_STRETCHES: Final = 3
_QUIET_BATCHES_WHEN_SLOW: Final = 256


class AloneListener(Protocol):
    """Who is told whether one caller at a time is all there is."""

    def alone(self, calls: int) -> None:
        """A whole stretch and its probe were one caller's: so many further commands, each sent when the one before it
        was answered."""

    def company(self) -> None:
        """Somebody else is there again: told once, and only after ``alone``."""


class Alone:
    """Watches batches go by, and tells which may run on the event loop's own thread."""

    def __init__(self, listener: AloneListener | None = None) -> None:
        self._listener = listener
        self._told = False
        """Whether the listener takes one caller to be alone."""
        self._left = 0
        self._quiet_wanted = _QUIET_BATCHES
        self._slow = 0
        self._stretch = False
        """Whether the last batch was the last of a whole stretch, and the next is its probe."""
        self._answered = 0.0

    def may_run_here(self, request: Request, now: float) -> bool:
        """Whether a request may that came ``now`` (seconds, of any clock that never goes back) while nothing waits."""
        if not self._left:
            return False
        if now - self._answered < _SOONEST_SECONDS:
            self._has_company()
            return False
        return request.weight <= _MOST_LINES and not isinstance(request.command, SetPolicy)

    def ran_here(self, began: float, ended: float) -> None:
        """A batch ran on the event loop, or tried to, from one instant of that clock to another."""
        self._left -= 1
        self._answered = ended
        if ended - began > _MOST_SECONDS:
            self._left = 0
            self._slow += 1
        elif not self._left:
            self._slow = 0
            self._stretch = True
        if not self._left:
            # The probe: a single quiet batch, and it goes on as before.
            self._quiet_wanted = 1
        if self._slow >= _SLOW_STRETCHES:
            self._slow, self._quiet_wanted = 0, _QUIET_BATCHES_WHEN_SLOW

    def ran_there(self, requests: int, *, queued: bool) -> None:
        """A batch ran on the store's thread; ``queued``: more had come by its end."""
        if requests > 1 or queued:
            self._has_company()
        elif self._quiet_wanted > 1:
            self._quiet_wanted -= 1
        else:
            self._left, self._quiet_wanted = _HERE_BEFORE_PROBE, _QUIET_BATCHES
            if self._stretch and self._listener is not None:
                self._told = True
                self._listener.alone(_HERE_BEFORE_PROBE + 1)
        self._stretch = False

    def _has_company(self) -> None:
        self._left, self._quiet_wanted = 0, max(self._quiet_wanted, _QUIET_BATCHES)
        if self._told and self._listener is not None:
            self._told = False
            self._listener.company()
