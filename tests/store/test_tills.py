"""The till side on each database: what it costs, tells and forgets, and that a crash leaves nothing half done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from ringfence_server.ledger.commands import (
    Cancel,
    CancellationConfirmed,
    CancelReason,
    Command,
    Consume,
    CountBegin,
    CountEnd,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    PublishedQuantity,
    ReplyOrder,
    ReportPublished,
    SetPolicy,
)
from ringfence_server.ledger.outcomes import CountResult, HandedOrder, Invalid, SettlementsInUse
from ringfence_server.ledger.policy import MINUTE, Policy
from ringfence_server.ledger.till_state import MAX_ZEROED, EventKind, Mark
from ringfence_server.store import migrate
from ringfence_server.store.write_till import TillWriter
from tests.ledger.world import BIKE, booked, figure, key, line
from tests.store.desk import Desk, reserve
from tests.store.plans import postgres_plans, walks
from tests.store.till_story import (
    EAST,
    TILL_LOCATIONS,
    WEST,
    facts,
    posted,
    reply,
    sold,
    take,
    till_figure,
    till_story,
)
from tests.store.watching import watched

KEYS = 100
POLICY = Policy(locations=TILL_LOCATIONS)


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with two tills."""
    async with Desk(place) as desk:
        assert not (await desk.send(SetPolicy(POLICY, 1))).answer.refusal
        yield desk


def sku(number: int) -> str:
    return f"BIKE-{number % KEYS:03}"


async def _count(desk: Desk, commands: Sequence[Command]) -> int:
    with desk.statements() as seen:
        answered = await desk.send_all(commands)
    assert not any(each.answer.failure or each.answer.refusal for each in answered)
    return len(seen)


async def test_the_statements_of_a_batch_of_tills_do_not_grow_with_it(desk: Desk) -> None:
    """Figures that settle, bookings by order number, replies and cancellations: as many for fifty as for one."""
    if desk.on_citus:
        pytest.skip("each slot's commands are a batch of their own there")
    stock = [till_figure(1_000, 1, sku=sku(number)) for number in range(KEYS)]
    await posted(desk, facts(*stock))
    every = tuple(PublishedQuantity(key(sku(number), EAST), "", 1, 1) for number in range(KEYS))
    await desk.send(ReportPublished("shop", every))
    counts: dict[str, list[int]] = {}
    position = 1
    for size in (1, 10, 50):
        orders = [await sold(desk, f"O-{size}-{number}", sku=sku(number)) for number in range(size)]
        handed = await take(desk, limit=1_000)
        position += 1
        steps: dict[str, Callable[[int], Command]] = {
            "reply": lambda number: ReplyOrder(handed[number].event.event_id, OrderReceived("R", None)),  # noqa: B023
            "booking": lambda number: facts(booked(f"O-{size}-{number}", (position, 1), location=EAST)),  # noqa: B023
            "figure": lambda number: facts(till_figure(999, position, sku=sku(number))),  # noqa: B023
            "cancel": lambda number: Cancel(orders[number], (), CancelReason.CUSTOMER, ""),  # noqa: B023
            "publish": lambda number: ReportPublished(
                "shop",
                (PublishedQuantity(key(sku(number), EAST), "", 1, position),),  # noqa: B023
            ),
        }
        for name, build in steps.items():
            counts.setdefault(name, []).append(await _count(desk, [build(number) for number in range(size)]))
    assert {name: len(set(found)) for name, found in counts.items()} == dict.fromkeys(counts, 1), counts


async def test_a_figure_loads_the_sales_that_it_may_move_and_no_others(desk: Desk) -> None:
    """Of two hundred orders of all time those that the till owes: one."""
    await posted(desk, facts(till_figure(1_000, 1)))
    for number in range(20):
        await sold(desk, f"O-{number}", 1)
    settled = [booked(f"O-{number}", (2, 1), location=EAST) for number in range(19)]
    await posted(desk, facts(*settled, till_figure(981, 2)))
    with desk.statements() as seen:
        answered = await desk.send(facts(till_figure(980, 3)))
    assert not answered.answer.refusal
    assert desk.rows("SELECT count(*) FROM till_sale WHERE awaiting_stock_id IS NOT NULL") == [(1,)]
    asked = {table: _keys_asked(desk, seen, table) for table in ("till_sale", "part", "booking")}
    assert asked == {"till_sale": [1, 1], "part": [1], "booking": [1]}


