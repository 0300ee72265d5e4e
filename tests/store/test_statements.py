"""What a batch sends to the database: how many statements, that each names its slot, and that none walks a table."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import sqlite

from ringfence_server.ledger.commands import (
    Allocate,
    Cancel,
    CancelReason,
    Command,
    Consume,
    ConsumeDirect,
    LineQuantity,
    PostStock,
    Reallocate,
    SetPolicy,
    Unallocate,
    UpdateReservation,
)
from ringfence_server.ledger.outcomes import Reserved
from ringfence_server.ledger.policy import MINUTE, Fallback, Location, PathRule, Policy
from ringfence_server.ledger.state import EntryKind
from ringfence_server.store import schema
from ringfence_server.store.driver import DriverConnection
from ringfence_server.store.slots import ONE_SLOT
from ringfence_server.store.sqlite_statements import ListSelect
from ringfence_server.store.statements import SIZES, joined_select, keyed_select
from tests.ledger.world import SOUTH, back, figure, line, quota, shift
from tests.store.audit import audit
from tests.store.desk import Desk, post, reserve
from tests.store.plans import sqlite_plan, sqlite_walks
from tests.store.till_story import TILL_LOCATIONS, till_story
from tests.store.watching import watched

KEYS = 500
POLICY = Policy(
    path_rules=(PathRule("", fallback=Fallback.ANCESTORS),),
    # OWNED traffic sends not one statement more for the tills beside it.
    locations=(Location("north"), Location("south"), *TILL_LOCATIONS),
    location_order=("north", "south"),
    allow_split=True,
)


def sku(number: int) -> str:
    return f"BIKE-{number % KEYS:04}"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A store that knows 500 keys at each of two locations, with quotas, and a policy."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        assert not (await desk.send(SetPolicy(POLICY, 1))).answer.refusal
        for location in ("north", SOUTH):
            figures = [figure(1_000, "on_hand", sku=sku(number), location=location) for number in range(KEYS)]
            assert not (await desk.send(PostStock("wms", tuple(figures)))).answer.refusal
        quotas = tuple(quota("web", 500, sku=sku(number)) for number in range(KEYS))
        assert not (await desk.send(Allocate(quotas))).answer.refusal
        yield desk


async def _count(desk: Desk, commands: Sequence[Command], *, refused: bool | None = False) -> int:
    with desk.statements() as seen:
        answered = await desk.send_all(commands)
    assert not any(each.answer.failure for each in answered)
    assert refused is None or {each.answer.refusal for each in answered} == {refused}
    assert [text for text, _ in seen if text.startswith("BEGIN")] == ["BEGIN IMMEDIATE"], "one batch"
    return len(seen)


async def _orders(desk: Desk, count: int, most: int = KEYS) -> list[bytes]:
    orders = await desk.send_all([reserve(line("web", 2, sku=sku(number % most))) for number in range(count)])
    return [order.reservation_id() for order in orders]


Build = Callable[[int, Sequence[bytes]], Command]
_references = itertools.count(1)
COMMANDS: dict[str, tuple[Build, int]] = {
    "reserve": (lambda number, _: reserve(line("web", 1, sku=sku(number))), 10),
    "reserve, refused": (lambda number, _: reserve(line("web/berlin", 10**9, sku=sku(number))), 5),
    "reserve, sourced": (lambda number, _: reserve(line("web", 2, sku=sku(number), location="")), 10),
    "consume": (lambda number, orders: Consume(orders[number], (), False, None, f"O-{next(_references)}", b""), 15),
    "consume, direct": (
        lambda number, _: ConsumeDirect(
            (line("web", 1, sku=sku(number), line_id="1"),), "", False, f"D-{next(_references)}", b""
        ),
        13,
    ),
    "update": (
        lambda number, orders: UpdateReservation(orders[number], 0, (LineQuantity("1", 3),), None, None),
        12,
    ),
    "cancel": (lambda number, orders: Cancel(orders[number], (), CancelReason.CUSTOMER, ""), 12),
    "allocate": (lambda number, _: Allocate((quota("web", 1, sku=sku(number)),)), 8),
    "unallocate": (lambda number, _: Unallocate((back("web", 1, sku=sku(number)),)), 8),
    "reallocate": (lambda number, _: Reallocate((shift("web", "shop", 1, sku=sku(number)),)), 9),
    "post": (lambda number, _: post(figure(next(_references), "on_hand", sku=sku(number))), 10),
}
NEEDS_ORDERS = {"consume", "update", "cancel"}


@pytest.mark.parametrize("name", list(COMMANDS))
async def test_the_statements_of_a_batch_do_not_grow_with_its_commands(desk: Desk, name: str) -> None:
    """A batch of one command, of ten, of a hundred and of five hundred sends the same number of statements."""
    build, expected = COMMANDS[name]
    counts = {}
    await _count(desk, [reserve(line("web", 1, sku=sku(number), location="")) for number in range(KEYS)])
    for size in (1, 10, 100, 500):
        orders = await _orders(desk, size) if name in NEEDS_ORDERS else ()
        commands = [build(number, orders) for number in range(size)]
        counts[size] = await _count(desk, commands, refused=name == "reserve, refused")
    assert counts == dict.fromkeys(counts, expected)


async def test_a_batch_of_every_kind_of_command_sends_a_fixed_number_of_statements(desk: Desk) -> None:
    """Kinds share their statements: eleven kinds at once cost little more than the dearest alone, however many come."""
    counts = {}
    for each in (1, 10, 45):
        orders = await _orders(desk, 3 * each)
        used = iter(orders)
        commands = [
            build(number, {number: next(used)} if name in NEEDS_ORDERS else ())  # type: ignore[arg-type]
            for name, (build, _) in COMMANDS.items()
            for number in range(each)
        ]
        counts[len(commands)] = await _count(desk, commands, refused=None)
    assert counts == dict.fromkeys(counts, 20)


async def test_a_cold_store_sends_ten_statements_more(desk: Desk) -> None:
    """After a restart: the counters, the policy's revision and text, which ids are new, what is due and what will be
    next, the numbers of the keys, their rows and their pools, the caller's refusals, each for all at once. Then they
    are remembered."""
    commands = [reserve(line("web", 1, sku=sku(number))) for number in range(KEYS)]
    await desk.reopen()
    cold = await _count(desk, commands)
    assert (cold, await _count(desk, commands)) == (20, 10)


async def test_a_batch_of_repeats_loads_no_stock_and_writes_nothing(desk: Desk) -> None:
    """A repeat costs the look at its outcome."""
    request_id = desk.new_id()
    first = await desk.send(reserve(line("web", 1, sku=sku(0))), request_id=request_id)
    with desk.statements() as seen:
        again = await desk.send(reserve(line("web", 1, sku=sku(0))), request_id=request_id)
    assert (again.answer.replayed, again.answer.payload) == (True, first.answer.payload)
    assert [text for text, _ in seen if not text.startswith("SELECT")] == ["BEGIN IMMEDIATE", "ROLLBACK"]
    assert not [text for text, _ in seen if "FROM stock" in text or "JOIN" in text]


@pytest.mark.parametrize("sales", [1, 2, 3, 64, 65, KEYS])
async def test_rows_of_one_kind_are_written_by_one_call(desk: Desk, sales: int) -> None:
    """Five hundred sales are five hundred entries in one statement over a padded list, and what pads it is nowhere."""
    with desk.statements() as seen:
        await desk.send_all([reserve(line("web", 1, sku=sku(number))) for number in range(sales)])
    written = Counter(text.split()[2] for text, _ in seen if text.startswith("INSERT"))
    assert written == dict.fromkeys(("entry", "reservation", "part", "request_outcome", "feed", "slot_state"), 1)
    sold = (schema.entry.c.kind == EntryKind.RESERVE, schema.reservation.c.slot == 0, schema.part.c.slot == 0)
    with desk.connection() as connection:
        for condition in sold:
            assert connection.scalar(select(func.count()).where(condition)) == sales
        for table in schema.metadata.sorted_tables:
            assert connection.scalar(select(func.count()).where(table.c.slot < 0)) == 0
        audit(connection, POLICY)


async def test_more_rows_than_a_statement_takes_are_written_by_several(desk: Desk) -> None:
    """An order of 2,000 lines is two statements over the parts, with no part lost or doubled."""
    lines = [line("web", 1, sku=sku(number)) for number in range(2_000)]
    with desk.statements() as seen:
        order = await desk.send(reserve(*lines))
    assert isinstance(order.decision, Reserved)
    assert Counter(text.split()[2] for text, _ in seen if text.startswith("INSERT"))["part"] == 2
    with desk.connection() as connection:
        numbers = connection.scalars(select(schema.part.c.part_number)).all()
    assert sorted(numbers) == list(range(1, 2_001))


def _engine(desk: Desk) -> Engine:
    assert desk.store._engine is not None
    return desk.store._engine


@pytest.fixture
async def sent(tmp_path: Path) -> dict[str, Any]:
    """Every statement of a store that has done all there is to do, with the parameters of its first row."""
    parameters: dict[str, Any] = {}

    def note(text: str, values: Any, many: bool) -> None:
        # SQLite's own tables have no slot.
        if not text.startswith(("BEGIN", "COMMIT", "ROLLBACK")) and "sqlite_master" not in text:
            parameters.setdefault(text, values[0] if many else values)

    async with Desk(tmp_path / "sent.db", refusals_kept=1) as desk:
        with watched(_engine(desk), note):
            await desk.send(SetPolicy(POLICY, 1))
            await desk.send(
                post(figure(1_000, "on_hand", sku=sku(0)), figure(1_000, "on_hand", sku=sku(0), location=SOUTH))
            )
            await desk.send(Allocate((quota("web", 500, sku=sku(0)),)))
            orders = iter(await _orders(desk, 4, most=1))
            for name, (build, _) in COMMANDS.items():
                await desk.send_all([build(0, [next(orders)] if name in NEEDS_ORDERS else ()) for _ in range(1)])
            await desk.send(COMMANDS["reserve, refused"][0](0, ()))
            again = desk.new_id()
            for _ in range(2):
                await desk.send(COMMANDS["reserve"][0](0, ()), request_id=again)
            await till_story(desk)
        await desk.reopen()
        with watched(_engine(desk), note):
            await desk.send(COMMANDS["post"][0](0, ()))
            desk.clock.advance(timedelta(hours=1))
            await desk.committer.sweep()
            desk.clock.advance(timedelta(days=40))
            await desk.store.prune()
            await desk.store.next_due()
            await desk.store.stale_keys(0, 100)
    return parameters


async def test_every_statement_names_its_slot(sent: dict[str, Any]) -> None:
    """Every row that is read, changed or deleted is asked for within a slot, every row written carries it: what lets
    one schema be spread over machines."""
    kinds = set()
    for text in sent:
        kind = text.split()[0]
        kinds.add(kind)
        if kind == "INSERT":
            assert re.match(r"INSERT INTO \w+ \(slot, ", text), text
        else:
            for table in re.findall(r"(?:FROM|JOIN|UPDATE) (?!wanted)(\w+)", text):
                assert re.search(rf"\b{table}\.slot = ", text), text
    assert kinds == {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}


# Read whole, on purpose, and never for a command but SetPolicy: what stands in the way of a new policy.
READ_WHOLE = (
    "SELECT ranked.sku, ranked.location, ranked.dimensions, ranked.path",
    "SELECT stock.location, sum(pool.unsettled)",
    "SELECT DISTINCT stock.dimensions",
)
ONE_ROW = ("FROM slot_state", "UPDATE slot_state", "SELECT min(feed.revision)", "SELECT policy.revision")


@pytest.mark.parametrize("statistics", ["none", "of a young database", "of other keys"])
async def test_no_statement_walks_a_table(sent: dict[str, Any], tmp_path: Path, statistics: str) -> None:
    """Each finds its rows by a key or an index, by more than the slot, which is the same for all; even in the seconds
    between an ANALYZE of somebody else and the dropping of its statistics."""
    desk = Desk(tmp_path / "sent.db")
    if statistics == "of other keys":
        _fill(desk, 20_000)
    with desk.connection() as connection:
        if statistics != "none":
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
    assert bool(desk.rows("SELECT * FROM sqlite_master WHERE name = 'sqlite_stat1'")) == (statistics != "none")
    with desk.connection() as connection:
        plans = {text: sqlite_plan(connection, text, values) for text, values in sent.items()}
    walks = {text: sqlite_walks(plan) for text, plan in plans.items() if not any(part in text for part in ONE_ROW)}
    assert {text: steps for text, steps in walks.items() if steps and not text.startswith(READ_WHOLE)} == {}
    assert sum(text.startswith(READ_WHOLE) for text in walks) == len(READ_WHOLE)
    due = next(plan for text, plan in plans.items() if "expire_time <= " in text)
    assert due == ["SEARCH part USING INDEX ix_part_due (slot=? AND expire_time>? AND expire_time<?)"]


@pytest.mark.parametrize("size", SIZES)
async def test_a_list_of_keys_of_any_length_is_looked_up(tmp_path: Path, size: int) -> None:
    """The longest lists, too, are searched key by key and fit into SQLite's parameters."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        pass
    stock, part, dialect = schema.stock, schema.part, sqlite.dialect()
    identity = [stock.c.organization, stock.c.sku, stock.c.location, stock.c.dimensions]
    selects = (
        keyed_select(dialect, [part.c.held], part.c.reservation_id, ONE_SLOT.of_id),
        joined_select(dialect, [stock.c.stock_id], identity, ONE_SLOT.of_identity),
    )
    with desk.connection() as connection:
        for select, key in zip(selects, (b"r", ("o", "s", "l", "")), strict=True):
            assert list(select.find(DriverConnection(connection), [key] * size)) == []
            assert isinstance(select, ListSelect)
            assert list(select._by_size) == [size]
            values = (0, *[b"r"] * size) if key == b"r" else (*[*key] * size, 0)
            assert sqlite_walks(sqlite_plan(connection, select._by_size[size].sql, values)) == []


