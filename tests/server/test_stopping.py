"""A server that goes down: who hears of it, and that nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from ringfence.testing import assert_eventually_async
from ringfence.v1 import (
    allocation_service_pb2,
    balance_pb2,
)
from ringfence_server.config import ServerConfig
from ringfence_server.store.sqlite import SqliteStore
from tests.rpc.messages import reason, reserve, status_of
from tests.server.serving import serving


async def test_stopping_ends_watches_with_their_token(in_memory: ServerConfig) -> None:
    """The watcher is told to come back, and the stream ends well."""
    async with serving(in_memory) as (server, client):
        await client.post(1)
        watch = client.allocation.WatchBalances(balance_pb2.WatchBalancesRequest())
        while (await watch.read()).event != balance_pb2.WATCH_EVENT_SNAPSHOT_END:
            pass
        stopping = asyncio.ensure_future(server.stop(60))
        last = await watch.read()
        assert last.event == balance_pb2.WATCH_EVENT_RESUME
        assert last.resume_token
        assert await watch.code() is grpc.StatusCode.OK
        await stopping


async def test_stopping_commits_and_answers_what_was_taken(on_file: ServerConfig) -> None:
    """Fifty orders are in flight when the server is told to stop: each is answered, or told DRAINING and not done."""
    async with serving(on_file) as (server, client):
        await client.post(1_000)
        requests = [reserve() for _ in range(50)]
        calls = [asyncio.ensure_future(_outcome(client.allocation.Reserve(request))) for request in requests]
        await assert_eventually_async(lambda: server.services.counts.commands["Reserve", "accepted"] > 0)
        await server.stop(60)
        outcomes = await asyncio.gather(*calls)
    assert set(outcomes) <= {"done", "DRAINING", ""}
    async with serving(on_file) as (_, client):
        for request, outcome in zip(requests, outcomes, strict=True):
            replayed = (await client.allocation.Reserve(request)).replayed
            assert replayed == (outcome == "done") or outcome == ""


async def _outcome(call: Any) -> str:
    """What came of a call: done, the reason it was refused for, or nothing when the connection ended before."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        failed = error
    else:
        return "done"
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    return reason(status_of(failed)) if failed.trailing_metadata() else ""


async def test_a_stopping_server_takes_no_more_and_finishes_what_it_took(
    in_memory: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction runs on: a new command is told DRAINING, an idle stream ends with it, the old one is done."""
    gate, entered = asyncio.Event(), asyncio.Event()
    gate.set()
    run = SqliteStore.run

    async def held(store: SqliteStore, work: Any) -> Any:
        if work.request_keys:
            entered.set()
            await gate.wait()
        return await run(store, work)

    monkeypatch.setattr(SqliteStore, "run", held)
    async with serving(in_memory) as (server, client):
        await client.post(5)
        stream = client.allocation.Execute()
        await stream.write(allocation_service_pb2.ExecuteRequest(commands=[{"reserve": reserve()}]))
        assert (await stream.read()).outcomes[0].reserve.fill
        gate.clear()
        entered.clear()
        taken = asyncio.ensure_future(_outcome(client.allocation.Reserve(reserve())))
        await entered.wait()
        stopping = asyncio.ensure_future(server.stop(60))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
        assert reason(status_of(raised.value)) == "DRAINING"
        assert await _outcome(client.allocation.Reserve(reserve())) == "DRAINING"
        gate.set()
        assert await taken == "done"
        await stopping


async def test_health_hears_of_the_end_first(in_memory: ServerConfig) -> None:
    """NOT_SERVING, so that a balancer sends no more."""
    async with serving(in_memory) as (server, client):
        watch = client.health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(server.stop(60))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await stopping


async def test_a_server_is_stopped_once(in_memory: ServerConfig) -> None:
    """However often it is asked; who waits for the end hears of it."""
    async with serving(in_memory) as (server, _):
        waiting = asyncio.ensure_future(server.wait())
        await asyncio.gather(server.stop(0), server.stop(0))
        await asyncio.wait_for(waiting, 60)
        await server.stop(0)
