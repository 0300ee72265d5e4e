"""What Prometheus may ask of a server. Counted with plain numbers on the event loop, turned to samples when scraped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from .clock import WatchedClock
    from .committer import Committer
    from .committer.committer import WriteStore
    from .ledger.work import Committed, Work
    from .rpc.services import Counts

_COMMANDS_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SECONDS_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5)


class Metrics:
    """One server's registry, and the endpoint that shows it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._batch = Histogram(
            "ringfence_batch_commands", "Commands of one transaction", buckets=_COMMANDS_BUCKETS, registry=self.registry
        )
        self._seconds = Histogram(
            "ringfence_commit_seconds", "Time of one transaction", buckets=_SECONDS_BUCKETS, registry=self.registry
        )
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def watch(
        self, counts: Counts, committer: Committer, clock: WatchedClock, database_clock: WatchedClock | None
    ) -> None:
        """Shows what is counted elsewhere. ``database_clock`` None: leases end by this machine's."""
        self.registry.register(_Counted(counts, committer, clock, database_clock))

    def measured(self, store: WriteStore) -> WriteStore:
        """The store, each of its transactions measured."""
        return _MeasuredStore(store, self._batch, self._seconds)

    def measured_here(self, run_here: Callable[[Work], Committed | None]) -> Callable[[Work], Committed | None]:
        """``run_here``, each of its transactions measured."""

        def measured(work: Work) -> Committed | None:
            started = time.perf_counter()
            committed = run_here(work)
            if committed is not None:
                self._seconds.observe(time.perf_counter() - started)
                self._batch.observe(len(work.request_keys))
            return committed

        return measured

    def serve(self, host: str, port: int) -> int:
        """Serves /metrics on a thread of its own; answers the port.

        Raises:
            OSError: the port cannot be had.
        """
        self._server, self._thread = start_http_server(port, host, self.registry)
        return int(self._server.server_port)

    def close(self) -> None:
        """Ends the endpoint."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None


class _MeasuredStore:
    def __init__(self, store: WriteStore, batch: Histogram, seconds: Histogram) -> None:
        self._store = store
        self._batch = batch
        self._seconds = seconds

    async def run(self, work: Work) -> Committed:
        """Runs the work and observes it."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        committed = await self._store.run(work)
        self._seconds.observe(loop.time() - started)
        if work.request_keys:
            self._batch.observe(len(work.request_keys))
        return committed


class _Counted(Collector):
    def __init__(
        self, counts: Counts, committer: Committer, clock: WatchedClock, database_clock: WatchedClock | None
    ) -> None:
        self._counts = counts
        self._committer = committer
        self._clocks = [("ringfence_clock", "the wall clock", clock)]
        if database_clock is not None:
            self._clocks.append(("ringfence_database_clock", "the database's clock", database_clock))

    def collect(self) -> Iterable[Metric]:
        """The samples of this moment."""
        commands = CounterMetricFamily("ringfence_calls", "Calls and commands", labels=("method", "outcome"))
        # A copy: the event loop counts on while this thread reads.
        for (method, outcome), count in self._counts.commands.copy().items():
            commands.add_metric((method, outcome), count)
        yield commands
        yield GaugeMetricFamily(
            "ringfence_queued_lines", "Lines waiting for a transaction", self._committer.queued_lines
        )
        yield GaugeMetricFamily("ringfence_watchers", "Open watches", self._counts.watchers)
        yield GaugeMetricFamily("ringfence_adapters", "Open streams of orders", self._counts.adapters)
        yield CounterMetricFamily(
            "ringfence_order_events", "Order events handed over, repeats included", self._counts.events_handed
        )
        for metric, name, clock in self._clocks:
            yield CounterMetricFamily(f"{metric}_jumps", f"Jumps of {name} by more than 5 s", clock.jumps)
            yield GaugeMetricFamily(
                f"{metric}_in_doubt", f"1 while no lease ends because {name} jumped", clock.in_doubt
            )
