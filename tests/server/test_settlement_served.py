"""The settlement table over gRPC, each row once: what a channel and a till say, and what the service then answers.

Every example begins with a figure of 10 bikes at position 100. tests/ledger tells each row's numbers at length.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import order_feed_service_pb2 as feed
from ringfence.v1 import stock_service_pb2
from ringfence_server.config import ServerConfig
from tests.rpc.messages import new_id
from tests.server.tills import OWNED, TILL, TillShop, booked, delta, figure, till_shop

AT_ONCE, WHEN_TILL_CONFIRMS = pb.RESTOCK_AT_ONCE, pb.RESTOCK_WHEN_TILL_CONFIRMS
RESULT = stock_service_pb2.FigureResult


@pytest.fixture
async def shop(till_config: ServerConfig) -> AsyncIterator[TillShop]:
    """10 bikes at the north till's position 100; whatever a test does, the ledger adds up afterwards."""
    async with till_shop(till_config) as found:
        await found.post(figure(10, 100))
        yield found
        await found.sound()


def only(posted: stock_service_pb2.PostStockResponse) -> tuple[str, int, int]:
    """Result, value and unsettled units of the only figure."""
    (outcome,) = posted.outcomes
    return RESULT.Name(outcome.result).removeprefix("FIGURE_RESULT_"), outcome.value, outcome.unsettled


async def test_row_1_consume(shop: TillShop) -> None:
    """h → c, CONSUMED, an event for the till."""
    sold = await shop.hold()
    assert await shop.pool() == (7, 3, 0)
    await shop.consume(sold)
    assert (await shop.pool(), await shop.state(sold)) == ((7, 0, 3), "CONSUMED")
    event = await shop.stream().event()
    assert (event.kind, event.quantity, event.attributes) == (feed.ORDER_EVENT_KIND_ORDER, 3, b"gift")


async def test_row_2_sent_and_received(shop: TillShop) -> None:
    """SENT, then RECEIVED with document and time; nothing moves."""
    sold = await shop.sell(sent=False)
    stream = shop.stream()
    event = await stream.event()
    assert (await shop.state(sold), await shop.pool()) == ("SENT", (7, 0, 3))
    await stream.reply(event, received={"document_number": "R-17", "time": {"seconds": 5}})
    assert (await shop.state(sold), await shop.pool()) == ("RECEIVED", (7, 0, 3))
    part = await shop.part(sold)
    assert (part.document_number, part.received_time.seconds, part.attempts) == ("R-17", 5, 1)


async def test_row_3_a_booking_beyond_the_figure(shop: TillShop) -> None:
    """Remembered, still owed."""
    sold = await shop.sell()
    (outcome,) = (await shop.post(booked(sold, (104, 3)))).booking_outcomes
    assert (outcome.contained, outcome.owed) == (0, 3)
    part = await shop.part(sold)
    assert (await shop.pool(), part.booked, part.owed) == ((7, 0, 3), 3, 3)


async def test_row_4_a_late_booking(shop: TillShop) -> None:
    """SETTLED without a new figure."""
    sold = await shop.sell()
    await shop.post(figure(7, 110))
    assert await shop.pool() == (4, 0, 3)
    await shop.post(booked(sold, (104, 3)))
    assert (await shop.pool(), await shop.state(sold)) == ((7, 0, 0), "SETTLED")


async def test_row_5_a_figure_with_its_bookings(shop: TillShop) -> None:
    """Exact at 110, with a walk-in of 1."""
    sold = await shop.sell()
    assert only(await shop.post(booked(sold, (104, 3)), figure(6, 110))) == ("APPLIED", 6, 0)
    assert (await shop.pool(), await shop.state(sold)) == ((6, 0, 0), "SETTLED")


async def test_row_6_a_stale_figure(shop: TillShop) -> None:
    """Its booking is good all the same."""
    sold = await shop.sell()
    await shop.post(figure(7, 110))
    assert only(await shop.post(booked(sold, (104, 3)), figure(7, 105))) == ("STALE", 7, 0)
    assert await shop.pool() == (7, 0, 0)


async def test_row_7_the_same_position(shop: TillShop) -> None:
    """DUPLICATE; another value is a CONFLICT, and listed."""
    assert only(await shop.post(figure(10, 100))) == ("DUPLICATE", 10, 0)
    assert only(await shop.post(figure(9, 100))) == ("CONFLICT", 10, 0)
    assert await shop.listed() == [("POSITION_CONFLICT", -1)]