async def test_packed_rows_are_the_same_rows(tmp_path: Path) -> None:
    """As one JSON text or row by row: whatever texts and numbers the columns hold, none included."""
    measure = schema.measure
    columns = [column for column in measure.c if column.name != "slot"]
    odd = "wms \"a\\b\" 'c' ☃ 🚲 \u2028 \n"
    edges = [(0, 0, None), (10**12, 2**63 - 1, 2**53 + 1), (-(10**12), -(2**63), 1)]
    async with Desk(tmp_path / "ringfence.db") as desk:
        engine = desk.store._engine
        assert engine is not None
        with engine.connect() as core:
            connection = DriverConnection(core)
            connection.many(
                "INSERT INTO measure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                [(0, number, odd, value, 0, place, odd, time, 7) for number, (value, place, time) in enumerate(edges)],
            )
            for keys in ([0, 1, 2], [3]):
                plain, packed = (
                    keyed_select(sqlite.dialect(), columns, measure.c.stock_id, packed=one_text)
                    for one_text in (False, True)
                )
                found = [tuple(row) for row in packed.find(connection, keys)]
                assert sorted(found) == sorted(plain.find(connection, keys))
            connection.rows("DELETE FROM measure")


async def test_a_batch_costs_the_same_however_full_the_tables_are(desk: Desk) -> None:
    """With a hundred thousand orders, outcomes and entries in the file, and nothing ever analysed, a batch takes as
    many steps of SQLite's machine as with none."""
    commands = [
        reserve(line("web", 1, sku=sku(number))) if number % 10 else reserve(line("x", 1, sku=sku(number)))
        for number in range(100)
    ]
    await desk.send_all(commands)
    await desk.reopen()
    before = await _steps(desk, commands)
    await desk.reopen()
    _fill(desk, 100_000)
    assert desk.rows("SELECT count(*) FROM sqlite_master WHERE name LIKE 'sqlite_stat%'") == [(0,)]
    after = await _steps(desk, commands)
    assert before / 1.5 < after < before * 1.5
    assert after < 100_000


