"""One compiled text, run on the bare driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from .driver import DriverConnection

BuildForSlot = Callable[[ColumnElement[Any]], tuple[Select[Any], Sequence[str]]]
"""Makes a select of one slot, given the slot; and names its further parameters in the order of their places."""


class Statement:
    """One compiled text and the order in which it takes its parameters."""

    __slots__ = ("sql",)

    def __init__(self, clause: ClauseElement, dialect: Dialect, order: Sequence[str]) -> None:
        compiled = clause.compile(dialect=dialect)
        positions = list(getattr(compiled, "positiontup", None) or ())
        if positions != list(order):
            raise AssertionError(f"parameters {positions} are not in the order {list(order)}")
        self.sql = str(compiled)

    def run(self, connection: DriverConnection, row: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Runs the statement once and answers its rows."""
        return connection.rows(self.sql, row)

    def run_many(self, connection: DriverConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs the statement for every row, as one executemany."""
        if rows:
            connection.many(self.sql, rows)
