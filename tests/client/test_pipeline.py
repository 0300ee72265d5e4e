"""Pipelining over Execute: many commands on their way at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import (
    AsyncClient,
    Client,
    ClientClosed,
    CommandFuture,
    InsufficientQuantity,
    Line,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    Reserve,
    ReserveResult,
    RetryPolicy,
    Unavailable,
)
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.conftest import QUICK, Connect
from tests.client.scripted import (
    OVERLOADED,
    Failure,
    ScriptedServer,
    executed,
    id_of,
    reserve_outcome,
    status,
    until_cancelled,
    wait_for,
)

LAMP = Line("LAMP", "berlin", 1)
REFUSED = status("FAILED_PRECONDITION", "short", reason="INSUFFICIENT_QUANTITY")


@pytest.fixture
async def client(scripted: ScriptedServer) -> AsyncIterator[AsyncClient]:
    """An async client of the scripted server."""
    async with AsyncClient(scripted.target, retry=QUICK) as made:
        yield made


class Recording:
    """An Execute that answers everything and remembers the ids of each message, stream by stream."""

    def __init__(self, answer: Any = reserve_outcome) -> None:
        self.streams: list[list[list[str]]] = []
        self._answer = answer

    def __call__(
        self, requests: Iterator[allocation_pb2.ExecuteRequest], context: Any
    ) -> Iterator[allocation_pb2.ExecuteResponse]:
        messages: list[list[str]] = []
        self.streams.append(messages)
        for request in requests:
            messages.append([id_of(command) for command in request.commands])
            outcomes = [found for command in request.commands if (found := self._answer(command)) is not None]
            yield allocation_pb2.ExecuteResponse(outcomes=outcomes)

    @property
    def ids(self) -> list[str]:
        """All ids that arrived, in order."""
        return [request_id for messages in self.streams for message in messages for request_id in message]


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
        assert isinstance(await asyncio.wait_for(pipe.reserve(LAMP), 5), ReserveResult)
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
            go_on.wait(10)
            yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one) for one in request.commands])

    scripted.on("Execute", behaviour)
    async with client.pipeline(max_in_flight=4) as pipe:
        for _ in range(4):
            await asyncio.wait_for(pipe.ready(), 5)
            pipe.reserve(LAMP)
        waiting = asyncio.create_task(pipe.ready())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert len(pipe) == 4
        go_on.set()
        await asyncio.wait_for(waiting, 5)


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
        assert isinstance(await asyncio.wait_for(pipe.reserve(LAMP), 10), ReserveResult)


async def test_a_killed_server_is_found_again(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A server that goes away with commands unanswered, and comes back, answers them all."""
    scripted.on("Execute", _silent)
    async with client.pipeline() as pipe:
        futures = [pipe.reserve(LAMP) for _ in range(10)]
        await asyncio.to_thread(wait_for, lambda: len(scripted.received) == 1)
        await asyncio.to_thread(scripted.stop)
        scripted.on("Execute", executed(reserve_outcome))
        await asyncio.sleep(0.1)
        scripted.start()
        results = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert [result.request_id for result in results] == [future.request_id for future in futures]


def _silent(requests: Any, context: Any) -> Iterator[Any]:
    """Reads everything and answers nothing."""
    until_cancelled(context)
    yield from ()


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
        await asyncio.wait_for(asyncio.gather(*futures), 10)
    assert tries == {future.request_id: 4 for future in futures}