def _keys_asked(desk: Desk, seen: Sequence[tuple[str, int]], table: str) -> list[int]:
    """For how many keys each statement asked that reads a table."""
    if not desk.on_sqlite:
        return [keys for text, keys in seen if f"JOIN {table} ON" in text or f"FROM {table} WHERE" in text]
    lists = [re.search(r" IN \(([?, ]+)\)", text) for text, _ in seen if f"FROM {table} " in text.replace("\n", "")]
    return [found[1].count("?") for found in lists if found]


async def test_a_commit_tells_where_orders_wait_to_be_handed_over(desk: Desk) -> None:
    """A sale, a failure, a postponement and a reply that lets a cancellation through open events of their location; a
    hold, handing over, receiving and an OWNED sale do not."""

    def told() -> set[tuple[str, str]]:
        found = {place for committed in desk.told for place in committed.orders}
        desk.told.clear()
        return found

    await posted(desk, facts(till_figure(10, 1), till_figure(10, 1, location=WEST)))
    await desk.send(facts(figure(5, location="own")))
    order = (await desk.send(reserve(line("", 1, location=EAST)))).reservation_id()
    assert told() == set()
    await sold(desk, "O-2", 1, location="own")
    assert told() == set()
    await sold(desk, "O-1", 1, location=WEST)
    assert told() == {("default", WEST)}
    first = await sold(desk, "O-3", 1)
    assert told() == {("default", EAST)}
    (handed,) = await take(desk)
    assert told() == set()
    await desk.send(Cancel(first, (), CancelReason.CUSTOMER, ""))
    assert told() == {("default", EAST)}
    assert await take(desk, adapter="pos-2") == ()
    await reply(desk, handed, OrderReceived("R", None))
    assert told() == {("default", EAST)}
    (cancellation,) = await take(desk, adapter="pos-2")
    await reply(desk, cancellation, OrderFailed("line down", MINUTE))
    assert told() == {("default", EAST)}
    await reply(desk, cancellation, OrderPostponed(MINUTE))
    assert told() == {("default", EAST)}
    assert order


async def test_events_that_wait_for_others_do_not_stand_in_the_way(desk: Desk) -> None:
    """Ten orders are with a slow adapter and being cancelled: the cancellations wait behind them, and a new order goes
    to another adapter that has room for one."""
    await posted(desk, facts(till_figure(100, 1)))
    orders = [await sold(desk, f"O-{number}", 1) for number in range(10)]
    assert len(await take(desk)) == 10
    for order in orders:
        await desk.send(Cancel(order, (), CancelReason.CUSTOMER, ""))
    newest = await sold(desk, "O-new", 1)
    (handed,) = await take(desk, adapter="pos-2", limit=1)
    assert handed.reservation.reservation_id == newest


async def test_postponed_events_do_not_stand_in_the_way(desk: Desk) -> None:
    """Ten orders wait for their till to answer: their adapter gets newer ones, and the cancellation of one of them goes
    out; when it comes back it gets none of them again, and when their time is over anybody does."""
    await posted(desk, facts(till_figure(100, 1)))
    orders = [await sold(desk, f"O-{number}", 1) for number in range(10)]
    for handed in await take(desk):
        await reply(desk, handed, OrderPostponed(10 * MINUTE))
    assert await take(desk, resume=True) == ()
    newest = await sold(desk, "O-new", 1)
    assert sold_of(await take(desk, limit=1)) == [newest]
    await desk.send(Cancel(orders[3], (), CancelReason.CUSTOMER, ""))
    (cancellation,) = await take(desk, adapter="pos-2", limit=1)
    assert (cancellation.reservation.reservation_id, cancellation.event.kind) == (orders[3], EventKind.CANCELLATION)
    await reply(desk, cancellation, CancellationConfirmed())
    desk.clock.advance(timedelta(minutes=10) - timedelta(microseconds=1))
    # The newest's lease alone is over.
    assert sold_of(await take(desk, adapter="pos-2")) == [newest]
    desk.clock.advance(timedelta(microseconds=1))
    assert sold_of(await take(desk, adapter="pos-2")) == [order for order in orders if order != orders[3]]


