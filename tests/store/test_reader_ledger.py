"""Lists of ledger entries: newest first, by key, reservation, request and time, alone and together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from ringfence_server.ledger.commands import Allocate, Cancel, CancelReason, Consume, Reallocate
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import EntryQuery, EntryRead
from ringfence_server.ledger.state import EntryKind, Place
from ringfence_server.store import read_ledger
from ringfence_server.store.reader import Reader
from tests.ledger.world import SOUTH, figure, key, line, quota, shift
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.reading import reading

SECOND = 1_000_000
EVERYTHING = EntryQuery(ORGANIZATION)


class Day:
    """What happened, to ask for."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.reservations: list[bytes] = []
        self.times: list[int] = []


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    async with Desk(place) as desk:
        yield desk


@pytest.fixture
async def day(desk: Desk) -> Day:
    """Two bikes' keys, quotas, eight orders, some sold, some cancelled, some over."""
    day = Day()
    figures = (figure(100, "on_hand"), figure(100, "on_hand", location=SOUTH))
    sent = await desk.send(post(*figures))
    day.requests.append(sent.request_id)
    await desk.send(Allocate((quota("web", 40), quota("web/london", 20, location=SOUTH))))
    await desk.send(Reallocate((shift("web", "app", 5),)))
    for number in range(8):
        desk.clock.advance(timedelta(seconds=1))
        day.times.append(desk.clock.now())
        held = await desk.send(reserve(line("web", 2), line("web/london", 1, location=SOUTH), ttl=30 * SECOND))
        day.requests.append(held.request_id)
        day.reservations.append(held.reservation_id())
        if number % 3 == 0:
            sold = await desk.send(Consume(held.reservation_id(), (), False, None, "", b""))
            day.requests.append(sold.request_id)
        elif number % 3 == 1:
            await desk.send(Cancel(held.reservation_id(), (), CancelReason.OTHER, ""))
    desk.clock.advance(timedelta(minutes=5))
    await desk.committer.sweep()
    return day


async def listed(reader: Reader, query: EntryQuery, most: int = 1_000) -> list[EntryRead]:
    """All pages."""
    found: list[EntryRead] = []
    below: int | None = None
    while True:
        read = await reader.entries(query, below, most)
        assert len(read.entries) <= most
        found += read.entries
        below = read.last
        if below is None:
            return found


async def test_every_filter_alone_and_together(desk: Desk, reader: Reader, day: Day) -> None:
    """Each query answers what matches of all entries, newest first, in pages of any size."""
    everything = await listed(reader, EVERYTHING)
    numbers = desk.rows("SELECT sequence FROM entry ORDER BY sequence DESC")
    assert [entry.sequence for entry in everything] == [number for (number,) in numbers]
    keys: list[StockKey | None] = [None, key(), key(location=SOUTH), key("LAMP")]
    for stock_key, reservation, request, (first, last) in product(
        keys,
        [b"", day.reservations[0], day.reservations[2], b"\x01" * 16],
        [b"", day.requests[0], day.requests[1], day.requests[2]],
        [(None, None), (day.times[2], day.times[5]), (None, day.times[0]), (day.times[7], None)],
    ):
        query = EntryQuery(ORGANIZATION, stock_key, reservation, request, first, last)
        expected = [
            entry.sequence
            for entry in everything
            if (stock_key is None or entry.key == stock_key)
            and (not reservation or entry.reservation_id == reservation)
            and (not request or entry.request_id == request)
            and (first is None or entry.record_time >= first)
            and (last is None or entry.record_time < last)
        ]
        for most in (3, 1_000):
            assert [entry.sequence for entry in await listed(reader, query, most)] == expected


async def test_an_entry_says_what_moved_where_and_why(reader: Reader, day: Day) -> None:
    """Places, the texts of pools, reservation, part, request, measure and both times."""
    entries = {entry.kind: entry for entry in await listed(reader, EVERYTHING._replace(key=key()))}
    supply = entries[EntryKind.SUPPLY]
    assert (supply.from_place, supply.from_path, supply.to_place, supply.to_path) == (
        Place.OUTSIDE,
        "",
        Place.FREE,
        "",
    )
    assert (supply.quantity, supply.measure, supply.request_id) == (100, "on_hand", day.requests[0])
    moved = entries[EntryKind.REALLOCATE]
    assert (moved.from_path, moved.to_path, moved.quantity) == ("web", "app", 5)
    over = entries[EntryKind.EXPIRE]
    assert (over.from_place, over.from_path, over.to_place, over.to_path) == (Place.HELD, "web", Place.FREE, "web")
    assert (over.reservation_id, over.part_number, over.request_id) == (day.reservations[2], 1, b"")
    assert over.effective_time == day.times[2] + 30 * SECOND < over.record_time


