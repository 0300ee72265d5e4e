"""SQLite's forms: key lists padded to a few sizes, executemany for rows, one slot.

Lists are padded, so that the number of statements of a batch does not depend on how many commands are in it and every
text is prepared once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, column, func, insert, select, update, values
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.expression import CTE

from .compiled import Statement
from .driver import DriverConnection

SIZES: Final = (1, 4, 16, 64, 256, 1_024, 4_096)
"""Lengths of key lists; two columns of the longest stay below SQLite's 32,766 parameters."""

Build = Callable[[int], tuple[ClauseElement, list[str]]]
"""A select over a list of this many keys, and its parameters in the order of their places."""


class ListSelect:
    """A select over a list of keys, in the one slot.

    With ``packed``, the names of its columns (texts and whole numbers), all rows come as one JSON text. SQLite's driver
    lets go of the interpreter for every row, and each time a busy thread may take it: beside a server under full load
    that made a read of ten keys cost several times what it costs alone.
    """

    def __init__(self, dialect: Dialect, build: Build, width: int, packed: Sequence[str] = ()) -> None:
        self._dialect = dialect
        self._build = build
        self._width = width
        self._packed = packed
        self._by_size: dict[int, Statement] = {}

    def find(self, connection: DriverConnection, keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Rows of all keys."""
        for start in range(0, len(keys), SIZES[-1]):
            chunk = keys[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(chunk))
            statement = self._by_size.get(size)
            if statement is None:
                clause, order = self._build(size)
                statement = self._by_size[size] = Statement(clause, self._dialect, order)
                if self._packed:
                    names = ", ".join(self._packed)
                    statement.sql = f"SELECT json_group_array(json_array({names})) FROM ({statement.sql})"
            padded = [*chunk, *(chunk[-1] for _ in range(size - len(chunk)))]
            flat = padded if self._width == 1 else [value for key in padded for value in key]
            rows = statement.run(connection, (0, *flat) if self._width == 1 else (*flat, 0))
            yield from json.loads(rows[0][0]) if self._packed else rows

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


def insert_of(dialect: Dialect, table: Table) -> Statement:
    """``INSERT`` of a whole row."""
    return Statement(insert(table), dialect, [item.name for item in table.c])


def upsert_of(dialect: Dialect, table: Table) -> Statement:
    """``INSERT … ON CONFLICT (primary key) DO UPDATE`` of a whole row."""
    keys = [item.name for item in table.primary_key.columns]
    clause = sqlite_insert(table)
    return Statement(
        clause.on_conflict_do_update(
            index_elements=keys,
            set_={item.name: clause.excluded[item.name] for item in table.c if item.name not in keys},
        ),
        dialect,
        [item.name for item in table.c],
    )


def update_of(dialect: Dialect, table: Table, changed: Sequence[str]) -> Statement:
    """``UPDATE … SET changed WHERE primary key``."""
    keys = [item.name for item in table.primary_key.columns]
    clause = update(table).values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in changed})
    for name in keys:
        clause = clause.where(table.c[name] == bindparam(f"key_{name}", type_=table.c[name].type))
    return Statement(clause, dialect, [*(f"new_{name}" for name in changed), *(f"key_{name}" for name in keys)])
