"""What is measured: the service, the echo and the usual handler as running servers, and the loads that they take."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from ringfence.v1 import allocation_service_pb2 as allocation
from ringfence.v1 import allocation_service_pb2_grpc, common_pb2, stock_service_pb2, stock_service_pb2_grpc
from scripts.benchmarks import load, messages, till_messages
from scripts.benchmarks.load import Meter, Sample
from scripts.benchmarks.messages import Bodies
from scripts.benchmarks.processes import HOST, ServerProcess, module_command

# What every key of a fresh database has on hand, and what of it is ring-fenced for messages.PATH: no run empties it.
ON_HAND = 1_000_000_000
ALLOCATED = 500_000_000
_LINES = 2_000


class BenchFailure(Exception):
    """A server answered a load otherwise than the figure needs, so there is no figure."""


@dataclass(frozen=True)
class Settings:
    """How long and how hard. Seconds are per measurement, rounds per figure."""

    seconds: float = 2.0
    warm_up: float = 0.5
    rounds: int = 5
    in_flight: int = 256
    connections: int = 4
    # Messages of 100 commands in flight on each connection's stream.
    messages_in_flight: int = 8


class Target:
    """A running server, or several that share a load, and the loads they take. Every method measures once."""

    def __init__(
        self,
        process: ServerProcess,
        settings: Settings,
        *,
        beside: Sequence[ServerProcess] = (),
        database: Meter = dict,
    ) -> None:
        """`beside`: further servers of the same store. `database`: what is to be read of a database beside them."""
        self.process = process
        self.processes = [process, *beside]
        self._settings = settings
        self._database = database

    def meter(self) -> dict[str, float]:
        """CPU seconds of the servers, and what is read of the database."""
        return {"server": sum(process.cpu_seconds() for process in self.processes), **self._database()}

    def reserve(self, skus: int) -> Sample:
        """Unary Reserve, `in_flight` at a time, spread over `skus` keys. Raises BenchFailure when one is refused."""
        return _all_accepted(self._unary("Reserve", messages.reserves(skus)))

    def refused_reserve(self) -> Sample:
        """Unary Reserve of the sold-out key. Raises BenchFailure when one is accepted."""
        sample = self._unary("Reserve", messages.sold_out_reserves())
        if sample.accepted or sample.failed or not sample.refused:
            raise BenchFailure(f"of a sold-out item {sample.accepted} were accepted and {sample.failed} calls failed")
        return sample

    def lone_reserve(self, skus: int) -> Sample:
        """Unary Reserve, one call after the other."""
        return _all_accepted(self._unary("Reserve", messages.reserves(skus), in_flight=1))

    def query(self, skus: int) -> Sample:
        """QueryBalance of one key each, `in_flight` at a time."""
        return _all_accepted(self._unary("QueryBalance", messages.queries(skus)))

    def execute(self, skus: int, batch: int) -> Sample:
        """Reserve commands over Execute, `batch` a message, one stream on each connection."""
        return self._streams(messages.SERVICE + "Execute", messages.executes(skus, batch), batch)

    def sync(self, skus: int, posts: int, figures: int = 1) -> Sample:
        """Figures of a till over SyncStock: `posts` PostStock requests a message, `figures` in each, one stream on each
        connection; their positions rise. The sample counts figures."""
        work = till_messages.syncs(skus, posts, figures)
        # As many figures in flight whichever way they are cut.
        sample = self._streams(till_messages.SYNC_STOCK, work, posts, in_flight_for=posts * figures)
        return dataclasses.replace(sample, accepted=sample.accepted * figures)

    def reserve_at(self, rate: float, skus: int, seconds: float) -> Sample:
        """Unary Reserve at a fixed rate, whatever the answers do."""
        work = self._open("Reserve", messages.reserves(skus), in_flight=0)
        with contextlib.closing(work):
            return _all_accepted(work.measure_at(rate, seconds, self._settings.warm_up))

    def _streams(self, method: str, bodies: Bodies, batch: int, *, in_flight_for: int | None = None) -> Sample:
        """`batch` commands a message; `in_flight_for`: what a message counts for, where that is not its commands."""
        settings = self._settings
        in_flight = settings.in_flight
        if (in_flight_for or batch) > 1:
            in_flight = settings.messages_in_flight * settings.connections * batch
        work = load.streams(
            HOST,
            [process.port for process in self.processes],
            method,
            messages.metadata(),
            bodies,
            self.meter,
            in_flight=in_flight,
            batch=batch,
            connections=settings.connections,
        )
        with contextlib.closing(work):
            return _all_accepted(work.measure(settings.seconds, settings.warm_up))

    def _unary(self, method: str, bodies: Bodies, in_flight: int | None = None) -> Sample:
        work = self._open(method, bodies, self._settings.in_flight if in_flight is None else in_flight)
        with contextlib.closing(work):
            return work.measure(self._settings.seconds, self._settings.warm_up)

    def _open(self, method: str, bodies: Bodies, in_flight: int) -> load.Load:
        return load.unary(
            HOST,
            [process.port for process in self.processes],
            messages.SERVICE + method,
            messages.metadata(),
            bodies,
            self.meter,
            in_flight=in_flight,
            connections=1 if in_flight == 1 else self._settings.connections,
        )


def _all_accepted(sample: Sample) -> Sample:
    if sample.refused or sample.failed or not sample.accepted:
        counts = f"{sample.accepted} accepted, {sample.refused} refused, {sample.failed} failed calls"
        raise BenchFailure(f"{counts} {sample.failure}".rstrip())
    return sample


class Targets:
    """Starts servers, each in a directory of its own below `directory`, pinned to `on_cores` (empty: not pinned)."""

    def __init__(self, directory: Path, settings: Settings, on_cores: set[int]) -> None:
        self._directory = directory
        self._settings = settings
        self._on_cores = on_cores
        self._started = 0

    @contextlib.contextmanager
    def echo(self) -> Iterator[Target]:
        """The bare grpc.aio echo."""
        with self._run("echo", module_command("echo")) as target:
            yield target

    @contextlib.contextmanager
    def usual(self, skus: int) -> Iterator[Target]:
        """The usual handler on a fresh database with `skus` keys."""
        with self._fresh() as directory:
            command = module_command("usual", "--database", str(directory / "usual.db"), "--skus", str(skus))
            with self._run("usual", command) as target:
                yield target

    @contextlib.contextmanager
    def service(self, skus: int) -> Iterator[Target]:
        """The service on a fresh database: `skus` keys with a quota each, and the sold-out one."""
        with self._fresh() as directory, self.service_on(directory / "ringfence.db") as target:
            stock(target.process.port, [messages.sku_name(number) for number in range(skus)])
            sell_out(target.process.port)
            yield target

    @contextlib.contextmanager
    def till(self, skus: int) -> Iterator[Target]:
        """The service on a fresh database: `skus` keys of a store whose till keeps the count."""
        with self._fresh() as directory, self.service_on(directory / "ringfence.db") as target:
            till_messages.open_store(target.process.port, [messages.sku_name(number) for number in range(skus)])
            yield target

    @contextlib.contextmanager
    def service_on(self, database: Path) -> Iterator[Target]:
        """The service on a database that is there, or that it makes."""
        with self._run("ringfence", [*serve_command(), "--database-url", f"sqlite:///{database}"]) as target:
            yield target

    @contextlib.contextmanager
    def copy_of(self, database: Path) -> Iterator[Path]:
        """A copy of a database that no server has open; it is removed again."""
        with self._fresh() as directory:
            yield Path(shutil.copy(database, directory / "ringfence.db"))

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[Path]:
        self._started += 1
        directory = self._directory / f"database-{self._started}"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    @contextlib.contextmanager
    def _run(self, name: str, command: list[str]) -> Iterator[Target]:
        self._started += 1
        directory = self._directory / f"{name}-{self._started}"
        with ServerProcess(command, directory, name=name, on_cores=self._on_cores) as process:
            yield Target(process, self._settings)


def serve_command() -> list[str]:
    """The command that serves on a free port."""
    return [str(Path(sys.executable).with_name("ringfence")), "serve", "--port", "0"]


def stock(port: int, skus: list[str]) -> None:
    """Posts ON_HAND units of every SKU and allocates ALLOCATED of them to PATH."""
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        facts = stock_service_pb2_grpc.StockServiceStub(channel)
        quotas = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        for first in range(0, len(skus), _LINES):
            keys = [common_pb2.StockKey(sku=sku, location=messages.LOCATION) for sku in skus[first : first + _LINES]]
            facts.PostStock(post_request(keys, ON_HAND), metadata=messages.call_metadata())
            quotas.Allocate(allocate_request(keys, ALLOCATED), metadata=messages.call_metadata())


def post_request(keys: list[common_pb2.StockKey], quantity: int) -> stock_service_pb2.PostStockRequest:
    """`quantity` units on hand of each key, at most 2,000 keys."""
    figures = [stock_service_pb2.StockFigure(key=key, measure="on_hand", value=quantity) for key in keys]
    return stock_service_pb2.PostStockRequest(request_id=messages.request_id().decode(), figures=figures)


def allocate_request(keys: list[common_pb2.StockKey], quantity: int) -> allocation.AllocateRequest:
    """`quantity` units of each key for PATH, at most 2,000 keys."""
    lines = [allocation.AllocationLine(key=key, path=messages.PATH, quantity=quantity) for key in keys]
    return allocation.AllocateRequest(request_id=messages.request_id().decode(), lines=lines)


def sell_out(port: int) -> None:
    """Makes SOLD_OUT a key whose quota is used up, and sees that a Reserve of it is refused for that.

    Raises BenchFailure when it is not: the figure would be of something else."""
    key = common_pb2.StockKey(sku=messages.SOLD_OUT, location=messages.LOCATION)
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        facts = stock_service_pb2_grpc.StockServiceStub(channel)
        quotas = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        facts.PostStock(post_request([key], 10), metadata=messages.call_metadata())
        quotas.Allocate(allocate_request([key], 10), metadata=messages.call_metadata())

        def reserve(quantity: int) -> None:
            identifier = messages.request_id().decode()
            quotas.Reserve(messages.reserve_request(key.sku, identifier, quantity), metadata=messages.call_metadata())

        reserve(10)
        try:
            reserve(1)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                return
            raise
    raise BenchFailure("a sold-out item was reserved")
