"""Copying a SQLite ledger into an empty PostgreSQL database.

SQLite's store has one slot, PostgreSQL's many (see ``slots``), and numbers carry their slot: a sequence ``n`` becomes
``n * count + slot``, and stock numbers are given anew in their order, from the same counter. Ids of reservations and
requests stay, as callers know them; their slot is in the bytes they have. Tables whose rows lie by a name are placed
by it.

Everything is one transaction: a copy that fails, or is stopped, leaves the target as empty as it was, and is begun
again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from sqlalchemy import Boolean, Table, make_url

from ringfence_server.ledger.work import StoreUnavailable

from . import schema
from .connect import UPKEEP, PostgresOptions, connect_to, shown
from .errors import NETWORK_ERRORS, translated
from .migrate import HEAD, current, upgrade
from .slots import Slots, bits_of, column_of
from .sqlite import take_file

_PIECE: Final = 5_000
"""Rows in memory at a time."""

SqlRow = tuple[Any, ...]
_TableRows: TypeAlias = tuple[Table, Iterator[list[SqlRow]]]
"""A table, and its rows in pieces."""
Progress = Callable[[str, int, int], None]
"""Told the table, the rows of it that are copied, and how many it has."""


class CopyRefused(Exception):
    """The copy cannot be made, said in one plain line; the target is as it was."""


async def copy(source: str, target: str, progress: Progress) -> dict[str, int]:
    """Copies a SQLite ledger that no server has open; answers the rows copied of each table.

    Both URLs must be valid ones of their kind. The target is brought to this release's schema first.

    Raises:
        CopyRefused: the source is not there or of another release, the target not empty, or it refuses a row.
        StoreUnavailable: the source is in use, or one of the two cannot be reached, read or written.
    """
    path = Path(make_url(source).database or "").resolve()  # noqa: ASYNC240  # nothing else runs on this loop
    if not path.is_file():
        raise CopyRefused(f"{path} is not there")
    with take_file(path.with_name(path.name + ".lock")):
        found = current(source)
        if found != HEAD:
            raise CopyRefused(
                f"{path} has schema {found or 'none'}, this release copies {HEAD}: run ringfence db upgrade on it first"
            )
        # It runs an event loop of its own.
        await asyncio.to_thread(upgrade, target)
        reading = sqlite3.connect(path, isolation_level=None)
        try:
            reading.execute("BEGIN")
            return await _Copy(reading, target).run(progress)
        except NETWORK_ERRORS as error:
            cause = translated(error)
            if isinstance(cause, StoreUnavailable):
                raise cause from error
            raise CopyRefused(f"{shown(target)} refuses a row of {path}: {cause}") from error
        finally:
            reading.close()


class _Copy:
    def __init__(self, source: sqlite3.Connection, target: str) -> None:
        self._source = source
        self._target = target
        self._slots: Slots
        self._stocks = array("q")
        """Every stock number of the source, rising: nine bytes for each key, with the next."""
        self._slots_of_stocks = bytearray()

    async def run(self, progress: Progress) -> dict[str, int]:
        connection = await connect_to(self._target, PostgresOptions(), application=UPKEEP, statement_timeout=False)
        copied: dict[str, int] = {}
        try:
            async with connection.transaction():
                # Whoever writes there waits for these, and so does a second copy.
                states = await connection.fetch("SELECT slot, revision FROM slot_state ORDER BY slot FOR UPDATE")
                await self._check_empty(connection, [state["revision"] for state in states])
                self._slots = Slots(len(states))
                self._place_stocks()
                for table, rows in self._tables():
                    copied[table.name] = await self._copy_table(connection, table, rows, progress)
                await connection.execute(
                    "UPDATE slot_state SET revision = $1, last_sequence = $2, now = $3, record_time = $4",
                    *self._counters(),
                )
            await connection.execute("ANALYZE")
        finally:
            await connection.close()
        return copied

    async def _check_empty(self, connection: Any, revisions: Sequence[int]) -> None:
        for table in schema.metadata.sorted_tables:
            rows = [] if table is schema.slot_state else await connection.fetch(f"SELECT 1 FROM {table.name} LIMIT 1")
            if rows or any(revisions):
                raise CopyRefused(f"{shown(self._target)} is not empty: name a database that was never written")

    def _counters(self) -> tuple[int, int, int, int]:
        found = self._source.execute("SELECT revision, last_sequence, now, record_time FROM slot_state").fetchone()
        revision, last_sequence, now, record_time = found or (0, 0, 0, 0)
        # Stock numbers come from the same counter, which must be beyond them.
        return revision, max(last_sequence, len(self._stocks)) * self._slots.count, now, record_time

    def _place_stocks(self) -> None:
        query = "SELECT stock_id, organization, sku FROM stock ORDER BY stock_id"
        for stock_id, organization, sku in self._source.execute(query):
            self._stocks.append(stock_id)
            self._slots_of_stocks.append(self._slots.of_sku(organization, sku))

    def _slot_of(self, stock_id: int) -> int:
        return self._slots_of_stocks[bisect_left(self._stocks, stock_id)]

    def _stock_number(self, stock_id: int, slot: int) -> int:
        """What a stock's number becomes."""
        return self._number(bisect_left(self._stocks, stock_id) + 1, slot)

    def _slot_of_row(self, row: sqlite3.Row) -> int:
        return self._slot_of(row["stock_id"])

    async def _copy_table(self, connection: Any, table: Table, rows: Iterator[list[SqlRow]], progress: Progress) -> int:
        (total,) = self._source.execute(f"SELECT count(*) FROM {table.name}").fetchone()
        done = 0
        progress(table.name, done, total)
        columns = [column.name for column in table.c]
        for piece in rows:
            await connection.copy_records_to_table(table.name, records=piece, columns=columns)
            done += len(piece)
            progress(table.name, min(done, total), total)
        return done

    # --- where each row goes -------------------------------------------------------------------------------------

    def _tables(self) -> Iterator[_TableRows]:
        """Every table but slot_state, with its rows as they are to be stored."""
        yield self._rows(schema.policy, lambda row: 0)
        yield from self._stocks_and_ledger()
        yield from self._orders()
        yield from self._tills()
        yield schema.feed, self._feed()

    def _stocks_and_ledger(self) -> Iterator[_TableRows]:
        number = self._number
        by_stock = {"stock_id": self._stock_number}
        yield self._rows(schema.stock, self._slot_of_row, {**by_stock, "last_sequence": number})
        for table in (schema.pool, schema.measure):
            yield self._rows(table, self._slot_of_row, by_stock)
        yield self._rows(schema.fact, self._slot_of_row, {**by_stock, "sequence": number})
        yield self._rows(
            schema.entry,
            self._slot_of_row,
            {**by_stock, "sequence": number, "previous_sequence": number},
            # The entry before it of its reservation may be one of another stock, and so of another slot.
            {"reservation_previous": _STOCK_OF_ENTRY.format("reservation_previous")},
        )

    def _orders(self) -> Iterator[_TableRows]:
        """What is found by an id lies in a slot of the id."""
        slots = self._slots

        def slot_of_reference(row: sqlite3.Row) -> int:
            return slots.of_reference((row["organization"], row["caller"], row["order_reference"]))

        yield self._rows(
            schema.reservation,
            lambda row: slots.of_id(row["reservation_id"]),
            lookups={"last_sequence": _STOCK_OF_ENTRY.format("last_sequence"), "part_slots": _STOCKS_OF_PARTS},
        )
        yield self._rows(schema.part, self._slot_of_row, {"stock_id": self._stock_number})
        yield self._rows(
            schema.request_outcome,
            lambda row: slots.of_id(row["request_id"]),
            {"first_sequence": self._bound, "last_sequence": self._bound},
        )
        yield self._rows(schema.caller, lambda row: slots.of_scope(row["scope"]))
        yield self._rows(schema.order_reference, slot_of_reference)

    def _tills(self) -> Iterator[_TableRows]:
        """The till side: what belongs to a part lies beside it. An event keeps its id, which adapters know."""
        slots = self._slots
        of_part = {"part_stock": _STOCK_OF_PART}

        def slot_of_part(row: sqlite3.Row) -> int:
            return self._slot_of(row["part_stock"])

        def slot_of_count(row: sqlite3.Row) -> int:
            return slots.of_count((row["organization"], row["source"], row["count_id"]))

        def slot_of_sku(row: sqlite3.Row) -> int:
            return slots.of_sku(row["organization"], row["sku"])

        def awaiting(stock_id: int | None, slot: int) -> int | None:
            return None if stock_id is None else self._stock_number(stock_id, slot)

        yield self._rows(schema.till_sale, slot_of_part, {"awaiting_stock_id": awaiting}, also=of_part)
        yield self._rows(schema.booking, slot_of_part, also=of_part)
        yield self._rows(schema.order_event, slot_of_part, {"sequence": self._number}, also=of_part)
        yield self._rows(schema.count_session, slot_of_count)
        yield self._rows(schema.discrepancy, slot_of_sku, {"sequence": self._number})
        yield self._rows(schema.published, self._slot_of_row, {"stock_id": self._stock_number})

    def _rows(
        self,
        table: Table,
        slot_of: Callable[[sqlite3.Row], int],
        numbers: Mapping[str, Callable[[Any, int], int | None]] | None = None,
        lookups: Mapping[str, str] | None = None,
        *,
        also: Mapping[str, str] | None = None,
    ) -> _TableRows:
        """A table with its rows in pieces. ``numbers`` says how columns become those of the row's slot; ``lookups`` are
        columns whose slot or slots another query tells. ``also``: what ``slot_of`` needs besides, by another query."""
        numbers, lookups = numbers or {}, lookups or {}
        names = [column.name for column in table.c]
        selected = [f"t.{name} AS {name}" for name in names]
        selected += [f"({query}) AS {name}_stocks" for name, query in lookups.items()]
        selected += [f"({query}) AS {name}" for name, query in (also or {}).items()]
        makers = [_maker(column.name, isinstance(column.type, Boolean), numbers, lookups) for column in table.c]

        def pieces() -> Iterator[list[SqlRow]]:
            cursor = self._source.cursor()
            cursor.row_factory = sqlite3.Row
            cursor.execute(f"SELECT {', '.join(selected)} FROM {table.name} AS t")
            while found := cursor.fetchmany(_PIECE):
                piece = []
                for row in found:
                    slot = slot_of(row)
                    piece.append(tuple(maker(self, row, slot) for maker in makers))
                yield piece

        return table, pieces()

    def _feed(self) -> Iterator[list[SqlRow]]:
        """Each group commit's row, taken apart into one for each slot that it changed."""
        query = "SELECT revision, record_time, stock_ids FROM feed ORDER BY revision"
        cursor = self._source.execute(query)
        while found := cursor.fetchmany(_PIECE):
            piece = []
            for revision, record_time, packed in found:
                by_slot: dict[int, list[int]] = {}
                for stock_id in struct.unpack(f">{len(packed) // 8}q", packed):
                    slot = self._slot_of(stock_id)
                    by_slot.setdefault(slot, []).append(self._stock_number(stock_id, slot))
                piece += [
                    (slot, revision, record_time, struct.pack(f">{len(numbers)}q", *numbers))
                    for slot, numbers in by_slot.items()
                ]
            yield piece

    def _number(self, number: int, slot: int) -> int:
        """A number of a slot; 0, which is none, stays."""
        return number and number * self._slots.count + slot

    def _bound(self, sequence: int, _slot: int) -> int:
        """What no sequence of any slot up to that one exceeds."""
        return sequence and sequence * self._slots.count + self._slots.mask

    def of_entry(self, sequence: int, stock_id: int | None) -> int:
        """A sequence of the entry of a stock."""
        return self._number(sequence, 0 if stock_id is None else self._slot_of(stock_id))

    def slots_of(self, stock_ids: str | None) -> int:
        """The slots of stocks, listed by commas, as a column has them."""
        return column_of(bits_of(self._slot_of(int(each)) for each in (stock_ids or "").split(",") if each))


