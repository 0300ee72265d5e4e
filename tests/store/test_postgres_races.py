"""Two servers on one PostgreSQL database, stopped where it hurts: whatever they do at once, one of them did first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.committer import Failure
from ringfence_server.ledger.commands import (
    Allocate,
    Cancel,
    CancelReason,
    Command,
    ConsumeDirect,
    SetPolicy,
)
from ringfence_server.ledger.outcomes import (
    Cancelled,
    Consumed,
    Insufficient,
    OrderReferenceInUse,
    PoolsChanged,
    QuotasInUse,
    RequestIdReused,
    Reserved,
)
from ringfence_server.ledger.policy import Level, Policy
from ringfence_server.store.driver import PostgresConnection
from ringfence_server.store.instants import SharedInstants
from tests.ledger.world import figure, line, quota
from tests.store.audit import audit
from tests.store.desk import Desk, post, reserve
from tests.store.gates import gate, intercepted, waits_for_a_lock
from tests.store.two_slots import HIGH, LOW, held
from tests.store.watching import watched

pytestmark = pytest.mark.postgres

SECOND = 1_000_000


@pytest.fixture
async def desks(desks: tuple[Desk, Desk]) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two servers whose books add up in the end."""
    yield desks
    desks[0].look(lambda connection: audit(connection, Policy()))


async def test_the_last_unit_goes_to_one_of_two_servers(desks: tuple[Desk, Desk]) -> None:
    """The second decides when the first is committed, on what it left."""
    one, other = desks
    all_of_them = reserve(line("", 10, sku=LOW))
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(all_of_them))
        await before_commit.reached()
        second = asyncio.ensure_future(other.send(all_of_them))
        await waits_for_a_lock(one.postgres.url)
        assert not second.done()
    assert isinstance((await first).decision, Reserved)
    assert isinstance((await second).decision, Insufficient)
    assert held(one, LOW) == 10


async def test_stock_of_another_slot_waits_for_nobody(desks: tuple[Desk, Desk]) -> None:
    """While one server is about to commit, another one sells something else."""
    one, other = desks
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(reserve(line("", 1, sku=LOW))))
        await before_commit.reached()
        assert isinstance((await other.send(reserve(line("", 1, sku=HIGH)))).decision, Reserved)
        assert not first.done()
    assert isinstance((await first).decision, Reserved)


async def test_one_id_on_two_servers_has_one_outcome(desks: tuple[Desk, Desk]) -> None:
    """The copy that comes second is answered with the bytes of the first, marked as a repeat."""
    one, other = desks
    request_id, command = one.new_id(), reserve(line("", 3, sku=LOW))
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(command, request_id=request_id))
        await before_commit.reached()
        second = asyncio.ensure_future(other.send(command, request_id=request_id))
        await waits_for_a_lock(one.postgres.url)
    a, b = (await first).answer, (await second).answer
    assert (a.replayed, b.replayed) == (False, True)
    assert a.payload == b.payload
    assert held(one, LOW) == 3


async def test_one_id_with_two_commands_of_different_slots_has_one_outcome(desks: tuple[Desk, Desk]) -> None:
    """No slot keeps them apart: the second runs into the first one's row, takes back what it did, and decides again."""
    one, other = desks
    request_id = one.new_id()
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(reserve(line("", 1, sku=LOW)), request_id=request_id))
        await before_commit.reached()
        second = asyncio.ensure_future(
            other.send(reserve(line("", 1, sku=HIGH)), request_id=request_id, fingerprint=b"another one")
        )
        await waits_for_a_lock(one.postgres.url)
    assert isinstance((await first).decision, Reserved)
    assert isinstance((await second).decision, RequestIdReused)
    assert (held(one, LOW), held(one, HIGH)) == (1, 0)


async def test_two_ids_in_opposite_order_are_no_deadlock(desks: tuple[Desk, Desk]) -> None:
    """Outcomes are inserted in the order of their keys, whatever the order of the requests."""
    one, other = desks
    ids = [one.new_id(), one.new_id()]

    async def both(desk: Desk, sku: str, order: list[bytes]) -> list[Any]:
        command = reserve(line("", 1, sku=sku))
        return list(await asyncio.gather(*(desk.submit(command, request_id=each) for each in order)))

    inserted: list[list[tuple[int, bytes]]] = []

    def note(text: str, parameters: Any, _: bool) -> None:
        if text.startswith("INSERT INTO request_outcome "):
            inserted.append(list(zip(parameters[0], parameters[1], strict=True)))

    assert one.postgres._engine is not None
    with watched(one.postgres._engine.sync_engine, note), gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(both(one, LOW, ids))
        await before_commit.reached()
        second = asyncio.ensure_future(both(other, HIGH, ids[::-1]))
        await waits_for_a_lock(one.postgres.url)
    answers = [*(await first), *(await second)]
    assert [each.answer.failure for each in answers] == [None] * 4
    assert (held(one, LOW), held(one, HIGH)) == (2, 0)
    assert len(inserted) >= 2
    assert all(keys == sorted(keys) and len(keys) == 2 for keys in inserted)