async def test_another_organizations_entries_are_not_seen(desk: Desk, reader: Reader, day: Day) -> None:
    """By whatever way they are asked for."""
    for query in (
        EntryQuery("other"),
        EntryQuery("other", reservation_id=day.reservations[0]),
        EntryQuery("other", request_id=day.requests[1]),
        EntryQuery("other", key()._replace(organization="other")),
    ):
        assert await listed(reader, query) == []


async def test_a_request_is_found_when_its_outcome_is_forgotten(desk: Desk, reader: Reader, day: Day) -> None:
    """By the time in its id, or, where the id has none, by looking through the ledger."""
    request = day.requests[1]
    expected = [entry.sequence for entry in await listed(reader, EntryQuery(ORGANIZATION, request_id=request))]
    assert len(expected) == 2
    random_id = bytes.fromhex("a2c5f9d0f3a94e0c8d3df9a1c6b7e8f0")
    held = await desk.send(reserve(line("web", 1)), request_id=random_id)
    assert held.decision is not None
    desk.clock.advance(timedelta(days=40))
    await desk.prune()
    assert desk.rows("SELECT count(*) FROM request_outcome") == [(0,)]
    found = await listed(reader, EntryQuery(ORGANIZATION, request_id=request))
    assert [entry.sequence for entry in found] == expected
    assert len(await listed(reader, EntryQuery(ORGANIZATION, request_id=random_id))) == 1


async def test_a_page_looks_at_a_bounded_number_of_entries(
    reader: Reader, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few match it is short, even empty, and the list goes on behind it."""
    monkeypatch.setattr(read_ledger, "_MOST_LOOKED_AT", 4)
    query = EVERYTHING._replace(key=key(), request_id=b"", record_time_until=day.times[0])
    first = await reader.entries(query, None, 10)
    assert first.entries == []
    assert first.last is not None
    assert [entry.kind for entry in await listed(reader, query, 10)] == [
        EntryKind.REALLOCATE,
        EntryKind.ALLOCATE,
        EntryKind.SUPPLY,
    ]


MORE = 30_000


@pytest.mark.postgres
async def test_a_page_of_a_long_ledger_reads_little_more_than_the_page(postgres_place: str) -> None:
    """Whatever PostgreSQL knows of the table: the newest entries of every slot are read from the end of the index, for
    the first page, a later one and one of a time; none of the 30,000 others is touched."""
    columns = "slot, stock_id, previous_sequence, kind, quantity, from_place, from_pool, to_place, to_pool, "
    columns += "reservation_id, part_number, reservation_previous, request_id, measure, effective_time"
    async with Desk(postgres_place) as desk:
        await desk.send(post(*[figure(100, "on_hand", sku=f"BIKE-{number}") for number in range(4)]))
        desk.execute(
            f"INSERT INTO entry ({columns}, sequence, record_time) "
            f"SELECT {columns}, sequence + {desk.postgres.slots.count} * number, record_time + number "
            f"FROM entry, generate_series(1, {MORE // 4}) AS more(number) "
            "WHERE sequence IN (SELECT max(sequence) FROM entry GROUP BY slot)"
        )
        desk.execute(
            "UPDATE slot_state SET last_sequence = newest.sequence "
            "FROM (SELECT slot, max(sequence) AS sequence FROM entry GROUP BY slot) AS newest "
            "WHERE slot_state.slot = newest.slot"
        )
        desk.execute("ANALYZE")
        ((newest,),) = desk.rows("SELECT max(record_time) FROM entry")
        read = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = 'entry'"
        ((before,),) = desk.rows(read)
        async with reading(desk) as reader:
            for query in (EVERYTHING, EVERYTHING._replace(record_time_until=newest - MORE // 8)):
                first = await reader.entries(query, None, 50)
                second = await reader.entries(query, first.last, 50)
                assert len(first.entries) == len(second.entries) == 50
        gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%reader%'"
        while desk.rows(gone) != [(0,)]:  # a connection tells what it read when it ends
            pass
        ((after,),) = desk.rows(read)
    assert 200 <= after - before < 3_000
