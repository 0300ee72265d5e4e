"""A whole server: it serves what the contract says, keeps what it answered, and tells what it did."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_reflection.v1alpha import reflection_pb2

from ringfence.v1 import (
    allocation_service_pb2,
    balance_pb2,
    ledger_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
)
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig
from ringfence_server.rpc.registry import SERVICES, all_handlers
from tests.rpc.messages import line, reason, reserve, status_of
from tests.server.serving import Client, serving

MODULES = (
    allocation_service_pb2,
    stock_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    ledger_service_pb2,
)


async def test_every_method_of_the_contract_is_served(in_memory: ServerConfig) -> None:
    """By its full name, with the right kinds of streams; and nothing else."""
    async with serving(in_memory) as (server, _):
        handlers = all_handlers(server.services)
    declared = {}
    for module in MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                assert service.full_name in SERVICES
                kinds = (method.client_streaming, method.server_streaming)
                declared[f"/{service.full_name}/{method.name}"] = kinds
    assert {
        path: (handler.request_streaming, handler.response_streaming) for path, handler in handlers.items()
    } == declared


async def test_what_was_answered_is_there_after_a_restart(on_file: ServerConfig) -> None:
    """And a repeat of it is told what it was."""
    request = reserve(line(10))
    async with serving(on_file) as (_, client):
        await client.post(100)
        first = await client.allocation.Reserve(request)
    async with serving(on_file) as (_, client):
        again = await client.allocation.Reserve(request)
        assert again.replayed
        assert again.reservation == first.reservation


async def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that means something in a URL: the ledger is in it, is read from there, and nowhere else."""
    folder = tmp_path / "what? 100%25 #1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    async with serving(ServerConfig(port=0)) as (server, client):
        await client.post(10)
        assert server.database == str(folder / "ringfence.db")
        reply = await client.allocation.QueryBalance(balance_pb2.QueryBalanceRequest())
        assert [balance.own.available for balance in reply.balances] == [10]
        assert (folder / "ringfence.db-wal").stat().st_size > 0
    assert list(tmp_path.iterdir()) == [folder]


async def test_a_thousand_commands_for_the_last_300_units(on_file: ServerConfig) -> None:
    """Over three streams at once, each id three times: exactly 300 are served, once; a restart changes no outcome."""
    requests = [reserve(line(1)) for _ in range(1_000)]
    async with serving(on_file) as (_, client):
        await client.post(300)
        streams = [
            _execute(client, requests[first::2] + requests[second::2]) for first, second in ((0, 1), (1, 0), (0, 0))
        ]
        first = _merged(await asyncio.gather(*streams))
    served = [request_id for request_id, kind in first.items() if kind == "reserve"]
    assert len(served) == 300
    assert set(first.values()) == {"reserve", "INSUFFICIENT_QUANTITY"}
    async with serving(on_file) as (_, client):
        assert _merged([await _execute(client, requests)]) == first
        balances = await client.allocation.QueryBalance(balance_pb2.QueryBalanceRequest())
        assert (balances.balances[0].own.held, balances.balances[0].own.available) == (300, 0)


async def _execute(client: Client, requests: list[allocation_service_pb2.ReserveRequest]) -> list[tuple[str, str]]:
    """What came of each command, sent a hundred a message."""
    call = client.allocation.Execute()
    for start in range(0, len(requests), 100):
        commands = [{"reserve": request} for request in requests[start : start + 100]]
        await call.write(allocation_service_pb2.ExecuteRequest(commands=commands))
    await call.done_writing()
    outcomes = [outcome async for response in call for outcome in response.outcomes]
    assert len(outcomes) == len(requests)
    return [
        (outcome.request_id, "reserve" if outcome.HasField("reserve") else reason(outcome.error))
        for outcome in outcomes
    ]


def _merged(streams: list[list[tuple[str, str]]]) -> dict[str, str]:
    """What came of each id; every copy of it has to have the same outcome."""
    merged: dict[str, str] = {}
    for request_id, kind in (each for stream in streams for each in stream):
        assert merged.setdefault(request_id, kind) == kind
    return merged


async def test_an_order_of_2000_lines_is_one_reservation(in_memory: ServerConfig) -> None:
    """Each line with its part, in the caller's order."""
    async with serving(in_memory) as (_, client):
        await client.post(5_000)
        held = (await client.allocation.Reserve(reserve(*(line(n % 3 + 1) for n in range(2_000))))).reservation
    assert [each.line_id for each in held.lines] == [str(number) for number in range(1, 2_001)]
    assert [each.granted for each in held.lines] == [n % 3 + 1 for n in range(2_000)]


