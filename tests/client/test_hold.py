"""A hold lasts as long as its block, and is given back unless it was consumed."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from ringfence import AsyncClient, Client, InsufficientQuantity, InternalError, Line, OutcomeUnknown, RetryPolicy
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.conftest import PATIENCE, QUICK, Connect, Driver
from tests.client.scripted import Failure, ScriptedServer, reserved, until_cancelled, wait_for

LINES = [Line("LAMP", "berlin", 2, line_id="a"), Line("BIKE", "berlin", 3, line_id="b")]


def consumed(held: int) -> Any:
    """Consume that leaves `held` units of line "b"."""

    def answer(request: allocation_pb2.ConsumeRequest, context: Any) -> allocation_pb2.ConsumeResponse:
        made = allocation_pb2.ConsumeResponse()
        made.reservation.reservation_id = request.reservation_id
        made.reservation.lines.add(line_id="a").parts.add(held=0)
        made.reservation.lines.add(line_id="b").parts.add(held=held)
        return made

    return answer


@pytest.fixture
def shop(scripted: ScriptedServer) -> ScriptedServer:
    """A service that does whatever a hold asks for."""
    scripted.on("Reserve", reserved)
    scripted.on("Consume", consumed(0))
    scripted.on("Cancel", allocation_pb2.CancelResponse())
    scripted.on("UpdateReservation", allocation_pb2.UpdateReservationResponse())
    return scripted


async def within(driver: Driver, body: str, **options: Any) -> None:
    """Runs a block under a hold: `body` is what it does."""
    if isinstance(driver.client, Client):
        client = driver.client

        def block() -> None:
            with client.hold(LINES, **options) as hold:
                match body:
                    case "consume":
                        hold.consume(order_reference="4711")
                    case "consume a line":
                        hold.consume(lines=["a"])
                    case "keep":
                        hold.keep()
                    case "fail":
                        raise LookupError("the block failed")
                    case "extend":
                        hold.extend(ttl=timedelta(minutes=30))
                assert hold.reservation_id.startswith("reservation-of-") or body == "extend"

        await asyncio.to_thread(block)
        return
    async with driver.client.hold(LINES, **options) as hold:
        match body:
            case "consume":
                await hold.consume(order_reference="4711")
            case "consume a line":
                await hold.consume(lines=["a"])
            case "keep":
                hold.keep()
            case "fail":
                raise LookupError("the block failed")
            case "extend":
                await hold.extend(ttl=timedelta(minutes=30))
        assert hold.reservation_id.startswith("reservation-of-") or body == "extend"


def names(server: ScriptedServer) -> list[str]:
    """The calls that reached the service."""
    return [call.name for call in server.received]


async def test_a_hold_that_is_consumed_stays(shop: ScriptedServer, connect: Connect) -> None:
    """After everything is consumed nothing is cancelled."""
    await within(connect(), "consume")
    assert names(shop) == ["Reserve", "Consume"]
    assert shop.received[1].request.order_reference == "4711"


async def test_a_hold_that_is_not_consumed_is_cancelled(shop: ScriptedServer, connect: Connect) -> None:
    """Leaving the block without a sale gives the whole hold back."""
    await within(connect(), "nothing", ttl=timedelta(minutes=15), owner="Ada")
    assert names(shop) == ["Reserve", "Cancel"]
    assert shop.received[0].request.ttl.seconds == 900
    assert shop.received[0].request.owner == "Ada"
    assert shop.received[1].request.reservation_id == "reservation-of-" + shop.received[0].request.request_id
    assert not shop.received[1].request.lines


async def test_a_hold_is_cancelled_on_an_exception(shop: ScriptedServer, connect: Connect) -> None:
    """The block's exception comes through, and the hold is given back."""
    with pytest.raises(LookupError, match="the block failed"):
        await within(connect(), "fail")
    assert names(shop) == ["Reserve", "Cancel"]


async def test_only_the_rest_of_a_partial_sale_is_given_back(shop: ScriptedServer, connect: Connect) -> None:
    """What was sold in the block stays sold: the rest is released, not the reservation cancelled."""
    shop.on("Consume", consumed(3))
    await within(connect(), "consume a line")
    assert names(shop) == ["Reserve", "Consume", "UpdateReservation"]
    update = shop.received[2].request
    assert [(line.line_id, line.quantity) for line in update.lines] == [("b", 0)]
    assert list(update.update_mask.paths) == ["lines"]


@pytest.mark.parametrize("reason", ["LEASE_EXPIRED", "NOT_HELD"])
async def test_a_rest_that_is_gone_already_is_no_error(shop: ScriptedServer, connect: Connect, reason: str) -> None:
    """When the lease ended meanwhile, there is nothing to give back and nothing to complain about."""
    shop.on("Consume", consumed(3))
    shop.on("UpdateReservation", Failure("FAILED_PRECONDITION", reason=reason))
    await within(connect(), "consume a line")
    assert names(shop)[-1] == "UpdateReservation"


async def test_a_kept_hold_stays(shop: ScriptedServer, connect: Connect) -> None:
    """keep() leaves the hold to its lease."""
    await within(connect(), "keep")
    assert names(shop) == ["Reserve"]


