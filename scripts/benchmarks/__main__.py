"""`scripts/bench`: runs the scenarios and prints the table.

Exits with 1 when a figure misses its bound, with 2 when one could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import grpc

from scripts.benchmarks.database import database_below
from scripts.benchmarks.figures import Figure, table
from scripts.benchmarks.postgres_scenarios import POSTGRES_SCENARIOS, PostgresBench
from scripts.benchmarks.postgres_targets import PostgresTargets
from scripts.benchmarks.processes import StartFailure, cores
from scripts.benchmarks.scenarios import FULL_SCENARIOS, SCENARIOS, Bench
from scripts.benchmarks.targets import BenchFailure, Settings, Targets

_PROJECT = Path(__file__).resolve().parent.parent.parent
_Scenarios: TypeAlias = dict[str, Callable[[], Iterator[Figure]]]
_PACKAGES = ("grpcio", "protobuf", "sqlalchemy", "uvloop")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the service against a bare echo and the usual handler, on this machine, as ratios.",
    )
    every = [*SCENARIOS, *FULL_SCENARIOS]
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"some of: {', '.join(every)}; with --postgres of: {', '.join(POSTGRES_SCENARIOS)}",
    )
    parser.add_argument(
        "--postgres",
        action="store_true",
        help="the service on PostgreSQL against one transaction per request there, on a PostgreSQL of its own",
    )
    parser.add_argument(
        "--full", action="store_true", help=f"also {' and '.join(FULL_SCENARIOS)}: a database of 1,000,000 keys"
    )
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="per measurement (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=Settings.rounds, help="per figure; the median counts (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE, - for the output")
    # Not the temporary directory: that is memory on many systems, where a durable commit costs nothing.
    parser.add_argument(
        "--directory", type=Path, default=_PROJECT / "build", help="for the databases; a disk, not memory (build/)"
    )
    parser.add_argument("--big-database", type=Path, help="keeps the database of 1,000,000 keys here for the next run")
    parser.add_argument(
        "--watch-interval", type=int, default=1_000, metavar="MILLISECONDS", help="of the 1,000 watchers (%(default)s)"
    )
    parser.add_argument("--pin", action="store_true", help="keep servers and generator on cores of their own")
    arguments = parser.parse_args()
    known = list(POSTGRES_SCENARIOS) if arguments.postgres else every
    for name in arguments.only or ():
        if name not in known:
            parser.error(f"--only: no scenario {name!r}; there are {', '.join(known)}")
    if arguments.postgres and arguments.full:
        parser.error("--full is of SQLite: leave out --postgres")
    return arguments


def main() -> int:
    """Runs the benchmark and answers the exit code."""
    arguments = _arguments()
    with _alone():
        return _run(arguments)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two benchmarks at a time would measure each other: the second waits."""
    (_PROJECT / "build").mkdir(exist_ok=True)
    with (_PROJECT / "build" / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another benchmark to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(arguments: argparse.Namespace) -> int:
    servers, generator = cores() if arguments.pin else (set(), set())
    if generator:
        os.sched_setaffinity(0, generator)
    settings = Settings(seconds=arguments.seconds, rounds=arguments.rounds)
    machine = _machine(servers, generator)
    for name, value in machine.items():
        print(f"{name}: {value}", file=sys.stderr)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    failed = False
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="ringfence-bench-", dir=arguments.directory)
        directory = Path(stack.enter_context(temporary)).resolve()
        if arguments.postgres:
            # Beside the temporary directory, which is its owner's alone: root's PostgreSQL runs as somebody else.
            database = stack.enter_context(database_below(arguments.directory.resolve()))
            print(f"PostgreSQL: {database.version}", file=sys.stderr)
            scenarios = _on_postgres(arguments, PostgresTargets(database, directory, settings, servers), settings)
        else:
            scenarios = _on_sqlite(arguments, directory, Targets(directory, settings, servers), settings)
        for name, scenario in scenarios.items():
            print(f"… {name}", file=sys.stderr)
            try:
                figures += scenario()
            except (BenchFailure, ConnectionError, StartFailure, grpc.RpcError) as error:
                # The others are worth having: an hour of measuring is not thrown away for one.
                print(f"{name} failed: {error}", file=sys.stderr)
                failed = True
    if arguments.json:
        text = json.dumps({"machine": machine, "figures": [figure.as_json() for figure in figures]}, indent=2)
        if str(arguments.json) == "-":
            print(text)
            return _verdict(figures, failed)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(table(figures))
    return _verdict(figures, failed)


def _on_sqlite(arguments: argparse.Namespace, directory: Path, targets: Targets, settings: Settings) -> _Scenarios:
    bench = Bench(
        targets=targets,
        settings=settings,
        big_database=(arguments.big_database or directory / "big.db").resolve(),
        watch_interval_milliseconds=arguments.watch_interval,
    )
    every = {**SCENARIOS, **FULL_SCENARIOS}
    names = arguments.only or (every if arguments.full else SCENARIOS)
    return {name: partial(every[name], bench) for name in names}


def _on_postgres(arguments: argparse.Namespace, targets: PostgresTargets, settings: Settings) -> _Scenarios:
    bench = PostgresBench(targets, settings)
    return {name: partial(POSTGRES_SCENARIOS[name], bench) for name in arguments.only or POSTGRES_SCENARIOS}


def _verdict(figures: list[Figure], failed: bool) -> int:
    return 2 if failed else int(any(figure.passed is False for figure in figures))


def _machine(servers: set[int], generator: set[int]) -> dict[str, str]:
    pinned = "not pinned: servers and generator share all cores"
    if servers and servers != generator:
        pinned = f"servers on core {sorted(servers)}, generator and watchers on core {sorted(generator)}"
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": f"{platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "cores": pinned,
        # On a machine that does other things the ratios still mean something, the rates do not.
        "load before": f"{os.getloadavg()[0]:.1f} running or waiting, on average of the last minute",
    }


if __name__ == "__main__":
    sys.exit(main())
