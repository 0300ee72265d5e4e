"""A whole server: it serves what the contract says, says why it cannot, and goes down without losing anything."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ringfence.v1 import (
    allocation_service_pb2,
    allocation_service_pb2_grpc,
    balance_pb2,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
    stock_service_pb2_grpc,
)
from ringfence_server.app import Server
from ringfence_server.clock import ManualClock
from ringfence_server.config import ServerConfig, StartFailed
from ringfence_server.rpc.registry import SERVICES, all_handlers
from ringfence_server.store.sqlite import SqliteStore
from tests.rpc.messages import eventually, figure, line, new_id, reason, reserve, status_of

MODULES = (
    allocation_service_pb2,
    stock_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    ledger_service_pb2,
)


class Client:
    """The stubs of a server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.allocation: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        self.stock: Any = stock_service_pb2_grpc.StockServiceStub(channel)
        self.ledger: Any = ledger_service_pb2_grpc.LedgerServiceStub(channel)
        self.health: Any = health_pb2_grpc.HealthStub(channel)
        listing: Any = channel
        self.reflection: Any = reflection_pb2_grpc.ServerReflectionStub(listing)
        self.channel = channel

    async def post(self, value: int) -> None:
        """So many lamps are at the north store."""
        await self.stock.PostStock(
            stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(value=value)])
        )

    async def is_serving(self, service: str = "") -> bool:
        """What the health service says."""
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def serving(config: ServerConfig, clock: ManualClock | None = None) -> AsyncIterator[tuple[Server, Client]]:
    """A server on a free port and a client of it."""
    server = Server(config, clock=clock)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield server, Client(channel)
    finally:
        await server.stop(0)


@pytest.fixture
def in_memory() -> ServerConfig:
    """A server without a file."""
    return ServerConfig(port=0, in_memory=True)


@pytest.fixture
def on_file(tmp_path: Path) -> ServerConfig:
    """A server with a file of its own."""
    return ServerConfig(port=0, database_url=f"sqlite:///{tmp_path}/ringfence.db")


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
        await eventually(lambda: server.services.counts.commands["Reserve", "accepted"] > 0)
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


async def test_a_port_in_use_is_said_in_one_line(in_memory: ServerConfig) -> None:
    """Not bound a second time in silence."""
    async with serving(in_memory) as (server, _):
        with pytest.raises(StartFailed, match=f"port {server.port} of 127.0.0.1 is in use") as raised:
            await Server(ServerConfig(port=server.port, in_memory=True)).start()
    assert "\n" not in str(raised.value)


async def test_no_other_process_can_share_the_port(in_memory: ServerConfig) -> None:
    """gRPC would let a second server in and give it every other connection."""
    async with serving(in_memory) as (server, _):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", server.port))


async def test_a_metrics_port_in_use_is_said_in_one_line() -> None:
    """And leaves nothing open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=f"port {port} of 127.0.0.1 is in use"):
            await Server(ServerConfig(port=0, in_memory=True, metrics_port=port)).start()


async def test_a_database_in_use_is_said_in_one_line(on_file: ServerConfig) -> None:
    """Two servers on one file would not hear of each other's changes."""
    async with serving(on_file):
        with pytest.raises(StartFailed, match="in use by another server"):
            await Server(on_file).start()


async def test_a_start_that_failed_leaves_nothing_open(on_file: ServerConfig) -> None:
    """The database can be had by the next one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broken = ServerConfig(port=0, database_url=on_file.database_url, metrics_port=taken.getsockname()[1])
        with pytest.raises(StartFailed):
            await Server(broken).start()
    async with serving(on_file) as (_, client):
        assert await client.is_serving()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"host": "no-such-host.invalid"}, "the host 'no-such-host.invalid' is not known"),
        ({"host": "192.0.2.1"}, "192.0.2.1 is no address of this machine"),
        ({"database_url": "sqlite:////proc/ringfence/none.db"}, "cannot be written"),
    ],
)
async def test_what_cannot_be_had_is_said_in_one_line(config: dict[str, Any], words: str) -> None:
    """Host, address, database."""
    with pytest.raises(StartFailed, match=words) as raised:
        await Server(ServerConfig(**{"port": 0, **config})).start()
    assert "\n" not in str(raised.value)


async def test_a_database_that_is_a_directory_is_said_in_one_line(tmp_path: Path) -> None:
    """As the database says it."""
    place = tmp_path / "ringfence.db"
    place.mkdir()
    with pytest.raises(StartFailed, match="cannot be opened") as raised:
        await Server(ServerConfig(port=0, database_url=f"sqlite:///{place}")).start()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        {"port": -1},
        {"port": 65_536},
        {"queue_lines": 3_999},
        {"default_deadline_seconds": 0},
        {"max_message_bytes": 10},
        {"clock_jump_trust_seconds": -1},
        {"clock_jump_trust_seconds": float("nan")},
        {"clock_jump_trust_seconds": 86_401},
        {"database_url": "nonsense"},
        {"database_url": "sqlite://"},
        {"database_url": "sqlite:///:memory:"},
        {"database_url": "sqlite:////var/lib/"},
        {"database_url": "mysql://host/db"},
        {"database_url": "postgresql://host"},
        {"database_url": "postgresql://host:port/db"},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(config: dict[str, Any]) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=r"\w"):
        ServerConfig(**config)


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
