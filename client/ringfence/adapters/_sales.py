"""Sale lines between two reads: which bookings a till's totals mean, and which lines the service has yet to hear of.

The position of a booking is the one of the first read that saw it. It is remembered, durably, before it is posted: the
same booking at two positions would be two bookings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringfence._facts import Booking, SaleBooking
from ringfence.adapters._types import AdapterError, SaleTotal

MOST_BOOKINGS = 64
"""Bookings of one line that the service takes."""
FORGET_AFTER_READS = 1_000
"""A closed line is forgotten when so many reads did not mention it any more."""
MOST_LINES = 200_000
"""Lines that are remembered."""


@dataclass(slots=True)
class SaleLine:
    """One sale line as the till has reported it."""

    name: tuple[str, ...]
    """Location, and what names the sale."""
    dimensions: dict[str, str]
    bookings: list[tuple[int, int, int]] = field(default_factory=list)
    """Epoch, position and quantity of each."""
    closed: bool = False
    reject_reason: str = ""
    confirmed: bool = False
    """Whether the service has taken this very state."""
    total: bool = False
    """Whether the till says totals: then the line is needed for the next difference."""
    seen: int = 0
    """The runner's number of the last read that mentioned it."""

    def booked_in(self, epoch: int) -> int:
        """Units booked so far, as told in one life of the till."""
        return sum(quantity for at, _, quantity in self.bookings if at == epoch)

    def booked_before(self, epoch: int) -> int:
        """Units booked so far, as told last before this life of the till; 0 once this one has told of the line."""
        told = max((at for at, _, _ in self.bookings), default=epoch)
        return self.booked_in(told) if told < epoch else 0

    def booking(self) -> SaleBooking:
        """The line for the service."""
        location, order_reference, channel, line_id, sku, reservation_id, part_number = self.name
        return SaleBooking(
            location,
            [Booking(position, quantity, epoch=epoch) for epoch, position, quantity in self.bookings],
            reservation=reservation_id,
            part_number=int(part_number),
            order_reference=order_reference,
            channel=channel,
            line_id=line_id,
            sku=sku,
            dimensions=self.dimensions,
            closed=self.closed,
            reject_reason=self.reject_reason,
        )


class Sales:
    """The lines that are not done with."""

    def __init__(self, values: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lines: dict[tuple[Any, ...], SaleLine] = {}
        for value in values:
            line = SaleLine(
                name=tuple(value["name"]),
                dimensions=dict(value["dimensions"]),
                bookings=[(epoch, position, quantity) for epoch, position, quantity in value["bookings"]],
                closed=value["closed"],
                reject_reason=value["reject_reason"],
                confirmed=value["confirmed"],
                total=value["total"],
                seen=value["seen"],
            )
            self._lines[_key(line)] = line

    def values(self) -> list[dict[str, Any]]:
        """The lines as plain values."""
        return [
            {
                "name": list(line.name),
                "dimensions": line.dimensions,
                "bookings": [list(booking) for booking in line.bookings],
                "closed": line.closed,
                "reject_reason": line.reject_reason,
                "confirmed": line.confirmed,
                "total": line.total,
                "seen": line.seen,
            }
            for line in self._lines.values()
        ]

    def __len__(self) -> int:
        return len(self._lines)

    def take_total(self, total: SaleTotal, *, epoch: int, position: int, read: int) -> None:
        """Takes in what a till says is booked so far: the difference to before is a booking at this read's position.

        Raises AdapterError when a line has more movements than the service takes.
        """
        line = self._line(_line_of(total))
        line.seen = read
        # A new till tells what was booked before anew, in its own positions.
        difference = total.booked - line.booked_in(epoch)
        movements = [(position, difference)] if difference else []
        undone = line.booked_before(epoch)
        if not total.booked and undone and position > 1:
            # That all of it was undone in between takes two movements: of a sum of 0 there is nothing to tell.
            movements = [(position - 1, undone), (position, -undone)]
        if movements:
            if len(line.bookings) + len(movements) > MOST_BOOKINGS:
                raise AdapterError(
                    f"order {total.order_reference or total.reservation_id}: more than {MOST_BOOKINGS} movements of "
                    "one line; close it in the till"
                )
            line.bookings += [(epoch, at, quantity) for at, quantity in movements]
            line.confirmed = False
        if (total.closed or total.reject_reason) and not line.closed:
            line.closed = True
            line.confirmed = False
        if total.reject_reason and total.reject_reason != line.reject_reason:
            line.reject_reason = total.reject_reason
            line.confirmed = False

    def take_booking(self, sale: SaleBooking, *, read: int) -> None:
        """Takes in journal movements of a line; those that are there already are left."""
        reservation_id = sale.reservation if isinstance(sale.reservation, str) else sale.reservation.reservation_id
        name = (
            sale.location,
            sale.order_reference,
            sale.channel,
            sale.line_id,
            sale.sku,
            reservation_id,
            str(sale.part_number),
        )
        line = self._line(SaleLine(name, dict(sale.dimensions)))
        line.seen = read
        line.confirmed = False
        bookings = (sale.bookings,) if isinstance(sale.bookings, Booking) else sale.bookings
        for booking in bookings:
            found = (booking.epoch, booking.position, booking.quantity)
            if found not in line.bookings:
                line.bookings.append(found)
        line.closed = line.closed or sale.closed or bool(sale.reject_reason)
        line.reject_reason = sale.reject_reason or line.reject_reason

    def unconfirmed(self) -> list[SaleLine]:
        """The lines whose state the service has not taken."""
        return [line for line in self._lines.values() if not line.confirmed and (line.bookings or line.closed)]

    def confirm(self, line: SaleLine, read: int) -> None:
        """The service has taken this state of the line."""
        line.confirmed = True
        if not line.total:
            del self._lines[_key(line)]

    def forget(self, read: int) -> int:
        """Drops what need not be remembered; gives how many lines were dropped that the service has never taken.

        Raises AdapterError when there are still too many.
        """
        for key, line in list(self._lines.items()):
            if line.confirmed and line.closed and line.seen + FORGET_AFTER_READS < read:
                del self._lines[key]
        dropped = 0
        if len(self._lines) > MOST_LINES:
            # Orders that the service never came to know, oldest first: everything else is needed.
            for key, line in list(self._lines.items()):
                if len(self._lines) <= MOST_LINES:
                    break
                if not line.confirmed and not line.total:
                    del self._lines[key]
                    dropped += 1
        if len(self._lines) > MOST_LINES:
            raise AdapterError(f"more than {MOST_LINES:,} sale lines are open: have the till close what is done")
        return dropped

    def _line(self, line: SaleLine) -> SaleLine:
        return self._lines.setdefault(_key(line), line)


def key_of(total: SaleTotal) -> tuple[Any, ...]:
    """What makes two totals those of one line."""
    return _key(_line_of(total))


def _line_of(total: SaleTotal) -> SaleLine:
    name = (
        total.location,
        total.order_reference,
        total.channel,
        total.line_id,
        total.sku,
        total.reservation_id,
        str(total.part_number),
    )
    return SaleLine(name, dict(total.dimensions), total=True)


def _key(line: SaleLine) -> tuple[Any, ...]:
    return (*line.name, *sorted(line.dimensions.items()))
