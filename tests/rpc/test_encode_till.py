"""What facts of tills come to, on the wire."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import common_pb2
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.committer import Stamp
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import (
    BookingOutcome,
    BookingResult,
    CountOutcome,
    CountResult,
    FigureOutcome,
    FigureResult,
    HandedOrder,
    Posted,
    PublishedReported,
    ReplyResult,
)
from ringfence_server.ledger.till_state import EventKind, OrderEvent, TillSale
from ringfence_server.rpc import encode_till
from ringfence_server.rpc.render import reservation_message
from ringfence_server.rpc.tokens import revision_token
from tests.rpc.rows import BIKE, MADE, RESERVATION_TEXT, part, pool, reservation, stock

STAMP = Stamp(revision=7, server_time=MADE)
AT = Timestamp(seconds=MADE // 1_000_000, nanos=1_000)
TOKEN = revision_token(7)
NORTH = common_pb2.StockKey(sku="BIKE", location="north", dimensions={"colour": "red"})
EVENT_TEXT = "00000000-0000-0000-0000-000000000009"


def sold(**till: Any) -> Any:
    """A reservation of one part of 5 that was sold at a till."""
    row = part(1, stock(BIKE, pool("web", unsettled=5)), granted=5, unsettled=5)
    row.till = TillSale()
    for name, value in till.items():
        setattr(row.till, name, value)
    return reservation(row, consume_time=MADE, order_reference="A-7", attributes=b"x")


def test_a_figure_tells_what_is_in_force_and_what_it_left() -> None:
    """The common pool may be negative; promises are counted over all pools."""
    short = stock(BIKE, pool(COMMON, free=-4), pool("web", unsettled=3))
    outcome = FigureOutcome(BIKE, "on_hand", FigureResult.GAP, -3, 9, short, 2, 3)
    assert pb.PostStockResponse.FromString(encode_till.post_stock(Posted((outcome,)), STAMP)) == pb.PostStockResponse(
        outcomes=[
            pb.FigureOutcome(
                key=NORTH,
                measure="on_hand",
                result=pb.FIGURE_RESULT_GAP,
                value=-3,
                position=9,
                supply=short.supply,
                epoch=2,
                common=common_pb2.PoolBalance(key=NORTH, allocated=-4),
                unsettled=3,
            )
        ],
        revision=TOKEN,
        server_time=AT,
    )


def test_bookings_and_counts_have_outcomes_of_their_own() -> None:
    """A booking of an unknown order has neither reservation nor part nor key."""
    found = sold()
    posted = Posted(
        (),
        (
            BookingOutcome(BookingResult.CONFLICT, found, found.parts[0], 2, 3, 1),
            BookingOutcome(BookingResult.UNKNOWN_ORDER, None, None),
        ),
        CountOutcome(CountResult.BEGUN, 0),
        CountOutcome(CountResult.CONTINUE, 4, 5, 60, 7),
    )
    assert pb.PostStockResponse.FromString(encode_till.post_stock(posted, STAMP)) == pb.PostStockResponse(
        booking_outcomes=[
            pb.BookingOutcome(
                result=pb.BOOKING_RESULT_CONFLICT,
                reservation_id=RESERVATION_TEXT,
                part_number=1,
                key=NORTH,
                contained=2,
                owed=3,
                surplus=1,
            ),
            pb.BookingOutcome(result=pb.BOOKING_RESULT_UNKNOWN_ORDER),
        ],
        begin_outcome=pb.CountOutcome(result=pb.COUNT_RESULT_BEGUN),
        end_outcome=pb.CountOutcome(
            result=pb.COUNT_RESULT_CONTINUE,
            mentioned_keys=4,
            unmentioned_keys=5,
            zeroed_units=60,
            remaining_keys=7,
        ),
        revision=TOKEN,
        server_time=AT,
    )


def test_reports_of_what_was_published_are_counted() -> None:
    """Those that are in force now."""
    found = pb.ReportPublishedResponse.FromString(encode_till.report_published(PublishedReported(3), STAMP))
    assert found == pb.ReportPublishedResponse(applied=3, revision=TOKEN, server_time=AT)


def test_an_order_is_handed_over_with_all_that_a_till_needs() -> None:
    """What only a cancellation says is left out."""
    reservation_ = sold()
    event = OrderEvent((9).to_bytes(16, "big"), 1, EventKind.ORDER, 5, "shop", MADE)
    event.attempts, event.lease_until = 2, MADE
    reservation_.parts[0].document_number = "D-1"
    found = feed.OrderEvent.FromString(encode_till.order_event(HandedOrder(reservation_, reservation_.parts[0], event)))
    assert found == feed.OrderEvent(
        event_id=EVENT_TEXT,
        kind=feed.ORDER_EVENT_KIND_ORDER,
        reservation_id=RESERVATION_TEXT,
        part_number=1,
        line_id="a",
        key=NORTH,
        quantity=5,
        order_reference="A-7",
        channel="shop",
        attributes=b"x",
        consume_time=AT,
        attempt=2,
        lease_expire_time=AT,
    )


def test_a_cancellation_names_the_tills_document_and_why() -> None:
    """As the till gave its number, and as the channel gave its reason."""
    reservation_ = sold()
    reservation_.cancel_reason, reservation_.cancel_text = 1, "changed her mind"
    reservation_.parts[0].document_number = "D-1"
    event = OrderEvent((9).to_bytes(16, "big"), 2, EventKind.CANCELLATION, 1, "shop", MADE)
    found = feed.OrderEvent.FromString(encode_till.order_event(HandedOrder(reservation_, reservation_.parts[0], event)))
    assert (found.document_number, found.cancel_reason, found.cancel_reason_text) == (
        "D-1",
        common_pb2.CANCEL_REASON_CUSTOMER,
        "changed her mind",
    )


def test_an_acknowledgement_echoes_the_events_id() -> None:
    """As the adapter wrote it, so that it finds its reply."""
    found = feed.OrderAck.FromString(encode_till.order_ack("AB", ReplyResult.REFUSED, "why"))
    assert found == feed.OrderAck(event_id="AB", result=feed.ORDER_REPLY_RESULT_REFUSED, error="why")


def test_a_part_tells_what_its_till_said() -> None:
    """Owed is what the figure has still to fall by: unsettled less what the channel has to decide about."""
    said: dict[str, Any] = {
        "booked": 3,
        "rejected_reason": "broken",
        "cancelling": 1,
        "closed": True,
        "attempts": 4,
        "last_error": "offline",
        "moved_from": 2,
    }
    (line,) = reservation_message(sold(undecided=2, refused_reason="shipped", **said)).lines
    expected = common_pb2.Part(
        part_number=1,
        key=NORTH,
        path="web",
        granted=5,
        unsettled=5,
        owed=3,
        rejected=2,
        cancellation_refused_reason="shipped",
        **said,
    )
    assert line.parts[0] == expected
