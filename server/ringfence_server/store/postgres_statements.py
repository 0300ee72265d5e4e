"""PostgreSQL's forms: lists as arrays, so that every statement has one text however many rows it carries.

Rows and keys of many slots go in one statement, which names the slot of each. Where the tables are distributed (Citus)
every statement names a single slot, as a parameter, and goes to one shard: the same rows, slot by slot. Citus routes
neither an INSERT from arrays (it fetches them to the coordinator, and commits in two phases what one machine did) nor
what it may not plan anew for each slot, unless that is a plain condition on one table; so rows to insert are VALUES
there, and keys of one column a list to look in. What lies in many slots (a file of stock figures) is one statement all
the same, whose rows and keys each name their slot: Citus gives every shard its part. Only locks are taken one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, SmallInteger, Table, any_, bindparam, literal_column
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect

from .compiled import BuildForSlot, Statement
from .driver import DriverConnection
from .postgres_values import ValuesInsert
from .slots import SlotOf

_Row = tuple[Any, ...]
_FEW_SLOTS: Final = 8
"""Where tables are distributed, up to so many: a statement for each, for a machine is not asked for what it does not
have."""
_RIVALRY: Final = ("request_outcome", "caller", "order_reference")
"""Rows that no slot's lock keeps for one batch: they are written in the order of their slots, or two batches might wait
for one another on two machines."""


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
                f"AND {_column(dialect, keys[0])} = ANY({_array(dialect, keys[0], 2)}){tail}"
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
    """A statement that takes rows as one array per column.

    Most columns of a batch hold one value in all its rows: its revision, its instant, an organization, zeros. Such an
    array is sent with that value alone, and the statement takes it for every row (``Given``). Of what orders write that
    is two thirds of the values, each of which the driver would have to encode and PostgreSQL to read.
    """

    __slots__ = ("_columns", "_many_slots", "_one_slot", "_slot_at", "_values", "_wide", "numbered")

    def __init__(
        self,
        dialect: Dialect,
        columns: Sequence[Column[Any]],
        whole: Collection[str],
        text: Callable[[Given], str],
        *,
        wide: str | None = None,
        values: ValuesInsert | None = None,
    ) -> None:
        """``columns``: of a row, the slot among them. ``whole``: those sent with all their values, one of them at
        least, for it says how many rows there are. ``text``: the statement, given its rows.

        Where the tables are distributed: ``wide`` stands behind the text if it is run for rows of many slots, "{slots}"
        in it for their array; None: it is run slot by slot. ``values``: what is run instead."""
        self._slot_at = [item.name for item in columns].index("slot")
        self._columns = [(item.name in whole, bool(item.nullable)) for item in columns]
        self.numbered: Callable[[int], str] = lambda first: text(Given(dialect, columns, whole, first))
        """The statement for rows of many slots, given the number of its first parameter."""
        self._many_slots = self.numbered(1)
        others = [item for item in columns if item.name != "slot"]
        self._one_slot = text(Given(dialect, others, whole, 2, in_one_slot=True))
        self._values = values
        slots = f"${self._slot_at + 1}::smallint[]"
        self._wide = None if wide is None else self._many_slots + wide.format(slots=slots)

    def run_many(self, connection: DriverConnection, rows: Sequence[_Row]) -> None:
        """Runs it for every row."""
        self.returning(connection, rows)

    def returning(self, connection: DriverConnection, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Runs it for every row and answers what it returns."""
        if not rows:
            return ()
        if not connection.distributed:
            return connection.rows(self._many_slots, self.arrays(rows))
        found: list[_Row] = []
        for sql, parameters in self._apart(rows):
            found.extend(connection.rows(sql, parameters))
        return found

    def _apart(self, rows: Sequence[_Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Texts and parameters where the tables are distributed."""
        at, values = self._slot_at, self._values
        by_slot: dict[int, list[_Row]] = {}
        for row in rows:
            by_slot.setdefault(row[at], []).append(row)
        if self._wide is not None and len(by_slot) > _FEW_SLOTS:
            if values is not None:
                yield from values.of_slots(rows)
            else:
                yield self._wide, self.arrays(rows)
            return
        for slot in sorted(by_slot):
            if values is not None:
                yield from values.of_slot(slot, by_slot[slot])
                continue
            arrays = self.arrays(by_slot[slot])
            del arrays[at]
            yield self._one_slot, (slot, *arrays)

    def arrays(self, rows: Sequence[_Row]) -> list[_Row]:
        """The parameters for these rows, perhaps none."""
        count = len(rows)
        if not count:
            return [()] * len(self._columns)
        arrays: list[_Row] = list(zip(*rows, strict=True))
        if count == 1:
            return arrays
        for place, (array, (whole, nullable)) in enumerate(zip(arrays, self._columns, strict=True)):
            first = array[0]
            # Most arrays that differ do so at their ends.
            if whole or first != array[-1] or array.count(first) != count:
                continue
            if first is None:
                arrays[place] = ()
            elif not nullable:
                arrays[place] = (first,)
        return arrays


class Given:
    """Rows unfolded from arrays, some of them shorter than others: ``unnest`` fills these with NULL, for which their
    first value stands. Where NULL is a value like any other an array has all values, or none."""

    def __init__(
        self,
        dialect: Dialect,
        columns: Sequence[Column[Any]],
        whole: Collection[str],
        first: int,
        *,
        in_one_slot: bool = False,
    ) -> None:
        """``whole``: columns with all their values. ``first``: the number of the first one's parameter.
        ``in_one_slot``: the slot is parameter 1, and none of the columns."""
        quote = dialect.identifier_preparer.quote
        self.rows = f"{_unnest(dialect, columns, first)} AS given({', '.join(quote(item.name) for item in columns)})"
        """What stands behind FROM."""
        self.values: dict[str, str] = {"slot": "$1::smallint"} if in_one_slot else {}
        """The expression of each column."""
        for number, item in enumerate(columns, first):
            value = f"given.{quote(item.name)}"
            if item.name not in whole and not item.nullable:
                value = f"coalesce({value}, ({_array(dialect, item, number)})[1])"
            self.values[item.name] = value


class TogetherRows:
    """Several statements over rows as one, for each waits for the database's answer: what a batch writes is a dozen.

    PostgreSQL runs them in an order of its own, each on the rows as they were before: none may touch what another does.
    """

    def __init__(self, statements: Sequence[ArrayRows]) -> None:
        self._statements = statements
        parts = []
        first = 1
        for number, statement in enumerate(statements):
            parts.append(f"w{number} AS ({statement.numbered(first)})")
            first += len(statement.arrays(()))
        self._sql = f"WITH {', '.join(parts)} SELECT 1"

    def run_many(self, connection: DriverConnection, lists: Sequence[Sequence[_Row]]) -> None:
        """Runs each of them for the rows at its place."""
        written = [(statement, rows) for statement, rows in zip(self._statements, lists, strict=True) if rows]
        if connection.distributed or len(written) <= 1:
            for statement, rows in written:
                statement.run_many(connection, rows)
            return
        pairs = zip(self._statements, lists, strict=True)
        connection.rows(self._sql, [array for statement, rows in pairs for array in statement.arrays(rows)])


def array_insert(dialect: Dialect, table: Table, tail: str = "") -> ArrayRows:
    """``INSERT`` of whole rows, ``tail`` behind it; ``slot`` is every table's first column."""
    quote = dialect.identifier_preparer.quote
    into = f"INSERT INTO {_name(dialect, table)} ({', '.join(quote(item.name) for item in table.c)})"
    keys = [item.name for item in table.primary_key.columns]
    assert table.c[0].name == keys[0] == "slot"
    return ArrayRows(
        dialect,
        list(table.c),
        # What tells rows of a slot apart, or the slots.
        keys[1:2] or keys,
        lambda given: f"{into} SELECT {', '.join(given.values[item.name] for item in table.c)} FROM {given.rows}{tail}",
        wide=None if table.name in _RIVALRY else "",
        values=ValuesInsert(into, [_kind(dialect, item) for item in table.c if item.name != "slot"], tail),
    )


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

    def text(given: Given) -> str:
        changes = ", ".join(f"{quote(each)} = {given.values[each]}" for each in changed)
        matches = (f"{name}.{quote(key)} = {given.values[key]}" for key in keys)
        return f"UPDATE {name} SET {changes} FROM {given.rows} WHERE {' AND '.join(matches)}"

    # By the condition Citus leaves the other shards out.
    wide = f" AND {name}.slot = ANY({{slots}})"
    return ArrayRows(dialect, [table.c[each] for each in (*changed, *keys)], keys, text, wide=wide)


def _unnest(dialect: Dialect, columns: Sequence[Column[Any]], first: int = 1) -> str:
    return f"unnest({', '.join(_array(dialect, item, number) for number, item in enumerate(columns, first))})"


def _array(dialect: Dialect, column: Column[Any], number: int) -> str:
    return f"${number}::{_kind(dialect, column)}[]"


def _kind(dialect: Dialect, column: Column[Any]) -> str:
    return column.type.compile(dialect=dialect).lower()


def _name(dialect: Dialect, table: Any) -> str:
    return dialect.identifier_preparer.format_table(table)


def _column(dialect: Dialect, item: Column[Any]) -> str:
    return f"{_name(dialect, item.table)}.{dialect.identifier_preparer.quote(item.name)}"