async def test_a_hold_can_be_extended(shop: ScriptedServer, connect: Connect) -> None:
    """extend() gives the lease a new end."""
    await within(connect(), "extend")
    assert names(shop) == ["Reserve", "UpdateReservation", "Cancel"]
    assert shop.received[1].request.ttl.seconds == 1800


async def test_a_sale_whose_outcome_is_unknown_is_not_cancelled(shop: ScriptedServer, connect: Connect) -> None:
    """A sale that may have happened stands: its id will tell, and the lease ends what was not sold."""
    shop.on("Consume", Failure("UNAVAILABLE", "Socket closed"))
    with pytest.raises(OutcomeUnknown):
        await within(connect(retry=RetryPolicy(maximum_attempts=1)), "consume")
    assert names(shop) == ["Reserve", "Consume"]


async def test_a_refused_sale_is_cancelled(shop: ScriptedServer, connect: Connect) -> None:
    """A refusal is certain: the hold is given back."""
    shop.on("Consume", Failure("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY"))
    with pytest.raises(InsufficientQuantity):
        await within(connect(), "consume")
    assert names(shop) == ["Reserve", "Consume", "Cancel"]


async def test_a_refused_hold_enters_no_block(shop: ScriptedServer, connect: Connect) -> None:
    """When there is not enough, the block does not run and nothing is cancelled."""
    shop.on("Reserve", Failure("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY"))
    with pytest.raises(InsufficientQuantity):
        await within(connect(), "fail")
    assert names(shop) == ["Reserve"]


async def test_a_failed_cancel_does_not_hide_the_reason(shop: ScriptedServer, connect: Connect) -> None:
    """The block's own exception is the one that comes through; it carries a note that the hold stands."""
    shop.on("Cancel", Failure("PERMISSION_DENIED", "not you"))
    with pytest.raises(LookupError) as caught:
        await within(connect(), "fail")
    assert "could not be cancelled" in caught.value.__notes__[0]
    assert "not you" in caught.value.__notes__[0]


async def test_a_failed_cancel_is_raised(shop: ScriptedServer, connect: Connect) -> None:
    """Without another exception, a hold that could not be given back is said."""
    shop.on("Cancel", Failure("INTERNAL", reason="INTERNAL"))
    with pytest.raises(OutcomeUnknown) as caught:
        await within(connect(), "nothing")
    assert isinstance(caught.value.__cause__, InternalError)


async def test_a_hold_has_no_reservation_before_its_block(shop: ScriptedServer) -> None:
    """A hold begins when its block is entered."""
    with pytest.raises(RuntimeError, match="when its block is entered"):
        AsyncClient(shop.target).hold(LINES).reservation  # noqa: B018


async def test_a_cancelled_task_still_cancels_its_hold(shop: ScriptedServer) -> None:
    """Cancelling the task in the block gives the hold back before the task ends, even if it is cancelled again."""
    cancelling, go_on = threading.Event(), threading.Event()

    def slowly(request: Any, context: Any) -> allocation_pb2.CancelResponse:
        cancelling.set()
        go_on.wait(60)
        return allocation_pb2.CancelResponse()

    shop.on("Cancel", slowly)
    inside = asyncio.Event()

    async def order(client: AsyncClient) -> None:
        async with client.hold(LINES):
            inside.set()
            await asyncio.Event().wait()

    async with AsyncClient(shop.target, retry=QUICK, timeout=PATIENCE) as client:
        task = asyncio.create_task(order(client))
        await inside.wait()
        task.cancel()
        assert await asyncio.to_thread(cancelling.wait, 60)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert names(shop) == ["Reserve", "Cancel"]
    assert shop.calls("Cancel")[0].request.reservation_id


async def test_a_task_cancelled_while_it_reserves_leaves_no_hold(shop: ScriptedServer) -> None:
    """A hold that was on its way when its task was cancelled is given back once its answer is there."""
    go_on = threading.Event()

    def slowly(request: Any, context: Any) -> allocation_pb2.ReserveResponse:
        go_on.wait(60)
        return reserved(request)

    shop.on("Reserve", slowly)

    async def order(client: AsyncClient) -> None:
        async with client.hold(LINES):
            raise AssertionError("the block must not run")

    async with AsyncClient(shop.target, timeout=PATIENCE) as client:
        task = asyncio.create_task(order(client))
        await asyncio.to_thread(wait_for, lambda: bool(shop.received))
        task.cancel()
        await asyncio.sleep(0.02)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert names(shop) == ["Reserve", "Cancel"]


async def test_a_task_cancelled_while_it_consumes_leaves_the_sale(shop: ScriptedServer) -> None:
    """A sale that is on its way when its task is cancelled may happen, so it is not cancelled behind its back."""
    shop.on("Consume", lambda request, context: until_cancelled(context))

    async def order(client: AsyncClient) -> None:
        async with client.hold(LINES) as hold:
            await hold.consume()

    async with AsyncClient(shop.target, timeout=PATIENCE) as client:
        task = asyncio.create_task(order(client))
        await asyncio.to_thread(wait_for, lambda: "Consume" in names(shop))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert names(shop) == ["Reserve", "Consume"]
