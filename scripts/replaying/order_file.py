"""The lines of an order file, as they stand there."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "CustomerID", "Country")
"""Other columns may stand beside them and are not read."""

_GZIP_MAGIC = b"\x1f\x8b"


class OrderFileError(Exception):
    """The file is no order file; the text says what is wrong, and on which line."""


class Row(NamedTuple):
    """One line of an order file."""

    number: int
    """The line's number in the file; the header is 1."""
    invoice: str
    """The invoice it belongs to, such as "536365", "C536379" (a cancellation) or "A563185" (an adjustment)."""
    stock_code: str
    """As written, in whatever case."""
    quantity: int
    """Units; below zero for what came back or was lost."""
    time: datetime
    """The shop's local time, to the minute, without a zone."""
    customer: str
    """The customer's number; empty for a guest."""
    country: str
    """As written."""


def read_rows(path: Path, limit: int | None = None) -> Iterator[Row]:
    """The rows of a file, plain or gzip, in its order; with `limit` only the first ones.

    Raises OSError, and OrderFileError for a file without the columns or a line that cannot be read.
    """
    with _open(path) as text:
        lines = csv.reader(text)
        try:
            header = next(lines, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise OrderFileError(f"{path}: line 1 does not name the columns {', '.join(missing)}")
            places = [header.index(name) for name in COLUMNS]
            read = 0
            last_text, last_time = "", datetime.min
            for cells in lines:
                if not cells:
                    continue
                if read == limit:
                    return
                read += 1
                try:
                    invoice, stock_code, quantity, time, customer, country = (cells[place].strip() for place in places)
                    if time != last_text:
                        last_text, last_time = time, datetime.fromisoformat(time)
                    row = Row(
                        lines.line_num,
                        invoice,
                        stock_code,
                        int(quantity),
                        last_time,
                        # Spreadsheets and data frames make a float of a column with gaps.
                        customer.removesuffix(".0"),
                        country,
                    )
                except (ValueError, IndexError) as error:
                    raise OrderFileError(f"{path}: line {lines.line_num}: {error}") from error
                if not invoice or not stock_code:
                    raise OrderFileError(f"{path}: line {lines.line_num}: no InvoiceNo or no StockCode")
                yield row
        except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise OrderFileError(f"{path}: after line {lines.line_num}: {error}") from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as start:
        packed = start.read(2) == _GZIP_MAGIC
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
