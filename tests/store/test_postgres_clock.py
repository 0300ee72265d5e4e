"""Whose clock a PostgreSQL store goes by, and what a jump of it pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from ringfence.testing import PostgresServer
from ringfence_server.clock import ClockWatch, ManualClock
from ringfence_server.store.reader import Reader
from tests.ledger.world import figure, key, line
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.gates import gate
from tests.store.reading import reading
from tests.store.two_slots import HIGH, LOW, held

pytestmark = pytest.mark.postgres

HOUR = 3_600 * 1_000_000
AT_ONCE = 1
"""A lease of a microsecond: over at the next look."""


class Jumps:
    """The database's clock cannot be set, so the monotonic one is: by as much the other way."""

    def __init__(self) -> None:
        self.by = 0
        self.watch = ClockWatch(monotonic_ns=lambda: time.monotonic_ns() - self.by * 1_000)


@asynccontextmanager
async def by_the_database(place: str, watch: ClockWatch, first_number: int = 0) -> AsyncIterator[Desk]:
    """A server that goes by the database's clock; the ids of its callers are of this machine's."""
    now = ManualClock(datetime.now(UTC))
    async with Desk(place, now, database_clock=watch, first_number=first_number) as desk:
        yield desk


async def test_batches_go_by_the_clock_of_the_database(postgres_place: str, postgres_server: PostgresServer) -> None:
    """Not by the server's, which may be another machine's: of two servers both read one clock."""
    name = postgres_place.rpartition("/")[2]

    def clock() -> int:
        now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        ((microseconds,),) = postgres_server.execute(now, database=name)
        return int(microseconds)

    async with by_the_database(postgres_place, ClockWatch()) as desk:
        before = clock()
        first = await desk.send(post(figure(1_000, "on_hand")))
        second = await desk.send(reserve(line("", 1), ttl=HOUR))
        after = clock()
        assert before <= first.answer.server_time <= second.answer.server_time <= after
        times = desk.rows("SELECT record_time FROM entry ORDER BY sequence")
        assert [time for (time,) in times] == [first.answer.server_time, second.answer.server_time]
        assert await desk.postgres.next_due() == second.answer.server_time + HOUR


async def shown(reader: Reader, sku: str) -> int:
    """Units held of a lamp, as a reader says."""
    stock = (await reader.points(ORGANIZATION, (key(sku),))).stocks[key(sku)]
    return stock.pools[""].held


async def test_no_lease_ends_while_the_database_s_clock_is_in_doubt(postgres_place: str) -> None:
    """Not in decisions and not in reads: an hour that this machine saw nothing of. They end when it is accepted."""
    jumps = Jumps()
    async with by_the_database(postgres_place, jumps.watch) as desk, reading(desk) as reader:
        await desk.send(post(figure(10, "on_hand", sku=LOW), figure(10, "on_hand", sku=HIGH)))
        await desk.send(reserve(line("", 3, sku=LOW), ttl=AT_ONCE))
        jumps.by = HOUR
        assert await shown(reader, LOW) == 3
        await desk.send(reserve(line("", 1, sku=LOW), ttl=HOUR))
        assert (held(desk, LOW), await shown(reader, LOW)) == (4, 4)
        assert (jumps.watch.in_doubt, jumps.watch.jumps) == (True, 1)
        assert jumps.watch.jumped_by > HOUR // 2
        assert jumps.watch.accept()
        assert await shown(reader, LOW) == 1
        await desk.send(reserve(line("", 1, sku=LOW), ttl=HOUR))
        assert (held(desk, LOW), await shown(reader, LOW)) == (2, 2)


async def test_a_clock_that_went_back_is_one_jump_wherever_batches_were_before(postgres_place: str) -> None:
    """What slots remember of the time before it is no clock: their batches do not count it again and again."""
    jumps = Jumps()
    async with by_the_database(postgres_place, jumps.watch) as desk:
        await desk.send(post(figure(10, "on_hand", sku=LOW), figure(10, "on_hand", sku=HIGH)))
        desk.execute(f"UPDATE slot_state SET now = now + {HOUR} WHERE slot = 3")
        for _ in range(3):
            for sku in (LOW, HIGH):
                assert not (await desk.send(reserve(line("", 1, sku=sku), ttl=HOUR))).answer.refusal
        assert (jumps.watch.in_doubt, jumps.watch.jumps) == (False, 0)


async def test_a_sweep_that_finds_every_slot_taken_tells_nothing_of_the_clock(postgres_place: str) -> None:
    """Another server ends the leases there; this one has met no jump."""
    jumps = Jumps()
    async with (
        by_the_database(postgres_place, ClockWatch()) as one,
        by_the_database(postgres_place, jumps.watch, 1_000_000) as other,
    ):
        await other.send(post(figure(10, "on_hand", sku=LOW)))
        await one.send(reserve(line("", 1, sku=LOW), ttl=AT_ONCE))
        with gate(one, "COMMIT") as before_commit:
            under_way = asyncio.ensure_future(one.send(reserve(line("", 1, sku=LOW), ttl=HOUR)))
            await before_commit.reached()
            await other.committer.sweep()
            assert (jumps.watch.in_doubt, jumps.watch.jumps) == (False, 0)
            before_commit.open()
            await under_way
        assert held(one, LOW) == 1
