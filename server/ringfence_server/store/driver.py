"""A database connection as the store uses it: what is compiled once runs on the bare driver, the rest through Core."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import Executable

SqlRows = list[tuple[Any, ...]]


class DriverConnection:
    """A SQLAlchemy connection and the driver's connection beneath it.

    SQLAlchemy's own part of running a compiled text, 7 to 20 µs, is more than SQLite's: a lone caller's command is a
    dozen of them. So ``rows`` and ``many`` go past it; their errors are the driver's, which ``errors.translated`` reads
    as well. One thread at a time.
    """

    __slots__ = ("_raw", "core")

    def __init__(self, core: Connection) -> None:
        self.core = core
        """For statements that are rare, or built for one occasion."""
        raw: Any = core.connection.dbapi_connection
        self._raw: sqlite3.Connection = raw

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> SqlRows:
        """Runs one statement and answers its rows.

        Raises:
            sqlite3.Error: the database refused it.
        """
        return self._raw.execute(sql, parameters).fetchall()

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for every row of parameters.

        Raises:
            sqlite3.Error: the database refused a row.
        """
        if len(rows) == 1:
            # The driver's executemany costs a little more for one.
            self._raw.execute(sql, rows[0])
        else:
            self._raw.executemany(sql, rows)

    def execute(
        self,
        statement: Executable,
        parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs one statement through Core; answers its CursorResult.

        Raises:
            SQLAlchemyError: the database refused it.
        """
        return self.core.execute(statement, parameters, execution_options=execution_options)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by the driver's word."""
        return self._raw.in_transaction

    def interrupt(self) -> None:
        """Stops the statement that runs; may be called from another thread."""
        self._raw.interrupt()
