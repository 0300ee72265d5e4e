"""The composition root: puts store, committer, reader, watch hub and gRPC together, and takes them apart again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from .clock import Clock, SystemClock
from .committer import Committer, CommitterLimits, Routes
from .committer.committer import WriteStore
from .committer.revaluer import Revaluer
from .database_url import check_database_url
from .ledger.names import MAX_LINES, StockKey
from .ledger.reading import BalanceReader
from .ledger.revisions import revisions_in
from .ledger.work import Committed, StoreUnavailable, Work
from .rpc.handlers import serve_all
from .rpc.registry import SERVICES, all_handlers
from .rpc.services import Counts, RpcLimits, Services
from .store.connect import PostgresOptions, is_postgres, shown
from .store.reader import Reader, sqlite_reader
from .store.sqlite import SqliteStore
from .upkeep import Sweeper, prune_forever, watch_clock, watch_store
from .watch import ChangeFeed, Follower, Hub, OrderBell

if TYPE_CHECKING:
    from .metrics import Metrics
    from .store.instants import SharedInstants
    from .store.postgres import PostgresStore

_log = logging.getLogger(__name__)

_SMALLEST_QUEUE: Final = 2 * MAX_LINES
_QUIET_SECONDS: Final = 0.05
_MOST_QUIET_SECONDS: Final = 1.0


class StartFailed(Exception):
    """The server cannot start, said in one plain line."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How a server is set up."""

    host: str = "127.0.0.1"
    """The address to listen on; "0.0.0.0" is every IPv4 address, "::" every address."""
    port: int = 50_051
    """0 takes a free one."""
    database_url: str = "sqlite:///ringfence.db"
    """Where the ledger is kept, as SQLAlchemy writes it; relative paths count from the working directory. TLS and the
    like stand in a PostgreSQL URL as its own tools have it: ?sslmode=verify-full&sslrootcert=…"""
    in_memory: bool = False
    """Keeps everything in memory, for trying out: it is gone with the server. The database URL is not used."""
    postgres: PostgresOptions = field(default_factory=PostgresOptions)
    """Of a PostgreSQL database: connections and timeouts."""
    read_url: str | None = None
    """A replica of a PostgreSQL database to read from; None reads from the database itself."""
    reuse_port: bool = False
    """Shares the port with other workers of this machine that do the same."""
    queue_lines: int = 20_000
    """Lines of commands that may wait for a transaction; what comes beyond is told OVERLOADED."""
    default_deadline_seconds: float = 30.0
    """How long a unary command may wait for its decision when its caller set no deadline."""
    max_message_bytes: int = 4 * 1024 * 1024
    """The largest message that is taken. 2,000 lines are 200 to 400 KiB, and 3.8 MiB with the longest ASCII names."""
    metrics_port: int | None = None
    """Serves Prometheus metrics on this port of the same host; 0 takes a free one, None serves none."""
    clock_jump_trust_seconds: float = SystemClock.TRUST_AFTER_SECONDS
    """How long the wall clock's time must stand after a jump of more than 5 s before leases end by it, 0 to 86,400; 0
    trusts it at once. ``Server.accept_clock`` trusts it before that."""
    channelz: bool = False
    """Serves grpc.channelz.v1, which tells of every connection."""
    reflection: bool = True
    """Serves grpc.reflection.v1alpha, so that grpcurl and its like need no .proto files."""

    def __post_init__(self) -> None:
        if not self.in_memory:
            check_database_url(self.database_url)
        if self.read_url is not None:
            check_database_url(self.read_url)
            if self.in_memory or not (is_postgres(self.read_url) and is_postgres(self.database_url)):
                raise ValueError("read_url names a replica of a PostgreSQL database, for a server of that database")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port is 0 to 65535, not {self.port}")
        if self.queue_lines < _SMALLEST_QUEUE:
            raise ValueError(f"queue_lines is at least {_SMALLEST_QUEUE}, two of the largest requests")
        if self.default_deadline_seconds <= 0:
            raise ValueError("default_deadline_seconds is above zero")
        if self.max_message_bytes < 65_536:
            raise ValueError("max_message_bytes is at least 65536")
        if not 0 <= self.clock_jump_trust_seconds <= 86_400:
            raise ValueError(f"clock_jump_trust_seconds is 0 to 86400, not {self.clock_jump_trust_seconds:g}")


