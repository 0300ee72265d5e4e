"""Rows to insert as VALUES: what Citus sends to the machines of their slots as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

_Row = tuple[Any, ...]
_MOST_VALUES: Final = 64
"""Rows of one slot in one statement: as many texts are kept."""
_MOST_WIDE_VALUES: Final = 1_000
"""Rows of many slots: of the widest table half of the 65,535 parameters that there may be."""


class ValuesInsert:
    """``INSERT … VALUES``. Every number of rows is a text of its own, and kept: a statement more is a way to another
    machine and back, a text more none."""

    def __init__(self, into: str, kinds: Sequence[str], tail: str) -> None:
        """``into``: what stands before VALUES, the slot first. ``kinds``: the types of the other columns. ``tail``:
        what stands behind."""
        self._into, self._kinds, self._tail = into, kinds, tail
        self._texts: dict[int, str] = {}

    def of_slot(self, slot: int, rows: Sequence[_Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Texts and parameters for rows of one slot, which begin with it. Parameter 1 is the slot."""
        for start in range(0, len(rows), _MOST_VALUES):
            piece = rows[start : start + _MOST_VALUES]
            yield self._text(len(piece)), (slot, *(value for row in piece for value in row[1:]))

    def of_slots(self, rows: Sequence[_Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """The same for rows of many slots; seldom enough for a text of its own each time."""
        kinds = ["smallint", *self._kinds]
        for start in range(0, len(rows), _MOST_WIDE_VALUES):
            piece = rows[start : start + _MOST_WIDE_VALUES]
            numbers = iter(range(1, 1 + len(piece) * len(kinds)))
            values = ", ".join(f"({', '.join(f'${next(numbers)}::{kind}' for kind in kinds)})" for _ in piece)
            yield f"{self._into} VALUES {values}{self._tail}", [value for row in piece for value in row]

    def _text(self, count: int) -> str:
        text = self._texts.get(count)
        if text is None:
            numbers = iter(range(2, 2 + count * len(self._kinds)))
            rows = ", ".join(
                f"({', '.join(['$1::smallint', *(f'${next(numbers)}::{kind}' for kind in self._kinds)])})"
                for _ in range(count)
            )
            text = self._texts[count] = f"{self._into} VALUES {rows}{self._tail}"
        return text
