"""What a till books for online sales: rows 3, 4, 13, 14 and 17 to 21 of the settlement table.

A report is the whole state of a sale line. Reports merge: bookings are the union by mark, closed and rejected stay, so
any order of arrival, with repeats, ends in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .commands import BookedOrder, BookedPart, SaleBooking
from .feed import reject, withdraw
from .journal import Batch
from .lease import release_cap
from .names import COMMON, StockKey
from .outcomes import BookingOutcome, BookingResult, Violation
from .policy import Fallback, LocationKind, Policy
from .reserve import claim_cap
from .settle import booked_of, line_parts, own_first, rule_s
from .state import EntryKind, Part, Place, Reservation, Stock
from .till_state import Discrepancy, DiscrepancyKind, Mark, TillSale


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
        _list(batch, DiscrepancyKind.UNKNOWN_ORDER, key, source, report, None, None, _total(report.bookings))
        return BookingOutcome(BookingResult.UNKNOWN_ORDER, None, None)
    reservation, candidates = named
    for each in candidates:
        watch(each.stock)
    part, moved = _part_booked(batch, policy, reservation, candidates, source, report)
    watch(part.stock)
    whole_line = isinstance(report.sale, BookedOrder)
    for each in _line_at(reservation, part):
        _open_sale(batch, reservation, each)
    parts = line_parts(reservation, part)
    surplus_before = _surplus(parts)
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
            _list(batch, kind, part.stock.key, source, report, reservation, part, revived)
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
        surplus=_surplus(parts),
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


def _line_at(reservation: Reservation, part: Part) -> list[Part]:
    return [each for each in reservation.parts if each.line_number == part.line_number and each.stock is part.stock]


def _open_sale(batch: Batch, reservation: Reservation, part: Part) -> TillSale:
    """What a till has to do with the part, made when there is none: it may book what is only held, or has ended."""
    if part.till is None:
        part.till = TillSale()
        part.changed = reservation.changed = True
        batch.add_sale(reservation, part)
    return part.till


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
            _list(
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
    left = _booked(parts) - sum(part.till.ordered for part in parts if part.till is not None)
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
            _list(batch, DiscrepancyKind.BOOKED_WHILE_HELD, part.stock.key, source, report, reservation, part, share)


def _part_booked(
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
    for part in _line_at(reservation, origin):
        _open_sale(batch, reservation, part)
    parts = line_parts(reservation, origin)
    for part in parts:
        share = max(0, min(wanted - moved, part.held + _free_of_bookings(parts, part)))
        if share:
            leave(batch, policy, reservation, part, parts, share)
            _arrive(batch, reservation, there, share)
            moved += share
            if reservation.consume_time is None:
                reservation.consume_time = batch.record_time
            _list(batch, DiscrepancyKind.MOVED_STORE, there.stock.key, source, report, reservation, there, share)
    return moved


def _free_of_bookings(parts: Sequence[Part], part: Part) -> int:
    """Units that the part owes and that its own till has not booked."""
    booked_beyond = max(0, _booked(parts) - sum(each.settled for each in parts))
    return max(0, part.unsettled - booked_beyond)


def leave(
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
    _open_sale(batch, reservation, part).moved_from = origin.number
    return part


def _booked(parts: Sequence[Part]) -> int:
    """Units of the line that the till has booked, reversals taken off."""
    return sum(booked_of(part.till) for part in parts if part.till is not None)


def _surplus(parts: Sequence[Part]) -> int:
    return max(0, _booked(parts) - sum(part.till.ordered for part in parts if part.till is not None))


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
    surplus = _surplus(parts)
    if surplus > before:
        ended = not any(each.till.ordered for each in parts if each.till is not None)
        kind = DiscrepancyKind.BOOKED_AFTER_END if ended else DiscrepancyKind.SURPLUS_BOOKING
        _list(batch, kind, part.stock.key, source, report, reservation, part, surplus - before)


def _key_named(organization: str, report: SaleBooking) -> StockKey:
    sale = report.sale
    if isinstance(sale, BookedOrder):
        return StockKey(organization, sale.sku, report.location, sale.dimensions)
    return StockKey(organization, "", report.location)


def _total(bookings: Sequence[tuple[int, int, int]]) -> int:
    return sum(quantity for _, _, quantity in bookings)


def _list(
    batch: Batch,
    kind: DiscrepancyKind,
    key: StockKey,
    source: str,
    report: SaleBooking,
    reservation: Reservation | None,
    part: Part | None,
    quantity: int,
    mark: Mark | None = None,
    known: int = 0,
    reported: int = 0,
) -> None:
    newest = max((Mark(booking.epoch, booking.position) for booking in report.bookings), default=Mark(0, 0))
    mark = mark or newest
    sale = report.sale
    reference = reservation.order_reference if reservation is not None else ""
    batch.discrepancies.append(
        Discrepancy(
            batch.next_sequence(),
            kind,
            key,
            quantity,
            source,
            batch.policy(key.organization).location(key.location).settlement_measure,
            mark.epoch,
            mark.position,
            known,
            reported or _total(report.bookings),
            reservation.reservation_id if reservation is not None else _reservation_named(report),
            part.number if part is not None else 0,
            reference or (sale.order_reference if isinstance(sale, BookedOrder) else ""),
            batch.request_id,
            batch.record_time,
        )
    )


def _reservation_named(report: SaleBooking) -> bytes:
    return report.sale.reservation_id if isinstance(report.sale, BookedPart) else b""
