"""Cancel: taking back whatever is left of a reservation, in every state, and saying when it can be sold again."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import Cancel
from .journal import Batch
from .lease import give_back, release_cap
from .outcomes import Cancelled, CancelledLine, NotHeld, Refusal, Restock
from .policy import LocationKind, Policy
from .state import EntryKind, Part, Place, Reservation
from .supply import change_measure
from .update import find_reservation, lines_by_id, unknown_line


def cancel(batch: Batch, organization: str, command: Cancel) -> Cancelled | Refusal:
    """Without lines it takes back whatever is left, be it nothing; with lines it is strict.

    A hold, an unsent sale and a sale of an OWNED location come back at once, to the pool that gave them or its nearest
    living ancestor; no cap refuses what comes back.
    """
    reservation = find_reservation(batch, organization, command.reservation_id)
    if not isinstance(reservation, Reservation):
        return reservation
    policy = batch.policy(organization)
    known = lines_by_id(reservation)
    wanted: list[tuple[list[Part], int]] = []
    if command.lines:
        for number, line in enumerate(command.lines):
            parts = known.get(line.line_id)
            if parts is None:
                return unknown_line(f"lines[{number}].line_id", line.line_id, list(known))
            left = sum(_left(policy, part) for part in parts)
            if line.quantity > left:
                return NotHeld(reservation, line.line_id, line.quantity, left)
            wanted.append((parts, line.quantity or left))
        wanted.sort(key=lambda item: item[0][0].line_number)
    else:
        wanted = [(parts, sum(_left(policy, part) for part in parts)) for parts in known.values()]
    cancelled = tuple(_take_back(batch, policy, reservation, parts, quantity) for parts, quantity in wanted)
    if any(line.quantity for line in cancelled):
        reservation.cancel_reason = command.reason
        reservation.cancel_text = command.reason_text
        reservation.touch()
    return Cancelled(reservation, cancelled)


def _left(policy: Policy, part: Part) -> int:
    """Units of a part that a cancellation can take back at once."""
    owned = policy.location(part.stock.key.location).kind is LocationKind.OWNED
    unsent = part.unsettled if part.sent_time is None else 0
    return part.held + unsent + (part.settled if owned else 0)


def _take_back(
    batch: Batch, policy: Policy, reservation: Reservation, parts: Sequence[Part], quantity: int
) -> CancelledLine:
    """Borrowed units first, the latest first; of a part what is held before what is sold."""
    restock = Restock.AT_ONCE if quantity else Restock.NONE
    left = quantity
    for part in sorted(parts, key=lambda part: (part.borrowed, part.number), reverse=True):
        held = min(left, part.held)
        if held:
            give_back(batch, EntryKind.CANCEL, reservation, part, held)
            part.cancelled += held
            left -= held
        if part.unsettled and part.sent_time is None:
            unsent = min(left, part.unsettled)
            if unsent:
                _return_unsent(batch, reservation, part, unsent)
                left -= unsent
        sold = min(left, part.settled)
        location = policy.location(part.stock.key.location)
        if sold and location.kind is LocationKind.OWNED:
            _return_sold(batch, reservation, part, sold, location.settlement_measure)
            left -= sold
    return CancelledLine(parts[0].line_id, quantity, restock)


def _return_unsent(batch: Batch, reservation: Reservation, part: Part, quantity: int) -> None:
    """A sale that no till has been told of: c → the giving pool."""
    stock = part.stock
    pool = stock.pool(part.path)
    batch.move(
        EntryKind.CANCEL,
        stock,
        quantity,
        pool,
        Place.UNSETTLED,
        stock.living_pool(part.path),
        Place.FREE,
        reservation,
        part,
    )
    part.unsettled -= quantity
    part.cancelled += quantity
    pool.consumed -= quantity
    release_cap(part, quantity)


def _return_sold(batch: Batch, reservation: Reservation, part: Part, quantity: int, measure: str) -> None:
    """A sale of an OWNED location: the units come back to the count and to the giving pool."""
    stock = part.stock
    batch.move(
        EntryKind.CANCEL,
        stock,
        quantity,
        None,
        Place.SOLD,
        stock.living_pool(part.path),
        Place.FREE,
        reservation,
        part,
        measure,
    )
    change_measure(stock, measure, quantity)
    part.settled -= quantity
    part.cancelled += quantity
    pool = stock.pool(part.path)
    pool.consumed -= quantity
    pool.changed = True
    release_cap(part, quantity)
