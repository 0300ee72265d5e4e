"""ReassignPart: a sale that one location will not serve goes to another. Row 18 of the settlement table."""

from __future__ import annotations

from .checks import fallback_violation, path_violation
from .commands import ReassignPart
from .consume import sell
from .feed import withdraw
from .journal import Batch
from .outcomes import Invalid, NotRejected, Reassigned, Refusal, StockNotFound, Violation
from .promise import Ask, Draft
from .reserve import Plan, claim_cap, part_for, plan_takes
from .settle import line_parts, rule_s
from .state import Part, Place, Reservation
from .update import find_reservation


def reassign_part(batch: Batch, organization: str, caller: str, command: ReassignPart) -> Reassigned | Refusal:
    """c → the pool that gave it, and at the other location p.a → c (OWNED: out), judged as a new promise; both or
    neither. What may move is what the part's till rejected, or was not sent yet."""
    reservation = find_reservation(batch, organization, command.reservation_id)
    if not isinstance(reservation, Reservation):
        return reservation
    policy = batch.policy(organization)
    part = next((each for each in reservation.parts if each.number == command.part_number), None)
    if part is None:
        text = f"the reservation has the parts 1 to {len(reservation.parts)}"
        return Invalid((Violation("part_number", "PART_NOT_FOUND", text),))
    key = part.stock.key._replace(location=command.location)
    path = part.asked_path if command.path is None else command.path
    fallback = command.fallback or policy.widest_fallback(path)
    violations = [
        violation
        for violation in (
            path_violation(policy, path, "path"),
            fallback_violation(policy, path, command.fallback, "fallback"),
        )
        if violation is not None
    ]
    if key == part.stock.key:
        text = f"the part is at {command.location!r} already; name another location"
        violations.append(Violation("location", "SAME_LOCATION", text))
    if violations:
        return Invalid(tuple(violations))
    till = part.till
    movable = till.revocable if till is not None else 0
    quantity = command.quantity or movable
    if till is None or not movable or quantity > movable:
        return NotRejected(reservation, part.line_id, command.quantity, movable)
    stock = batch.stocks.get(key)
    if stock is None:
        return StockNotFound(key, "location")
    ask = Ask(part.line_number, part.line_id, path, quantity, fallback, part.located, key, (stock,))
    plan = plan_takes(Draft(policy), [ask._replace(located=True)], partial=False, split=False)
    if not isinstance(plan, Plan):
        return plan
    withdraw(till, min(quantity, till.unsent))
    till.ordered -= quantity
    till.changed = True
    cancelled = part.cancelled
    rule_s(batch, policy, reservation, line_parts(reservation, part))
    # The units go on elsewhere: they are no longer granted to this part, rather than cancelled.
    part.granted -= part.cancelled - cancelled
    part.cancelled = cancelled
    taken_over: list[Part] = []
    for take in plan.takes:
        successor = part_for(reservation, ask, take.stock, take.path)
        successor.requested = part.requested
        successor.granted += take.quantity
        claim_cap(successor, take.quantity)
        sell(batch, policy, reservation, successor, take.quantity, Place.FREE, caller)
        if successor.till is not None and not successor.till.moved_from:
            successor.till.moved_from = part.number
        taken_over.append(successor)
    reservation.touch()
    return Reassigned(reservation, tuple(taken_over), stock.net < 0)