async def _steps(desk: Desk, commands: Sequence[Command]) -> int:
    """Instructions of SQLite's machine that a batch takes, the sweep and the look ahead included."""
    assert desk.store._connection is not None
    raw: Any = desk.store._connection.core.connection.dbapi_connection
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    raw.set_progress_handler(tick, 10)
    try:
        await desk.send_all(commands)
        await desk.store.next_due()
    finally:
        raw.set_progress_handler(None, 0)
    return ticks * 10


def _fill(desk: Desk, count: int) -> None:
    """As after weeks of sales: orders sold or still held, each with its entries and its outcome, of other keys."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
    future = desk.clock.now() + 60 * MINUTE
    with desk.connection() as connection:
        for insert in (
            "INSERT INTO stock SELECT 0, 5000000 + i, 'default', 'OLD-' || i, 'north', '', 100, 0, 2, 1, 1, NULL "
            "FROM n",
            "INSERT INTO pool SELECT 0, 5000000 + i, 0, '', 100, 0, 0, 0, 0, 1 FROM n",
            "INSERT INTO measure SELECT 0, 5000000 + i, 'on_hand', 100, 0, 0, 'wms', NULL, 1, NULL, NULL FROM n",
            "INSERT INTO reservation SELECT 0, randomblob(16), 'default', 'c', '', NULL, 1, NULL, 1, '', x'', 0, '', "
            "1, 1 FROM n",
            # One of twenty is held still, and not due.
            "INSERT INTO part SELECT 0, randomblob(16), 1, 0, '1', 5000000 + i, '', '', 1, 1, 1, 1, i % 20 = 0, 0, "
            f"i % 20 > 0, 0, 0, {future} + i, NULL, NULL, NULL, '', NULL FROM n",
            "INSERT INTO request_outcome SELECT 0, randomblob(16), i % 7, randomblob(16), (i % 3 = 0) * i, x'00', 1, "
            "0, 0 FROM n",
            "INSERT INTO entry SELECT 0, 900000000 + i, 5000000 + i, 0, 5, 1, 2, 0, 3, 0, x'', 0, 0, x'', '', 1, 1 "
            "FROM n",
            "INSERT INTO order_reference SELECT 0, 'default', 'c', 'OLD-' || i, randomblob(16) FROM n",
            "INSERT INTO feed SELECT 0, 900000000 + i, 1, x'' FROM n",
        ):
            table, rows = insert.split(" SELECT", 1)
            connection.exec_driver_sql(f"{table} {numbers} SELECT {rows}")
        connection.commit()
