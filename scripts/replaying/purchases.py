"""Who bought what, so that a cancellation, which does not say what it cancels, finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scripts.replaying.invoices import Invoice, Units


@dataclass(slots=True, eq=False)
class Sale:
    """An order, and what came of it once the service has answered."""

    invoice: Invoice
    """The order."""
    reservation_id: str = ""
    """Of the reservation that was consumed; empty when the order was refused, or has no answer yet."""


@dataclass(slots=True, eq=False)
class PurchaseLine:
    """One line of a sale that some later cancellation may be about."""

    sale: Sale
    """The order."""
    line_id: str
    """The line's name in the reservation."""
    wanted: int
    """Units ordered that nobody has cancelled yet, whether they were granted or not."""
    granted: int = 0
    """Units sold that have not come back yet; 0 until the service has answered."""

    def give_back(self, units: int) -> int:
        """Units of these that were really sold and now come back; the others never left the shelf."""
        real = min(units, self.granted)
        self.granted -= real
        return real


class Match(NamedTuple):
    """Units of a cancellation and the purchase they belong to."""

    line: PurchaseLine
    """The purchase."""
    quantity: int
    """Units, above zero."""


class Purchases:
    """The purchases of customers, newest last."""

    def __init__(self, brought_back: frozenset[tuple[str, str]]) -> None:
        """`brought_back`: customer and SKU of what is worth remembering, because some of it comes back."""
        self._brought_back = brought_back
        self._lines: dict[tuple[str, str], list[PurchaseLine]] = {}

    def add(self, sale: Sale) -> list[PurchaseLine]:
        """Remembers an order before it is decided; gives the lines that wait for what will be granted."""
        customer = sale.invoice.customer
        if not customer:
            return []
        kept: list[PurchaseLine] = []
        for number, (sku, quantity) in enumerate(sale.invoice.sold, 1):
            if (customer, sku) in self._brought_back:
                line = PurchaseLine(sale, str(number), quantity)
                self._lines.setdefault((customer, sku), []).append(line)
                kept.append(line)
        return kept

    def take_back(self, customer: str, units: Units) -> tuple[list[Match], int]:
        """What a cancelled line was bought as, the newest purchase first, and the units nobody is known to have bought.

        Guests are not known from one another: nothing matches. A purchase is matched for no more than was ordered, and
        by what was ordered, not granted: who cancels a refused order must not be given stock for it.
        """
        bought = self._lines.get((customer, units.sku), []) if customer else []
        matches: list[Match] = []
        left = units.quantity
        while left and bought:
            line = bought[-1]
            share = min(left, line.wanted)
            line.wanted -= share
            left -= share
            matches.append(Match(line, share))
            if not line.wanted:
                bought.pop()
        return matches, left
