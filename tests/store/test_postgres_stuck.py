"""A transaction that nobody goes on with has a slot: what needs it is refused. Nothing else is, nor waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest

from ringfence.testing import PostgresServer, assert_eventually_async
from ringfence_server.clock import ClockWatch
from ringfence_server.committer import Failure
from ringfence_server.ledger.commands import (
    Cancel,
    CancelReason,
    Command,
    CountBegin,
    CountEnd,
    SetPolicy,
)
from ringfence_server.ledger.outcomes import Reserved
from ringfence_server.ledger.policy import Level, Policy
from ringfence_server.ledger.till_state import Mark
from ringfence_server.ledger.work import RequestsBlocked, StoreUnavailable
from ringfence_server.store.connect import WRITER, connect_to
from ringfence_server.store.locks import SlotLocks
from tests.ledger.world import booked, figure, line
from tests.patience import PATIENT
from tests.store.audit import audit
from tests.store.desk import Answered, Desk, post, reserve
from tests.store.gates import gate, waits_for_a_lock
from tests.store.till_story import EAST, TILL_LOCATIONS, facts, sold, till_figure
from tests.store.two_slots import HIGH, LOW, SLOTS, held, sku_in
from tests.store.watching import watched

pytestmark = pytest.mark.postgres

SECOND = 1_000_000
LOW_SLOT: Final = 3
HIGH_SLOT: Final = 40
MIDDLE: Final = sku_in(20)
FAR: Final = sku_in(50)
FARTHER: Final = sku_in(60)
SHORT: Final = 0.2
"""Seconds that a batch waits for a lock which it never gets: a test waits for them once or twice."""
NEVER: Final = 1e9

REFUSED: Final = Failure.STORE


@pytest.fixture
async def desk(postgres_place: str) -> AsyncIterator[Desk]:
    """A server that waits shortly for locks and knows five lamps in different slots; its books add up in the end."""
    async with stocked(Desk(postgres_place, lock_timeout_seconds=SHORT)) as desk:
        yield desk
        desk.look(lambda connection: audit(connection, Policy()))


@asynccontextmanager
async def stocked(desk: Desk) -> AsyncIterator[Desk]:
    """A server with ten of each lamp."""
    async with desk:
        await desk.send(post(*(figure(10, "on_hand", sku=sku) for sku in (LOW, MIDDLE, HIGH, FAR, FARTHER))))
        yield desk


@asynccontextmanager
async def kept(desk: Desk, *slots: int, url: str = "") -> AsyncIterator[int]:
    """Somebody has these slots, and does nothing; answers the connection's process. ``url``: as whom, if not as the
    server."""
    connection = await connect_to(url or desk.postgres.url, PATIENT, application="a prompt", statement_timeout=False)
    try:
        await connection.execute("BEGIN")
        await connection.fetch("SELECT 1 FROM slot_state WHERE slot = ANY($1::smallint[]) FOR UPDATE", slots)
        yield await connection.fetchval("SELECT pg_backend_pid()")
    finally:
        await connection.close()


@contextmanager
def locked(desk: Desk) -> Iterator[list[Collection[int]]]:
    """Which slots the server tried to lock, statement for statement."""
    engine = desk.postgres._engine
    assert engine is not None
    seen: list[Collection[int]] = []

    def note(text: str, parameters: Any, _: bool) -> None:
        if "FROM slot_state" in text and "FOR UPDATE" in text:
            seen.append(tuple(parameters[0]))

    with watched(engine.sync_engine, note):
        yield seen


def order(*skus: str, ttl: int | None = None) -> Command:
    """One of each lamp."""
    return reserve(*(line("", 1, sku=sku) for sku in skus), ttl=ttl)


def failures(answered: Collection[Answered]) -> list[Failure | None]:
    return [each.answer.failure for each in answered]


async def test_only_what_needs_the_slot_is_refused(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Of one batch; the log says whose the slot is. When it is free the same requests succeed at once."""
    async with kept(desk, HIGH_SLOT) as pid:
        answered = await desk.send_all([order(LOW), order(HIGH), order(LOW, HIGH), order(LOW)])
        assert failures(answered) == [None, REFUSED, REFUSED, None]
        assert f"{HIGH_SLOT} (pid {pid})" in caplog.text
    with locked(desk) as seen:
        again = await desk.send(order(HIGH), request_id=answered[1].request_id)
    assert isinstance(again.decision, Reserved)
    assert seen == [(HIGH_SLOT,)]
    assert (held(desk, LOW), held(desk, HIGH)) == (2, 1)
    assert desk.postgres._stuck is not None
    assert desk.postgres._stuck.bits == 0


