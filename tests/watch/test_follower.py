"""The follower: when it looks, whom it tells, and what it does while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

import pytest

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import ChangesRead
from ringfence_server.ledger.revisions import Revisions
from ringfence_server.ledger.work import Committed, Place, StoreUnavailable
from ringfence_server.watch import Follower, Hub, Interest

BIKE = StockKey("acme", "BIKE", "north")


class Feed:
    """A feed that does what the test says."""

    def __init__(self) -> None:
        self.revision = 1
        self.changed: list[StockKey] = []
        self.calls: list[str] = []
        self.away = False
        self.closed = asyncio.Event()
        self.notified: Callable[[], None] = lambda: None
        self.opened: Callable[[Collection[Place] | None], None] = lambda _places: None
        self.told: list[set[Place]] = []
        self._awaited: dict[str, asyncio.Event] = {}

    def next_call(self, call: str) -> asyncio.Event:
        """Is set when the follower makes this call."""
        self._awaited[call] = asyncio.Event()
        return self._awaited[call]

    async def open(self, notified: Callable[[], None], opened: Callable[[Collection[Place] | None], None]) -> None:
        self._answer("open")
        self.notified = notified
        self.opened = opened

    async def state(self) -> Revisions:
        return (self.revision,)

    async def after(self, revisions: Revisions) -> ChangesRead:
        self._answer("after")
        changed, self.changed = self.changed, []
        return ChangesRead((self.revision,), changed, (), False, False)

    async def notify(self, opened: Collection[Place]) -> None:
        self._answer("notify")
        self.told.append(set(opened))

    async def close(self) -> None:
        self.calls.append("close")
        self.closed.set()

    def commit(self) -> None:
        """Something is committed, by whomever."""
        self.revision += 1
        self.changed.append(BIKE)

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if call in self._awaited:
            self._awaited[call].set()
        if self.away:
            raise StoreUnavailable("away")


def own() -> Committed:
    return Committed(2, 2, (BIKE,))


async def test_own_batches_are_told_once_and_published_by_the_look() -> None:
    """However many were committed since the last one; what others committed needs no telling."""
    feed, hub = Feed(), Hub()
    follower = Follower(feed, hub)
    await follower.start()
    subscription = hub.subscribe(Interest("acme", frozenset(), lambda key: True))
    for _ in range(3):
        feed.commit()
        follower.committed(own())
    assert subscription.take().keys == (), "not before the store says so"
    await follower.look()
    await follower.look()
    assert feed.calls == ["open", "notify", "after", "after"]
    assert subscription.take().keys == (BIKE,)
    feed.commit()
    await follower.look()
    assert feed.calls[-1] == "after"
    assert "notify" not in feed.calls[2:]


async def test_what_could_not_be_told_is_told_later() -> None:
    """The store was away; other servers do not wait for their own look because of it, nor for orders."""
    feed, hub = Feed(), Hub()
    follower = Follower(feed, hub)
    await follower.start()
    feed.away = True
    follower.committed(own()._replace(orders=[("acme", "north")]))
    with pytest.raises(StoreUnavailable):
        await follower.look()
    feed.away = False
    follower.committed(own()._replace(orders=[("acme", "south")]))
    await follower.look()
    assert feed.told == [{("acme", "north"), ("acme", "south")}]


async def test_while_nobody_wants_to_hear_it_tells_the_others_and_does_not_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever begins to listen gets what was committed meanwhile, and from then on every commit is looked for; so it is
    when somebody beside the hub listens."""
    monkeypatch.setattr("ringfence_server.watch.follower._UNHEARD_SECONDS", 3_600.0)
    monkeypatch.setattr("ringfence_server.watch.follower._SPACING_SECONDS", 0.0)
    feed, hub, heard = Feed(), Hub(), False
    follower = Follower(feed, hub, heard=lambda: heard)
    await follower.start()
    running = asyncio.ensure_future(follower.run())

    async def commit(*, until: str) -> None:
        feed.commit()
        called = feed.next_call(until)
        follower.committed(own())
        await asyncio.wait_for(called.wait(), 30)

    await commit(until="after")
    for _ in range(3):
        await commit(until="notify")
    assert feed.calls == ["open", "open", "notify", "after", "notify", "notify", "notify"]
    subscription = hub.subscribe(Interest("acme", frozenset(), lambda key: True))
    assert await subscription.wait(30)
    assert subscription.take().keys == (BIKE,)
    assert hub.revisions == (5,)
    await commit(until="after")
    subscription.close()
    await commit(until="notify")
    assert feed.calls[-1] == "notify"
    heard = True
    await commit(until="after")
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_it_looks_when_woken_and_goes_on_when_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another server's notification, by a new watcher, by the end of an outage: never only by the clock."""
    monkeypatch.setattr("ringfence_server.watch.follower._POLL_SECONDS", 3_600.0)
    monkeypatch.setattr("ringfence_server.watch.follower._UNHEARD_SECONDS", 3_600.0)
    monkeypatch.setattr("ringfence_server.watch.follower._RETRY_SECONDS", 0.01)
    feed, hub, heard = Feed(), Hub(), asyncio.Event()
    opened: list[object] = []
    follower = Follower(feed, hub, changed=lambda _keys: heard.set(), opened=opened.append)
    await follower.start()
    running = asyncio.ensure_future(follower.run())

    async def heard_of() -> None:
        await asyncio.wait_for(heard.wait(), 60)
        heard.clear()

    feed.commit()
    await heard_of()
    feed.commit()
    hub.subscribe(Interest("acme", frozenset(), lambda key: True))
    await heard_of()
    feed.commit()
    feed.notified()
    await heard_of()
    feed.away = True
    feed.commit()
    feed.notified()
    await asyncio.wait_for(feed.closed.wait(), 60)
    feed.away = False
    await heard_of()
    assert hub.revisions == (5,)
    assert opened == [None, None], "after each connection: what was said before it is lost"
    feed.opened([("acme", "north")])
    assert opened[2:] == [[("acme", "north")]]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert feed.calls[-1] == "close"
