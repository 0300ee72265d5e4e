"""StreamOrders: at least once, in order per part, shared under leases; a reply is durable before it is acknowledged."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.rpc.identity import identity_of
from ringfence_server.rpc.order_feed import _Stream
from tests.rpc.messages import new_id, reason, status_of, stock_key
from tests.rpc.tilling import Tilled

RECORDED = feed.ORDER_REPLY_RESULT_RECORDED
DUPLICATE = feed.ORDER_REPLY_RESULT_DUPLICATE
REFUSED = feed.ORDER_REPLY_RESULT_REFUSED
ORDER = feed.ORDER_EVENT_KIND_ORDER
CANCELLATION = feed.ORDER_EVENT_KIND_CANCELLATION
RECEIVED: dict[str, Any] = {"received": {"document_number": "D-1"}}


class TestHandingOver:
    """Events out."""

    async def test_a_sale_is_handed_over_with_all_that_the_till_needs(self, tilled: Tilled) -> None:
        """And from then on it counts as sent."""
        stream = tilled.stream()
        sold = await tilled.sell(2, order="A-7")
        event = await stream.event()
        assert (event.kind, event.reservation_id, event.part_number, event.quantity) == (ORDER, sold, 1, 2)
        assert (event.order_reference, event.channel, event.attributes) == ("A-7", "anonymous", b"gift wrap")
        assert event.key == common_pb2.StockKey(sku="LAMP", location="north")
        assert event.attempt == 1
        assert event.lease_expire_time.ToMicroseconds() == tilled.clock.now() + 60_000_000
        assert tilled.part(sold).sent_time == tilled.clock.now()

    async def test_a_sale_wakes_the_streams_of_its_location_only(self, tilled: Tilled) -> None:
        """Nothing is asked of the store in between: nobody polls."""
        north, south = tilled.stream("a", "north"), tilled.stream("b", "south")
        await north.nothing()
        await south.nothing()
        tilled.store.batches.clear()
        await tilled.sell()
        await north.event()
        # The sale, and what took it; what the other side of the shop has to do it does not ask.
        assert tilled.store.batches == [1, 1]
        await south.nothing()

    async def test_what_was_sold_before_comes_too(self, tilled: Tilled) -> None:
        """Oldest first."""
        sold = [await tilled.sell() for _ in range(3)]
        assert [event.reservation_id for event in await tilled.stream().events(3)] == sold

    async def test_an_adapter_that_says_something_keeps_what_it_has(self, tilled: Tilled) -> None:
        """A message without replies does; another adapter waits on, and has the event a lease after it died."""
        slow, other = tilled.stream("slow"), tilled.stream("other")
        sold = await tilled.sell()
        await slow.event()
        for _ in range(3):
            tilled.clock.advance(timedelta(seconds=40))
            await slow.call.write(feed.StreamOrdersRequest())
            await asyncio.wait_for(_leased_for(tilled, sold, 60), 60)
            await other.nothing()
        await slow.done()
        tilled.clock.advance(timedelta(seconds=60))
        again = await other.event()
        assert (again.reservation_id, again.attempt) == (sold, 2)

    async def test_no_more_are_in_flight_than_the_adapter_takes(self, tilled: Tilled) -> None:
        """A reply makes room for the next."""
        sold = [await tilled.sell() for _ in range(3)]
        stream = tilled.stream(max_in_flight=2)
        first, _ = await stream.events(2)
        await stream.nothing()
        await stream.reply(first, **RECEIVED)
        assert (await stream.event()).reservation_id == sold[2]

    async def test_handing_over_keeps_no_outcome(self, tilled: Tilled) -> None:
        """Nobody repeats what the service asks itself."""
        await tilled.sell()
        before = len(tilled.store.rows.outcomes)
        await tilled.stream().event()
        assert len(tilled.store.rows.outcomes) == before

    async def test_a_large_hand_over_comes_in_messages_that_a_client_takes(self, tilled: Tilled) -> None:
        """Of a gRPC client's 4 MiB at most, however large the attributes are."""
        await tilled.post(600, 2)
        lines = [pb.ReserveLine(line_id=str(number), key=stock_key(), quantity=1) for number in range(600)]
        sale = pb.DirectSale(lines=lines)
        await tilled.allocation.Consume(
            pb.ConsumeRequest(request_id=new_id(), direct=sale, order_reference="A-7", attributes=bytes(8_192))
        )
        events = await tilled.stream(max_in_flight=1_000).events(600)
        assert len({event.event_id for event in events}) == 600


