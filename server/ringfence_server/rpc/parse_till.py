"""What tills say, as parts of frozen commands: bookings of sale lines, full counts, subscriptions and replies."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import common_pb2 as common
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.ledger.commands import (
    BookedOrder,
    BookedPart,
    CancellationConfirmed,
    CancellationRefused,
    CountBegin,
    CountEnd,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    OrderRejected,
    Reply,
    ReplyOrder,
    SaleBooking,
    TakeOrders,
)
from ringfence_server.ledger.names import MAX_INT64, MAX_QUANTITY, MAX_SKU
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.till_state import MAX_BOOKINGS, MAX_EPOCH, Booking, Mark

from . import forms
from .times import span_of

MOST_REASON_TEXT: Final = 512
_MOST_COUNTED: Final = 10**9
_MOST_LOCATIONS: Final = 100
_MOST_IN_FLIGHT: Final = 1_000
_USUAL_IN_FLIGHT: Final = 100
_SECOND: Final = 1_000_000
_USUAL_LEASE: Final = 60 * _SECOND
_LONGEST_LEASE: Final = 3_600 * _SECOND
_LONGEST_RETRY: Final = 24 * 3_600 * _SECOND
_USUAL_POSTPONEMENT: Final = 3_600 * _SECOND
_MAX_PART: Final = 2**31 - 1
_POSITIONS: Final = "1 to 2^63-1"


def epoch_of(epoch: int, field: str, faults: list[Violation]) -> int:
    """A till's life."""
    return forms.number(epoch, 0, MAX_EPOCH, "0 to 2^31-1", f"{field}.epoch", faults)


def sale_booking(report: pb.SaleBooking, organization: str, field: str, faults: list[Violation]) -> SaleBooking:
    """What a till has booked for one sale line so far."""
    sale: BookedPart | BookedOrder = BookedPart(b"", 0)
    match report.WhichOneof("sale"):
        case "part":
            sale = _booked_part(report.part, f"{field}.part", faults)
        case "order":
            sale = _booked_order(report.order, organization, f"{field}.order", faults)
        case _:
            text = "the part that the order feed handed over, or the order by its number"
            faults.append(Violation(f"{field}.sale", "REQUIRED", text))
    location = forms.name(report.location, f"{field}.location", faults)
    reason = forms.free_text(report.reject_reason, MOST_REASON_TEXT, f"{field}.reject_reason", faults)
    bookings = _bookings(report, field, faults)
    return SaleBooking(sale, location, bookings, report.closed or bool(reason), reason)


def _booked_part(part: pb.BookedPart, field: str, faults: list[Violation]) -> BookedPart:
    number = forms.number(
        part.part_number, 1, _MAX_PART, "the number of a part, from 1", f"{field}.part_number", faults
    )
    return BookedPart(forms.reservation_id(part.reservation_id, f"{field}.reservation_id", faults), number)


def _booked_order(order: pb.BookedOrder, organization: str, field: str, faults: list[Violation]) -> BookedOrder:
    reference = forms.label(order.order_reference, f"{field}.order_reference", faults, required=True)
    channel = forms.name(order.channel, f"{field}.channel", faults, required=False)
    line_id = forms.name(order.line_id, f"{field}.line_id", faults, required=False)
    sku = order.sku
    if len(sku) > MAX_SKU or not forms.is_clean(sku):
        text = f"0 to {MAX_SKU} characters without control characters"
        faults.append(Violation(f"{field}.sku", "BAD_NAME", text))
        sku = ""
    if not sku:
        if order.dimensions and not order.sku:
            text = "none without sku: they name an item together with it"
            faults.append(Violation(f"{field}.dimensions", "DIMENSIONS_WITHOUT_SKU", text))
        return BookedOrder(reference, channel, line_id, "", ())
    if not order.dimensions:
        return BookedOrder(reference, channel, line_id, sku, ())
    item = common.StockKey(sku=sku, dimensions=order.dimensions)
    key = forms.stock_key(item, organization, field, faults, located=False)
    return BookedOrder(reference, channel, line_id, sku, key.dimensions)


def _bookings(report: pb.SaleBooking, field: str, faults: list[Violation]) -> tuple[Booking, ...]:
    if len(report.bookings) > MAX_BOOKINGS:
        text = f"at most {MAX_BOOKINGS} a line; got {len(report.bookings):,}"
        faults.append(Violation(f"{field}.bookings", "TOO_MANY", text))
        return ()
    found: list[Booking] = []
    seen: dict[Mark, int] = {}
    for number, booking in enumerate(report.bookings):
        at = f"{field}.bookings[{number}]"
        position, units = booking.position, booking.quantity
        forms.number(position, 1, MAX_INT64, _POSITIONS, f"{at}.position", faults)
        if not units or abs(units) > MAX_QUANTITY:
            text = f"1 to 10^12 base units by which on hand fell, or -10^12 to -1 for a reversal; got {units:,}"
            faults.append(Violation(f"{at}.quantity", "OUT_OF_RANGE", text))
        epoch_of(booking.epoch, at, faults)
        first = seen.setdefault(Mark(booking.epoch, position), number)
        if first != number:
            text = f"each position once; bookings[{first}] has the same: one movement of a journal has one number"
            faults.append(Violation(f"{at}.position", "NAMED_TWICE", text))
        found.append(Booking(booking.epoch, position, units))
    return tuple(found)


