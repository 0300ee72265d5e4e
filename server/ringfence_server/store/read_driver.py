"""Compiled statements on the bare driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Connection


def on_driver(connection: Connection) -> Connection:
    """A connection that runs compiled statements (``statements.Statement``) on the bare driver; their rows are tuples.

    SQLAlchemy's own part of running one, about 20 µs, is two thirds of a read of one key. Its errors are the driver's:
    ``Lane.run`` translates both.
    """
    return cast(Connection, _Driver(connection))


class _Driver:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw: Any = connection.connection.dbapi_connection

    def exec_driver_sql(self, sql: str, parameters: tuple[Any, ...] = ()) -> _Rows:
        return _Rows(self._raw.execute(sql, parameters))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Rows:
    __slots__ = ("all",)

    def __init__(self, cursor: Any) -> None:
        self.all: Callable[[], list[Any]] = cursor.fetchall
