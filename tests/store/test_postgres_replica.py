"""Reading balances from a streaming replica, which is behind when the test says so."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, cast

import pytest

from ringfence.testing import PostgresNotFound, PostgresServer, assert_eventually_async
from ringfence.testing import _postgres as binaries
from ringfence_server.clock import ManualClock, SystemClock
from ringfence_server.committer import Committer
from ringfence_server.ledger.reading import KeyFilter, RevisionUnknown
from ringfence_server.ledger.revisions import NONE, Revisions
from ringfence_server.store.postgres import PostgresStore
from ringfence_server.store.postgres_lanes import postgres_reader
from ringfence_server.store.reader import Reader
from ringfence_server.store.replica import ReplicaReader, replica_reader
from tests.ledger.world import figure, key
from tests.patience import PATIENT
from tests.store.desk import ORGANIZATION, Desk, post

pytestmark = pytest.mark.postgres


class _Replica(PostgresServer):
    """Streams what another server writes."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(settings={"hot_standby": "on"})
        self._primary = primary
        self._password = primary._password

    def _initialise(self) -> None:
        source = self._primary.url().replace("postgresql+asyncpg", "postgresql")
        command = [str(self._programs / "pg_basebackup"), "-D", str(self._data), "-R", "-X", "stream", "-c", "fast"]
        command = binaries._as(self._account, [*command, "-d", source])
        subprocess.run(command, check=True, capture_output=True, cwd="/")


class Pair(NamedTuple):
    primary: PostgresServer
    replica: PostgresServer


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A server and its replica."""
    try:
        primary = PostgresServer()
    except PostgresNotFound as absent:
        pytest.skip(f"NOT TESTED ON POSTGRESQL: {absent}")
    with primary, _Replica(primary) as replica:
        yield Pair(primary, replica)


class Shop(NamedTuple):
    desk: Desk
    primary: Reader
    replica: Reader
    both: ReplicaReader


@pytest.fixture
async def shop(pair: Pair) -> AsyncIterator[Shop]:
    """Ten bikes and ten lamps, by the database's own clock."""
    url = pair.primary.create_database()
    desk = Desk(url)
    desk.clock = cast(ManualClock, SystemClock())
    desk.any_store = PostgresStore(url)
    desk.committer = Committer(desk.any_store)
    async with desk:
        store = desk.postgres
        sent = await desk.send(post(figure(10, "on_hand"), figure(10, "on_hand", sku="LAMP")))
        assert sent.answer.failure is None
        primary = postgres_reader(url, PATIENT, store.instants, store.slots)
        there = pair.replica.url(url.rsplit("/", 1)[1])
        both, replica = replica_reader(there, PATIENT, primary, store.instants, store.slots)
        await both._instants.refresh()
        await caught_up(pair)
        try:
            yield Shop(desk, primary, replica, both)
        finally:
            pair.replica.execute("SELECT pg_wal_replay_resume()")
            await replica.close()
            await primary.close()
    await caught_up(pair)


async def caught_up(pair: Pair) -> None:
    """Returns when the replica has all that the primary has written so far."""
    ((written,),) = pair.primary.execute("SELECT pg_current_wal_insert_lsn()::text")

    async def replayed() -> bool:
        found = pair.replica.execute("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written)
        return bool(found[0][0])

    await assert_eventually_async(replayed)


async def pause(pair: Pair) -> None:
    """The replica replays no more."""
    pair.replica.execute("SELECT pg_wal_replay_pause()")

    async def paused() -> bool:
        return pair.replica.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)]

    await assert_eventually_async(paused)


async def supplies(reader: Reader | ReplicaReader, min_revisions: Revisions = NONE) -> tuple[list[int], int, Revisions]:
    """Of all keys in one snapshot; with its instant and state."""
    async with reader.snapshot(ORGANIZATION, min_revisions=min_revisions) as snapshot:
        read = await snapshot.keys(KeyFilter(ORGANIZATION), None, 10)
        return [stock.supply for stock in read.stocks], snapshot.moment.instant, snapshot.moment.revisions


async def test_a_replica_answers_as_of_what_it_has(pair: Pair, shop: Shop) -> None:
    """Behind the primary it is, but what it answers is what a read at that instant answered, and answers later."""
    await pause(pair)
    before = await supplies(shop.both)
    await shop.desk.send(post(figure(7, "on_hand"), figure(5, "on_hand", sku="LAMP")))
    found = await supplies(shop.both)
    assert found[0] == before[0] == [10, 10]
    async with shop.primary.snapshot(ORGANIZATION, found[1]) as then:
        read = await then.keys(KeyFilter(ORGANIZATION), None, 10)
        assert [stock.supply for stock in read.stocks] == [10, 10]
    assert (await shop.both.points(ORGANIZATION, (key(),))).stocks[key()].supply == 10
    assert (await supplies(shop.primary))[0] == [7, 5]
    pair.replica.execute("SELECT pg_wal_replay_resume()")
    await caught_up(pair)
    assert (await supplies(shop.both))[0] == [7, 5]
    assert (await shop.both.points(ORGANIZATION, (key(),))).stocks[key()].supply == 7


async def test_a_state_that_the_replica_lacks_is_read_from_the_primary(
    pair: Pair, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded wait; where the replica gets it in time, it answers."""
    monkeypatch.setattr("ringfence_server.store.replica._MOST_WAIT_SECONDS", 0.1)
    await pause(pair)
    await shop.desk.send(post(figure(7, "on_hand"), figure(5, "on_hand", sku="LAMP")))
    _, _, revisions = await supplies(shop.primary)
    with pytest.raises(RevisionUnknown):
        await shop.replica.points(ORGANIZATION, (key(),), revisions)
    assert (await shop.both.points(ORGANIZATION, (key(),), revisions)).stocks[key()].supply == 7
    assert (await supplies(shop.both, revisions))[0] == [7, 5]
    pair.replica.execute("SELECT pg_wal_replay_resume()")
    monkeypatch.setattr("ringfence_server.store.replica._MOST_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(shop.both, "_primary", None)
    assert (await shop.both.points(ORGANIZATION, (key(),), revisions)).stocks[key()].supply == 7
    assert (await supplies(shop.both, revisions))[0] == [7, 5]


async def test_an_instant_that_the_replica_has_not_reached_is_the_primarys(pair: Pair, shop: Shop) -> None:
    """And one that it has reached is answered there."""
    await shop.both._instants.refresh()
    _, reached, _ = await supplies(shop.both)
    await pause(pair)
    await shop.desk.send(post(figure(7, "on_hand")))
    _, later, _ = await supplies(shop.primary)
    async with shop.both.snapshot(ORGANIZATION, later) as snapshot:
        assert snapshot.moment.instant == later
        (stock,) = await snapshot.stocks([key()])
        assert stock.supply == 7
    async with shop.both.snapshot(ORGANIZATION, reached) as snapshot:
        (stock,) = await snapshot.stocks([key()])
        assert stock.supply == 10


async def test_a_replica_that_is_away_is_no_harm(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The primary answers, and the log says once that the replica does not."""
    await shop.replica.close()
    with caplog.at_level(logging.INFO, "ringfence_server.store.replica"):
        assert (await supplies(shop.both))[0] == [10, 10]
        assert (await shop.both.points(ORGANIZATION, (key(),))).stocks[key()].supply == 10
    (said,) = caplog.messages
    assert said.startswith("the replica of --read-url is not read from: ")
