"""Execute: a stream of commands, each with its own outcome, answered as they are committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from ringfence.testing import assert_eventually_async
from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import stock_service_pb2
from ringfence_server.committer import CommitterLimits
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.rpc.services import RpcLimits
from ringfence_server.rpc.status import ROOM_IN_TRAILER
from tests.rpc.conftest import Served
from tests.rpc.messages import (
    Status,
    figure,
    line,
    new_id,
    reason,
    reserve,
    status_of,
    stock_key,
    violations,
)

EXECUTE = "/ringfence.v1.AllocationService/Execute"


def message(*requests: Any) -> pb.ExecuteRequest:
    """One message of commands; None is a command that is not set."""
    fields = {
        pb.AllocateRequest: "allocate",
        pb.ReserveRequest: "reserve",
        pb.CancelRequest: "cancel",
        pb.ConsumeRequest: "consume",
        stock_service_pb2.PostStockRequest: "post_stock",
    }
    commands = [pb.Command(**{} if each is None else {fields[type(each)]: each}) for each in requests]
    return pb.ExecuteRequest(commands=commands)


async def answered(call: Any) -> list[pb.Outcome]:
    """Every outcome until the stream ends."""
    return [outcome async for response in call for outcome in response.outcomes]


async def run(served: Served, *messages: pb.ExecuteRequest, **options: Any) -> list[pb.Outcome]:
    """Sends messages, half-closes, and reads to the end."""
    call = served.allocation.Execute(**options)
    for each in messages:
        await call.write(each)
    await call.done_writing()
    return await answered(call)


def kinds(outcomes: Iterable[pb.Outcome]) -> list[str]:
    """What each outcome is: the command's name, or its refusal's reason."""
    found = []
    for outcome in outcomes:
        kind = outcome.WhichOneof("outcome")
        assert kind is not None
        found.append(reason(outcome.error) if kind == "error" else kind)
    return found


async def until_refused(call: Any) -> tuple[list[pb.Outcome], Status]:
    """The outcomes of a stream that the server ends, and the status it ends with."""
    outcomes: list[pb.Outcome] = []
    try:
        async for response in call:
            outcomes += response.outcomes
    except grpc.aio.AioRpcError as error:
        return outcomes, status_of(error)
    raise AssertionError("the stream ended well")


@asynccontextmanager
async def one_held(served: Served) -> AsyncIterator[Any]:
    """A stream whose first command is in a transaction that is held up."""
    served.store.hold()
    call = served.allocation.Execute()
    await call.write(message(reserve()))
    await served.store.entered.wait()
    try:
        yield call
    finally:
        served.store.let_go()


async def test_each_command_has_its_own_outcome(served: Served) -> None:
    """Of every kind, refused or done, correlated by the id it was sent with."""
    requests: list[Any] = [
        stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure("BIKE", delta=1)]),
        pb.AllocateRequest(
            request_id=new_id(), lines=[pb.AllocationLine(key=stock_key("BIKE"), path="web", quantity=30)]
        ),
        reserve(line(30, "BIKE", "web"), request_id=new_id().upper()),
        reserve(line(1, "BIKE", "web")),
        pb.ConsumeRequest(request_id=new_id(), direct=pb.DirectSale(lines=[line(2)])),
    ]
    outcomes = await run(served, message(*requests))
    assert kinds(outcomes) == ["post_stock", "allocate", "reserve", "INSUFFICIENT_QUANTITY", "consume"]
    assert [each.request_id for each in outcomes] == [each.request_id for each in requests]
    assert outcomes[1].allocate.pools[0].available == 71
    assert outcomes[2].reserve.reservation.lines[0].granted == 30


async def test_commands_are_decided_in_their_order(served: Served) -> None:
    """Within a message and over messages: of many orders for a quarter, the first four get it."""
    requests = [reserve(line(25)) for _ in range(8)]
    outcomes = await run(served, *(message(*requests[n : n + 2]) for n in range(0, 8, 2)))
    by_id = {outcome.request_id: kind for outcome, kind in zip(outcomes, kinds(outcomes), strict=True)}
    assert [by_id[each.request_id] for each in requests] == ["reserve"] * 4 + ["INSUFFICIENT_QUANTITY"] * 4


async def test_answers_are_grouped_as_they_are_committed(served: Served) -> None:
    """What three messages brought while a transaction ran is one batch, and its outcomes are one message."""
    async with one_held(served) as call:
        for _ in range(3):
            await call.write(message(reserve(), reserve()))
        await assert_eventually_async(lambda: served.committer.queued_lines == 6)
        served.store.let_go()
        await call.done_writing()
        assert [len(response.outcomes) async for response in call] == [1, 6]
    assert served.store.batches == [1, 6]


async def test_many_messages_are_in_flight(served: Served) -> None:
    """A stream need not wait for an answer before it sends on; a second stream's answers are its own."""
    async with one_held(served) as call:
        other = served.allocation.Execute()
        await other.write(message(reserve(), reserve()))
        await call.write(message(reserve()))
        await assert_eventually_async(lambda: served.committer.queued_lines == 3)
        served.store.let_go()
        for each in (call, other):
            await each.done_writing()
        assert len(await answered(call)) == 2
        assert len(await answered(other)) == 2


