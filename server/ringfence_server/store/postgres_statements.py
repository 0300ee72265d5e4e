"""PostgreSQL's forms: lists as arrays, so that every statement has one text however many rows it carries.

Rows and keys of many slots go in one statement, which names the slot of each. Where the tables are distributed (Citus)
every statement names a single slot, as a parameter, and goes to one shard: the same rows, slot by slot. Citus routes
neither an INSERT from arrays (it fetches them to the coordinator, and commits in two phases what one machine did) nor
what it may not plan anew for each slot, unless that is a plain condition on one table; so rows to insert are VALUES
there, and keys of one column a list to look in. What lies in many slots (a file of stock figures) is one statement all
the same, whose rows and keys each name their slot: Citus gives every shard its part. Only locks are taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, SmallInteger, Table, any_, bindparam, literal_column
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect

from .compiled import BuildForSlot, Statement
from .driver import DriverConnection
from .slots import SlotOf

_Row = tuple[Any, ...]
OneSlot = Callable[[int, Sequence[_Row]], Iterable[tuple[str, Sequence[Any]]]]
"""Texts and parameters that do something for rows of one slot, which do not name it."""
ManySlots = Callable[[Sequence[_Row]], Iterable[tuple[str, Sequence[Any]]]]
"""The same for rows of many slots, which name theirs."""
_FEW_SLOTS: Final = 8
"""Up to so many, a statement for each: a machine is not asked for what it does not have."""
_RIVALRY: Final = ("request_outcome", "caller", "order_reference")
"""Rows that no slot's lock keeps for one batch: they are written in the order of their slots, or two batches might wait
for one another on two machines."""
_MOST_WIDE_VALUES: Final = 1_000
_MOST_VALUES: Final = 64
"""Rows in one statement: of the widest table a third of the 65,535 parameters that there may be, and kept texts."""


class ArraySelect:
    """A select joined to arrays of keys; with ``newest`` the greatest value of that column for each key."""

    def __init__(
        self,
        dialect: Dialect,
        columns: Sequence[Column[Any]],
        keys: Sequence[Column[Any]],
        slot_of: SlotOf | None,
        newest: Column[Any] | None = None,
    ) -> None:
        self._slot_of = slot_of
        self._width = len(keys)
        table = _name(dialect, keys[0].table)
        wanted = ", ".join(_column(dialect, item) for item in columns)
        tail = ""
        if newest is not None:
            wanted += f", max({_column(dialect, newest)})"
            tail = f" GROUP BY {', '.join(_column(dialect, item) for item in columns)}"
        names = [f"k{place}" for place in range(len(keys))]
        matches = " AND ".join(
            f"{_column(dialect, key)} = wanted.{name}" for name, key in zip(names, keys, strict=True)
        )
        slot = f"{table}.slot"
        self._many_slots = (
            f"SELECT {wanted} FROM {_unnest(dialect, [keys[0].table.c.slot, *keys])} "
            f"AS wanted(slot, {', '.join(names)}) JOIN {table} ON {slot} = wanted.slot AND {matches}"
        )
        # By the condition Citus leaves the other shards out.
        self._wide = f"{self._many_slots} WHERE {slot} = ANY($1::smallint[]){tail}"
        self._many_slots += tail
        if len(keys) == 1:
            self._one_slot = (
                f"SELECT {wanted} FROM {table} WHERE {slot} = $1::smallint "
                f"AND {_column(dialect, keys[0])} = ANY($2::{_kind(dialect, keys[0])}[]){tail}"
            )
        else:
            self._one_slot = (
                f"SELECT {wanted} FROM {_unnest(dialect, keys, first=2)} AS wanted({', '.join(names)}) "
                f"JOIN {table} ON {slot} = $1::smallint AND {matches}{tail}"
            )

    def find(self, connection: DriverConnection, keys: Sequence[Any]) -> Sequence[_Row]:
        """Rows of all keys."""
        slot_of = self._slot_of
        if slot_of is None:
            raise TypeError("the select does not know in which slots its keys lie: use find_in, or give it slot_of")
        return self.find_in(connection, [slot_of(key) for key in keys], keys)

    def find_in(self, connection: DriverConnection, slots: Sequence[int], keys: Sequence[Any]) -> Sequence[_Row]:
        """Rows of all keys, each in its slot."""
        if not keys:
            return []
        if not connection.distributed:
            return connection.rows(self._many_slots, (slots, *self._arrays(keys)))
        by_slot: dict[int, list[Any]] = {}
        for slot, key in zip(slots, keys, strict=True):
            by_slot.setdefault(slot, []).append(key)
        if len(by_slot) > _FEW_SLOTS:
            return connection.rows(self._wide, (slots, *self._arrays(keys)))
        found: list[_Row] = []
        for slot in sorted(by_slot):
            found.extend(connection.rows(self._one_slot, (slot, *self._arrays(by_slot[slot]))))
        return found

    def _arrays(self, keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
        return (keys,) if self._width == 1 else zip(*keys, strict=True)


class LateralSelect:
    """A select of one slot, run for each of an array of slots."""

    def __init__(self, dialect: Dialect, build: BuildForSlot, *, across: bool) -> None:
        clause, order = build(bindparam("slot"))
        self._one_slot = Statement(clause, dialect, ["slot", *order])
        self._wide: Statement | None = None
        if across:
            # Citus takes no lateral select with a limit.
            clause, order = build(any_(bindparam("slots", type_=ARRAY(SmallInteger))))
            self._wide = Statement(clause, dialect, ["slots", *order])
        clause, order = build(literal_column("wanted.slot"))
        inner = Statement(clause, dialect, order)
        self.sql = (
            f"SELECT found.* FROM unnest(${len(order) + 1}::smallint[]) AS wanted(slot) "
            f"CROSS JOIN LATERAL ({inner.sql}) AS found"
        )

    def run(self, connection: DriverConnection, slots: Sequence[int], parameters: Sequence[Any] = ()) -> Sequence[_Row]:
        """The rows of all these slots."""
        if not connection.distributed:
            return connection.rows(self.sql, (*parameters, slots))
        if self._wide is not None and len(slots) > _FEW_SLOTS:
            return self._wide.run(connection, (slots, *parameters))
        return [row for slot in slots for row in self._one_slot.run(connection, (slot, *parameters))]


class ForgetRefusals:
    """Deletes a caller's refusals up to a number: they lie in the slots of their ids, so in any."""

    _TEXT = (
        "DELETE FROM request_outcome WHERE {slots} AND scope = $2 AND refusal_number > 0 AND refusal_number <= $3 "
        "RETURNING request_id"
    )
    _MANY_SLOTS = _TEXT.format(slots="slot = ANY($1::smallint[])")
    _ONE_SLOT = _TEXT.format(slots="slot = $1::smallint")

    def run(self, connection: DriverConnection, slots: Sequence[int], parameters: Sequence[Any] = ()) -> Sequence[_Row]:
        """Deletes them in these slots; ``parameters``: scope and number. Answers their ids."""
        if not connection.distributed:
            return connection.rows(self._MANY_SLOTS, (slots, *parameters))
        return [row for slot in slots for row in connection.rows(self._ONE_SLOT, (slot, *parameters))]


