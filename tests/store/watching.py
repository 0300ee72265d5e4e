"""Watching what the store sends to its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from ringfence_server.store.driver import DriverConnection

Note = Callable[[str, Any, bool], None]
"""(text, parameters, whether they are a list of rows)."""


@contextmanager
def watched(engine: Engine, note: Note) -> Iterator[None]:
    """Calls ``note`` for every statement, be it run through Core (on this engine) or on a bare driver (on any)."""
    rows, many = DriverConnection.rows, DriverConnection.many

    def note_rows(self: DriverConnection, sql: str, parameters: Any = ()) -> Any:
        note(sql, parameters, False)
        return rows(self, sql, parameters)

    def note_many(self: DriverConnection, sql: str, parameters: Any) -> None:
        note(sql, parameters, True)
        many(self, sql, parameters)

    def note_core(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, executemany: bool) -> None:
        note(statement, parameters, executemany)

    event.listen(engine, "before_cursor_execute", note_core)
    DriverConnection.rows, DriverConnection.many = note_rows, note_many  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        DriverConnection.rows, DriverConnection.many = rows, many  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", note_core)
