"""Pipelining over Execute: many commands on their way at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import Any

import pytest

from ringfence import (
    AsyncClient,
    ClientClosed,
    CommandFuture,
    InsufficientQuantity,
    Line,
    OutcomeUnknown,
    PermissionDenied,
    Reserve,
    ReserveResult,
    Unavailable,
)
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.conftest import PATIENCE, QUICK
from tests.client.scripted import (
    OVERLOADED,
    REFUSED,
    Failure,
    Recording,
    ScriptedServer,
    executed,
    id_of,
    reserve_outcome,
    silent,
    wait_for,
)

LAMP = Line("LAMP", "berlin", 1)


async def test_a_future_gives_the_result(scripted: ScriptedServer, client: AsyncClient) -> None:
    """What is awaited is the same dataclass that the call of its own gives."""
    scripted.on("Execute", executed(reserve_outcome))
    async with client.pipeline() as pipe:
        future = pipe.reserve(LAMP, owner="Ada", ttl=timedelta(minutes=15))
        result = await future
    assert isinstance(result, ReserveResult)
    assert result.reservation.owner == "Ada"
    assert result.request_id == future.request_id
    assert future.done()
    assert future.result() is result
    assert future.exception() is None


async def test_a_future_raises_the_refusal(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A refusal is the typed exception, and touches no other command."""
    scripted.on(
        "Execute",
        executed(
            lambda command: (
                allocation_pb2.Outcome(request_id=id_of(command), error=REFUSED)
                if command.reserve.owner == "refuse"
                else reserve_outcome(command)
            )
        ),
    )
    async with client.pipeline() as pipe:
        good, bad = pipe.reserve(LAMP), pipe.reserve(LAMP, owner="refuse")
        with pytest.raises(InsufficientQuantity, match="short") as caught:
            await bad
        assert caught.value.request_id == bad.request_id
        assert isinstance(bad.exception(), InsufficientQuantity)
        await good


async def test_a_future_is_one_of_asyncio(scripted: ScriptedServer, client: AsyncClient) -> None:
    """gather, wait_for, shield and callbacks take it as any other future."""
    scripted.on("Execute", executed(reserve_outcome))
    async with client.pipeline() as pipe:
        both = await asyncio.gather(pipe.reserve(LAMP), pipe.reserve(LAMP))
        assert all(isinstance(result, ReserveResult) for result in both)
        assert isinstance(await asyncio.wait_for(pipe.reserve(LAMP), 60), ReserveResult)
        assert isinstance(await asyncio.shield(pipe.reserve(LAMP)), ReserveResult)
        called: list[CommandFuture[Any]] = []
        future = pipe.reserve(LAMP)
        future.add_done_callback(lambda settled: called.append(future))
        await future
        await asyncio.sleep(0)
        assert called == [future]


async def test_commands_of_one_turn_travel_together(scripted: ScriptedServer, client: AsyncClient) -> None:
    """What is submitted in one turn of the loop is one message, up to its limit, in order."""
    recording = Recording()
    scripted.on("Execute", recording)
    async with client.pipeline(max_commands_per_message=100) as pipe:
        futures = [pipe.reserve(LAMP) for _ in range(250)]
    assert [len(message) for message in recording.streams[0]] == [100, 100, 50]
    assert recording.ids == [future.request_id for future in futures]
    assert all(future.done() for future in futures)


async def test_what_nobody_asks_for_is_no_error(
    scripted: ScriptedServer, client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Refusals that are left alone are not logged as forgotten exceptions."""
    scripted.on("Execute", executed(lambda command: allocation_pb2.Outcome(request_id=id_of(command), error=REFUSED)))
    async with client.pipeline() as pipe:
        for _ in range(10):
            pipe.reserve(LAMP)
    assert "never retrieved" not in caplog.text


async def test_a_given_id_is_sent_once_at_a_time(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A caller's id is used; the same one again before its answer is a ValueError."""
    recording = Recording()
    scripted.on("Execute", recording)
    async with client.pipeline() as pipe:
        first = pipe.submit(Reserve(LAMP), request_id="mine")
        with pytest.raises(ValueError, match="on its way already"):
            pipe.reserve(LAMP, request_id="mine")
        await first
        await pipe.reserve(LAMP, request_id="mine")
    assert recording.ids == ["mine", "mine"]


async def test_no_more_commands_are_unanswered_than_may_be(scripted: ScriptedServer, client: AsyncClient) -> None:
    """The stream never holds more than max_in_flight commands, however many are submitted."""
    unanswered, most = 0, 0
    answer = threading.Event()

    def behaviour(requests: Any, context: Any) -> Any:
        nonlocal unanswered, most
        for request in requests:
            unanswered += len(request.commands)
            most = max(most, unanswered)
            answer.wait(0.01)
            unanswered -= len(request.commands)
            yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one) for one in request.commands])

    scripted.on("Execute", behaviour)
    async with client.pipeline(max_in_flight=20, max_commands_per_message=7) as pipe:
        for _ in range(200):
            pipe.reserve(LAMP)
    assert 0 < most <= 20


