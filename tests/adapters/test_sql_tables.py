"""A till whose tables can be reached: SQLite here, as any other database behind SQLAlchemy."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence.adapters import AdapterError
from ringfence.adapters.sql_tables import SqlTables, SqlTablesConfig
from tests.adapters.conftest import QUARTER, Clock, MakeRunner, step_until
from tests.adapters.crashing import Crash, CrashAt
from tests.adapters.service import TillService
from tests.client.scripted import wait_for

SCHEMA = """
CREATE TABLE stock (article TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
CREATE TABLE journal (id INTEGER PRIMARY KEY, article TEXT, pieces INTEGER, order_no TEXT, done INTEGER DEFAULT 0);
CREATE TABLE web_orders (
    event_id TEXT PRIMARY KEY, kind TEXT, order_no TEXT, article TEXT, pieces INTEGER, answer TEXT, document TEXT,
    reason TEXT, told INTEGER DEFAULT 0
);
CREATE TABLE web_stock (article TEXT, store TEXT, pool TEXT, pieces INTEGER);
INSERT INTO stock VALUES ('LAMP', 10), ('RUG', 5);
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The till's database."""
    with closing(sqlite3.connect(tmp_path / "till.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        yield connection


def config(tmp_path: Path, **options: Any) -> SqlTablesConfig:
    """How the till's tables are meant."""
    chosen: dict[str, Any] = {
        "url": f"sqlite:///{tmp_path / 'till.db'}",
        "location": "berlin",
        "figures": "SELECT article AS sku, pieces AS quantity FROM stock",
        "bookings": (
            "SELECT order_no AS order_reference, article AS sku, pieces AS quantity, id AS position, done AS closed "
            "FROM journal WHERE order_no IS NOT NULL"
        ),
        "read": "SELECT coalesce(max(id), 1) AS position FROM journal",
        "orders": "web_orders",
        "order_columns": {
            "event_id": "event_id",
            "kind": "kind",
            "order_reference": "order_no",
            "sku": "article",
            "quantity": "pieces",
        },
        "answers": (
            "SELECT event_id, answer, document AS document_number, reason FROM web_orders "
            "WHERE answer IS NOT NULL AND NOT told"
        ),
        "answered": "UPDATE web_orders SET told = 1 WHERE event_id = :event_id",
        "available": "web_stock",
        "available_columns": {"sku": "article", "location": "store", "path": "pool", "quantity": "pieces"},
    }
    return SqlTablesConfig(**{**chosen, **options})


def book(database: sqlite3.Connection, article: str, pieces: int, order: str | None = None) -> None:
    """The till books a sale: its journal and its stock in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO journal (article, pieces, order_no) VALUES (?, ?, ?)", (article, pieces, order))
    database.execute("UPDATE stock SET pieces = pieces - ? WHERE article = ?", (pieces, article))
    database.execute("COMMIT")


def test_a_day_over_tables(
    service: TillService, make_runner: MakeRunner, database: sqlite3.Connection, tmp_path: Path, clock: Clock
) -> None:
    """Orders go into a table, bookings come out of the journal with their positions, availability is shown."""
    book(database, "RUG", 1)
    runner = make_runner(SqlTables(config(tmp_path)))
    runner.step()
    sale = service.sell("LAMP", "berlin", 2, "4711")
    step_until(
        runner, lambda: database.execute("SELECT kind, order_no, article, pieces FROM web_orders").fetchall() != []
    )
    assert database.execute("SELECT kind, order_no, article, pieces FROM web_orders").fetchall() == [
        ("order", "4711", "LAMP", 2)
    ]
    database.execute("UPDATE web_orders SET answer = 'received', document = 'T-1'")
    step_until(runner, lambda: sale.document_number == "T-1")
    assert database.execute("SELECT told FROM web_orders").fetchall() == [(1,)]
    book(database, "LAMP", 2, "4711")
    book(database, "LAMP", 1)
    clock.advance(QUARTER)
    runner.step()
    assert sale.bookings == {(0, 2): 2}
    assert service.figures["LAMP", "berlin"][:2] == ((0, 3), 7)
    assert service.available("LAMP", "berlin") == 7
    assert set(database.execute("SELECT article, store, pool, pieces FROM web_stock")) == {
        ("LAMP", "berlin", "", 7),
        ("RUG", "berlin", "", 4),
    }


def test_bookings_and_figures_are_of_one_state(
    database: sqlite3.Connection, tmp_path: Path, service: TillService
) -> None:
    """A sale that the till books between the two queries is in both or in neither."""
    reader = SqlTables(config(tmp_path))
    rows = reader._rows
    booked = threading.Event()

    def between(connection: Any, name: str, query: str) -> Any:
        found = rows(connection, name, query)
        if name == "bookings" and not booked.is_set():
            booked.set()
            book(database, "LAMP", 2, "4711")
        return found

    reader._rows = between  # type: ignore[method-assign]
    read = reader.read()
    assert booked.is_set()
    assert read.bookings == ()
    assert {figure.sku: figure.value for figure in read.figures} == {"LAMP": 10, "RUG": 5}
    reader.close()


def test_totals_without_a_journal(
    service: TillService, make_runner: MakeRunner, database: sqlite3.Connection, tmp_path: Path, clock: Clock
) -> None:
    """Without positions the rows are totals, and the runner counts its reads."""
    totals = "SELECT order_no AS order_reference, article AS sku, sum(pieces) AS quantity FROM journal GROUP BY 1, 2"
    runner = make_runner(SqlTables(config(tmp_path, bookings=totals, read="")), orders=False, publish=None)
    sale = service.sell("LAMP", "berlin", 3, "4711")
    for pieces in (1, 2):
        book(database, "LAMP", pieces, "4711")
        runner.step()
        clock.advance(QUARTER)
    assert list(sale.bookings.values()) == [1, 2]
    assert service.available("LAMP", "berlin") == 7


@pytest.mark.parametrize("number", range(1, 14))
def test_a_crash_at_every_step(
    service: TillService,
    make_runner: MakeRunner,
    database: sqlite3.Connection,
    tmp_path: Path,
    clock: Clock,
    number: int,
) -> None:
    """Wherever the program ends, an order is inserted once."""
    crash = CrashAt(number)
    runner = make_runner(SqlTables(config(tmp_path, answers="", answered="")), checkpoint=crash, publish=None)
    sale = service.sell("LAMP", "berlin", 2, "4711")

    def stepped() -> bool:
        nonlocal runner
        try:
            runner.step(wait=timedelta(milliseconds=30))
        except Crash:
            runner.close()
            runner = make_runner(SqlTables(config(tmp_path, answers="", answered="")), checkpoint=crash, publish=None)
            return False
        return len(service.replies()) == 1 and ("LAMP", "berlin") in service.figures

    wait_for(stepped)
    assert database.execute("SELECT count(*) FROM web_orders").fetchone() == (1,)
    assert sale.key == ("LAMP", "berlin")


def test_what_a_query_gives_must_be_meant(database: sqlite3.Connection, tmp_path: Path) -> None:
    """A row, or a column, that cannot be meant is told by query, column and row. Nothing is guessed: a line that were
    taken for closed, or a journal for empty, would count wrongly."""
    booking = "SELECT 'A' AS order_reference, 1 AS quantity"
    for options, problem in (
        ({"figures": "SELECT 'LAMP' AS sku, 1.5 AS quantity"}, "quantity is a whole number"),
        ({"figures": "SELECT 'LAMP' AS sku, '1,0' AS quantity"}, "quantity is a whole number"),
        ({"figures": "SELECT 'LAMP' AS sku, 9e999 AS quantity"}, "quantity is a whole number"),
        ({"figures": "SELECT NULL AS sku, 1 AS quantity"}, "a row without sku"),
        ({"figures": "SELECT 'LAMP' AS article, 1 AS quantity"}, "the query figures gives a column 'article'"),
        (
            {"figures": "SELECT 1 AS quantity"},
            "the query figures gives no column sku, but quantity: name columns",
        ),
        ({"bookings": "SELECT 1 AS quantity, 'LAMP' AS sku"}, "the query bookings gives no column order_reference"),
        ({"bookings": f"{booking}, 1 AS closd"}, "a column 'closd'; do you mean 'closed'"),
        ({"bookings": f"{booking}, 'maybe' AS closed"}, "closed is yes or no"),
        ({"figures": "SELECT 1 AS sku FROM nowhere"}, "the query figures fails: no such table: nowhere$"),
        ({"read": "SELECT 1 AS position UNION SELECT 2"}, "the query read gives 2 rows: one is needed"),
        ({"read": "SELECT id AS position FROM journal"}, "the query read gives 0 rows"),
        ({"read": "SELECT max(id) AS position FROM journal"}, "the query read gives no position above 0"),
        ({"read": "SELECT 0 AS position"}, "the query read gives no position above 0"),
        ({"read": "SELECT 1 AS position, 'noon' AS count_time"}, "count_time is a time"),
        ({"read": "SELECT 1 AS position, 'x' AS full_count"}, "full_count is yes or no"),
    ):
        reader = SqlTables(config(tmp_path, **options))
        with pytest.raises(AdapterError, match=problem):
            reader.read()
        reader.close()


@pytest.mark.parametrize(
    ("word", "closed"), [("'N'", False), ("'no'", False), ("0", False), ("'Y'", True), ("1", True)]
)
def test_a_word_for_no_is_no(database: sqlite3.Connection, tmp_path: Path, word: str, closed: bool) -> None:
    """What says that a line is open does not close it because it is there; nor is a count a full one by it."""
    rows = f"SELECT 'A' AS order_reference, 1 AS quantity, {word} AS closed"
    read = f"SELECT 5 AS position, {word} AS full_count"
    reader = SqlTables(config(tmp_path, bookings=rows, read=read))
    found = reader.read()
    assert found.totals[0].closed is closed
    assert found.full_count_of == ("berlin" if closed else "")
    reader.close()


def test_an_answer_that_cannot_be_meant_holds_up_no_other(
    database: sqlite3.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in the log, once as long as it is there, and stays in the query."""
    answers = "SELECT 'e1' AS event_id, 'ok' AS answer UNION ALL SELECT 'e2', 'received'"
    reader = SqlTables(config(tmp_path, answers=answers))
    for _ in range(2):
        assert [answer.event_id for answer in reader.answers()] == ["e2"]
    assert len(caplog.records) == 1
    assert "answer is one of received, rejected, cancelled, not cancelled, not 'ok'" in caplog.text
    reader.close()


def test_a_whole_decimal_is_a_whole_number(database: sqlite3.Connection, tmp_path: Path) -> None:
    """Databases that know only decimals give 8.0 for 8."""
    reader = SqlTables(config(tmp_path, figures="SELECT 'LAMP' AS sku, 8.0 AS quantity"))
    assert reader.read().figures[0].value == 8
    reader.close()


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    """What is set up wrongly is a ValueError or AdapterError before anything is opened."""
    with pytest.raises(ValueError, match="needs event_id"):
        config(tmp_path, order_columns={"sku": "article"})
    with pytest.raises(ValueError, match="not 'colour'"):
        config(tmp_path, order_columns={"event_id": "event_id", "colour": "x"})
    with pytest.raises(ValueError, match="belong together"):
        config(tmp_path, answered="")
    with pytest.raises(AdapterError, match="url"):
        SqlTables(config(tmp_path, url="no url"))
    with pytest.raises(AdapterError, match=r"url: .*install the database's driver"):
        SqlTables(config(tmp_path, url="mssql+pymssql://till/pos"))
