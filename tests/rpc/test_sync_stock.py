"""SyncStock: facts as a stream, each request with its own outcome; cut anywhere and sent again, the same state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from ringfence.v1 import stock_service_pb2 as pb
from ringfence_server.rpc import execute
from ringfence_server.rpc.identity import identity_of
from ringfence_server.rpc.services import RpcLimits
from tests.rpc.messages import new_id, reason, status_of, stock_key, violations
from tests.rpc.tilling import Tilled, tills_served

APPLIED, DUPLICATE, STALE, CONFLICT, GAP = (
    pb.FIGURE_RESULT_APPLIED,
    pb.FIGURE_RESULT_DUPLICATE,
    pb.FIGURE_RESULT_STALE,
    pb.FIGURE_RESULT_CONFLICT,
    pb.FIGURE_RESULT_GAP,
)


@pytest.fixture
async def tilled() -> AsyncIterator[Tilled]:
    """100 lamps at two stores with tills, at position 1."""
    async with tills_served(RpcLimits(max_commands_per_message=50)) as found:
        yield found


def post(**fields: Any) -> pb.PostStockRequest:
    """One request of a stream."""
    return pb.PostStockRequest(request_id=new_id(), **fields)


def figure(value: int, position: int, sku: str = "LAMP", **fields: Any) -> pb.StockFigure:
    """A figure of the north till."""
    return pb.StockFigure(key=stock_key(sku), value=value, position=position, **fields)


def booked(order: str, location: str = "north", **fields: Any) -> pb.SaleBooking:
    """A report of an order's line; a booking is (position, quantity)."""
    bookings = [pb.Booking(position=position, quantity=units) for position, units in fields.pop("bookings", ())]
    return pb.SaleBooking(order=pb.BookedOrder(order_reference=order), location=location, bookings=bookings, **fields)


async def sync(tilled: Tilled, *messages: Sequence[pb.PostStockRequest]) -> dict[str, pb.SyncStockOutcome]:
    """Sends messages and reads to the end; outcomes by their id."""
    call = tilled.stock.SyncStock()
    for posts in messages:
        await call.write(pb.SyncStockRequest(posts=posts))
    await call.done_writing()
    return {outcome.request_id: outcome async for response in call for outcome in response.outcomes}


def results(outcome: pb.SyncStockOutcome) -> list[int]:
    """What came of the figures of a request."""
    return [each.result for each in outcome.post_stock.outcomes]


async def test_each_figure_has_its_result_and_what_is_in_force(tilled: Tilled) -> None:
    """Rows 5 to 9 of the settlement table, as the till reads them."""
    posts = [
        post(figures=[figure(90, 5)]),
        post(figures=[figure(90, 5)]),
        post(figures=[figure(91, 5)]),
        post(figures=[figure(70, 4)]),
        post(figures=[pb.StockFigure(key=stock_key(), delta=-3, previous_position=5, position=7)]),
        post(figures=[pb.StockFigure(key=stock_key(), delta=-1, previous_position=8, position=9)]),
        post(figures=[figure(50, 1, epoch=1)]),
    ]
    outcomes = await sync(tilled, posts)
    found = [outcomes[each.request_id] for each in posts]
    assert [results(each) for each in found] == [
        [APPLIED],
        [DUPLICATE],
        [CONFLICT],
        [STALE],
        [APPLIED],
        [GAP],
        [APPLIED],
    ]
    in_force = [(each.value, each.position, each.epoch) for out in found for each in out.post_stock.outcomes]
    assert in_force == [(90, 5, 0), (90, 5, 0), (90, 5, 0), (90, 5, 0), (87, 7, 0), (87, 7, 0), (50, 1, 1)]
    assert found[-1].post_stock.outcomes[0].common.allocated == 50


async def test_another_value_than_expected_refuses_its_request_alone(tilled: Tilled) -> None:
    """With the present one."""
    wrong, right = post(figures=[figure(5, 2, expected_value=7)]), post(figures=[figure(5, 2, expected_value=100)])
    outcomes = await sync(tilled, [wrong, right])
    assert reason(outcomes[wrong.request_id].error) == "VALUE_MISMATCH"
    assert results(outcomes[right.request_id]) == [APPLIED]


async def test_a_booking_settles_with_the_figure_that_contains_it(tilled: Tilled) -> None:
    """Whichever comes first; owed is told until then."""
    await tilled.sell(3, order="A-7")
    early, fig = post(bookings=[booked("A-7", bookings=[(8, 3)])]), post(figures=[figure(97, 8)])
    first = (await sync(tilled, [early]))[early.request_id].post_stock.booking_outcomes[0]
    assert (first.result, first.contained, first.owed) == (pb.BOOKING_RESULT_APPLIED, 0, 3)
    second = (await sync(tilled, [fig]))[fig.request_id].post_stock.outcomes[0]
    assert (second.unsettled, second.common.allocated, second.common.consumed) == (0, 97, 3)
    again = post(bookings=[booked("A-7", bookings=[(8, 3)])])
    third = (await sync(tilled, [again]))[again.request_id].post_stock.booking_outcomes[0]
    assert (third.result, third.contained, third.owed) == (pb.BOOKING_RESULT_DUPLICATE, 3, 0)


async def test_a_full_count_in_one_request(tilled: Tilled) -> None:
    """Begin, figures and end; what it did not mention is zero."""
    before = post(figures=[figure(20, 2, sku) for sku in ("A", "B", "C")])
    count = post(
        figures=[figure(99, 0), figure(20, 0, "A"), figure(20, 0, "B")],
        count_id="2026-01",
        begin_count=pb.CountBegin(location="north", position=9),
        end_count=pb.CountEnd(key_count=3),
    )
    await sync(tilled, [before])
    outcomes = await sync(tilled, [count])
    answer = outcomes[count.request_id].post_stock
    assert (answer.begin_outcome.result, answer.end_outcome.result) == (pb.COUNT_RESULT_BEGUN, pb.COUNT_RESULT_APPLIED)
    assert (answer.end_outcome.mentioned_keys, answer.end_outcome.unmentioned_keys) == (3, 1)
    assert answer.end_outcome.zeroed_units == 20


