"""Reading: one snapshot an answer, everything due applied, nobody in anybody's way."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.commands import Allocate, SetPolicy
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.policy import Policy, SupplyTerm
from ringfence_server.ledger.reading import (
    KeyFilter,
    KeyPosition,
    LaterThanNow,
    ReservationQuery,
)
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.store import read_lanes, read_points
from ringfence_server.store.connect import PostgresOptions
from ringfence_server.store.driver import DriverConnection, PostgresConnection
from ringfence_server.store.instants import SharedInstants
from ringfence_server.store.reader import Reader
from tests.ledger.world import NORTH, SOUTH, figure, key, line, quota
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.every_read import sent_to_read
from tests.store.reading import EVERYTHING, all_keys, free, reading, statements

SECOND = 1_000_000


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with ten bikes at the north location, four of them for the web."""
    async with Desk(place) as desk:
        await desk.send(post(figure(10, "on_hand")))
        await desk.send(Allocate((quota("web", 4),)))
        yield desk


# --- single keys -----------------------------------------------------------------------------------------------------


async def test_a_key_that_no_source_posted_is_absent(desk: Desk, reader: Reader) -> None:
    """Not zero; nor is another organization's key there."""
    other = key("LAMP")._replace(organization="other")
    await desk.send(post(figure(3, "on_hand")._replace(key=other)), organization="other")
    read = await reader.points(ORGANIZATION, (key(), key("LAMP"), key(location=SOUTH)))
    assert list(read.stocks) == [key()]
    assert [found.key for found in await all_keys(reader)] == [key()]
    assert [found.key for found in await all_keys(reader, KeyFilter("other"))] == [other]
    assert list((await reader.points("other", (other,))).stocks) == [other]
    stock = read.stocks[key()]
    assert {path: pool.free for path, pool in stock.pools.items()} == {COMMON: 6, "web": 4}
    assert (stock.supply, stock.measures["on_hand"].value) == (10, 10)


async def test_requests_that_come_together_share_a_read(desk: Desk, reader: Reader) -> None:
    """A hundred of them take two reads: one for the first, one for those who came meanwhile. Each gets its own."""
    skus = [f"S{number}" for number in range(100)]
    await desk.send(post(*(figure(number, "on_hand", sku=sku) for number, sku in enumerate(skus))))
    with statements(reader) as sent:
        reads = await asyncio.gather(*(reader.points(ORGANIZATION, (key(sku),)) for sku in skus))
    assert [read.stocks[key(sku)].supply for read, sku in zip(reads, skus, strict=True)] == list(range(100))
    slots = {0} if desk.on_sqlite else {desk.postgres.slots.of_key(key(sku)) for sku in skus}
    assert len({id(read) for read in reads}) <= 2 * len(slots)
    begun = sum(text.startswith("BEGIN") for text, _ in sent)
    assert begun <= 2
    assert len(sent) <= 10 * begun


