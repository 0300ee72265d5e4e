"""Tills under test: a simulated till behind an adapter. The bench drives the till, the adapter sees its outside."""

from __future__ import annotations

import abc
import csv
import importlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from ringfence._facts import Booking, SaleBooking, StockFigure
from ringfence._till_types import OrderEvent
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._types import (
    AdapterError,
    Cancelled,
    Later,
    NotCancelled,
    Received,
    Rejected,
    Shown,
    TillRead,
)
from ringfence.adapters.csv_folder import CsvFolder, CsvFolderConfig
from ringfence.adapters.simulated_till import LineState, Reading, SimulatedTill
from ringfence.adapters.sql_tables import SqlTables, SqlTablesConfig

__all__ = ["TillUnderTest", "till_named"]


class TillUnderTest(abc.ABC):
    """A simulated till, and how an adapter comes to it. Write one for your own adapter: `ringfence adapter certify
    package.module:MyTillUnderTest`; it is made with the till and an empty directory."""

    def __init__(self, till: SimulatedTill, directory: Path) -> None:
        self.till = till
        """What happens in the shop happens to it."""
        self.directory = directory
        """The till's own place, which survives the adapter."""
        self.hidden: frozenset[str] = frozenset()
        """Items that the present read does not mention."""

    @abc.abstractmethod
    def open(self) -> PosAdapter:
        """The adapter, as at the start of its program. It is opened anew after each crash."""

    def export(self) -> None:  # noqa: B027  # a till that is read live needs none
        """Called when the adapter is about to read: brings what the till holds to where the adapter finds it."""

    def work(self) -> None:  # noqa: B027
        """Called every virtual minute: takes what the adapter has put down for the till, and answers it.

        An order is taken with `take_order`, a cancellation with `take_cancellation`.
        """

    def take_order(self, order_reference: str, sku: str, quantity: int) -> str:
        """The till has an order; gives its document number. Taken twice it is still one order."""
        return self.till.accept(order_reference, sku, quantity)

    def take_cancellation(self, order_reference: str, sku: str, quantity: int) -> bool:
        """The till is asked to cancel; gives whether it does: not when something is booked, or it was
        rejected."""
        self.till.accept(order_reference, sku, quantity)
        state = self.till.state_of(order_reference)
        if state.bookings or state.reject_reason:
            return False
        self.till.close(order_reference)
        return True

    def reading(self) -> Reading:
        """One consistent read of what is not hidden."""
        read = self.till.read()
        shown = {sku: value for sku, value in read.figures.items() if sku not in self.hidden}
        return Reading(read.mark, shown, read.lines)


class LiveTill(TillUnderTest):
    """A till that is read live, with its journal: the adapter that is right by construction."""

    def open(self) -> PosAdapter:
        return _LiveAdapter(self)


class _LiveAdapter(PosAdapter):
    def __init__(self, under_test: TillUnderTest) -> None:
        self._under_test = under_test

    def read(self) -> TillRead:
        under_test = self._under_test
        reading = under_test.reading()
        location = under_test.till.location
        return TillRead(
            figures=[StockFigure(sku, location, value) for sku, value in reading.figures.items()],
            bookings=[_sale(line, location) for line in reading.lines.values() if line.bookings or line.closed],
            position=max(1, reading.mark.position),
            epoch=reading.mark.epoch,
        )

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Received | Rejected:
        line = order.order_reference
        return Received(self._under_test.take_order(line, order.key.sku, order.quantity))

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Cancelled | NotCancelled | Later:
        done = self._under_test.take_cancellation(
            cancellation.order_reference, cancellation.key.sku, cancellation.quantity
        )
        return Cancelled() if done else NotCancelled("it is booked")

    def publish(self, shown: Sequence[Shown]) -> None:
        """The bench asks the service itself."""


def _sale(line: LineState, location: str) -> SaleBooking:
    return SaleBooking(
        location,
        [Booking(mark.position, quantity, epoch=mark.epoch) for mark, quantity in line.bookings],
        order_reference=line.line,
        sku=line.sku,
        closed=line.closed,
        reject_reason=line.reject_reason,
    )


class FolderTill(TillUnderTest):
    """A till of CSV files."""

    def __init__(self, till: SimulatedTill, directory: Path) -> None:
        super().__init__(till, directory)
        self._exports = 0
        self._answers = 0

    def open(self) -> PosAdapter:
        return CsvFolder(
            CsvFolderConfig(
                folder=self.directory,
                location=self.till.location,
                needs_end=True,
                settled=timedelta(0),
                answers_orders=True,
            )
        )

    def export(self) -> None:
        self._exports += 1
        reading = self.reading()
        rows = [["read", "", "", "", "", "", str(max(1, reading.mark.position)), str(reading.mark.epoch)]]
        rows += [["figure", sku, str(value), "", "", "", "", ""] for sku, value in reading.figures.items()]
        for line in reading.lines.values():
            closed = "yes" if line.closed else "no"
            known = ["booking", line.sku]
            for mark, quantity in line.bookings:
                where = [str(mark.position), str(mark.epoch)]
                rows.append([*known, str(quantity), line.line, closed, line.reject_reason, *where])
            if line.closed and not line.bookings:
                # Without a booking the position says that it is the journal that speaks.
                where = [str(max(1, reading.mark.position)), str(reading.mark.epoch)]
                rows.append([*known, "0", line.line, closed, line.reject_reason, *where])
        rows.append(["end", "", str(len(rows)), "", "", "", "", ""])
        header = ["record", "sku", "quantity", "order_reference", "closed", "reject_reason", "position", "epoch"]
        _drop(self.directory / "exports" / f"export-{self._exports:06}.csv", [header, *rows])

    def work(self) -> None:
        answers: list[list[str]] = []
        for path in sorted((self.directory / "orders").glob("[!.]*.csv")):
            with path.open(newline="", encoding="utf-8") as file:
                (row,) = csv.DictReader(file)
            path.unlink()
            named = (row["order_reference"], row["sku"], int(row["quantity"]))
            if row["record"] == "order":
                answers.append([row["event_id"], "received", self.take_order(*named), ""])
            elif self.take_cancellation(*named):
                answers.append([row["event_id"], "cancelled", "", ""])
            else:
                answers.append([row["event_id"], "not cancelled", "", "it is booked"])
        if answers:
            self._answers += 1
            header = ["event_id", "answer", "document_number", "reason"]
            _drop(self.directory / "answers" / f"answers-{self._answers:06}.csv", [header, *answers])


