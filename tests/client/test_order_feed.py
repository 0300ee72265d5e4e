"""Orders out and replies back, over streams that break."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence import (
    AsyncClient,
    AsyncOrderFeed,
    Client,
    InvalidArgument,
    OrderEventKind,
    OrderFeed,
    OrderReplyResult,
    OutcomeUnknown,
    PermissionDenied,
    StockKey,
    Unavailable,
)
from ringfence.v1 import order_feed_service_pb2 as pb
from tests.client.conftest import PATIENCE, QUICK
from tests.client.scripted import Failure, ScriptedServer, until_cancelled, wait_for


def event(number: int, attempt: int = 1) -> pb.OrderEvent:
    """An order for a till."""
    return pb.OrderEvent(
        event_id=f"e{number}",
        kind="ORDER_EVENT_KIND_ORDER",
        reservation_id="res",
        part_number=number,
        key={"sku": "LAMP", "location": "berlin"},
        quantity=2,
        order_reference="4711",
        attempt=attempt,
    )


class Feeding:
    """A StreamOrders. Stream by stream it gives the events of `streams`, acknowledges as `acknowledges` says, and
    ends a stream whose list ends with a Failure."""

    def __init__(
        self, *streams: list[Any], result: str = "RECORDED", acknowledges: Callable[[int], bool] = lambda stream: True
    ) -> None:
        self.subscriptions: list[pb.OrderSubscription] = []
        self.replies: list[list[pb.OrderReply]] = []
        self.messages: list[int] = []
        self.heard = threading.Event()
        self._streams = list(streams)
        self._result = result
        self._acknowledges = acknowledges

    def __call__(self, requests: Iterator[pb.StreamOrdersRequest], context: Any) -> Iterator[pb.StreamOrdersResponse]:
        number = len(self.subscriptions)
        self.subscriptions.append(next(requests).subscribe)
        replies: list[pb.OrderReply] = []
        self.replies.append(replies)
        script = self._streams[min(number, len(self._streams) - 1)]
        events = [found for found in script if isinstance(found, pb.OrderEvent)]
        if events:
            yield pb.StreamOrdersResponse(events=events)
        if script and isinstance(script[-1], Failure):
            raise script[-1]
        for request in requests:
            replies += request.replies
            self.messages.append(len(request.replies))
            self.heard.set()
            if self._acknowledges(number):
                yield pb.StreamOrdersResponse(
                    acks=[
                        {
                            "event_id": reply.event_id,
                            "result": f"ORDER_REPLY_RESULT_{self._result}",
                            "error": "reply: why",
                        }
                        for reply in request.replies
                    ]
                )
        until_cancelled(context, 5)


class Feed:
    """A feed of either client, driven in the same way."""

    def __init__(self, client: AsyncClient | Client, feed: AsyncOrderFeed | OrderFeed) -> None:
        self.client = client
        self.feed = feed

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method of the feed."""
        method: Any = getattr(self.feed, name)
        if isinstance(self.feed, OrderFeed):
            return await asyncio.to_thread(method, *arguments, **options)
        return await method(*arguments, **options)

    async def close(self) -> None:
        """Closes the client, and with it the feed."""
        if isinstance(self.client, Client):
            await asyncio.to_thread(self.client.close)
        else:
            await self.client.close()


@pytest.fixture(params=["async", "sync"])
async def subscribe(request: pytest.FixtureRequest, scripted: ScriptedServer) -> Any:
    """Opens a feed of either client; it is closed after the test."""
    made: list[Feed] = []

    def make(timeout: timedelta = PATIENCE, target: str = "", **options: Any) -> Feed:
        kind = AsyncClient if request.param == "async" else Client
        client = kind(target or scripted.target, retry=QUICK, timeout=timeout)
        feed = Feed(client, client.stream_orders(["berlin"], adapter="pos", **options))
        made.append(feed)
        return feed

    yield make
    for feed in made:
        await feed.close()


Subscribe = Callable[..., Feed]