async def test_nobody_waits_for_it_twice(postgres_place: str) -> None:
    """On none of a server's lanes: whoever wants it is refused without having asked for a lock."""
    async with stocked(Desk(postgres_place, lanes=4, lock_timeout_seconds=SHORT)) as desk:
        async with kept(desk, HIGH_SLOT):
            assert failures([await desk.send(order(HIGH))]) == [REFUSED]
            with locked(desk) as seen:
                # The first two go by two lanes.
                answered = await desk.send_all([order(LOW, HIGH), order(HIGH), order(LOW), order(MIDDLE, FAR)])
        assert failures(answered) == [REFUSED, REFUSED, None, None]
        assert {slot for slots in seen for slot in slots} == {LOW_SLOT, 20, 50}


async def test_a_slot_that_is_merely_busy_is_waited_for(postgres_place: str) -> None:
    """Another server's batch has it: though it was stuck a moment ago, nobody is refused."""
    async with (
        stocked(Desk(postgres_place)) as one,
        Desk(postgres_place, one.clock, instants=one.postgres._shared, first_number=1_000_000) as other,
    ):
        assert one.postgres._stuck is not None
        one.postgres._stuck.suspect(SLOTS.all_bits)
        one.postgres._stuck._quiet_seconds = one.postgres._stuck._longest_seconds = NEVER
        with gate(other, "COMMIT") as before_commit:
            first = asyncio.ensure_future(other.send(order(HIGH)))
            await before_commit.reached()
            second = asyncio.ensure_future(one.send(order(LOW, HIGH)))
            await waits_for_a_lock(postgres_place)
            assert not second.done()
        assert failures([await first, await second]) == [None, None]
        assert one.postgres._stuck.bits == 0


async def test_whoever_waits_for_a_stuck_slot_keeps_the_others_only_so_long(desks: tuple[Desk, Desk]) -> None:
    """What a batch has that waits itself is not stuck: it will be given back. Nor is what somebody goes on with, unless
    he takes longer than any batch does."""
    one, other = desks

    async def stuck(quiet_seconds: float, longest_seconds: float) -> dict[int, int | None]:
        locks = SlotLocks(ClockWatch(), None)
        (lane,) = one.postgres._lanes
        return await lane.call(
            lambda connection: locks.stuck(connection, SLOTS.all, quiet_seconds, longest_seconds),
        )

    async with kept(one, HIGH_SLOT) as pid:
        waiting = asyncio.ensure_future(other.send(order(LOW, HIGH)))
        await waits_for_a_lock(one.postgres.url)
        assert await stuck(0, NEVER) == {HIGH_SLOT: pid}
        assert await stuck(NEVER, 0) == {HIGH_SLOT: pid}
        assert await stuck(NEVER, NEVER) == {}
    assert failures([await waiting]) == [None]
    with gate(other, "COMMIT") as before_commit:
        committing = asyncio.ensure_future(other.send(order(LOW, HIGH)))
        await before_commit.reached()
        assert (await stuck(0, NEVER)).keys() == {LOW_SLOT, HIGH_SLOT}
        assert await stuck(NEVER, NEVER) == {}
    await committing
    assert await stuck(0, 0) == {}


async def test_an_order_that_is_named_needs_the_slots_of_all_its_lines(desk: Desk) -> None:
    """Which these are is one read for all requests."""
    spread = [await desk.send(order(LOW, HIGH)) for _ in range(3)]
    near = [await desk.send(order(LOW)) for _ in range(3)]

    def cancel(orders: Collection[Answered]) -> list[Command]:
        return [Cancel(each.reservation_id(), (), CancelReason.CUSTOMER, "") for each in orders]

    async with kept(desk, HIGH_SLOT):
        assert failures(await desk.send_all(cancel([spread[0], near[0]]))) == [REFUSED, None]
        with desk.statements() as of_one:
            await desk.send_all(cancel([spread[0]]))
        with desk.statements() as of_many:
            answered = await desk.send_all(cancel(spread))
        assert failures(answered) == [REFUSED] * 3
        assert len(of_many) == len(of_one)
        assert failures(await desk.send_all(cancel([*spread, *near[1:]]))) == [REFUSED] * 3 + [None] * 2
    assert failures(await desk.send_all(cancel(spread))) == [None] * 3


async def test_what_is_due_beside_it_is_blocked(desk: Desk) -> None:
    """A lease over both slots has ended: nothing can be decided beside its lines before it is. The rest can."""
    await desk.send(order(LOW, HIGH, ttl=SECOND))
    await desk.send(order(MIDDLE, LOW, ttl=SECOND))
    desk.clock.advance(timedelta(seconds=1))
    async with kept(desk, HIGH_SLOT):
        answered = await desk.send_all([order(LOW), order(FAR), order(MIDDLE)])
        assert failures(answered) == [REFUSED, None, REFUSED]
    assert failures(await desk.send_all([order(LOW), order(MIDDLE)])) == [None, None]
    assert [held(desk, sku) for sku in (LOW, MIDDLE, HIGH)] == [1, 1, 0]


