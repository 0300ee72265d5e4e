"""When the server and the adapters are killed, by a seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from scripts.days.host import ServerProcess

__all__ = ["Killer"]

_LATEST_SECONDS = 0.06
"""How long after a minute's begin the server is killed, at most: in the midst of its work."""
_LATEST_STEP = 12
"""After how many points between two steps an adapter is killed, at most."""


class Killer:
    """Kills the server, an adapter, or both, at some minutes of a day."""

    def __init__(self, server: ServerProcess, *, seed: int, minutes: int, kills: int) -> None:
        """`kills` of each kind, in `minutes`; 0 kills nothing."""
        self._server = server
        self._chance = random.Random(f"{seed}/kills")
        self._victims: dict[int, str] = {}
        for victim in ("server", "adapter", "both") * kills:
            self._victims[self._chance.randrange(1, minutes)] = victim
        self._armed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.killed: Counter[str] = Counter()
        """How often, by victim."""

    def at(self, minute: int) -> None:
        """A minute of the day begins."""
        victim = self._victims.get(minute)
        if victim in ("server", "both"):
            task = asyncio.create_task(self._kill_server(self._chance.uniform(0, _LATEST_SECONDS)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if victim in ("adapter", "both"):
            self._armed = self._chance.randint(1, _LATEST_STEP)

    def adapter_dies_after(self) -> int:
        """After how many points between two steps the adapter that works next is to die; 0: not by this."""
        armed, self._armed = self._armed, 0
        return armed

    async def settled(self) -> None:
        """Waits until a server that was killed serves again."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _kill_server(self, after: float) -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(self._server.restart)
        self.killed["server"] += 1