async def test_an_order_reference_names_one_reservation_on_two_servers(desks: tuple[Desk, Desk]) -> None:
    """The second sale under one reference is refused, though it is of another slot."""
    one, other = desks

    def sale(sku: str) -> ConsumeDirect:
        return ConsumeDirect((line("", 1, sku=sku, line_id="1"),), "", False, "O-1", b"")

    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(sale(LOW)))
        await before_commit.reached()
        second = asyncio.ensure_future(other.send(sale(HIGH)))
        await waits_for_a_lock(one.postgres.url)
    assert isinstance((await first).decision, Consumed)
    assert isinstance((await second).decision, OrderReferenceInUse)


async def test_an_order_that_was_not_there_a_moment_ago_is_locked_whole(desks: tuple[Desk, Desk]) -> None:
    """Which slots an order touches is read before they are locked: when the locks show more, all of them are taken."""
    one, other = desks
    made: list[bytes] = []
    assert one.postgres._engine is not None

    def note(text: str, parameters: Any, _: bool) -> None:
        if "INSERT INTO reservation " in text:
            # The one statement of what is sold: of all that it carries only ids are of 16 bytes.
            made.extend(id for array in parameters for id in array if isinstance(id, bytes) and len(id) == 16)

    with watched(one.postgres._engine.sync_engine, note), gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(reserve(line("", 2, sku=LOW), line("", 3, sku=HIGH))))
        await before_commit.reached()
        with other.statements() as seen:
            second = asyncio.ensure_future(other.send(Cancel(made[0], (), CancelReason.CUSTOMER, "")))
            await waits_for_a_lock(one.postgres.url)
            before_commit.open()
            assert isinstance((await second).decision, Cancelled)
    assert isinstance((await first).decision, Reserved)
    assert [text for text, _ in seen].count("BEGIN") == 2, "once with the order's own slot, once with all of it"
    assert (held(one, LOW), held(one, HIGH)) == (0, 0)


async def test_a_lease_over_two_slots_ends_with_the_first_of_them_that_is_touched(desks: tuple[Desk, Desk]) -> None:
    """A decision on one of its keys finds it, and takes the other's slot as well."""
    one, other = desks
    await one.send(reserve(line("", 10, sku=LOW), line("", 10, sku=HIGH), ttl=SECOND))
    one.clock.advance(timedelta(seconds=1))
    assert isinstance((await other.send(reserve(line("", 4, sku=HIGH)))).decision, Reserved)
    assert (held(one, LOW), held(one, HIGH)) == (0, 4)


async def test_two_sweeps_end_a_lease_once_and_wait_for_nobody(desks: tuple[Desk, Desk]) -> None:
    """A slot that another server has is left to it."""
    one, other = desks
    await one.send(reserve(line("", 4, sku=LOW), ttl=SECOND))
    one.clock.advance(timedelta(seconds=1))
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.committer.sweep())
        await before_commit.reached()
        assert list((await other.committer.sweep()).changed) == []
        assert not first.done()
    assert [key.sku for key in (await first).changed] == [LOW]
    assert one.rows("SELECT count(*) FROM entry WHERE kind = 9") == [(1,)]


async def test_a_policy_takes_no_path_away_that_a_quota_is_just_given_to(desks: tuple[Desk, Desk]) -> None:
    """A change of policy comes after everything that was decided by the old one."""
    one, other = desks
    await one.send(SetPolicy(Policy(levels=(Level("channel", ()),)), 1))
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(Allocate((quota("web", 2, sku=HIGH),))))
        await before_commit.reached()
        second = asyncio.ensure_future(other.send(SetPolicy(Policy(levels=(Level("channel", ("shop",)),)), 2)))
        await waits_for_a_lock(one.postgres.url)
    assert isinstance((await first).decision, PoolsChanged)
    assert isinstance((await second).decision, QuotasInUse)


