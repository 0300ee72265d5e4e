"""SQLite's forms: lists of keys and of rows, padded to a few sizes; one slot.

They are padded, so that the number of statements of a batch does not depend on how many commands are in it and every
text is prepared once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import iadd
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    Select,
    Table,
    bindparam,
    column,
    func,
    insert,
    select,
    update,
    values,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.expression import CTE

from .compiled import Statement
from .driver import DriverConnection

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096)
"""Lengths of key lists; two columns of the longest stay below SQLite's 32,766 parameters."""

_MOST_ROWS: Final = 1_024
"""Rows of one statement, a power of two: a batch's, and of the widest table (23 columns) as many as SQLite's 32,766
parameters allow."""

Build = Callable[[int], tuple[ClauseElement, list[str]]]
"""A select over a list of this many keys, and its parameters in the order of their places."""


class ListSelect:
    """A select over a list of keys, in the one slot.

    ``packed`` are its columns (texts, whole numbers and bytes), whose rows then come as one JSON text. SQLite's driver
    lets go of the interpreter for every row, and each time a busy thread may take it and keep it for milliseconds: in a
    trial beside such a thread 512 rows took seconds, and as one text 15 milliseconds.
    """

    def __init__(self, dialect: Dialect, build: Build, width: int, packed: Sequence[Column[Any]] = ()) -> None:
        self._dialect = dialect
        self._build = build
        self._width = width
        self._packed = packed
        self._bytes = [place for place, each in enumerate(packed) if isinstance(each.type, LargeBinary)]
        self._by_size: dict[int, Statement] = {}

    def find(self, connection: DriverConnection, keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Rows of all keys."""
        for start in range(0, len(keys), SIZES[-1]):
            chunk = keys[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(chunk))
            statement = self._by_size.get(size)
            if statement is None:
                statement = self._by_size[size] = self._statement(size)
            padded = [*chunk, *(chunk[-1] for _ in range(size - len(chunk)))]
            flat = padded if self._width == 1 else [value for key in padded for value in key]
            rows = statement.run(connection, (0, *flat) if self._width == 1 else (*flat, 0))
            yield from self._unpacked(rows[0][0]) if self._packed else rows

    def _statement(self, size: int) -> Statement:
        clause, order = self._build(size)
        statement = Statement(clause, self._dialect, order)
        if self._packed:
            quote = self._dialect.identifier_preparer.quote
            values = [
                f"hex({quote(each.name)})" if place in self._bytes else quote(each.name)
                for place, each in enumerate(self._packed)
            ]
            statement.sql = f"SELECT json_group_array(json_array({', '.join(values)})) FROM ({statement.sql})"
        return statement

    def _unpacked(self, text: str) -> list[tuple[Any, ...]]:
        rows: list[list[Any]] = json.loads(text)
        for place in self._bytes:
            for row in rows:
                row[place] = bytes.fromhex(row[place])
        return [tuple(row) for row in rows]

    def find_in(
        self, connection: DriverConnection, slots: Sequence[int], keys: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of all keys: there is but one slot."""
        return self.find(connection, keys)


class OneSlotStatement:
    """A statement of the one slot."""

    def __init__(
        self, dialect: Dialect, build: Callable[[ColumnElement[Any]], tuple[ClauseElement, Sequence[str]]]
    ) -> None:
        clause, order = build(bindparam("slot"))
        self._statement = Statement(clause, dialect, ["slot", *order])
        self.sql = self._statement.sql

    def run(
        self, connection: DriverConnection, slots: Sequence[int], parameters: Sequence[Any] = ()
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of the slot."""
        return self._statement.run(connection, (0, *parameters))


def keyed_by_list(columns: Sequence[Column[Any]], key: Column[Any], size: int) -> tuple[ClauseElement, list[str]]:
    """``SELECT columns WHERE slot = ? AND key IN (?, …)``."""
    names = [f"k{number}" for number in range(size)]
    clause = select(*columns).where(
        key.table.c.slot == bindparam("slot"), key.in_([bindparam(name, type_=key.type) for name in names])
    )
    return clause, ["slot", *names]


def newest_by_list(key: Column[Any], newest: Column[Any], size: int) -> tuple[ClauseElement, list[str]]:
    """``SELECT key, max(newest) WHERE slot = ? AND key IN (?, …) GROUP BY key``."""
    names = [f"k{number}" for number in range(size)]
    clause = (
        select(key, func.max(newest))
        .where(key.table.c.slot == bindparam("slot"), key.in_([bindparam(name, type_=key.type) for name in names]))
        .group_by(key)
    )
    return clause, ["slot", *names]


def joined_to_list(
    columns: Sequence[Column[Any]], keys: Sequence[Column[Any]], size: int
) -> tuple[ClauseElement, list[str]]:
    """For keys of several columns, joined to a list of values: ``tuple IN`` would scan the table."""
    table = keys[0].table
    names = [[f"k{number}_{place}" for place in range(len(keys))] for number in range(size)]
    wanted: CTE = (
        values(*(column(f"c{place}", key.type) for place, key in enumerate(keys)), name="wanted")
        .data([tuple(bindparam(name, type_=key.type) for name, key in zip(row, keys, strict=True)) for row in names])
        .cte("wanted")
    )
    matches = [wanted.c[f"c{place}"] == key for place, key in enumerate(keys)]
    clause: Select[Any] = (
        select(*columns).select_from(wanted).join(table, matches[0] if len(matches) == 1 else _all(matches))
    ).where(table.c.slot == bindparam("slot"))
    return clause, [*(name for row in names for name in row), "slot"]


def _all(conditions: Sequence[Any]) -> Any:
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = joined & condition
    return joined


def _padded(count: int) -> int:
    """How many rows stand for so many: 1, 2, 3, 4, 6, 8, 12, 16 … A power of two alone would be up to twice as many,
    and a row that is left out costs the driver as much as any other."""
    size = 1 << (count - 1).bit_length()
    return size - size // 4 if count <= size - size // 4 else size


class ListRows:
    """A statement over rows, which come as one list of values.

    ``executemany`` lets go of the interpreter for every row, and beside a busy thread may wait for it every time: two
    threads of a loaded server then do the work of one. One call for 512 rows waits once, and costs a fifth less CPU
    besides. Lists are padded with rows that the statement leaves out.
    """

    __slots__ = ("_by_size", "_padding", "_text", "_values", "one")

    def __init__(self, one: Statement, width: int, text: Callable[[str], str]) -> None:
        """``one``: the same for a single row of so many values; ``text`` answers the statement over a list of them."""
        self.one = one.sql
        """For a single row."""
        self._text = text
        self._values = f"({', '.join('?' * width)})"
        # No slot is -1. NULL would cost the driver more.
        self._padding = (-1,) * width
        self._by_size: dict[int, str] = {}

    def run_many(self, connection: DriverConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs it for every row."""
        if len(rows) == 1:
            connection.rows(self.one, rows[0])
            return
        for start in range(0, len(rows), _MOST_ROWS):
            chunk = rows[start : start + _MOST_ROWS]
            size = _padded(len(chunk))
            text = self._by_size.get(size)
            if text is None:
                text = self._by_size[size] = self._text(", ".join([self._values] * size))
            flat: list[Any] = reduce(iadd, chunk, [])
            flat += self._padding * (size - len(chunk))
            connection.rows(text, tuple(flat))


class RowsInTurn:
    """Several such statements: none waits for anybody, so there is nothing to gain by sending them as one."""

    def __init__(self, statements: Sequence[ListRows]) -> None:
        self._statements = statements

    def run_many(self, connection: DriverConnection, lists: Sequence[Sequence[tuple[Any, ...]]]) -> None:
        """Runs each for the rows at its place, in their order."""
        for statement, rows in zip(self._statements, lists, strict=True):
            if not rows:
                continue
            if len(rows) == 1:
                # Nearly all of a lone caller's: a call less for each.
                connection.rows(statement.one, rows[0])
            else:
                statement.run_many(connection, rows)


def insert_of(dialect: Dialect, table: Table) -> ListRows:
    """``INSERT`` of whole rows."""
    return _insert(dialect, table, insert(table), "")


def upsert_of(dialect: Dialect, table: Table) -> ListRows:
    """``INSERT … ON CONFLICT (primary key) DO UPDATE`` of whole rows."""
    keys = [item.name for item in table.primary_key.columns]
    clause = sqlite_insert(table)
    changes = {item.name: clause.excluded[item.name] for item in table.c if item.name not in keys}
    quote = dialect.identifier_preparer.quote
    assignments = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in changes)
    tail = f" ON CONFLICT ({', '.join(map(quote, keys))}) DO UPDATE SET {assignments}"
    return _insert(dialect, table, clause.on_conflict_do_update(index_elements=keys, set_=changes), tail)


def _insert(dialect: Dialect, table: Table, one: ClauseElement, tail: str) -> ListRows:
    quote, names = dialect.identifier_preparer.quote, [item.name for item in table.c]
    assert names[0] == "slot", "what pads a list is left out by its slot"
    into = f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))})"
    return ListRows(
        Statement(one, dialect, names),
        len(names),
        lambda rows: f"{into} SELECT * FROM (VALUES {rows}) AS given WHERE column1 >= 0{tail}",
    )


def update_of(dialect: Dialect, table: Table, changed: Sequence[str]) -> ListRows:
    """``UPDATE … SET changed WHERE primary key``."""
    keys = [item.name for item in table.primary_key.columns]
    clause = update(table).values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in changed})
    for name in keys:
        clause = clause.where(table.c[name] == bindparam(f"key_{name}", type_=table.c[name].type))
    one = Statement(clause, dialect, [*(f"new_{name}" for name in changed), *(f"key_{name}" for name in keys)])
    quote = dialect.identifier_preparer.quote
    changes = ", ".join(f"{quote(name)} = given.column{place}" for place, name in enumerate(changed, 1))
    matches = " AND ".join(
        f"{quote(table.name)}.{quote(name)} = given.column{place}" for place, name in enumerate(keys, len(changed) + 1)
    )
    return ListRows(
        one,
        len(changed) + len(keys),
        lambda rows: f"UPDATE {quote(table.name)} SET {changes} FROM (VALUES {rows}) AS given WHERE {matches}",
    )
