"""Reserve: judging the lines of an order together, and tying units to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .checks import dimensions_violation, fallback_violation, path_violation
from .commands import Reserve, ReserveLine
from .journal import Batch
from .lease import end_of_lease
from .names import MAX_INT64, MAX_LINES, MAX_QUANTITY, StockKey
from .outcomes import Insufficient, Invalid, Overflow, Refusal, Reserved, StockNotFound, Violation
from .policy import Fallback, Policy
from .promise import Ask, Draft, Take, fill_located, shortage_of
from .sourcing import fill_sourced, take_most_at_one
from .sourcing_anew import fill_anew
from .state import EntryKind, Part, Place, Reservation, Stock

_MOST_TAKEN = MAX_INT64 - MAX_LINES * MAX_QUANTITY
"""What a path may have taken before a request: the largest request still fits in 64 bits."""


class Plan(NamedTuple):
    """What a request would take; nothing has moved yet."""

    asks: list[Ask]
    takes: list[Take]
    full: bool


def reserve(batch: Batch, organization: str, caller: str, command: Reserve) -> Reserved | Refusal:
    """p.a → p.h per part; refused when short, unless partial grants are allowed and there is something to give."""
    policy = batch.policy(organization)
    expire_time = end_of_lease(policy.leases, command.lease, batch.now, batch.now)
    if isinstance(expire_time, Violation):
        return Invalid((expire_time,))
    asks = asks_of(batch, policy, command.lines)
    if not isinstance(asks, list):
        return asks
    plan = plan_takes(
        Draft(policy), asks, partial=command.allow_partial, split=command.allow_split and policy.allow_split
    )
    if not isinstance(plan, Plan):
        return plan
    reservation = open_reservation(batch, organization, caller, command.owner, expire_time, plan.takes)
    for take in plan.takes:
        part = part_for(reservation, asks[take.ask.number], take.stock, take.path)
        hold(batch, EntryKind.RESERVE, reservation, part, take.quantity)
    if not plan.full:
        _note_empty_lines(reservation, asks)
    return Reserved(reservation, plan.full)


def asks_of(batch: Batch, policy: Policy, lines: Sequence[ReserveLine]) -> list[Ask] | Invalid | StockNotFound:
    """The lines with their fallback settled and their candidate stocks found; every broken rule at once."""
    asks: list[Ask] = []
    violations: list[Violation] = []
    missing: StockNotFound | None = None
    for number, line in enumerate(lines):
        path, key = line.path, line.key
        if policy.path_fault(path):
            violation = path_violation(policy, path, f"lines[{number}].path")
            assert violation is not None
            violations.append(violation)
        fallback = line.fallback
        if fallback is None:
            fallback = policy.widest_fallback(path)
        elif fallback is Fallback.ANCESTORS:
            violation = fallback_violation(policy, path, fallback, f"lines[{number}].fallback")
            if violation is not None:
                violations.append(violation)
        located = bool(key.location)
        stocks: tuple[Stock, ...]
        if located:
            stock = batch.stocks.get(key)
            stocks = (stock,) if stock is not None else ()
        else:
            stocks = candidates(batch, policy, key)
            if not policy.location_order:
                violations.append(
                    Violation(
                        f"lines[{number}].key.location",
                        "LOCATION_REQUIRED",
                        "name a location: the policy has no location_order to source a line over",
                    )
                )
        if not stocks:
            violation = dimensions_violation(policy, key, f"lines[{number}].key")
            if violation is not None:
                violations.append(violation)
            elif missing is None:
                missing = StockNotFound(key, f"lines[{number}].key")
        asks.append(Ask(number, line.line_id, path, line.quantity, fallback, located, key, stocks))
    if violations:
        return Invalid(tuple(violations))
    return asks if missing is None else missing


def candidates(batch: Batch, policy: Policy, key: StockKey) -> tuple[Stock, ...]:
    """The stocks that may give to a line without a location, in the policy's location order."""
    found = (batch.stocks.get(key._replace(location=name)) for name in policy.location_order)
    return tuple(stock for stock in found if stock is not None)


def plan_takes(draft: Draft, asks: list[Ask], *, partial: bool, split: bool) -> Plan | Insufficient | Overflow:
    """Judges all lines of a request together: located lines first, then those to be sourced."""
    wanted: dict[int, int] = {}
    # By what the caller named, not by how many candidates there are: all lines to be sourced are judged together.
    located: list[Ask] = []
    sourced: list[Ask] = []
    for ask in asks:
        wanted[ask.number] = ask.quantity
        (located if ask.located else sourced).append(ask)
    fill_located(draft, located, wanted)
    if sourced:
        fill_sourced(draft, sourced, wanted, split=split)
        if any(wanted.values()):
            fill_anew(draft, asks, wanted, split=split)
        if not split:
            take_most_at_one(draft, sourced, wanted)
    full = not any(wanted.values())
    if not full and not (partial and draft.takes):
        short = [ask for ask in asks if wanted[ask.number]]
        return Insufficient(tuple(shortage_of(draft, ask, wanted[ask.number], split=split) for ask in short))
    for take in draft.takes:
        pool = take.stock.pools.get(take.ask.path)
        if pool is not None and pool.taken > _MOST_TAKEN:
            return Overflow("lines", f"the sales of path {take.ask.path!r} would leave 64 bits")
    return Plan(asks, draft.takes, full)


def open_reservation(
    batch: Batch, organization: str, caller: str, owner: str, expire_time: int | None, takes: Sequence[Take]
) -> Reservation:
    """A new reservation without parts; it lies beside what it takes first."""
    reservation = Reservation(
        batch.new_reservation_id(takes[0].stock), organization, caller, owner, expire_time, batch.record_time
    )
    batch.reservations[reservation.reservation_id] = reservation
    return reservation


def part_for(reservation: Reservation, ask: Ask, stock: Stock, path: str) -> Part:
    """The line's part for this stock and pool, made when it has none yet."""
    for part in reversed(reservation.parts):
        if part.line_number == ask.number and part.stock is stock and part.path == path:
            return part
    part = Part(
        len(reservation.parts) + 1,
        ask.number,
        ask.line_id,
        stock,
        path,
        ask.path,
        ask.fallback,
        ask.located,
        ask.quantity,
        reservation.expire_time,
    )
    reservation.parts.append(part)
    return part


def hold(batch: Batch, kind: EntryKind, reservation: Reservation, part: Part, quantity: int) -> None:
    """Ties free units of the part's pool to the reservation."""
    stock = part.stock
    pool = stock.pool(part.path)
    batch.move(kind, stock, quantity, pool, Place.FREE, pool, Place.HELD, reservation, part)
    part.granted += quantity
    part.held += quantity
    claim_cap(part, quantity)


def claim_cap(part: Part, quantity: int) -> None:
    """Counts units toward the sales_cap of the path that asked, wherever they came from."""
    asked = part.stock.pool(part.asked_path)
    asked.taken += quantity
    asked.changed = True


def _note_empty_lines(reservation: Reservation, asks: list[Ask]) -> None:
    """A line that a partial grant left with nothing is still a line of the order."""
    granted = {part.line_number for part in reservation.parts}
    for ask in asks:
        if ask.number not in granted:
            part_for(reservation, ask, ask.stocks[0], ask.path)
