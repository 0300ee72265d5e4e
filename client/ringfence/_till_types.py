"""What the service tells of tills: orders handed out, and what did not fit. Plain values, read from answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence._enums import CancelReason, DiscrepancyKind, OrderEventKind
    from ringfence._types import StockKey
    from ringfence.v1 import order_feed_service_pb2, stock_service_pb2

__all__ = ["Discrepancy", "OrderEvent"]


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One event for a till. It comes at least once: dedupe by `event_id`, book by `order_reference`."""

    event_id: str
    """A UUID; the same however often the event is handed over."""
    kind: OrderEventKind
    """What it tells."""
    reservation_id: str
    """The reservation."""
    part_number: int
    """The part of it, from 1: name both in SaleBooking."""
    line_id: str
    """The order line. A line that several pools gave to comes as several parts, one event each."""
    key: StockKey
    """The stock key, with its location."""
    quantity: int
    """Base units to be booked, or to be cancelled."""
    order_reference: str
    """The channel's order number; empty when Consume gave none."""
    channel: str
    """The caller that sold."""
    attributes: bytes
    """As Consume was given them."""
    consume_time: datetime | None
    """When the order was sold."""
    attempt: int
    """Which handing over of this event this is, from 1."""
    lease_expire_time: datetime | None
    """Until when the event is this adapter's alone."""
    document_number: str
    """The till's own number of the order, for a cancellation; empty when the till gave none."""
    cancel_reason: CancelReason | None
    """Why the order is cancelled, for a cancellation; None when nobody said."""
    cancel_reason_text: str
    """The same in words."""
    raw: order_feed_service_pb2.OrderEvent = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that did not fit, with its evidence. It is a record: it does not change afterwards."""

    sequence: int
    """The record's number, rising with time; not gapless."""
    kind: DiscrepancyKind
    """What did not fit."""
    record_time: datetime | None
    """When the service recorded it."""
    key: StockKey
    """The stock key; of an unknown order only what the report named."""
    quantity: int
    """Units in question: surplus or moved units, units short, the difference between two values."""
    source: str
    """The data source of the report."""
    measure: str
    """The measure, where a figure is in question."""
    position: int
    """The position of the figure or booking in question; 0 where there is none."""
    epoch: int
    """Its epoch."""
    known: int
    """The value or quantity that stands."""
    reported: int
    """The value or quantity that was reported."""
    reservation_id: str
    """The reservation; empty where there is none."""
    part_number: int
    """The part of the reservation, from 1; 0 where there is none."""
    order_reference: str
    """The order number; of an unknown order the one that was reported."""
    request_id: str
    """The request that brought it up."""
    raw: stock_service_pb2.Discrepancy = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""
