"""The sales of tills in a verification: those that a figure may still move, in the order of stock keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import and_, exists, or_, select

from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import Mark

from . import schema
from .rows_till import sale_of

_SALE_COLUMNS = [column for column in schema.till_sale.c if column.name != "slot"]


def sale_rows(slot: int) -> Any:
    """Parts that owe a till something, or say so, or do not add up; with their sales, and the other parts of their
    orders at the same key."""
    part, sale = schema.part, schema.till_sale
    return (
        select(
            part.c.stock_id,
            part.c.reservation_id,
            part.c.part_number,
            part.c.line_number,
            part.c.line_id,
            part.c.path,
            part.c.asked_path,
            part.c.granted,
            part.c.held,
            part.c.unsettled,
            part.c.settled,
            part.c.cancelled,
            part.c.expired,
            *_SALE_COLUMNS,
        )
        .outerjoin(
            sale,
            and_(
                sale.c.slot == slot,
                sale.c.reservation_id == part.c.reservation_id,
                sale.c.part_number == part.c.part_number,
            ),
        )
        .where(part.c.slot == slot, _open(slot))
        .order_by(part.c.stock_id, part.c.reservation_id, part.c.part_number)
    )


def booking_rows(slot: int) -> Any:
    """What tills booked for those parts."""
    part, booking = schema.part, schema.booking
    return (
        select(
            part.c.stock_id,
            part.c.reservation_id,
            part.c.part_number,
            booking.c.epoch,
            booking.c.position,
            booking.c.quantity,
        )
        .join(
            booking,
            and_(
                booking.c.slot == slot,
                booking.c.reservation_id == part.c.reservation_id,
                booking.c.part_number == part.c.part_number,
            ),
        )
        .where(part.c.slot == slot, _open(slot))
        .order_by(part.c.stock_id, part.c.reservation_id, part.c.part_number)
    )


def _open(slot: int) -> Any:
    part, other = schema.part, schema.till_sale.alias("other")
    accounted = part.c.held + part.c.unsettled + part.c.settled + part.c.cancelled + part.c.expired
    awaited = exists().where(
        other.c.slot == slot,
        other.c.reservation_id == part.c.reservation_id,
        other.c.awaiting_stock_id == part.c.stock_id,
    )
    # Of OWNED sales nothing but the part's own row is looked at.
    return or_(part.c.unsettled > 0, part.c.granted != accounted, and_(part.c.has_sale.is_not(None), awaited))


def orders_of(stock: Stock, sales: Iterable[Any], bookings: Iterable[Any]) -> list[Reservation]:
    """The rows of one stock key as orders with the parts that they have there."""
    orders: dict[bytes, Reservation] = {}
    parts: dict[tuple[bytes, int], Part] = {}
    for row in sales:
        _, reservation_id, number, line_number, line_id, path, asked_path, *units = row[:13]
        order = orders.get(reservation_id)
        if order is None:
            order = orders[reservation_id] = Reservation(reservation_id, stock.key.organization, "", "", None, 0)
        part = Part(number, line_number, line_id, stock, path, asked_path, Fallback.NONE, True, 0, None)
        part.granted, part.held, part.unsettled, part.settled, part.cancelled, part.expired = units
        if row[13] is not None:
            part.till = sale_of(row[13:])[1]
        order.parts.append(part)
        parts[reservation_id, number] = part
    for _, reservation_id, number, epoch, position, quantity in bookings:
        till = parts[reservation_id, number].till
        if till is not None:
            till.bookings[Mark(epoch, position)] = quantity
    return list(orders.values())
