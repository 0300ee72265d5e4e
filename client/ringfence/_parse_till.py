"""What the service tells of tills, from protobuf to plain values. Pure, and shared by both clients."""

from __future__ import annotations

from ringfence import _till_types as t
from ringfence._parse import stock_key, time_or_none
from ringfence._wire import CANCEL_REASON, DISCREPANCY_KIND, ORDER_EVENT_KIND
from ringfence.v1 import order_feed_service_pb2, stock_service_pb2


def order_event(message: order_feed_service_pb2.OrderEvent) -> t.OrderEvent:
    """Reads an event of the order feed."""
    return t.OrderEvent(
        event_id=message.event_id,
        kind=ORDER_EVENT_KIND[message.kind],
        reservation_id=message.reservation_id,
        part_number=message.part_number,
        line_id=message.line_id,
        key=stock_key(message.key),
        quantity=message.quantity,
        order_reference=message.order_reference,
        channel=message.channel,
        attributes=message.attributes,
        consume_time=time_or_none(message, "consume_time"),
        attempt=message.attempt,
        lease_expire_time=time_or_none(message, "lease_expire_time"),
        document_number=message.document_number,
        cancel_reason=CANCEL_REASON[message.cancel_reason] if message.cancel_reason else None,
        cancel_reason_text=message.cancel_reason_text,
        raw=message,
    )


def discrepancy(message: stock_service_pb2.Discrepancy) -> t.Discrepancy:
    """Reads a discrepancy."""
    return t.Discrepancy(
        sequence=message.sequence,
        kind=DISCREPANCY_KIND[message.kind],
        record_time=time_or_none(message, "record_time"),
        key=stock_key(message.key),
        quantity=message.quantity,
        source=message.source,
        measure=message.measure,
        position=message.position,
        epoch=message.epoch,
        known=message.known,
        reported=message.reported,
        reservation_id=message.reservation_id,
        part_number=message.part_number,
        order_reference=message.order_reference,
        request_id=message.request_id,
        raw=message,
    )
