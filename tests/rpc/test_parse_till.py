"""What tills say, as commands, and every rule of form."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import allocation_service_pb2, common_pb2
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.ledger.commands import (
    BookedOrder,
    BookedPart,
    CountBegin,
    CountEnd,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    PublishedQuantity,
    ReassignPart,
    ReplyOrder,
    ReportPublished,
    SaleBooking,
    TakeOrders,
)
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import Violation
from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.till_state import Booking, Mark
from ringfence_server.rpc.parse_till import order_reply, subscription
from tests.rpc.messages import figure, new_id, stock_key
from tests.rpc.parsing import command, parsed, rules

SOLD = "0199a000-0000-7000-8000-0000000000ab"
SOLD_ID = bytes.fromhex(SOLD.replace("-", ""))
LAMP = StockKey("acme", "LAMP", "north")


def post(**fields: Any) -> pb.PostStockRequest:
    """A PostStock."""
    return pb.PostStockRequest(request_id=new_id(), **fields)


def booking(**fields: Any) -> pb.PostStockRequest:
    """A PostStock of one booking, by default of an order at the north store."""
    if not {"part", "order"} & fields.keys():
        fields["order"] = {"order_reference": "A-7"}
    return post(bookings=[pb.SaleBooking(**{"location": "north", **fields})])


class TestBookings:
    """SaleBooking."""

    def test_by_part(self) -> None:
        """The whole state of the line."""
        request = booking(
            part={"reservation_id": SOLD, "part_number": 2},
            bookings=[{"position": 7, "quantity": 3}, {"position": 9, "quantity": -1, "epoch": 1}],
            closed=True,
        )
        expected = SaleBooking(BookedPart(SOLD_ID, 2), "north", (Booking(0, 7, 3), Booking(1, 9, -1)), True, "")
        assert command(request).bookings == (expected,)

    def test_by_order(self) -> None:
        """With as much of the line as is known."""
        order = {"order_reference": "A-7", "channel": "web", "line_id": "2", "sku": "BIKE", "dimensions": {"c": "red"}}
        (found,) = command(booking(order=order)).bookings
        assert found.sale == BookedOrder("A-7", "web", "2", "BIKE", (("c", "red"),))
        (found,) = command(booking()).bookings
        assert found == SaleBooking(BookedOrder("A-7", "", "", "", ()), "north", (), False, "")

    def test_a_reject_reason_implies_closed(self) -> None:
        """A line that the till will not serve is one that it books nothing more for."""
        (found,) = command(booking(reject_reason="broken")).bookings
        assert (found.closed, found.reject_reason) == (True, "broken")

    @pytest.mark.parametrize(
        ("fields", "field", "rule"),
        [
            ({"order": {}}, "order.order_reference", "REQUIRED"),
            ({"order": {"order_reference": "x" * 129}}, "order.order_reference", "TOO_LONG"),
            ({"order": {"order_reference": "A", "channel": "x" * 65}}, "order.channel", "BAD_NAME"),
            ({"order": {"order_reference": "A", "line_id": "x" * 65}}, "order.line_id", "BAD_NAME"),
            ({"order": {"order_reference": "A", "sku": "x" * 129}}, "order.sku", "BAD_NAME"),
            (
                {"order": {"order_reference": "A", "dimensions": {"c": "red"}}},
                "order.dimensions",
                "DIMENSIONS_WITHOUT_SKU",
            ),
            (
                {"order": {"order_reference": "A", "sku": "B", "dimensions": {"c": "x" * 65}}},
                "order.dimensions",
                "BAD_NAME",
            ),
            ({"part": {"part_number": 1}}, "part.reservation_id", "REQUIRED"),
            ({"part": {"reservation_id": SOLD}}, "part.part_number", "OUT_OF_RANGE"),
            ({"location": ""}, "location", "REQUIRED"),
            ({"reject_reason": "x" * 513}, "reject_reason", "TOO_LONG"),
            ({"bookings": [{"quantity": 1}]}, "bookings[0].position", "OUT_OF_RANGE"),
            ({"bookings": [{"position": 1}]}, "bookings[0].quantity", "OUT_OF_RANGE"),
            ({"bookings": [{"position": 1, "quantity": -(10**12) - 1}]}, "bookings[0].quantity", "OUT_OF_RANGE"),
            ({"bookings": [{"position": 1, "quantity": 1, "epoch": -1}]}, "bookings[0].epoch", "OUT_OF_RANGE"),
            ({"bookings": [{"position": 1, "quantity": 1}] * 2}, "bookings[1].position", "NAMED_TWICE"),
            ({"bookings": [{"position": n, "quantity": 1} for n in range(1, 66)]}, "bookings", "TOO_MANY"),
        ],
    )
    def test_a_rule_of_a_booking(self, fields: dict[str, Any], field: str, rule: str) -> None:
        """Each broken rule is told with its field."""
        assert rules(booking(**fields)) == {f"bookings[0].{field}": rule}

    def test_a_booking_names_a_sale(self) -> None:
        """By part or by order."""
        assert rules(post(bookings=[pb.SaleBooking(location="north")])) == {"bookings[0].sale": "REQUIRED"}

    def test_figures_and_bookings_are_bounded_together(self) -> None:
        """They are one transaction; the weight is both."""
        one = pb.SaleBooking(order={"order_reference": "A"}, location="north")
        assert rules(post(figures=[figure(value=1)] * 1_000, bookings=[one] * 1_001)) == {"figures": "TOO_MANY"}
        assert rules(post(bookings=[one] * 2_001)) == {"bookings": "TOO_MANY"}
        assert parsed(post(figures=[figure(value=1)] * 3, bookings=[one] * 4)).weight == 7


class TestCounts:
    """CountBegin and CountEnd."""

    def test_begin_and_end_stand_by_themselves(self) -> None:
        """Without figures; an end weighs what it may zero."""
        found = parsed(
            post(
                count_id="c",
                begin_count={"location": "north", "measure": "on_hand", "position": 5, "epoch": 1},
                end_count={"key_count": 3, "confirmed": True},
            )
        )
        posted: Any = found.command
        assert (posted.count_id, posted.begin) == ("c", CountBegin("north", "on_hand", Mark(1, 5)))
        assert posted.end == CountEnd(3, True)
        assert found.weight == 2_000

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"begin_count": {"location": "north", "position": 5}}, {"count_id": "REQUIRED"}),
            ({"end_count": {}}, {"count_id": "REQUIRED"}),
            ({"count_id": "x" * 65, "end_count": {}}, {"count_id": "BAD_NAME"}),
            ({"count_id": "c"}, {"figures": "REQUIRED"}),
            (
                {"count_id": "c", "begin_count": {}},
                {"begin_count.location": "REQUIRED", "begin_count.position": "OUT_OF_RANGE"},
            ),
            (
                {"count_id": "c", "begin_count": {"location": "n", "measure": "x" * 65, "position": 1, "epoch": -1}},
                {"begin_count.measure": "BAD_NAME", "begin_count.epoch": "OUT_OF_RANGE"},
            ),
            ({"count_id": "c", "end_count": {"key_count": -1}}, {"end_count.key_count": "OUT_OF_RANGE"}),
            ({"count_id": "c", "end_count": {"key_count": 10**9 + 1}}, {"end_count.key_count": "OUT_OF_RANGE"}),
        ],
    )
    def test_a_rule_of_a_count(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(post(**fields)) == rule


class TestPublished:
    """ReportPublished."""

    @staticmethod
    def report(*quantities: dict[str, Any], **fields: Any) -> pb.ReportPublishedRequest:
        """A report."""
        return pb.ReportPublishedRequest(
            request_id=new_id(), quantities=[pb.PublishedQuantity(**each) for each in quantities], **fields
        )

    def test_a_report(self) -> None:
        """The publisher is the caller unless it is named; negative is what some shops show."""
        at = Timestamp(seconds=9)
        found = command(self.report({"key": stock_key(), "path": "web", "quantity": -1, "publish_time": at}))
        assert found == ReportPublished("shop", (PublishedQuantity(LAMP, "web", -1, 9_000_000),))
        assert command(self.report({"key": stock_key(), "publish_time": at}, publisher="feed")).publisher == "feed"

    @pytest.mark.parametrize(
        ("quantities", "rule"),
        [
            ([], {"quantities": "REQUIRED"}),
            ([{"key": stock_key()}], {"quantities[0].publish_time": "REQUIRED"}),
            (
                [{"key": stock_key(), "publish_time": Timestamp(seconds=1)}] * 2,
                {"quantities[1]": "NAMED_TWICE"},
            ),
            (
                [{"key": stock_key(), "path": "a//b", "quantity": 10**12 + 1, "publish_time": Timestamp(nanos=-1)}],
                {
                    "quantities[0].path": "BAD_PATH",
                    "quantities[0].quantity": "OUT_OF_RANGE",
                    "quantities[0].publish_time": "BAD_TIMESTAMP",
                },
            ),
        ],
    )
    def test_a_rule_of_a_report(self, quantities: list[dict[str, Any]], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(self.report(*quantities)) == rule


class TestReassign:
    """ReassignPart."""

    @staticmethod
    def request(**fields: Any) -> allocation_service_pb2.ReassignPartRequest:
        """A ReassignPart to the south store."""
        fields = {"reservation_id": SOLD, "part_number": 1, "location": "south", **fields}
        return allocation_service_pb2.ReassignPartRequest(request_id=new_id(), **fields)

    def test_a_part_goes_elsewhere(self) -> None:
        """A path that is set and empty is the common pool, one that is not is the line's own."""
        assert command(self.request()) == ReassignPart(SOLD_ID, 1, "south", None, None, 0)
        found = command(self.request(path="", fallback=common_pb2.FALLBACK_NONE, quantity=3))
        assert found == ReassignPart(SOLD_ID, 1, "south", "", Fallback.NONE, 3)

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"reservation_id": ""}, {"reservation_id": "REQUIRED"}),
            ({"part_number": 0}, {"part_number": "OUT_OF_RANGE"}),
            ({"location": ""}, {"location": "REQUIRED"}),
            ({"path": "a//b"}, {"path": "BAD_PATH"}),
            ({"fallback": 9}, {"fallback": "UNKNOWN_VALUE"}),
            ({"quantity": -1}, {"quantity": "OUT_OF_RANGE"}),
        ],
    )
    def test_a_rule(self, fields: dict[str, Any], rule: dict[str, str]) -> None:
        """Each broken rule is told with its field."""
        assert rules(self.request(**fields)) == rule


def test_a_subscription_has_defaults() -> None:
    """100 in flight, a lease of a minute."""
    faults: list[Violation] = []
    wanted = feed.OrderSubscription(adapter="erp", locations=["north"])
    assert subscription(wanted, faults) == TakeOrders("erp", "", ("north",), 100, 60_000_000, resume=True)
    assert faults == []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"received": {}}, OrderReceived("", None)),
        (
            {"received": {"document_number": "D", "time": Timestamp(seconds=1)}},
            OrderReceived("D", 1_000_000),
        ),
        ({"failed": {"error": "offline"}}, OrderFailed("offline", 0)),
        ({"failed": {"error": "offline", "retry_after": Duration(seconds=2)}}, OrderFailed("offline", 2_000_000)),
        ({"postponed": {}}, OrderPostponed(3_600_000_000)),
        ({"postponed": {"retry_after": Duration(seconds=1)}}, OrderPostponed(1_000_000)),
    ],
)
def test_a_reply(reply: dict[str, Any], expected: Any) -> None:
    """What is left out is now, or at once."""
    faults: list[Violation] = []
    assert order_reply(feed.OrderReply(event_id=SOLD, **reply), faults) == ReplyOrder(SOLD_ID, expected)
    assert faults == []