_STOCK_OF_ENTRY: Final = "SELECT e.stock_id FROM entry AS e WHERE e.slot = 0 AND e.sequence = t.{}"
_STOCK_OF_PART: Final = (
    "SELECT p.stock_id FROM part AS p "
    "WHERE p.slot = 0 AND p.reservation_id = t.reservation_id AND p.part_number = t.part_number"
)
_STOCKS_OF_PARTS: Final = (
    "SELECT group_concat(DISTINCT p.stock_id) FROM part AS p WHERE p.slot = 0 AND p.reservation_id = t.reservation_id"
)


def _maker(
    name: str, is_flag: bool, numbers: Mapping[str, Callable[[Any, int], int | None]], lookups: Mapping[str, str]
) -> Callable[[_Copy, sqlite3.Row, int], Any]:
    """How a column of a stored row is made."""
    if name == "slot":
        return lambda _, row, slot: slot
    if name == "part_slots":
        return lambda copy, row, slot: copy.slots_of(row["part_slots_stocks"])
    if name in lookups:
        stock = f"{name}_stocks"
        return lambda copy, row, slot: copy.of_entry(row[name], row[stock])
    if name in numbers:
        number = numbers[name]
        return lambda _, row, slot: number(row[name], slot)
    if is_flag:
        return lambda _, row, slot: None if row[name] is None else bool(row[name])
    return lambda _, row, slot: row[name]