async def test_an_order_and_its_reply(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """The subscription says who takes what; an event comes with all it carries; a reply returns when it is durable."""
    feeding = Feeding([event(1)])
    scripted.on("StreamOrders", feeding)
    feed = subscribe(source="pos-system", max_in_flight=5, lease=timedelta(minutes=2))
    (taken,) = await feed.call("take")
    assert taken.kind is OrderEventKind.ORDER
    assert (taken.reservation_id, taken.part_number, taken.quantity) == ("res", 1, 2)
    assert taken.key == StockKey("LAMP", "berlin")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    result = await feed.call("received", taken, document_number="T-1", time=at)
    assert result is OrderReplyResult.RECORDED
    (reply,) = feeding.replies[0]
    assert (reply.event_id, reply.received.document_number) == ("e1", "T-1")
    (subscription,) = feeding.subscriptions
    assert (subscription.adapter, subscription.source, list(subscription.locations)) == (
        "pos",
        "pos-system",
        ["berlin"],
    )
    assert (subscription.max_in_flight, subscription.lease.seconds) == (5, 120)


async def test_a_sign_of_life_is_a_message_of_its_own(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """An adapter whose till takes its time keeps what it has, with nothing to reply yet."""
    feeding = Feeding([event(1)])
    scripted.on("StreamOrders", feeding)
    feed = subscribe()
    (taken,) = await feed.call("take")
    feed.feed.keep()
    assert await asyncio.to_thread(feeding.heard.wait, 60)
    await feed.call("received", taken)
    assert feeding.messages == [0, 1], "replies in each message"


async def test_a_reply_survives_a_broken_stream(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """A reply without an acknowledgement goes again on the next stream, and its caller notices nothing."""
    dropped = threading.Event()

    class Dropping(Feeding):
        def __call__(self, requests: Any, context: Any) -> Iterator[pb.StreamOrdersResponse]:
            if self.subscriptions:
                yield from super().__call__(requests, context)
                return
            self.subscriptions.append(next(requests).subscribe)
            yield pb.StreamOrdersResponse(events=[event(1)])
            self.replies.append(list(next(requests).replies))
            dropped.set()
            raise Failure("UNAVAILABLE", "gone")

    feeding = Dropping([])
    scripted.on("StreamOrders", feeding)
    feed = subscribe()
    (taken,) = await feed.call("take")
    assert await feed.call("rejected", taken, "closed today") is OrderReplyResult.RECORDED
    assert dropped.is_set()
    assert [[reply.event_id for reply in replies] for replies in feeding.replies] == [["e1"], ["e1"]]


async def test_unread_events_of_a_broken_stream_come_once(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """What a stream brought and nobody read is taken from the next stream alone."""
    scripted.on("StreamOrders", Feeding([event(1), event(2), Failure("UNAVAILABLE", "gone")], [event(2, 2), event(3)]))
    feed = subscribe()
    await feed.call("take", 0, timeout=timedelta(0))  # opens it
    await asyncio.to_thread(wait_for, lambda: len(scripted.calls("StreamOrders")) == 2)
    taken: list[Any] = []
    while not taken or taken[-1].event_id != "e3":
        taken += await feed.call("take", 10, timeout=PATIENCE)
    assert [(found.event_id, found.attempt) for found in taken][-2:] == [("e2", 2), ("e3", 1)]
    assert len({found.event_id for found in taken}) == len(taken)


async def test_iterating_ends_when_the_feed_is_closed(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """A loop over the feed gets its events and then the end, not an exception."""
    scripted.on("StreamOrders", Feeding([event(1), event(2)]))
    feed = subscribe()
    seen: list[str] = []

    async def read() -> None:
        if isinstance(feed.feed, OrderFeed):
            events = iter(feed.feed)
            await asyncio.to_thread(lambda: seen.extend(found.event_id for found in events))
        else:
            async for found in feed.feed:
                seen.append(found.event_id)

    reading = asyncio.create_task(read())
    await asyncio.to_thread(wait_for, lambda: len(seen) == 2)
    await feed.close()
    await reading
    assert seen == ["e1", "e2"]


async def test_a_refused_reply_is_an_error(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """A reply that does not answer its event raises with the service's words; an unknown event is a result."""
    scripted.on("StreamOrders", Feeding([], result="REFUSED"))
    with pytest.raises(InvalidArgument, match="reply: why"):
        await subscribe().call("confirm_cancellation", "e9")


async def test_an_unknown_event_is_a_result(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """Whoever replies to an event that is not there learns it without an exception."""
    scripted.on("StreamOrders", Feeding([], result="UNKNOWN_EVENT"))
    assert await subscribe().call("failed", "e9", "offline") is OrderReplyResult.UNKNOWN_EVENT


async def test_a_till_that_takes_its_time(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """An event is postponed for the service's hour, or for as long as is said."""
    feeding = Feeding([event(1)])
    scripted.on("StreamOrders", feeding)
    feed = subscribe()
    (taken,) = await feed.call("take")
    assert await feed.call("postponed", taken) is OrderReplyResult.RECORDED
    assert await feed.call("postponed", "e1", retry_after=timedelta(minutes=5)) is OrderReplyResult.RECORDED
    usual, chosen = feeding.replies[0]
    assert (usual.WhichOneof("reply"), usual.postponed.HasField("retry_after")) == ("postponed", False)
    assert (chosen.event_id, chosen.postponed.retry_after.seconds) == ("e1", 300)


async def test_a_silent_service_leaves_the_outcome_unknown(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """Without an acknowledgement in the client's timeout the reply may or may not be recorded, and the feed takes
    another stream."""
    scripted.on("StreamOrders", Feeding([event(1)], acknowledges=lambda stream: stream > 0))
    feed = subscribe(timeout=timedelta(milliseconds=300))
    (taken,) = await feed.call("take")
    with pytest.raises(OutcomeUnknown):
        await feed.call("refuse_cancellation", taken, "sold")
    # Where the machine is busy its time may be over again, and again.
    for _ in range(100):
        with contextlib.suppress(OutcomeUnknown):
            assert await feed.call("refuse_cancellation", taken, "sold") is OrderReplyResult.RECORDED
            break
    else:
        pytest.fail("no later stream is used")


async def test_what_no_other_stream_mends_is_raised(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """A refused subscription raises at once, for who reads and for who replies."""
    scripted.on("StreamOrders", Failure("PERMISSION_DENIED"))
    feed = subscribe()
    with pytest.raises(PermissionDenied):
        await feed.call("take")
    with pytest.raises(PermissionDenied):
        await feed.call("received", "e1")


async def test_a_wrong_target_is_no_quiet_day(nowhere: str, subscribe: Subscribe) -> None:
    """When nothing answers within the client's timeout, reading raises instead of waiting for ever."""
    with pytest.raises(Unavailable, match="no service answers"):
        await subscribe(timeout=timedelta(seconds=1), target=nowhere).call("take")


async def test_two_replies_to_one_event_are_a_mistake(scripted: ScriptedServer, subscribe: Subscribe) -> None:
    """While a reply is on its way, another one to the same event is a ValueError; the same one shares its outcome."""
    go_on = threading.Event()
    feeding = Feeding([], acknowledges=lambda stream: go_on.wait(60))
    scripted.on("StreamOrders", feeding)
    feed = subscribe()
    first = asyncio.create_task(feed.call("received", "e1"))
    await asyncio.to_thread(wait_for, lambda: bool(feeding.replies and feeding.replies[0]))
    with pytest.raises(ValueError, match="another reply"):
        await feed.call("rejected", "e1", "no")
    same = asyncio.create_task(feed.call("received", "e1"))
    await asyncio.sleep(0)
    go_on.set()
    assert await first is OrderReplyResult.RECORDED
    assert await same is OrderReplyResult.RECORDED