async def test_a_malformed_command_is_answered_by_itself(served: Served) -> None:
    """Its neighbours are carried out; it is correlated by its id, though that is no UUID."""
    requests = [reserve(), reserve(line(0), request_id="mine"), None, reserve(line(), line(path="//")), reserve()]
    outcomes = await run(served, message(*requests))
    by_id = {outcome.request_id: outcome for outcome in outcomes}
    assert len(by_id) == 5
    assert set(violations(by_id["mine"].error)) == {"request_id", "lines[0].quantity"}
    assert set(violations(by_id[""].error)) == {"command"}
    assert {by_id[name].error.code for name in ("mine", "")} == {3}
    assert sorted(kinds(outcomes)) == ["BAD_PATH", "BAD_UUID", "REQUIRED", "reserve", "reserve"]
    assert served.store.free("LAMP") == 98


async def test_a_refusal_is_the_one_the_unary_call_has(served: Served) -> None:
    """Code, message and every detail; nothing is left out, however long."""
    request = reserve(*(line(1_000, line_id=str(number)) for number in range(500)))
    (outcome,) = await run(served, message(request))
    assert outcome.error.ByteSize() > 2 * ROOM_IN_TRAILER
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await served.allocation.Reserve(request)
    unary = status_of(raised.value)
    assert (unary.code, unary.message) == (outcome.error.code, outcome.error.message)


async def test_an_id_has_one_outcome_over_either_way(served: Served) -> None:
    """Sent over Execute and again as a call, and the other way round."""
    first, second = reserve(line(10)), reserve(line(10))
    (outcome,) = await run(served, message(first))
    again = await served.allocation.Reserve(first)
    assert (outcome.reserve.replayed, again.replayed) == (False, True)
    assert again.reservation == outcome.reserve.reservation
    called = await served.allocation.Reserve(second)
    served.store.now += 1_000_000
    (outcome,) = await run(served, message(second))
    assert outcome.reserve.replayed
    assert outcome.reserve.reservation == called.reservation
    assert outcome.reserve.server_time.seconds == called.server_time.seconds + 1
    assert served.store.free("LAMP") == 80


async def test_a_stream_ends_when_everything_is_answered(served: Served) -> None:
    """Half-closing does not lose what is in flight."""
    async with one_held(served) as call:
        await call.write(message(*(reserve() for _ in range(20))))
        await call.done_writing()
        await assert_eventually_async(lambda: served.committer.queued_lines == 20)
        served.store.let_go()
        assert len(await answered(call)) == 21
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_without_commands_ends_well(served: Served) -> None:
    """Nothing sent, nothing answered."""
    assert await run(served) == []


@pytest.mark.parametrize(("count", "rule"), [(0, "REQUIRED"), (1_001, "TOO_MANY")])
async def test_a_message_has_1_to_1000_commands(served: Served, count: int, rule: str) -> None:
    """Else the stream is refused; what it had sent before is answered first."""
    call = served.allocation.Execute()
    await call.write(message(reserve()))
    await call.write(message(*(reserve() for _ in range(count))))
    outcomes, status = await until_refused(call)
    assert (status.code, violations(status)["commands"][0]) == (3, rule)
    assert kinds(outcomes) == ["reserve"]
    assert served.store.free("LAMP") == 99


async def test_a_message_of_1000_commands_is_taken(served: Served) -> None:
    """The most there may be."""
    outcomes = await run(served, message(*(reserve() for _ in range(1_000))))
    assert len({outcome.request_id for outcome in outcomes}) == 1_000
    assert kinds(outcomes).count("reserve") == 100
    assert served.store.free("LAMP") == 0


