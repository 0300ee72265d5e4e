"""One export of a till as a CSV file: what its rows mean. Pure but for reading the file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Any, TypeVar

from ringfence._facts import Booking, SaleBooking, StockFigure
from ringfence.adapters._types import Answer, Cancelled, NotCancelled, Received, Rejected, SaleTotal, TillRead

T = TypeVar("T")

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of one file."""
RECORDS = ("figure", "booking", "read", "end")
COLUMNS = frozenset(
    "record sku location quantity order_reference channel line_id closed reject_reason position epoch count_time "
    "full_count".split()
)
ANSWER_COLUMNS = frozenset({"event_id", "answer", "document_number", "reason"})
DIMENSION = "dimension:"
_TRUE = {"1", "true", "yes", "y"}
_FALSE = {"", "0", "false", "no", "n"}


class BadFile(Exception):
    """A file that cannot be meant. Its text names the line and the column, and says what would be right."""


class NotComplete(Exception):
    """A file that its till is still writing."""


def read_export(data: bytes, reference: str, *, location: str, position: int, needs_end: bool) -> TillRead:
    """The read that a file holds. `location` stands where a row names none; `position` is the one of the file's name, 0
    for none. Raises BadFile, and NotComplete when the `end` row is needed and missing."""
    figures: list[StockFigure] = []
    totals: list[SaleTotal] = []
    journal: dict[tuple[str, ...], SaleBooking] = {}
    head: dict[str, Any] = {"position": position}
    rows = 0
    ended: int | None = None
    seen: dict[tuple[Any, ...], int] = {}
    for row in _rows(data, COLUMNS, {"record"}):
        if ended is not None:
            raise BadFile(f"line {row.number}: there is a row after the end row")
        kind = row.text("record", required=True)
        if kind == "end":
            ended = row.whole("quantity", required=True)
            continue
        rows += 1
        if kind == "read":
            row.once(seen, (kind,), "a second row with record `read`")
            head = _head(row, position, location)
        elif kind == "figure":
            sku, place, dimensions = row.text("sku", required=True), row.text("location") or location, row.dimensions()
            named = (kind, sku, place, *sorted(dimensions.items()))
            row.once(seen, named, f"a second figure of {sku!r} at {place!r}: one a key, added up")
            figures.append(StockFigure(sku, place, row.whole("quantity", required=True), dimensions=dimensions))
        elif kind == "booking":
            _booking(row, location, totals, journal, seen)
        else:
            raise BadFile(f"line {row.number}: record is one of {', '.join(RECORDS)}, not {kind!r}")
    if ended is None and needs_end:
        raise NotComplete
    if ended is not None and ended != rows:
        raise BadFile(f"the end row says {ended} rows, and there are {rows}")
    if journal and not head["position"]:
        raise BadFile("bookings have positions, so the read needs one too: add a row with record `read`")
    bookings = list(journal.values())
    return TillRead(figures=figures, totals=totals, bookings=bookings, reference=reference, **head)


def read_answers(data: bytes, reference: str) -> list[Answer]:
    """The answers of a file, each with `reference` and its number. Raises BadFile."""
    answers: list[Answer] = []
    for row in _rows(data, ANSWER_COLUMNS, {"event_id", "answer"}):
        word = row.text("answer", required=True)
        said: Received | Rejected | Cancelled | NotCancelled
        if word == "received":
            said = Received(row.text("document_number"))
        elif word == "rejected":
            said = Rejected(row.text("reason", required=True))
        elif word == "cancelled":
            said = Cancelled()
        elif word == "not cancelled":
            said = NotCancelled(row.text("reason", required=True))
        else:
            raise BadFile(
                f"line {row.number}: answer is one of received, rejected, cancelled, not cancelled, and not {word!r}"
            )
        answers.append(Answer(row.text("event_id", required=True), said, (reference, len(answers))))
    return answers


def _head(row: Row, position: int, location: str) -> dict[str, Any]:
    return {
        "position": row.whole("position") or position,
        "epoch": row.whole("epoch"),
        "count_time": row.instant("count_time"),
        "full_count_of": (row.text("location") or location) if row.flag("full_count") else "",
    }


