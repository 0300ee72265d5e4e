"""A read at an earlier instant answers what a read then answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence.testing import PostgresServer
from ringfence_server.ledger.balance import BalanceFilter, balances_of
from ringfence_server.ledger.commands import Allocate, Cancel, CancelReason, Consume, SetPolicy, Unallocate
from ringfence_server.ledger.policy import Policy, SupplyTerm
from ringfence_server.store.reader import Reader
from tests.ledger.world import back, figure, key, line, quota
from tests.properties.profiles import LONG, TIMEOUT_SECONDS
from tests.properties.random_days import play_a_day
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.past_system import PastSystem
from tests.store.reading import EVERYTHING, all_keys, free

SECOND = 1_000_000


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with ten bikes."""
    async with Desk(place) as desk:
        await desk.send(post(figure(10, "on_hand", position=3)))
        yield desk


async def test_read_time_t_asked_later_equals_what_a_read_at_t_answered_though_the_sweeper_ran_after_t(
    desk: Desk, reader: Reader
) -> None:
    """At t one hold was over and not yet ended in the ledger, another still lived; now both are ended, and more has
    happened. Asked for t again, the first is over and the second lives."""
    await desk.send(Allocate((quota("web", 8),)))
    await desk.send(reserve(line("web", 3), ttl=60 * SECOND))
    await desk.send(reserve(line("web", 2), ttl=120 * SECOND))
    desk.clock.advance(timedelta(seconds=90))
    async with reader.snapshot(ORGANIZATION) as snapshot:
        then = snapshot.moment.instant
        before = (await snapshot.keys(EVERYTHING, None, 10)).stocks[0].pools["web"]
    assert (before.free, before.held) == (6, 2)
    assert desk.rows("SELECT held FROM pool WHERE path = 'web'") == [(5,)]

    desk.clock.advance(timedelta(seconds=90))
    await desk.committer.sweep()
    await desk.send(Unallocate((back("web"),)))
    assert desk.rows("SELECT free, held FROM pool WHERE path = 'web'") == [(0, 0)]

    (again,) = await all_keys(reader, read_time=then)
    assert (again.pools["web"].free, again.pools["web"].held) == (6, 2)
    assert desk.rows("SELECT count(*) FROM part WHERE held > 0") == [(0,)]
    instants = [then - 30 * SECOND, then - 30 * SECOND - 1, then + 30 * SECOND, then + 30 * SECOND - 1]
    assert [await free(reader, key(), "web", instant) for instant in instants] == [6, 3, 8, 6]


async def test_a_hold_that_ended_after_the_instant_lives_then_though_nobody_has_ended_it_yet(
    desk: Desk, reader: Reader
) -> None:
    """What is due now was not due then; what was due then stays over."""
    await desk.send(reserve(line("", 3), ttl=60 * SECOND))
    await desk.send(reserve(line("", 2), ttl=120 * SECOND))
    made = desk.clock.now()
    desk.clock.advance(timedelta(minutes=10))
    assert desk.rows("SELECT free, held FROM pool") == [(5, 5)]
    instants = [made + seconds * SECOND for seconds in (59, 60, 119, 120)]
    assert [await free(reader, key(), read_time=instant) for instant in instants] == [5, 8, 8, 10]


async def test_a_key_was_not_there_before_its_first_figure(desk: Desk, reader: Reader) -> None:
    """Absent then, not zero; and its figures are those of then."""
    before = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(post(figure(5, "on_hand", sku="LAMP", position=1, count_time=before)))
    known = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(post(figure(9, "on_hand", sku="LAMP", position=2), figure(1, "safety_stock", sku="LAMP")))
    desk.clock.advance(timedelta(seconds=1))
    assert [stock.key.sku for stock in await all_keys(reader, read_time=before)] == ["BIKE"]
    lamp = (await all_keys(reader, read_time=known))[1]
    assert list(lamp.measures) == ["on_hand"]
    value = lamp.measures["on_hand"]
    assert (value.value, value.position, value.count_time, value.record_time) == (5, 1, before, known)
    assert await all_keys(reader, read_time=before - 1) == []


async def test_the_past_is_judged_by_the_policy_of_then(desk: Desk, reader: Reader) -> None:
    """Formula and fallback; a key that is valued anew since was valued by the older formula then."""
    await desk.send(post(figure(2, "safety_stock")))
    desk.clock.advance(timedelta(seconds=1))
    before = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    supply = (SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -3))
    await desk.send(SetPolicy(Policy(supply=supply), 1))
    desk.clock.advance(timedelta(seconds=1))
    between = desk.clock.now()
    assert await free(reader, key()) == 4
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(reserve(line("", 1)))
    desk.clock.advance(timedelta(seconds=1))
    assert [await free(reader, key(), read_time=instant) for instant in (before, between)] == [8, 4]
    async with reader.snapshot(ORGANIZATION, before) as snapshot:
        assert snapshot.policy.revision == 1