async def test_events_whose_lease_is_over_are_not_hidden_by_a_long_queue(desk: Desk) -> None:
    """The oldest goes first, though it was handed over before and newer ones never were."""
    await posted(desk, facts(till_figure(100, 1)))
    oldest = await sold(desk, "O-0", 1)
    await take(desk)
    for number in range(1, 10):
        await sold(desk, f"O-{number}", 1)
    desk.clock.advance(timedelta(minutes=2))
    (handed,) = await take(desk, adapter="pos-2", limit=1)
    assert (handed.reservation.reservation_id, handed.event.attempts) == (oldest, 2)


async def test_handing_over_is_committed_though_it_keeps_no_outcome(desk: Desk) -> None:
    """After a restart the adapter still has it, and nobody else gets it."""
    await posted(desk, facts(till_figure(10, 1)))
    await sold(desk, "O-1")
    (handed,) = await take(desk)
    await desk.reopen()
    assert await take(desk, adapter="pos-2") == ()
    (again,) = await take(desk, resume=True)
    assert (again.event.event_id, again.event.attempts) == (handed.event.event_id, 2)


async def test_a_crash_between_leaves_nothing_half_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails after the balances and before the sales are written: nothing of the batch is there, and sent
    again it is done once."""
    await posted(desk, facts(till_figure(10, 1)))
    await sold(desk, "O-1")
    tables = ("entry", "fact", "till_sale", "booking", "order_event", "discrepancy", "pool", "part", "measure")
    before = {table: desk.rows(f"SELECT * FROM {table}") for table in tables}
    said = facts(booked("O-1", (2, 2), (3, 1), location=EAST), till_figure(7, 3))
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError("power fails")

        patch.setattr(TillWriter, "write_sales", fail)
        assert (await desk.send(said)).answer.failure is not None
    assert {table: desk.rows(f"SELECT * FROM {table}") for table in tables} == before
    await posted(desk, said)
    await desk.reopen()
    assert desk.rows("SELECT unsettled, settled FROM part") == [(0, 2)]
    assert desk.rows("SELECT kind, quantity FROM discrepancy") == [(1, 1)]


async def test_a_full_count_becomes_zero_in_bounded_pieces(desk: Desk) -> None:
    """More keys than one end makes zero: it says how many remain, and sent again it goes on where it ended."""
    many = MAX_ZEROED + 10
    figures = [till_figure(1, 1, sku=f"S-{number}") for number in range(many)]
    await posted(desk, facts(*figures[:MAX_ZEROED]))
    await posted(desk, facts(*figures[MAX_ZEROED:]))
    # Of another till, another measure and a newer figure: not of the count.
    await posted(desk, facts(till_figure(9, 1, location=WEST), till_figure(8, 5), figure(3, "safety_stock")))
    begin = CountBegin(EAST, "", Mark(0, 3))
    first = await posted(desk, facts(count="c", begin=begin, end=CountEnd(0, True)))
    assert first.end is not None
    assert (first.end.result, first.end.remaining) == (CountResult.CONTINUE, 10)
    await desk.reopen()
    second = await posted(desk, facts(count="c", end=CountEnd(0, True)))
    assert second.end is not None
    assert second.end.result is CountResult.APPLIED
    assert desk.rows("SELECT sum(value) FROM measure WHERE measure = 'on_hand'") == [(17,)]


async def test_an_order_number_without_channel_is_found_whoever_sold(desk: Desk) -> None:
    """Among several callers' numbers; one that two of them use is ambiguous and says so."""
    await posted(desk, facts(till_figure(10, 1)))
    for caller, reference in (("app", "O-1"), ("web", "O-2"), ("zoo", "O-3"), ("app", "O-3")):
        order = (await desk.send(reserve(line("", 1, location=EAST)), caller=caller)).reservation_id()
        await desk.send(Consume(order, (), False, None, reference, b""), caller=caller)
    await posted(desk, facts(booked("O-1", (2, 1), location=EAST), booked("O-2", (3, 1), location=EAST)))
    assert desk.rows("SELECT count(*) FROM booking") == [(2,)]
    assert desk.rows("SELECT count(*) FROM discrepancy") == [(0,)]
    ambiguous = await desk.send(facts(booked("O-3", (4, 1), location=EAST)))
    assert isinstance(ambiguous.decision, Invalid)


