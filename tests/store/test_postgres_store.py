"""PostgreSQL as a store: what it sends, what its tables refuse, whose clock it goes by, what it says when it cannot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util import await_only

from ringfence.testing import PostgresServer
from ringfence_server.clock import ClockWatch
from ringfence_server.committer import Failure
from ringfence_server.ledger.commands import (
    Allocate,
    Cancel,
    CancelReason,
    Command,
    Consume,
    ConsumeDirect,
    LineQuantity,
    UpdateReservation,
)
from ringfence_server.ledger.work import BatchRejected, StoreUnavailable
from ringfence_server.store import migrate
from ringfence_server.store.connect import PostgresOptions
from ringfence_server.store.errors import translated
from ringfence_server.store.lane import PLANNER
from ringfence_server.store.migrate import upgrade_postgres
from ringfence_server.store.postgres import PostgresStore
from tests.ledger.world import figure, line, quota
from tests.store.desk import Desk, post, reserve
from tests.store.gates import intercepted
from tests.store.test_write_durability import BROKEN
from tests.store.watching import watched

pytestmark = pytest.mark.postgres

HOLD = reserve(line("", 1))
SECOND = 1_000_000


@pytest.fixture
async def desk(postgres_place: str) -> AsyncIterator[Desk]:
    """A store with a thousand bikes and a thousand lamps."""
    async with Desk(postgres_place) as desk:
        await desk.send(post(figure(1_000, "on_hand"), figure(1_000, "on_hand", sku="LAMP")))
        yield desk


@pytest.mark.parametrize("name", list(BROKEN))
async def test_the_database_refuses_a_broken_row(desk: Desk, name: str) -> None:
    """The invariants stand in these tables as in SQLite's."""
    await desk.send(HOLD)
    # Two keys of one name must meet in one slot to be found out.
    broken = BROKEN[name] + (", slot = 0" if name == "uq_stock" else "")
    with pytest.raises(IntegrityError) as refused:
        desk.execute(broken)
    assert isinstance(translated(refused.value), BatchRejected)


async def test_a_broken_row_fails_the_request_that_caused_it_and_no_other(desk: Desk) -> None:
    """The batch is halved until the culprit stands alone."""
    broken = await desk.send(reserve(line("", 1, sku="LAMP")))
    await desk.tamper("UPDATE stock SET promised = 0, supply = supply - promised WHERE sku = 'LAMP'")
    cancel = Cancel(broken.reservation_id(), (), CancelReason.CUSTOMER, "")
    answered = await desk.send_all([HOLD, HOLD, cancel, HOLD, HOLD])
    assert [each.answer.failure for each in answered] == [None, None, Failure.INTERNAL, None, None]
    assert desk.rows("SELECT sum(held) FROM pool JOIN stock USING (slot, stock_id) WHERE sku = 'BIKE'") == [(4,)]


async def test_a_number_that_no_column_takes_fails_its_request_alone(desk: Desk) -> None:
    """It fails in the driver, before it is sent."""
    await desk.tamper(f"UPDATE stock SET supply = {2**63 - 1} WHERE sku = 'LAMP'")
    commands: list[Command] = [HOLD, HOLD, post(figure(2_000, "on_hand", sku="LAMP")), HOLD]
    answered = await desk.send_all(commands)
    assert [each.answer.failure for each in answered] == [None, None, Failure.INTERNAL, None]


def _many(count: int) -> list[Command]:
    return [reserve(line("web", 1, sku=f"SKU-{number % 300}")) for number in range(count)]


async def test_a_batch_sends_as_many_statements_whatever_it_carries(desk: Desk) -> None:
    """A lone command and five hundred over all slots."""
    await desk.send(post(*(figure(1_000, "on_hand", sku=f"SKU-{number}") for number in range(300))))
    await desk.send(Allocate(tuple(quota("web", 900, sku=f"SKU-{number}") for number in range(300))))
    counts = []
    for count in (1, 500):
        with desk.statements() as seen:
            answered = await desk.send_all(_many(count))
        assert {each.answer.refusal for each in answered} == {False}
        assert [text for text, _ in seen].count("BEGIN") == 1
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 11


async def _sent(desk: Desk) -> dict[str, Any]:
    """Everything that batches send, with some parameters of it."""
    sent: dict[str, Any] = {}
    assert desk.postgres._engine is not None
    with watched(desk.postgres._engine.sync_engine, lambda text, values, _: sent.__setitem__(text, values)):
        lines = [line("", 1), line("", 1, sku="LAMP")]
        orders = [await desk.send(reserve(*lines, ttl=SECOND)) for _ in range(3)]
        ids = [order.reservation_id() for order in orders]
        commands: Sequence[Command] = (
            Consume(ids[0], (), False, None, "O-1", b""),
            UpdateReservation(ids[1], 0, (LineQuantity("1", 3),), None, None),
            ConsumeDirect((line("", 1, line_id="1"),), "", False, "O-2", b""),
            Allocate((quota("web", 5),)),
            post(figure(900, "on_hand"), figure(1, "on_hand", sku="NEW")),
            reserve(line("", 10**9)),
            reserve(line("", 10**9)),
        )
        for command in commands:
            await desk.send(command)
        desk.clock.advance(timedelta(seconds=2))
        await desk.committer.sweep()
        await desk.postgres.next_due()
    return sent


