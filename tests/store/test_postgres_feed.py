"""The feed of PostgreSQL: what any server commits reaches the watchers of every other, and nothing is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Policy
from ringfence_server.store import postgres_feed
from ringfence_server.store.driver import PostgresConnection
from ringfence_server.store.postgres_feed import PostgresFeed
from ringfence_server.watch import Follower, Hub, Interest, Subscription
from tests.ledger.world import figure, key
from tests.patience import PATIENT
from tests.store.desk import ORGANIZATION, Desk, post
from tests.store.gates import gate
from tests.store.reading import reading
from tests.store.two_slots import HIGH, LOW

pytestmark = pytest.mark.postgres


@asynccontextmanager
async def following(desk: Desk) -> AsyncIterator[tuple[Follower, Hub]]:
    """A server's follower, which looks when it is told to, and its hub."""
    feed = PostgresFeed(desk.postgres.url, PATIENT, desk.postgres.slots)
    hub = Hub()
    follower = Follower(feed, hub)
    await follower.start()
    try:
        yield follower, hub
    finally:
        await feed.close()


def watching(hub: Hub, *skus: str) -> Subscription:
    return hub.subscribe(Interest(ORGANIZATION, frozenset(skus), lambda key: True))


def taken(subscription: Subscription) -> set[StockKey]:
    return set(subscription.take().keys)


async def test_a_batch_that_takes_its_revision_early_and_commits_late_is_not_missed(desks: tuple[Desk, Desk]) -> None:
    """While it is open, batches with higher revisions commit in another slot, and are heard of. The watcher gets it
    when it commits, and each change once."""
    one, other = desks
    async with following(other) as (follower, hub):
        wide, narrow = watching(hub), watching(hub, LOW)
        with gate(one, "COMMIT") as early:
            late = asyncio.ensure_future(one.send(post(figure(1, "on_hand", sku=LOW))))
            await early.reached()
            for value in (2, 3, 4):
                await other.send(post(figure(value, "on_hand", sku=HIGH)))
            await follower.look()
            assert taken(wide) == {key(HIGH)}
            early.open()
            await late
        revisions = dict(other.rows("SELECT slot, revision FROM slot_state WHERE slot IN (3, 40)"))
        assert revisions[3] < revisions[40], "it took its revision first"
        await follower.look()
        assert taken(wide) == {key(LOW)}
        assert taken(narrow) == {key(LOW)}
        await follower.look()
        assert taken(wide) == set()


async def test_a_token_from_before_a_late_commit_misses_nothing(desks: tuple[Desk, Desk]) -> None:
    """Taken on one server while a batch was open, resumed on the other after it committed: by the other's hub, and by
    the store when the hub does not go back so far."""
    one, other = desks
    async with following(one) as (mine, here), following(other) as (theirs, there):
        with gate(one, "COMMIT") as early:
            late = asyncio.ensure_future(one.send(post(figure(1, "on_hand", sku=LOW))))
            await early.reached()
            await other.send(post(figure(2, "on_hand", sku=HIGH)))
            await mine.look()
            token = here.revisions
            early.open()
            await late
        await theirs.look()
        assert key(LOW) in (there.since(token, ORGANIZATION) or ())
    async with following(other) as (_, fresh), reading(other) as reader:
        assert fresh.since(token, ORGANIZATION) is None
        assert await reader.changed_since(ORGANIZATION, token, 100) == [key(LOW)]


async def test_a_token_that_is_ahead_of_a_servers_hub_is_continued(desks: tuple[Desk, Desk]) -> None:
    """The other server heard first: what this one hears later is sent again rather than not at all."""
    one, other = desks
    async with following(one) as (mine, here), following(other) as (theirs, there), reading(other) as reader:
        await one.send(post(figure(1, "on_hand", sku=LOW)))
        await mine.look()
        subscription = watching(there)
        assert there.since(here.revisions, ORGANIZATION) is None
        assert await reader.changed_since(ORGANIZATION, here.revisions, 100) == []
        await theirs.look()
        assert taken(subscription) == {key(LOW)}


async def test_a_state_that_never_was_is_not_continued(desks: tuple[Desk, Desk]) -> None:
    """A token of another database; and one so old that what changed since is forgotten."""
    one, _ = desks
    async with reading(one) as reader, following(one) as (_, hub):
        old = hub.revisions
        ahead = tuple(revision + 1 for revision in old)
        assert await reader.changed_since(ORGANIZATION, ahead, 100) is None
        assert await reader.changed_since(ORGANIZATION, (0,) * 65, 100) is not None
        one.clock.advance(timedelta(hours=1))
        await one.send(post(figure(3, "on_hand", sku=LOW)))
        one.clock.advance(timedelta(days=2))
        assert await reader.changed_since(ORGANIZATION, old, 100) == [key(LOW)]
        await one.prune()
        await one.send(post(figure(4, "on_hand", sku=LOW)))
        assert await reader.changed_since(ORGANIZATION, old, 100) is None
        assert await reader.changed_since(ORGANIZATION, (*hub.revisions,), 0) is None


