"""The figures of `scripts/bench --postgres`, one function each. What a figure has to reach stands beside it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from scripts.benchmarks import messages
from scripts.benchmarks.figures import Figure, interleaved, ratio
from scripts.benchmarks.load import Sample
from scripts.benchmarks.postgres_targets import PostgresTarget, PostgresTargets
from scripts.benchmarks.probe import lag_probe, lags
from scripts.benchmarks.targets import Settings

SKUS = 10_000
_BATCH = 100
_HOT_SKUS = 40
_MOST_LINES = 20
_ORDERS = 10_000
_LAG_WRITES = 200
# Two servers, PostgreSQL and the generator, each on a core.
_CORES_FOR_TWO = 4
_TWO_AGAINST_ONE = 1.3
_AGAINST = "against one transaction per request"
_AGAINST_LOCK = "against one on asyncpg alone"
_BASELINES = (("one transaction per request", "usual"), ("one on asyncpg alone", "lock"))
# Of the service's tables: every batch has an instant of its own.
_COMMANDS = "count(*) FROM request_outcome"
_TRANSACTIONS = "count(DISTINCT record_time) FROM feed"


@dataclass(frozen=True)
class PostgresBench:
    """What a scenario works with."""

    targets: PostgresTargets
    settings: Settings

    def interleaved(self, **measurements: Callable[[], Sample]) -> dict[str, list[Sample]]:
        """Each measurement once a round."""
        return interleaved(self.settings.rounds, measurements)


def spread(bench: PostgresBench) -> Iterator[Figure]:
    """Reserve over 10,000 SKUs against one transaction per request, and what a command costs each of them.

    One is the usual handler, which comes to the database as the service does, through SQLAlchemy on asyncpg; one is
    written for speed on asyncpg alone. Beside them stand one that keeps the least, and a bare echo: no server of unary
    calls can pass what does nothing but answer.
    """
    with ExitStack() as stack:
        usual, lock, service = stack.enter_context(_beside(bench))
        least, echo = stack.enter_context(_least(bench)), stack.enter_context(bench.targets.echo())
        samples = bench.interleaved(
            usual=lambda: usual.reserve(SKUS),
            lock=lambda: lock.reserve(SKUS),
            least=lambda: least.reserve(SKUS),
            echo=lambda: echo.reserve(SKUS),
            service=lambda: service.reserve(SKUS),
            batched=lambda: service.execute(SKUS, _BATCH),
        )
    yield ratio(f"spread, unary, {_AGAINST}", samples, "service", "usual", at_least=4)
    yield ratio(f"spread, 100 a message, {_AGAINST}", samples, "batched", "usual")
    yield ratio(f"spread, unary, {_AGAINST_LOCK}", samples, "service", "lock", at_least=4)
    yield ratio(f"spread, 100 a message, {_AGAINST_LOCK}", samples, "batched", "lock")
    yield ratio("spread, unary, against one that keeps the least", samples, "service", "least")
    yield ratio(f"a bare echo, unary, {_AGAINST_LOCK}", samples, "echo", "lock")
    for name, side in (*_BASELINES, ("unary", "service"), ("100 a message", "batched")):
        yield cost(f"CPU of a command, {name}", samples[side])


def hot(bench: PostgresBench) -> Iterator[Figure]:
    """Everything on one SKU against one transaction per request on one SKU, and against the same spread over 10,000."""
    with _beside(bench) as (usual, lock, service):
        samples = bench.interleaved(
            usual=lambda: usual.reserve(1),
            lock=lambda: lock.reserve(1),
            hot=lambda: service.reserve(1),
            spread=lambda: service.reserve(SKUS),
            hot_batched=lambda: service.execute(1, _BATCH),
            spread_batched=lambda: service.execute(SKUS, _BATCH),
        )
    yield ratio(f"one hot SKU, unary, {_AGAINST}", samples, "hot", "usual", at_least=7)
    yield ratio(f"one hot SKU, 100 a message, {_AGAINST}", samples, "hot_batched", "usual", at_least=20)
    yield ratio(f"one hot SKU, unary, {_AGAINST_LOCK}", samples, "hot", "lock", at_least=7)
    yield ratio(f"one hot SKU, 100 a message, {_AGAINST_LOCK}", samples, "hot_batched", "lock", at_least=20)
    yield ratio("one hot SKU against 10,000, unary", samples, "hot", "spread", at_least=0.9)
    yield ratio("one hot SKU against 10,000, 100 a message", samples, "hot_batched", "spread_batched", at_least=0.9)
    for name, side in (*_BASELINES, ("unary", "hot"), ("100 a message", "hot_batched")):
        yield cost(f"CPU of a command on one hot SKU, {name}", samples[side])


def servers(bench: PostgresBench) -> Iterator[Figure]:
    """Two servers on one database against one. Where there are not the cores for both, the bound is on PostgreSQL's
    part of the work: while it takes less than 1 / 1.3 of what one server does, it is cores that are missing."""
    enough = len(os.sched_getaffinity(0)) >= _CORES_FOR_TWO
    with bench.targets.database.fresh() as url, bench.targets.service(url, SKUS, servers=2) as two:
        one = two.alone()
        samples = bench.interleaved(
            one=lambda: one.reserve(SKUS),
            two=lambda: two.reserve(SKUS),
            one_batched=lambda: one.execute(SKUS, _BATCH),
            two_batched=lambda: two.execute(SKUS, _BATCH),
        )
    yield ratio("two servers against one, unary", samples, "two", "one", at_least=_TWO_AGAINST_ONE if enough else None)
    yield ratio("two servers against one, 100 a message", samples, "two_batched", "one_batched")
    for side, name in (("one", "unary"), ("one_batched", "100 a message")):
        at_most = None if enough else 1 / _TWO_AGAINST_ONE
        yield quotient(f"PostgreSQL's CPU against its one server's, {name}", samples[side], at_most)
    for side, name in (("one", "one server"), ("two", "two servers")):
        yield cost(f"CPU of a command, {name}", samples[side])
        yield busy(f"cores in use, {name}", samples[side])


def orders(bench: PostgresBench) -> Iterator[Figure]:
    """64 clients of two servers order 1 to 20 of 40 hot SKUs: what a caller sees of conflicts, and deadlocks."""
    with bench.targets.database.fresh() as url:
        with bench.targets.service(url, _HOT_SKUS, servers=2) as service:
            came = service.orders(_HOT_SKUS, _MOST_LINES, _ORDERS)
        deadlocks = bench.targets.database.deadlocks(url)
    rates = {"orders": came.answered, "orders/s": came.sample.rate}
    yield Figure("orders that failed, of 64 clients over 40 hot SKUs", came.failed, "", at_most=0, rates=rates)
    yield Figure("deadlocks that PostgreSQL found meanwhile", deadlocks, "", at_most=0)


def lag(bench: PostgresBench) -> Iterator[Figure]:
    """From the answer to a write on one server to a watcher on another, idle and while each takes a quarter of the
    peak of one."""
    with (
        bench.targets.database.fresh() as url,
        bench.targets.service(url, SKUS, servers=2) as service,
    ):
        writer, watcher = service.processes
        # A key that no load touches.
        sku = messages.sku_name(SKUS - 1)
        with lag_probe(writer.port, sku, _LAG_WRITES, watch_port=watcher.port) as probe:
            idle = lags(probe)
        peak = statistics.median(service.alone().reserve(SKUS - 1).rate for _ in range(3))
        with lag_probe(writer.port, sku, _LAG_WRITES, watch_port=watcher.port) as probe:
            service.reserve_at(peak / 2, SKUS - 1, bench.settings.seconds * bench.settings.rounds)
            loaded = lags(probe)
    for name, found in (("idle", idle), ("at half of the peak", loaded)):
        for share, label, at_most in ((0.5, "p50", 100.0), (0.99, "p99", None)):
            value = found[int(share * len(found))] * 1_000
            yield Figure(f"{label} of the lag to a watcher of another server, {name}", value, "ms", at_most=at_most)


def commits(bench: PostgresBench) -> Iterator[Figure]:
    """How many commands share a transaction, and how many a synchronisation of the log to the disk."""
    database, lock = bench.targets.database, "one transaction per request"
    for name, batch in ((lock, 0), ("unary", 1), ("100 a message", _BATCH)):
        with database.fresh() as url:
            synchronised = database.syncs()
            with bench.targets.row_lock(url, SKUS) if name == lock else bench.targets.service(url, SKUS) as target:
                rate = (target.execute(SKUS, batch) if batch > 1 else target.reserve(SKUS)).rate
            # Its processes have ended, so their part is counted in full; PostgreSQL's own writers add a few.
            synchronised = database.syncs() - synchronised
            commands = database.count(url, _COMMANDS if batch else "count(*) FROM row_lock.request")
            transactions = database.count(url, _TRANSACTIONS) if batch else commands
        each = {"commands/s": rate, "commands a sync": commands / synchronised}
        yield Figure(f"commands a transaction, {name}", commands / transactions, "", rates=each)


def lanes(bench: PostgresBench) -> Iterator[Figure]:
    """Two and four lanes in a server against one."""
    with ExitStack() as stack:
        each = {
            lanes: stack.enter_context(
                bench.targets.service(stack.enter_context(bench.targets.database.fresh()), SKUS, lanes=lanes)
            )
            for lanes in (1, 2, 4)
        }
        for name, load in (
            ("unary", lambda target: target.reserve(SKUS)),
            ("100 a message", lambda target: target.execute(SKUS, _BATCH)),
        ):
            samples = bench.interleaved(**{_lanes(number): partial(load, target) for number, target in each.items()})
            for number in (2, 4):
                yield ratio(f"{_lanes(number)} against one, {name}", samples, _lanes(number), _lanes(1))


def _lanes(number: int) -> str:
    return f"{number} lanes" if number > 1 else "1 lane"


@contextmanager
def _least(bench: PostgresBench) -> Iterator[PostgresTarget]:
    """One transaction per request that keeps no ledger and no answers."""
    with bench.targets.database.fresh() as url, bench.targets.row_lock(url, SKUS, least=True) as least:
        yield least


@contextmanager
def _beside(bench: PostgresBench) -> Iterator[tuple[PostgresTarget, PostgresTarget, PostgresTarget]]:
    """One transaction per request through SQLAlchemy and on asyncpg alone, and the service, on the same database."""
    with (
        bench.targets.database.fresh() as url,
        bench.targets.usual(url, SKUS) as usual,
        bench.targets.row_lock(url, SKUS) as lock,
        # No table of theirs has the name of one of the service's.
        bench.targets.service(url, SKUS) as service,
    ):
        yield usual, lock, service


def cost(name: str, samples: Sequence[Sample]) -> Figure:
    """CPU microseconds a command of all sides together; each side's own beside it."""
    each = {side: [sample.cost(side) * 1e6 for sample in samples] for side in ("server", "database")}
    each["generator"] = [sample.generator_share * 1e6 / sample.rate for sample in samples]
    return _sum_of(name, each, "µs")


def busy(name: str, samples: Sequence[Sample]) -> Figure:
    """Cores in use of all sides together; each side's own beside it."""
    each = {side: [sample.rise[side] / sample.seconds for sample in samples] for side in ("server", "database")}
    each["generator"] = [sample.generator_share for sample in samples]
    return _sum_of(name, each, "cores")


def quotient(name: str, samples: Sequence[Sample], at_most: float | None) -> Figure:
    """PostgreSQL's CPU seconds against those of its servers: per round, then the median."""
    each = [sample.rise["database"] / sample.rise["server"] for sample in samples]
    return Figure(name, statistics.median(each), at_most=at_most, rounds=each)


def _sum_of(name: str, each: Mapping[str, Sequence[float]], unit: str) -> Figure:
    totals = [sum(parts) for parts in zip(*each.values(), strict=True)]
    parts = {side: statistics.median(values) for side, values in each.items()}
    return Figure(name, statistics.median(totals), unit, rounds=totals, rates=parts)


# The scenarios by the name they have on the command line, in the order of the table.
POSTGRES_SCENARIOS: dict[str, Callable[[PostgresBench], Iterator[Figure]]] = {
    scenario.__name__: scenario for scenario in (spread, hot, servers, orders, lag, commits, lanes)
}
