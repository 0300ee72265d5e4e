"""StreamOrders: cancellations, the rules of the stream, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import common_pb2
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.ledger.work import StoreUnavailable
from tests.committer.memory import events_of
from tests.rpc.messages import reason, status_of, violations
from tests.rpc.tilling import AdapterStream, Tilled

RECORDED = feed.ORDER_REPLY_RESULT_RECORDED
CANCELLATION = feed.ORDER_EVENT_KIND_CANCELLATION
RECEIVED: dict[str, Any] = {"received": {"document_number": "D-1"}}


class TestCancellations:
    """Orders that are given up."""

    async def test_an_unsent_order_is_withdrawn(self, tilled: Tilled) -> None:
        """Nothing comes at all, and the units are back at once."""
        answer = await tilled.cancel(await tilled.sell())
        assert answer.reservation.state == common_pb2.RESERVATION_STATE_CANCELLED
        await tilled.stream().nothing()

    async def test_a_cancellation_comes_after_its_order(self, tilled: Tilled) -> None:
        """Another adapter gets it only when the order was replied to."""
        sold = await tilled.sell()
        one, two = tilled.stream("one", max_in_flight=1), tilled.stream("two")
        order = await one.event()
        await tilled.cancel(sold)
        await two.nothing()
        await one.reply(order, **RECEIVED)
        cancellation = await (await _first(one, two)).event()
        assert (cancellation.kind, cancellation.document_number) == (CANCELLATION, "D-1")
        assert cancellation.cancel_reason_text == "changed her mind"

    async def test_confirmed_the_units_are_back(self, tilled: Tilled) -> None:
        """c goes to the pool that gave it."""
        sold = await tilled.sell(4)
        stream = tilled.stream()
        await stream.reply(await stream.event(), **RECEIVED)
        await tilled.cancel(sold)
        await stream.reply(await stream.event(), confirm_cancellation={})
        assert (tilled.part(sold).cancelled, tilled.store.free("LAMP")) == (4, 100)

    async def test_refused_the_sale_stands(self, tilled: Tilled) -> None:
        """And the channel reads why."""
        sold = await tilled.sell(4)
        stream = tilled.stream()
        await stream.reply(await stream.event(), **RECEIVED)
        await tilled.cancel(sold)
        await stream.reply(await stream.event(), refuse_cancellation={"reason": "shipped"})
        part = tilled.part(sold)
        assert part.till is not None
        assert (part.unsettled, part.till.refused_reason) == (4, "shipped")


async def _first(*streams: AdapterStream) -> AdapterStream:
    """The stream to which an event comes first."""
    tasks = {asyncio.create_task(stream.call.read()): stream for stream in streams}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    (task,) = done
    tasks[task].keep(task.result())
    return tasks[task]


class TestTheStream:
    """Its rules and its end."""

    @pytest.mark.parametrize(
        ("message", "field", "rule"),
        [
            (feed.StreamOrdersRequest(), "subscribe", "REQUIRED"),
            (
                feed.StreamOrdersRequest(subscribe=feed.OrderSubscription(locations=["north"])),
                "subscribe.adapter",
                "REQUIRED",
            ),
            (
                feed.StreamOrdersRequest(subscribe=feed.OrderSubscription(adapter="erp")),
                "subscribe.locations",
                "REQUIRED",
            ),
            (
                feed.StreamOrdersRequest(subscribe=feed.OrderSubscription(adapter="erp", locations=["north"] * 101)),
                "subscribe.locations",
                "TOO_MANY",
            ),
            (
                feed.StreamOrdersRequest(subscribe=feed.OrderSubscription(adapter="erp", locations=["north", "north"])),
                "subscribe.locations[1]",
                "NAMED_TWICE",
            ),
            (
                feed.StreamOrdersRequest(
                    subscribe=feed.OrderSubscription(adapter="erp", locations=["north"], max_in_flight=1_001)
                ),
                "subscribe.max_in_flight",
                "OUT_OF_RANGE",
            ),
            (
                feed.StreamOrdersRequest(
                    subscribe=feed.OrderSubscription(adapter="erp", locations=["north"], lease=Duration(nanos=1))
                ),
                "subscribe.lease",
                "OUT_OF_RANGE",
            ),
            (
                feed.StreamOrdersRequest(subscribe=feed.OrderSubscription(adapter="erp", locations=["moon"])),
                "subscribe.locations[0]",
                "LOCATION_NOT_A_TILL",
            ),
            (
                feed.StreamOrdersRequest(
                    subscribe=feed.OrderSubscription(adapter="erp", locations=["south"], source="pos-north")
                ),
                "subscribe.locations[0]",
                "SOURCE_NOT_OF_LOCATION",
            ),
            (
                feed.StreamOrdersRequest(
                    subscribe=feed.OrderSubscription(adapter="erp", locations=["north"]),
                    replies=[feed.OrderReply()] * 1_001,
                ),
                "replies",
                "TOO_MANY",
            ),
        ],
    )
    async def test_a_subscription_that_breaks_a_rule_ends_the_stream(
        self, tilled: Tilled, message: feed.StreamOrdersRequest, field: str, rule: str
    ) -> None:
        """The field and the rule are told."""
        call = tilled.feed.StreamOrders()
        await call.write(message)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert violations(status_of(raised.value))[field][0] == rule

    async def test_a_second_subscription_ends_the_stream(self, tilled: Tilled) -> None:
        """One stream, one adapter."""
        stream = tilled.stream()
        await stream.nothing()
        subscription = feed.OrderSubscription(adapter="erp", locations=["north"])
        await stream.call.write(feed.StreamOrdersRequest(subscribe=subscription))
        assert reason(status_of(await stream.failure())) == "SUBSCRIBED_ALREADY"

    async def test_an_adapter_that_stops_gets_its_last_acknowledgements(self, tilled: Tilled) -> None:
        """Replies that it sent before it ended the stream are taken."""
        sold = await tilled.sell()
        stream = tilled.stream()
        event = await stream.event()
        tilled.store.hold()
        await stream.send(feed.OrderReply(event_id=event.event_id, received={}))
        await stream.call.done_writing()
        tilled.store.let_go()
        assert [ack.result for ack in await stream.acks()] == [RECORDED]
        await stream.done()
        assert tilled.part(sold).received_time is not None

    async def test_a_draining_server_answers_what_it_took_and_ends_the_stream(self, tilled: Tilled) -> None:
        """With a status that says come again."""
        await tilled.sell()
        stream = tilled.stream()
        event = await stream.event()
        tilled.store.hold()
        await stream.send(feed.OrderReply(event_id=event.event_id, received={}))
        await tilled.store.entered.wait()
        tilled.services.draining.set()
        tilled.store.let_go()
        assert [ack.result for ack in await stream.acks()] == [RECORDED]
        error = await stream.failure()
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert reason(status_of(error)) == "DRAINING"

    async def test_a_store_that_is_away_ends_the_stream_and_loses_nothing(self, tilled: Tilled) -> None:
        """What was not acknowledged is sent again on the next stream."""
        await tilled.sell()
        stream = tilled.stream()
        event = await stream.event()
        tilled.store.faults.append(StoreUnavailable("gone"))
        await stream.send(feed.OrderReply(event_id=event.event_id, received={}))
        error = await stream.failure()
        assert reason(status_of(error)) == "STORE_UNAVAILABLE"
        again = tilled.stream()
        assert (await again.event()).event_id == event.event_id
        assert (await again.reply(event, **RECEIVED)).result == RECORDED

    async def test_open_streams_and_events_are_counted(self, tilled: Tilled) -> None:
        """For the metrics."""
        stream = tilled.stream()
        await tilled.sell()
        await stream.reply(await stream.event(), **RECEIVED)
        counts = tilled.services.counts
        assert (counts.adapters, counts.events_handed, counts.commands["StreamOrders", "accepted"]) == (1, 1, 1)
        await stream.done()
        assert counts.adapters == 0

    async def test_no_event_is_lost_over_many_broken_streams(self, tilled: Tilled) -> None:
        """Every order is received once in the end, whenever the adapter died."""
        sold = {await tilled.sell() for _ in range(30)}
        for round_ in range(10):
            stream = tilled.stream("erp", max_in_flight=7)
            for event in await stream.events(3):
                await stream.reply(event, received={"document_number": f"D-{round_}"})
            stream.call.cancel()
        received = {
            bytes.hex(reservation.reservation_id)
            for reservation, part, _ in events_of(tilled.store.rows)
            if part.received_time is not None
        }
        assert received == {each.replace("-", "") for each in sold}
