"""What is measured on PostgreSQL: servers of the service on one database, and one transaction per request there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks import load, messages
from scripts.benchmarks.database import Database
from scripts.benchmarks.load import Sample
from scripts.benchmarks.processes import HOST, ServerProcess, module_command
from scripts.benchmarks.row_lock import CONNECTIONS
from scripts.benchmarks.targets import BenchFailure, Settings, Target, sell_out, serve_command, stock

CLIENTS = 64
_SLICE_SECONDS = 2.0
_MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Orders:
    """What a run of orders came to."""

    sample: Sample
    answered: int
    # Calls that came to anything but a reservation or a refusal: deadlocks and retries would be among them.
    failed: int


class PostgresTarget(Target):
    """Servers on one PostgreSQL database and the loads they take."""

    def alone(self) -> Target:
        """The first of the servers; the others stand idle beside it."""
        return Target(self.process, self._settings, database=self._database)

    def orders(self, skus: int, most_lines: int, at_least: int) -> Orders:
        """Reserve of orders of 1 to `most_lines` lines over the first `skus` keys, by CLIENTS clients that wait for
        each answer, shared evenly by the servers, until `at_least` orders are answered.

        Raises BenchFailure when that takes more than five minutes, or when one is refused: there is enough.
        """
        work = load.unary(
            HOST,
            [process.port for process in self.processes],
            messages.SERVICE + "Reserve",
            messages.metadata(),
            messages.orders(skus, most_lines),
            self.meter,
            in_flight=CLIENTS,
            connections=CLIENTS,
        )
        failed = 0
        until = time.monotonic() + _MOST_SECONDS
        with contextlib.closing(work):
            while True:
                sample = work.measure(_SLICE_SECONDS, 0.0)
                failed = work.failed
                if sample.refused:
                    raise BenchFailure(f"{sample.refused} orders were refused: {sample.failure}")
                if work.answered + failed >= at_least:
                    return Orders(sample, work.answered, failed)
                if time.monotonic() > until:
                    raise BenchFailure(f"only {work.answered} orders in {_MOST_SECONDS:.0f} s")


class PostgresTargets:
    """Starts servers on databases of one PostgreSQL, each in a directory of its own below `directory`, pinned to
    `on_cores` (empty: not pinned)."""

    def __init__(self, database: Database, directory: Path, settings: Settings, on_cores: set[int]) -> None:
        self.database = database
        self._directory = directory
        self._settings = settings
        self._on_cores = on_cores
        self._started = 0

    @contextlib.contextmanager
    def row_lock(self, url: str, skus: int, *, least: bool = False) -> Iterator[PostgresTarget]:
        """One transaction per request, on tables of its own in this database; with the least records there can be."""
        command = module_command("row_lock", "--skus", str(skus), *(["--least"] if least else []))
        with self._process("row_lock", command, url) as process:
            yield PostgresTarget(process, self._settings, database=self.database.meter)

    @contextlib.contextmanager
    def usual(self, url: str, skus: int) -> Iterator[PostgresTarget]:
        """The usual handler: the same through SQLAlchemy, on tables of its own in this database."""
        command = module_command("usual", "--skus", str(skus), "--connections", str(CONNECTIONS))
        with self._process("usual", command, url) as process:
            yield PostgresTarget(process, self._settings, database=self.database.meter)

    @contextlib.contextmanager
    def echo(self) -> Iterator[Target]:
        """The bare grpc.aio echo: what a call costs before anything is done."""
        with self._process("echo", module_command("echo"), "") as process:
            yield Target(process, self._settings)

    @contextlib.contextmanager
    def service(self, url: str, skus: int, *, servers: int = 1, lanes: int = 1) -> Iterator[PostgresTarget]:
        """So many servers on this fresh database: `skus` keys with a quota each, and the sold-out one."""
        with contextlib.ExitStack() as stack:
            command = [*serve_command(), "--lanes", str(lanes)]
            first, *others = [stack.enter_context(self._process("ringfence", command, url)) for _ in range(servers)]
            stock(first.port, [messages.sku_name(number) for number in range(skus)])
            sell_out(first.port)
            yield PostgresTarget(first, self._settings, beside=others, database=self.database.meter)

    @contextlib.contextmanager
    def _process(self, name: str, command: list[str], url: str) -> Iterator[ServerProcess]:
        self._started += 1
        directory = self._directory / f"{name}-{self._started}"
        # The URL holds a password, so it is no argument.
        environment = {"RINGFENCE_DATABASE_URL": url, "DATABASE_URL": url.replace("+asyncpg", "", 1)}
        with ServerProcess(command, directory, name=name, on_cores=self._on_cores, environment=environment) as process:
            yield process