async def test_a_command_without_an_answer_is_unknown_in_time(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A silent service costs a command its timeout, not forever, and its stream is given up."""
    scripted.on("Execute", _silent, executed(reserve_outcome))
    async with client.pipeline(timeout=timedelta(milliseconds=200)) as pipe:
        future = pipe.reserve(LAMP)
        with pytest.raises(OutcomeUnknown) as caught:
            await asyncio.wait_for(future, 10)
        assert caught.value.request_id == future.request_id
        await asyncio.wait_for(pipe.reserve(LAMP, request_id=future.request_id), 10)
    assert len(scripted.calls("Execute")) == 2


async def test_a_wrong_target_fails_plainly(scripted: ScriptedServer) -> None:
    """Where nobody listens, commands fail as Unavailable after the client's timeout, and nothing is unknown."""
    scripted.stop()
    async with (
        AsyncClient(scripted.target, retry=QUICK, timeout=timedelta(milliseconds=300)) as client,
        client.pipeline() as pipe,
    ):
        futures = [pipe.reserve(LAMP) for _ in range(3)]
        for future in futures:
            with pytest.raises(Unavailable, match="no service answers"):
                await asyncio.wait_for(future, 10)


async def test_what_no_other_stream_mends_ends_the_pipeline(scripted: ScriptedServer, client: AsyncClient) -> None:
    """Missing rights fail everything on its way, and what is submitted afterwards."""
    scripted.on("Execute", Failure("PERMISSION_DENIED", "not you"))
    async with client.pipeline() as pipe:
        future = pipe.reserve(LAMP)
        with pytest.raises(PermissionDenied, match="not you"):
            await asyncio.wait_for(future, 10)
        with pytest.raises(PermissionDenied, match="not you"):
            pipe.reserve(LAMP)
        await asyncio.wait_for(pipe.ready(), 5)
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
    scripted.on("Execute", _silent)
    sent: list[CommandFuture[Any]] = []

    async def fail() -> None:
        async with client.pipeline(max_in_flight=1) as pipe:
            sent.extend([pipe.reserve(LAMP), pipe.reserve(LAMP)])
            await asyncio.to_thread(wait_for, lambda: len(scripted.received) == 1)
            await asyncio.sleep(0.05)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert isinstance(sent[0].exception(), OutcomeUnknown)
    assert isinstance(sent[1].exception(), ClientClosed)


@pytest.mark.parametrize("by", ["task", "client"])
async def test_a_pipeline_ends_when_it_is_cancelled_or_its_client_closes(scripted: ScriptedServer, by: str) -> None:
    """Nobody waits forever: cancelling the task in the block, or closing the client, settles everything."""
    scripted.on("Execute", _silent)
    client = AsyncClient(scripted.target, retry=QUICK)
    futures: list[CommandFuture[Any]] = []

    async def work() -> None:
        async with client.pipeline() as pipe:
            futures.append(pipe.reserve(LAMP))

    task = asyncio.create_task(work())
    await asyncio.to_thread(wait_for, lambda: len(scripted.received) == 1)
    if by == "task":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await client.close()
        await asyncio.wait_for(task, 5)
    assert isinstance(futures[0].exception(), OutcomeUnknown)
    await client.close()


async def test_a_cancelled_future_bothers_nobody(scripted: ScriptedServer, client: AsyncClient) -> None:
    """Giving up on a future leaves the others and the pipeline alone."""
    go_on = threading.Event()

    def behaviour(requests: Any, context: Any) -> Any:
        for request in requests:
            go_on.wait(10)
            yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one) for one in request.commands])

    scripted.on("Execute", behaviour)
    async with client.pipeline() as pipe:
        given_up, kept = pipe.reserve(LAMP), pipe.reserve(LAMP)
        given_up.cancel()
        go_on.set()
        await kept
        assert given_up.cancelled()


async def test_a_command_that_cannot_be_written_is_not_submitted(scripted: ScriptedServer, client: AsyncClient) -> None:
    """A mistake is raised where it was made."""
    async with client.pipeline() as pipe:
        with pytest.raises(ValueError, match="only one of ttl"):
            pipe.reserve(LAMP, ttl=timedelta(1), never=True)
        assert len(pipe) == 0
    assert scripted.received == []


# --- execute_many, in both clients --------------------------------------------------------------------------------


def numbered(count: int) -> Iterator[Reserve]:
    """Commands whose owner is their number."""
    return (Reserve(LAMP, owner=str(number)) for number in range(count))


def owners(outcomes: list[Outcome[Any]]) -> list[str]:
    """The owners that came back."""
    return [outcome.unwrap().reservation.owner for outcome in outcomes]


async def test_outcomes_come_in_the_order_of_the_commands(scripted: ScriptedServer, connect: Connect) -> None:
    """However the service answers, outcomes are in the order of the commands, and each names its own."""

    def backwards(requests: Any, context: Any) -> Any:
        for request in requests:
            for one in reversed(request.commands):
                yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(one)])

    scripted.on("Execute", backwards)
    outcomes = await connect().call("execute_many", numbered(100), max_in_flight=30, max_commands_per_message=10)
    assert owners(outcomes) == [str(number) for number in range(100)]
    assert all(outcome.command.owner == outcome.result.reservation.owner for outcome in outcomes)
    assert all(outcome.request_id == outcome.result.request_id for outcome in outcomes)


async def test_a_refusal_is_an_outcome(scripted: ScriptedServer, connect: Connect) -> None:
    """execute_many goes on over refusals; unwrap raises them."""
    scripted.on(
        "Execute",
        executed(
            lambda command: (
                allocation_pb2.Outcome(request_id=id_of(command), error=REFUSED)
                if command.reserve.owner == "1"
                else reserve_outcome(command)
            )
        ),
    )
    outcomes = await connect().call("execute_many", numbered(3))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert outcomes[1].result is None
    with pytest.raises(InsufficientQuantity):
        outcomes[1].unwrap()


