"""ringfence.testing's PostgreSQL: real, durable over a crash, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ringfence import Line, ReservationState, StockFigure
from ringfence.testing import PostgresNotFound, PostgresServer, RingfenceServer, _postgres, pytest_plugin

pytestmark = pytest.mark.postgres


def test_each_database_is_empty_and_apart(postgres_server: PostgresServer) -> None:
    """What a test writes into its database no other database has."""
    one, other = postgres_server.create_database("one"), postgres_server.create_database()
    postgres_server.execute("CREATE TABLE lamp ()", database="one")
    tables = "SELECT relname FROM pg_class WHERE relname = 'lamp'"
    assert postgres_server.execute(tables, database="one") == [("lamp",)]
    assert postgres_server.execute(tables, database=other.rpartition("/")[2]) == []
    for url in (one, other):
        postgres_server.drop_database(url)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        postgres_server.execute(tables, database="one")


async def test_statements_run_inside_of_an_event_loop(postgres_server: PostgresServer) -> None:
    """An async test may ask it too."""
    assert postgres_server.execute("SELECT $1::int + 1", 1) == [(2,)]


def test_it_syncs_and_survives_a_crash(postgres_server: PostgresServer) -> None:
    """fsync is on, and after SIGKILL and a start, on the same port, what was committed is there."""
    with PostgresServer(settings={"max_connections": 7}) as server:
        port = server.port
        assert server.execute("SHOW fsync") == [("on",)]
        assert server.execute("SHOW max_connections") == [("7",)]
        server.execute("CREATE TABLE lamp AS SELECT 7 AS lamp")
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            server.execute("SELECT 1")
        server.start()
        assert server.port == port
        assert server.execute("SELECT * FROM lamp") == [(7,)]
        server.restart()
        assert server.execute("SELECT * FROM lamp") == [(7,)]
        pid, data = server.pid, server.data_directory
        if os.geteuid() == 0:
            assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert data.exists()
    assert not data.parent.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_nobody_gets_in_without_the_password(postgres_server: PostgresServer) -> None:
    """Other users of the machine reach the port, and no more."""

    connect: Any = asyncpg.connect

    async def enter() -> list[tuple[Any, ...]]:
        return [await connect("postgresql://ringfence:guessed@127.0.0.1/postgres", port=postgres_server.port)]

    with pytest.raises(asyncpg.InvalidPasswordError):
        _postgres._in_thread(enter())


def test_without_postgresql_tests_are_skipped_loudly_or_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no PostgreSQL a skip says so; with RINGFENCE_REQUIRE_POSTGRES=1 it is a failure."""

    def none(*_: Any) -> None:
        raise PostgresNotFound("no PostgreSQL")

    monkeypatch.setattr(_postgres, "_programs", none)
    fixture = pytest_plugin.postgres_server.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.delenv("RINGFENCE_REQUIRE_POSTGRES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED ON POSTGRESQL: no PostgreSQL"):
        next(fixture())
    monkeypatch.setenv("RINGFENCE_REQUIRE_POSTGRES", "1")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_POSTGRES=1, but no PostgreSQL"):
        next(fixture())


def test_an_installation_nobody_may_enter_is_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Programs in a home that the unprivileged user may not enter are copied to where it may."""
    works = _postgres._works
    (roots, programs), *_ = _postgres._installations()
    if not roots:
        pytest.skip("no wheel with PostgreSQL is installed")
    monkeypatch.setattr(_postgres, "_works", lambda place, account: place != programs and works(place, account))
    with PostgresServer() as server:
        assert server._directory in server._programs.parents
        assert server.execute("SELECT 1") == [(1,)]


def test_starting_it_takes_no_fork_of_this_process(postgres_server: PostgresServer) -> None:
    """A fork would have gRPC's threads in it: that child may die before it runs anything, and this process may hang."""
    started: list[dict[str, Any]] = []

    class Noted(subprocess.Popen[Any]):
        def __init__(self, command: Any, **options: Any) -> None:
            started.append(options)
            super().__init__(command, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Noted)
        with PostgresServer() as server:
            assert server.execute("SELECT 1") == [(1,)]
    assert len(started) >= 3  # is it there, initdb, postgres
    # With one of these Python forks; without, it only ever starts another program.
    forking = {"user", "group", "extra_groups", "preexec_fn", "umask"}
    assert not [options for options in started if forking & options.keys()]


def test_several_servers_share_a_database_and_a_clock(postgres_url: str) -> None:
    """What one server is told another one knows at once; a hold ends for both when the clock is moved."""
    first = RingfenceServer(database_url=postgres_url)
    with first, RingfenceServer(beside=first) as second:
        assert first.target != second.target
        here, there = first.client(), second.client()
        here.post_stock(StockFigure("LAMP", "berlin", 10))
        held = there.reserve(Line("LAMP", "berlin", 4), ttl=timedelta(minutes=15))
        assert here.get_reservation(held).state is ReservationState.HELD
        second.clock.advance(timedelta(minutes=15))
        for client in (here, there):
            assert client.get_reservation(held).state is ReservationState.EXPIRED
            balance = client.balance("LAMP", "berlin")
            assert balance is not None
            assert balance.own.available == 10
        assert first.clock.time == second.clock.time
    with RingfenceServer(database_url=postgres_url, start_time=first.clock.time) as later:
        assert len(list(later.client().list_stock())) == 1


def test_only_postgresql_has_several_servers(postgres_url: str, tmp_path: Path) -> None:
    """Said before anything starts."""
    for alone in (RingfenceServer(), RingfenceServer(database_url=f"sqlite:///{tmp_path}/stock.db")):
        with pytest.raises(ValueError, match="only a PostgreSQL database has several servers"):
            RingfenceServer(beside=alone)
    shared = RingfenceServer(database_url=postgres_url)
    with pytest.raises(ValueError, match="give no start_time"):
        RingfenceServer(beside=shared, start_time=shared.clock.time)