async def test_a_full_count_that_lacks_a_key_is_incomplete(tilled: Tilled) -> None:
    """And one that would zero too much waits for a person."""
    begin = post(count_id="c", begin_count=pb.CountBegin(location="north", position=9))
    end = post(count_id="c", end_count=pb.CountEnd(key_count=1))
    outcomes = await sync(tilled, [begin, end])
    assert outcomes[end.request_id].post_stock.end_outcome.result == pb.COUNT_RESULT_INCOMPLETE
    nothing = post(count_id="c", end_count=pb.CountEnd(key_count=0))
    outcomes = await sync(tilled, [nothing])
    found = outcomes[nothing.request_id].post_stock.end_outcome
    assert (found.result, found.zeroed_units) == (pb.COUNT_RESULT_NEEDS_CONFIRMATION, 100)
    agreed = post(count_id="c", end_count=pb.CountEnd(key_count=0, confirmed=True))
    outcomes = await sync(tilled, [agreed])
    assert outcomes[agreed.request_id].post_stock.end_outcome.result == pb.COUNT_RESULT_APPLIED


@pytest.mark.parametrize("seed", range(5))
async def test_a_stream_cut_anywhere_and_sent_again_ends_in_the_same_state(tilled: Tilled, seed: int) -> None:
    """With the same ids: what was answered is replayed, what was not is taken now."""
    chance = random.Random(seed)
    for number in range(4):
        await tilled.sell(2, order=f"A-{number}")
    posts = [post(figures=[figure(100 - position, position)]) for position in range(2, 30)]
    posts += [post(bookings=[booked(f"A-{number}", bookings=[(5 * number + 4, 2)])]) for number in range(4)]
    chance.shuffle(posts)
    sent = [list(posts[n : n + 4]) for n in range(0, len(posts), 4)]
    for _ in range(3):
        call = tilled.stock.SyncStock()
        for message in sent[: chance.randrange(1, len(sent))]:
            await call.write(pb.SyncStockRequest(posts=message))
        if chance.random() < 0.5:
            await call.read()
        call.cancel()
    outcomes = await sync(tilled, *sent)
    assert set(outcomes) == {each.request_id for each in posts}
    assert all(outcome.WhichOneof("outcome") == "post_stock" for outcome in outcomes.values())
    again = await sync(tilled, *sent)
    assert all(outcome.post_stock.replayed for outcome in again.values())
    (stock,) = (each for each in tilled.store.rows.stocks.values() if each.key.location == "north")
    # The last figure, at 29, contains all four orders: none is owed.
    assert (stock.measure("on_hand").value, stock.promised, stock.pool("").free) == (71, 0, 71)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (pb.SyncStockRequest(), "REQUIRED"),
        (pb.SyncStockRequest(posts=[pb.PostStockRequest()] * 51), "TOO_MANY"),
    ],
)
async def test_a_message_holds_a_bounded_number_of_requests(
    tilled: Tilled, message: pb.SyncStockRequest, rule: str
) -> None:
    """At least one."""
    call = tilled.stock.SyncStock()
    await call.write(message)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert violations(status_of(raised.value))["posts"][0] == rule


async def test_a_request_that_breaks_a_rule_is_answered_alone(tilled: Tilled) -> None:
    """The others of its message are taken."""
    wrong, right = post(), post(figures=[figure(5, 2)])
    outcomes = await sync(tilled, [wrong, right])
    assert violations(outcomes[wrong.request_id].error)["figures"][0] == "REQUIRED"
    assert results(outcomes[right.request_id]) == [APPLIED]


async def test_a_draining_server_answers_what_it_took(tilled: Tilled) -> None:
    """And says come again."""
    tilled.store.hold()
    call = tilled.stock.SyncStock()
    taken = post(figures=[figure(5, 2)])
    await call.write(pb.SyncStockRequest(posts=[taken]))
    async with asyncio.timeout(60):
        await tilled.store.entered.wait()
    tilled.services.draining.set()
    tilled.store.let_go()
    (outcome,) = (await call.read()).outcomes
    assert outcome.request_id == taken.request_id
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert reason(status_of(raised.value)) == "DRAINING"


class DeafContext:
    """A call whose caller sends without end and reads nothing."""

    def __init__(self) -> None:
        self.reads = 0

    def time_remaining(self) -> None:
        """No deadline."""

    async def read(self) -> pb.SyncStockRequest:
        """The next message."""
        self.reads += 1
        await asyncio.sleep(0)
        return pb.SyncStockRequest(posts=[post(figures=[figure(1, self.reads + 1)])])

    async def write(self, message: bytes) -> None:
        """Never comes to an end."""
        await asyncio.Event().wait()


async def test_answers_that_nobody_reads_are_bounded(tilled: Tilled, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes: the answers of large requests are large. Then nothing more is read of the caller."""
    monkeypatch.setattr(execute, "_MOST_UNSENT", 1_000)
    context = DeafContext()
    stream = execute._Stream(tilled.services, execute.SYNC_STOCK, identity_of(()), context)
    serving = asyncio.create_task(stream.serve())
    for _ in range(3_000):
        await asyncio.sleep(0)
    # An answer has 100 to 200 bytes; what was in flight when the bound was reached comes on top.
    assert 5 < context.reads < 50
    serving.cancel()
    stream.close()
