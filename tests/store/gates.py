"""Races without luck: one server is stopped before a statement while its rival goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy.util import await_only

from ringfence.testing import assert_eventually_async
from ringfence_server.store.connect import WRITER, dsn_of
from ringfence_server.store.driver import PostgresConnection
from tests.store.desk import Desk

Before = Callable[[PostgresConnection, str], None]


class Gate:
    """Stops the first statement of a server that begins with a text, until it is opened."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    async def reached(self) -> None:
        """Returns when the server stands before it."""
        await asyncio.wait_for(self._reached.wait(), 60)

    def open(self) -> None:
        """Lets it go on."""
        self._open.set()

    def pass_through(self) -> None:
        """Called by the server's connection."""
        if not self._reached.is_set():
            self._reached.set()
            await_only(self._open.wait())


@contextmanager
def intercepted(desk: Desk, before: Before, after: Before | None = None) -> Iterator[None]:
    """Calls a function before (and after) every statement of a desk's writing connections."""
    rows, command = PostgresConnection.rows, PostgresConnection.command

    def of_desk(connection: PostgresConnection) -> bool:
        return any(lane._kept is not None and lane._kept.driver is connection for lane in desk.postgres._lanes)

    def intercept_rows(self: PostgresConnection, sql: str, parameters: Any = ()) -> Any:
        if of_desk(self):
            before(self, sql)
        return rows(self, sql, parameters)

    def intercept_command(self: PostgresConnection, sql: str) -> None:
        if of_desk(self):
            before(self, sql)
        command(self, sql)
        if after is not None and of_desk(self):
            after(self, sql)

    PostgresConnection.rows, PostgresConnection.command = intercept_rows, intercept_command  # type: ignore[method-assign]
    try:
        yield
    finally:
        PostgresConnection.rows, PostgresConnection.command = rows, command  # type: ignore[method-assign]


@contextmanager
def gate(desk: Desk, text: str) -> Iterator[Gate]:
    """A gate before the next statement of the desk that begins with a text."""
    made = Gate()

    def before(_: PostgresConnection, sql: str) -> None:
        if sql.startswith(text):
            made.pass_through()

    with intercepted(desk, before):
        try:
            yield made
        finally:
            made.open()


async def waits_for_a_lock(url: str, count: int = 1) -> None:
    """Returns when so many writers wait for what another one has locked."""
    open_connection: Any = asyncpg.connect
    connection = await open_connection(dsn_of(url))
    try:

        async def waiting() -> bool:
            found = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock' "
                "AND datname = current_database()",
                WRITER,
            )
            return bool(found >= count)

        await assert_eventually_async(waiting)
    finally:
        await connection.close()
