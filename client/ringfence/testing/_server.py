"""A server in a thread of the test's process."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

from ringfence._async_client import AsyncClient
from ringfence._client import Client
from ringfence._uuid7 import Uuid7Generator

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_PATIENCE = timedelta(seconds=60)
"""How long its clients wait, and it for its database: a test is not to fail because the machine has much else to do."""


class ServerClock(Protocol):
    """The clock of a test's server. It stands still until the test moves it."""

    @property
    def time(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def now(self) -> int:
        """The present instant, in microseconds since the epoch."""
        ...

    def advance(self, step: timedelta) -> None:
        """Moves time forward. What falls due by it is due in the very next answer; watchers hear of it soon."""
        ...


class RingfenceServer:
    """A real server on a free port of 127.0.0.1, with a ledger in memory that is gone when it stops.

    It runs in a thread with an event loop of its own, so that it serves sync and async tests alike. Use it with `with`,
    or call `start` and `stop`.
    """

    def __init__(
        self, *, start_time: datetime | None = None, beside: RingfenceServer | None = None, **settings: Any
    ) -> None:
        """Sets a server up without starting it.

        `start_time` (aware) is where its clock stands; None is a fixed instant, the same in every run. `settings` are
        those of `ringfence_server.config.ServerConfig`; with a `database_url` the ledger is kept there, and a
        PostgreSQL has 60 s for whatever it is asked, unless `postgres` says otherwise. `beside` makes it another server
        of that one's PostgreSQL database, with the same clock and settings but those given here.

        Raises ImportError when the extra `ringfence[server]` is not installed, TypeError for a setting there is not,
        ValueError when `beside` has no PostgreSQL database, or a `start_time` comes with it.
        """
        # Here and not above: the client must be importable without the server.
        try:
            from ringfence_server.clock import ManualClock
            from ringfence_server.config import ServerConfig
            from ringfence_server.store.connect import PostgresOptions, is_postgres
            from ringfence_server.store.instants import SharedInstants
        except ModuleNotFoundError as missing:
            raise ImportError(f"{missing.name} is missing: pip install 'ringfence[server]'") from missing

        if beside is None:
            in_memory = "database_url" not in settings
            patient = PostgresOptions(
                connect_timeout_seconds=_PATIENCE.total_seconds(),
                statement_timeout_seconds=_PATIENCE.total_seconds(),
                lock_timeout_seconds=_PATIENCE.total_seconds(),
            )
            self._config = ServerConfig(**{"port": 0, "in_memory": in_memory, "postgres": patient, **settings})
            self._clock = ManualClock(start_time)
            # By them servers of one database tell one another's batches apart where time stands still.
            self._instants = SharedInstants(self._clock)
        else:
            if start_time is not None:
                raise ValueError("a server beside another one has its clock: give no start_time")
            self._config = dataclasses.replace(beside._config, **{"port": 0, **settings})
            if self._config.in_memory or not is_postgres(self._config.database_url):
                raise ValueError("only a PostgreSQL database has several servers: give the first one its database_url")
            self._clock = beside._clock
            self._instants = beside._instants
        self._request_ids = Uuid7Generator(lambda: self._clock.now() // 1000)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._grace_seconds = 1.0
        self._port = 0
        self._failure: BaseException | None = None
        self._clients: list[Client] = []

    @property
    def clock(self) -> ServerClock:
        """The clock that the test moves."""
        return self._clock

    @property
    def target(self) -> str:
        """Where the server is, for a client; RuntimeError while it is not running."""
        if self._thread is None:
            raise RuntimeError("the server is not running")
        return f"127.0.0.1:{self._port}"

    def client(self, **options: Any) -> Client:
        """A client of this server; `options` are those of `Client`, but `timeout` is 60 s unless it is given. The
        server's `stop` closes it."""
        client = Client(self.target, **self._chosen(options))
        self._clients.append(client)
        return client

    def async_client(self, **options: Any) -> AsyncClient:
        """A client of this server for the caller's event loop, to be closed there; `options` are those of
        `AsyncClient`, but `timeout` is 60 s unless it is given."""
        return AsyncClient(self.target, **self._chosen(options))

    def start(self) -> RingfenceServer:
        """Starts the server and returns when it serves; raises what kept it from starting.

        A server that was stopped starts again on the port it had, so that clients find it; what it knew is there again
        only if it has a database of its own.
        """
        if self._thread is not None:
            raise RuntimeError("the server is running already")
        self._failure = None
        started = threading.Event()
        thread = threading.Thread(target=self._run, args=(started,), name="ringfence-server", daemon=True)
        thread.start()
        if not started.wait(_START_SECONDS):
            raise RuntimeError(f"the server did not start within {_START_SECONDS:g} seconds")
        self._raise_failure()
        self._thread = thread
        return self

    def stop(self, *, grace_seconds: float = 1.0) -> None:
        """Closes the clients it gave out, drains the server and stops it. Stopping twice is nothing."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._grace_seconds = grace_seconds
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(_STOP_SECONDS + grace_seconds)
        if thread.is_alive():
            raise RuntimeError("the server did not stop")
        self._raise_failure()

    def __enter__(self) -> RingfenceServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _raise_failure(self) -> None:
        """Raises what the server's thread ended with."""
        if self._failure is not None:
            raise self._failure

    def _chosen(self, options: dict[str, Any]) -> dict[str, Any]:
        # Request ids carry the time of the server's own clock: by the wall clock they would be too old, or from the
        # future, as soon as a test moves it by months.
        return {"request_ids": self._request_ids, "timeout": _PATIENCE, **options}

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            self._failure = error
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        from ringfence_server.app import Server

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = Server(self._config, clock=self._clock, instants=self._instants)
        self._port = await server.start()
        self._config = dataclasses.replace(self._config, port=self._port)
        started.set()
        await self._stop.wait()
        await server.stop(grace_seconds=self._grace_seconds)