def count_begin(begin: pb.CountBegin, faults: list[Violation]) -> CountBegin:
    """The begin of a full count."""
    field = "begin_count"
    return CountBegin(
        forms.name(begin.location, f"{field}.location", faults),
        forms.name(begin.measure, f"{field}.measure", faults, required=False),
        Mark(
            epoch_of(begin.epoch, field, faults),
            forms.number(begin.position, 1, MAX_INT64, _POSITIONS, f"{field}.position", faults),
        ),
    )


def count_end(end: pb.CountEnd, faults: list[Violation]) -> CountEnd:
    """The end of a full count."""
    keys = forms.number(end.key_count, 0, _MOST_COUNTED, "0 to 10^9", "end_count.key_count", faults)
    return CountEnd(keys, end.confirmed)


def subscription(wanted: feed.OrderSubscription, faults: list[Violation]) -> TakeOrders:
    """What a stream of orders takes; its limit is the most that may be in flight."""
    field = "subscribe"
    adapter = forms.name(wanted.adapter, f"{field}.adapter", faults)
    source = forms.name(wanted.source, f"{field}.source", faults, required=False)
    places = tuple(wanted.locations)
    if not 1 <= len(places) <= _MOST_LOCATIONS:
        text = f"1 to {_MOST_LOCATIONS} TILL locations; got {len(places):,}"
        faults.append(Violation(f"{field}.locations", "TOO_MANY" if places else "REQUIRED", text))
        places = ()
    seen: dict[str, int] = {}
    for number, place in enumerate(places):
        at = f"{field}.locations[{number}]"
        forms.name(place, at, faults)
        if place and seen.setdefault(place, number) != number:
            faults.append(Violation(at, "NAMED_TWICE", f"each location once; {place!r} is named already"))
    limit = wanted.max_in_flight
    if not 0 <= limit <= _MOST_IN_FLIGHT:
        text = f"1 to {_MOST_IN_FLIGHT:,}, or 0 for {_USUAL_IN_FLIGHT}; got {limit:,}"
        faults.append(Violation(f"{field}.max_in_flight", "OUT_OF_RANGE", text))
    lease = _USUAL_LEASE
    if wanted.HasField("lease"):
        lease = _span(wanted.lease, _SECOND, _LONGEST_LEASE, "1 second to 1 hour", f"{field}.lease", faults)
    return TakeOrders(adapter, source, places, limit or _USUAL_IN_FLIGHT, lease, resume=True)


def order_reply(reply: feed.OrderReply, faults: list[Violation]) -> ReplyOrder | None:
    """What a till said to one event; None, with what is wrong, when it breaks a rule of form."""
    event_id = forms.reservation_id(reply.event_id, "event_id", faults, "the event_id that the feed handed over")
    said: Reply
    match reply.WhichOneof("reply"):
        case "received":
            received = reply.received
            time = forms.instant(received.time, "received.time", faults) if received.HasField("time") else None
            said = OrderReceived(forms.label(received.document_number, "received.document_number", faults), time)
        case "rejected":
            said = OrderRejected(_reason(reply.rejected.reason, "rejected.reason", faults))
        case "confirm_cancellation":
            said = CancellationConfirmed()
        case "refuse_cancellation":
            said = CancellationRefused(_reason(reply.refuse_cancellation.reason, "refuse_cancellation.reason", faults))
        case "failed":
            failed, wait = reply.failed, 0
            if failed.HasField("retry_after"):
                wait = _span(failed.retry_after, 0, _LONGEST_RETRY, "0 to 24 hours", "failed.retry_after", faults)
            said = OrderFailed(_reason(failed.error, "failed.error", faults), wait)
        case "postponed":
            postponed, wait = reply.postponed, _USUAL_POSTPONEMENT
            if postponed.HasField("retry_after"):
                field = "postponed.retry_after"
                wait = _span(postponed.retry_after, _SECOND, _LONGEST_RETRY, "1 second to 24 hours", field, faults)
            said = OrderPostponed(wait)
        case _:
            text = "received, rejected, confirm_cancellation, refuse_cancellation, failed or postponed"
            faults.append(Violation("reply", "REQUIRED", text))
            return None
    return None if faults else ReplyOrder(event_id, said)


def _reason(text: str, field: str, faults: list[Violation]) -> str:
    return forms.free_text(text, MOST_REASON_TEXT, field, faults, required=True)


def _span(duration: Duration, least: int, most: int, text: str, field: str, faults: list[Violation]) -> int:
    span = span_of(duration)
    if span is None or not least <= span <= most:
        faults.append(Violation(field, "OUT_OF_RANGE", f"{text}; seconds and nanos have one sign"))
        return least
    return span