async def test_revisions_of_a_slot_rise_in_the_order_of_their_commits(desks: tuple[Desk, Desk]) -> None:
    """Who takes a revision and commits late has everybody else of its slot wait: no lower one turns up later."""
    one, other = desks
    with gate(one, "COMMIT") as before_commit:
        first = asyncio.ensure_future(one.send(reserve(line("", 1, sku=LOW))))
        await before_commit.reached()
        for _ in range(3):
            await other.send(reserve(line("", 1, sku=HIGH)))
        second = asyncio.ensure_future(other.send(reserve(line("", 1, sku=LOW), line("", 1, sku=HIGH))))
        await waits_for_a_lock(one.postgres.url)
    await asyncio.gather(first, second)
    early, late = one.told[-1], other.told[-1]
    assert late.revision > early.revision
    assert late.record_time > early.record_time
    assert late.slots == 1 << 3 | 1 << 40
    for slot in (3, 40):
        feed = one.rows(f"SELECT revision, record_time FROM feed WHERE slot = {slot} ORDER BY revision")
        assert [time for _, time in feed] == sorted({time for _, time in feed})


async def test_a_commit_whose_answer_was_lost_is_answered_as_committed(desks: tuple[Desk, Desk]) -> None:
    """The server looks for the outcomes of the batch: they are there, so it took place, and once."""
    one, _ = desks
    lost = 0

    def lose(connection: PostgresConnection, sql: str) -> None:
        nonlocal lost
        if sql == "COMMIT" and not lost:
            lost += 1
            connection.interrupt()
            raise ConnectionResetError("the network broke")

    with intercepted(one, lambda *_: None, lose):
        answered = await one.send_all([reserve(line("", 1, sku=LOW)), reserve(line("", 99, sku=LOW))])
    assert lost == 1
    assert [(each.answer.failure, each.answer.replayed) for each in answered] == [(None, False)] * 2
    assert held(one, LOW) == 1


async def test_a_commit_that_never_arrived_is_decided_again(desks: tuple[Desk, Desk]) -> None:
    """No outcome of it is there, once its locks are free: so nothing happened."""
    one, _ = desks
    lost = 0

    def lose(connection: PostgresConnection, sql: str) -> None:
        nonlocal lost
        if sql == "COMMIT" and not lost:
            lost += 1
            connection.interrupt()
            raise ConnectionResetError("the network broke")

    with intercepted(one, lose):
        answered = await one.send(reserve(line("", 1, sku=LOW)))
    assert (lost, answered.answer.failure, answered.answer.replayed) == (1, None, False)
    assert held(one, LOW) == 1


@pytest.mark.parametrize("fault", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_a_deadlock_or_serialization_failure_is_tried_again(
    desks: tuple[Desk, Desk], fault: type[Exception]
) -> None:
    """A few times, and never told as a shortage; then the store is away."""
    one, _ = desks
    failures = 0
    most = 2

    def fail(_: PostgresConnection, sql: str) -> None:
        nonlocal failures
        if "INSERT INTO entry" in sql and failures < most:
            failures += 1
            raise fault("stand-in")

    with intercepted(one, fail):
        answered = await one.send(reserve(line("", 1, sku=LOW)))
        assert isinstance(answered.decision, Reserved)
        assert failures == 2
        most = 1_000
        answered = await one.send(reserve(line("", 1, sku=LOW)))
        assert answered.answer.failure is Failure.STORE
        assert failures < 20
    assert held(one, LOW) == 1


async def test_many_clients_and_hot_keys_are_no_deadlock(postgres_place: str) -> None:
    """64 clients of four servers order 1 to 20 lines of 40 SKUs each, cancel some, and never stand in a circle."""
    clock = ManualClock()
    instants = SharedInstants(clock)
    desks = [Desk(postgres_place, clock, instants=instants, first_number=each * 1_000_000) for each in range(4)]
    skus = [f"HOT-{number}" for number in range(40)]
    chance = random.Random(7)
    for desk in desks:
        await desk.__aenter__()
    try:
        await desks[0].send(post(*(figure(10_000, "on_hand", sku=sku) for sku in skus)))

        async def client(desk: Desk) -> None:
            for _ in range(4):
                lines = [line("", 1, sku=sku) for sku in chance.sample(skus, chance.randint(1, 20))]
                order = await desk.send(reserve(*lines))
                assert isinstance(order.decision, Reserved), order
                if chance.random() < 0.5:
                    command: Command = Cancel(order.reservation_id(), (), CancelReason.CUSTOMER, "")
                    assert isinstance((await desk.send(command)).decision, Cancelled)

        await asyncio.gather(*(client(desks[number % 4]) for number in range(64)))
        name = postgres_place.rpartition("/")[2]
        assert desks[0].rows(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'") == [(0,)]
        desks[0].look(lambda connection: audit(connection, Policy()))
    finally:
        for desk in desks:
            await desk.__aexit__(None, None, None)
