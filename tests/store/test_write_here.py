"""A brief transaction on the caller's own thread: as durable as any, and it waits for nobody."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.committer import Request
from ringfence_server.committer.work import BatchWork
from ringfence_server.ledger.commands import Cancel, CancelReason, Command
from ringfence_server.ledger.idempotency import scope_of
from ringfence_server.ledger.outcomes import Cancelled, Reserved
from tests.ledger.world import figure, line
from tests.store.desk import CALLER, ORGANIZATION, Desk, post, reserve

HOLD = reserve(line("", 1))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A store with a thousand bikes."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        await desk.send(post(figure(1_000, "on_hand")))
        yield desk


def work(desk: Desk, command: Command) -> BatchWork:
    """A unit of work of one request."""
    request = Request(
        organization=ORGANIZATION,
        caller=CALLER,
        scope=scope_of(ORGANIZATION, CALLER),
        request_id=desk.new_id(),
        fingerprint=b"the same command",
        command=command,
        weight=1,
        deadline=None,
        encode=lambda decision, stamp: type(decision).__name__.encode(),
        sink=lambda request, answer: None,
    )
    return BatchWork((request,), 0.0)


def held(desk: Desk) -> int:
    """Units held, by the file."""
    return int(desk.rows("SELECT held FROM pool")[0][0])


async def test_it_is_committed_when_it_answers(desk: Desk) -> None:
    """With the same settings for the disk; what the two ways write follows one another."""
    first, second = work(desk, HOLD), work(desk, HOLD)
    committed = desk.store.run_here(first)
    assert committed is not None
    assert len(committed.changed) == 1
    assert first.answers[0].payload == b"Reserved"
    assert held(desk) == 1
    assert desk.store._connection is not None
    assert desk.store._connection.rows("PRAGMA synchronous") == [(2,)]
    assert (await desk.store.run(second)).revision == committed.revision + 1
    assert held(desk) == 2


async def test_it_does_not_wait_for_another_process(desk: Desk) -> None:
    """Whoever has the file locked holds up the store's thread for seconds, never the caller's own."""
    holder = sqlite3.connect(desk.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert desk.store.run_here(work(desk, HOLD)) is None
    finally:
        holder.close()
    assert held(desk) == 0
    assert desk.store.run_here(work(desk, HOLD)) is not None


async def test_it_does_not_wait_for_the_stores_thread(desk: Desk) -> None:
    """Upkeep that uses the connection goes on undisturbed."""
    entered, go_on = threading.Event(), threading.Event()

    def upkeep() -> None:
        entered.set()
        go_on.wait()

    busy = asyncio.ensure_future(desk.store._call(upkeep))
    await asyncio.to_thread(entered.wait)
    assert desk.store.run_here(work(desk, HOLD)) is None
    go_on.set()
    await busy
    assert desk.store.run_here(work(desk, HOLD)) is not None


async def test_a_large_reservation_is_left_to_the_thread(desk: Desk) -> None:
    """How much a Cancel takes back is known only when its reservation is read: then nothing was done yet, and what is
    remembered holds."""
    large = await desk.send(reserve(*(line("", 1) for _ in range(17))))
    assert isinstance(large.decision, Reserved)
    cancel = Cancel(large.reservation_id(), (), CancelReason.UNSPECIFIED, "")
    assert desk.store.run_here(work(desk, cancel)) is None
    assert held(desk) == 17
    with desk.statements() as statements:
        assert desk.store.run_here(work(desk, HOLD)) is not None
    assert not [text for text, _ in statements if "FROM stock" in text or "FROM pool" in text]
    assert isinstance((await desk.send(cancel)).decision, Cancelled)
    assert held(desk) == 1


async def test_leases_that_are_due_are_left_to_the_thread(desk: Desk) -> None:
    """There may be thousands of them."""
    await desk.send(reserve(line("", 3), ttl=60_000_000))
    desk.clock.advance(timedelta(minutes=1))
    assert desk.store.run_here(work(desk, HOLD)) is None
    assert held(desk) == 3
    await desk.send(HOLD)
    assert held(desk) == 1
    assert desk.store.run_here(work(desk, HOLD)) is not None


async def test_the_log_is_copied_back_by_the_thread_only(desk: Desk) -> None:
    """A checkpoint takes a tenth of a second: no transaction on the caller's own thread makes one, whatever the log's
    length, and the thread's next one may."""

    def setting(name: str) -> int:
        assert desk.store._connection is not None
        return int(desk.store._connection.rows(f"PRAGMA {name}")[0][0])

    for _ in range(2):
        assert desk.store.run_here(work(desk, HOLD)) is not None
        assert (setting("wal_autocheckpoint"), setting("busy_timeout")) == (0, 0)
        await desk.send(HOLD)
        assert (setting("wal_autocheckpoint"), setting("busy_timeout")) == (16_000, 5_000)


async def test_a_connection_that_broke_is_left_to_the_thread(desk: Desk) -> None:
    """It makes a new one; a closed store answers nothing here."""
    assert desk.store._connection is not None
    desk.store._connection.core.connection.dbapi_connection.close()  # type: ignore[union-attr]
    assert desk.store.run_here(work(desk, HOLD)) is None
    await desk.send(HOLD)
    assert isinstance((await desk.send(HOLD)).decision, Reserved)
    assert desk.store.run_here(work(desk, HOLD)) is not None
    closed = desk.store
    await desk.reopen()
    assert closed.run_here(work(desk, HOLD)) is None
