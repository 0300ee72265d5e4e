"""`ringfence serve` and `ringfence db`, as a person and a process manager use them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from ringfence.v1 import (
    allocation_service_pb2,
    allocation_service_pb2_grpc,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from tests.rpc.messages import figure, line, new_id, reserve
from tests.server.program import address, run, serving, stop


def test_it_says_where_it_listens_and_writes_its_port(tmp_path: Path) -> None:
    """One line on stdout, and a file for who started it."""
    database, port_file = tmp_path / "stock.db", tmp_path / "port"
    arguments = ["--port", "0", "--port-file", str(port_file), "--database-url", f"sqlite:///{database}"]
    with serving(*arguments) as (process, said):
        port = port_file.read_text().strip()
        assert said == f"ringfence: listening on 127.0.0.1:{port} (database {database})"
        stop(process)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_down_when_told_and_keeps_what_it_answered(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0; the next one has everything."""
    url = f"sqlite:///{tmp_path}/stock.db"
    request = reserve(line(3))
    for replayed in (False, True):
        with serving("--port", "0", "--database-url", url) as (process, said):
            with grpc.insecure_channel(address(said)) as channel:
                stock: Any = stock_service_pb2_grpc.StockServiceStub(channel)
                stub: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
                stock.PostStock(stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(value=9)]))
                answer: allocation_service_pb2.ReserveResponse = stub.Reserve(request)
                assert answer.replayed is replayed
            stop(process, number)


def test_every_flag_is_an_environment_variable_too(tmp_path: Path) -> None:
    """As process managers set them; a flag wins."""
    help_text = run("serve", "--help").stdout
    variables = {
        "HOST",
        "PORT",
        "PORT_FILE",
        "DATABASE_URL",
        "IN_MEMORY",
        "GRACE_SECONDS",
        "QUEUE_LINES",
        "DEADLINE_SECONDS",
        "MAX_MESSAGE_BYTES",
        "CLOCK_JUMP_TRUST_SECONDS",
        "METRICS_PORT",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "CHANNELZ",
        "REFLECTION",
        "READ_URL",
        "WORKERS",
        "LANES",
        "QUICK_CONNECTIONS",
        "LONG_CONNECTIONS",
        "CONNECT_TIMEOUT_SECONDS",
        "STATEMENT_TIMEOUT_SECONDS",
        "LOCK_TIMEOUT_SECONDS",
    }
    assert {name for name in variables if f"RINGFENCE_{name}" in help_text} == variables
    flags = {word for word in help_text.split() if word.startswith("--") and not word.startswith("--no-")} - {"--help"}
    assert {flag.removeprefix("--").replace("-", "_").upper() for flag in flags} == variables
    with serving("--port", "0", RINGFENCE_PORT="1", RINGFENCE_IN_MEMORY="true") as (process, said):
        assert said.endswith("(database in memory)")
        stop(process)


def test_sigusr1_accepts_the_clock_and_ends_nothing() -> None:
    """The log says what came of it; a clock that is not in doubt is left alone."""
    with serving("--port", "0", "--in-memory", "--log-format", "json") as (process, _):
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        logged = json.loads(process.stderr.readline())
        assert (logged["level"], logged["event"]) == (
            "info",
            "the wall clock is not in doubt: there is nothing to accept",
        )
        stop(process)


@pytest.mark.parametrize("seconds", ["-1", "86401", "soon"])
def test_a_trust_that_cannot_be_meant_is_refused(seconds: str) -> None:
    """With the name of the flag."""
    ended = run("serve", "--clock-jump-trust-seconds", seconds)
    assert ended.returncode == 2
    assert "--clock-jump-trust-seconds" in ended.stderr


def test_a_port_in_use_is_one_plain_line() -> None:
    """Exit code 1, no trace, nothing of gRPC's own."""
    with serving("--port", "0", "--in-memory") as (process, said):
        port = address(said).rpartition(":")[2]
        second = run("serve", "--port", port, "--in-memory")
        stop(process)
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr == (
        f"ringfence: port {port} of 127.0.0.1 is in use; name another with --port, or 0 for a free one\n"
    )


