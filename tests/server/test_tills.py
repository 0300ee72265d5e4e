"""A day at a till, through the whole server: the lamp story, the order feed over crashes, and what people then ask."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import balance_pb2, stock_service_pb2
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from tests.rpc.messages import new_id, reason, stock_key, violations
from tests.rpc.querying import refusal
from tests.server.tills import TillShop, booked, figure, till_shop


@pytest.fixture
async def shop(till_config: ServerConfig) -> AsyncIterator[TillShop]:
    """10 lamps at the north till's position 100; whatever a test does, the ledger adds up afterwards."""
    async with till_shop(till_config) as found:
        await found.post(figure(10, 100, "LAMP"))
        yield found
        await found.sound()


def at(time: Timestamp) -> int:
    """An instant in milliseconds, as the clock says it: record times run ahead of it by the microsecond, so that no two
    commits share one."""
    return int(time.ToMicroseconds()) // 1_000


class TestTheLampStory:
    """10 lamps, an order, 9 shown, times sent and received shown, fulfilled or cancelled."""

    async def _ordered(self, shop: TillShop) -> tuple[str, Any, Any]:
        """Ordered at noon, sent a minute later, received in the minute after that."""
        stream = shop.stream(lease=600)
        await stream.nothing()
        noon = shop.clock.now() // 1_000
        sold = await shop.sell(1, sku="LAMP", sent=False)
        (balance,) = await shop.balances("LAMP")
        assert (balance.own.available, balance.own.unsettled, balance.supply) == (9, 1, 10)
        event = await stream.event()
        shop.advance(minutes=2)
        await stream.reply(event, received={"document_number": "R-17"})
        part = await shop.part(sold)
        assert (at(part.sent_time), at(part.received_time)) == (noon, noon + 120_000)
        assert (await shop.state(sold), part.document_number) == ("RECEIVED", "R-17")
        # The till has the order and has not booked it: it still counts 10, and 9 are shown.
        await shop.post(figure(10, 101, "LAMP"))
        assert await shop.pool(sku="LAMP") == (9, 0, 1)
        return sold, stream, event

    async def test_fulfilled(self, shop: TillShop) -> None:
        """The lamp is handed over: the till books it, its figure says 9, and 9 are shown still."""
        sold, _, _ = await self._ordered(shop)
        shop.advance(minutes=30)
        await shop.post(booked(sold, (104, 1), closed=True), figure(9, 104, "LAMP"))
        part = await shop.part(sold)
        assert (await shop.state(sold), at(part.settled_time)) == ("SETTLED", shop.clock.now() // 1_000)
        assert (await shop.pool(sku="LAMP"), part.booked, part.closed) == ((9, 0, 0), 1, True)
        assert await shop.listed() == []

    async def test_cancelled(self, shop: TillShop) -> None:
        """The till is asked first; confirmed, 10 are shown again, and the till's figure says the same."""
        sold, stream, _ = await self._ordered(shop)
        (line,) = (await shop.cancel(sold)).lines
        assert (line.restock, await shop.pool(sku="LAMP")) == (pb.RESTOCK_WHEN_TILL_CONFIRMS, (9, 0, 1))
        cancellation = await stream.event()
        assert (cancellation.kind, cancellation.document_number) == (feed.ORDER_EVENT_KIND_CANCELLATION, "R-17")
        await stream.reply(cancellation, confirm_cancellation={})
        assert (await shop.pool(sku="LAMP"), await shop.state(sold)) == ((10, 0, 0), "CANCELLED")
        await shop.post(figure(10, 110, "LAMP"))
        assert await shop.pool(sku="LAMP") == (10, 0, 0)


class TestTheFeed:
    """StreamOrders over the real store."""

    async def test_a_dead_adapters_orders_go_to_another_at_the_end_of_its_lease(self, shop: TillShop) -> None:
        """The stream that waits is woken by the clock, not by polling."""
        await shop.sell(1, sku="LAMP", sent=False)
        dead = shop.stream("dead", lease=30)
        first = await dead.event()
        dead.call.cancel()
        other = shop.stream("other")
        await other.nothing()
        shop.advance(seconds=30)
        second = await other.event()
        assert (second.event_id, second.attempt) == (first.event_id, 2)

    async def test_an_adapter_that_comes_back_gets_its_own_at_once(self, shop: TillShop) -> None:
        """Without waiting for its lease."""
        await shop.sell(1, sku="LAMP", sent=False)
        stream = shop.stream()
        first = await stream.event()
        stream.call.cancel()
        assert (await shop.stream().event()).event_id == first.event_id

    async def test_a_failure_comes_again_after_its_pause(self, shop: TillShop) -> None:
        """What went wrong is shown by GetReservation."""
        sold = await shop.sell(1, sku="LAMP", sent=False)
        stream = shop.stream()
        event = await stream.event()
        await stream.reply(event, failed={"error": "offline", "retry_after": Duration(seconds=600)})
        await stream.nothing()
        assert (await shop.part(sold)).last_error == "offline"
        shop.advance(seconds=600)
        assert (await stream.event()).attempt == 2

    async def test_a_cancellation_waits_for_the_reply_to_its_order(self, shop: TillShop) -> None:
        """When another adapter has the order; then it wakes who waits."""
        sold = await shop.sell(1, sku="LAMP", sent=False)
        one = shop.stream("one")
        order = await one.event()
        one.call.cancel()
        await shop.cancel(sold)
        two = shop.stream("two")
        await two.nothing()
        ack = await two.reply(order, received={"document_number": "R-1"})
        assert ack.result == feed.ORDER_REPLY_RESULT_RECORDED
        event = await two.event()
        assert (event.kind, event.document_number) == (feed.ORDER_EVENT_KIND_CANCELLATION, "R-1")

    @pytest.mark.parametrize("seed", range(3))
    async def test_two_adapters_that_keep_dying_lose_nothing_and_keep_the_order_per_part(
        self, shop: TillShop, seed: int
    ) -> None:
        """Every order and cancellation is replied to in the end; of each part the order comes before its
        cancellation."""
        chance = random.Random(seed)
        await shop.post(figure(1_000, 200, "LAMP"))
        handed: dict[str, list[int]] = {}
        sold = [await shop.sell(1, sku="LAMP", sent=False) for _ in range(20)]
        for _ in range(40):
            name = chance.choice(("one", "two"))
            stream = shop.stream(name, lease=10, max_in_flight=chance.randrange(1, 6))
            if chance.random() < 0.4 and sold:
                await shop.cancel(sold.pop())
            await stream.settled()
            await _work(stream, handed, chance)
            stream.call.cancel()
            if chance.random() < 0.3:
                shop.advance(seconds=10)
        shop.advance(seconds=10)
        last = shop.stream("last", max_in_flight=1_000)
        states: Counter[str] = Counter()
        for _ in range(50):
            # A stream that is ending may have taken something at the last moment.
            shop.advance(seconds=10)
            await last.settled()
            await _work(last, handed, chance, every=True)
            listed = await shop.allocation.ListReservations(pb.ListReservationsRequest(page_size=100))
            states = Counter(await _states(shop, listed.reservations))
            if set(states) <= {"RECEIVED", "CANCELLED"}:
                break
        # Handed over again, both come again; a cancellation is never the first, an order that has one never the last.
        assert {kinds[0] for kinds in handed.values()} == {feed.ORDER_EVENT_KIND_ORDER}
        assert all(kinds[-1] == max(kinds) for kinds in handed.values())
        assert set(states) <= {"RECEIVED", "CANCELLED"}
        assert states["RECEIVED"] == len(sold)

    async def test_what_was_handed_over_outlives_the_server(self, tmp_path: Path) -> None:
        """After a restart the adapter has its own again, others wait for the lease; replies to it are known."""
        config = ServerConfig(port=0, database_url=f"sqlite:///{tmp_path}/ringfence.db")
        clock = ManualClock()
        async with till_shop(config, clock) as shop:
            await shop.post(figure(10, 100, "LAMP"))
            for _ in range(2):
                await shop.sell(1, sku="LAMP", sent=False)
            stream = shop.stream(lease=30)
            first, second = await stream.events(2)
            await stream.reply(first, received={"document_number": "R-1"})
        async with till_shop(config, clock) as shop:
            other = shop.stream("other")
            await other.nothing()
            again = shop.stream()
            event = await again.event()
            assert (event.event_id, event.attempt) == (second.event_id, 2)
            ack = await again.reply(first, received={"document_number": "R-2"})
            assert ack.result == feed.ORDER_REPLY_RESULT_DUPLICATE


async def _work(stream: Any, handed: dict[str, list[int]], chance: random.Random, *, every: bool = False) -> int:
    """Passes on what was read; dies at any point unless ``every`` event is to be replied to."""
    events = list(stream.waiting())
    done = 0
    for event in events:
        handed.setdefault(event.reservation_id, []).append(event.kind)
        if not every and chance.random() < 0.3:
            break
        order = event.kind == feed.ORDER_EVENT_KIND_ORDER
        await stream.reply(event, **({"received": {}} if order else {"confirm_cancellation": {}}))
        done += 1
    return done


async def _states(shop: TillShop, reservations: Any) -> list[str]:
    return [await shop.state(each.reservation_id) for each in reservations]


async def test_a_stream_of_facts_cut_anywhere_and_sent_again_ends_in_the_same_state(shop: TillShop) -> None:
    """What was answered is replayed; what was not is taken."""
    sold = [await shop.sell(1, sku="LAMP") for _ in range(3)]
    posts = [
        stock_service_pb2.PostStockRequest(
            request_id=new_id(), source="pos", figures=[figure(10 - number, 101 + number, "LAMP")]
        )
        for number in range(4)
    ] + [
        stock_service_pb2.PostStockRequest(
            request_id=new_id(), source="pos", bookings=[booked(each, (101 + number, 1))]
        )
        for number, each in enumerate(sold, 1)
    ]
    chance = random.Random(1)
    for _ in range(4):
        chance.shuffle(posts)
        call = shop.stocks.SyncStock()
        for post in posts[: chance.randrange(1, len(posts))]:
            await call.write(stock_service_pb2.SyncStockRequest(posts=[post]))
        if chance.random() < 0.5:
            await call.read()
        call.cancel()
    call = shop.stocks.SyncStock()
    await call.write(stock_service_pb2.SyncStockRequest(posts=posts))
    await call.done_writing()
    outcomes = [outcome async for response in call for outcome in response.outcomes]
    assert {outcome.request_id for outcome in outcomes} == {post.request_id for post in posts}
    assert {outcome.WhichOneof("outcome") for outcome in outcomes} == {"post_stock"}
    assert await shop.pool(sku="LAMP") == (7, 0, 0)
    assert {await shop.state(each) for each in sold} == {"SETTLED"}


class TestAsking:
    """What people ask of the till side."""

    async def test_what_is_stuck_on_its_way_into_the_till(self, shop: TillShop) -> None:
        """Not sent, not received, not settled, rejected, cancelling: each with its time."""
        sold = await shop.sell(1, sku="LAMP", sent=False)

        async def found(progress: Any, minutes: int = 0) -> bool:
            fields: dict[str, Any] = {"stuck_for": Duration(seconds=60 * minutes)} if minutes else {}
            answer = await shop.allocation.ListReservations(
                pb.ListReservationsRequest(till_progress=progress, location="north", **fields)
            )
            return [each.reservation_id for each in answer.reservations] == [sold]

        shop.advance(minutes=5, seconds=1)
        assert await found(pb.TILL_PROGRESS_NOT_SENT)
        assert await found(pb.TILL_PROGRESS_NOT_SENT, 5)
        assert not await found(pb.TILL_PROGRESS_NOT_SENT, 6)
        stream = shop.stream()
        event = await stream.event()
        shop.advance(seconds=59)
        assert await found(pb.TILL_PROGRESS_NOT_RECEIVED)
        assert not await found(pb.TILL_PROGRESS_NOT_RECEIVED, 1)
        await stream.reply(event, received={})
        assert await found(pb.TILL_PROGRESS_NOT_SETTLED)
        assert not await found(pb.TILL_PROGRESS_NOT_RECEIVED)
        await shop.cancel(sold)
        assert await found(pb.TILL_PROGRESS_CANCELLING)
        await stream.reply(await stream.event(), refuse_cancellation={"reason": "shipped"})
        await shop.post(booked(sold, reject_reason="lost"))
        assert await found(pb.TILL_PROGRESS_REJECTED)
        assert not await found(pb.TILL_PROGRESS_NOT_SETTLED)

    @pytest.mark.parametrize(
        ("fields", "field", "rule"),
        [
            ({"till_progress": 9}, "till_progress", "UNKNOWN_VALUE"),
            ({"stuck_for": Duration(seconds=1)}, "stuck_for", "STUCK_WITHOUT_PROGRESS"),
            ({"till_progress": 4, "stuck_for": Duration(seconds=1)}, "stuck_for", "STUCK_WITHOUT_PROGRESS"),
            ({"till_progress": 1, "stuck_for": Duration(seconds=-1)}, "stuck_for", "OUT_OF_RANGE"),
            ({"till_progress": 1, "stuck_for": Duration(seconds=366 * 86_400)}, "stuck_for", "OUT_OF_RANGE"),
        ],
    )
    async def test_a_filter_that_means_nothing_is_refused(
        self, shop: TillShop, fields: dict[str, Any], field: str, rule: str
    ) -> None:
        """With the field and the rule."""
        status = await refusal(shop.allocation.ListReservations(pb.ListReservationsRequest(**fields)))
        assert violations(status)[field][0] == rule

    async def test_discrepancies_have_their_evidence(self, shop: TillShop) -> None:
        """What stands, what was reported, by whom, in which request."""
        request = stock_service_pb2.PostStockRequest(
            request_id=new_id(), source="pos", figures=[figure(9, 100, "LAMP")]
        )
        await shop.stocks.PostStock(request)
        shop.advance(seconds=1)
        order = stock_service_pb2.SaleBooking(
            order={"order_reference": "A-9", "sku": "LAMP"}, location="north", bookings=[{"position": 5, "quantity": 2}]
        )
        await shop.post(order)
        answer = await shop.stocks.ListDiscrepancies(stock_service_pb2.ListDiscrepanciesRequest())
        unknown, conflict = answer.discrepancies
        assert (conflict.known, conflict.reported, conflict.quantity, conflict.position) == (10, 9, -1, 100)
        assert (conflict.source, conflict.measure, conflict.key) == ("pos", "on_hand", stock_key("LAMP"))
        assert (conflict.request_id, at(conflict.record_time)) == (
            request.request_id,
            shop.clock.now() // 1_000 - 1_000,
        )
        assert (unknown.kind, unknown.order_reference) == (stock_service_pb2.DISCREPANCY_KIND_UNKNOWN_ORDER, "A-9")
        assert at(unknown.record_time) > at(conflict.record_time)

    async def test_discrepancies_are_filtered_and_paged(self, shop: TillShop) -> None:
        """By location, kind, SKU and time; every record once."""
        begun = shop.clock.now()
        for _ in range(5):
            await shop.post(figure(1, 100, "LAMP"), figure(1, 1, "BIKE", "south"), figure(2, 1, "BIKE", "south"))
            shop.advance(minutes=1)
        assert await shop.listed(locations=["north"]) == [("POSITION_CONFLICT", -9)] * 5
        assert await shop.listed(sku="BIKE") == [("POSITION_CONFLICT", 1)] * 5
        assert await shop.listed(kinds=[stock_service_pb2.DISCREPANCY_KIND_SHORTFALL]) == []
        until = Timestamp()
        until.FromMicroseconds(begun + 120_000_000)
        assert len(await shop.listed(record_time_until=until)) == 4
        assert len(await shop.listed(record_time_from=until)) == 6
        seen: list[int] = []
        token = ""
        while True:
            page = stock_service_pb2.ListDiscrepanciesRequest(page_size=3, page_token=token)
            answer = await shop.stocks.ListDiscrepancies(page)
            seen += [each.sequence for each in answer.discrepancies]
            token = answer.next_page_token
            if not token:
                break
        assert (len(seen), seen) == (10, sorted(seen, reverse=True))

    async def test_another_organization_sees_none_of_them(self, shop: TillShop) -> None:
        """As nothing else of it."""
        await shop.post(figure(9, 100, "LAMP"))
        answer = await shop.stocks.ListDiscrepancies(
            stock_service_pb2.ListDiscrepanciesRequest(), metadata=(("ringfence-organization", "other"),)
        )
        assert list(answer.discrepancies) == []

    async def test_what_the_shop_shows_stands_beside_what_is(self, shop: TillShop) -> None:
        """In QueryBalance by pool, in GetStock and ListStock by key; an older report replaces none."""
        clock = shop.clock.now() // 1_000_000

        async def report(quantity: int, seconds: int, **fields: Any) -> int:
            each = stock_service_pb2.PublishedQuantity(
                key=stock_key("LAMP"), quantity=quantity, publish_time=Timestamp(seconds=clock + seconds), **fields
            )
            request = stock_service_pb2.ReportPublishedRequest(
                request_id=new_id(), publisher="web-feed", quantities=[each]
            )
            return int((await shop.stocks.ReportPublished(request)).applied)

        assert await report(8, 10) == 1
        assert await report(7, 5) == 0
        await shop.sell(1, sku="LAMP", sent=False)
        (balance,) = await shop.balances("LAMP")
        (published,) = balance.published
        assert (balance.own.available, published.quantity, published.publisher) == (9, 8, "web-feed")
        assert (published.publish_time.seconds, at(published.record_time)) == (clock + 10, shop.clock.now() // 1_000)
        listed = (await shop.stocks.ListStock(stock_service_pb2.ListStockRequest())).stocks
        assert [each.quantity for each in listed[0].published] == [8]
        stock = (await shop.stocks.GetStock(stock_service_pb2.GetStockRequest(key=stock_key("LAMP")))).stock
        assert [each.quantity for each in stock.published] == [8]
        (every,) = (await shop.allocation.QueryBalance(balance_pb2.QueryBalanceRequest())).balances
        assert [each.quantity for each in every.published] == [8]
        sums = [balance_pb2.RollUp(by=balance_pb2.ROLL_UP_BY_SKU)]
        (row,) = await shop.balances("LAMP", roll_up=sums)
        assert list(row.published) == []

    async def test_a_report_of_a_key_that_nobody_posted_is_refused(self, shop: TillShop) -> None:
        """Which would else be shown nowhere."""
        each = stock_service_pb2.PublishedQuantity(key=stock_key("MOON"), publish_time=Timestamp(seconds=1))
        request = stock_service_pb2.ReportPublishedRequest(request_id=new_id(), quantities=[each])
        assert reason(await refusal(shop.stocks.ReportPublished(request))) == "STOCK_NOT_FOUND"

    async def test_a_part_that_stands_cannot_be_reassigned(self, shop: TillShop) -> None:
        """The till has it: the refusal tells how much may move."""
        sold = await shop.sell(2, sku="LAMP")
        request = pb.ReassignPartRequest(request_id=new_id(), reservation_id=sold, part_number=1, location="south")
        assert reason(await refusal(shop.allocation.ReassignPart(request))) == "NOT_REJECTED"

    async def test_reassigning_goes_over_execute_too(self, shop: TillShop) -> None:
        """As every command does."""
        await shop.post(figure(5, 1, "LAMP", "south"))
        sold = await shop.sell(2, sku="LAMP", sent=False)
        request = pb.ReassignPartRequest(request_id=new_id(), reservation_id=sold, part_number=1, location="south")
        call = shop.allocation.Execute()
        await call.write(pb.ExecuteRequest(commands=[pb.Command(reassign_part=request)]))
        await call.done_writing()
        (outcome,) = [outcome async for response in call for outcome in response.outcomes]
        assert list(outcome.reassign_part.part_numbers) == [2]
        assert await shop.pool(sku="LAMP", location="south") == (3, 0, 2)
