"""UpdateReservation: quantities, lease and owner, by differences."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import LineQuantity, UpdateReservation
from .journal import Batch
from .lease import end_of_lease, give_back
from .outcomes import (
    Invalid,
    LeaseExpired,
    NotHeld,
    Refusal,
    ReservationNotFound,
    RevisionMismatch,
    Updated,
    Violation,
)
from .policy import Policy
from .promise import Ask, Draft
from .reserve import Plan, candidates, hold, part_for, plan_takes
from .state import EntryKind, Part, Reservation, ReservationState, Stock


def update_reservation(batch: Batch, organization: str, command: UpdateReservation) -> Updated | Refusal:
    """A reduction gives back the latest takes first (borrowed before own), an increase asks only for the increment,
    an extension or a change of owner moves nothing. Reductions never need net; increases are promises."""
    reservation = find_reservation(batch, organization, command.reservation_id)
    if not isinstance(reservation, Reservation):
        return reservation
    if command.expected_revision and command.expected_revision != reservation.revision:
        return RevisionMismatch("expected_revision", command.expected_revision, reservation.revision)
    policy = batch.policy(organization)
    expire_time = reservation.expire_time
    if command.lines is not None or command.lease is not None:
        refusal = _not_live(reservation)
        if refusal is not None:
            return refusal
    if command.lease is not None:
        end = end_of_lease(policy.leases, command.lease, batch.now, reservation.create_time)
        if isinstance(end, Violation):
            return Invalid((end,))
        expire_time = end
    reductions: list[tuple[Part, int]] = []
    plan: Plan | None = None
    if command.lines is not None:
        differences = _differences(reservation, command.lines)
        if isinstance(differences, Invalid):
            return differences
        draft = Draft(policy)
        for parts, difference in differences:
            if difference < 0:
                for part, quantity in latest_first(parts, -difference):
                    reductions.append((part, quantity))
                    draft.credit(part.stock, part.stock.living_pool(part.path).path, part.asked_path, quantity)
        split = command.allow_split and policy.allow_split
        asks = [
            _increment(batch, policy, parts, difference, split=split)
            for parts, difference in differences
            if difference > 0
        ]
        judged = plan_takes(draft, asks, partial=False, split=split)
        if not isinstance(judged, Plan):
            return judged
        plan = judged
    if command.owner is not None:
        reservation.owner = command.owner
    if expire_time != reservation.expire_time:
        reservation.expire_time = expire_time
        for part in reservation.parts:
            part.expire_time = expire_time
            part.changed = True
    for part, quantity in reductions:
        give_back(batch, EntryKind.RELEASE, reservation, part, quantity)
        part.cancelled += quantity
    if plan is not None:
        _grow(batch, reservation, plan)
    reservation.touch()
    return Updated(reservation)


def find_reservation(batch: Batch, organization: str, reservation_id: bytes) -> Reservation | ReservationNotFound:
    """The organization's reservation; another organization's does not exist."""
    reservation = batch.reservations.get(reservation_id)
    if reservation is None or reservation.organization != organization:
        return ReservationNotFound(reservation_id)
    return reservation


def lines_by_id(reservation: Reservation) -> dict[str, list[Part]]:
    """The parts of each line, by line_id."""
    return {parts[0].line_id: parts for parts in reservation.lines().values()}


def unknown_line(field: str, line_id: str, known: Sequence[str]) -> Invalid:
    """A line_id that the reservation does not have."""
    names = ", ".join(list(known)[:20])
    return Invalid((Violation(field, "LINE_NOT_FOUND", f"the reservation has no line {line_id!r}; it has: {names}"),))


def latest_first(parts: Sequence[Part], quantity: int) -> list[tuple[Part, int]]:
    """Held units to give back: the latest takes first, borrowed before own."""
    chosen: list[tuple[Part, int]] = []
    for part in sorted(parts, key=lambda part: (part.borrowed, part.number), reverse=True):
        share = min(quantity, part.held)
        if share:
            chosen.append((part, share))
            quantity -= share
    return chosen


def _not_live(reservation: Reservation) -> LeaseExpired | NotHeld | None:
    state = reservation.state
    if state is ReservationState.HELD:
        return None
    if any(part.expired for part in reservation.parts):
        return LeaseExpired(reservation, "")
    return NotHeld(reservation, "", 0, 0)


def _differences(reservation: Reservation, lines: Sequence[LineQuantity]) -> list[tuple[list[Part], int]] | Invalid:
    """Per named line its parts, and the wanted held quantity less the present one."""
    known = lines_by_id(reservation)
    differences: list[tuple[list[Part], int]] = []
    for number, line in enumerate(lines):
        parts = known.get(line.line_id)
        if parts is None:
            return unknown_line(f"lines[{number}].line_id", line.line_id, list(known))
        differences.append((parts, line.quantity - sum(part.held for part in parts)))
    return differences


def _increment(batch: Batch, policy: Policy, parts: list[Part], quantity: int, *, split: bool) -> Ask:
    """The increment as a line of its own: at the line's location, or at those that already give, then the others.

    Unless policy and request let lines be split, a line that has units somewhere grows there or not at all. It borrows
    no further than the policy in force lets its path.
    """
    first = parts[0]
    key = first.stock.key
    stocks: tuple[Stock, ...]
    if first.located:
        stocks = (first.stock,)
    else:
        giving = [part.stock for part in parts if part.held or part.sold]
        others = candidates(batch, policy, key) if split or not giving else ()
        stocks = tuple(dict.fromkeys((*giving, *others)))
        key = key._replace(location="")
    fallback = policy.narrowed(first.asked_path, first.fallback)
    return Ask(first.line_number, first.line_id, first.asked_path, quantity, fallback, first.located, key, stocks)


def _grow(batch: Batch, reservation: Reservation, plan: Plan) -> None:
    by_number = {ask.number: ask for ask in plan.asks}
    requested: dict[int, int] = {}
    for number, parts in reservation.lines().items():
        if number in by_number:
            # What a partial grant left out was asked for already: making it up asks for no more.
            granted = sum(part.granted for part in parts) + by_number[number].quantity
            requested[number] = max(parts[0].requested, granted)
            for part in parts:
                part.requested = requested[number]
                part.changed = True
    for take in plan.takes:
        ask = by_number[take.ask.number]
        part = part_for(reservation, ask, take.stock, take.path)
        part.requested = requested[ask.number]
        hold(batch, EntryKind.RESERVE, reservation, part, take.quantity)