def test_a_metrics_port_in_use_names_its_own_flag() -> None:
    """Another --port would not help."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        failed = run("serve", "--port", "0", "--in-memory", "--metrics-port", port)
    assert failed.returncode == 1
    assert failed.stderr.endswith(
        f"port {port} of 127.0.0.1 is in use; name another with --metrics-port, or 0 for a free one\n"
    )


def test_a_port_file_that_cannot_be_written_is_one_plain_line(tmp_path: Path) -> None:
    """Whoever waits for the file would wait for ever, so the server ends."""
    file = tmp_path / "not there" / "port"
    failed = run("serve", "--port", "0", "--in-memory", "--port-file", str(file))
    assert failed.returncode == 1
    assert failed.stderr == f"ringfence: --port-file {file} cannot be written: No such file or directory\n"


def test_a_place_to_keep_it_and_none_are_refused_together(tmp_path: Path) -> None:
    """What was to be kept would be gone with the server. A flag overrides the environment."""
    url = f"sqlite:///{tmp_path / 'stock.db'}"
    failed = run("serve", "--port", "0", "--in-memory", "--database-url", url)
    assert failed.returncode == 1
    assert failed.stderr.startswith("ringfence: --in-memory keeps nothing, and --database-url says where to keep it")
    assert failed.stderr.count("\n") == 1
    with serving("--port", "0", "--in-memory", RINGFENCE_DATABASE_URL=url) as (process, said):
        assert "database in memory" in said
        stop(process)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg", "postgres+x"])
def test_a_url_of_another_database_is_told_without_its_password(scheme: str) -> None:
    """It would stand in the logs of whatever starts the server."""
    failed = run("db", "current", "--database-url", f"{scheme}://anna:secret@host/stock")
    assert failed.returncode == 1
    assert f"'{scheme}://host/stock' names no database" in failed.stderr
    assert "secret" not in failed.stderr


def test_each_worker_needs_a_port_for_its_metrics() -> None:
    """They follow one another; the last one would lie beyond 65535."""
    options = ("--port", "0", "--workers", "2", "--metrics-port", "65535")
    failed = run("serve", *options, "--database-url", "postgresql://nobody@127.0.0.1:1/stock")
    assert failed.returncode == 1
    assert failed.stderr == "ringfence: --metrics-port 65535 has no port after it for each of 2 workers\n"


def test_a_certificate_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    """Not as a database that is not there."""
    url = f"postgresql://nobody@127.0.0.1:1/stock?sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}"
    failed = run("db", "current", "--database-url", url)
    assert failed.returncode == 1
    assert "a file that its URL names is not there: sslrootcert" in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "url", "words"),
    [
        (["serve", "--port", "0"], "sqlite:////proc/ringfence/stock.db", "cannot be written"),
        (["serve", "--port", "0"], "postgresql://host", "names no database"),
        (["db", "upgrade"], "sqlite:////proc/ringfence/stock.db", "cannot be opened"),
        (["db", "current"], "stock.db", "names no database"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_plain_line(command: list[str], url: str, words: str) -> None:
    """Exit code 1, no trace."""
    failed = run(*command, "--database-url", url)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("ringfence: ")
    assert failed.stderr.count("\n") == 1
    assert words in failed.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "2"], "--workers needs PostgreSQL: a SQLite file has one server, and a ledger in memory too"),
        (["--workers", "2", "--in-memory"], "--workers needs PostgreSQL"),
        (["--read-url", "postgresql://host/replica"], "--read-url names a replica of a PostgreSQL database"),
    ],
)
def test_what_needs_postgresql_is_refused_on_sqlite(tmp_path: Path, options: list[str], words: str) -> None:
    """In one plain line, and nothing is made."""
    database = tmp_path / "stock.db"
    failed = run("serve", "--port", "0", *options, RINGFENCE_DATABASE_URL=f"sqlite:///{database}")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"ringfence: {words}")
    assert failed.stderr.count("\n") == 1
    assert not database.exists()


def test_log_lines_are_json_where_nobody_reads_them(tmp_path: Path) -> None:
    """One object a line on stderr, with level, time and where it comes from."""
    with serving("--port", "0", "--in-memory", "--log-level", "debug") as (process, _):
        lines = stop(process).splitlines()
    assert lines
    for each in lines:
        assert {"event", "level", "logger", "timestamp"} <= json.loads(each).keys()


def test_db_makes_a_database_and_tells_its_revision(tmp_path: Path) -> None:
    """Looking at none makes none."""
    url = f"sqlite:///{tmp_path}/stock.db"
    assert run("db", "current", "--database-url", url).stdout == f"{url}: empty\n"
    assert not (tmp_path / "stock.db").exists()
    made = run("db", "upgrade", RINGFENCE_DATABASE_URL=url)
    assert made.returncode == 0
    assert made.stdout == run("db", "current", "--database-url", url).stdout
    assert made.stdout.removeprefix(f"{url}: ").strip().isdigit()


def test_help_is_fast() -> None:
    """Nothing heavy is imported before a command runs."""
    heavy = ("grpc", "sqlalchemy", "google.protobuf", "prometheus_client", "structlog", "uvloop", "alembic")
    code = f"import sys, ringfence_server.cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.strip() == "[]"
