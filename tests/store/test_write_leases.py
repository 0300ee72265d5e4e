"""Leases in the store: they end at their instants and in that order, however many at once, before any decision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.commands import Allocate, Cancel, CancelReason, Consume, Reserve, SetPolicy
from ringfence_server.ledger.outcomes import Cancelled, Consumed, LeaseExpired, Reserved
from ringfence_server.ledger.policy import LeaseBounds, Policy
from ringfence_server.ledger.state import EntryKind
from ringfence_server.store.load import MOST_DUE
from tests.ledger.world import figure, line, quota
from tests.store.desk import Answered, Desk, post, reserve

SECOND = 1_000_000
BIKES = 100_000


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with a hundred thousand bikes."""
    async with Desk(place) as desk:
        await desk.send(post(figure(BIKES, "on_hand")))
        yield desk


def hold(quantity: int = 1, seconds: int = 60) -> Reserve:
    return reserve(line("", quantity), ttl=seconds * SECOND)


def pool(desk: Desk) -> tuple[int, int]:
    """Free and held units of the common pool."""
    (found,) = desk.rows("SELECT free, held FROM pool")
    return found[0], found[1]


def ends(desk: Desk) -> list[tuple[int, int]]:
    """Ledger entries of ended leases in the order in which they were written: effective time, quantity."""
    found = desk.rows(f"SELECT effective_time, quantity FROM entry WHERE kind = {EntryKind.EXPIRE} ORDER BY sequence")
    return [(row[0], row[1]) for row in found]


async def test_a_hold_ends_exactly_at_its_instant(desk: Desk) -> None:
    """One microsecond before it can still be sold, at the instant it cannot, and its stock is free again: no sweeper's
    lag is in any answer."""
    first, second = await desk.send_all([hold(), hold()])
    desk.clock.advance(timedelta(seconds=60, microseconds=-1))
    sold = await desk.send(Consume(first.reservation_id(), (), False, None, "", b""))
    assert isinstance(sold.decision, Consumed)
    desk.clock.advance(timedelta(microseconds=1))
    late = await desk.send(Consume(second.reservation_id(), (), False, None, "", b""))
    assert isinstance(late.decision, LeaseExpired)
    assert pool(desk) == (BIKES - 1, 0)


async def test_what_is_due_is_ended_before_any_decision_of_the_batch(desk: Desk) -> None:
    """Whatever key a request is about: its batch brings all of the slot up to date first."""
    await desk.send(hold(BIKES))
    desk.clock.advance(timedelta(seconds=60))
    answered = await desk.send(reserve(line("", BIKES)))
    assert isinstance(answered.decision, Reserved)


async def test_leases_end_in_the_order_of_their_instants(desk: Desk) -> None:
    """However they were made, and whenever that is recorded: each is effective at its own instant."""
    start = desk.clock.now()
    seconds = [300, 20, 100, 20, 250, 7]
    await desk.send_all([hold(number + 1, each) for number, each in enumerate(seconds)])
    desk.clock.advance(timedelta(minutes=10))
    await desk.committer.sweep()
    expected = sorted((start + each * SECOND, number + 1) for number, each in enumerate(seconds))
    assert ends(desk) == expected
    record_times = desk.rows(f"SELECT DISTINCT record_time FROM entry WHERE kind = {EntryKind.EXPIRE}")
    assert record_times == [(desk.clock.now(),)]


async def test_all_lines_of_an_order_end_together(desk: Desk) -> None:
    """Its revision rises once."""
    order = await desk.send(reserve(line("", 1), line("", 2), line("", 3), ttl=SECOND))
    desk.clock.advance(timedelta(seconds=1))
    await desk.committer.sweep()
    assert desk.rows("SELECT revision FROM reservation") == [(2,)]
    assert desk.rows("SELECT expired, held FROM part ORDER BY part_number") == [(1, 0), (2, 0), (3, 0)]
    assert isinstance(order.decision, Reserved)


