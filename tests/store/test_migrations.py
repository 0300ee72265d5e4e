"""Migrations: they make the tables that the code works with, whole or not at all, and refuse what is newer."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, UniqueConstraint, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.store import migrate, schema
from tests.store.desk import Desk

UPDATED_BY_NOBODY = {"ix_stock_location"}
"""Indexes of all rows, of columns that never change: they cost nothing but when a row is made."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'ringfence.db'}"


def definitions(path: Path) -> dict[str, str]:
    """Every table and index as SQLite wrote it down."""
    with sqlite3.connect(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def test_an_empty_database_gets_exactly_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    """Tables, columns, keys, checks and indexes of the migrations are those that statements are built from."""
    migrate.upgrade(url)
    made = tmp_path / "made.db"
    engine = create_engine(f"sqlite:///{made}")
    schema.metadata.create_all(engine)
    engine.dispose()
    migrated = definitions(tmp_path / "ringfence.db")
    migrated.pop("alembic_version")
    assert _normal(migrated) == _normal(definitions(made))
    engine = create_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()
    assert differences == []


def _normal(found: dict[str, str]) -> dict[str, list[str]]:
    """The order in which constraints stand in a table does not matter, nor that a column which was added later stands
    in the line of the last one."""
    added = re.compile(r", (?=\w+ (?:TEXT|BOOLEAN)\b)")
    return {
        name: sorted(line.strip().rstrip(", ") for part in text.splitlines() for line in added.split(part))
        for name, text in found.items()
    }


def test_the_code_knows_the_newest_migration(url: str) -> None:
    """HEAD, which a start compares with before it imports Alembic, is the last of the scripts, and there is one line
    of them."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.HEAD


def test_a_database_that_is_up_to_date_is_left_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start looks at the revision and runs no migration."""
    assert migrate.current(url) is None
    migrate.upgrade(url)

    def upgrade(*_: object) -> None:
        raise AssertionError("a migration ran")

    monkeypatch.setattr("alembic.command.upgrade", upgrade)
    migrate.upgrade(url)


def test_a_migration_that_is_cut_short_leaves_nothing_behind(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a schema would keep the server from ever starting again: all of it is made in one transaction."""
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> None:
            raise OSError("power fails")

        patch.setattr(Operations, "create_index", fail)
        with pytest.raises(OSError, match="power fails"):
            migrate.upgrade(url)
    assert definitions(tmp_path / "ringfence.db") == {}
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.HEAD


async def test_a_database_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    """It says what to do, and changes nothing."""
    async with Desk(tmp_path / "ringfence.db"):
        pass
    with sqlite3.connect(tmp_path / "ringfence.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = definitions(tmp_path / "ringfence.db")
    with pytest.raises(StoreUnavailable, match=r"^the database .*is at revision 9999.*run a newer ringfence$"):
        await Desk(tmp_path / "ringfence.db").__aenter__()
    assert definitions(tmp_path / "ringfence.db") == before


def test_every_key_starts_with_the_slot() -> None:
    """Primary keys, unique keys and indexes: what lets one schema be spread over several machines."""
    for table in schema.metadata.tables.values():
        assert table.primary_key.columns.keys()[0] == "slot", table.name
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                assert constraint.columns.keys()[0] == "slot", table.name
        for index in table.indexes:
            assert index.columns.keys()[0] == "slot", index.name


def test_rows_lie_in_the_order_of_their_keys() -> None:
    """No table keeps a hidden row number beside its primary key, and none makes up values by itself."""
    for table in schema.metadata.tables.values():
        assert table.dialect_options["sqlite"]["with_rowid"] is False, table.name
        for column in table.columns:
            assert column.server_default is None, column


def test_the_tables_can_be_made_on_postgresql() -> None:
    """One schema serves both; the partial indexes keep their conditions there."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in schema.metadata.sorted_tables:
        assert "WITHOUT ROWID" not in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            partial = index.dialect_options["sqlite"]["where"] is not None
            assert partial or index.name in UPDATED_BY_NOBODY
            assert partial == (" WHERE " in str(CreateIndex(index).compile(dialect=dialect)))


def test_the_checks_state_the_invariants() -> None:
    """A balance below zero, a part that does not add up and an entry that moves nothing are refused by the database."""
    checks = {
        str(constraint.sqltext)
        for table in schema.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert checks >= {
        "promised >= 0",
        "free >= 0 OR pool_id = 0",
        "held >= 0",
        "unsettled >= 0",
        "granted = held + unsettled + settled + cancelled + expired",
        "quantity > 0",
        "ordered >= 0",
        "cancelling >= 0 AND undecided >= 0",
    }
