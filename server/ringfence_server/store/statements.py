"""Statements built by SQLAlchemy Core, compiled once per dialect, run on the bare driver with tuples.

Core's own execution of an insert reaches a third of the bare driver when measured, a compiled text through
``exec_driver_sql`` 0.86 to 0.92 of it in large batches and less than half in small ones.

Every factory answers the dialect's own form: lists of parameters and executemany on SQLite, arrays on PostgreSQL.
Callers hand over keys and rows; in which slot a key lies the select knows by ``slot_of``, a row says it itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Column, Table
from sqlalchemy.engine import Dialect

from . import postgres_statements, sqlite_statements
from .compiled import BuildForSlot, Statement
from .driver import DriverConnection
from .slots import SlotOf
from .sqlite_statements import SIZES

__all__ = [
    "SIZES",
    "KeySelect",
    "RowsStatement",
    "RowsStatements",
    "SlotSelect",
    "Statement",
    "insert_rows",
    "joined_select",
    "keyed_select",
    "newest_select",
    "rows_together",
    "slot_select",
    "update_rows",
    "upsert_rows",
]


class KeySelect(Protocol):
    """A select over a list of keys: values, or tuples for more than one column."""

    def find(self, connection: DriverConnection, keys: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        """Rows of all keys, each looked for in the slot that the select's ``slot_of`` tells. A key given twice may
        answer twice."""

    def find_in(
        self, connection: DriverConnection, slots: Sequence[int], keys: Sequence[Any]
    ) -> Iterable[tuple[Any, ...]]:
        """The same, where the caller knows the slots: one for each key."""


class SlotSelect(Protocol):
    """A select that looks into each of some slots."""

    def run(
        self, connection: DriverConnection, slots: Sequence[int], parameters: Sequence[Any] = ()
    ) -> Iterable[tuple[Any, ...]]:
        """The rows of all these slots; in the select's order within a slot, and in none between slots."""


class RowsStatement(Protocol):
    """An insert, upsert or update of whole lists of rows."""

    def run_many(self, connection: DriverConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs it for every row."""


class RowsStatements(Protocol):
    """Several statements over rows, none of which touches what another does, in whatever order."""

    def run_many(self, connection: DriverConnection, lists: Sequence[Sequence[tuple[Any, ...]]]) -> None:
        """Runs each of them for the rows at its place; some may have none."""


def keyed_select(
    dialect: Dialect,
    columns: Sequence[Column[Any]],
    key: Column[Any],
    slot_of: SlotOf | None = None,
    *,
    packed: bool = False,
) -> KeySelect:
    """``SELECT columns WHERE slot = … AND key IN (…)``. ``packed``: for many rows on a thread; see ``ListSelect``."""
    if dialect.name == "postgresql":
        return postgres_statements.ArraySelect(dialect, columns, [key], slot_of)
    return sqlite_statements.ListSelect(
        dialect,
        lambda size: sqlite_statements.keyed_by_list(columns, key, size),
        width=1,
        packed=columns if packed else (),
    )


def joined_select(
    dialect: Dialect,
    columns: Sequence[Column[Any]],
    keys: Sequence[Column[Any]],
    slot_of: SlotOf | None = None,
    *,
    packed: bool = False,
) -> KeySelect:
    """The same for keys of several columns."""
    if dialect.name == "postgresql":
        return postgres_statements.ArraySelect(dialect, columns, keys, slot_of)
    return sqlite_statements.ListSelect(
        dialect,
        lambda size: sqlite_statements.joined_to_list(columns, keys, size),
        width=len(keys),
        packed=columns if packed else (),
    )


def newest_select(dialect: Dialect, key: Column[Any], newest: Column[Any], slot_of: SlotOf | None = None) -> KeySelect:
    """``SELECT key, max(newest) WHERE slot = … AND key IN (…) GROUP BY key``."""
    if dialect.name == "postgresql":
        return postgres_statements.ArraySelect(dialect, [key], [key], slot_of, newest=newest)
    return sqlite_statements.ListSelect(
        dialect, lambda size: sqlite_statements.newest_by_list(key, newest, size), width=1
    )


def slot_select(dialect: Dialect, build: BuildForSlot, *, across: bool = False) -> SlotSelect:
    """A select that is run for each of some slots; on PostgreSQL as one statement. ``across``: run once over all of
    them it tells its caller as much; a limit of it is then one of all."""
    if dialect.name == "postgresql":
        return postgres_statements.LateralSelect(dialect, build, across=across)
    return sqlite_statements.OneSlotStatement(dialect, build)


def insert_rows(dialect: Dialect, table: Table) -> RowsStatement:
    """``INSERT`` of whole rows, in the table's column order."""
    if dialect.name == "postgresql":
        return postgres_statements.array_insert(dialect, table)
    return sqlite_statements.insert_of(dialect, table)


def upsert_rows(dialect: Dialect, table: Table) -> RowsStatement:
    """``INSERT … ON CONFLICT (primary key) DO UPDATE`` of whole rows, in the table's column order."""
    if dialect.name == "postgresql":
        return postgres_statements.array_upsert(dialect, table)
    return sqlite_statements.upsert_of(dialect, table)


def update_rows(dialect: Dialect, table: Table, changed: Sequence[str]) -> RowsStatement:
    """``UPDATE … SET changed WHERE primary key``; a row is the changed columns in the table's order, then the key's."""
    in_table_order = [item.name for item in table.c if item.name in changed]
    assert in_table_order == list(changed), "name changed columns in the table's order"
    if dialect.name == "postgresql":
        return postgres_statements.array_update(dialect, table, changed)
    return sqlite_statements.update_of(dialect, table, changed)


def rows_together(statements: Sequence[RowsStatement]) -> RowsStatements:
    """Statements of one dialect as one; on PostgreSQL with one round trip."""
    arrays = [statement for statement in statements if isinstance(statement, postgres_statements.ArrayRows)]
    if arrays:
        return postgres_statements.TogetherRows(arrays)
    return sqlite_statements.RowsInTurn(
        [statement for statement in statements if isinstance(statement, sqlite_statements.ListRows)]
    )