async def test_a_read_contains_every_write_that_was_answered_before_it_was_asked_for(
    desk: Desk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a read was under way just then: its snapshot is older, so it is not shared."""
    snapshot, go_on = threading.Event(), threading.Event()
    load = reader._keys.by_key

    def slowly(connection: DriverConnection, keys: Any) -> Any:
        snapshot.set()
        if isinstance(connection, PostgresConnection):
            await_only(asyncio.to_thread(go_on.wait, 60))
        else:
            assert go_on.wait(60)
        return load(connection, keys)

    monkeypatch.setattr(reader._keys, "by_key", slowly)
    early = asyncio.ensure_future(reader.points(ORGANIZATION, (key(),)))
    await asyncio.to_thread(snapshot.wait, 60)
    await desk.send(post(figure(7, "on_hand")))
    late = asyncio.ensure_future(reader.points(ORGANIZATION, (key(),)))
    await asyncio.sleep(0)
    go_on.set()
    assert (await early).stocks[key()].supply == 10
    assert (await late).stocks[key()].supply == 7
    assert (await early).moment.revisions < (await late).moment.revisions


async def test_who_calls_alone_never_waits_and_a_crowd_waits_little(
    desk: Desk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads after crowded ones are spaced, so that the next crowd shares one."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(read_points, "_SPACING_SECONDS", 500)
    monkeypatch.setattr(read_points, "_MOST_SPACING_SECONDS", 600)
    for _ in range(5):
        await reader.points(ORGANIZATION, (key(),))
    assert waits == []
    await asyncio.gather(*(reader.points(ORGANIZATION, (key(),)) for _ in range(50)))
    await asyncio.gather(*(reader.points(ORGANIZATION, (key(),)) for _ in range(50)))
    assert waits
    assert max(waits) <= 600


@pytest.mark.parametrize("fault", [OperationalError("SELECT", (), Exception("disk I/O error")), None])
async def test_a_read_that_fails_fails_all_who_share_it_and_nobody_else(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    """They are told that the store is away; the next read answers again."""
    with monkeypatch.context() as patched:

        def fail(connection: DriverConnection, keys: Any) -> Any:
            if fault is not None:
                raise fault
            return connection.rows("SELECT nothing FROM nowhere")

        patched.setattr(reader._keys, "by_key", fail)
        asked = [reader.points(ORGANIZATION, (key(),)) for _ in range(3)]
        failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(failure) for failure in failures] == [StoreUnavailable] * 3
    assert key() in (await reader.points(ORGANIZATION, (key(),))).stocks


async def test_a_caller_that_gives_up_costs_the_others_nothing(reader: Reader) -> None:
    """Its answer is dropped, theirs come."""
    asked = [asyncio.ensure_future(reader.points(ORGANIZATION, (key(),))) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [key() in read.stocks for read in found[1:] if not isinstance(read, BaseException)] == [True, True]


# --- what is due -----------------------------------------------------------------------------------------------------


async def test_a_hold_is_over_exactly_at_its_instant_in_every_read(desk: Desk, reader: Reader) -> None:
    """No sweeper has run: the ledger still has it as held, and stays as it is."""
    held = await desk.send(reserve(line("web", 3), ttl=60 * SECOND))
    identity = held.reservation_id()

    async def seen() -> tuple[int, int | None, int, int]:
        point = (await reader.points(ORGANIZATION, (key(),))).stocks[key()].pools["web"].free
        reservation = (await reader.reservation(ORGANIZATION, identity))[1]
        assert reservation is not None
        listed = (await reader.reservations(ReservationQuery(ORGANIZATION), None, 10)).reservations
        return point, await free(reader, key(), "web"), reservation.parts[0].expired, listed[0].parts[0].expired

    desk.clock.advance(timedelta(seconds=60, microseconds=-1))
    assert await seen() == (1, 1, 0, 0)
    desk.clock.advance(timedelta(microseconds=1))
    assert await seen() == (4, 4, 3, 3)
    assert desk.rows("SELECT count(*) FROM entry WHERE kind = 9") == [(0,)]
    await desk.committer.sweep()
    assert await seen() == (4, 4, 3, 3)


async def test_a_reservation_reads_the_same_before_and_after_the_sweeper(desk: Desk, reader: Reader) -> None:
    """State, revision and parts: what will be written is what is answered."""
    held = await desk.send(reserve(line("web", 3), line("", 2), ttl=60 * SECOND))
    desk.clock.advance(timedelta(seconds=61))
    _, before = await reader.reservation(ORGANIZATION, held.reservation_id())
    await desk.committer.sweep()
    _, after = await reader.reservation(ORGANIZATION, held.reservation_id())
    assert before is not None
    assert after is not None
    assert (before.state, before.revision) == (after.state, after.revision)
    assert [(part.held, part.expired) for part in before.parts] == [(part.held, part.expired) for part in after.parts]


class DoubtfulClock(ManualClock):
    """A clock that stands in doubt: leases may be ended only up to an earlier instant."""

    trusted: int | None = None

    def due_until(self) -> int:
        return self.now() if self.trusted is None else self.trusted


async def test_expiry_pauses_in_reads_too_while_the_clock_is_in_doubt(tmp_path: Path) -> None:
    """An hour that never passed must not end a hold."""
    clock = DoubtfulClock()
    async with Desk(tmp_path / "ringfence.db", clock) as desk, reading(desk) as reader:
        await desk.send(post(figure(10, "on_hand")))
        await desk.send(reserve(line("", 3), ttl=60 * SECOND))
        clock.trusted = clock.now() + SECOND
        clock.advance(timedelta(hours=1))
        assert await free(reader, key()) == 7
        assert (await reader.points(ORGANIZATION, (key(),))).stocks[key()].pools[COMMON].free == 7
        clock.trusted = None
        assert await free(reader, key()) == 10


async def test_a_key_is_valued_by_the_policy_in_force(desk: Desk, reader: Reader) -> None:
    """A changed formula is answered at once, before any background step has come to the key."""
    await desk.send(post(figure(2, "safety_stock")))
    supply = (SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -3))
    await desk.send(SetPolicy(Policy(supply=supply), 1))
    assert desk.rows("SELECT supply FROM stock") == [(8,)]
    stock = (await reader.points(ORGANIZATION, (key(),))).stocks[key()]
    assert (stock.supply, stock.pools[COMMON].free) == (4, 0)
    assert await free(reader, key()) == 0


# --- snapshots -------------------------------------------------------------------------------------------------------


async def test_a_snapshot_does_not_change_while_it_is_looked_at(desk: Desk, reader: Reader) -> None:
    """However long it is kept, and whatever is committed meanwhile."""
    async with reader.snapshot(ORGANIZATION) as snapshot:
        first = (await snapshot.keys(EVERYTHING, None, 10)).stocks[0]
        await desk.send(post(figure(1, "on_hand")))
        again = (await snapshot.keys(EVERYTHING, None, 10)).stocks[0]
        (exact,) = await snapshot.stocks([key(), key("LAMP")])
        assert (first.supply, again.supply, exact.supply) == (10, 10, 10)
    assert (await all_keys(reader))[0].supply == 1


async def test_an_instant_lies_before_every_write_that_the_snapshot_lacks(desk: Desk, reader: Reader) -> None:
    """And not before one that it has: so each instant has one answer."""
    desk.clock.advance(timedelta(seconds=1))
    async with reader.snapshot(ORGANIZATION) as snapshot:
        await desk.send(post(figure(1, "on_hand")))
    ((written,),) = desk.rows("SELECT max(record_time) FROM slot_state")
    assert snapshot.moment.instant < written
    async with reader.snapshot(ORGANIZATION) as later:
        assert later.moment.instant >= written
        assert sum(later.moment.revisions) == sum(snapshot.moment.revisions) + 1


async def test_keys_come_in_order_in_pieces_of_any_size(desk: Desk, reader: Reader) -> None:
    """By SKU, location and dimensions; filters look at each of them; a piece goes on where the one before ended."""
    await desk.send(SetPolicy(Policy(dimensions=("colour", "size")), 1))
    colours: list[dict[str, str]] = [{}, {"colour": "red"}, {"colour": "blue", "size": "m"}]
    for sku, place, colour in product(("b", "ä", "B", "a/1"), (SOUTH, NORTH, "kiosk"), colours):
        await desk.send(post(figure(1, "on_hand")._replace(key=key(sku, place, **colour))))
    everything = [stock.key for stock in await all_keys(reader)]
    assert len(everything) == 37
    assert [found[:3] for found in everything] == sorted(found[:3] for found in everything)
    for skus, locations, dimensions in product(
        [(), ("b",), ("B", "b", "BIKE"), ("x",)],
        [None, (), (NORTH,), (NORTH, "kiosk")],
        [(), (("colour", "red"),), (("colour", ""),), (("colour", "blue"), ("size", ""))],
    ):
        wanted = KeyFilter(ORGANIZATION, tuple(sorted(skus)), locations, dimensions)
        expected = [found for found in everything if wanted.matches(found)]
        for piece in (1, 2, 5, 100):
            assert [stock.key for stock in await all_keys(reader, wanted, piece=piece)] == expected
    async with reader.snapshot(ORGANIZATION) as snapshot:
        read = await snapshot.keys(EVERYTHING, KeyPosition("b"), 3)
    assert [stock.key.sku for stock in read.stocks] == ["b"] * 3


async def test_a_read_time_in_the_future_is_refused(desk: Desk, reader: Reader) -> None:
    """Nobody knows yet what a read will answer then; now itself is answered."""
    now = desk.clock.now() + SECOND
    desk.clock.advance(timedelta(seconds=1))
    assert await free(reader, key(), read_time=now) == 6
    with pytest.raises(LaterThanNow):
        await free(reader, key(), read_time=now + 1)
    assert await free(reader, key(), read_time=now) == 6


async def test_a_read_at_the_instant_of_a_write_under_way_waits_for_it(desk: Desk, reader: Reader) -> None:
    """Its snapshot could not contain the write yet, and asked later it would: so it answers what it will be."""
    desk.clock.advance(timedelta(seconds=1))
    now = desk.clock.now()
    ((recorded,),) = desk.rows("SELECT max(record_time) FROM slot_state")
    moments: Any = desk.store.moments if desk.on_sqlite else cast(SharedInstants, desk.postgres.instants).writer()
    moments.begin(now, recorded)
    asked = asyncio.ensure_future(free(reader, key(), read_time=now))
    done, _ = await asyncio.wait({asked}, timeout=0.1)
    assert not done
    moments.end(committed=False)
    assert await asked == 6


# --- in nobody's way -------------------------------------------------------------------------------------------------


async def test_long_reads_do_not_stand_in_the_way_of_quick_ones(desk: Desk, reader: Reader) -> None:
    """Scans wait for each other and for nobody else."""
    async with AsyncExitStack() as scans:
        for _ in range(read_lanes._LONG_LANES if desk.on_sqlite else PostgresOptions().long_connections):
            await scans.enter_async_context(reader.snapshot(ORGANIZATION, long=True))
        one_more = asyncio.ensure_future(_look(reader, long=True))
        await asyncio.wait_for(_look(reader, long=False), 60)
        await asyncio.wait_for(reader.points(ORGANIZATION, (key(),)), 60)
        assert not one_more.done()
    await asyncio.wait_for(one_more, 60)


async def _look(reader: Reader, *, long: bool) -> None:
    async with reader.snapshot(ORGANIZATION, long=long) as snapshot:
        await snapshot.keys(EVERYTHING, None, 10)


async def test_a_reader_that_goes_away_stops_its_statement_and_leaves_its_lane_clean(reader: Reader) -> None:
    """What would take hours ends with the call that asked for it; the next reader has a snapshot of its own."""
    forever = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000) SELECT max(i) FROM n"
    )
    for _ in range(3):
        async with reader._lanes.lease(long=True) as lane:
            slow = asyncio.ensure_future(lane.run(lambda connection: connection.rows(forever)))
            await asyncio.sleep(0.05)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
        await asyncio.wait_for(_look(reader, long=True), 60)


async def test_a_closed_reader_says_that_the_store_is_away(desk: Desk) -> None:
    """Instead of hanging or failing in its own words."""
    async with reading(desk) as reader:
        pass
    with pytest.raises(StoreUnavailable):
        await reader.points(ORGANIZATION, (key(),))
    with pytest.raises(StoreUnavailable):
        await all_keys(reader)


async def test_a_reader_cannot_write(reader: Reader) -> None:
    """Its connections refuse to, whatever a statement says."""

    def write(connection: DriverConnection) -> None:
        connection.rows("DELETE FROM pool")

    async with reader._lanes.lease() as lane:
        with pytest.raises(StoreUnavailable):
            await lane.run(write)
    with pytest.raises(StoreUnavailable):
        await reader._lanes.points.run(write)


# --- statements ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def sent(desk: Desk, reader: Reader) -> list[tuple[str, Any]]:
    """What every kind of read sends, once per text."""
    return await sent_to_read(desk, reader)


async def test_every_statement_names_its_slot(sent: list[tuple[str, Any]]) -> None:
    """Each table in it is asked for by its slot."""
    assert len(sent) > 20
    for text, _ in sent:
        if text in ("BEGIN", "ROLLBACK"):
            continue
        tables = set(re.findall(r"(?:FROM|JOIN) (stock|pool|measure|fact|entry|part|reservation|policy|feed)\b", text))
        for table in tables:
            assert re.search(rf"\b{table}\.slot = ", text), f"{table} without slot: {text}"


async def test_no_read_walks_a_table(desk: Desk, sent: list[tuple[str, Any]]) -> None:
    """Each finds its rows by a key or an index, by more than the slot. A chain of entries is followed row by row as far
    as rows are asked for: what is materialised first would be all of a key's past."""
    if not desk.on_sqlite:
        pytest.skip("the plans of SQLite")
    with desk.connection() as connection:
        for text, values in sent:
            if text in ("BEGIN", "ROLLBACK"):
                continue
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
            assert _walks(plan) == [], f"{text}\n{plan}"


def _walks(plan: Sequence[str]) -> list[str]:
    harmless = re.compile(
        r"SCAN (wanted|CONSTANT ROW|\d+ CONSTANT ROWS|chain|callers|anon_1)$|MATERIALIZE (wanted|callers|anon_1)$"
        r"|CO-ROUTINE chain$|SETUP$|RECURSIVE STEP$|CORRELATED SCALAR SUBQUERY \d+$|USE TEMP B-TREE FOR"
        r"|SEARCH (slot_state|feed) USING PRIMARY KEY \(slot=\?\)$|SEARCH \w+ USING .*\(slot=\? AND "
    )
    return [step for step in plan if not harmless.match(step)]