class TestLeases:
    """Who has an event, and until when."""

    async def test_two_adapters_of_a_location_share_its_events(self, tilled: Tilled) -> None:
        """Each event is handed to one of them."""
        one, two = tilled.stream("one", max_in_flight=5), tilled.stream("two", max_in_flight=5)
        sold = [await tilled.sell() for _ in range(10)]
        events = [*await one.events(5), *await two.events(5)]
        assert sorted(event.reservation_id for event in events) == sorted(sold)
        assert {event.attempt for event in events} == {1}

    async def test_an_event_without_a_reply_comes_again_when_its_lease_ends(self, tilled: Tilled) -> None:
        """To any adapter of the location, with the same id and a higher attempt."""
        await tilled.sell()
        dead = tilled.stream("dead", lease=30)
        first = await dead.event()
        dead.call.cancel()
        other = tilled.stream("other")
        await other.nothing()
        tilled.clock.advance(timedelta(seconds=30))
        second = await other.event()
        assert (second.event_id, second.attempt) == (first.event_id, 2)

    async def test_a_live_adapter_that_says_nothing_is_handed_it_again(self, tilled: Tilled) -> None:
        """At its lease's end, on the same stream."""
        await tilled.sell()
        stream = tilled.stream(lease=30, max_in_flight=1)
        first = await stream.event()
        tilled.clock.advance(timedelta(seconds=30))
        assert (await stream.event()).event_id == first.event_id

    async def test_an_adapter_that_comes_back_gets_its_own_at_once(self, tilled: Tilled) -> None:
        """A crash costs no lease; another adapter has to wait for it."""
        await tilled.sell()
        stream = tilled.stream("erp")
        first = await stream.event()
        stream.call.cancel()
        again = tilled.stream("erp")
        second = await again.event()
        assert (second.event_id, second.attempt) == (first.event_id, 2)
        assert (await again.reply(second, **RECEIVED)).result == RECORDED

    async def test_back_with_less_room_it_gets_its_own_one_after_the_other(self, tilled: Tilled) -> None:
        """In their order, and a cancellation never before the order that the crash may have lost."""
        sold = [await tilled.sell() for _ in range(3)]
        stream = tilled.stream("erp")
        before = await stream.events(3)
        stream.call.cancel()
        await tilled.cancel(sold[2])
        again = tilled.stream("erp", max_in_flight=1)
        for event in before:
            handed = await again.event()
            assert (handed.event_id, handed.attempt) == (event.event_id, 2)
            await again.reply(handed, **RECEIVED)
        assert (await again.event()).kind == CANCELLATION

    async def test_the_same_adapter_elsewhere_replaces_the_earlier_stream(self, tilled: Tilled) -> None:
        """Whose connection may be dead without knowing: it takes nothing any more."""
        stream = tilled.stream("erp")
        await stream.nothing()
        again = tilled.stream("erp")
        await again.nothing()
        error = await stream.failure()
        assert error.code() == grpc.StatusCode.ABORTED
        assert reason(status_of(error)) == "ADAPTER_REPLACED"
        await tilled.sell()
        await again.event()

    async def test_streams_of_one_name_at_other_locations_live_together(self, tilled: Tilled) -> None:
        """One program may serve each store by a stream of its own."""
        north, south = tilled.stream("erp", "north"), tilled.stream("erp", "south")
        await north.nothing()
        await south.nothing()
        await north.nothing()

    async def test_a_slow_reader_has_nothing_taken_for_it(self, tilled: Tilled) -> None:
        """What was taken before waits to be read; its lease may end, and then others take it."""
        context = StuckContext(
            feed.StreamOrdersRequest(
                subscribe=feed.OrderSubscription(adapter="slow", locations=["north"], lease=Duration(seconds=30))
            )
        )
        stream = _Stream(tilled.services, identity_of(()), context)
        serving = asyncio.create_task(stream.serve())
        await tilled.sell()
        await context.writing.wait()
        for _ in range(5):
            await tilled.sell()
        other = tilled.stream("other")
        assert {event.attempt for event in await other.events(5)} == {1}
        tilled.clock.advance(timedelta(seconds=30))
        again = await other.event()
        assert again.attempt == 2
        serving.cancel()
        stream.close()


class StuckContext:
    """A call whose caller subscribes and then reads nothing."""

    def __init__(self, message: feed.StreamOrdersRequest) -> None:
        self._messages = [message]
        self.writing = asyncio.Event()

    async def read(self) -> feed.StreamOrdersRequest:
        """The subscription, then nothing."""
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop()

    async def write(self, message: bytes) -> None:
        """Never comes to an end."""
        self.writing.set()
        await asyncio.Event().wait()


