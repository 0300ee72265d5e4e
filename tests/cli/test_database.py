"""`ringfence db` on PostgreSQL: schema, settings, and the copy of a SQLite ledger."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence import (
    CancelReason,
    Client,
    InsufficientQuantity,
    Line,
    NotHeld,
    OrderReferenceInUse,
    ReservationState,
    StockFigure,
    uuid7,
)
from ringfence.testing import PostgresServer, RingfenceServer
from ringfence_server.ledger.policy import Policy as LedgerPolicy
from ringfence_server.store.schema import metadata
from tests.faults.reckoning import look_into
from tests.server.program import run
from tests.store.audit import audit

pytestmark = pytest.mark.postgres


def test_the_schema_is_made_and_told(postgres_url: str) -> None:
    """`current` makes nothing; `upgrade` does, and is nothing the second time; no line shows the password."""
    place = f"postgresql+asyncpg://{postgres_url.rpartition('@')[2]}"
    empty = run("db", "current", "--database-url", postgres_url)
    assert (empty.returncode, empty.stdout) == (0, f"{place}: empty\n"), empty.stderr
    for _ in range(2):
        made = run("db", "upgrade", RINGFENCE_DATABASE_URL=postgres_url)
        assert made.returncode == 0, made.stderr
        assert made.stdout.removeprefix(f"{place}: ").strip().isdigit()


def test_servers_that_start_at_once_make_the_schema_once(postgres_url: str) -> None:
    """Two upgrades of an empty database at the same time both succeed."""
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(run("db", "upgrade", "--database-url", postgres_url)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0, 0], results


def test_check_tells_what_must_not_be_so(postgres_server: PostgresServer, postgres_url: str) -> None:
    """A database without schema, then one in order, then one whose settings lose what was answered."""
    name = postgres_url.rpartition("/")[2]
    bare = run("db", "check", "--database-url", postgres_url)
    assert bare.returncode == 1
    assert "the schema is not there" in bare.stderr
    assert "run ringfence db upgrade" in bare.stderr
    run("db", "upgrade", "--database-url", postgres_url)
    sound = run("db", "check", "--database-url", postgres_url)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "slots: 64\n" in sound.stdout
    assert "connection: not encrypted\n" in sound.stdout
    postgres_server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    careless = run("db", "check", "--database-url", postgres_url)
    assert careless.returncode == 1
    assert careless.stderr == "ringfence: synchronous_commit is off: a crash can lose what was answered\n"
    reset = f'ALTER DATABASE "{name}" RESET synchronous_commit'
    postgres_server.execute(reset)
    postgres_server.execute("UPDATE alembic_version SET version_num = '9999'", database=name)
    postgres_server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    later = run("db", "check", "--database-url", postgres_url)
    assert later.returncode == 1
    newer, read_only = later.stderr.splitlines()
    assert newer.startswith("ringfence: the schema is 9999")
    assert newer.endswith(": run a newer ringfence")
    assert read_only.startswith("ringfence: default_transaction_read_only is on")


def test_a_sqlite_file_is_checked_too(tmp_path: Path) -> None:
    """Its schema, and whether the file is whole."""
    url = f"sqlite:///{tmp_path}/stock.db"
    assert "is not there" in run("db", "check", "--database-url", url).stderr
    assert not (tmp_path / "stock.db").exists()
    run("db", "upgrade", "--database-url", url)
    sound = run("db", "check", "--database-url", url)
    assert (sound.returncode, sound.stderr) == (0, "")
    with (tmp_path / "stock.db").open("r+b") as file:
        file.seek(3 * 4_096)
        file.write(b"\xff" * 4_096)
    damaged = run("db", "check", "--database-url", url)
    assert damaged.returncode == 1
    assert "ringfence: the " in damaged.stderr


def test_distributing_needs_citus(postgres_url: str) -> None:
    """Said in one line, and what it needs."""
    failed = run("db", "distribute", "--database-url", postgres_url)
    assert failed.returncode == 1
    assert failed.stderr.startswith("ringfence: the database has no Citus extension")


class Told:
    """What a shop did on SQLite and was told, to be held against the copy."""

    def __init__(self, server: RingfenceServer) -> None:
        client = server.client(caller="shop")
        skus = [f"BIKE-{number}" for number in range(40)]
        client.post_stock([StockFigure(sku, place, 50) for sku in skus for place in ("north", "south")])
        client.allocate([Line(sku, "north", 10, path="web") for sku in skus[:20]])
        self.wide = client.reserve([Line(sku, "north", 2) for sku in skus], ttl=timedelta(minutes=30))
        self.held = client.reserve(Line("BIKE-1", "north", 3, path="web"), ttl=timedelta(minutes=15))
        sold = client.reserve([Line("BIKE-2", "north", 1), Line("BIKE-3", "south", 1)], ttl=timedelta(minutes=15))
        client.consume(sold, order_reference="ORDER-1")
        returned = client.reserve(Line("BIKE-4", "north", 5), ttl=timedelta(minutes=15))
        client.consume(returned)
        client.cancel(returned, reason=CancelReason.CUSTOMER)
        client.reserve(Line("BIKE-5", "north", 5), ttl=timedelta(minutes=1))
        self.refused_id, self.reserved_id = uuid7(), uuid7()
        with pytest.raises(InsufficientQuantity):
            client.reserve(Line("BIKE-6", "north", 999), request_id=self.refused_id)
        self.reserved = client.reserve(Line("BIKE-7", "north", 1), request_id=self.reserved_id)
        server.clock.advance(timedelta(minutes=2))
        server.client(organization="other").post_stock(StockFigure("LAMP", "berlin", 7))
        self.balances = {(each.key.sku, each.key.location, each.path): each.own for each in client.query_balance()}
        self.entries = [
            (str(each.kind), each.key.sku, each.quantity, each.record_time) for each in client.list_entries()
        ]
        self.reservations = {each.reservation_id: each for each in client.list_reservations()}


def test_a_copied_ledger_is_the_same_ledger(tmp_path: Path, postgres_url: str) -> None:
    """After `db copy` every balance, entry and reservation is what it was; requests that were answered get the same
    answer, holds can be consumed and end on time, order references stay taken; both sides add up."""
    source = f"sqlite:///{tmp_path}/stock.db"
    with RingfenceServer(database_url=source) as server:
        told = Told(server)
        now = server.clock.time
    copied = run("db", "copy", "--from", source, "--to", postgres_url)
    assert copied.returncode == 0, copied.stderr
    lines = copied.stdout.splitlines()
    assert "copied" in lines[0]
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["everything adds up"] * 2
    look_into(postgres_url, lambda connection: audit(connection, LedgerPolicy()))
    with RingfenceServer(database_url=postgres_url, start_time=now) as server:
        client = server.client(caller="shop")
        assert {
            (each.key.sku, each.key.location, each.path): each.own for each in client.query_balance()
        } == told.balances
        entries = [(str(each.kind), each.key.sku, each.quantity, each.record_time) for each in client.list_entries()]
        assert sorted(entries, key=repr) == sorted(told.entries, key=repr)
        found = {each.reservation_id: each for each in client.list_reservations()}
        assert found.keys() == told.reservations.keys()
        for reservation_id, each in found.items():
            assert (each.state, each.lines) == (
                told.reservations[reservation_id].state,
                told.reservations[reservation_id].lines,
            )
        with pytest.raises(InsufficientQuantity):
            client.reserve(Line("BIKE-6", "north", 999), request_id=told.refused_id)
        again = client.reserve(Line("BIKE-7", "north", 1), request_id=told.reserved_id)
        assert again.replayed
        assert again.reservation_id == told.reserved.reservation_id
        client.consume(told.wide)
        client.consume(told.reserved)
        with pytest.raises(NotHeld):
            client.consume(told.reserved)
        with pytest.raises(OrderReferenceInUse):
            client.consume(told.held, order_reference="ORDER-1")
        server.clock.advance(timedelta(minutes=15))
        assert client.get_reservation(told.held).state is ReservationState.EXPIRED
        fresh = client.reserve(Line("BIKE-39", "south", 1))
        assert fresh.reservation_id not in found
        assert client.verify().ok
    look_into(postgres_url, lambda connection: audit(connection, LedgerPolicy()))


def test_a_copy_wants_an_empty_database_and_a_file_of_its_own(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Each refusal says what it found; nothing is copied."""
    source = f"sqlite:///{tmp_path}/stock.db"
    with RingfenceServer(database_url=source) as server:
        server.client().post_stock(StockFigure("LAMP", "berlin", 10))
        in_use = run("db", "copy", "--from", source, "--to", postgres_url)
        assert (in_use.returncode, in_use.stdout) == (1, "")
        assert "is in use by another server" in in_use.stderr
    with RingfenceServer(database_url=postgres_url) as server:
        server.client().post_stock(StockFigure("SOFA", "berlin", 1))
    for arguments, words in [
        (("--from", source, "--to", postgres_url), "is not empty"),
        (("--from", f"sqlite:///{tmp_path}/none.db", "--to", postgres_url), "is not there"),
        (("--from", postgres_url, "--to", source), "goes from SQLite to PostgreSQL"),
        (("--from", source, "--to", postgres_server.url("no_such_database")), "there is no such database"),
    ]:
        failed = run("db", "copy", *arguments)
        assert (failed.returncode, failed.stdout) == (1, ""), failed
        assert words in failed.stderr
        assert failed.stderr.count("\n") == 1
    name = postgres_url.rpartition("/")[2]
    assert postgres_server.execute("SELECT sku FROM stock", database=name) == [("SOFA",)]