async def test_row_8_a_chained_delta(shop: TillShop) -> None:
    """The booking of the order, then a delivery."""
    sold = await shop.sell()
    assert only(await shop.post(booked(sold, (104, 3)), delta(-3, 100, 104))) == ("APPLIED", 7, 0)
    await shop.post(delta(5, 104, 108))
    assert (await shop.pool(), await shop.state(sold)) == ((12, 0, 0), "SETTLED")


async def test_row_9_a_delta_out_of_order(shop: TillShop) -> None:
    """GAP and STALE; nothing moves."""
    assert only(await shop.post(delta(-1, 104, 106))) == ("GAP", 10, 0)
    assert only(await shop.post(delta(-1, 99, 100))) == ("STALE", 10, 0)
    assert await shop.pool() == (10, 0, 0)


async def test_row_10_walk_ins(shop: TillShop) -> None:
    """May make the common pool negative; a shortfall is listed, and nothing new is promised."""
    await shop.sell(8)
    await shop.post(figure(6, 110))
    assert (await shop.pool(), await shop.net()) == ((-2, 0, 8), -2)
    assert await shop.listed() == [("SHORTFALL", 2)]


async def test_row_11_cancel_before_it_is_sent(shop: TillShop) -> None:
    """AT_ONCE, and the till hears nothing."""
    (line,) = (await shop.cancel(await shop.sell(sent=False))).lines
    assert (line.restock, await shop.pool()) == (AT_ONCE, (10, 0, 0))
    await shop.stream().nothing()


async def test_row_12_cancel_of_a_sent_order(shop: TillShop) -> None:
    """CANCELLING; the units stay counted."""
    sold = await shop.sell()
    (line,) = (await shop.cancel(sold)).lines
    assert (line.restock, await shop.pool(), await shop.state(sold)) == (WHEN_TILL_CONFIRMS, (7, 0, 3), "CANCELLING")
    assert (await shop.stream().event()).kind == feed.ORDER_EVENT_KIND_CANCELLATION
    assert (await shop.part(sold)).cancelling == 3


async def test_row_13_closed_without_a_booking(shop: TillShop) -> None:
    """c → the giving pool, CANCELLED."""
    await shop.allocate("web", 5)
    sold = await shop.sell(path="web")
    await shop.post(booked(sold, closed=True))
    assert (await shop.pool("web"), await shop.pool(), await shop.state(sold)) == ((5, 0, 0), (5, 0, 0), "CANCELLED")


async def test_row_14_booked_and_reversed(shop: TillShop) -> None:
    """Settled by the figure between, back by the one after both."""
    sold = await shop.sell()
    await shop.post(booked(sold, (104, 3), (108, -3), closed=True))
    await shop.post(figure(7, 106))
    assert (await shop.pool(), (await shop.part(sold)).settled) == ((7, 0, 0), 3)
    await shop.post(figure(10, 120))
    assert (await shop.pool(), await shop.state(sold)) == ((10, 0, 0), "CANCELLED")


async def test_row_15_cancel_of_a_settled_sale(shop: TillShop) -> None:
    """The stock comes back by the till's figure, once."""
    sold = await shop.sell()
    await shop.post(booked(sold, (104, 3)), figure(7, 104))
    await shop.cancel(sold)
    assert await shop.pool() == (7, 0, 0)
    stream = shop.stream()
    event = await stream.event()
    await shop.post(booked(sold, (104, 3), (108, -3)), figure(10, 110))
    await stream.reply(event, confirm_cancellation={})
    assert (await shop.pool(), await shop.state(sold)) == ((10, 0, 0), "CANCELLED")


async def test_row_16_the_till_refuses(shop: TillShop) -> None:
    """The sale stands, and the channel reads why."""
    sold = await shop.sell()
    await shop.cancel(sold)
    stream = shop.stream()
    await stream.reply(await stream.event(), refuse_cancellation={"reason": "wrapped"})
    part = await shop.part(sold)
    assert (await shop.state(sold), part.cancellation_refused_reason, part.unsettled) == ("RECEIVED", "wrapped", 3)


async def test_row_17_a_partial_booking(shop: TillShop) -> None:
    """n − k stays owed."""
    sold = await shop.sell()
    await shop.post(booked(sold, (104, 2)), figure(8, 104))
    part = await shop.part(sold)
    assert (part.settled, part.owed, await shop.pool()) == (2, 1, (7, 0, 1))


