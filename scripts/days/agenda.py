"""What is to come in a day."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

__all__ = ["Agenda"]

T = TypeVar("T")


class Agenda(Generic[T]):
    """What is to come, by minute, in the order in which it was entered."""

    def __init__(self) -> None:
        self._items: list[tuple[int, int, T]] = []
        self._number = 0

    def add(self, minute: int, item: T) -> None:
        """Enters something for a minute."""
        self._number += 1
        heapq.heappush(self._items, (minute, self._number, item))

    def due(self, minute: int) -> list[T]:
        """Takes out what is entered for this minute or an earlier one."""
        found = []
        while self._items and self._items[0][0] <= minute:
            found.append(heapq.heappop(self._items)[2])
        return found

    def __bool__(self) -> bool:
        return bool(self._items)