def _booking(
    row: Row,
    location: str,
    totals: list[SaleTotal],
    journal: dict[tuple[str, ...], SaleBooking],
    seen: dict[tuple[Any, ...], int],
) -> None:
    order_reference = row.text("order_reference", required=True)
    place = row.text("location") or location
    channel, line_id, sku = row.text("channel"), row.text("line_id"), row.text("sku")
    reason = row.text("reject_reason")
    dimensions = row.dimensions() if sku else {}
    # Never taken for 0: that would say that nothing is booked, or no more.
    position, quantity = row.whole("position"), row.whole("quantity", required=True)
    name = (place, order_reference, channel, line_id, sku, *(f"{k}={v}" for k, v in dimensions.items()))
    if not position:
        text = f"a second total of order {order_reference!r}: one a line, with its sku or line_id"
        row.once(seen, ("booking", *name), text)
        totals.append(
            SaleTotal(
                location=place,
                booked=quantity,
                order_reference=order_reference,
                channel=channel,
                line_id=line_id,
                sku=sku,
                dimensions=dimensions,
                closed=row.flag("closed"),
                reject_reason=reason,
            )
        )
        return
    known = journal.get(name)
    before = list(known.bookings) if known is not None and not isinstance(known.bookings, Booking) else []
    journal[name] = SaleBooking(
        place,
        [*before, Booking(position, quantity, epoch=row.whole("epoch"))] if quantity else before,
        order_reference=order_reference,
        channel=channel,
        line_id=line_id,
        sku=sku,
        dimensions=dimensions,
        closed=row.flag("closed") or (known is not None and known.closed),
        reject_reason=reason or (known.reject_reason if known is not None else ""),
    )


class Row:
    """One row of a file, by the names of its columns."""

    def __init__(self, number: int, values: Mapping[str, str]) -> None:
        self.number = number
        self._values = values

    def text(self, name: str, *, required: bool = False) -> str:
        """A column as text without blanks at its ends; empty when it is not there."""
        value = self._values.get(name, "").strip()
        if required and not value:
            raise BadFile(f"line {self.number}: {name} is empty")
        return value

    def once(self, seen: dict[tuple[Any, ...], int], name: tuple[Any, ...], problem: str) -> None:
        """Notes what a row tells of; BadFile when another row did."""
        first = seen.setdefault(name, self.number)
        if first != self.number:
            raise BadFile(f"line {self.number}: {problem} (the first is in line {first})")

    def whole(self, name: str, *, required: bool = False) -> int:
        """A column as a whole number; 0 when it is empty."""
        return self._parsed(name, required, 0, _whole, "a whole number in the item's base unit, such as 12 or -3")

    def instant(self, name: str) -> datetime | None:
        """A column as an instant with its time zone; None when it is empty."""
        found: datetime | None = self._parsed(
            name, False, None, datetime.fromisoformat, "a time such as 2026-01-31T18:00:00+01:00"
        )
        if found is not None and found.utcoffset() is None:
            raise BadFile(f"line {self.number}: {name} needs a time zone, such as 2026-01-31T18:00:00+01:00")
        return found

    def flag(self, name: str) -> bool:
        """A column as yes or no; no when it is empty."""
        value = self.text(name).lower()
        if value not in _TRUE | _FALSE:
            raise BadFile(f"line {self.number}: {name} is yes or no, not {value!r}")
        return value in _TRUE

    def dimensions(self) -> dict[str, str]:
        """The columns `dimension:NAME`."""
        return {
            name.removeprefix(DIMENSION): value.strip()
            for name, value in self._values.items()
            if name.startswith(DIMENSION)
        }

    def _parsed(self, name: str, required: bool, empty: T, parse: Callable[[str], T], what: str) -> T:
        value = self.text(name, required=required)
        if not value:
            return empty
        try:
            return parse(value)
        except ValueError:
            raise BadFile(f"line {self.number}: {name} is {what}, not {value!r}") from None


def _rows(data: bytes, known: frozenset[str], needed: set[str]) -> Iterator[Row]:
    if len(data) > MOST_BYTES:
        raise BadFile(f"the file has more than {MOST_BYTES:,} bytes: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(f"line {line}: the file is not UTF-8: have the till write it as UTF-8 ({error.reason})") from None
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_columns(names, known, needed)
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(names):
                raise BadFile(f"line {reader.line_num}: {len(values)} columns, and the first line names {len(names)}")
            yield Row(reader.line_num, dict(zip(names, values, strict=False)))
    except csv.Error as error:
        raise BadFile(f"line {reader.line_num}: {error}") from None


def _check_columns(names: list[str], known: frozenset[str], needed: set[str]) -> None:
    for name in names:
        if name not in known and not (name.startswith(DIMENSION) and known is COLUMNS):
            more = f" and {DIMENSION}NAME" if known is COLUMNS else ""
            raise BadFile(f"line 1: there is no column {name!r}; the columns are {', '.join(sorted(known))}{more}")
    if len(set(names)) < len(names):
        raise BadFile("line 1: a column is named twice")
    if missing := sorted(needed - set(names)):
        raise BadFile(f"line 1: the columns {', '.join(missing)} are needed")


def _whole(text: str) -> int:
    """Digits and a sign alone: int() would take 1_000 too."""
    if re.fullmatch(r"[+-]?[0-9]{1,19}", text) is None:
        raise ValueError
    return int(text)


def number_in(name: str) -> int:
    """The last number in a file's name, such as 17 in stock-2026-0017.csv; 0 when there is none."""
    found = re.findall(r"\d+", PurePath(name).stem)
    return int(found[-1]) if found else 0


def natural_order(name: str) -> list[Any]:
    """A key that sorts names as people do: 9 before 10."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name)]
