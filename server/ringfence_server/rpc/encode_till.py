"""What facts of tills come to, as the bytes that are stored and answered."""

from __future__ import annotations

from typing import Any

from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.committer import Stamp
from ringfence_server.ledger.outcomes import (
    BookingOutcome,
    CountOutcome,
    Decision,
    HandedOrder,
    Posted,
    PublishedReported,
    ReplyResult,
)
from ringfence_server.ledger.till_state import EventKind

from .encode import refused
from .encode_figures import figure_outcomes, response_tail
from .render import Fields, key_fields, uuid_text
from .times import time_fields
from .tokens import stamp_token


def post_stock(decision: Decision, stamp: Stamp) -> bytes:
    """A PostStockResponse."""
    if not isinstance(decision, Posted):
        return refused(decision)
    message = figure_outcomes(decision.outcomes) + response_tail(stamp)
    if not decision.bookings and decision.begin is None and decision.end is None:
        return message
    fields: dict[str, Any] = {"booking_outcomes": [_booking_fields(outcome) for outcome in decision.bookings]}
    if decision.begin is not None:
        fields["begin_outcome"] = _count_fields(decision.begin)
    if decision.end is not None:
        fields["end_outcome"] = _count_fields(decision.end)
    return message + pb.PostStockResponse(**fields).SerializeToString()


def report_published(decision: Decision, stamp: Stamp) -> bytes:
    """A ReportPublishedResponse."""
    if isinstance(decision, PublishedReported):
        return pb.ReportPublishedResponse(
            applied=decision.applied,
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def order_ack(event_id: str, result: ReplyResult, error: str = "") -> bytes:
    """An OrderAck; ``event_id`` as the adapter wrote it."""
    fields: dict[str, Any] = {"event_id": event_id, "result": result.value, "error": error}
    return feed.OrderAck(**fields).SerializeToString()


def order_event(handed: HandedOrder) -> bytes:
    """An OrderEvent, as it is handed over."""
    reservation, part, event = handed
    fields: dict[str, Any] = {
        "event_id": uuid_text(event.event_id),
        "kind": event.kind.value,
        "reservation_id": uuid_text(reservation.reservation_id),
        "part_number": part.number,
        "line_id": part.line_id,
        "key": key_fields(part.stock.key),
        "quantity": event.quantity,
        "order_reference": reservation.order_reference,
        "channel": event.channel,
        "attributes": reservation.attributes,
        "attempt": event.attempts,
        "lease_expire_time": time_fields(event.lease_until),
    }
    if reservation.consume_time is not None:
        fields["consume_time"] = time_fields(reservation.consume_time)
    if event.kind is EventKind.CANCELLATION:
        fields["document_number"] = part.document_number
        fields["cancel_reason"] = reservation.cancel_reason
        fields["cancel_reason_text"] = reservation.cancel_text
    return feed.OrderEvent(**fields).SerializeToString()


def _booking_fields(outcome: BookingOutcome) -> Fields:
    fields: dict[str, Any] = {
        "result": outcome.result.value,
        "contained": outcome.contained,
        "owed": outcome.owed,
        "surplus": outcome.surplus,
    }
    if outcome.reservation is not None:
        fields["reservation_id"] = uuid_text(outcome.reservation.reservation_id)
    if outcome.part is not None:
        fields["part_number"] = outcome.part.number
        fields["key"] = key_fields(outcome.part.stock.key)
    return fields


def _count_fields(outcome: CountOutcome) -> Fields:
    return {
        "result": outcome.result.value,
        "mentioned_keys": outcome.mentioned,
        "unmentioned_keys": outcome.unmentioned,
        "zeroed_units": outcome.zeroed_units,
        "remaining_keys": outcome.remaining,
    }
