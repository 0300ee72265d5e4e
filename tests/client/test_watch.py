"""A watch tells of every change, reconnects by itself, and ends when it should."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import (
    AsyncClient,
    BalanceFilter,
    Client,
    InternalError,
    InvalidArgument,
    PermissionDenied,
    RetryPolicy,
    RollUp,
    Unavailable,
    WatchEvent,
    WatchEventKind,
)
from ringfence._config import ClientConfig
from ringfence._watch import WatchCursor
from ringfence.v1 import balance_pb2
from tests.client.conftest import PATIENCE, Connect
from tests.client.scripted import Failure, ScriptedServer, until_cancelled, wait_for

Messages = Callable[[Any, Any], Iterator[balance_pb2.WatchBalancesResponse]]
DROPPED = Failure("UNAVAILABLE", "Socket closed")


def message(kind: str, token: str = "", *skus: str) -> balance_pb2.WatchBalancesResponse:
    """One message of a watch."""
    return balance_pb2.WatchBalancesResponse(
        event=f"WATCH_EVENT_{kind}",
        resume_token=token,
        balances=[balance_pb2.Balance(key={"sku": sku, "location": "berlin"}) for sku in skus],
    )


def stream(*messages: Any) -> Messages:
    """A stream of messages; a Failure ends it, and one that does not stays open."""

    def behaviour(request: Any, context: Any) -> Iterator[balance_pb2.WatchBalancesResponse]:
        for made in messages:
            if made is None:
                return
            if isinstance(made, Failure):
                raise made
            yield made
        until_cancelled(context)

    return behaviour


async def take(driver: Any, count: int, **options: Any) -> list[WatchEvent]:
    """The first events of a watch."""
    if isinstance(driver.client, Client):

        def read() -> list[WatchEvent]:
            with driver.client.watch(**options) as watch:
                return list(itertools.islice(watch, count))

        return await asyncio.to_thread(read)
    events: list[WatchEvent] = []
    async with driver.client.watch(**options) as watch:
        async for event in watch:
            events.append(event)
            if len(events) == count:
                break
    return events


def seen(events: list[WatchEvent]) -> list[tuple[str, str]]:
    """Kinds and tokens."""
    return [(event.kind.value, event.resume_token) for event in events]


async def test_a_watch_gives_the_first_state_and_then_changes(scripted: ScriptedServer, connect: Connect) -> None:
    """Snapshot, its end, changes and checkpoints come as they are sent."""
    scripted.on(
        "WatchBalances",
        stream(
            message("SNAPSHOT", "", "LAMP", "BIKE"),
            message("SNAPSHOT_END", "t1"),
            message("CHANGES", "t2", "LAMP"),
            message("CHECKPOINT", "t3"),
        ),
    )
    events = await take(connect(), 4)
    assert seen(events) == [("snapshot", ""), ("snapshot_end", "t1"), ("changes", "t2"), ("checkpoint", "t3")]
    assert [balance.key.sku for balance in events[0].balances] == ["LAMP", "BIKE"]


async def test_a_watch_asks_for_what_it_was_told(scripted: ScriptedServer, connect: Connect) -> None:
    """Filter, roll-up, pace and token stand in the request."""
    scripted.on("WatchBalances", stream(message("CHECKPOINT", "t2")))
    await take(
        connect(),
        1,
        filter=BalanceFilter(skus=["LAMP"], path="web"),
        roll_up=RollUp.sku(),
        min_interval=timedelta(minutes=15),
        checkpoint_interval=timedelta(seconds=2),
        resume_token="t1",
    )
    request = scripted.received[0].request
    assert list(request.filter.skus) == ["LAMP"]
    assert request.filter.path == "web"
    assert [kept.by for kept in request.roll_up] == [balance_pb2.ROLL_UP_BY_SKU]
    assert request.min_interval.seconds == 900
    assert request.checkpoint_interval.seconds == 2
    assert request.resume_token == "t1"


async def test_a_broken_stream_is_resumed_where_it_stood(scripted: ScriptedServer, connect: Connect) -> None:
    """After a broken connection the watch asks again with the last token, and its reader notices nothing."""
    scripted.on(
        "WatchBalances",
        stream(message("SNAPSHOT", "", "LAMP"), message("SNAPSHOT_END", "t1"), message("CHANGES", "t2"), DROPPED),
        DROPPED,
        stream(message("CHANGES", "t3")),
    )
    events = await take(connect(), 4, filter=BalanceFilter(skus=["LAMP"]))
    assert seen(events) == [("snapshot", ""), ("snapshot_end", "t1"), ("changes", "t2"), ("changes", "t3")]
    requests = [call.request for call in scripted.received]
    assert [request.resume_token for request in requests] == ["", "t2", "t2"]
    assert all(list(request.filter.skus) == ["LAMP"] for request in requests)


async def test_a_server_that_goes_away_is_left_with_its_last_word(scripted: ScriptedServer, connect: Connect) -> None:
    """RESUME is between client and service: its token is used, and the reader never sees it."""
    scripted.on(
        "WatchBalances",
        stream(message("SNAPSHOT_END", "t1"), message("RESUME", "t2"), None),
        stream(message("CHANGES", "t3")),
    )
    events = await take(connect(), 2)
    assert seen(events) == [("snapshot_end", "t1"), ("changes", "t3")]
    assert scripted.received[1].request.resume_token == "t2"


async def test_a_broken_snapshot_is_forgotten(scripted: ScriptedServer, connect: Connect) -> None:
    """A snapshot that broke off cannot be resumed: the reader is told to forget it before the next one."""
    scripted.on(
        "WatchBalances",
        stream(message("SNAPSHOT", "", "LAMP"), DROPPED),
        stream(message("SNAPSHOT", "", "BIKE"), message("SNAPSHOT_END", "t1")),
    )
    events = await take(connect(), 4)
    assert seen(events) == [("snapshot", ""), ("reset", ""), ("snapshot", ""), ("snapshot_end", "t1")]
    assert scripted.received[1].request.resume_token == ""


async def test_a_token_that_cannot_be_continued_is_dropped(scripted: ScriptedServer, connect: Connect) -> None:
    """After RESET the old token is never sent again, though the new snapshot breaks off; one RESET is told once."""
    scripted.on(
        "WatchBalances",
        stream(message("RESET"), message("SNAPSHOT", "", "LAMP"), DROPPED),
        stream(message("RESET"), message("SNAPSHOT_END", "t9")),
    )
    events = await take(connect(), 4, resume_token="old")
    assert seen(events) == [("reset", ""), ("snapshot", ""), ("reset", ""), ("snapshot_end", "t9")]
    assert [call.request.resume_token for call in scripted.received] == ["old", ""]


async def test_a_watch_outlives_a_long_outage(scripted: ScriptedServer, connect: Connect) -> None:
    """Once the service has answered, the watch reconnects for longer than any call's tries or timeout."""
    scripted.on(
        "WatchBalances",
        stream(message("SNAPSHOT_END", "t1"), DROPPED),
        *[DROPPED] * 30,
        stream(message("CHANGES", "t2")),
    )
    retry = RetryPolicy(maximum_attempts=2, initial_backoff_seconds=0.001, maximum_backoff_seconds=0.005)
    events = await take(connect(retry=retry, timeout=timedelta(milliseconds=50)), 2)
    assert seen(events) == [("snapshot_end", "t1"), ("changes", "t2")]