async def test_a_batch_that_is_led_on_and_on_takes_all_slots_but_that(desk: Desk) -> None:
    """One thing is due beside another: the third time it takes whatever it can have."""
    for two in ((LOW, MIDDLE), (MIDDLE, FAR), (FAR, FARTHER)):
        await desk.send(order(*two, ttl=SECOND))
    desk.clock.advance(timedelta(seconds=1))
    async with kept(desk, HIGH_SLOT):
        assert failures([await desk.send(order(HIGH))]) == [REFUSED]
        with locked(desk) as seen:
            assert failures(await desk.send_all([order(LOW), order(HIGH)])) == [None, REFUSED]
    assert [len(slots) for slots in seen] == [1, 2, 3, 63]
    assert [held(desk, sku) for sku in (LOW, MIDDLE, FAR, FARTHER)] == [1, 0, 0, 0]


async def test_leases_end_by_themselves_where_they_can(desk: Desk) -> None:
    """The others when the slot is free; until then the sweep says so, and waits for nothing."""
    await desk.send(order(LOW, HIGH, ttl=SECOND))
    await desk.send(order(MIDDLE, FAR, ttl=SECOND))
    desk.clock.advance(timedelta(seconds=1))
    async with kept(desk, HIGH_SLOT):
        swept = await desk.committer.sweep()
        assert {each.sku for each in swept.changed} == {MIDDLE, FAR}
        with locked(desk) as seen, pytest.raises(RequestsBlocked):
            await desk.committer.sweep()
        assert [slots for slots in seen if HIGH_SLOT in slots] == [(LOW_SLOT, HIGH_SLOT)], "around it, and only once"
        assert failures([await desk.send(order(FAR))]) == [None]
    assert {each.sku for each in (await desk.committer.sweep()).changed} == {LOW, HIGH}
    assert [held(desk, sku) for sku in (LOW, MIDDLE, HIGH, FAR)] == [0, 0, 0, 1]


async def test_a_policy_needs_all_slots_and_holds_nobody_up(desk: Desk) -> None:
    """It is refused, and what was sent with it goes on."""
    policy = SetPolicy(Policy(levels=(Level("channel", ("shop",)),)), 1)
    async with kept(desk, HIGH_SLOT):
        for _ in range(2):
            assert failures(await desk.send_all([order(LOW), policy, order(LOW)])) == [None, REFUSED, None]
    assert failures([await desk.send(policy)]) == [None]


async def test_what_a_till_says_is_blocked_where_it_leads_to_the_slot(desk: Desk) -> None:
    """As the end of a full count, for it may zero any key. A figure of another key is taken, and orders are."""
    await desk.send(SetPolicy(Policy(locations=TILL_LOCATIONS), 1))
    await desk.send(facts(*(till_figure(10, 1, sku=sku) for sku in (LOW, HIGH))))
    count = facts(count="c", begin=CountBegin(EAST, "", Mark(0, 2)), end=CountEnd(0, True))
    figure_beside = facts(till_figure(9, 2, sku=LOW))
    async with kept(desk, HIGH_SLOT):
        for _ in range(2):
            answered = await desk.send_all([count, figure_beside, order(LOW)])
            assert failures(answered) == [REFUSED, None, None]
    assert failures([await desk.send(count)]) == [None]


async def test_bookings_of_an_order_by_its_number_are_blocked_with_its_lines(desk: Desk) -> None:
    """No slot is named by the number; where the order lies is found while the batch is loaded."""
    await desk.send(SetPolicy(Policy(locations=TILL_LOCATIONS), 1))
    await desk.send(facts(*(till_figure(10, 1, sku=sku) for sku in (LOW, HIGH))))
    await sold(desk, "web-1", 1, sku=HIGH)
    async with kept(desk, HIGH_SLOT):
        booking = facts(booked("web-1", (2, 1), location=EAST))
        for _ in range(2):
            assert failures(await desk.send_all([booking, order(LOW)])) == [REFUSED, None]
    assert failures([await desk.send(booking)]) == [None]


async def test_forgetting_takes_no_slot_while_one_is_stuck(postgres_place: str) -> None:
    """It would wait for it, and have others that are waited for."""
    async with stocked(Desk(postgres_place, lock_timeout_seconds=SHORT)) as desk:
        desk.clock.advance(timedelta(days=400))
        async with kept(desk, HIGH_SLOT):
            with pytest.raises(StoreUnavailable):
                await desk.prune()
            with locked(desk) as seen:
                assert await desk.postgres.prune() == 0
            assert seen == []
        assert await desk.prune()


