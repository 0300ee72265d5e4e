"""What happened during a replay, counted on this side of the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence import RingfenceError
from scripts.replaying.invoices import Invoice

_MOST_EXAMPLES = 10


@dataclass(slots=True)
class Movements:
    """Units of one SKU that came and went, by the answers of the service."""

    opening: int = 0
    """Posted at the start."""
    sold: int = 0
    """Consumed."""
    cancelled: int = 0
    """Of what was sold, taken back by Cancel."""
    returned: int = 0
    """Posted as a difference: came back, and nobody is known to have bought it."""
    written_off: int = 0
    """Posted as a difference: lost. Above zero."""

    @property
    def on_hand(self) -> int:
        """What must be left."""
        return self.opening - self.sold + self.cancelled + self.returned - self.written_off


class Bound(NamedTuple):
    """What stood in a line's way."""

    reason: str
    """A ShortageReason, or GRANTED_IN_PART."""
    path: str
    """The path that asked."""
    bound_path: str
    """The pool that had no more; empty is the common pool, or the whole SKU with NET_SHORT."""
    sku: str
    """The item."""


GRANTED_IN_PART = "granted in part"
"""The reason noted for a line that got less than it asked for; the service gives reasons only with a refusal."""


@dataclass(slots=True)
class Missing:
    """Lines that were short, and by how much."""

    lines: int = 0
    units: int = 0


@dataclass(slots=True)
class Tally:
    """Everything that is counted. Only answers count: what was sent and not answered is an error."""

    movements: dict[str, Movements] = field(default_factory=dict)
    """By SKU."""
    file_lines: int = 0
    """Lines of the file that were dealt with, those that move no stock included."""
    invoices: int = 0
    """Invoices dealt with."""
    lines: int = 0
    """Lines that moved stock or were refused: of orders, cancellations and write-offs."""
    commands: int = 0
    """Commands answered, opening stock and quotas not counted."""
    accepted: int = 0
    """Orders sold, in full or in part."""
    accepted_lines: int = 0
    """Their lines."""
    in_part: int = 0
    """Of them those that did not get all they asked for."""
    refused: int = 0
    """Orders refused because they were short."""
    refused_lines: int = 0
    """All lines of refused orders: most of them were not short themselves."""
    refused_units: int = 0
    """Units of refused orders, and what orders granted in part did not get."""
    missing: dict[Bound, Missing] = field(default_factory=dict)
    """What stood in the way of the lines that were short."""
    cancellations: int = 0
    """Cancelling invoices dealt with."""
    void_units: int = 0
    """Cancelled units that had never been granted: nothing to take back."""
    write_offs: int = 0
    """Invoices that wrote stock off."""
    errors: Counter[str] = field(default_factory=Counter)
    """What should not have happened, by kind."""
    examples: list[str] = field(default_factory=list)
    """The first of them in words."""

    @property
    def orders(self) -> int:
        """Orders decided."""
        return self.accepted + self.refused

    def of(self, sku: str) -> Movements:
        """The movements of a SKU."""
        found = self.movements.get(sku)
        if found is None:
            found = self.movements[sku] = Movements()
        return found

    def total(self) -> Movements:
        """The movements of all SKUs."""
        total = Movements()
        for each in self.movements.values():
            total.opening += each.opening
            total.sold += each.sold
            total.cancelled += each.cancelled
            total.returned += each.returned
            total.written_off += each.written_off
        return total

    def short(self, bound: Bound, units: int) -> None:
        """A line is short by so many units."""
        missing = self.missing.setdefault(bound, Missing())
        missing.lines += 1
        missing.units += units

    def refuse(self, invoice: Invoice, shortages: Iterable[tuple[Bound, int]]) -> None:
        """An order was refused for these lines."""
        self.refused += 1
        self.refused_lines += len(invoice.sold)
        self.refused_units += sum(quantity for _, quantity in invoice.sold)
        for bound, units in shortages:
            self.short(bound, units)

    def error(self, error: RingfenceError | str, what: str) -> None:
        """Something happened that must not."""
        text = str(error)
        self.errors[type(error).__name__ if isinstance(error, RingfenceError) else text] += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{what}: {text}")