async def test_sales_and_returns_are_taken_back_from_the_count(desk: Desk, reader: Reader) -> None:
    """on_hand, consumed and what caps count are those of then."""
    held = await desk.send(reserve(line("", 4)))
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(Consume(held.reservation_id(), (), False, None, "", b""))
    sold = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(Cancel(held.reservation_id(), (), CancelReason.RETURNED, ""))
    desk.clock.advance(timedelta(seconds=1))
    (stock,) = await all_keys(reader, read_time=sold)
    pool = stock.pools[""]
    assert (stock.measures["on_hand"].value, pool.free, pool.consumed, pool.taken) == (6, 6, 4, 4)
    (stock,) = await all_keys(reader, read_time=sold - 1)
    pool = stock.pools[""]
    assert (stock.measures["on_hand"].value, pool.held, pool.consumed, pool.taken) == (10, 4, 0, 4)


async def test_holds_of_the_past_have_the_quantities_of_then(desk: Desk, reader: Reader) -> None:
    """One was consumed since, one ended, one was made later, one was over already."""
    await desk.send(Allocate((quota("web", 9),)))
    consumed = await desk.send(reserve(line("web", 1), ttl=3_600 * SECOND))
    ended = await desk.send(reserve(line("web", 2), ttl=60 * SECOND))
    await desk.send(reserve(line("web", 3), ttl=30 * SECOND))
    desk.clock.advance(timedelta(seconds=45))
    then = desk.clock.now()

    async def holds(read_time: int | None) -> list[tuple[bytes, int]]:
        async with reader.snapshot(ORGANIZATION, read_time) as snapshot:
            (stock,) = await snapshot.stocks([key()])
            return [(hold.reservation_id, hold.quantity) for hold in await snapshot.holds(stock, "web", 10)]

    expected = [(ended.reservation_id(), 2), (consumed.reservation_id(), 1)]
    assert await holds(None) == expected
    desk.clock.advance(timedelta(seconds=45))
    await desk.send(Consume(consumed.reservation_id(), (), False, None, "", b""))
    later = await desk.send(reserve(line("web", 4)))
    assert await holds(None) == [(later.reservation_id(), 4)]
    assert await holds(then) == expected


async def test_a_revision_of_the_past_covers_what_was_seen_then(desk: Desk, reader: Reader) -> None:
    """The newest commit then; of what the feed has forgotten none is named."""
    ((then,),) = desk.rows("SELECT record_time FROM feed")
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(post(figure(4, "on_hand")))
    desk.clock.advance(timedelta(days=3))

    async def revisions() -> tuple[int, int]:
        slot = 0 if desk.on_sqlite else desk.postgres.slots.of_key(key())
        async with reader.snapshot(ORGANIZATION, then) as snapshot:
            (stock,) = await snapshot.stocks([key()])
            return snapshot.moment.revisions[slot], stock.revision

    assert await revisions() == (1, 1)
    await desk.prune()
    assert await revisions() == (0, 0)


async def test_balances_of_an_instant_are_the_same_however_often_they_are_asked_for(desk: Desk, reader: Reader) -> None:
    """Now, as read_time, and later as read_time."""
    await desk.send(Allocate((quota("web/london", 3),)))
    await desk.send(reserve(line("web/london", 2), ttl=30 * SECOND))
    desk.clock.advance(timedelta(seconds=31))

    async def balances(read_time: int | None) -> tuple[int, list[object]]:
        async with reader.snapshot(ORGANIZATION, read_time) as snapshot:
            (stock,) = await snapshot.stocks([key()])
            found = balances_of(snapshot.policy, stock, BalanceFilter(path="web"))
            return snapshot.moment.instant, [balance._replace(revisions=()) for balance in found]

    instant, now = await balances(None)
    assert await balances(instant) == (instant, now)
    await desk.send(reserve(line("web/london", 3), ttl=30 * SECOND))
    assert await balances(instant) == (instant, now)


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_every_instant_that_was_read_answers_the_same_later() -> None:
    """Over days of trade, with leases that end between the reads and are recorded after them, with restarts, with tills
    and with caps: balances, measures, and what a Reserve would have got."""
    for seed in range(200 if LONG else 3):
        play_a_day(PastSystem(), seed, steps=60, tills=True)


@pytest.mark.postgres
@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_every_instant_that_was_read_on_postgresql_answers_the_same_later(postgres_server: PostgresServer) -> None:
    """The same over 64 slots, each of which has its own newest batch."""
    for seed in range(200 if LONG else 1):
        url = postgres_server.create_database()
        play_a_day(PastSystem(url), seed, steps=40, tills=True)
        postgres_server.drop_database(url)
