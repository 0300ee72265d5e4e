"""The composition root: puts store, committer, reader, watch hub and gRPC together, and takes them apart again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
from grpc_health.v1 import health, health_pb2

from .clock import Clock, SystemClock, WatchedClock
from .committer import Committer, CommitterLimits
from .committer.committer import WriteStore
from .committer.revaluer import Revaluer
from .config import ServerConfig, StartFailed
from .ledger.names import StockKey
from .ledger.revisions import revisions_in
from .ledger.work import Committed, StoreUnavailable
from .listening import bound_server, cannot_listen, probe
from .one_core import OneCore
from .opening import OpenDatabase, open_database
from .rpc.registry import SERVICES
from .rpc.services import Counts, RpcLimits, Services
from .upkeep import Sweeper, prune_forever, watch_clock, watch_store
from .watch import Follower, Hub, OrderBell

if TYPE_CHECKING:
    from .metrics import Metrics
    from .store.instants import SharedInstants

_log = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 0.05
_MOST_QUIET_SECONDS: Final = 1.0


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
        self._by_database = clock is None
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
        self._database_clock: WatchedClock | None = None
        """Where leases end by the database's clock."""
        self._committer: Committer
        self._hub: Hub
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
        accepted = [clock.accept() for clock in (self.clock, self._database_clock) if clock is not None]
        if not any(accepted):
            _log.info("the wall clock is not in doubt: there is nothing to accept")
        return any(accepted)

    @property
    def database(self) -> str:
        """Where the ledger is kept, for people."""
        return self._place

    async def _start(self) -> None:
        config, clock = self.config, self.clock
        opened = await open_database(
            config, self._closing, clock=clock, by_database=self._by_database, instants=self._instants
        )
        # Before the database is closed, also if the rest of the start fails.
        self._closing.push_async_callback(self._end_tasks)
        self._place, self._database_clock = opened.place, opened.database_clock
        # Instants of the ledger are compared with the clock that gave them: this machine's may be hours off.
        ledger_clock = opened.database_clock or clock
        counts = Counts()
        self._committer = committer = self._make_committer(opened, counts)
        self._sweeper = Sweeper(opened.store, committer, ledger_clock)
        self._revaluer = Revaluer(opened.store, committer)
        await self._begin_commits(opened)
        self.services = Services(
            committer=committer,
            reader=opened.reader,
            clock=ledger_clock,
            limits=RpcLimits(default_deadline_seconds=config.default_deadline_seconds),
            hub=self._hub,
            draining=self._draining,
            counts=counts,
            balances=opened.balances,
            bell=self._bell,
        )
        if self._metrics is not None:
            self._metrics.watch(counts, committer, clock, self._database_clock)
        await self._serve()
        self._start_upkeep(opened)

    def _make_committer(self, opened: OpenDatabase, counts: Counts) -> Committer:
        config = self.config
        store: WriteStore = opened.store
        run_here = opened.run_here
        if config.metrics_port is not None:
            from .metrics import Metrics

            self._metrics = Metrics()
            store = self._metrics.measured(opened.store)
            if run_here is not None:
                run_here = self._metrics.measured_here(run_here)
        return Committer(
            store,
            limits=CommitterLimits(max_queued_lines=config.queue_lines),
            on_commit=self._committed,
            routes=opened.routes,
            run_here=run_here,
            alone_listener=self._one_core(counts) if config.own_process and run_here is not None else None,
        )

    async def _begin_commits(self, opened: OpenDatabase) -> None:
        """Ends what is due since the server last ran, and has watchers hear of changes from that revision on."""
        committer = self._committer
        # Who listens to commits hears of the first one, too.
        self._hub = Hub()
        committer.start()
        self._closing.push_async_callback(committer.drain)
        first = await committer.sweep()
        self._hub = Hub(revisions_in(first.slots, first.revision))
        if opened.feed is not None:
            # Several servers write: what all of them commit is followed, this one's own batches among it.
            self._follower = Follower(
                opened.feed,
                self._hub,
                changed=self._followed,
                opened=self._bell.opened,
                heard=lambda: len(self._bell) > 0,
            )
            await self._follower.start()
            self._keep(self._follower.run())

    def _start_upkeep(self, opened: OpenDatabase) -> None:
        clock, hint = self.clock, self._how_to_accept_clock
        for upkeep in (self._sweeper.run(), self._revaluer.run(), prune_forever(opened.store)):
            self._keep(upkeep)
        self._keep(watch_clock(clock, look=clock.due_until, how_to_accept=hint))
        if self._database_clock is not None:
            # Looked at by whatever asks the database for the time: every batch, every read, pruning every few seconds.
            self._keep(watch_clock(self._database_clock, name="the database's clock", how_to_accept=hint))
        if opened.feed is not None:
            self._keep(watch_store(opened.store, self._tell_health))

    def _one_core(self, counts: Counts) -> OneCore:
        one_core = OneCore(counts.commands.total)
        # Threads outlive the server where the process does.
        self._closing.callback(one_core.company)
        return one_core

    async def _serve(self) -> None:
        config = self.config
        if self._metrics is not None and config.metrics_port is not None:
            try:
                self.metrics_port = self._metrics.serve(config.host, config.metrics_port)
            except OSError as error:
                raise StartFailed(cannot_listen(config.host, config.metrics_port, error, "--metrics-port")) from None
            self._closing.callback(self._metrics.close)
        server, self.port = bound_server(config, self.services, self._health)
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
            await self._end_tasks()
            # Calls and streams that are still open wait for these outcomes.
            await self._committer.drain()
            await self._quiet(min(grace_seconds, _MOST_QUIET_SECONDS))
            await self._server.stop(grace_seconds)
            await self._closing.aclose()
        finally:
            self._stopped.set()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _quiet(self, most_seconds: float) -> None:
        """Waits until no more calls come in, at most so long: those that gRPC has taken from the network but not yet
        handed over when it stops end as CANCELLED, and their callers cannot tell what became of them."""
        commands = self.services.counts.commands
        loop = asyncio.get_running_loop()
        end, before = loop.time() + most_seconds, -1
        while loop.time() < end and before != (before := commands.total()):  # noqa: ASYNC110  # calls tell nobody
            await asyncio.sleep(_QUIET_SECONDS)