class Server:
    """One server of one database. Used on one event loop; started and stopped once."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        clock: Clock | None = None,
        instants: SharedInstants | None = None,
        how_to_accept_clock: str = "",
    ) -> None:
        """``clock`` None: the machine's, and PostgreSQL's own where that keeps the ledger. With a clock of one's own,
        servers of one PostgreSQL database are to share it, and ``instants``. ``how_to_accept_clock``: what an operator
        does to have ``accept_clock`` called, for the log line that tells of a jump."""
        self.config = config
        self.clock: Clock = clock or SystemClock(trust_after_seconds=config.clock_jump_trust_seconds)
        self._own_clock = clock
        self._instants = instants
        self._how_to_accept_clock = how_to_accept_clock
        self.port = 0
        """The port it listens on, once started."""
        self.metrics_port: int | None = None
        """The port metrics are served on, once started."""
        self.services: Services
        """What its handlers work with, once started."""
        self._metrics: Metrics | None = None
        self._draining = asyncio.Event()
        self._health = health.aio.HealthServicer()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = contextlib.AsyncExitStack()
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._server: grpc.aio.Server | None = None
        self._place = ""
        self._routes: Routes | None = None
        self._accept_database_clock: Callable[[], bool] | None = None
        self._committer: Committer
        self._hub: Hub
        self._feed: ChangeFeed | None = None
        self._follower: Follower | None = None
        self._bell = OrderBell()
        self._sweeper: Sweeper
        self._revaluer: Revaluer

    async def start(self) -> int:
        """Opens the database, migrating it, and serves; answers the port.

        Raises:
            StartFailed: the port, the host or the database cannot be had.
        """
        if not self.config.reuse_port:
            probe(self.config.host, self.config.port)
        try:
            async with self._closing:
                await self._start()
                # Started: what was opened stays open until stop.
                self._closing = self._closing.pop_all()
        except StoreUnavailable as away:
            raise StartFailed(str(away)) from None
        return self.port

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Drains and stops: says NOT_SERVING, refuses new commands with DRAINING, ends watches with their token,
        commits what was taken, and cancels the calls that are still open after ``grace_seconds``.

        Stopping what never started, or stopping twice, does nothing more.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(grace_seconds))
        await asyncio.shield(self._stopping)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._stopped.wait()

    def accept_clock(self) -> bool:
        """Takes the wall clock for right after a jump, so that leases end by it at once; False when it is not in doubt.

        Callable at any time, from any thread.
        """
        accepted = self.clock.accept()
        if self._accept_database_clock is not None:
            accepted = self._accept_database_clock() or accepted
        if not accepted:
            _log.info("the wall clock is not in doubt: there is nothing to accept")
        return accepted

    @property
    def database(self) -> str:
        """Where the ledger is kept, for people."""
        return self._place

    async def _start(self) -> None:
        config, clock = self.config, self.clock
        store, reader = await self._open_store()
        self._closing.push_async_callback(reader.close)
        await reader.open()
        written: WriteStore = store
        # Where a transaction waits for a network, the event loop must not.
        run_here: Callable[[Work], Committed | None] | None = store.run_here if isinstance(store, SqliteStore) else None
        if config.metrics_port is not None:
            from .metrics import Metrics

            self._metrics = Metrics()
            written = self._metrics.measured(store)
            if run_here is not None:
                run_here = self._metrics.measured_here(run_here)
        self._committer = committer = Committer(
            written,
            limits=CommitterLimits(max_queued_lines=config.queue_lines),
            on_commit=self._committed,
            routes=self._routes,
            run_here=run_here,
        )
        # Ends what is due since the server last ran, and tells from which revision on watchers hear of changes.
        self._hub = Hub()
        self._sweeper = Sweeper(store, committer, clock)
        self._revaluer = Revaluer(store, committer)
        committer.start()
        self._closing.push_async_callback(committer.drain)
        first = await committer.sweep()
        self._hub = Hub(revisions_in(first.slots, first.revision))
        if self._feed is not None:
            # Several servers write: what all of them commit is followed, this one's own batches among it.
            self._follower = Follower(self._feed, self._hub, changed=self._followed, heard=lambda: len(self._bell) > 0)
            await self._follower.start()
            self._keep(self._follower.run())
        counts = Counts()
        self.services = Services(
            committer=committer,
            reader=reader,
            clock=clock,
            limits=RpcLimits(default_deadline_seconds=config.default_deadline_seconds),
            hub=self._hub,
            draining=self._draining,
            counts=counts,
            balances=self._replica(store, reader),
            bell=self._bell,
        )
        if self._metrics is not None:
            self._metrics.watch(counts, committer, clock)
        await self._serve()
        clock_watch = watch_clock(clock, self._how_to_accept_clock)
        for upkeep in (self._sweeper.run(), self._revaluer.run(), prune_forever(store), clock_watch):
            self._keep(upkeep)
        if self._feed is not None:
            self._keep(watch_store(store, self._tell_health))

    async def _open_store(self) -> tuple[SqliteStore | PostgresStore, Reader]:
        """The store that the URL names, open, and a reader of it, which is not."""
        config = self.config
        if not config.in_memory and is_postgres(config.database_url):
            return await self._open_postgres()
        sqlite = SqliteStore(config.database_url, self.clock, in_memory=config.in_memory)
        self._closing.push_async_callback(sqlite.close)
        await sqlite.open()
        self._place = "in memory" if config.in_memory else str(sqlite.path)
        return sqlite, sqlite_reader(sqlite.url, self.clock, sqlite.moments)

    async def _open_postgres(self) -> tuple[PostgresStore, Reader]:
        try:
            import asyncpg  # noqa: F401
        except ImportError:
            raise StartFailed("PostgreSQL needs a package more: pip install 'ringfence[server,postgres]'") from None
        from .store.postgres import PostgresStore
        from .store.postgres_feed import PostgresFeed
        from .store.postgres_lanes import postgres_reader

        config = self.config
        store = PostgresStore(
            config.database_url,
            config.postgres,
            clock=self._own_clock,
            instants=self._instants,
            clock_jump_trust_seconds=config.clock_jump_trust_seconds,
        )
        self._accept_database_clock = store.accept_clock
        self._closing.push_async_callback(store.close)
        await store.open()
        self._place = shown(config.database_url)
        self._routes = store.placing()
        self._feed = PostgresFeed(config.database_url, config.postgres, store.slots, distributed=store.distributed)
        self._closing.push_async_callback(self._feed.close)
        return store, postgres_reader(
            config.database_url, config.postgres, store.instants, store.slots, distributed=store.distributed
        )

    def _replica(self, store: SqliteStore | PostgresStore, primary: Reader) -> BalanceReader | None:
        """What reads balances from the replica, if there is one. It may be away: then the primary is asked."""
        config = self.config
        if config.read_url is None or isinstance(store, SqliteStore):
            return None
        from .store.replica import replica_reader

        balances, replica = replica_reader(
            config.read_url, config.postgres, primary, store.instants, store.slots, distributed=store.distributed
        )
        self._closing.push_async_callback(replica.close)
        return balances

    async def _serve(self) -> None:
        config = self.config
        if self._metrics is not None and config.metrics_port is not None:
            try:
                self.metrics_port = self._metrics.serve(config.host, config.metrics_port)
            except OSError as error:
                raise StartFailed(_cannot_listen(config.host, config.metrics_port, error)) from None
            self._closing.callback(self._metrics.close)
        server = grpc.aio.server(options=_options(config))
        added: Any = _Generic()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, added)
        names = [*SERVICES, health.SERVICE_NAME]
        if config.reflection:
            from grpc_reflection.v1alpha import reflection

            names.append(reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, added)
        if config.channelz:
            from grpc_channelz.v1 import channelz

            channelz.add_channelz_servicer(added)
        server.add_generic_rpc_handlers((serve_all(all_handlers(self.services)), *added.handlers))
        try:
            self.port = server.add_insecure_port(_address(config.host, config.port))
        except RuntimeError:
            raise StartFailed(f"cannot listen on {_address(config.host, config.port)}") from None
        await server.start()
        self._server = server
        await self._tell_health(True)

    async def _tell_health(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES):
            await self._health.set(name, status)

    def _keep(self, upkeep: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(upkeep))

    def _followed(self, keys: Sequence[StockKey]) -> None:
        self._sweeper.written()
        self._bell.changed(keys)

    def _committed(self, committed: Committed) -> None:
        if self._follower is None:
            self._hub.publish(committed)
        else:
            self._follower.committed(committed)
        self._bell.publish(committed)
        self._sweeper.written()
        if committed.policies:
            self._revaluer.policy_changed()

    async def _stop(self, grace_seconds: float) -> None:
        try:
            if self._server is None:
                return
            await self._health.enter_graceful_shutdown()
            self._draining.set()
            self._hub.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # Calls and streams that are still open wait for these outcomes.
            await self._committer.drain()
            await self._quiet(min(grace_seconds, _MOST_QUIET_SECONDS))
            await self._server.stop(grace_seconds)
            await self._closing.aclose()
        finally:
            self._stopped.set()

    async def _quiet(self, most_seconds: float) -> None:
        """Waits until no more calls come in, at most so long: those that gRPC has taken from the network but not yet
        handed over when it stops end as CANCELLED, and their callers cannot tell what became of them."""
        commands = self.services.counts.commands
        loop = asyncio.get_running_loop()
        end, before = loop.time() + most_seconds, -1
        while loop.time() < end and before != (before := commands.total()):  # noqa: ASYNC110  # calls tell nobody
            await asyncio.sleep(_QUIET_SECONDS)


class _Generic:
    """Takes what generated code registers, as generic handlers only: grpc.aio waits on one future per method that is
    registered by name, for every call that comes in."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        """Keeps them."""
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """The same methods once more, by name."""


def _options(config: ServerConfig) -> tuple[tuple[str, int], ...]:
    return (
        # On, a second server would bind the same port in silence.
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Finds dead watchers within two minutes.
        ("grpc.keepalive_time_ms", 90_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # By default connections that are pinged more often than every five minutes are ended; clients in the field ping
        # every ten seconds.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.enable_channelz", int(config.channelz)),
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(host: str, port: int) -> None:
    """Finds out why a port cannot be had: gRPC itself says only that it cannot, at length.

    Raises StartFailed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise StartFailed(f"the host {host!r} is not known") from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As gRPC binds: connections of a server that just ended do not block the port, a live server does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StartFailed(_cannot_listen(host, port, error)) from None


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; name another with --port, or 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} needs more rights than this user has; take one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine"
    return f"cannot listen on {_address(host, port)}: {error.strerror}"
