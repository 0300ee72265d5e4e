"""What the lines of an order file mean: invoices with what they sell, bring back and write off.

- Lines belong to one invoice by its number alone: some invoices span two minutes, and two may stand mixed. An invoice
  happens when its last line does, for only then is it known as a whole.
- Stock codes are folded to upper case: "85123a" and "85123A" are one item on one shelf, typed in two ways.
- Postage, fees, discounts, vouchers' corrections and manual lines are no stock and are left out (CHARGES), so are the
  "A" invoices, which adjust bad debt, and lines of 0 units.
- A line below zero brings back what was bought if it stands on a "C" invoice, and is a write-off anywhere else.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from scripts.replaying.order_file import OrderFileError, Row

CHARGES = frozenset({"AMAZONFEE", "B", "BANK CHARGES", "C2", "CRUK", "D", "DOT", "M", "POST", "S"})
"""Codes that are no stock: marketplace fee, bad debt, bank charges, carriage, commission, discount, postage of another
shop, manual, postage, samples."""

GUESTS = "guest"
CUSTOMERS = "customer"
"""The top level of the group paths: who has no customer number, and who has one. The country is the level below."""

_NO_WORD = re.compile(r"[\W_]+")
_SEGMENT_LENGTH = 64


class Skip(enum.StrEnum):
    """Why a line moves no stock."""

    CHARGE = "charge"
    """Its code is one of CHARGES."""
    ADJUSTMENT = "adjustment"
    """It stands on an "A" invoice."""
    ZERO = "zero quantity"
    """It has 0 units."""
    POSITIVE_CANCELLATION = "positive line of a cancellation"
    """It stands on a "C" invoice and brings nothing back."""


class Units(NamedTuple):
    """A line that moves stock."""

    sku: str
    """The stock code in upper case."""
    quantity: int
    """Above zero, whichever way the units go."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice, and what it does to the stock."""

    number: str
    """Unique in the file."""
    time: datetime
    """When its last line was written."""
    customer: str
    """Empty for a guest."""
    path: str
    """The group that asks, such as "customer/france"."""
    file_lines: int
    """Lines of the file it is made of, those that move no stock included."""
    sold: list[Units] = field(default_factory=list)
    """What is ordered; a SKU may stand there more than once."""
    returned: list[Units] = field(default_factory=list)
    """What comes back: which invoice it was bought on is not said."""
    written_off: list[Units] = field(default_factory=list)
    """What was lost, broken or counted away."""

    @property
    def lines(self) -> int:
        """Lines that move stock."""
        return len(self.sold) + len(self.returned) + len(self.written_off)


class Invoices:
    """The invoices of an order file, as often as they are asked for.

    Making it reads the file once and raises OrderFileError for what cannot be replayed. Each iteration reads it anew:
    what is kept is one number per invoice and the lines of invoices that are not complete yet, not the file.
    """

    def __init__(self, rows: Callable[[], Iterable[Row]]) -> None:
        """`rows` gives the file's rows from its start, at each call; they must be in time order."""
        self._rows = rows
        self._last: dict[str, int] = {}
        self.lines = 0
        """Lines of the file."""
        self.units = 0
        """The sum of their quantities, as they stand there."""
        self.skipped: Counter[Skip] = Counter()
        """Lines that move no stock."""
        self.skus: set[str] = set()
        """Every SKU that some line moves."""
        before: Row | None = None
        for row in rows():
            if before is not None and row.time < before.time:
                raise OrderFileError(
                    f"line {row.number}: {row.time} is earlier than the line before; an order file is in time order"
                )
            before = row
            self.lines += 1
            self.units += row.quantity
            self._last[row.invoice] = row.number
            reason = skip_of(row)
            if reason is None:
                self.skus.add(row.stock_code.upper())
            else:
                self.skipped[reason] += 1

    def __len__(self) -> int:
        return len(self._last)

    def __iter__(self) -> Iterator[Invoice]:
        unfinished: dict[str, list[Row]] = {}
        for row in self._rows():
            rows = unfinished.setdefault(row.invoice, [])
            rows.append(row)
            if row.number == self._last[row.invoice]:
                yield _invoice(unfinished.pop(row.invoice))


def skip_of(row: Row) -> Skip | None:
    """Why a line moves no stock; None when it does."""
    if row.invoice.startswith("A"):
        return Skip.ADJUSTMENT
    if row.stock_code.upper() in CHARGES:
        return Skip.CHARGE
    if not row.quantity:
        return Skip.ZERO
    if row.quantity > 0 and row.invoice.startswith("C"):
        return Skip.POSITIVE_CANCELLATION
    return None


def group_path(customer: str, country: str) -> str:
    """Who asks, as a group path: ("", "United Kingdom") is "guest/united-kingdom"."""
    region = _NO_WORD.sub("-", country.casefold()).strip("-")[:_SEGMENT_LENGTH] or "unspecified"
    return f"{CUSTOMERS if customer else GUESTS}/{region}"


def _invoice(rows: list[Row]) -> Invoice:
    first, last = rows[0], rows[-1]
    invoice = Invoice(
        number=first.invoice,
        time=last.time,
        customer=first.customer,
        path=group_path(first.customer, first.country),
        file_lines=len(rows),
    )
    for row in rows:
        if (row.customer, row.country) != (first.customer, first.country):
            raise OrderFileError(
                f"line {row.number}: invoice {row.invoice} began as one of {first.customer or 'a guest'} in "
                f"{first.country}, and goes on as one of {row.customer or 'a guest'} in {row.country}"
            )
        if skip_of(row) is not None:
            continue
        units = Units(row.stock_code.upper(), abs(row.quantity))
        if row.quantity > 0:
            invoice.sold.append(units)
        elif row.invoice.startswith("C"):
            invoice.returned.append(units)
        else:
            invoice.written_off.append(units)
    return invoice
