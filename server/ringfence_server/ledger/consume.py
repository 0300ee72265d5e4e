"""Consume: making held or free units a sale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .commands import Consume, ConsumeDirect, LineQuantity
from .feed import tell_order
from .journal import Batch
from .lease import give_back
from .names import MAX_INT64, MAX_QUANTITY
from .outcomes import (
    Consumed,
    Insufficient,
    Invalid,
    LeaseExpired,
    NotHeld,
    OrderReferenceInUse,
    Overflow,
    Refusal,
    Violation,
)
from .policy import LocationKind, Policy
from .promise import Ask, Draft
from .reserve import Plan, asks_of, claim_cap, open_reservation, part_for, plan_takes
from .settle import line_parts as parts_of_line
from .settle import rule_s
from .state import EntryKind, Part, Place, Pool, Reservation, Stock
from .supply import change_measure
from .till_state import TillSale
from .update import find_reservation, lines_by_id, unknown_line


def consume(batch: Batch, organization: str, caller: str, command: Consume) -> Consumed | Refusal:
    """p.h → p.c (at an OWNED location: out, the measure − q), own units first.

    Consume of a live hold never needs net. A lease that is over is refused unless ``revive`` lets it take its stock
    back, which is judged as a new promise.
    """
    reservation = find_reservation(batch, organization, command.reservation_id)
    if not isinstance(reservation, Reservation):
        return reservation
    policy = batch.policy(organization)
    refusal = _reference_refusal(batch, organization, caller, command.order_reference, reservation)
    if refusal is not None:
        return refusal
    wanted = _wanted(reservation, command.lines)
    if isinstance(wanted, Invalid):
        return wanted
    revive = policy.leases.revive_by_default if command.revive is None else command.revive
    revivals: list[tuple[list[Part], int]] = []
    for parts, quantity in wanted:
        held = sum(part.held for part in parts)
        if quantity > held:
            expired = sum(part.expired for part in parts)
            line_id = parts[0].line_id
            if quantity > held + expired:
                return NotHeld(reservation, line_id, quantity, held + expired if revive else held)
            if not revive:
                return LeaseExpired(reservation, line_id)
            revivals.append((parts, quantity - held))
    if not any(quantity for _, quantity in wanted):
        if any(part.expired for part in reservation.parts):
            return LeaseExpired(reservation, "")
        return NotHeld(reservation, "", 0, 0)
    overflow = _overflow(reservation, (part.stock.pool(part.path) for part in reservation.parts))
    if overflow is not None:
        return overflow
    short = _revive(batch, policy, reservation, revivals)
    if short is not None:
        return short
    sold: list[tuple[str, int]] = []
    stocks: list[Stock] = []
    for parts, quantity in wanted:
        line = parts[0]
        # Read anew: a revive may have given the line a part that it did not have.
        line_parts = [part for part in reservation.parts if part.line_number == line.line_number]
        stocks += _sell_held(batch, policy, reservation, line_parts, quantity, caller)
        sold.append((line.line_id, quantity))
    if command.release_rest:
        for part in reservation.parts:
            if part.held:
                quantity = part.held
                give_back(batch, EntryKind.RELEASE, reservation, part, quantity)
                part.cancelled += quantity
    _finish_sale(batch, reservation, caller, command.order_reference, command.attributes)
    reservation.touch()
    return Consumed(reservation, _at_risk(stocks), tuple(sold))


def consume_direct(batch: Batch, organization: str, caller: str, command: ConsumeDirect) -> Consumed | Refusal:
    """p.a → p.c (at an OWNED location: out), making a reservation; judged as Reserve is, all or nothing."""
    policy = batch.policy(organization)
    refusal = _reference_refusal(batch, organization, caller, command.order_reference, None)
    if refusal is not None:
        return refusal
    asks = asks_of(batch, policy, command.lines)
    if not isinstance(asks, list):
        return asks
    plan = plan_takes(Draft(policy), asks, partial=False, split=command.allow_split and policy.allow_split)
    if not isinstance(plan, Plan):
        return plan
    for take in plan.takes:
        if take.stock.pool(take.path).consumed > MAX_INT64 - MAX_QUANTITY * len(asks):
            return Overflow("lines", f"the sales of pool {take.path!r} would leave 64 bits")
    reservation = open_reservation(batch, organization, caller, command.owner, None, plan.takes)
    for take in plan.takes:
        part = part_for(reservation, asks[take.ask.number], take.stock, take.path)
        part.granted += take.quantity
        claim_cap(part, take.quantity)
        sell(batch, policy, reservation, part, take.quantity, Place.FREE, caller)
    _finish_sale(batch, reservation, caller, command.order_reference, command.attributes)
    sold = tuple((ask.line_id, ask.quantity) for ask in asks)
    return Consumed(reservation, _at_risk(take.stock for take in plan.takes), sold)


def _reference_refusal(
    batch: Batch, organization: str, caller: str, order_reference: str, reservation: Reservation | None
) -> OrderReferenceInUse | Invalid | None:
    """An order reference names one reservation of a caller, and a reservation keeps the one it has."""
    if not order_reference:
        return None
    holder = batch.order_references.get((organization, caller, order_reference))
    if holder is not None and (reservation is None or holder != reservation.reservation_id):
        return OrderReferenceInUse(order_reference, holder)
    if reservation is not None and reservation.order_reference not in ("", order_reference):
        return Invalid(
            (
                Violation(
                    "order_reference",
                    "ORDER_REFERENCE_FIXED",
                    f"the reservation already carries {reservation.order_reference!r}; leave it out or repeat it",
                ),
            )
        )
    return None


def _wanted(reservation: Reservation, lines: Sequence[LineQuantity]) -> list[tuple[list[Part], int]] | Invalid:
    """Per line its parts and the units to sell. No lines: everything that is held or, when nothing is, that expired."""
    known = lines_by_id(reservation)
    if not lines:
        held = [(parts, sum(part.held for part in parts)) for parts in known.values()]
        if not any(quantity for _, quantity in held):
            held = [(parts, sum(part.expired for part in parts)) for parts in known.values()]
        return [(parts, quantity) for parts, quantity in held if quantity]
    wanted: list[tuple[list[Part], int]] = []
    for number, line in enumerate(lines):
        parts = known.get(line.line_id)
        if parts is None:
            return unknown_line(f"lines[{number}].line_id", line.line_id, list(known))
        everything = sum(part.held for part in parts) or sum(part.expired for part in parts)
        wanted.append((parts, line.quantity or everything))
    return wanted


def _overflow(reservation: Reservation, pools: Iterable[Pool]) -> Overflow | None:
    """Whether some pool's sales could not count all that the reservation may sell of it."""
    granted = sum(part.granted for part in reservation.parts)
    for pool in pools:
        if pool.consumed > MAX_INT64 - granted:
            return Overflow("reservation_id", f"the sales of pool {pool.path!r} would leave 64 bits")
    return None


