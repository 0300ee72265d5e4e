"""Rows and files for the tests of scripts/replay."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from scripts.replaying.invoices import Invoice, Invoices
from scripts.replaying.order_file import COLUMNS, Row

NOON = datetime(2011, 5, 2, 12, 0)


def row(
    invoice: str, code: str, quantity: int, *, minute: int = 0, customer: str = "12345", country: str = "France"
) -> Row:
    """A row of a file, `minute` minutes after noon; numbered by `invoices_of`."""
    return Row(0, invoice, code, quantity, NOON + timedelta(minutes=minute), customer, country)


def numbered(rows: Iterable[Row]) -> list[Row]:
    """The rows with the numbers they have in a file."""
    return [each._replace(number=number) for number, each in enumerate(rows, 2)]


def invoices_of(rows: Iterable[Row]) -> Invoices:
    """The invoices of these rows."""
    listed = numbered(rows)
    return Invoices(lambda: listed)


def only_invoice(rows: Iterable[Row]) -> Invoice:
    """The one invoice that these rows make."""
    (invoice,) = invoices_of(rows)
    return invoice


def write_csv(path: Path, rows: Iterable[Row], *, columns: Sequence[str] = COLUMNS, packed: bool = False) -> Path:
    """Writes the rows as an order file, with these columns in this order; what is unknown in them is empty."""
    with gzip.open(path, "wt", newline="") if packed else path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for each in rows:
            cells = (each.invoice, each.stock_code, each.quantity, each.time, each.customer, each.country)
            values = dict(zip(COLUMNS, cells, strict=True))
            writer.writerow({name: values.get(name, "") for name in columns})
    return path