async def test_ready_waits_for_room(scripted: ScriptedServer, client: AsyncClient) -> None:
    """With max_in_flight commands unanswered, ready() waits; answers let it go on."""
    go_on = threading.Event()

    def behaviour(requests: Any, context: Any) -> Any:
        for request in requests:
            go_on.wait(60)
            yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one) for one in request.commands])

    scripted.on("Execute", behaviour)
    async with client.pipeline(max_in_flight=4) as pipe:
        for _ in range(4):
            await asyncio.wait_for(pipe.ready(), 60)
            pipe.reserve(LAMP)
        waiting = asyncio.create_task(pipe.ready())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert len(pipe) == 4
        go_on.set()
        await asyncio.wait_for(waiting, 60)


async def test_a_broken_stream_is_opened_again(scripted: ScriptedServer, client: AsyncClient) -> None:
    """Unanswered commands go again with the same ids and content over the next stream; answered ones do not."""
    first = Recording(lambda command: reserve_outcome(command) if command.reserve.owner == "answered" else None)
    second = Recording()

    def breaking(requests: Any, context: Any) -> Any:
        yield from first(iter([next(requests)]), context)
        raise Failure("UNAVAILABLE", "Socket closed")

    scripted.on("Execute", breaking, Failure("UNAVAILABLE", "Socket closed"), second)
    async with client.pipeline() as pipe:
        answered = pipe.reserve(LAMP, owner="answered")
        lost = [pipe.reserve(LAMP, owner=f"lost {number}") for number in range(5)]
        results = await asyncio.gather(*lost)
        await answered
    assert second.ids == [future.request_id for future in lost]
    assert [result.reservation.owner for result in results] == [f"lost {number}" for number in range(5)]
    assert len(scripted.calls("Execute")) == 3


async def test_a_server_that_ends_the_stream_in_good_order_is_come_back_to(
    scripted: ScriptedServer, client: AsyncClient
) -> None:
    """A draining server may end the stream with OK before it answered all."""

    def leaving(requests: Any, context: Any) -> Any:
        next(requests)
        yield allocation_pb2.ExecuteResponse()

    scripted.on("Execute", leaving, executed(reserve_outcome))
    async with client.pipeline() as pipe:
        assert isinstance(await asyncio.wait_for(pipe.reserve(LAMP), 60), ReserveResult)