async def test_a_wrong_target_is_no_quiet_day(nowhere: str, connect: Connect) -> None:
    """A watch that never reaches a service raises like any call."""
    retry = RetryPolicy(maximum_attempts=2, initial_backoff_seconds=0.001)
    with pytest.raises(Unavailable, match="no service answers"):
        await take(connect(target=nowhere, retry=retry), 1)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("INVALID_ARGUMENT", reason="BAD_FILTER"), InvalidArgument),
        (Failure("PERMISSION_DENIED"), PermissionDenied),
        (Failure("INTERNAL", reason="INTERNAL"), InternalError),
    ],
)
async def test_what_no_reconnection_mends_is_raised(
    scripted: ScriptedServer, connect: Connect, failure: Failure, kind: type[Exception]
) -> None:
    """A refusal ends the watch with its exception, at the beginning and in the middle."""
    scripted.on("WatchBalances", failure)
    with pytest.raises(kind):
        await take(connect(), 1)
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1"), failure))
    with pytest.raises(kind):
        await take(connect(), 2)
    assert len(scripted.received) == 2


async def test_a_silent_stream_is_given_up(
    scripted: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that brings nothing for longer than checkpoints take is dead: the watch reconnects."""
    monkeypatch.setattr(WatchCursor, "idle_limit", timedelta(milliseconds=100))
    silences = itertools.count()

    def answer(request: Any, context: Any) -> Iterator[balance_pb2.WatchBalancesResponse]:
        # By what is asked: where the machine is busy, other streams are given up too.
        if not request.resume_token:
            yield message("SNAPSHOT_END", "t1")
        elif next(silences):
            yield message("CHECKPOINT", "t2")
        until_cancelled(context)

    scripted.on("WatchBalances", answer)
    events = await take(connect(), 2)
    assert seen(events) == [("snapshot_end", "t1"), ("checkpoint", "t2")]
    tokens = [call.request.resume_token for call in scripted.received]
    assert tokens == sorted(tokens)
    assert tokens.count("t1") >= 2


async def test_a_slow_reader_is_not_taken_for_a_silent_stream(
    scripted: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the time that a reader waits for the service counts as silence."""
    monkeypatch.setattr(WatchCursor, "idle_limit", timedelta(seconds=2))
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1"), message("CHANGES", "t2")))
    driver = connect()
    watch = driver.client.watch()

    def read() -> WatchEvent:
        assert not isinstance(watch, AsyncIterator)
        return next(watch)

    async def following() -> WatchEvent:
        return await anext(watch) if isinstance(watch, AsyncIterator) else await asyncio.to_thread(read)

    assert (await following()).resume_token == "t1"
    streams = len(scripted.received)
    await asyncio.sleep(2.5)
    assert (await following()).resume_token == "t2"
    assert len(scripted.received) == streams


async def test_leaving_the_loop_ends_the_stream(scripted: ScriptedServer) -> None:
    """A watch that is dropped after a break leaves no stream behind on the server."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1")))
    async with AsyncClient(scripted.target, timeout=PATIENCE) as client:
        async for _ in client.watch():
            break
        gc.collect()
        await asyncio.to_thread(wait_for, lambda: scripted.ended == ["WatchBalances"])


def test_leaving_the_loop_ends_the_stream_of_a_thread(scripted: ScriptedServer) -> None:
    """The same without asyncio."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1")))
    with Client(scripted.target, timeout=PATIENCE) as client:
        for _ in client.watch():
            break
        gc.collect()
        wait_for(lambda: scripted.ended == ["WatchBalances"])