async def test_a_server_in_memory_forgets(
    in_memory: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves no file where it runs."""
    monkeypatch.chdir(tmp_path)
    async with serving(in_memory) as (server, client):
        await client.post(100)
        assert server.database == "in memory"
    async with serving(in_memory) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.allocation.Reserve(reserve())
    assert reason(status_of(raised.value)) == "STOCK_NOT_FOUND"
    assert list(tmp_path.iterdir()) == []


async def test_health_is_told_for_the_server_and_each_service(in_memory: ServerConfig) -> None:
    """SERVING once the store is open."""
    async with serving(in_memory) as (_, client):
        assert all([await client.is_serving(name) for name in ("", *SERVICES)])


async def test_reflection_tells_the_services(in_memory: ServerConfig) -> None:
    """So that a caller needs no .proto files."""

    async def asked() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with serving(in_memory) as (_, client):
        answers = [answer async for answer in client.reflection.ServerReflectionInfo(asked())]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names >= {*SERVICES, "grpc.health.v1.Health"}


@pytest.mark.parametrize("on", [False, True])
async def test_channelz_is_served_only_when_asked_for(on: bool) -> None:
    """It tells of every connection."""
    async with serving(ServerConfig(port=0, in_memory=True, channelz=on)) as (_, client):
        call: Any = client.channel.unary_unary("/grpc.channelz.v1.Channelz/GetServers")
        if on:
            assert await call(b"")
        else:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(b"")
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_order_of_2000_lines_fits_in_a_message(in_memory: ServerConfig) -> None:
    """With names as long as may be in ASCII."""
    path = "/".join("p" * 64 for _ in range(8))
    async with serving(in_memory) as (_, client):
        lines = [line(1, f"{number:0128}", path, line_id=f"{number:064}") for number in range(2_000)]
        for each in lines:
            each.key.location = "l" * 64
            for number in range(8):
                each.key.dimensions[f"{number:064}"] = "v" * 64
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.allocation.Reserve(reserve(*lines))
    # Read, parsed and judged: those dimensions are not the policy's.
    assert reason(status_of(raised.value)) == "DIMENSION_NOT_IN_POLICY"


async def test_a_lease_ends_though_nobody_asks(in_memory: ServerConfig) -> None:
    """Watchers hear of it; the ledger has its end at its instant."""
    clock = ManualClock()
    async with serving(in_memory, clock) as (_, client):
        await client.post(100)
        watch = client.allocation.WatchBalances(balance_pb2.WatchBalancesRequest())
        heard = [await watch.read(), await watch.read()]
        assert heard[-1].event == balance_pb2.WATCH_EVENT_SNAPSHOT_END
        held = await client.allocation.Reserve(reserve(line(10), ttl=Duration(seconds=60)))
        assert (await watch.read()).balances[0].own.held == 10
        clock.advance(timedelta(seconds=60))
        async with asyncio.timeout(60):
            assert (await watch.read()).balances[0].own.held == 0
        entries = await client.ledger.ListEntries(ledger_service_pb2.ListEntriesRequest())
        newest = entries.entries[0]
        assert newest.kind == ledger_service_pb2.ENTRY_KIND_EXPIRE
        assert newest.effective_time == held.reservation.expire_time


async def test_metrics_tell_what_was_done() -> None:
    """Calls by method and outcome, batches, commits, the queue, watches."""
    async with serving(ServerConfig(port=0, in_memory=True, metrics_port=0)) as (server, client):
        await client.post(5)
        await client.allocation.Reserve(reserve())
        await _outcome_of_any(client.allocation.Reserve(reserve(line(50))))
        watch = client.allocation.WatchBalances(balance_pb2.WatchBalancesRequest())
        await watch.read()
        url = f"http://127.0.0.1:{server.metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        watch.cancel()
    for sample in (
        'ringfence_calls_total{method="PostStock",outcome="accepted"} 1.0',
        'ringfence_calls_total{method="Reserve",outcome="accepted"} 1.0',
        'ringfence_calls_total{method="Reserve",outcome="refused"} 1.0',
        "ringfence_batch_commands_count 3.0",
        "ringfence_queued_lines 0.0",
        "ringfence_watchers 1.0",
        "ringfence_clock_jumps_total 0.0",
        "ringfence_clock_in_doubt 0.0",
        "process_resident_memory_bytes",
    ):
        assert sample in text
    assert "ringfence_commit_seconds_bucket" in text


async def _outcome_of_any(call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call
