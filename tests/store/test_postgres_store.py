"""PostgreSQL as a store: what it sends, what its tables refuse, whose clock it goes by, what it says when it cannot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ringfence.testing import PostgresServer, assert_eventually_async
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
from ringfence_server.store import migrate, postgres
from ringfence_server.store.connect import READER, WRITER, PostgresOptions, connect_to
from ringfence_server.store.errors import translated
from ringfence_server.store.migrate import upgrade_postgres
from ringfence_server.store.postgres import PostgresStore
from ringfence_server.store.roles import refuse_unseen_roles
from ringfence_server.store.suitable import unsuitable
from tests.ledger.world import figure, line, quota
from tests.patience import PATIENT
from tests.store.broken_rows import BROKEN
from tests.store.desk import Desk, post, reserve
from tests.store.gates import intercepted
from tests.store.plans import postgres_plans, walks
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
    found = postgres_plans(desk, await _sent(desk))
    assert len(found) > 20
    assert walks(found) == {}
    (due,) = {plan for text, plan in found.items() if "expire_time <= " in text and "LIMIT 1000" in text}
    assert "ix_part_due" in due


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
    found = await asyncio.gather(*(upgrade_postgres(postgres_url, PATIENT) for _ in range(3)))
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


async def test_a_database_that_takes_no_writes_is_noticed(postgres_server: PostgresServer, postgres_place: str) -> None:
    """When a server starts, and when one that runs connects anew, as after a primary has become a replica: it is away
    until it takes them again."""
    name = postgres_place.rpartition("/")[2]
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ringfence-writer'"
    ended += f" AND datname = '{name}'"
    async with Desk(postgres_place) as desk:
        await desk.send(post(figure(10, "on_hand")))
        postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailable, match=f"/{name} cannot be opened: the database takes no writes"):
            await PostgresStore(postgres_place, PATIENT).open()
        postgres_server.execute(ended, database=name)
        with pytest.raises(StoreUnavailable):
            await desk.postgres.next_due()
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await desk.postgres.next_due()
        postgres_server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert await desk.postgres.next_due() is None
        assert (await desk.send(HOLD)).answer.failure is None


async def test_a_database_that_cannot_write_all_names_is_refused(postgres_server: PostgresServer) -> None:
    """Its encoding cannot be changed later; nothing is made in it."""
    postgres_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = postgres_server.url("latin")
    try:
        with pytest.raises(StoreUnavailable, match="encoding is LATIN1: it must be UTF8"):
            await upgrade_postgres(url, PATIENT)
        assert postgres_server.execute("SELECT to_regclass('slot_state')", database="latin") == [(None,)]
    finally:
        postgres_server.drop_database(url)


async def test_a_server_that_freezes_loses_its_locks_soon(postgres_place: str) -> None:
    """PostgreSQL ends a batch that says nothing for twice as long as a statement may take; others wait for its slots.
    Reads lock nothing and have more time."""
    idle = {}
    for application in (WRITER, READER):
        connection = await connect_to(
            postgres_place, PostgresOptions(connect_timeout_seconds=60), application=application
        )
        idle[application] = await connection.fetchval("SHOW idle_in_transaction_session_timeout")
        await connection.close()
    assert idle == {WRITER: "5s", READER: "25s"}


@pytest.fixture
def stores_of_two_roles(
    postgres_server: PostgresServer, postgres_place: str
) -> Iterator[tuple[PostgresStore, PostgresStore]]:
    """Two servers' stores of one database. Neither role sees what the other's connections do."""
    name = postgres_place.rpartition("/")[2]
    place = postgres_place.rpartition("@")[2]
    roles = "one_" + name, "other_" + name
    for role in roles:
        postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'", database=name)
        postgres_server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", database=name)
    one, other = (PostgresStore(f"postgresql://{role}:{role}@{place}", PATIENT) for role in roles)
    yield one, other
    for role in roles:
        postgres_server.execute(f"DROP OWNED BY {role}", database=name)
        postgres_server.execute(f"DROP ROLE {role}", database=name)


async def test_servers_that_do_not_see_one_another_are_not_started(
    postgres_server: PostgresServer, postgres_place: str, stores_of_two_roles: tuple[PostgresStore, PostgresStore]
) -> None:
    """Reads need to see all writers' transactions: one of another role would fail those of all servers. With
    pg_read_all_stats a role sees all."""
    name = postgres_place.rpartition("/")[2]
    one, other = stores_of_two_roles
    try:
        await one.open()
        with pytest.raises(StoreUnavailable, match=f"connects as the role one_{name}: give all servers one role"):
            await other.open()
        postgres_server.execute(f"GRANT pg_read_all_stats TO other_{name}")
        with pytest.raises(StoreUnavailable, match="connects as the role"):
            await other.open()
        postgres_server.execute(f"GRANT pg_read_all_stats TO one_{name}")
        await other.open()
    finally:
        await one.close()
        await other.close()


async def test_nor_are_both_of_them_when_they_start_at_once(
    postgres_server: PostgresServer,
    postgres_place: str,
    stores_of_two_roles: tuple[PostgresStore, PostgresStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither meets the other when it looks first. Whoever looks again when the other writes, too, withdraws."""
    name = postgres_place.rpartition("/")[2]
    both_looked = asyncio.Barrier(2)
    looks: list[str] = []

    async def look(url: str, options: PostgresOptions) -> None:
        await refuse_unseen_roles(url, options)
        looks.append(url)
        if looks.count(url) == 1:
            await both_looked.wait()

    monkeypatch.setattr(postgres, "refuse_unseen_roles", look)
    try:
        opened = await asyncio.gather(*(store.open() for store in stores_of_two_roles), return_exceptions=True)
        refused = [role for role, result in zip(("one", "other"), opened, strict=True) if result is not None]
        assert refused
        assert all("give all servers one role" in str(result) for result in opened if result is not None)

        async def withdrawn() -> bool:
            query = f"SELECT usename FROM pg_stat_activity WHERE application_name = '{WRITER}' AND datname = '{name}'"
            return not {f"{role}_{name}" for role in refused} & {role for (role,) in postgres_server.execute(query)}

        await assert_eventually_async(withdrawn)
    finally:
        for store in stores_of_two_roles:
            await store.close()


def test_what_no_database_may_be() -> None:
    """Too old, or of an encoding that cannot write all names."""
    assert unsuitable(150_004, "15.4", "UTF8") == unsuitable(130_000, "13.0", "UTF8") == []
    old, encoding = unsuitable(120_017, "12.17", "SQL_ASCII")
    assert old == "PostgreSQL 12.17 is too old: 13 or newer"
    assert encoding.startswith("the database's encoding is SQL_ASCII: it must be UTF8")


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
