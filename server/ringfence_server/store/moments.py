"""Which instant a batch writes and a reader answers for: asking for that instant later gives the same answer."""

from __future__ import annotations

import threading
from collections import deque


class Moments:
    """Orders batches and reads of one process in time. Thread-safe.

    A batch's record_time lies after every instant a reader was answered for and after the batch before it; a reader's
    instant lies before every batch that its snapshot does not contain. Hence the state at instant t is the sum of all
    entries with effective_time <= t, whenever it is asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served = 0
        self._in_flight: int | None = None
        self._recent: deque[int] = deque(maxlen=4_096)

    def begin(self, now: int, last_record_time: int) -> int:
        """The record_time of the batch that begins: not before ``now``."""
        with self._lock:
            self._in_flight = max(now, last_record_time + 1, self._served + 1)
            return self._in_flight

    def end(self, *, committed: bool) -> None:
        """The batch is visible to new snapshots, or gone."""
        with self._lock:
            if committed and self._in_flight is not None:
                self._recent.append(self._in_flight)
            self._in_flight = None

    def read_time(self, now: int, snapshot_record_time: int) -> int:
        """The instant a snapshot stands for, whose newest batch is ``snapshot_record_time``."""
        with self._lock:
            instant = max(now, snapshot_record_time)
            for moment in reversed(self._recent):
                # The oldest batch that the snapshot lacks bounds it; batches are few, and newest first.
                if moment <= snapshot_record_time:
                    break
                instant = min(instant, moment - 1)
            if self._in_flight is not None and self._in_flight > snapshot_record_time:
                instant = min(instant, self._in_flight - 1)
            self._served = max(self._served, instant)
            return instant


class DatabaseMoments:
    """One writer's, where the database's clock orders the batches of all servers: see ``instants``."""

    def begin(self, now: int, last_record_time: int) -> int:
        """The record_time of the batch that begins: ``now``, or after the batch before it of its slots."""
        return max(now, last_record_time + 1)

    def end(self, *, committed: bool) -> None:
        """Readers ask the database."""