async def test_no_statement_walks_a_table(desk: Desk) -> None:
    """Each finds its rows by an index, with plans made while the tables are all but empty."""
    sent = [text for text in await _sent(desk) if text.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")]
    assert len(sent) > 20

    def plan(raw: Any, text: str) -> str:
        nothing = ", ".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", text)), default=0))
        await_only(raw.execute(f"PREPARE seen AS {text}"))
        found = await_only(raw.fetch(f"EXPLAIN EXECUTE seen({nothing})".replace("()", "")))
        await_only(raw.execute("DEALLOCATE seen"))
        return "\n".join(row[0] for row in found)

    def plans(connection: Connection) -> dict[str, str]:
        adapted: Any = connection.connection.dbapi_connection
        await_only(adapted.driver_connection.execute(PLANNER))
        return {text: plan(adapted.driver_connection, text) for text in sent}

    found = desk.look(plans)
    assert {text: plan for text, plan in found.items() if "Seq Scan" in plan or "Disabled: true" in plan} == {}
    keyed = re.compile(r"Index Cond: \(\(?slot = ")
    assert all(keyed.search(plan) for plan in found.values() if "Index Scan" in plan or "Index Only Scan" in plan)
    (due,) = {plan for text, plan in found.items() if "expire_time <= " in text and "LIMIT 1000" in text}
    assert "ix_part_due" in due


async def test_batches_go_by_the_clock_of_the_database(postgres_place: str, postgres_server: PostgresServer) -> None:
    """Not by the server's, which may be another machine's: of two servers both read one clock."""
    name = postgres_place.rpartition("/")[2]

    def clock() -> int:
        now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        ((microseconds,),) = postgres_server.execute(now, database=name)
        return int(microseconds)

    async with Desk(postgres_place) as desk:
        wrong = desk.clock.now()
    store = PostgresStore(postgres_place)
    await store.open()
    try:
        desk.clock.advance(timedelta(microseconds=clock() - wrong))
        desk.any_store = store
        from ringfence_server.committer import Committer

        desk.committer = Committer(store)
        desk.committer.start()
        before = clock()
        first = await desk.send(post(figure(1_000, "on_hand")))
        second = await desk.send(reserve(line("", 1), ttl=SECOND))
        after = clock()
        assert before <= first.answer.server_time <= second.answer.server_time <= after
        times = desk.rows("SELECT record_time FROM entry ORDER BY sequence")
        assert [time for (time,) in times] == [first.answer.server_time, second.answer.server_time]
        assert await store.next_due() == second.answer.server_time + SECOND
        await desk.committer.drain()
    finally:
        await store.close()


async def test_no_lease_ends_while_the_database_s_clock_is_in_doubt(desk: Desk) -> None:
    """An hour that this machine saw nothing of: the hold stays, until the clocks agree again."""
    store, now = desk.postgres, desk.clock.now()
    await desk.send(reserve(line("", 1), ttl=SECOND))
    desk.clock.advance(timedelta(hours=1))
    held = "SELECT sum(held) FROM pool"
    watch = ClockWatch(now)
    for lane in store._lanes:
        lane.transactor._due_until = watch.judged
    await desk.send(HOLD)
    assert (watch.in_doubt, desk.rows(held)) == (True, [(2,)])
    for lane in store._lanes:
        lane.transactor._due_until = ClockWatch(desk.clock.now()).judged
    await desk.send(HOLD)
    assert desk.rows(held) == [(2,)], "the first is over, two are held"


async def test_a_store_that_is_not_there_says_so_in_a_line(unused_tcp_port: int) -> None:
    """Without the password of its URL."""
    store = PostgresStore(f"postgresql+asyncpg://me:secret@127.0.0.1:{unused_tcp_port}/ringfence")
    with pytest.raises(StoreUnavailable) as refused:
        await store.open()
    assert re.fullmatch(
        rf"the database postgresql\+asyncpg://127.0.0.1:{unused_tcp_port}/ringfence cannot be opened: "
        "the database cannot be reached: .*",
        str(refused.value),
    )
    await store.close()


async def test_two_servers_that_start_at_once_migrate_once(postgres_url: str) -> None:
    """One waits for the other, and both find 64 slots."""
    found = await asyncio.gather(*(upgrade_postgres(postgres_url, PostgresOptions()) for _ in range(3)))
    assert [slots.count for slots in found] == [64] * 3


async def test_a_database_of_a_newer_version_is_left_alone(postgres_place: str) -> None:
    """A server of the old version says which one is needed."""
    async with Desk(postgres_place) as desk:
        desk.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match=f"is at revision 9999, this version knows up to {migrate.HEAD}"):
        await PostgresStore(postgres_place).open()


async def test_slots_that_are_missing_are_noticed(postgres_place: str) -> None:
    """Their number says where everything lies: a store that lost some must not be written."""
    async with Desk(postgres_place) as desk:
        assert desk.postgres.slots.count == 64
        desk.execute("DELETE FROM slot_state WHERE slot = 3")
    with pytest.raises(StoreUnavailable, match="slot_state is damaged"):
        await PostgresStore(postgres_place).open()


async def test_a_connection_that_was_ended_is_opened_anew(desk: Desk) -> None:
    """Between batches, and in the midst of one: nothing of that one happened."""
    desk.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ringfence-writer'")
    assert (await desk.send(HOLD)).answer.failure in (None, Failure.STORE)
    assert (await desk.send(HOLD)).answer.failure is None
    held = desk.rows("SELECT sum(held) FROM pool")
    ended = False

    def end(connection: Any, sql: str) -> None:
        nonlocal ended
        if "INSERT INTO entry" in sql and not ended:
            ended = True
            connection.interrupt()

    with intercepted(desk, end):
        refused = await desk.send(HOLD)
    assert (ended, refused.answer.failure) == (True, Failure.STORE)
    assert desk.rows("SELECT sum(held) FROM pool") == held
    assert (await desk.send(HOLD, request_id=refused.request_id)).answer.failure is None