async def test_a_write_on_one_server_wakes_the_follower_of_another(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a notification: looking by itself would take an hour here."""
    monkeypatch.setattr("ringfence_server.watch.follower._POLL_SECONDS", 3_600.0)
    monkeypatch.setattr("ringfence_server.watch.follower._UNHEARD_SECONDS", 3_600.0)
    one, other = desks
    async with following(one) as (mine, _), following(other) as (theirs, there):
        subscription = watching(there, HIGH)
        tasks = [asyncio.ensure_future(mine.run()), asyncio.ensure_future(theirs.run())]
        one.committer._on_commit = mine.committed
        for value in (1, 2, 3):
            await one.send(post(figure(value, "on_hand", sku=HIGH)))
            assert await subscription.wait(60)
            assert taken(subscription) == {key(HIGH)}
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_what_no_notification_told_is_found_all_the_same(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that wrote died before it could notify."""
    monkeypatch.setattr("ringfence_server.watch.follower._POLL_SECONDS", 0.02)
    one, other = desks
    async with following(other) as (theirs, there):
        subscription = watching(there)
        task = asyncio.ensure_future(theirs.run())
        await one.send(post(figure(1, "on_hand", sku=LOW)))
        assert await subscription.wait(60)
        assert taken(subscription) == {key(LOW)}
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_follower_whose_connection_was_ended_connects_anew(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And misses nothing of what was committed meanwhile."""
    monkeypatch.setattr("ringfence_server.watch.follower._RETRY_SECONDS", 0.02)
    one, other = desks
    async with following(other) as (theirs, there):
        subscription = watching(there)
        task = asyncio.ensure_future(theirs.run())
        ended = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'ringfence-upkeep'"
        )
        for value in (1, 2):
            assert one.rows(ended) == [(1,)]
            await one.send(post(figure(value, "on_hand", sku=LOW)))
            assert await subscription.wait(60)
            assert taken(subscription) == {key(LOW)}
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_connection_that_was_stopped_before_it_listened_is_not_taken_for_open(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening it once more listens, on a connection of its own: the pool has only one."""
    one, _ = desks
    first, second = (PostgresFeed(one.postgres.url, PATIENT, one.postgres.slots) for _ in range(2))
    heard = asyncio.Event()
    opened: list[object] = []
    with monkeypatch.context() as patched:

        async def stopped(*_: object) -> None:
            raise asyncio.CancelledError

        patched.setattr("asyncpg.Connection.add_listener", stopped)
        with pytest.raises(asyncio.CancelledError):
            await first.open(heard.set, opened.append)
    try:
        await first.open(heard.set, opened.append)
        await second.open(lambda: None, lambda _places: None)
        await second.notify([(ORGANIZATION, "north")])
        await asyncio.wait_for(heard.wait(), 60)
        assert opened == [[(ORGANIZATION, "north")]]
        heard.clear()
        await second.notify([(ORGANIZATION, f"store {number}") for number in range(1_000)])
        await asyncio.wait_for(heard.wait(), 60)
        assert opened[1:] == [None], "more than a notification holds are anywhere"
    finally:
        await first.close()
        await second.close()


async def test_more_than_one_look_takes_is_looked_for_again(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded pieces, of each slot in its order."""
    monkeypatch.setattr(postgres_feed, "_ROWS_A_LOOK", 2)
    one, other = desks
    async with following(other) as (follower, hub):
        subscription = watching(hub)
        for number in range(5):
            await one.send(post(figure(1, "on_hand", sku=LOW, location=f"kiosk-{number}")))
        found: list[set[StockKey]] = []
        while await follower.look():
            found.append(taken(subscription))
        found.append(taken(subscription))
        assert [sorted(each.location for each in keys) for keys in found] == [
            ["kiosk-0", "kiosk-1"],
            ["kiosk-2", "kiosk-3"],
            ["kiosk-4"],
        ]


async def test_a_change_of_policy_reaches_the_watchers_of_every_server(desks: tuple[Desk, Desk]) -> None:
    """New rules may change any figure; they are told once."""
    one, other = desks
    async with following(other) as (follower, hub):
        subscription = watching(hub, LOW)
        await one.send(SetPolicy(Policy(dimensions=("colour",)), 1))
        await follower.look()
        assert subscription.take().everything
        await one.send(post(figure(5, "on_hand", sku=HIGH)))
        await follower.look()
        assert not subscription.take().everything


async def test_a_follower_that_was_away_too_long_sends_its_watchers_to_the_store(desks: tuple[Desk, Desk]) -> None:
    """What it has missed may be forgotten already: nobody is left with a figure that is no longer so."""
    one, other = desks
    async with following(other) as (follower, hub):
        wide, narrow = watching(hub), watching(hub, HIGH)
        one.clock.advance(timedelta(hours=30))
        await one.send(post(figure(1, "on_hand", sku=LOW)))
        await follower.look()
        assert wide.take().behind
        assert narrow.take().behind
        assert await wide.wait(0) is False


async def test_a_change_is_told_without_a_lock_of_the_whole_database(desks: tuple[Desk, Desk]) -> None:
    """No batch notifies within its transaction."""
    one, _ = desks
    sent: list[str] = []
    command = PostgresConnection.command

    def note(self: PostgresConnection, sql: str) -> None:
        sent.append(f"{sql} in a transaction" if self.in_transaction else sql)
        command(self, sql)

    async with following(one) as (follower, _hub):
        one.committer._on_commit = follower.committed
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(PostgresConnection, "command", note)
            for value in (1, 2, 3):
                await one.send(post(figure(value, "on_hand", sku=LOW)))
            await follower.look()
            await follower.look()
    assert [sql for sql in sent if sql.startswith("NOTIFY")] == ["NOTIFY ringfence_feed"], "and one for all three"
