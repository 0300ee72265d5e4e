"""Statements built by SQLAlchemy Core, compiled once per dialect, run on the bare driver with tuples.

Core's own execution of an insert reaches a third of the bare driver when measured, a compiled text through
``exec_driver_sql`` 0.86 to 0.92 of it in large batches and less than half in small ones. Lists of keys are padded to a
few sizes, so that the number of statements of a batch does not depend on how many commands are in it and every text is
prepared once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, Select, Table, bindparam, column, insert, select, update, values
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.expression import CTE

from .driver import DriverConnection

SIZES: Final = (1, 4, 16, 64, 256, 1_024, 4_096)
"""Lengths of key lists; two columns of the longest stay below SQLite's 32,766 parameters."""


class Statement:
    """One compiled text and the order in which it takes its parameters."""

    __slots__ = ("sql",)

    def __init__(self, clause: ClauseElement, dialect: Dialect, order: Sequence[str]) -> None:
        compiled = clause.compile(dialect=dialect)
        positions = list(getattr(compiled, "positiontup", None) or ())
        if positions != list(order):
            raise AssertionError(f"parameters {positions} are not in the order {list(order)}")
        self.sql = str(compiled)

    def run_many(self, connection: DriverConnection, rows: list[tuple[Any, ...]]) -> None:
        """Runs the statement for every row, as one executemany."""
        if rows:
            connection.many(self.sql, rows)

    def run(self, connection: DriverConnection, row: tuple[Any, ...] = ()) -> Sequence[tuple[Any, ...]]:
        """Runs the statement once and answers its rows."""
        return connection.rows(self.sql, row)


class KeyedSelect:
    """A select over a list of keys, after a leading ``slot`` parameter."""

    def __init__(self, dialect: Dialect, build: Callable[[int], tuple[ClauseElement, list[str]]], width: int) -> None:
        self._dialect = dialect
        self._build = build
        self._width = width
        self._by_size: dict[int, Statement] = {}

    def run(self, connection: DriverConnection, slot: int, keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Rows of all keys; keys are values, or tuples for more than one column."""
        for start in range(0, len(keys), SIZES[-1]):
            chunk = keys[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(chunk))
            statement = self._by_size.get(size)
            if statement is None:
                clause, order = self._build(size)
                statement = self._by_size[size] = Statement(clause, self._dialect, order)
            padded = [*chunk, *(chunk[-1] for _ in range(size - len(chunk)))]
            flat = padded if self._width == 1 else [value for key in padded for value in key]
            yield from statement.run(connection, (slot, *flat) if self._width == 1 else (*flat, slot))


def keyed_select(dialect: Dialect, columns: Sequence[Column[Any]], key: Column[Any]) -> KeyedSelect:
    """``SELECT columns WHERE slot = ? AND key IN (?, …)``."""
    table = key.table

    def build(size: int) -> tuple[ClauseElement, list[str]]:
        names = [f"k{number}" for number in range(size)]
        clause = select(*columns).where(
            table.c.slot == bindparam("slot"), key.in_([bindparam(name, type_=key.type) for name in names])
        )
        return clause, ["slot", *names]

    return KeyedSelect(dialect, build, 1)


def joined_select(dialect: Dialect, columns: Sequence[Column[Any]], keys: Sequence[Column[Any]]) -> KeyedSelect:
    """The same for keys of several columns, joined to a list of values: ``tuple IN`` would scan the table."""
    table = keys[0].table

    def build(size: int) -> tuple[ClauseElement, list[str]]:
        names = [[f"k{number}_{place}" for place in range(len(keys))] for number in range(size)]
        wanted: CTE = (
            values(*(column(f"c{place}", key.type) for place, key in enumerate(keys)), name="wanted")
            .data(
                [tuple(bindparam(name, type_=key.type) for name, key in zip(row, keys, strict=True)) for row in names]
            )
            .cte("wanted")
        )
        matches = [wanted.c[f"c{place}"] == key for place, key in enumerate(keys)]
        clause: Select[Any] = (
            select(*columns).select_from(wanted).join(table, matches[0] if len(matches) == 1 else _all(matches))
        ).where(table.c.slot == bindparam("slot"))
        return clause, [*(name for row in names for name in row), "slot"]

    return KeyedSelect(dialect, build, len(keys))


def _all(conditions: Sequence[Any]) -> Any:
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = joined & condition
    return joined


def insert_rows(dialect: Dialect, table: Table) -> Statement:
    """``INSERT`` of whole rows, in the table's column order."""
    return Statement(insert(table), dialect, [item.name for item in table.c])


def upsert_rows(dialect: Dialect, table: Table) -> Statement:
    """``INSERT … ON CONFLICT (primary key) DO UPDATE`` of whole rows, in the table's column order."""
    keys = [item.name for item in table.primary_key.columns]
    make = postgresql_insert if dialect.name == "postgresql" else sqlite_insert
    clause = make(table)
    return Statement(
        clause.on_conflict_do_update(
            index_elements=keys,
            set_={item.name: clause.excluded[item.name] for item in table.c if item.name not in keys},
        ),
        dialect,
        [item.name for item in table.c],
    )


def update_rows(dialect: Dialect, table: Table, changed: Sequence[str]) -> Statement:
    """``UPDATE … SET changed WHERE primary key``; parameters are the changed columns, then the key's."""
    keys = [item.name for item in table.primary_key.columns]
    clause = update(table).values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in changed})
    for name in keys:
        clause = clause.where(table.c[name] == bindparam(f"key_{name}", type_=table.c[name].type))
    in_table_order = [item.name for item in table.c if item.name in changed]
    assert in_table_order == list(changed), "name changed columns in the table's order"
    return Statement(clause, dialect, [*(f"new_{name}" for name in changed), *(f"key_{name}" for name in keys)])
