"""execute_many: any number of commands over Execute, with their outcomes in order, in both clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import (
    AsyncClient,
    Client,
    InsufficientQuantity,
    Line,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    Reserve,
    RetryPolicy,
    Unavailable,
)
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.conftest import PATIENCE, QUICK, Connect
from tests.client.scripted import (
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
    scripted.on("Execute", silent, executed(reserve_outcome))
    outcomes = await connect().call("execute_many", numbered(3), max_in_flight=2, timeout=timedelta(milliseconds=200))
    assert [type(outcome.error) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown, type(None)]


async def test_what_no_other_stream_mends_is_raised(scripted: ScriptedServer, connect: Connect) -> None:
    """Missing rights are no outcome of a command: they end the run."""
    scripted.on("Execute", Failure("PERMISSION_DENIED", "not you"))
    with pytest.raises(PermissionDenied, match="not you"):
        await connect().call("execute_many", numbered(3))


async def test_where_nobody_listens_every_command_says_so(nowhere: str, connect: Connect) -> None:
    """Without a service commands fail after the client's timeout, and nothing is unknown."""
    outcomes = await connect(target=nowhere, timeout=timedelta(milliseconds=1500)).call("execute_many", numbered(3))
    assert [type(outcome.error) for outcome in outcomes] == [Unavailable] * 3


async def test_where_nothing_takes_the_stream_nothing_is_unknown(connect: Connect) -> None:
    """A machine that takes the connection and never says a word has been given no command."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = connect(target=f"127.0.0.1:{mute.getsockname()[1]}", timeout=timedelta(milliseconds=500))
        outcomes = await client.call("execute_many", numbered(3))
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

    with Client(scripted.target, retry=QUICK, timeout=PATIENCE) as client:
        outcomes = client.execute_many(endless(), max_in_flight=10)
        assert owners([next(outcomes) for _ in range(25)]) == [str(number) for number in range(1, 26)]
        assert read <= 36
        outcomes.close()  # type: ignore[attr-defined]
        wait_for(lambda: scripted.ended == ["Execute"])
    async with AsyncClient(scripted.target, retry=QUICK, timeout=PATIENCE) as threaded:
        read = 0
        stream = threaded.execute_many(endless(), max_in_flight=10)
        found = [await anext(stream) for _ in range(25)]
        assert owners(found) == [str(number) for number in range(1, 26)]
        assert read <= 36
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
    with Client(scripted.target, retry=RetryPolicy(), timeout=PATIENCE) as client:
        results: list[list[str]] = []

        def run() -> None:
            results.append(owners(list(client.execute_many(numbered(200), max_commands_per_message=20))))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == [[str(number) for number in range(200)]] * 4