async def many(desk: Desk, count: int, seconds: int = 60) -> list[Answered]:
    """Orders of one unit each, the later made the earlier over."""
    orders: list[Answered] = []
    for start in range(0, count, 500):
        size = min(500, count - start)
        orders += await desk.send_all([hold(1, seconds + count - start - number) for number in range(size)])
    return orders


def written(desk: Desk) -> list[int]:
    """How many entries each transaction has written since the clock stands where it does: each is recorded later than
    the one before it."""
    since = f"SELECT count(*) FROM entry WHERE record_time >= {desk.clock.now()}"
    return [count for (count,) in desk.rows(f"{since} GROUP BY record_time ORDER BY record_time")]


async def test_more_than_fit_one_transaction_end_in_several_before_the_decision(desk: Desk) -> None:
    """The earliest first, in transactions of bounded size; then the request that came is decided, once."""
    count = 2 * MOST_DUE + 300
    await many(desk, count)
    desk.clock.advance(timedelta(hours=2))
    answered = await desk.send(reserve(line("", BIKES)))
    assert isinstance(answered.decision, Reserved)
    assert len(answered.decision.reservation.parts) == 1
    assert written(desk) == [MOST_DUE, MOST_DUE, 300 + 1]
    assert [effective for effective, _ in ends(desk)] == sorted(effective for effective, _ in ends(desk))
    assert len(ends(desk)) == count
    assert pool(desk) == (0, BIKES)


async def test_an_order_with_many_parts_counts_as_many(desk: Desk) -> None:
    """What bounds a transaction is what it has to write."""
    lines = [line("", 1) for _ in range(300)]
    await desk.send_all([reserve(*lines, ttl=(90 - number) * SECOND) for number in range(10)], weight=300)
    desk.clock.advance(timedelta(seconds=100))
    await desk.committer.sweep()
    # A thousand holds touch four orders, and an order ends whole.
    assert written(desk) == [1_200, 1_200, 600]
    assert pool(desk) == (BIKES, 0)


async def test_exactly_as_many_as_fit_one_transaction_end(desk: Desk) -> None:
    """That there might have been more costs one more look."""
    await many(desk, MOST_DUE)
    desk.clock.advance(timedelta(hours=2))
    await desk.committer.sweep()
    assert len(ends(desk)) == MOST_DUE
    assert await desk.any_store.next_due() is None


async def test_watchers_hear_of_every_key_whose_leases_ended(desk: Desk) -> None:
    """Also of those that ended in transactions before the last one, though only that one's commit is told. (Where other
    servers write as well, watchers read the feed.)"""
    skus = [f"LAMP-{number:04}" for number in range(MOST_DUE + 50)]
    await desk.send(post(*(figure(10, "on_hand", sku=sku) for sku in skus)))
    for start in range(0, len(skus), 500):
        await desk.send_all([reserve(line("", 1, sku=sku), ttl=60 * SECOND) for sku in skus[start : start + 500]])
    desk.clock.advance(timedelta(seconds=60))
    told = len(desk.told)
    committed = await desk.committer.sweep()
    assert {key.sku for key in committed.changed} == set(skus)
    assert len(committed.changed) == len(skus)
    assert desk.told[told:] == [committed]
    assert desk.rows("SELECT max(revision) FROM slot_state") == [(committed.revision,)]


async def test_watchers_hear_of_leases_that_ended_before_a_failure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catch-up that committed before the request's own transaction failed is told with the next commit."""
    if not desk.on_sqlite:
        pytest.skip("watchers read the feed there")
    await many(desk, MOST_DUE)
    desk.clock.advance(timedelta(hours=2))
    written = 0
    writer = desk.store._transactor
    assert writer is not None
    write = writer._writer.write

    def fail_second(*arguments: object) -> object:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError("no more")
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writer._writer, "write", fail_second)
    refused = await desk.send(hold())
    assert refused.answer.failure is not None
    assert len(ends(desk)) == MOST_DUE
    assert not desk.told[-1].changed or desk.told[-1].record_time < desk.clock.now()
    committed = await desk.committer.sweep()
    assert [key.sku for key in committed.changed] == ["BIKE"]
    assert (await desk.committer.sweep()).changed == []


