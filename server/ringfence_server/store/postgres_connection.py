"""A connection to PostgreSQL that somebody keeps: taken from its pool, and ended whatever it is doing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .citus import SESSION
from .driver import PostgresConnection

T = TypeVar("T")


class KeptConnection(NamedTuple):
    """One connection, used by one task at a time."""

    connection: AsyncConnection
    driver: PostgresConnection

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls ``function(driver, *arguments)``, synchronous code, in a greenlet on the event loop. Who is cancelled
        meanwhile is to ``end`` the connection: what comes next must not get the answer to what came before.

        Raises what the function does.
        """
        driver = self.driver
        return await self.connection.run_sync(lambda _core: function(driver, *arguments))

    async def end(self) -> None:
        """Ends the connection, and with it the statement that runs; its place in the pool is free again."""
        self.driver.interrupt()
        await _give_up(self.connection)


async def keep_connection(engine: AsyncEngine, *, distributed: bool, settings: str = "") -> KeptConnection:
    """A connection of the engine's in AUTOCOMMIT; ``settings``: statements that it begins with, after those of every
    connection to a Citus cluster where it is one.

    Raises what the driver and the pool do; nothing is left open then.
    """

    def prepare(core: Connection) -> PostgresConnection:
        driver = PostgresConnection(core, distributed=distributed)
        first = [each for each in (SESSION if distributed else "", settings) if each]
        if first:
            driver.command("; ".join(first))
        return driver

    connection = await engine.connect()
    try:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        return KeptConnection(connection, await connection.run_sync(prepare))
    except BaseException:
        await _give_up(connection)
        raise


async def _give_up(connection: AsyncConnection) -> None:
    # Each by itself: a pool of one whose connection never comes back would be empty for good.
    with contextlib.suppress(Exception):
        await connection.invalidate()
    with contextlib.suppress(Exception):
        await connection.close()