async def test_bytes_that_are_no_message_end_the_stream(served: Served) -> None:
    """INVALID_ARGUMENT; not UNKNOWN with the parser's words."""
    async with grpc.aio.insecure_channel(served.address) as channel:
        call: Any = channel.stream_stream(EXECUTE)()
        await call.write(b"\x0a\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    status = status_of(raised.value)
    assert (status.code, reason(status)) == (3, "UNREADABLE_MESSAGE")


async def test_a_caller_without_a_name_is_refused(served: Served) -> None:
    """Metadata that are there have to be names."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await run(served, metadata=(("ringfence-caller", "x" * 65),))
    assert reason(status_of(raised.value)) == "BAD_IDENTITY"


async def test_a_stream_that_is_cancelled_undoes_nothing(served: Served) -> None:
    """What it had sent is committed; nothing of the stream stays behind in the server."""
    kept = reserve(line(10))
    async with one_held(served) as call:
        await call.write(message(kept))
        await assert_eventually_async(lambda: served.committer.queued_lines == 1)
        call.cancel()
        await assert_eventually_async(lambda: not stream_tasks())
    assert (await served.allocation.Reserve(kept)).replayed
    assert served.store.free("LAMP") == 89


def stream_tasks() -> list[str]:
    """Tasks that belong to a stream."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("execute-")]


async def test_a_stream_that_ended_leaves_nothing_behind(served: Served) -> None:
    """No task waits for a server to drain that a thousand streams have left."""
    await run(served, message(reserve()))
    await assert_eventually_async(lambda: not stream_tasks())


async def test_a_draining_server_finishes_what_it_took(served: Served) -> None:
    """Then the stream ends with UNAVAILABLE, DRAINING: the rest may be sent to another server."""
    async with one_held(served) as call:
        await call.write(message(reserve(), reserve()))
        await assert_eventually_async(lambda: served.committer.queued_lines == 2)
        served.services.draining.set()
        drained = asyncio.ensure_future(served.committer.drain())
        served.store.let_go()
        outcomes, status = await until_refused(call)
        await drained
    assert kinds(outcomes) == ["reserve"] * 3
    assert (status.code, reason(status)) == (14, "DRAINING")


async def test_a_stream_of_a_draining_server_that_was_half_closed_ends_well(served: Served) -> None:
    """It has all its answers: there is nothing to send again."""
    async with one_held(served) as call:
        await call.done_writing()
        await assert_eventually_async(lambda: "execute-reader" not in stream_tasks())
        served.services.draining.set()
        await asyncio.sleep(0)
        served.store.let_go()
        assert kinds(await answered(call)) == ["reserve"]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_command_of_a_draining_server_is_told_so(served: Served) -> None:
    """A message that was read but not yet queued is answered command by command."""
    await served.committer.drain()
    (outcome,) = await run(served, message(reserve()))
    assert kinds([outcome]) == ["DRAINING"]


async def test_a_store_that_is_away_fails_the_batch_not_the_stream(served: Served) -> None:
    """The commands are told; the stream goes on."""
    served.store.faults = [StoreUnavailable("disk full")]
    call = served.allocation.Execute()
    await call.write(message(reserve()))
    first = await call.read()
    assert kinds(first.outcomes) == ["STORE_UNAVAILABLE"]
    await call.write(message(reserve()))
    assert kinds((await call.read()).outcomes) == ["reserve"]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_outcomes_are_counted_by_method(served: Served) -> None:
    """For metrics, as calls are."""
    request = reserve()
    await run(served, message(request), message(request, reserve(line(1_000)), reserve(line(0))))
    assert served.services.counts.commands == {
        ("Reserve", "accepted"): 1,
        ("Reserve", "replayed"): 1,
        ("Reserve", "refused"): 2,
    }


class TestBackPressure:
    """A stream that is faster than the store."""

    @pytest.fixture
    def rpc_limits(self) -> RpcLimits:
        """Four commands in flight."""
        return RpcLimits(max_in_flight_per_stream=4)

    async def test_no_more_is_read_than_may_be_in_flight(self, served: Served) -> None:
        """The rest waits with the sender, and is carried out when there is room."""
        async with one_held(served) as call:
            for _ in range(10):
                await call.write(message(reserve()))
            await assert_eventually_async(lambda: served.committer.queued_lines == 3)
            for _ in range(20):
                await asyncio.sleep(0.002)
                assert served.committer.queued_lines == 3
            served.store.let_go()
            await call.done_writing()
            assert kinds(await answered(call)) == ["reserve"] * 11
        assert max(served.store.batches) <= 4


class TestFullQueue:
    """A queue that others have filled."""

    @pytest.fixture
    def limits(self) -> CommitterLimits:
        """A queue of ten lines."""
        return CommitterLimits(max_queued_lines=10)

    async def test_a_stream_waits_where_a_call_is_told_overloaded(self, served: Served) -> None:
        """Fifty commands in one message are all carried out."""
        outcomes = await run(served, message(*(reserve() for _ in range(50))))
        assert kinds(outcomes) == ["reserve"] * 50

    async def test_a_command_larger_than_half_the_queue_waits_too(self, served: Served) -> None:
        """And leaves the event loop to the others meanwhile."""
        async with one_held(served) as call:
            await call.write(message(reserve(*[line()] * 4), reserve(*[line()] * 9), reserve(*[line()] * 9)))
            await assert_eventually_async(lambda: served.committer.queued_lines == 4)
            served.store.let_go()
            await call.done_writing()
            assert kinds(await answered(call)) == ["reserve"] * 4
        assert served.store.free("LAMP") == 100 - 23