async def test_a_batch_that_was_cut_short_may_have_waited_for_it(postgres_place: str) -> None:
    """Where a lock is waited for longer than a batch may take: all of that batch fails, and of the next what needs the
    slot."""
    async with stocked(Desk(postgres_place)) as desk:
        (lane,) = desk.postgres._lanes
        assert desk.postgres._stuck is not None
        desk.postgres._stuck._quiet_seconds = 0
        # Slots are locked in their order: nothing but its wait is left of the batch that was cut.
        async with kept(desk, HIGH_SLOT):
            patience, lane._longest_seconds = lane._longest_seconds, SHORT
            assert failures(await desk.send_all([order(FAR), order(HIGH)])) == [REFUSED] * 2
            lane._longest_seconds = patience
            assert failures(await desk.send_all([order(FAR), order(HIGH)])) == [None, REFUSED]
        # The wait that was left may last for a moment more.
        desk.postgres._stuck._quiet_seconds = NEVER
        assert failures(await desk.send_all([order(FAR), order(HIGH)])) == [None] * 2


async def test_a_transaction_of_which_nothing_can_be_seen_is_no_batch(
    postgres_server: PostgresServer, postgres_place: str
) -> None:
    """An administrator's: servers see what each other's do, and nothing of others."""
    name = postgres_place.rpartition("/")[2]
    role = f"server_{name}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'", database=name)
    postgres_server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", database=name)
    place = f"postgresql://{role}:{role}@{postgres_place.rpartition('@')[2]}"
    try:
        async with stocked(Desk(place, lock_timeout_seconds=SHORT)) as desk:
            assert desk.postgres._stuck is not None
            desk.postgres._stuck._quiet_seconds = desk.postgres._stuck._longest_seconds = NEVER
            async with kept(desk, HIGH_SLOT, url=postgres_place):
                assert failures(await desk.send_all([order(LOW), order(HIGH)])) == [None, REFUSED]
    finally:
        postgres_server.execute(f"DROP OWNED BY {role}", database=name)
        postgres_server.execute(f"DROP ROLE {role}", database=name)


async def test_a_table_that_is_locked_is_a_store_that_is_away(desk: Desk) -> None:
    """No slot is to blame: all are refused, and served when it is over."""
    connection = await connect_to(desk.postgres.url, PATIENT, application="a prompt", statement_timeout=False)
    try:
        await connection.execute("BEGIN; LOCK TABLE slot_state")
        assert failures(await desk.send_all([order(LOW), order(HIGH)])) == [REFUSED] * 2
    finally:
        await connection.close()
    assert failures(await desk.send_all([order(LOW), order(HIGH)])) == [None] * 2


async def test_a_wait_that_somebody_cancels_is_begun_anew(postgres_server: PostgresServer, postgres_place: str) -> None:
    """Nobody is refused for it: PostgreSQL gives it the state of a statement that ran out of time, and the slot is not
    stuck."""
    async with stocked(Desk(postgres_place)) as desk:
        assert desk.postgres._stuck is not None
        desk.postgres._stuck._quiet_seconds = desk.postgres._stuck._longest_seconds = NEVER
        with locked(desk) as seen:
            async with kept(desk, HIGH_SLOT):
                waiting = asyncio.ensure_future(desk.send(order(HIGH)))
                await waits_for_a_lock(postgres_place)
                postgres_server.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    f"AND application_name = '{WRITER}' AND datname = current_database()",
                    database=postgres_place.rpartition("/")[2],
                )
                await assert_eventually_async(lambda: len(seen) == 2)
        assert failures([await waiting]) == [None]


async def test_a_slot_that_came_free_is_had_by_the_next_try(desk: Desk) -> None:
    """Between a wait in vain and the look for its reason."""
    async with kept(desk, HIGH_SLOT) as pid:
        engine = desk.postgres._engine
        assert engine is not None
        ended = False

        def end(text: str, _: Any, __: bool) -> None:
            nonlocal ended
            if "pg_locks" in text and not ended:
                ended = True
                desk.execute(f"SELECT pg_terminate_backend({pid}, 60000)")

        with watched(engine.sync_engine, end):
            assert failures([await desk.send(order(LOW, HIGH))]) == [None]
    assert ended


async def test_distributed_slots_are_refused_alike(postgres_place: str) -> None:
    """Where nobody can say who has a slot: while it is not to be had, and only what needs it."""
    async with stocked(Desk(postgres_place, distributed=True, lock_timeout_seconds=SHORT)) as desk:
        async with kept(desk, HIGH_SLOT):
            for _ in range(2):
                answered = await desk.send_all([order(LOW), order(HIGH), order(LOW, HIGH), order(HIGH)])
                assert failures(answered) == [None, REFUSED, REFUSED, REFUSED]
        assert failures(await desk.send_all([order(HIGH), order(LOW, HIGH)])) == [None, None]