class TablesTill(TillUnderTest):
    """A till whose tables are in an SQLite database."""

    def __init__(self, till: SimulatedTill, directory: Path) -> None:
        super().__init__(till, directory)
        self._path = directory / "till.db"
        with self._database() as database:
            database.executescript(_TABLES)

    def open(self) -> PosAdapter:
        return SqlTables(
            SqlTablesConfig(
                url=f"sqlite:///{self._path}",
                location=self.till.location,
                figures="SELECT sku, pieces AS quantity FROM stock",
                bookings=(
                    "SELECT order_no AS order_reference, sku, pieces AS quantity, position, epoch, done AS closed, "
                    "reason AS reject_reason FROM journal"
                ),
                read="SELECT position, epoch FROM present",
                orders="web_orders",
                order_columns={
                    "event_id": "event_id",
                    "kind": "kind",
                    "order_reference": "order_no",
                    "sku": "sku",
                    "quantity": "pieces",
                },
                answers=(
                    "SELECT event_id, answer, document_number, reason FROM web_orders WHERE answer <> '' AND NOT told"
                ),
                answered="UPDATE web_orders SET told = 1 WHERE event_id = :event_id",
            )
        )

    def export(self) -> None:
        reading = self.reading()
        position = max(1, reading.mark.position)
        movements: list[tuple[object, ...]] = []
        for line in reading.lines.values():
            known = (line.closed, line.reject_reason)
            for mark, quantity in line.bookings:
                movements.append((line.line, line.sku, quantity, mark.position, mark.epoch, *known))
            if line.closed and not line.bookings:
                movements.append((line.line, line.sku, 0, position, reading.mark.epoch, *known))
        with self._database() as database:
            for table in ("stock", "present", "journal"):
                database.execute(f"DELETE FROM {table}")
            database.executemany("INSERT INTO stock VALUES (?, ?)", list(reading.figures.items()))
            database.execute("INSERT INTO present VALUES (?, ?)", (position, reading.mark.epoch))
            database.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", movements)

    def work(self) -> None:
        with self._database() as database:
            waiting = database.execute(
                "SELECT event_id, kind, order_no, sku, pieces FROM web_orders WHERE answer = ''"
            ).fetchall()
            for event_id, kind, order_no, sku, pieces in waiting:
                if kind == "order":
                    said = ("received", self.take_order(order_no, sku, pieces), "")
                elif self.take_cancellation(order_no, sku, pieces):
                    said = ("cancelled", "", "")
                else:
                    said = ("not cancelled", "", "it is booked")
                database.execute(
                    "UPDATE web_orders SET answer = ?, document_number = ?, reason = ? WHERE event_id = ?",
                    (*said, event_id),
                )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with closing(sqlite3.connect(self._path)) as connection, connection:
            yield connection


_TABLES = """
CREATE TABLE stock (sku TEXT PRIMARY KEY, pieces INTEGER);
CREATE TABLE present (position INTEGER, epoch INTEGER);
CREATE TABLE journal (
    order_no TEXT, sku TEXT, pieces INTEGER, position INTEGER, epoch INTEGER, done INTEGER, reason TEXT
);
CREATE TABLE web_orders (
    event_id TEXT PRIMARY KEY, kind TEXT, order_no TEXT, sku TEXT, pieces INTEGER, answer TEXT DEFAULT '',
    document_number TEXT DEFAULT '', reason TEXT DEFAULT '', told INTEGER DEFAULT 0
);
"""


def _drop(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Writes a file under another name, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.tmp")
    with written.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    written.rename(path)


_NAMED: dict[str, Callable[[SimulatedTill, Path], TillUnderTest]] = {
    "live": LiveTill,
    "csv_folder": FolderTill,
    "sql_tables": TablesTill,
}


def till_named(name: str) -> Callable[[SimulatedTill, Path], TillUnderTest]:
    """The till under test of a name: `live`, `csv_folder`, `sql_tables`, or `package.module:Class`; AdapterError when
    there is none."""
    if name in _NAMED:
        return _NAMED[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise AdapterError(f"{name!r} is none of {', '.join(_NAMED)}; your own is package.module:Class")
    try:
        found: Callable[[SimulatedTill, Path], TillUnderTest] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise AdapterError(f"{name} cannot be imported: {error}") from error
    return found