async def test_a_killed_server_is_found_again(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A server that goes away with commands unanswered, and comes back, answers them all."""
    scripted.on("Execute", silent)
    async with client.pipeline() as pipe:
        futures = [pipe.reserve(LAMP) for _ in range(10)]
        await asyncio.to_thread(wait_for, lambda: len(scripted.received) == 1)
        await asyncio.to_thread(scripted.stop)
        scripted.on("Execute", executed(reserve_outcome))
        await asyncio.sleep(0.1)
        scripted.start()
        results = await asyncio.wait_for(asyncio.gather(*futures), 60)
    assert [result.request_id for result in results] == [future.request_id for future in futures]


async def test_an_overloaded_service_is_asked_again(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A command that there was no room for goes again with its id, until there is."""
    tries: dict[str, int] = {}

    def answer(command: allocation_pb2.Command) -> allocation_pb2.Outcome:
        tries[id_of(command)] = tries.get(id_of(command), 0) + 1
        if tries[id_of(command)] < 4:
            return allocation_pb2.Outcome(request_id=id_of(command), error=OVERLOADED)
        return reserve_outcome(command)

    scripted.on("Execute", executed(answer))
    async with client.pipeline() as pipe:
        futures = [pipe.reserve(LAMP) for _ in range(3)]
        await asyncio.wait_for(asyncio.gather(*futures), 60)
    assert tries == {future.request_id: 4 for future in futures}


async def test_a_command_without_an_answer_is_unknown_in_time(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A silent service costs a command its timeout, not forever, and its stream is given up."""
    scripted.on("Execute", silent, executed(reserve_outcome))
    async with client.pipeline(timeout=timedelta(milliseconds=200)) as pipe:
        future = pipe.reserve(LAMP)
        with pytest.raises(OutcomeUnknown) as caught:
            await asyncio.wait_for(future, 60)
        assert caught.value.request_id == future.request_id
        # Where the machine is busy its time may be over again, and again.
        for _ in range(100):
            with contextlib.suppress(OutcomeUnknown, Unavailable):
                await asyncio.wait_for(pipe.reserve(LAMP, request_id=future.request_id), 60)
                break
        else:
            pytest.fail("no later stream is used")
    assert len(scripted.calls("Execute")) >= 2


async def test_a_wrong_target_fails_plainly(nowhere: str) -> None:
    """Where nobody listens, commands fail as Unavailable after the client's timeout, and nothing is unknown."""
    async with (
        AsyncClient(nowhere, retry=QUICK, timeout=timedelta(milliseconds=300)) as client,
        client.pipeline() as pipe,
    ):
        futures = [pipe.reserve(LAMP) for _ in range(3)]
        for future in futures:
            with pytest.raises(Unavailable, match="no service answers"):
                await asyncio.wait_for(future, 60)


async def test_what_no_other_stream_mends_ends_the_pipeline(scripted: ScriptedServer, client: AsyncClient) -> None:
    """Missing rights fail everything on its way, and what is submitted afterwards."""
    scripted.on("Execute", Failure("PERMISSION_DENIED", "not you"))
    async with client.pipeline() as pipe:
        future = pipe.reserve(LAMP)
        with pytest.raises(PermissionDenied, match="not you"):
            await asyncio.wait_for(future, 60)
        with pytest.raises(PermissionDenied, match="not you"):
            pipe.reserve(LAMP)
        await asyncio.wait_for(pipe.ready(), 60)
        assert isinstance(pipe.failure, PermissionDenied)
    assert len(scripted.received) == 1


async def test_leaving_the_block_waits_for_the_answers(scripted: ScriptedServer, client: AsyncClient) -> None:
    """After the block every command has its answer, the stream is ended, and nothing more is taken."""
    scripted.on("Execute", executed(reserve_outcome))
    async with client.pipeline() as pipe:
        future = pipe.reserve(LAMP)
    assert future.done()
    with pytest.raises(ClientClosed):
        pipe.reserve(LAMP)
    await asyncio.to_thread(wait_for, lambda: scripted.ended == ["Execute"])


async def test_an_exception_in_the_block_gives_up(scripted: ScriptedServer, client: AsyncClient) -> None:
    """What is unanswered then is unknown; what never left is not; the exception comes through at once."""
    scripted.on("Execute", silent)
    sent: list[CommandFuture[Any]] = []

    async def fail() -> None:
        async with client.pipeline(max_in_flight=1) as pipe:
            sent.extend([pipe.reserve(LAMP), pipe.reserve(LAMP)])
            await asyncio.to_thread(wait_for, lambda: sent[0].sent)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert isinstance(sent[0].exception(), OutcomeUnknown)
    assert isinstance(sent[1].exception(), ClientClosed)


@pytest.mark.parametrize("by", ["task", "client"])
async def test_a_pipeline_ends_when_it_is_cancelled_or_its_client_closes(scripted: ScriptedServer, by: str) -> None:
    """Nobody waits forever: cancelling the task in the block, or closing the client, settles everything."""
    scripted.on("Execute", silent)
    client = AsyncClient(scripted.target, retry=QUICK, timeout=PATIENCE)
    futures: list[CommandFuture[Any]] = []

    async def work() -> None:
        async with client.pipeline() as pipe:
            futures.append(pipe.reserve(LAMP))

    task = asyncio.create_task(work())
    await asyncio.to_thread(wait_for, lambda: bool(futures) and futures[0].sent)
    if by == "task":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await client.close()
        await asyncio.wait_for(task, 60)
    assert isinstance(futures[0].exception(), OutcomeUnknown)
    await client.close()


async def test_a_cancelled_future_bothers_nobody(scripted: ScriptedServer, client: AsyncClient) -> None:
    """Giving up on a future leaves the others and the pipeline alone."""
    go_on = threading.Event()

    def behaviour(requests: Any, context: Any) -> Any:
        for request in requests:
            go_on.wait(60)
            yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one) for one in request.commands])

    scripted.on("Execute", behaviour)
    async with client.pipeline() as pipe:
        given_up, kept = pipe.reserve(LAMP), pipe.reserve(LAMP)
        given_up.cancel()
        go_on.set()
        await kept
        assert given_up.cancelled()
    assert len(scripted.received) == 1


async def test_a_command_that_cannot_be_written_is_not_submitted(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A mistake is raised where it was made."""
    async with client.pipeline() as pipe:
        with pytest.raises(ValueError, match="only one of ttl"):
            pipe.reserve(LAMP, ttl=timedelta(1), never=True)
        assert len(pipe) == 0
    assert scripted.received == []