def test_a_copy_that_fails_in_its_midst_leaves_nothing(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str
) -> None:
    """A row that PostgreSQL refuses: the target is as empty as before, and takes the copy once the row is mended."""
    source = f"sqlite:///{tmp_path}/stock.db"
    with RingfenceServer(database_url=source) as server, server.client() as client:
        client.post_stock(StockFigure("LAMP", "berlin", 10))
        client.reserve(Line("LAMP", "berlin", 1), owner="anna")
    with sqlite3.connect(tmp_path / "stock.db") as connection:
        connection.execute("UPDATE reservation SET owner = 'an' || char(0) || 'na'")
    failed = run("db", "copy", "--from", source, "--to", postgres_url)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1, failed.stderr
    name = postgres_url.rpartition("/")[2]
    for table in metadata.sorted_tables:
        if table.name != "slot_state":
            assert postgres_server.execute(f"SELECT 1 FROM {table.name}", database=name) == []
    with sqlite3.connect(tmp_path / "stock.db") as connection:
        connection.execute("UPDATE reservation SET owner = 'anna'")
    assert run("db", "copy", "--from", source, "--to", postgres_url).returncode == 0
    assert postgres_server.execute("SELECT owner FROM reservation", database=name) == [("anna",)]


def test_an_empty_ledger_is_copied(tmp_path: Path, postgres_url: str) -> None:
    """It is as empty afterwards, and serves."""
    source = f"sqlite:///{tmp_path}/stock.db"
    run("db", "upgrade", "--database-url", source)
    assert run("db", "copy", "--from", source, "--to", postgres_url).returncode == 0
    with RingfenceServer(database_url=postgres_url) as server, Client(server.target) as client:
        assert list(client.list_stock()) == []