class TestReplies:
    """What the till said."""

    async def test_a_received_order_has_its_document_number(self, tilled: Tilled) -> None:
        """Acknowledged when durable; received settles nothing."""
        sold = await tilled.sell()
        stream = tilled.stream()
        event = await stream.event()
        tilled.clock.advance(timedelta(seconds=5))
        ack = await stream.reply(event, **RECEIVED)
        assert (ack.event_id, ack.result) == (event.event_id, RECORDED)
        part = tilled.part(sold)
        assert (part.document_number, part.received_time, part.unsettled) == ("D-1", tilled.clock.now(), 1)

    async def test_a_second_reply_changes_nothing(self, tilled: Tilled) -> None:
        """Resent after a broken stream, on whichever stream."""
        sold = await tilled.sell()
        stream = tilled.stream("one")
        event = await stream.event()
        await stream.reply(event, **RECEIVED)
        stream.call.cancel()
        ack = await tilled.stream("two").reply(event, rejected={"reason": "no"})
        assert ack.result == DUPLICATE
        assert tilled.part(sold).document_number == "D-1"

    async def test_a_reply_after_the_lease_is_a_fact(self, tilled: Tilled) -> None:
        """Though another adapter has the event by now."""
        sold = await tilled.sell()
        late, other = tilled.stream("late", lease=10), tilled.stream("other")
        event = await late.event()
        tilled.clock.advance(timedelta(seconds=10))
        await late.reply(event, **RECEIVED)
        assert tilled.part(sold).document_number == "D-1"
        await other.nothing()

    async def test_a_rejected_order_waits_for_the_channel(self, tilled: Tilled) -> None:
        """The sale stands."""
        sold = await tilled.sell(3)
        stream = tilled.stream()
        await stream.reply(await stream.event(), rejected={"reason": "broken glass"})
        till = tilled.part(sold).till
        assert till is not None
        assert (till.undecided, till.rejected_reason) == (3, "broken glass")

    async def test_a_failed_hand_over_comes_again_after_its_pause(self, tilled: Tilled) -> None:
        """At once without one; what went wrong is kept."""
        sold = await tilled.sell()
        stream = tilled.stream()
        first = await stream.event()
        await stream.reply(first, failed={"error": "offline"})
        second = await stream.event()
        assert (second.event_id, second.attempt) == (first.event_id, 2)
        await stream.reply(second, failed={"error": "still offline", "retry_after": Duration(seconds=600)})
        await stream.nothing()
        tilled.clock.advance(timedelta(seconds=600))
        assert (await stream.event()).attempt == 3
        till = tilled.part(sold).till
        assert till is not None
        assert (till.attempts, till.last_error) == (3, "still offline")

    @pytest.mark.parametrize(
        ("reply", "rule"),
        [
            ({}, "reply: REQUIRED: "),
            ({"rejected": {}}, "rejected.reason: REQUIRED: "),
            ({"rejected": {"reason": "x" * 513}}, "rejected.reason: TOO_LONG: "),
            ({"received": {"document_number": "x" * 129}}, "received.document_number: TOO_LONG: "),
            ({"failed": {"error": "x", "retry_after": Duration(seconds=86_401)}}, "failed.retry_after: OUT_OF_RANGE: "),
            ({"confirm_cancellation": {}}, "REPLY_OF_OTHER_KIND: "),
        ],
    )
    async def test_a_reply_that_breaks_a_rule_is_refused_alone(
        self, tilled: Tilled, reply: dict[str, Any], rule: str
    ) -> None:
        """The event stays open, and the right reply is taken."""
        await tilled.sell()
        stream = tilled.stream()
        event = await stream.event()
        ack = await stream.reply(event, **reply)
        assert (ack.event_id, ack.result) == (event.event_id, REFUSED)
        assert ack.error.startswith(rule)
        assert (await stream.reply(event, **RECEIVED)).result == RECORDED

    async def test_an_id_that_is_none_is_refused(self, tilled: Tilled) -> None:
        """Not longer than it may be is echoed."""
        ack = await tilled.stream().reply("x" * 100, **RECEIVED)
        assert (ack.result, ack.event_id) == (REFUSED, "x" * 64)
        assert ack.error.startswith("event_id: BAD_UUID: ")


async def _leased_for(tilled: Tilled, reservation_id: str, seconds: int) -> None:
    """Waits until the order's event is an adapter's for so long from now."""
    while True:
        till = tilled.part(reservation_id).till
        assert till is not None
        if till.events[0].lease_until == tilled.clock.now() + seconds * 1_000_000:
            return
        await asyncio.sleep(0.002)
