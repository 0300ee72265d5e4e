"""What a till books for online sales: rows 3, 4, 13, 14, 17 to 19 and 21 of the settlement table; row 20 is in
``booked_elsewhere``.

A report is the whole state of a sale line. Reports merge: bookings are the union by mark, closed and rejected stay, so
any order of arrival, with repeats, ends in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .booked_elsewhere import part_booked
from .commands import BookedOrder, BookedPart, SaleBooking
from .feed import reject, withdraw
from .journal import Batch
from .names import StockKey
from .outcomes import BookingOutcome, BookingResult, Violation
from .policy import LocationKind
from .sale_line import booked_of_line, line_at, list_misfit, open_sale, surplus_of, units_reported
from .settle import line_parts, own_first, rule_s
from .state import EntryKind, Part, Place, Reservation, Stock
from .till_state import DiscrepancyKind, Mark


def booking_violation(batch: Batch, organization: str, report: SaleBooking, field: str) -> Violation | None:
    """What of a report no till can mean: a location without a till, a number that stands for two orders."""
    location = batch.policy(organization).location(report.location)
    if location.kind is not LocationKind.TILL:
        text = f"{report.location!r} is OWNED: the service keeps its count, and no till books there"
        return Violation(f"{field}.location", "LOCATION_NOT_A_TILL", text)
    if isinstance(report.sale, BookedOrder) and len(_orders(batch, organization, report.sale)) > 1:
        text = f"several channels use {report.sale.order_reference!r}; name the channel"
        return Violation(f"{field}.order.channel", "AMBIGUOUS_ORDER", text)
    return None


def take_booking(
    batch: Batch, organization: str, source: str, report: SaleBooking, watch: Callable[[Stock], None]
) -> BookingOutcome:
    """Takes what a till says of one sale line, at the figure in force: what it contains settles now (row 4), what lies
    beyond is remembered and still owed (row 3). ``watch`` sees each stock before anything of it moves."""
    policy = batch.policy(organization)
    named = _named_parts(batch, organization, report)
    if not named:
        key = _key_named(organization, report)
        list_misfit(batch, DiscrepancyKind.UNKNOWN_ORDER, key, source, report, None, None, units_reported(report))
        return BookingOutcome(BookingResult.UNKNOWN_ORDER, None, None)
    reservation, candidates = named
    for each in candidates:
        watch(each.stock)
    part, moved = part_booked(batch, policy, reservation, candidates, source, report)
    watch(part.stock)
    whole_line = isinstance(report.sale, BookedOrder)
    for each in line_at(reservation, part):
        open_sale(batch, reservation, each)
    parts = line_parts(reservation, part)
    surplus_before = surplus_of(parts)
    given_up = not any(each.held or each.unsettled or each.settled for each in parts)
    result = _merge(batch, reservation, part, parts, source, report, whole_line=whole_line)
    if moved:
        result = BookingResult.APPLIED
    if result is not BookingResult.DUPLICATE:
        _consume_held(batch, reservation, parts, source, report)
        rule_s(batch, policy, reservation, parts)
        _list_surplus(batch, reservation, part, parts, surplus_before, source, report)
        revived = sum(each.unsettled + each.settled for each in parts) if given_up and not moved else 0
        if revived:
            # The till had closed the line without a booking: it owes again, and people can read of it.
            kind = DiscrepancyKind.BOOKED_AFTER_END
            list_misfit(batch, kind, part.stock.key, source, report, reservation, part, revived)
        reservation.touch()
    return BookingOutcome(result, reservation, part)


def with_standing(outcome: BookingOutcome) -> BookingOutcome:
    """The outcome with how its line stands now: after the figures of the same request."""
    if outcome.reservation is None or outcome.part is None:
        return outcome
    parts = line_parts(outcome.reservation, outcome.part)
    return outcome._replace(
        contained=sum(each.settled for each in parts),
        owed=sum(each.unsettled - each.till.undecided for each in parts if each.till is not None),
        surplus=surplus_of(parts),
    )


def _named_parts(batch: Batch, organization: str, report: SaleBooking) -> tuple[Reservation, list[Part]] | None:
    """The reservation, and of the line those parts that the report can mean: the one it names and those the sale moved
    to from it, or all of the line; own units first."""
    sale = report.sale
    if isinstance(sale, BookedPart):
        reservation = batch.reservations.get(sale.reservation_id)
        if reservation is None or reservation.organization != organization:
            return None
        found = [part for part in reservation.parts if part.number == sale.part_number]
        if not found:
            return None
        for part in reservation.parts:
            if part.till is not None and part.till.moved_from == sale.part_number:
                found.append(part)
        return reservation, found
    orders = _orders(batch, organization, sale)
    reservation = batch.reservations.get(orders[0]) if orders else None
    if reservation is None:
        return None
    lines = list(reservation.lines().values())
    if sale.line_id:
        lines = [parts for parts in lines if parts[0].line_id == sale.line_id]
    elif sale.sku:
        item = (sale.sku, sale.dimensions)
        lines = [parts for parts in lines if (parts[0].stock.key.sku, parts[0].stock.key.dimensions) == item]
    if len(lines) != 1:
        return None
    return reservation, sorted(lines[0], key=own_first)


def _orders(batch: Batch, organization: str, sale: BookedOrder) -> list[bytes]:
    """Reservations that carry the order number: those that are stored, and those of this batch."""
    name = (organization, sale.channel, sale.order_reference)
    found = list(batch.orders.get(name, ()))
    for owner, channel, reference, reservation_id in batch.new_order_references:
        fits = owner == organization and reference == sale.order_reference and sale.channel in ("", channel)
        if fits and reservation_id not in found:
            found.append(reservation_id)
    return found


def _merge(
    batch: Batch,
    reservation: Reservation,
    part: Part,
    parts: Sequence[Part],
    source: str,
    report: SaleBooking,
    *,
    whole_line: bool,
) -> BookingResult:
    """Joins a report to what is known of the line. A mark keeps its first quantity."""
    till = part.till
    assert till is not None
    result = BookingResult.DUPLICATE
    for booking in report.bookings:
        mark = Mark(booking.epoch, booking.position)
        known = till.bookings.get(mark)
        if whole_line:
            # The line's other parts may have been reported by themselves.
            shares = [
                each.till.bookings[mark] for each in parts if each.till is not None and mark in each.till.bookings
            ]
            known = sum(shares) if shares else None
        if known is None:
            till.bookings[mark] = booking.quantity
            till.new_bookings.append(booking)
            till.changed = part.changed = True
            if result is BookingResult.DUPLICATE:
                result = BookingResult.APPLIED
        elif known != booking.quantity:
            result = BookingResult.CONFLICT
            list_misfit(
                batch,
                DiscrepancyKind.BOOKING_CONFLICT,
                part.stock.key,
                source,
                report,
                reservation,
                part,
                booking.quantity - known,
                mark,
                known,
                booking.quantity,
            )
    for each in parts if whole_line else (part,):
        assert each.till is not None
        if report.reject_reason and not each.till.rejected:
            reject(each.till, report.reject_reason)
        elif report.closed and not each.till.closed:
            each.till.closed = each.till.changed = True
            withdraw(each.till, each.till.unsent)
        else:
            continue
        each.changed = True
        if result is BookingResult.DUPLICATE:
            result = BookingResult.APPLIED
    return result


def _consume_held(
    batch: Batch, reservation: Reservation, parts: Sequence[Part], source: str, report: SaleBooking
) -> None:
    """Row 21: what the till booked of units that are only held is consumed by that fact."""
    if not any(part.held for part in parts):
        return
    left = booked_of_line(parts) - sum(part.till.ordered for part in parts if part.till is not None)
    for part in parts:
        share = max(0, min(left, part.held))
        if share:
            assert part.till is not None
            pool = part.stock.pool(part.path)
            batch.move(EntryKind.CONSUME, part.stock, share, pool, Place.HELD, pool, Place.UNSETTLED, reservation, part)
            part.held -= share
            part.unsettled += share
            part.till.ordered += share
            part.till.changed = True
            pool.consumed += share
            left -= share
            if reservation.consume_time is None:
                reservation.consume_time = batch.record_time
            list_misfit(
                batch, DiscrepancyKind.BOOKED_WHILE_HELD, part.stock.key, source, report, reservation, part, share
            )


def _list_surplus(
    batch: Batch,
    reservation: Reservation,
    part: Part,
    parts: Sequence[Part],
    before: int,
    source: str,
    report: SaleBooking,
) -> None:
    """Rows 19 and 21: what is booked beyond what was sold, or after the order ended, is a walk-in: the figure has it,
    no sale does, and people can read of it."""
    surplus = surplus_of(parts)
    if surplus > before:
        ended = not any(each.till.ordered for each in parts if each.till is not None)
        kind = DiscrepancyKind.BOOKED_AFTER_END if ended else DiscrepancyKind.SURPLUS_BOOKING
        list_misfit(batch, kind, part.stock.key, source, report, reservation, part, surplus - before)


def _key_named(organization: str, report: SaleBooking) -> StockKey:
    sale = report.sale
    if isinstance(sale, BookedOrder):
        return StockKey(organization, sale.sku, report.location, sale.dimensions)
    return StockKey(organization, "", report.location)