@pytest.mark.parametrize("closed", ["watch", "client"])
async def test_closing_ends_the_iteration(scripted: ScriptedServer, closed: str) -> None:
    """Whoever reads a watch that is closed, or whose client is, comes to the end of the loop."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1")))
    client = AsyncClient(scripted.target, timeout=PATIENCE)
    watch = client.watch()
    events: list[WatchEvent] = []

    async def read() -> None:
        async for event in watch:
            events.append(event)

    reader = asyncio.create_task(read())
    await asyncio.to_thread(wait_for, lambda: bool(events))
    await (watch.aclose() if closed == "watch" else client.close())
    await asyncio.wait_for(reader, 60)
    assert [event.kind for event in events] == [WatchEventKind.SNAPSHOT_END]
    await client.close()


@pytest.mark.parametrize("closed", ["watch", "client"])
async def test_closing_ends_the_iteration_of_a_thread(scripted: ScriptedServer, closed: str) -> None:
    """The same without asyncio, from another thread."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1")))
    client = Client(scripted.target, timeout=PATIENCE)
    watch = client.watch()
    events: list[WatchEvent] = []

    def read() -> None:
        events.extend(watch)

    first = next(watch)
    reader = asyncio.create_task(asyncio.to_thread(read))
    await asyncio.sleep(0.05)
    (watch if closed == "watch" else client).close()
    await asyncio.wait_for(reader, 60)
    assert first.kind is WatchEventKind.SNAPSHOT_END
    assert events == []
    client.close()


async def test_closing_ends_a_pause(scripted: ScriptedServer) -> None:
    """A watch that waits before its next try ends at once when it is closed."""
    slow = RetryPolicy(initial_backoff_seconds=3_600, maximum_backoff_seconds=3_600)
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1"), DROPPED))
    async with AsyncClient(scripted.target, retry=slow, timeout=PATIENCE) as client:
        watch = client.watch()
        assert (await anext(watch)).resume_token == "t1"
        reader = asyncio.create_task(anext(watch))
        await asyncio.to_thread(wait_for, lambda: len(scripted.ended) == 1)
        await asyncio.sleep(0.05)
        await watch.aclose()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(reader, 60)


async def test_a_cancelled_reader_is_cancelled(scripted: ScriptedServer) -> None:
    """Cancelling the task that reads a watch cancels it, and is not taken for the end of the watch."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1")))
    async with AsyncClient(scripted.target, timeout=PATIENCE) as client:
        watch = client.watch()
        await anext(watch)
        reader = asyncio.create_task(anext(watch))
        await asyncio.sleep(0.05)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader


async def test_the_token_can_be_kept(scripted: ScriptedServer) -> None:
    """resume_token is where to go on after the last event."""
    scripted.on("WatchBalances", stream(message("SNAPSHOT_END", "t1"), message("CHANGES", "t2")))
    async with AsyncClient(scripted.target, timeout=PATIENCE) as client:
        watch = client.watch()
        assert watch.resume_token == ""
        await anext(watch)
        assert watch.resume_token == "t1"
        await anext(watch)
        assert watch.resume_token == "t2"


@pytest.mark.parametrize(
    ("checkpoint", "interval", "limit"),
    [(0, 0, 45), (60, 0, 135), (0, 900, 1815), (3600, 900, 7215), (0, 10**11, 172_815)],
)
def test_silence_is_measured_by_what_was_asked_for(checkpoint: int, interval: int, limit: int) -> None:
    """A stream is silent for too long after twice its longest expected pause, and some slack; longer pauses than a day
    are the service's to refuse."""
    request = balance_pb2.WatchBalancesRequest()
    request.checkpoint_interval.seconds = checkpoint
    request.min_interval.seconds = interval
    assert WatchCursor(request, ClientConfig(), "").idle_limit == timedelta(seconds=limit)
