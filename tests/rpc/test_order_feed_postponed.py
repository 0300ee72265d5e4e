"""StreamOrders: an event whose till takes its time gives its place back and stays its adapter's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import order_feed_service_pb2 as feed
from tests.rpc.tilling import Tilled

RECORDED = feed.ORDER_REPLY_RESULT_RECORDED
DUPLICATE = feed.ORDER_REPLY_RESULT_DUPLICATE
REFUSED = feed.ORDER_REPLY_RESULT_REFUSED
ORDER = feed.ORDER_EVENT_KIND_ORDER
CANCELLATION = feed.ORDER_EVENT_KIND_CANCELLATION
RECEIVED: dict[str, Any] = {"received": {"document_number": "D-1"}}


def later(seconds: int) -> dict[str, Any]:
    """The reply that postpones."""
    return {"postponed": {"retry_after": Duration(seconds=seconds)}}


async def test_postponed_events_hold_up_no_newer_ones(tilled: Tilled) -> None:
    """However many there are, in a window of one."""
    sold = [await tilled.sell() for _ in range(5)]
    stream = tilled.stream(max_in_flight=1)
    for reservation_id in sold:
        event = await stream.event()
        assert event.reservation_id == reservation_id
        assert (await stream.reply(event, **later(600))).result == RECORDED
    await stream.nothing()


async def test_it_stays_sent_and_not_received(tilled: Tilled) -> None:
    """Postponing is no answer, and no change of the order."""
    sold = await tilled.sell()
    stream = tilled.stream()
    event = await stream.event()
    reservation = tilled.store.rows.reservations[bytes.fromhex(sold.replace("-", ""))]
    revision = reservation.revision
    await stream.reply(event, **later(600))
    part = tilled.part(sold)
    assert part.sent_time is not None
    assert part.received_time is None
    assert tilled.store.rows.reservations[bytes.fromhex(sold.replace("-", ""))].revision == revision
    assert (await stream.reply(event, **RECEIVED)).result == RECORDED
    assert tilled.part(sold).document_number == "D-1"


async def test_it_is_nobody_elses_until_its_time(tilled: Tilled) -> None:
    """Whether its adapter lives or not; then it comes again, to any adapter, with a place of its own."""
    await tilled.sell()
    stream = tilled.stream("first", lease=10)
    event = await stream.event()
    await stream.reply(event, **later(600))
    await stream.done()
    other = tilled.stream("other")
    await other.nothing()
    tilled.clock.advance(timedelta(seconds=599))
    await other.nothing()
    tilled.clock.advance(timedelta(seconds=1))
    again = await other.event()
    assert (again.event_id, again.attempt) == (event.event_id, 2)


async def test_it_does_not_come_again_when_its_adapter_does(tilled: Tilled) -> None:
    """Who reconnects gets what it was handed and did not answer, and newer ones; not all that its till has."""
    stream = tilled.stream("erp")
    await tilled.sell()
    await stream.reply(await stream.event(), **later(600))
    await stream.done()
    newer = await tilled.sell()
    again = tilled.stream("erp")
    assert (await again.event()).reservation_id == newer
    await again.nothing()


async def test_postponing_again_begins_anew(tilled: Tilled) -> None:
    """Longer or shorter."""
    await tilled.sell()
    stream = tilled.stream()
    event = await stream.event()
    await stream.reply(event, **later(60))
    tilled.clock.advance(timedelta(seconds=50))
    await stream.reply(event, **later(60))
    tilled.clock.advance(timedelta(seconds=50))
    await stream.nothing()
    await stream.reply(event, **later(1))
    tilled.clock.advance(timedelta(seconds=1))
    assert (await stream.event()).attempt == 2


async def test_a_cancellation_overtakes_a_postponed_order(tilled: Tilled) -> None:
    """The till has the order, so it can be told; on another adapter of the location too."""
    sold = await tilled.sell()
    stream = tilled.stream("first")
    event = await stream.event()
    await stream.reply(event, **later(3_600))
    await stream.done()
    await tilled.cancel(sold)
    other = tilled.stream("other")
    cancellation = await other.event()
    assert (cancellation.kind, cancellation.reservation_id) == (CANCELLATION, sold)
    assert (await other.reply(cancellation, confirm_cancellation={})).result == RECORDED
    assert (await other.reply(event, **later(60))).result == DUPLICATE


async def test_an_order_that_is_over_its_time_comes_before_its_cancellation(tilled: Tilled) -> None:
    """From then on it is an order like one that nobody has."""
    sold = await tilled.sell()
    stream = tilled.stream("first")
    await stream.reply(await stream.event(), **later(60))
    await stream.done()
    tilled.clock.advance(timedelta(seconds=60))
    await tilled.cancel(sold)
    other = tilled.stream("other")
    assert [event.kind for event in await other.events(2)] == [ORDER, CANCELLATION]


async def test_an_answered_event_is_not_postponed(tilled: Tilled) -> None:
    """DUPLICATE tells the adapter that it can forget the event."""
    await tilled.sell()
    stream = tilled.stream()
    event = await stream.event()
    await stream.reply(event, **RECEIVED)
    assert (await stream.reply(event, **later(60))).result == DUPLICATE


@pytest.mark.parametrize("seconds", [0, 86_401, -1])
async def test_a_time_out_of_range_is_refused(tilled: Tilled, seconds: int) -> None:
    """At once would come again without end."""
    await tilled.sell()
    stream = tilled.stream()
    ack = await stream.reply(await stream.event(), **later(seconds))
    assert (ack.result, ack.error.partition(": 1 second")[0]) == (REFUSED, "postponed.retry_after: OUT_OF_RANGE")


async def test_only_what_was_handed_over_is_postponed(tilled: Tilled) -> None:
    """Else a sale that no till ever saw would wait for its answer."""
    sold = await tilled.sell()
    till = tilled.part(sold).till
    assert till is not None
    event_id = str(UUID(bytes=till.events[0].event_id))
    ack = await tilled.stream("elsewhere", "south").reply(event_id, **later(60))
    assert ack.result == REFUSED
    assert ack.error.startswith("NOT_HANDED_OVER: ")
    assert (await tilled.stream().event()).attempt == 1
