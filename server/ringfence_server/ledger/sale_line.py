"""The line of an order as its till sees it: its parts, what is booked of it, and what does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import BookedOrder, BookedPart, SaleBooking
from .journal import Batch
from .names import StockKey
from .settle import booked_of
from .state import Part, Reservation
from .till_state import Discrepancy, DiscrepancyKind, Mark, TillSale


def line_at(reservation: Reservation, part: Part) -> list[Part]:
    """The parts of a part's line that take from the same stock."""
    return [each for each in reservation.parts if each.line_number == part.line_number and each.stock is part.stock]


def open_sale(batch: Batch, reservation: Reservation, part: Part) -> TillSale:
    """What a till has to do with the part, made when there is none: it may book what is only held, or has ended."""
    if part.till is None:
        part.till = TillSale()
        part.changed = reservation.changed = True
        batch.add_sale(reservation, part)
    return part.till


def booked_of_line(parts: Sequence[Part]) -> int:
    """Units of the line that the till has booked, reversals taken off."""
    return sum(booked_of(part.till) for part in parts if part.till is not None)


def surplus_of(parts: Sequence[Part]) -> int:
    """Units of the line that are booked beyond what was sold of it."""
    return max(0, booked_of_line(parts) - sum(part.till.ordered for part in parts if part.till is not None))


def units_reported(report: SaleBooking) -> int:
    """What the bookings of a report add up to, reversals taken off."""
    return sum(booking.quantity for booking in report.bookings)


def list_misfit(
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
    """Something of a report that people are to read of, with its evidence: the newest mark and the units it told,
    unless ``mark`` and ``reported`` say which. ``known`` is what was known against it."""
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
            reported or units_reported(report),
            reservation.reservation_id if reservation is not None else _reservation_named(report),
            part.number if part is not None else 0,
            reference or (sale.order_reference if isinstance(sale, BookedOrder) else ""),
            batch.request_id,
            batch.record_time,
        )
    )


def _reservation_named(report: SaleBooking) -> bytes:
    return report.sale.reservation_id if isinstance(report.sale, BookedPart) else b""
