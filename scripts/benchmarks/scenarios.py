"""The figures of the benchmark, one function each. What a figure has to reach stands beside it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from ringfence.v1 import allocation_service_pb2_grpc
from scripts.benchmarks import messages, seed
from scripts.benchmarks.figures import Figure, interleaved, ratio
from scripts.benchmarks.load import Sample
from scripts.benchmarks.probe import lag_probe, lags
from scripts.benchmarks.processes import HOST, StartFailure, helper_environment, module_command
from scripts.benchmarks.targets import BenchFailure, Settings, Target, Targets

SKUS = 10_000
BIG_KEYS = 1_000_000
BIG_ENTRIES = 5_000_000
_BATCH = 100
_WATCHERS = 1_000
_LAG_WRITES = 200
_FIGURES = 200_000


@dataclass(frozen=True)
class Bench:
    """What a scenario works with. `big_database` holds BIG_KEYS keys and BIG_ENTRIES entries, made on first use."""

    targets: Targets
    settings: Settings
    big_database: Path
    watch_interval_milliseconds: int

    def interleaved(self, **measurements: Callable[[], Sample]) -> dict[str, list[Sample]]:
        """Each measurement once a round."""
        return interleaved(self.settings.rounds, measurements)


def unary(bench: Bench) -> Iterator[Figure]:
    """Durable single-line unary Reserve against the bare echo."""
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        samples = bench.interleaved(echo=lambda: echo.reserve(SKUS), service=lambda: service.reserve(SKUS))
    yield ratio("unary Reserve against the echo", samples, "service", "echo", at_least=0.5)


def stream(bench: Bench) -> Iterator[Figure]:
    """Execute with one command a message against the bare bidirectional echo."""
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        samples = bench.interleaved(echo=lambda: echo.execute(SKUS, 1), service=lambda: service.execute(SKUS, 1))
    yield ratio("Execute, 1 command a message, against the echo", samples, "service", "echo", at_least=0.5)


def batch(bench: Bench) -> Iterator[Figure]:
    """Execute with 100 commands a message against unary, and against its own echo for orientation."""
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        samples = bench.interleaved(
            unary=lambda: service.reserve(SKUS),
            batched=lambda: service.execute(SKUS, _BATCH),
            echo=lambda: echo.execute(SKUS, _BATCH),
        )
    yield ratio("Execute, 100 commands a message, against unary", samples, "batched", "unary", at_least=4)
    yield ratio("Execute, 100 commands a message, against the echo", samples, "batched", "echo")


def sync(bench: Bench) -> Iterator[Figure]:
    """Figures over SyncStock against the bare bidirectional echo, and what 200,000 of them leave in memory."""
    with bench.targets.echo() as echo, bench.targets.till(SKUS) as till:
        samples = bench.interleaved(
            echo=lambda: echo.sync(SKUS, 1),
            till=lambda: till.sync(SKUS, 1),
            echo_batched=lambda: echo.sync(SKUS, _BATCH),
            till_batched=lambda: till.sync(SKUS, _BATCH),
            echo_posts=lambda: echo.sync(SKUS, 1, _BATCH),
            till_posts=lambda: till.sync(SKUS, 1, _BATCH),
        )
        # The first ones fill caches of a fixed size, the store's above all; the next ones must add nothing.
        sizes = [till.process.resident_bytes()]
        for _ in range(2):
            posted = 0
            while posted < _FIGURES:
                posted += till.sync(SKUS, _BATCH).accepted
            sizes.append(till.process.resident_bytes())
    yield ratio("SyncStock, 1 figure a message, against the echo", samples, "till", "echo", at_least=0.3)
    yield ratio("SyncStock, 100 requests of one figure a message", samples, "till_batched", "echo_batched")
    yield ratio("SyncStock, one request of 100 figures a message", samples, "till_posts", "echo_posts")
    yield Figure(
        "memory after 200,000 more figures, against after as many",
        sizes[2] / sizes[1],
        at_most=1.05,
        rates={f"MB after {when}": size / 1_000_000 for when, size in zip(("0", "200k", "400k"), sizes, strict=True)},
    )


def hot(bench: Bench) -> Iterator[Figure]:
    """Everything on one SKU against the same spread over 10,000."""
    with bench.targets.service(SKUS) as service:
        samples = bench.interleaved(
            spread=lambda: service.reserve(SKUS),
            hot=lambda: service.reserve(1),
            spread_batched=lambda: service.execute(SKUS, _BATCH),
            hot_batched=lambda: service.execute(1, _BATCH),
        )
    yield ratio("one hot SKU against 10,000, unary", samples, "hot", "spread", at_least=0.9)
    yield ratio("one hot SKU against 10,000, batched", samples, "hot_batched", "spread_batched", at_least=0.9)


def usual(bench: Bench) -> Iterator[Figure]:
    """Unary and batched against the usual handler."""
    with bench.targets.usual(SKUS) as handler, bench.targets.service(SKUS) as service:
        samples = bench.interleaved(
            usual=lambda: handler.reserve(SKUS),
            unary=lambda: service.reserve(SKUS),
            batched=lambda: service.execute(SKUS, _BATCH),
        )
    yield ratio("unary against the usual handler", samples, "unary", "usual", at_least=10)
    yield ratio("batched against the usual handler", samples, "batched", "usual", at_least=40)


def lone(bench: Bench) -> Iterator[Figure]:
    """A lone caller, one call after the other, against its echo.

    On a server that has run for some seconds: SQLite's log then lies on the disk and is written over, which a commit
    waits less for than for a file that grows.
    """
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        for _ in range(2):
            service.execute(SKUS, _BATCH)
        samples = bench.interleaved(echo=lambda: echo.lone_reserve(SKUS), service=lambda: service.lone_reserve(SKUS))
    yield ratio("a lone caller against its echo", samples, "service", "echo", at_least=0.35)


def query(bench: Bench) -> Iterator[Figure]:
    """QueryBalance of one key against an echo of its messages."""
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        samples = bench.interleaved(echo=lambda: echo.query(SKUS), service=lambda: service.query(SKUS))
    yield ratio("QueryBalance of one key against the echo", samples, "service", "echo", at_least=0.4)


def refusal(bench: Bench) -> Iterator[Figure]:
    """Refusals of a sold-out item against accepted reservations."""
    with bench.targets.service(SKUS) as service:
        samples = bench.interleaved(accepted=lambda: service.reserve(SKUS), refused=service.refused_reserve)
    yield ratio("refusals of a sold-out item against accepted", samples, "refused", "accepted", at_least=1)


def latency(bench: Bench) -> Iterator[Figure]:
    """Latency at half of the peak, and the lag to a watcher, idle and under that load."""
    seconds = bench.settings.seconds * bench.settings.rounds
    with bench.targets.echo() as echo, bench.targets.service(SKUS) as service:
        for name, target in (("service", service), ("echo", echo)):
            peak = statistics.median(target.reserve(SKUS).rate for _ in range(bench.settings.rounds))
            sample = target.reserve_at(peak / 2, SKUS, seconds)
            rates = {"peak": peak, "rate": sample.rate}
            for share, label in ((0.5, "p50"), (0.99, "p99")):
                yield Figure(
                    f"{label} of {name} at half of its peak",
                    sample.latency(share) * 1_000,
                    "ms",
                    rates=rates,
                    generator_share=sample.generator_share,
                )


def lag(bench: Bench) -> Iterator[Figure]:
    """After-write lag to a watcher, idle and while the service takes half of its peak."""
    with bench.targets.service(SKUS) as service:
        # A key that no load touches.
        sku = messages.sku_name(SKUS - 1)
        with lag_probe(service.process.port, sku, _LAG_WRITES) as probe:
            idle = lags(probe)
        peak = statistics.median(service.reserve(SKUS - 1).rate for _ in range(3))
        with lag_probe(service.process.port, sku, _LAG_WRITES) as probe:
            service.reserve_at(peak / 2, SKUS - 1, bench.settings.seconds * bench.settings.rounds)
            loaded = lags(probe)
    for name, found in (("idle", idle), ("at half of the peak", loaded)):
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            yield Figure(f"{label} of the lag to a watcher, {name}", found[int(share * len(found))] * 1_000, "ms")


def watchers(bench: Bench) -> Iterator[Figure]:
    """Writers with 1,000 watchers against none."""
    for interval, at_least in ((bench.watch_interval_milliseconds, 0.8), (0, None)):
        delivered: list[float] = []

        def watched(service: Target, interval: int = interval, delivered: list[float] = delivered) -> Sample:
            with _watching(service, interval) as process:
                began = time.perf_counter()
                sample = service.reserve(SKUS)
                said, _ = process.communicate(timeout=60)
                delivered.append(json.loads(said)["messages"] / (time.perf_counter() - began))
            return sample

        with bench.targets.service(SKUS) as service:
            samples = bench.interleaved(
                alone=lambda service=service: service.reserve(SKUS),  # type: ignore[misc]
                watched=lambda service=service, watched=watched: watched(service),  # type: ignore[misc]
            )
        pace = f"every {interval} ms at most" if interval else "at the server's own pace"
        figure = ratio(f"writers with 1,000 watchers, {pace}", samples, "watched", "alone", at_least=at_least)
        yield replace(figure, rates={**figure.rates, "deliveries": statistics.median(delivered)})


@contextmanager
def _watching(service: Target, interval_milliseconds: int) -> Iterator[subprocess.Popen[str]]:
    options = {
        "port": service.process.port,
        "watchers": _WATCHERS,
        "skus": SKUS,
        "interval-milliseconds": interval_milliseconds,
    }
    command = module_command(
        "watchers", *(text for name, value in options.items() for text in (f"--{name}", str(value)))
    )
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=helper_environment()
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise StartFailure("the watchers did not get their snapshots; what they said stands above")
            yield process
        finally:
            process.kill()


def size(bench: Bench) -> Iterator[Figure]:
    """1,000,000 keys and 5,000,000 entries against an empty database: on 10,000 of the keys, and evenly on all."""
    _make_big(bench)
    with (
        bench.targets.copy_of(bench.big_database) as database,
        bench.targets.service_on(database) as big,
        bench.targets.service(SKUS) as empty,
    ):
        samples = bench.interleaved(
            empty=lambda: empty.reserve(SKUS),
            some=lambda: big.reserve(SKUS),
            all=lambda: big.reserve(BIG_KEYS),
            empty_batched=lambda: empty.execute(SKUS, _BATCH),
            some_batched=lambda: big.execute(SKUS, _BATCH),
            all_batched=lambda: big.execute(BIG_KEYS, _BATCH),
        )
    for suffix, name, at_least in (("", "unary", 0.85), ("_batched", "batched", 0.7)):
        for side, where in (("some", "on 10,000 keys of"), ("all", "evenly on all of")):
            title = f"{name} {where} 1,000,000, against an empty database"
            yield ratio(title, samples, side + suffix, "empty" + suffix, at_least=at_least)


def start(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to the first answer with 1,000,000 keys, and its memory then."""
    _make_big(bench)
    seconds, resident = [], []
    with bench.targets.copy_of(bench.big_database) as database:
        for _ in range(bench.settings.rounds):
            began = time.perf_counter()
            with bench.targets.service_on(database) as service:
                with grpc.insecure_channel(f"{HOST}:{service.process.port}") as channel:
                    stub = allocation_service_pb2_grpc.AllocationServiceStub(channel)
                    request = messages.query_request(messages.sku_name(BIG_KEYS - 1))
                    answer = stub.QueryBalance(request, metadata=messages.call_metadata())
                if len(answer.balances) != 1:
                    raise BenchFailure("the last of the 1,000,000 keys is not there")
                seconds.append(time.perf_counter() - began)
                resident.append(service.process.resident_bytes() / 1_000_000)
    yield Figure(
        "start to the first answer, 1,000,000 keys", statistics.median(seconds), "s", at_most=2, rounds=seconds
    )
    yield Figure("memory then", statistics.median(resident), "MB", at_most=250, rounds=resident)


def _make_big(bench: Bench) -> None:
    if bench.big_database.exists():
        return
    bench.big_database.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    print(f"filling a database with {BIG_KEYS:,} keys and {BIG_ENTRIES:,} entries …", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="ringfence-big-", dir=bench.big_database.parent) as directory:
        part = Path(directory) / "ringfence.db"
        with bench.targets.service_on(part) as service:
            seed.fill(service, BIG_KEYS, BIG_ENTRIES)
        if part.with_name(part.name + "-wal").exists():
            raise BenchFailure("the service left its write-ahead log behind: it did not close the big database")
        part.rename(bench.big_database)
    print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)


# The scenarios by the name they have on the command line, in the order of the table.
SCENARIOS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    scenario.__name__: scenario
    for scenario in (unary, stream, batch, sync, hot, usual, lone, query, refusal, latency, lag, watchers)
}
# Those that need the big database: minutes to fill, gigabytes on disk.
FULL_SCENARIOS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    scenario.__name__: scenario for scenario in (size, start)
}
