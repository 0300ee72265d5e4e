"""Lanes: queues whose batches are committed beside one another, and which of them a request waits in."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Protocol

from ringfence_server.ledger.commands import Command, SetPolicy

from .request import Request


class Routes(Protocol):
    """Tells for each command where it goes: what is likely to want the same rows shares a lane, so that lanes seldom
    wait for each other. No two lanes are in any order."""

    lanes: int

    def route(self, organization: str, caller: str, command: Command) -> tuple[int, Hashable]:
        """The lane, below ``lanes``, and a group: only requests of one group share a batch."""


class OneLane:
    """All that is queued is one queue."""

    lanes = 1

    def route(self, organization: str, caller: str, command: Command) -> tuple[int, Hashable]:
        """The one."""
        return 0, None


class LaneQueue:
    """What waits in a lane: in the order of arrival within a group, the groups taking turns."""

    def __init__(self) -> None:
        self._groups: OrderedDict[Hashable, deque[Request]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._groups)

    def put(self, request: Request, group: Hashable) -> None:
        """Queues a request."""
        queue = self._groups.get(group)
        if queue is None:
            queue = self._groups[group] = deque()
        queue.append(request)

    def take(self, most_commands: int, most_lines: int) -> list[Request]:
        """The next batch; a change of policy goes alone, and so does a request of more lines than a batch may have."""
        if not self._groups:
            return []
        group, queue = next(iter(self._groups.items()))
        taken: list[Request] = []
        lines = 0
        while queue and len(taken) < most_commands:
            request = queue[0]
            if taken and (lines + request.weight > most_lines or isinstance(request.command, SetPolicy)):
                break
            taken.append(queue.popleft())
            lines += request.weight
            if isinstance(request.command, SetPolicy):
                break
        if queue:
            self._groups.move_to_end(group)
        else:
            del self._groups[group]
        return taken

    def clear(self) -> list[Request]:
        """Takes all that waits."""
        waiting = [request for queue in self._groups.values() for request in queue]
        self._groups.clear()
        return waiting
