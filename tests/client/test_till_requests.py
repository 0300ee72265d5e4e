"""What the calls of the till side say on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import text_format

import ringfence as r
from ringfence import _feed, _queries, _till_queries
from ringfence._calls import command_call, sync_post

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def written(command: r.Command[Any]) -> str:
    """A command's request as protobuf text, in one line."""
    return text_format.MessageToString(command_call(command, "id").message, as_one_line=True)


def test_a_chained_delta_with_its_epoch() -> None:
    """A delta names the figure it changes, 0 included, and the till's life."""
    figure = r.StockFigure("LAMP", "berlin", delta=-1, position=8, previous_position=0, epoch=2)
    assert written(r.PostStock(figure)) == (
        'request_id: "id" figures { key { sku: "LAMP" location: "berlin" } delta: -1 position: 8 previous_position: 0 '
        "epoch: 2 }"
    )


def test_only_a_delta_is_chained() -> None:
    """A value with a previous_position says two things at once and is a ValueError."""
    with pytest.raises(ValueError, match="chains a delta"):
        written(r.PostStock(r.StockFigure("LAMP", "berlin", 5, position=8, previous_position=7)))


def test_sales_by_part_and_by_order() -> None:
    """A sale line carries its whole state, named by part or by order number."""
    by_part = r.SaleBooking("berlin", r.Booking(7, 2), reservation="res", part_number=1, closed=True)
    by_order = r.SaleBooking(
        "berlin",
        [r.Booking(7, 2), r.Booking(9, -1, epoch=1)],
        order_reference="4711",
        channel="shop",
        sku="LAMP",
        dimensions={"colour": "red"},
        reject_reason="broken",
    )
    assert written(r.PostStock(bookings=[by_part, by_order])) == (
        'request_id: "id" bookings { part { reservation_id: "res" part_number: 1 } location: "berlin" '
        "bookings { position: 7 quantity: 2 } closed: true } "
        'bookings { order { order_reference: "4711" channel: "shop" sku: "LAMP" '
        'dimensions { key: "colour" value: "red" } } location: "berlin" bookings { position: 7 quantity: 2 } '
        'bookings { position: 9 quantity: -1 epoch: 1 } reject_reason: "broken" }'
    )


@pytest.mark.parametrize("names", [{}, {"reservation": "res", "part_number": 1, "order_reference": "4711"}])
def test_a_sale_has_one_name(names: dict[str, Any]) -> None:
    """A sale without a name, or with two, is a ValueError before anything is sent."""
    with pytest.raises(ValueError, match="either by reservation"):
        written(r.PostStock(bookings=r.SaleBooking("berlin", **names)))


def test_a_full_count() -> None:
    """Begin and end travel with the count's name, also an end of no keys; without the name they are a ValueError."""
    command = r.PostStock(count_id="c1", begin_count=r.CountBegin("berlin", 7, epoch=1), end_count=r.CountEnd(0))
    assert written(command) == (
        'request_id: "id" count_id: "c1" begin_count { location: "berlin" position: 7 epoch: 1 } end_count { }'
    )
    with pytest.raises(ValueError, match="need a count_id"):
        written(r.PostStock(end_count=r.CountEnd(3)))


def test_reassign_part() -> None:
    """An empty path is the common pool and is sent; a computed quantity of 0 must not move everything."""
    assert written(r.ReassignPart("res", 2, "hamburg", path="", fallback=r.Fallback.NONE, quantity=3)) == (
        'request_id: "id" reservation_id: "res" part_number: 2 location: "hamburg" path: "" fallback: FALLBACK_NONE '
        "quantity: 3"
    )
    with pytest.raises(ValueError, match="quantity is 0"):
        written(r.ReassignPart("res", 2, "hamburg", quantity=0))


def test_sync_stock_takes_facts_alone() -> None:
    """Over SyncStock a post carries the very request that its own call would; another command is a TypeError."""
    command = r.PostStock(r.StockFigure("LAMP", "berlin", 5, position=1))
    assert sync_post(command, "id")[1] == command_call(command, "id").message
    with pytest.raises(TypeError, match="PostStock alone"):
        sync_post(r.Cancel("res"), "id")


def test_list_discrepancies() -> None:
    """Every filter stands in the request."""
    call = _till_queries.list_discrepancies(
        locations=["berlin"],
        kinds=[r.DiscrepancyKind.SHORTFALL],
        sku="LAMP",
        record_time_from=AT,
        record_time_until=AT,
        page_size=5,
        page_token="t",
    )
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'locations: "berlin" kinds: DISCREPANCY_KIND_SHORTFALL sku: "LAMP" record_time_from { seconds: 1767323045 } '
        'record_time_until { seconds: 1767323045 } page_size: 5 page_token: "t"'
    )


def test_report_published() -> None:
    """A quantity names key, path and when it was published."""
    quantity = r.PublishedQuantity("LAMP", "berlin", 5, AT, path="web")
    call = _till_queries.report_published(quantity, "shop", "id")
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'request_id: "id" publisher: "shop" quantities { key { sku: "LAMP" location: "berlin" } path: "web" '
        "quantity: 5 publish_time { seconds: 1767323045 } }"
    )


def test_what_is_stuck() -> None:
    """The list of reservations can be asked for what is stuck on its way into a till."""
    call = _queries.list_reservations(
        states=(),
        owner="",
        sku="",
        location="berlin",
        order_reference="",
        create_time_from=None,
        create_time_until=None,
        till_progress=r.TillProgress.NOT_RECEIVED,
        stuck_for=timedelta(minutes=10),
        page_size=0,
        page_token="",
    )
    assert text_format.MessageToString(call.message, as_one_line=True) == (
        'location: "berlin" till_progress: TILL_PROGRESS_NOT_RECEIVED stuck_for { seconds: 600 }'
    )


def test_the_policy_of_a_till() -> None:
    """A location's source and the share that a person confirms are written and read back; unset stays unset."""
    policy = r.Policy(
        revision=1,
        locations=[r.Location("berlin", r.LocationKind.TILL, source="pos")],
        full_count_confirm_share=0,
    )
    message = _queries.set_policy(policy, None, "id").message.policy
    assert message.locations[0].source == "pos"
    assert message.HasField("full_count_confirm_share")
    assert message.full_count_confirm_share == 0
    unset = _queries.set_policy(r.Policy(revision=1), None, "id").message.policy
    assert not unset.HasField("full_count_confirm_share")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (_feed.received("e", "T-1", AT), 'received { document_number: "T-1" time { seconds: 1767323045 } }'),
        (_feed.received("e", "", None), "received { }"),
        (_feed.rejected("e", "closed"), 'rejected { reason: "closed" }'),
        (_feed.confirm_cancellation("e"), "confirm_cancellation { }"),
        (_feed.refuse_cancellation("e", "sold"), 'refuse_cancellation { reason: "sold" }'),
        (
            _feed.failed("e", "offline", timedelta(seconds=5)),
            'failed { error: "offline" retry_after { seconds: 5 } }',
        ),
    ],
)
def test_replies(reply: Any, text: str) -> None:
    """Each reply names its event and says one thing, be it empty."""
    assert text_format.MessageToString(reply, as_one_line=True) == f'event_id: "e" {text}'
