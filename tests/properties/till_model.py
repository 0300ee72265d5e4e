"""A small model of settlement, written from settlement.md and not from the ledger: what a balance has to be, added up
anew from the facts each time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Sale:
    """What is known of the units that one location sold, or holds, for one order."""

    location: str
    held: int = 0
    ordered: int = 0
    """n: sold, and not given up by the channel or with the till's consent."""
    unsent: int = 0
    bookings: dict[int, int] = field(default_factory=dict)
    closed: bool = False
    rejected: bool = False
    cancelling: int = 0

    def booked(self, position: int | None = None) -> int:
        """Units booked up to a position, of the units sold."""
        total = sum(units for at, units in self.bookings.items() if position is None or at <= position)
        return min(max(0, total), self.ordered)

    def contained(self, position: int) -> int:
        """What a figure of this position has in it."""
        return self.booked(position)

    def coming(self, position: int) -> int:
        """What a later figure will have in it besides, by the bookings that are known."""
        return max([0, *(self.booked(at) for at in self.bookings if at > position)], default=0)

    def undecided(self) -> int:
        """Units of a closed line that were never booked, though something stays booked or the till rejected it."""
        ever = max((self.booked(at) for at in self.bookings), default=0)
        if self.closed and (self.rejected or sum(self.bookings.values()) > 0):
            return max(0, self.ordered - ever - self.cancelling)
        return 0

    def revocable(self) -> int:
        """What can go back at once: not sent and not booked all the same, or undecided."""
        not_booked = max(0, self.ordered - max(0, sum(self.bookings.values())))
        return max(min(self.unsent, not_booked), self.undecided())

    def owed(self, position: int) -> int:
        """c: what the figure does not have yet."""
        contained = self.contained(position)
        known = max(0, self.coming(position) - contained)
        if self.closed:
            return known + self.undecided()
        highest = max((self.booked(at) for at in self.bookings if at <= position), default=0)
        reversed_units = max(0, highest - contained)
        return max(known, self.ordered - contained - min(self.cancelling, reversed_units))


class TillModel:
    """Figures in force and sales, per location."""

    def __init__(self) -> None:
        self.figures: dict[str, tuple[int, int]] = {}
        """Value and position."""
        self.sales: list[Sale] = []

    def position(self, location: str) -> int:
        return self.figures[location][1]

    def owed(self, sale: Sale) -> int:
        return sale.owed(self.position(sale.location))

    def net(self, location: str) -> int:
        """What is there for new promises: the figure, less what is held and what it does not have yet."""
        promised = sum(sale.held + self.owed(sale) for sale in self.sales if sale.location == location)
        return self.figures[location][0] - promised

    def post(self, location: str, value: int, position: int) -> str:
        """A figure; answers what comes of it."""
        known, newest = self.figures[location]
        if position > newest:
            self.figures[location] = (value, position)
            return "APPLIED"
        if position < newest:
            return "STALE"
        return "DUPLICATE" if value == known else "CONFLICT"

    def change(self, location: str, amount: int, position: int, previous: int) -> str:
        """A chained delta."""
        value, newest = self.figures[location]
        if position <= newest:
            return "STALE"
        if previous > newest:
            return "GAP"
        self.figures[location] = (value + amount, position)
        return "APPLIED"

    def tell(self, sale: Sale, bookings: dict[int, int], *, closed: bool, rejected: bool) -> None:
        """A report joins what is known. What is only held is sold by being booked."""
        for at, units in bookings.items():
            sale.bookings.setdefault(at, units)
        if (closed and not sale.closed) or (rejected and not sale.rejected):
            sale.unsent = 0
        sale.closed |= closed or rejected
        sale.rejected |= rejected
        booked = max(0, sum(sale.bookings.values()))
        consumed = max(0, min(sale.held, booked - sale.ordered))
        sale.held -= consumed
        sale.ordered += consumed

    def cancel(self, sale: Sale) -> tuple[int, bool]:
        """Takes back whatever is left; answers the units and whether a till is asked."""
        live = self.owed(sale) + sale.contained(self.position(sale.location))
        at_once = sale.revocable()
        asked = max(0, live - at_once - sale.cancelling)
        held = sale.held
        sale.held = 0
        sale.unsent -= min(sale.unsent, at_once)
        sale.ordered -= at_once
        sale.cancelling += asked
        return held + at_once + asked, asked > 0

    def answer(self, sale: Sale, quantity: int, *, confirmed: bool) -> None:
        """The till's answer to a cancellation."""
        sale.cancelling -= quantity
        if confirmed:
            sale.ordered = max(0, sale.ordered - quantity)
