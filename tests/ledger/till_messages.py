"""What a simulated till says, as facts for the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.adapters.simulated_till import JournalEntry, LineState, Mark, SimulatedTill
from ringfence_server.ledger.commands import Figure, SaleBooking
from ringfence_server.ledger.state import Reservation
from ringfence_server.ledger.till_state import Booking
from tests.ledger.world import BIKE, NORTH, booked, figure


@dataclass(frozen=True)
class Message:
    """One PostStock of a till: the state of a sale line, a figure, or both."""

    state: LineState
    figure: Figure | None


def report(order: Reservation, state: LineState, *, part: int = 1) -> SaleBooking:
    """The whole state of a line as a report about a part."""
    return booked(order, location=NORTH, part=part, closed=state.closed, reject=state.reject_reason)._replace(
        bookings=tuple(Booking(mark.epoch, mark.position, quantity) for mark, quantity in state.bookings)
    )


def reading(till: SimulatedTill, sku: str = BIKE) -> Figure:
    """The till's figure of now."""
    return figure(till.on_hand(sku), sku=sku, location=till.location, position=till.position, epoch=till.epoch)


def chained(till: SimulatedTill, entry: JournalEntry) -> Figure:
    """One movement as a delta, chained to the movement of the same item before it."""
    before = max(
        (each.mark.position for each in till.entries() if each.sku == entry.sku and _is_before(each.mark, entry.mark)),
        default=0,
    )
    return figure(
        entry.change,
        sku=entry.sku,
        location=till.location,
        position=entry.mark.position,
        epoch=entry.mark.epoch,
        previous=before,
    )


def _is_before(one: Mark, other: Mark) -> bool:
    return one.epoch == other.epoch and one.position < other.position
