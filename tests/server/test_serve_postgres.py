"""`ringfence serve` on PostgreSQL: workers on one port, and what cannot be had in one plain line."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from ringfence import Client, Line, StockFigure
from ringfence.testing import PostgresServer, assert_eventually
from tests.server.program import address, run, serving, stop

pytestmark = pytest.mark.postgres


def children_of(pid: int) -> list[int]:
    """The processes that a process started and that live."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def server_processes(postgres: PostgresServer, url: str) -> int:
    """How many servers write to a database: each has one writing connection."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ringfence-writer' AND datname = $1"
    ((count,),) = postgres.execute(query, url.rpartition("/")[2])
    assert isinstance(count, int)
    return count


def reserve_on_new_connections(target: str, times: int) -> None:
    """Each over a connection of its own, which the kernel gives to one worker or another."""
    for _ in range(times):
        with Client(target, options=(("grpc.use_local_subchannel_pool", 1),)) as client:
            client.reserve(Line("LAMP", "berlin", 1))


def free_ports(count: int) -> int:
    """The first of so many ports in a row that are free."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            continue
        return first


def test_workers_share_a_port_and_a_ledger(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Two of them serve; one that is killed is replaced while the other serves on; SIGTERM ends all with code 0, and
    nobody can take their port meanwhile. Each has its metrics."""
    metrics = free_ports(2)
    options = ["--port", "0", "--workers", "2", "--metrics-port", str(metrics), "--database-url", postgres_url]
    with serving(*options) as (process, said):
        assert said.endswith(f"(database postgresql+asyncpg://{postgres_url.rpartition('@')[2]}, 2 workers)")
        target = address(said)
        assert server_processes(postgres_server, postgres_url) == 2
        with Client(target) as client:
            client.post_stock(StockFigure("LAMP", "berlin", 100))
        reserve_on_new_connections(target, 20)
        taken = run("serve", "--port", target.rpartition(":")[2], "--in-memory")
        assert "is in use" in taken.stderr
        counted = 0.0
        for port in (metrics, metrics + 1):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                lines = page.read().decode().splitlines()
            counted += sum(
                float(line.rpartition(" ")[2])
                for line in lines
                if line.startswith("ringfence_calls_total") and "Reserve" in line
            )
        assert counted == 20
        workers = [
            pid for pid in children_of(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        reserve_on_new_connections(target, 5)
        assert_eventually(
            lambda: (
                sum(b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children_of(process.pid)) == 2
                and server_processes(postgres_server, postgres_url) == 2
            )
        )
        reserve_on_new_connections(target, 5)
        with Client(target) as client:
            balance = client.balance("LAMP", "berlin")
            assert balance is not None
            assert balance.own.held == 30
            assert client.verify().ok
        stop(process)
    assert_eventually(lambda: server_processes(postgres_server, postgres_url) == 0)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_is_not_there_is_one_plain_line(postgres_server: PostgresServer, workers: str) -> None:
    """From each process that finds it, without the password."""
    url = postgres_server.url("no_such_database")
    failed = run("serve", "--port", "0", "--workers", workers, "--database-url", url)
    assert failed.returncode == 1
    lines = failed.stderr.splitlines()
    assert 1 <= len(lines) <= int(workers)
    assert all(line.endswith("there is no such database") for line in lines), lines
    assert url.split(":")[2].partition("@")[0] not in failed.stderr


def test_tls_is_asked_for_by_the_url(postgres_url: str) -> None:
    """A server without TLS is refused where the URL wants it."""
    failed = run("db", "current", "--database-url", f"{postgres_url}?sslmode=require")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "SSL" in failed.stderr