class ArrayRows:
    """A statement that takes rows as one array per column."""

    __slots__ = ("_one_slot", "_slot_at", "_wide", "sql")

    def __init__(self, sql: str, one_slot: OneSlot, slot_at: int, wide: ManySlots | None = None) -> None:
        self.sql = sql
        self._wide = wide
        self._one_slot = one_slot
        self._slot_at = slot_at
        """The place of the slot in a row; in ``one_slot`` it is the first parameter."""

    def run_many(self, connection: DriverConnection, rows: Sequence[_Row]) -> None:
        """Runs it for every row."""
        self.returning(connection, rows)

    def returning(self, connection: DriverConnection, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Runs it for every row and answers what it returns."""
        if not rows:
            return ()
        if not connection.distributed:
            return connection.rows(self.sql, tuple(zip(*rows, strict=True)))
        found: list[_Row] = []
        at = self._slot_at
        if self._wide is not None and len({row[at] for row in rows}) > _FEW_SLOTS:
            for text, parameters in self._wide(rows):
                found.extend(connection.rows(text, parameters))
            return found
        for slot, its in self._by_slot(rows):
            for text, parameters in self._one_slot(slot, its):
                found.extend(connection.rows(text, parameters))
        return found

    def _by_slot(self, rows: Sequence[_Row]) -> Iterator[tuple[int, list[_Row]]]:
        at = self._slot_at
        by_slot: dict[int, list[_Row]] = {}
        for row in rows:
            by_slot.setdefault(row[at], []).append((*row[:at], *row[at + 1 :]))
        for slot in sorted(by_slot):
            yield slot, by_slot[slot]


def array_insert(dialect: Dialect, table: Table, tail: str = "") -> ArrayRows:
    """``INSERT`` of whole rows, ``tail`` behind it; ``slot`` is every table's first column."""
    name, items = _name(dialect, table), list(table.c)
    assert items[0].name == "slot"
    into = f"INSERT INTO {name} ({', '.join(dialect.identifier_preparer.quote(item.name) for item in items)})"
    values = _Values(into, [_kind(dialect, item) for item in items[1:]], tail)
    wide = None if table.name in _RIVALRY else values.of_slots
    return ArrayRows(f"{into} SELECT * FROM {_unnest(dialect, items)}{tail}", values.of_rows, 0, wide)


class _Values:
    """``INSERT … VALUES`` of rows of one slot. Every number of rows is a text of its own, and kept: a statement more is
    a way to another machine and back, a text more none."""

    def __init__(self, into: str, kinds: Sequence[str], tail: str) -> None:
        self._into, self._kinds, self._tail = into, kinds, tail
        self._texts: dict[int, str] = {}

    def of_rows(self, slot: int, rows: Sequence[_Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Texts and their parameters, the slot first."""
        start = 0
        while start < len(rows):
            count = min(_MOST_VALUES, len(rows) - start)
            yield self._text(count), (slot, *(value for row in rows[start : start + count] for value in row))
            start += count

    def of_slots(self, rows: Sequence[_Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """The same for rows of many slots, which begin with theirs; seldom enough for a text of its own each time."""
        kinds = ["smallint", *self._kinds]
        for start in range(0, len(rows), _MOST_WIDE_VALUES):
            piece = rows[start : start + _MOST_WIDE_VALUES]
            numbers = iter(range(1, 1 + len(piece) * len(kinds)))
            values = ", ".join(f"({', '.join(f'${next(numbers)}::{kind}' for kind in kinds)})" for _ in piece)
            yield f"{self._into} VALUES {values}{self._tail}", [value for row in piece for value in row]

    def _text(self, count: int) -> str:
        text = self._texts.get(count)
        if text is None:
            numbers = iter(range(2, 2 + count * len(self._kinds)))
            rows = ", ".join(
                f"({', '.join(['$1::smallint', *(f'${next(numbers)}::{kind}' for kind in self._kinds)])})"
                for _ in range(count)
            )
            text = self._texts[count] = f"{self._into} VALUES {rows}{self._tail}"
        return text


def array_upsert(dialect: Dialect, table: Table) -> ArrayRows:
    """``INSERT … ON CONFLICT (primary key) DO UPDATE`` of whole rows."""
    quote = dialect.identifier_preparer.quote
    keys = [item.name for item in table.primary_key.columns]
    changes = ", ".join(
        f"{quote(item.name)} = excluded.{quote(item.name)}" for item in table.c if item.name not in keys
    )
    conflict = f" ON CONFLICT ({', '.join(quote(name) for name in keys)}) DO UPDATE SET {changes}"
    return array_insert(dialect, table, conflict)


def array_update(dialect: Dialect, table: Table, changed: Sequence[str]) -> ArrayRows:
    """``UPDATE … SET changed WHERE primary key``; parameters are the changed columns, then the key's."""
    quote = dialect.identifier_preparer.quote
    name, keys = _name(dialect, table), [item.name for item in table.primary_key.columns]
    changes = ", ".join(f"{quote(each)} = given.{quote(each)}" for each in changed)
    names = [*changed, *keys]
    matches = [f"{name}.{quote(each)} = given.{quote(each)}" for each in keys]
    rest = [each for each in names if each != "slot"]

    def text(taken: Sequence[str], first: int, conditions: Sequence[str]) -> str:
        arrays = _unnest(dialect, [table.c[each] for each in taken], first=first)
        return (
            f"UPDATE {name} SET {changes} FROM {arrays} AS given({', '.join(quote(each) for each in taken)}) "
            f"WHERE {' AND '.join(conditions)}"
        )

    # By the condition Citus leaves the other shards out.
    wide = text(names, 1, [*matches, f"{name}.slot = ANY(${names.index('slot') + 1}::smallint[])"])
    one_slot = text(rest, 2, [f"{name}.slot = $1::smallint", *(each for each in matches if ".slot" not in each)])
    return ArrayRows(
        text(names, 1, matches),
        lambda slot, rows: [(one_slot, (slot, *zip(*rows, strict=True)))],
        names.index("slot"),
        lambda rows: [(wide, tuple(zip(*rows, strict=True)))],
    )


def _unnest(dialect: Dialect, columns: Sequence[Column[Any]], first: int = 1) -> str:
    types = (_kind(dialect, item) for item in columns)
    return f"unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(types, first))})"


def _kind(dialect: Dialect, column: Column[Any]) -> str:
    return column.type.compile(dialect=dialect).lower()


def _name(dialect: Dialect, table: Any) -> str:
    return dialect.identifier_preparer.format_table(table)


def _column(dialect: Dialect, item: Column[Any]) -> str:
    return f"{_name(dialect, item.table)}.{dialect.identifier_preparer.quote(item.name)}"