async def test_commands_may_bring_their_ids(scripted: ScriptedServer, connect: Connect) -> None:
    """A pair of request_id and command is sent with that id."""
    recording = Recording()
    scripted.on("Execute", recording)
    outcomes = await connect().call("execute_many", [("mine", Reserve(LAMP)), Reserve(LAMP)])
    assert outcomes[0].request_id == "mine"
    assert recording.ids == [outcome.request_id for outcome in outcomes]


async def test_no_commands_are_no_stream(scripted: ScriptedServer, connect: Connect) -> None:
    """Nothing to do opens no stream."""
    assert await connect().call("execute_many", []) == []
    assert scripted.received == []


async def test_many_commands_survive_a_broken_stream(scripted: ScriptedServer, connect: Connect) -> None:
    """Unanswered commands go again with the same ids; nothing is missing and nothing comes twice."""
    recording = Recording()

    def breaking(requests: Any, context: Any) -> Any:
        yield from recording(iter([next(requests)]), context)
        next(requests)
        raise Failure("UNAVAILABLE", "Socket closed")

    scripted.on("Execute", breaking, breaking, recording)
    outcomes = await connect().call("execute_many", numbered(60), max_in_flight=20, max_commands_per_message=10)
    assert owners(outcomes) == [str(number) for number in range(60)]
    assert sorted(recording.ids) == sorted(outcome.request_id for outcome in outcomes)


async def test_many_commands_without_an_answer_are_unknown_in_time(scripted: ScriptedServer, connect: Connect) -> None:
    """A silent service costs each command its timeout."""
    scripted.on("Execute", _silent, executed(reserve_outcome))
    outcomes = await connect().call("execute_many", numbered(3), max_in_flight=2, timeout=timedelta(milliseconds=200))
    assert [type(outcome.error) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown, type(None)]


async def test_what_no_other_stream_mends_is_raised(scripted: ScriptedServer, connect: Connect) -> None:
    """Missing rights are no outcome of a command: they end the run."""
    scripted.on("Execute", Failure("PERMISSION_DENIED", "not you"))
    with pytest.raises(PermissionDenied, match="not you"):
        await connect().call("execute_many", numbered(3))


async def test_where_nobody_listens_every_command_says_so(scripted: ScriptedServer, connect: Connect) -> None:
    """Without a service commands fail after the client's timeout, and nothing is unknown."""
    scripted.stop()
    outcomes = await connect(timeout=timedelta(milliseconds=300)).call("execute_many", numbered(3))
    assert [type(outcome.error) for outcome in outcomes] == [Unavailable] * 3


async def test_commands_are_read_as_there_is_room(scripted: ScriptedServer) -> None:
    """An endless source is read no further ahead than the window; leaving the loop ends the stream."""
    scripted.on("Execute", executed(reserve_outcome))
    read = 0

    def endless() -> Iterator[Reserve]:
        nonlocal read
        while True:
            read += 1
            yield Reserve(LAMP, owner=str(read))

    with Client(scripted.target, retry=QUICK) as client:
        outcomes = client.execute_many(endless(), max_in_flight=10, max_commands_per_message=5)
        assert owners([next(outcomes) for _ in range(25)]) == [str(number) for number in range(1, 26)]
        assert read <= 40
        outcomes.close()  # type: ignore[attr-defined]
        wait_for(lambda: scripted.ended == ["Execute"])
    async with AsyncClient(scripted.target, retry=QUICK) as threaded:
        read = 0
        stream = threaded.execute_many(endless(), max_in_flight=10, max_commands_per_message=5)
        found = [await anext(stream) for _ in range(25)]
        assert owners(found) == [str(number) for number in range(1, 26)]
        assert read <= 40
        await stream.aclose()  # type: ignore[attr-defined]


async def test_commands_may_come_asynchronously(scripted: ScriptedServer, client: AsyncClient) -> None:
    """An async iterable of commands will do."""
    scripted.on("Execute", executed(reserve_outcome))

    async def source() -> AsyncIterator[Reserve]:
        for command in numbered(3):
            await asyncio.sleep(0)
            yield command

    assert owners([outcome async for outcome in client.execute_many(source())]) == ["0", "1", "2"]


def test_many_threads_share_one_client(scripted: ScriptedServer) -> None:
    """A run of execute_many may be one of many in one client, each in a thread of its own."""
    scripted.on("Execute", executed(reserve_outcome))
    with Client(scripted.target, retry=RetryPolicy()) as client:
        results: list[list[str]] = []

        def run() -> None:
            results.append(owners(list(client.execute_many(numbered(200), max_commands_per_message=20))))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == [[str(number) for number in range(200)]] * 4
