"""Row 20 of the settlement table: a sale that the till of another store booked."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import SaleBooking
from .feed import withdraw
from .journal import Batch
from .lease import release_cap
from .names import COMMON, StockKey
from .policy import Fallback, Policy
from .reserve import claim_cap
from .sale_line import booked_of_line, line_at, list_misfit, open_sale
from .settle import line_parts, rule_s
from .state import EntryKind, Part, Place, Reservation, Stock
from .till_state import DiscrepancyKind, Mark


def part_booked(
    batch: Batch,
    policy: Policy,
    reservation: Reservation,
    candidates: Sequence[Part],
    source: str,
    report: SaleBooking,
) -> tuple[Part, int]:
    """The part at the till's own location that the report is about; where the line has none, or only what moved there
    before, the store takes over what it booked. Answers the units that moved now, too."""
    here = [part for part in candidates if part.stock.key.location == report.location]
    if any(part.till is None or not part.till.moved_from for part in here):
        return here[0], 0
    origins = [part for part in candidates if part not in here]
    if not origins:
        numbers = {part.till.moved_from for part in here if part.till is not None}
        origins = [part for part in reservation.parts if part.number in numbers]
    stock = _stock_at(batch, policy, origins[0].stock.key._replace(location=report.location))
    there = _part_at(batch, reservation, origins[0], stock)
    moved = 0
    for origin in dict.fromkeys(each.stock for each in origins):
        first = next(part for part in origins if part.stock is origin)
        moved += _move_store(batch, policy, reservation, first, there, source, report)
    return there, moved


def _move_store(
    batch: Batch,
    policy: Policy,
    reservation: Reservation,
    origin: Part,
    there: Part,
    source: str,
    report: SaleBooking,
) -> int:
    """Row 20: booked in another store. What the part owes and that store booked moves there: A: c → the giving pool,
    B: common.a → c. Answers the units that moved now."""
    assert there.till is not None
    known = {
        Mark(booking.epoch, booking.position): booking.quantity for booking in report.bookings
    } | there.till.bookings
    total = peak = epoch = 0
    for mark, quantity in sorted(known.items()):
        # Each epoch tells the whole state anew.
        total = quantity if mark.epoch != epoch else total + quantity
        epoch = mark.epoch
        peak = max(peak, total)
    wanted = peak - there.till.ordered
    moved = 0
    for part in line_at(reservation, origin):
        open_sale(batch, reservation, part)
    parts = line_parts(reservation, origin)
    for part in parts:
        share = max(0, min(wanted - moved, part.held + _free_of_bookings(parts, part)))
        if share:
            _leave(batch, policy, reservation, part, parts, share)
            _arrive(batch, reservation, there, share)
            moved += share
            if reservation.consume_time is None:
                reservation.consume_time = batch.record_time
            list_misfit(batch, DiscrepancyKind.MOVED_STORE, there.stock.key, source, report, reservation, there, share)
    return moved


def _free_of_bookings(parts: Sequence[Part], part: Part) -> int:
    """Units that the part owes and that its own till has not booked."""
    booked_beyond = max(0, booked_of_line(parts) - sum(each.settled for each in parts))
    return max(0, part.unsettled - booked_beyond)


def _leave(
    batch: Batch, policy: Policy, reservation: Reservation, part: Part, parts: Sequence[Part], quantity: int
) -> None:
    """Units of a part are no longer its own: h or c → the giving pool, and out of what was granted to it."""
    till = part.till
    assert till is not None
    stock = part.stock
    held = min(quantity, part.held)
    if held:
        pool, target = stock.pool(part.path), stock.living_pool(part.path)
        batch.move(EntryKind.RELEASE, stock, held, pool, Place.HELD, target, Place.FREE, reservation, part)
        part.held -= held
        release_cap(part, held)
    sold = quantity - held
    if sold:
        withdraw(till, max(0, till.unsent - (till.ordered - sold)))
        till.ordered -= sold
        till.changed = True
        cancelled = part.cancelled
        rule_s(batch, policy, reservation, parts)
        part.cancelled = cancelled
    part.granted -= quantity
    part.changed = True


def _arrive(batch: Batch, reservation: Reservation, there: Part, quantity: int) -> None:
    assert there.till is not None
    stock = there.stock
    pool = stock.pool(COMMON)
    batch.move(EntryKind.CONSUME, stock, quantity, pool, Place.FREE, pool, Place.UNSETTLED, reservation, there)
    there.granted += quantity
    there.unsettled += quantity
    there.till.ordered += quantity
    pool.consumed += quantity
    claim_cap(there, quantity)


def _stock_at(batch: Batch, policy: Policy, key: StockKey) -> Stock:
    stock = batch.stocks.get(key)
    if stock is None:
        # A till that booked a sale has the item, whether or not it has posted a figure of it yet.
        stock = batch.stocks[key] = Stock(batch.new_stock_id(key), key, policy_revision=policy.revision)
        stock.pool(COMMON).changed = stock.changed = True
    return stock


def _part_at(batch: Batch, reservation: Reservation, origin: Part, stock: Stock) -> Part:
    """The part of another store's common pool that takes over what it booked, made when there is none."""
    for part in reservation.parts:
        moved_from = part.till.moved_from if part.till is not None else 0
        if part.stock is stock and part.path == COMMON and moved_from == origin.number:
            return part
    part = Part(
        len(reservation.parts) + 1,
        origin.line_number,
        origin.line_id,
        stock,
        COMMON,
        origin.asked_path,
        Fallback(origin.fallback),
        origin.located,
        origin.requested,
        reservation.expire_time,
    )
    reservation.parts.append(part)
    open_sale(batch, reservation, part).moved_from = origin.number
    return part