def _revive(
    batch: Batch, policy: Policy, reservation: Reservation, revivals: Sequence[tuple[list[Part], int]]
) -> Insufficient | Overflow | None:
    """Promises expired units anew, at the stocks that had given them; all of them or nothing."""
    if not revivals:
        return None
    asks: list[Ask] = []
    for parts, quantity in revivals:
        first = parts[0]
        stocks = tuple(dict.fromkeys(part.stock for part in parts if part.expired))
        key = first.stock.key if first.located else first.stock.key._replace(location="")
        fallback = policy.narrowed(first.asked_path, first.fallback)
        asks.append(
            Ask(first.line_number, first.line_id, first.asked_path, quantity, fallback, first.located, key, stocks)
        )
    plan = plan_takes(Draft(policy), asks, partial=False, split=True)
    if not isinstance(plan, Plan):
        return plan
    overflow = _overflow(reservation, (take.stock.pool(take.path) for take in plan.takes))
    if overflow is not None:
        return overflow
    by_number = {ask.number: (ask, parts) for ask, (parts, _) in zip(asks, revivals, strict=True)}
    for take in plan.takes:
        ask, parts = by_number[take.ask.number]
        part = part_for(reservation, ask, take.stock, take.path)
        part.requested = parts[0].requested
        pool = take.stock.pool(take.path)
        batch.move(EntryKind.REVIVE, take.stock, take.quantity, pool, Place.FREE, pool, Place.HELD, reservation, part)
        part.granted += take.quantity
        part.held += take.quantity
        claim_cap(part, take.quantity)
        _forget_expired(part, parts, take.quantity)
    return None


