"""Reading connections to PostgreSQL, from bounded pools; snapshots are REPEATABLE READ and read only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ringfence_server.ledger.work import StoreUnavailable

from .citus import SESSION
from .connect import READER, PostgresOptions, engine_of
from .driver import PostgresConnection
from .errors import NETWORK_ERRORS, unavailable
from .instants import Instants
from .read_lanes import end_transaction
from .reader import Reader
from .slots import Slots

T = TypeVar("T")

_SETTINGS: Final = "SET default_transaction_read_only = on"


class PooledLane:
    """One connection out of a pool, for as long as it is lent."""

    def __init__(self, connection: AsyncConnection, driver: PostgresConnection) -> None:
        self._connection = connection
        self.driver = driver

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls ``function(connection, *arguments)`` in a greenlet on the event loop. A caller that is cancelled stops
        the statement that runs.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        driver = self.driver
        try:
            return await self._connection.run_sync(lambda _core: function(driver, *arguments))
        except NETWORK_ERRORS as error:
            raise unavailable(error) from error


class PointsLane:
    """Lends a connection for each call: its users do not wait for one another."""

    def __init__(self, lanes: PostgresLanes) -> None:
        self._lanes = lanes

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls ``function(connection, *arguments)``.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        async with self._lanes.lease() as lane:
            return await lane.run(function, *arguments)


class PostgresLanes:
    """The lanes of a PostgreSQL store: a pool for quick reads, another for long ones."""

    def __init__(self, url: str, options: PostgresOptions, *, distributed: bool = False) -> None:
        self._distributed = distributed
        self._quick = engine_of(url, options, application=READER, connections=options.quick_connections)
        self._long = engine_of(
            url, options, application=READER, connections=options.long_connections, statement_timeout=False
        )
        self._room = {
            False: asyncio.Semaphore(options.quick_connections),
            True: asyncio.Semaphore(options.long_connections),
        }
        self._closed = False
        self._pooled = options.quick_connections + options.long_connections
        self.points = PointsLane(self)

    @property
    def dialect(self) -> Dialect:
        """Of the database."""
        return self._quick.dialect

    async def open(self) -> None:
        """Connects once, to find out early what is wrong.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        async with self.lease():
            pass

    async def close(self) -> None:
        """Ends every connection."""
        self._closed = True
        await self._quick.dispose()
        await self._long.dispose()

    @contextlib.asynccontextmanager
    async def lease(self, *, long: bool = False) -> AsyncIterator[PooledLane]:
        """A connection for one reader; whatever transaction it leaves open is ended.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        if self._closed:
            raise StoreUnavailable("the database is closed")
        async with self._room[long]:
            try:
                lane = await self._connected(self._long if long else self._quick)
            except NETWORK_ERRORS as error:
                raise unavailable(error) from error
            try:
                yield lane
            finally:
                # Also when this task is cancelled here: the next reader starts clean, on another connection if need be.
                ended = asyncio.ensure_future(self._give_back(lane))
                await asyncio.shield(ended)

    async def _connected(self, engine: AsyncEngine) -> PooledLane:
        """A connection that is alive as far as its driver knows; after a restart of the database the pool is full of
        others."""
        for _ in range(self._pooled):
            connection = await (await engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
            driver = await connection.run_sync(self._prepared)
            if driver is not None:
                return PooledLane(connection, driver)
            await connection.invalidate()
            await connection.close()
        raise StoreUnavailable("the database closes every connection")

    def _prepared(self, core: Connection) -> PostgresConnection | None:
        driver = PostgresConnection(core, distributed=self._distributed)
        if driver.closed:
            return None
        if not core.info.get("prepared"):
            driver.command(f"{SESSION}; {_SETTINGS}" if self._distributed else _SETTINGS)
            core.info["prepared"] = True
        return driver

    @staticmethod
    async def _give_back(lane: PooledLane) -> None:
        connection = lane._connection
        try:
            await lane.run(end_transaction)
        except StoreUnavailable:
            await connection.invalidate()
        finally:
            with contextlib.suppress(*NETWORK_ERRORS):
                await connection.close()


def postgres_reader(
    url: str, options: PostgresOptions, instants: Instants, slots: Slots, *, distributed: bool = False
) -> Reader:
    """A reader of a PostgreSQL database; ``instants`` and ``slots`` are the writing store's."""
    return Reader(PostgresLanes(url, options, distributed=distributed), instants, slots)
