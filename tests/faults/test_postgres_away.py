"""PostgreSQL goes away, in every way it can, under two servers: callers hear of it soon, and nothing is lost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ringfence import Client, StockFigure
from ringfence.testing import PostgresServer, assert_eventually
from tests.faults.proxy import Cut, Proxy
from tests.faults.serving import ServerProcess
from tests.faults.shopping import SHOPPERS, SOON_SECONDS, shopping

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

SKUS: Final = ("BIKE", "LAMP", "VASE", "SOFA")
UNITS: Final = 60
CUTS: Final = 3


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may mistreat."""
    with PostgresServer() as server:
        yield server


def serves(target: str) -> bool:
    """What a server says of its health."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("way", [PostgresServer.stop, PostgresServer.kill])
def test_postgresql_ends_and_starts_again(
    tmp_path: Path, own_postgres: PostgresServer, way: Callable[[PostgresServer], None]
) -> None:
    """Stopped, or killed with all that it had in memory. Meanwhile calls fail soon, one by one, and health says that
    nothing is served; after its start all shoppers are served again soon."""
    url = own_postgres.create_database()
    with shopping(tmp_path, url) as seen:
        for _ in range(2):
            before = len(seen.failures)
            way(own_postgres)
            # Every shopper has heard of it, most of them more than once.
            assert_eventually(lambda before=before: len(seen.failures) >= before + 3 * SHOPPERS)  # type: ignore[misc]
            assert_eventually(lambda: not serves(seen.targets[0]))
            own_postgres.start()
            assert seen.wait_for_all(1, 120) < SOON_SECONDS
            assert_eventually(lambda: serves(seen.targets[0]))


def test_connections_are_ended_by_an_administrator(tmp_path: Path, own_postgres: PostgresServer) -> None:
    """pg_terminate_backend for every connection of the servers, again and again: what was under way is decided again
    or refused with a time to come back."""
    url = own_postgres.create_database()
    with shopping(tmp_path, url) as seen:
        for _ in range(CUTS):
            ended = own_postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ringfence-%'"
            )
            assert ended
            assert seen.wait_for_all(3, 120) < SOON_SECONDS


@pytest.mark.parametrize("when", list(Cut))
def test_the_network_breaks_at_a_commit(tmp_path: Path, own_postgres: PostgresServer, when: Cut) -> None:
    """Before the COMMIT arrives, or between it and its answer: then nobody knows whether it happened, and it must
    neither be lost nor be done twice."""
    url = own_postgres.create_database()
    with Proxy(own_postgres.port) as proxy:
        through = own_postgres.url(url.rpartition("/")[2], port=proxy.port)
        with shopping(tmp_path, through) as seen:
            for number in range(CUTS):
                proxy.cut(when)
                assert_eventually(lambda number=number: proxy.cuts > number)  # type: ignore[misc]
                assert seen.wait_for_all(2, 120) < SOON_SECONDS
            # So often that the batch's first tries fail too.
            proxy.cut(when, times=4)
            assert_eventually(lambda: proxy.cuts >= CUTS + 4)


def test_the_network_falls_silent(tmp_path: Path, own_postgres: PostgresServer) -> None:
    """Nothing arrives any more and nothing breaks: timeouts find it out."""
    url = own_postgres.create_database()
    with Proxy(own_postgres.port) as proxy:
        through = own_postgres.url(url.rpartition("/")[2], port=proxy.port)
        with shopping(tmp_path, through) as seen:
            proxy.silence()
            assert_eventually(lambda: len(seen.failures) >= SHOPPERS)
            proxy.restore()
            assert seen.wait_for_all(1, 120) < 2 * SOON_SECONDS


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="NOT TESTED: no prlimit on this machine")
def test_no_file_can_grow_any_more(tmp_path: Path) -> None:
    """As on a full disk: writes fail, callers are told when to come back, nothing is half done; with room again service
    is back soon."""
    # The log is in files of 1 MiB, so that it is not what fails: PostgreSQL would end.
    with PostgresServer(initdb_options=("--wal-segsize=1",), settings={"max_wal_size": "16MB"}) as server:
        url = server.create_database()
        with shopping(tmp_path, url, servers=1) as seen, Client(seen.targets[0]) as client:
            for number in range(6):
                client.post_stock([StockFigure(f"FILLER-{number}-{each}", "south", 1) for each in range(2_000)])
            _limit(server, 1024 * 1024)
            try:
                assert_eventually(lambda: len(seen.failures) >= 2 * SHOPPERS)
            finally:
                _limit(server, None)
            assert seen.wait_for_all(1, 120) < SOON_SECONDS


def _limit(server: PostgresServer, size: int | None) -> None:
    """How large a file may become that the servers' connections write; None: as large as it likes."""
    pids = server.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'ringfence-%'")
    soft = "unlimited" if size is None else str(size)
    # By PostgreSQL itself: only its own user may do that, and a fork of this process would take gRPC's threads with it.
    commands = " && ".join(f"prlimit --pid={pid} --fsize={soft}:" for pid in [server.pid, *(pid for (pid,) in pids)])
    server.execute(f"COPY (SELECT 1) TO PROGRAM '{commands}'")


def test_a_server_that_finds_no_database_says_so_and_ends(tmp_path: Path) -> None:
    """In one plain line, soon, without the password."""
    server = ServerProcess(tmp_path, "postgresql+asyncpg://shop:secret@127.0.0.1:1/stock")
    start = time.monotonic()
    with pytest.raises(AssertionError, match="did not start") as failed:
        server.start()
    assert time.monotonic() - start < 2 * SOON_SECONDS
    said = str(failed.value)
    assert "ringfence: " in said
    assert "127.0.0.1:1/stock" in said
    assert "secret" not in said
    assert "Traceback" not in said