def _forget_expired(revived: Part, parts: Sequence[Part], quantity: int) -> None:
    """Revived units are no longer expired ones: each unit granted to a line is counted once."""
    for part in sorted(parts, key=lambda part: part is not revived):
        share = min(quantity, part.expired)
        part.expired -= share
        part.granted -= share
        part.changed = True
        quantity -= share


def _sell_held(
    batch: Batch, policy: Policy, reservation: Reservation, parts: Sequence[Part], quantity: int, channel: str
) -> list[Stock]:
    """Own units first, then borrowed ones, in the order they were granted; answers the stocks that they came from."""
    stocks: list[Stock] = []
    for part in sorted(parts, key=lambda part: (part.borrowed, part.number)):
        share = min(quantity, part.held)
        if share:
            part.held -= share
            sell(batch, policy, reservation, part, share, Place.HELD, channel)
            stocks.append(part.stock)
            quantity -= share
    return stocks


def sell(
    batch: Batch, policy: Policy, reservation: Reservation, part: Part, quantity: int, place: Place, channel: str
) -> None:
    """Row 1 and row 24: units of a part, held or free, are sold. At an OWNED location they leave the count at once; at
    a TILL they are c, and the till is to be told."""
    stock = part.stock
    pool: Pool = stock.pool(part.path)
    location = policy.location(stock.key.location)
    if location.kind is LocationKind.OWNED:
        # The service keeps this count: the sale leaves the pools and the measure at once, in one movement.
        measure = location.settlement_measure
        batch.move(EntryKind.CONSUME, stock, quantity, pool, place, None, Place.SOLD, reservation, part, measure)
        change_measure(stock, measure, -quantity)
        part.settled += quantity
        part.settled_time = batch.record_time
    else:
        batch.move(EntryKind.CONSUME, stock, quantity, pool, place, pool, Place.UNSETTLED, reservation, part)
        part.unsettled += quantity
        pool.consumed += quantity
        _sell_at_till(batch, policy, reservation, part, quantity, channel)
        return
    pool.consumed += quantity


def _sell_at_till(
    batch: Batch, policy: Policy, reservation: Reservation, part: Part, quantity: int, channel: str
) -> None:
    till = part.till
    if till is None:
        till = part.till = TillSale()
        batch.add_sale(reservation, part)
    till.ordered += quantity
    till.awaiting = till.changed = True
    tell_order(batch, part, quantity, channel)
    parts = parts_of_line(reservation, part)
    if any(each.till is not None and (each.till.bookings or each.till.closed) for each in parts):
        # The till was quicker: it booked the line while it was only held, or after its lease had ended.
        rule_s(batch, policy, reservation, parts)


def _finish_sale(batch: Batch, reservation: Reservation, caller: str, order_reference: str, attributes: bytes) -> None:
    if reservation.consume_time is None:
        reservation.consume_time = batch.record_time
    if attributes:
        reservation.attributes = attributes
    if order_reference and not reservation.order_reference:
        reservation.order_reference = order_reference
        # Of the caller that sells: it need not be the one that reserved, and it is the one that was checked.
        owner = (reservation.organization, caller, order_reference)
        batch.order_references[owner] = reservation.reservation_id
        batch.new_order_references.append((*owner, reservation.reservation_id))


def _at_risk(stocks: Iterable[Stock]) -> bool:
    """Whether more is promised on a key of the sale than is there."""
    return any(stock.net < 0 for stock in stocks)
