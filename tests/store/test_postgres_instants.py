"""Instants over several slots and servers: what is answered is answered again, and lacks nothing committed before."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.store.instants import DatabaseInstants
from ringfence_server.store.postgres_lanes import PostgresLanes
from ringfence_server.store.reader import Reader, SqlSnapshot
from ringfence_server.store.snapshots import Begun, Wanted
from tests.ledger.world import figure, key
from tests.patience import PATIENT
from tests.store.desk import ORGANIZATION, Desk, post
from tests.store.gates import gate
from tests.store.reading import reading
from tests.store.two_slots import HIGH, LOW, SLOTS

pytestmark = pytest.mark.postgres

_second = timedelta(seconds=1)


async def both(reader: Reader, read_time: int | None = None) -> tuple[dict[str, int], int]:
    """The supplies of the two lamps in one snapshot, and its instant."""
    async with reader.snapshot(ORGANIZATION, read_time) as snapshot:
        read = await snapshot.keys(KeyFilter(ORGANIZATION), None, 10)
        return {stock.key.sku: stock.supply for stock in read.stocks}, snapshot.moment.instant


async def test_a_read_of_several_slots_waits_for_what_may_lie_before_it(desks: tuple[Desk, Desk]) -> None:
    """One batch is under way, another was recorded after it and is answered: a read has to contain the answered one,
    and what it lacks has to lie after it. So it waits for the first, and the instant it answers has one answer for
    ever."""
    one, other = desks
    async with reading(other) as reader:
        with gate(one, "COMMIT") as early:
            late = asyncio.ensure_future(one.send(post(figure(1, "on_hand", sku=LOW))))
            await early.reached()
            other.clock.advance(_second)
            await other.send(post(figure(2, "on_hand", sku=HIGH)))
            asked = asyncio.ensure_future(both(reader))
            done, _ = await asyncio.wait({asked}, timeout=0.2)
            assert not done
            single = await reader.points(ORGANIZATION, (key(HIGH),))
            assert single.stocks[key(HIGH)].supply == 2, "a read of one slot waits for nobody"
            early.open()
            await late
        found, instant = await asked
        assert found == {LOW: 1, HIGH: 2}
        other.clock.advance(_second)
        await one.send(post(figure(7, "on_hand", sku=LOW), figure(8, "on_hand", sku=HIGH)))
        assert await both(reader, instant) == (found, instant)
        again = (await both(reader, single.moment.instant))[0]
        assert again[HIGH] == 2


async def test_a_read_goes_back_in_the_slots_that_have_gone_further(desks: tuple[Desk, Desk]) -> None:
    """Two servers commit in turn without a pause, so no snapshot is free of one's batches while it lacks the other's:
    what was recorded after the bound is taken back, and what was committed when the read was asked is there."""
    one, other = desks
    wanted = Wanted(ORGANIZATION, SLOTS.all, None)
    async with reading(other) as reader, reader._lanes.lease() as lane:
        with gate(one, "COMMIT") as first:
            late = asyncio.ensure_future(one.send(post(figure(1, "on_hand", sku=LOW))))
            await first.reached()
            other.clock.advance(_second)
            await other.send(post(figure(2, "on_hand", sku=HIGH)))
            least = await lane.run(reader._snapshots.begin, wanted, 0)
            assert isinstance(least, int), "it has to wait for the first"
            first.open()
            await late
        other.clock.advance(_second)
        with gate(one, "COMMIT") as second:
            later = asyncio.ensure_future(one.send(post(figure(3, "on_hand", sku=LOW))))
            await second.reached()
            other.clock.advance(_second)
            await other.send(post(figure(4, "on_hand", sku=HIGH)))
            begun = await lane.run(reader._snapshots.begin, wanted, least)
            assert isinstance(begun, Begun)
            snapshot = SqlSnapshot(lane, reader._keys, reader._holds, begun)
            read = await snapshot.keys(KeyFilter(ORGANIZATION), None, 10)
            found = {stock.key.sku: stock.supply for stock in read.stocks}
            assert found == {LOW: 1, HIGH: 2}
            second.open()
            await later
        assert await both(reader, begun.moment.instant) == (found, begun.moment.instant)


async def test_the_bound_lies_before_every_batch_under_way(postgres_place: str, desks: tuple[Desk, Desk]) -> None:
    """By the database's clock: a writer that holds a lock bounds it, one that has ended or holds none does not."""
    one, _ = desks
    lanes = PostgresLanes(postgres_place, PATIENT)
    instants = DatabaseInstants()
    try:
        with gate(one, "COMMIT") as early:
            late = asyncio.ensure_future(one.send(post(figure(1, "on_hand", sku=LOW))))
            await early.reached()
            bounds = [await lanes.points.run(instants.before, 0) for _ in range(2)]
            assert bounds[0].instant == bounds[1].instant
            assert bounds[0].instant is not None
            assert bounds[0].instant < bounds[0].now - 1
            ((begun,),) = one.rows(
                "SELECT (extract(epoch FROM min(xact_start)) * 1000000)::bigint FROM pg_stat_activity "
                "WHERE backend_xid IS NOT NULL AND datname = current_database()"
            )
            assert bounds[0].instant == begun - 1
            early.open()
            await late
        after = await lanes.points.run(instants.before, 0)
        assert after.instant == after.now - 1
    finally:
        await lanes.close()
