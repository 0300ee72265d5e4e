"""A database connection as the store uses it: what is compiled once runs on the bare driver, the rest through Core."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.sql import Executable
from sqlalchemy.util import await_only

from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.state import EntryKind, Place

SqlRows = list[tuple[Any, ...]]

# SQLite's driver asks every value that is no plain int, float or str how it adapts itself: in a table, then by looking
# up two attributes that it has not got. A table that says "it stays as it is" halves that: a Reserve binds twenty such
# values, and a batch of them takes a tenth fewer instructions. Of the process, and no value becomes another.
_AS_THEY_ARE: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (type(None), {None: None}.get),
    (bytes, bytes.__bytes__),
    (bool, bool.__int__),
    (EntryKind, EntryKind.__int__),
    (Fallback, Fallback.__int__),
    (Place, Place.__int__),
)
for _type, _same in _AS_THEY_ARE:
    sqlite3.register_adapter(_type, _same)


class DriverConnection:
    """A SQLAlchemy connection and the driver's connection beneath it.

    SQLAlchemy's own part of running a compiled text, 7 to 20 µs, is more than SQLite's: a lone caller's command is a
    dozen of them. So ``rows`` and ``many`` go past it; their errors are the driver's, which ``errors.translated`` reads
    as well. One thread at a time.
    """

    __slots__ = ("_raw", "core")

    distributed = False
    """Whether the tables are distributed by slot (Citus): a statement then names one slot."""

    sorts = False
    """Whether rows of a recursive query have to be asked for in their order: SQLite answers them as it walks."""

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


class PostgresConnection(DriverConnection):
    """The same over asyncpg: synchronous code, run by ``AsyncConnection.run_sync`` in a greenlet that waits for the
    driver on the event loop. The driver prepares each text once.

    The SQLAlchemy connection is to be in AUTOCOMMIT: transactions are begun and ended by their own statements.
    """

    __slots__ = ("_asyncpg", "distributed")

    sorts = True

    def __init__(self, core: Connection, *, distributed: bool = False) -> None:
        self.core = core
        self.distributed = distributed
        adapted: Any = core.connection.dbapi_connection
        self._asyncpg: Any = adapted.driver_connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> SqlRows:
        """Runs one statement and answers its rows.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the database refused it, or is away.
        """
        found: SqlRows = await_only(self._asyncpg.fetch(sql, *parameters))
        return found

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for every row of parameters.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the database refused a row, or is away.
        """
        await_only(self._asyncpg.executemany(sql, rows))

    def command(self, sql: str) -> None:
        """Runs a statement without parameters or rows, unprepared: BEGIN, COMMIT, SET.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError: the database refused it, or is away.
        """
        await_only(self._asyncpg.execute(sql))

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by the driver's word."""
        return not self.closed and bool(self._asyncpg.is_in_transaction())

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, by the driver's word."""
        return bool(self._asyncpg.is_closed())

    def interrupt(self) -> None:
        """Ends the connection, and with it the statement that runs."""
        self._asyncpg.terminate()
