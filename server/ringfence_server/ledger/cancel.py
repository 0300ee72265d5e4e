"""Cancel: taking back whatever is left of a reservation, in every state, and saying when it can be sold again."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import Cancel
from .feed import end_events, tell_cancellation, withdraw
from .journal import Batch
from .lease import give_back, release_cap
from .outcomes import Cancelled, CancelledLine, NotHeld, Refusal, Restock
from .policy import LocationKind, Policy
from .settle import line_parts, own_first, rule_s
from .state import EntryKind, Part, Place, Reservation
from .supply import change_measure
from .till_state import TillSale
from .update import find_reservation, lines_by_id, unknown_line


def cancel(batch: Batch, organization: str, caller: str, command: Cancel) -> Cancelled | Refusal:
    """Without lines it takes back whatever is left, be it nothing; with lines it is strict. An order or a line that is
    cancelled whole is over: what of it had expired is not revived any more.

    A hold, a sale of an OWNED location, and of a till's what it was not sent or has rejected come back at once, to the
    pool that gave them or its nearest living ancestor; no cap refuses what comes back. Of what a till was sent it is
    asked: the units stay counted until it confirms.
    """
    reservation = find_reservation(batch, organization, command.reservation_id)
    if not isinstance(reservation, Reservation):
        return reservation
    policy = batch.policy(organization)
    known = lines_by_id(reservation)
    wanted: list[tuple[list[Part], int, bool]] = []
    if command.lines:
        for number, line in enumerate(command.lines):
            parts = known.get(line.line_id)
            if parts is None:
                return unknown_line(f"lines[{number}].line_id", line.line_id, list(known))
            left = sum(_left(policy, part) for part in parts)
            if line.quantity > left:
                return NotHeld(reservation, line.line_id, line.quantity, left)
            wanted.append((parts, line.quantity or left, not line.quantity))
        wanted.sort(key=lambda item: item[0][0].line_number)
    else:
        wanted = [(parts, sum(_left(policy, part) for part in parts), True) for parts in known.values()]
    cancelled = tuple(_take_back(batch, policy, reservation, parts, quantity, caller) for parts, quantity, _ in wanted)
    given_up = [_give_up_expired(parts) for parts, _, whole in wanted if whole]
    if any(given_up) or any(line.quantity for line in cancelled):
        reservation.cancel_reason = command.reason
        reservation.cancel_text = command.reason_text
        reservation.touch()
    return Cancelled(reservation, cancelled)


def _left(policy: Policy, part: Part) -> int:
    """Units of a part that a cancellation can take back, at once or by asking the till."""
    if _is_owned(policy, part):
        return part.held + part.settled
    till = part.till
    return part.held if till is None else part.held + till.revocable + _to_ask(part, till)


def _is_owned(policy: Policy, part: Part) -> bool:
    """Whether the service keeps the count where the part is: now, whoever kept it when the part was sold."""
    return policy.location(part.stock.key.location).kind is LocationKind.OWNED


def _to_ask(part: Part, till: TillSale) -> int:
    """Rows 12 and 15: sold units that the till was sent and is not asked about yet, whether it has booked them or
    not."""
    return max(0, part.unsettled + part.settled - till.revocable - till.cancelling)


def _take_back(
    batch: Batch, policy: Policy, reservation: Reservation, parts: Sequence[Part], quantity: int, caller: str
) -> CancelledLine:
    """What comes back at once before what a till is asked for; borrowed units first, the latest first; of a part what
    is held before what is sold."""
    restock = Restock.AT_ONCE if quantity else Restock.NONE
    left = quantity
    latest_first = sorted(parts, key=own_first, reverse=True)
    for part in latest_first:
        held = min(left, part.held)
        if held:
            give_back(batch, EntryKind.CANCEL, reservation, part, held)
            part.cancelled += held
            left -= held
        till = part.till
        if _is_owned(policy, part):
            sold = min(left, part.settled)
            if sold:
                measure = policy.location(part.stock.key.location).settlement_measure
                _return_sold(batch, reservation, part, sold, measure)
                left -= sold
        elif till is not None:
            at_once = min(left, till.revocable)
            if at_once:
                give_up(batch, policy, reservation, part, at_once)
                left -= at_once
    for part in latest_first:
        asked = 0 if part.till is None or _is_owned(policy, part) else min(left, _to_ask(part, part.till))
        if asked and part.till is not None:
            tell_cancellation(batch, part, asked, caller)
            rule_s(batch, policy, reservation, line_parts(reservation, part))
            restock = Restock.WHEN_TILL_CONFIRMS
            left -= asked
    return CancelledLine(parts[0].line_id, quantity, restock)


def _give_up_expired(parts: Sequence[Part]) -> bool:
    """Units whose lease ended are free already; once they are cancelled no late payment revives them."""
    found = False
    for part in parts:
        if part.expired:
            part.cancelled += part.expired
            part.expired = 0
            part.changed = found = True
    return found


def give_up(batch: Batch, policy: Policy, reservation: Reservation, part: Part, quantity: int) -> None:
    """Rows 11 and 18: sold units that no till will book: n falls, and c → the giving pool."""
    till = part.till
    assert till is not None
    withdraw(till, quantity)
    till.ordered -= quantity
    till.changed = part.changed = True
    rule_s(batch, policy, reservation, line_parts(reservation, part))


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
    if part.till is not None:
        # A till kept the count when it was sold: it has no say any more.
        part.till.ordered -= quantity
        part.till.cancelling = min(part.till.cancelling, part.settled)
        part.till.changed = True
        end_events(part.till)
    pool = stock.pool(part.path)
    pool.consumed -= quantity
    pool.changed = True
    release_cap(part, quantity)
