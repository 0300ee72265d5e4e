"""verify: everything adds up, or the exit code says that it does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.testing import RingfenceServer
from tests.cli.run import Cli, rows_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the server of a test keeps its ledger."""
    return tmp_path / "ledger.db"


@pytest.fixture
def stored(database: Path) -> Iterator[Cli]:
    """The command line on a server whose database file the test can reach, with some stock and orders in it."""
    with RingfenceServer(in_memory=False, database_url=f"sqlite:///{database}") as running:
        cli = Cli(running, "default")
        for sku in ("LAMP", "BULB"):
            cli("stock", "post", sku, "berlin", "10")
            cli("allocate", sku, "berlin", "4", "--path", "web")
            cli("consume", cli("reserve", sku, "berlin", "2", "--path", "web", "-q").strip())
        yield cli


def tamper(database: Path, statement: str) -> None:
    """Changes the database behind the server's back."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def test_a_sound_ledger(stored: Cli) -> None:
    """Exit code 0, and how much was checked."""
    assert stored("verify") == "2 stock keys, 8 ledger entries: everything adds up\n"
    report = stored.json("verify", "LAMP")
    assert (report["keys_checked"], report["entries_read"], report["done"], report["violations"]) == (1, 4, True, [])


def test_a_sku_that_nobody_posted_adds_up_with_a_word(stored: Cli) -> None:
    """Nothing is wrong with no entries; who mistyped the SKU hears of it."""
    ran = stored.run("verify", "LAMMP")
    assert (ran.exit_code, ran.out) == (0, "0 stock keys, 0 ledger entries: everything adds up\n")
    assert ran.err == "ringfence: no source ever posted LAMMP: `ringfence stock show` lists what there is\n"


def test_a_balance_that_was_tampered_with(stored: Cli, database: Path) -> None:
    """Exit code 1, with key, pool and figures; the other SKU is sound."""
    tamper(
        database,
        "UPDATE pool SET free = free + 1 WHERE path = 'web' AND stock_id = "
        "(SELECT stock_id FROM stock WHERE sku = 'LAMP')",
    )
    ran = stored.run("verify")
    assert ran.exit_code == 1
    *table, verdict = ran.out.splitlines()
    assert verdict.startswith("2 stock keys, 8 ledger entries: ")
    assert "violation" in verdict
    rows = rows_of("\n".join(table))
    assert {(row["sku"], row["location"]) for row in rows} == {("LAMP", "berlin")}
    assert "web" in {row["path"] for row in rows}
    assert stored.run("verify", "BULB").exit_code == 0
    broken = stored.run("verify", "LAMP", "--json")
    assert broken.exit_code == 1
    assert '"violations": [\n' in broken.out