async def test_row_18_rejected(shop: TillShop) -> None:
    """REJECTED until the channel moves it to another store, in one request."""
    await shop.post(figure(4, 7, location="south"))
    sold = await shop.sell()
    await shop.post(booked(sold, reject_reason="damaged"))
    part = await shop.part(sold)
    assert (await shop.state(sold), part.rejected, part.owed, part.rejected_reason) == ("REJECTED", 3, 0, "damaged")
    answer = await shop.allocation.ReassignPart(
        pb.ReassignPartRequest(request_id=new_id(), reservation_id=sold, part_number=1, location="south")
    )
    assert list(answer.part_numbers) == [2]
    assert (await shop.pool(), await shop.pool(location="south")) == ((10, 0, 0), (1, 0, 3))
    assert ((await shop.part(sold, 2)).moved_from, await shop.state(sold)) == (1, "CONSUMED")
    assert (await shop.stream("south", "south").event()).part_number == 2


async def test_row_19_booked_beyond_what_was_sold(shop: TillShop) -> None:
    """The surplus is a walk-in, listed."""
    sold = await shop.sell()
    (outcome,) = (await shop.post(booked(sold, (104, 4)), figure(6, 104))).booking_outcomes
    assert (outcome.surplus, await shop.pool()) == (1, (6, 0, 0))
    assert await shop.listed() == [("SURPLUS_BOOKING", 1)]


async def test_row_20_booked_in_another_store(shop: TillShop) -> None:
    """The sale moves there."""
    await shop.post(figure(4, 7, location="south"))
    sold = await shop.sell()
    (outcome,) = (await shop.post(booked(sold, (9, 3), location="south"))).booking_outcomes
    assert (outcome.part_number, outcome.key.location) == (2, "south")
    assert (await shop.pool(), await shop.pool(location="south")) == ((10, 0, 0), (1, 0, 3))
    await shop.post(figure(1, 9, location="south"))
    assert (await shop.state(sold), await shop.listed()) == ("SETTLED", [("MOVED_STORE", 3)])


@pytest.mark.parametrize("ended", [False, True], ids=["held", "expired"])
async def test_row_21_booked_while_held_or_after_the_end(shop: TillShop, ended: bool) -> None:
    """Consumed by that fact; or a walk-in, listed."""
    sold = await shop.hold()
    if ended:
        shop.advance(minutes=15)
    await shop.post(booked(sold, (104, 3)))
    assert await shop.pool() == ((10, 0, 0) if ended else (7, 0, 3))
    assert await shop.listed() == [("BOOKED_AFTER_END" if ended else "BOOKED_WHILE_HELD", 3)]
    await shop.post(figure(7, 104))
    assert (await shop.state(sold), await shop.net()) == ("EXPIRED" if ended else "SETTLED", 7)


async def test_row_22_a_full_count(shop: TillShop) -> None:
    """INCOMPLETE until everything is durable; then what was not mentioned is zero."""
    await shop.post(figure(2, 100, "LAMP"), figure(9, 100, "BELL"))
    await shop.post(count_id="c", begin_count={"location": "north", "position": 200})
    await shop.post(figure(10, 0), count_id="c")
    end = (await shop.post(count_id="c", end_count={"key_count": 2})).end_outcome
    assert (end.result, end.mentioned_keys) == (stock_service_pb2.COUNT_RESULT_INCOMPLETE, 1)
    await shop.post(figure(9, 0, "BELL"), count_id="c")
    end = (await shop.post(count_id="c", end_count={"key_count": 2})).end_outcome
    assert (end.result, end.zeroed_units) == (stock_service_pb2.COUNT_RESULT_APPLIED, 2)
    assert (await shop.net("LAMP"), await shop.net("BELL"), await shop.net()) == (0, 9, 10)


async def test_row_23_a_figure_of_another_measure(shop: TillShop) -> None:
    """Moves supply by its coefficient and settles nothing."""
    await shop.set_policy(
        locations=[{"name": "north", "kind": TILL, "source": "pos"}, {"name": "south", "kind": TILL}],
        measures=[{"name": "on_hand", "kind": 1}, {"name": "inbound", "kind": 1}],
        supply=[{"measure": "on_hand", "coefficient": 1}, {"measure": "inbound", "coefficient": 1}],
    )
    sold = await shop.sell()
    await shop.post(booked(sold, (104, 3)))
    await shop.post(figure(6, 900, measure="inbound"), source="warehouse")
    assert await shop.pool() == (13, 0, 3)


async def test_row_24_an_owned_location(shop: TillShop) -> None:
    """SETTLED at once, and no till is told."""
    await shop.set_policy(locations=[{"name": "north", "kind": OWNED}])
    sold = await shop.sell(sent=False)
    assert (await shop.pool(), await shop.state(sold)) == ((7, 0, 0), "SETTLED")