async def test_a_policy_does_not_take_the_till_from_under_its_sales(desk: Desk) -> None:
    """With units unsettled in the east it stays a till; the west may change."""
    await posted(desk, facts(till_figure(10, 1), till_figure(10, 1, location=WEST)))
    await sold(desk, "O-1")
    refused = await desk.send(SetPolicy(Policy(locations=TILL_LOCATIONS[1:]), 2))
    assert isinstance(refused.decision, SettlementsInUse)
    (found,) = refused.decision.locations
    (location,) = (each for each in TILL_LOCATIONS if each.name == EAST)
    assert (found.keep, found.open.keys, found.open.sales) == (location, 1, 1)
    assert found.open.units > 0
    assert not (await desk.send(SetPolicy(Policy(locations=TILL_LOCATIONS[:1]), 2))).answer.refusal


async def test_the_till_side_is_forgotten_after_its_time(desk: Desk) -> None:
    """Events replied to and full counts after 30 days, discrepancies and reports after a year; what is open stays."""
    await till_story(desk)

    def left() -> dict[str, int]:
        tables = ("order_event", "count_session", "discrepancy", "published", "till_sale", "booking")
        return {table: desk.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    before = left()
    still_open = desk.rows("SELECT count(*) FROM order_event WHERE state < 3")[0][0]
    assert still_open
    assert all(before.values())
    desk.clock.advance(timedelta(days=31))
    for _ in range(3):
        await desk.prune()
    assert left() == before | {"order_event": still_open, "count_session": 0}
    desk.clock.advance(timedelta(days=340))
    for _ in range(3):
        await desk.prune()
    assert left() == before | {"order_event": still_open, "count_session": 0, "discrepancy": 0, "published": 0}
    reports = (PublishedQuantity(key(BIKE, EAST), "", 7, 5),)
    assert not (await desk.send(ReportPublished("shop", reports))).answer.refusal


@pytest.mark.postgres
async def test_no_statement_of_the_till_side_walks_a_table(postgres_place: str) -> None:
    """On PostgreSQL, with plans made while the tables are all but empty; SQLite's are looked at with all others."""
    sent: dict[str, None] = {}
    async with Desk(postgres_place) as desk:
        await desk.send(SetPolicy(POLICY, 1))
        assert desk.postgres._engine is not None
        with watched(desk.postgres._engine.sync_engine, lambda text, *_: sent.setdefault(text)):
            await till_story(desk)
            desk.clock.advance(timedelta(days=400))
            await desk.prune()
        plans = postgres_plans(desk, sent)
    assert len(plans) > 40
    assert walks(plans) == {}


async def test_a_database_of_the_first_release_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stock and orders are there as they were, and its location becomes a till's."""
    path = tmp_path / "old.db"
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "HEAD", "0001")
        patch.setattr(command, "upgrade", lambda config, _revision: upgrade(config, "0001"))
        migrate.upgrade(f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for insert in (
            "INSERT INTO slot_state VALUES (0, 1, 2, 3, 4)",
            "INSERT INTO stock VALUES (0, 7, 'default', 'BIKE', 'east', '', 10, 2, 1, 1, 2)",
            "INSERT INTO pool VALUES (0, 7, 0, '', 8, 2, 0, 0, 2, 1)",
            "INSERT INTO measure VALUES (0, 7, 'on_hand', 10, 0, 0, 'wms', NULL, 4)",
            "INSERT INTO reservation VALUES "
            "(0, x'0000000000000000000000000000000a', 'default', 'c', '', NULL, 1, NULL, 1, '', x'', 0, '', 2, 1)",
            "INSERT INTO part VALUES "
            "(0, x'0000000000000000000000000000000a', 1, 0, '1', 7, '', '', 1, 1, 2, 2, 2, 0, 0, 0, 0, "
            "NULL, NULL, NULL, NULL, '')",
        ):
            connection.exec_driver_sql(insert)
    engine.dispose()
    async with Desk(path) as desk:
        assert not (await desk.send(SetPolicy(POLICY, 1))).answer.refusal
        await posted(desk, facts(till_figure(12, 5)))
        order = (15 - 5).to_bytes(16, "big")
        assert not (await desk.send(Consume(order, (), False, None, "O-1", b""))).answer.refusal
        await posted(desk, facts(booked("O-1", (6, 2), location=EAST), till_figure(10, 6)))
        assert desk.rows("SELECT held, unsettled, settled, has_sale FROM part") == [(0, 0, 2, 1)]
        assert desk.rows("SELECT free, unsettled, consumed FROM pool") == [(10, 0, 2)]


def sold_of(handed: Sequence[HandedOrder]) -> list[bytes]:
    """The orders of events."""
    return [each.reservation.reservation_id for each in handed]