async def test_the_next_end_is_the_earliest_of_what_is_held(desk: Desk) -> None:
    """Holds without an end, and what is sold, given back or over, have none."""
    await desk.send(SetPolicy(Policy(leases=LeaseBounds(allow_never=True)), 1))
    assert await desk.any_store.next_due() is None
    await desk.send(reserve(line("", 1), never=True))
    assert await desk.any_store.next_due() is None
    start = desk.clock.now()
    sold, cancelled, over, last = await desk.send_all([hold(1, 10), hold(1, 20), hold(1, 30), hold(1, 40)])
    assert await desk.any_store.next_due() == start + 10 * SECOND
    await desk.send(Consume(sold.reservation_id(), (), False, None, "", b""))
    assert await desk.any_store.next_due() == start + 20 * SECOND
    back = await desk.send(Cancel(cancelled.reservation_id(), (), CancelReason.CUSTOMER, ""))
    assert isinstance(back.decision, Cancelled)
    assert await desk.any_store.next_due() == start + 30 * SECOND
    desk.clock.advance(timedelta(seconds=30))
    # Ended by nobody yet: it is still what is due next.
    assert await desk.any_store.next_due() == start + 30 * SECOND
    await desk.committer.sweep()
    assert await desk.any_store.next_due() == start + 40 * SECOND
    assert isinstance(over.decision, Reserved)
    assert isinstance(last.decision, Reserved)


async def test_a_sweep_without_anything_due_writes_nothing(desk: Desk) -> None:
    """Watchers are not woken, and the file is left alone."""
    await desk.send(hold())
    before = desk.rows("SELECT * FROM slot_state ORDER BY slot")
    committed = await desk.committer.sweep()
    assert (committed.changed, desk.rows("SELECT * FROM slot_state ORDER BY slot")) == ([], before)


async def test_a_sweep_and_requests_come_to_the_same(desk: Desk) -> None:
    """Sweeps between and beside requests end nothing twice."""
    await desk.send_all([hold(1, 10) for _ in range(50)])
    desk.clock.advance(timedelta(seconds=10))
    await asyncio.gather(desk.committer.sweep(), desk.send(hold()), desk.committer.sweep(), desk.send(hold()))
    assert len(ends(desk)) == 50
    assert pool(desk) == (BIKES - 2, 2)


class DoubtfulClock(ManualClock):
    """A clock that may have jumped."""

    trusted: int | None = None

    def due_until(self) -> int:
        return self.now() if self.trusted is None else self.trusted


async def test_no_lease_ends_while_the_clock_is_in_doubt(place: Path | str) -> None:
    """An hour that the wall clock jumped over ends no hold: what is due goes by the clock that did not jump."""
    clock = DoubtfulClock()
    async with Desk(place, clock) as desk:
        await desk.send(post(figure(BIKES, "on_hand")))
        await desk.send(hold(1, 60))
        clock.trusted = clock.now() + 59 * SECOND
        clock.advance(timedelta(hours=1))
        await desk.committer.sweep()
        await desk.send(hold(1, 60))
        assert pool(desk) == (BIKES - 2, 2)
        clock.trusted = None
        await desk.committer.sweep()
        assert pool(desk) == (BIKES - 1, 1)


async def test_a_lease_goes_back_to_the_quota_it_came_from(desk: Desk) -> None:
    """The pools that an ended hold touches are loaded, though no request of the batch names them."""
    await desk.send_all([post(figure(10, "on_hand", sku="LAMP"))])
    await desk.send(Allocate((quota("web", 4, sku="LAMP"),)))
    await desk.send(reserve(line("web", 3, sku="LAMP"), ttl=SECOND))
    await desk.reopen()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(reserve(line("", 1, sku="LAMP")))
    assert desk.rows("SELECT path, free, held FROM pool WHERE path = 'web'") == [("web", 4, 0)]
