"""The hub: every commit comes in, every subscription learns which of its keys are no longer as sent.

Level-triggered: what is kept is *which* keys changed, never their states, so a slow subscriber costs a set of keys and
gets the newest state. Publishing costs the writers one look-up per changed key, plus one wake-up per subscriber that
was asleep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.revisions import NONE, Revisions, contains, joined, revisions_in
from ringfence_server.ledger.work import Committed

_MOST_RECENT_KEYS: Final = 200_000


class Interest(NamedTuple):
    """What a subscription wants to hear of."""

    organization: str
    skus: frozenset[str]
    """Empty: all."""
    matches: Callable[[StockKey], bool]
    """The filters beyond organization and SKU."""


class Changes(NamedTuple):
    """What a subscription took."""

    keys: tuple[StockKey, ...]
    everything: bool
    """The rules changed: read all that matches anew."""
    behind: bool
    """More changed than the hub remembers: come back with the token and ask the store."""
    revisions: Revisions
    """All changes up to this state are covered."""


class Closed(Exception):
    """The server drains; come back with the token."""


class Subscription:
    """One watcher's view of the hub. Used by one task."""

    def __init__(self, hub: Hub, interest: Interest) -> None:
        self._hub = hub
        self.interest = interest
        self.revisions = hub.revisions
        """All changes up to this state have been taken."""
        self._position = hub.position
        self._dirty: dict[StockKey, None] = {}
        self._everything = False
        self._lost = False
        self._event = asyncio.Event()

    async def wait(self, timeout_seconds: float) -> bool:
        """Waits until something changed; False when nothing did in that time.

        Raises:
            Closed: the hub closes.
        """
        if not self._pending():
            self._event.clear()
            self._hub.falls_asleep(self)
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._event.wait()
            except TimeoutError:
                # A change may have come in the same turn of the loop: then it is pending, and must stay so.
                if not self._pending():
                    # Nothing that matters changed up to now: a token may say so.
                    self._position, self.revisions = self._hub.position, self._hub.revisions
                    return False
        if self._hub.closed:
            raise Closed
        return True

    def take(self) -> Changes:
        """What changed since the last take."""
        behind, self._lost = self._lost, False
        everything, self._everything = self._everything, False
        keys, self._dirty = self._dirty, {}
        if not self.interest.skus:
            recent = self._hub.after(self._position, self.interest.organization)
            if recent is None:
                behind = True
            else:
                keys.update((key, None) for key in recent if self.interest.matches(key))
        self._position, self.revisions = self._hub.position, self._hub.revisions
        return Changes(tuple(keys), everything, behind, self.revisions)

    def close(self) -> None:
        """Hears no more."""
        self._hub.remove(self)

    def mark(self, key: StockKey) -> None:
        """A key of this subscription changed."""
        if self.interest.matches(key):
            self._dirty[key] = None
            self._event.set()

    def mark_everything(self) -> None:
        """The rules changed: any figure may differ."""
        self._everything = True
        self._event.set()

    def mark_lost(self) -> None:
        """Something changed, and nobody can tell what."""
        self._lost = True
        self._event.set()

    def wake(self) -> None:
        """Something changed that may match."""
        self._event.set()

    def add(self, keys: tuple[StockKey, ...]) -> None:
        """Keys known to have changed before the subscription began: a resumed watch."""
        self._dirty.update((key, None) for key in keys if self.interest.matches(key))

    def _pending(self) -> bool:
        if self._dirty or self._everything or self._lost or self._hub.closed:
            return True
        return not self.interest.skus and self._position < self._hub.newest_of(self.interest.organization)


def _nothing() -> None:
    """Nobody wants to know."""


class _Change(NamedTuple):
    """What one publication changed of an organization."""

    position: int
    revisions: Revisions
    """The state with it."""
    organization: str
    keys: tuple[StockKey, ...]


class Hub:
    """Takes commits, serves subscriptions. Lives on the event loop.

    Publications are numbered as they come in: commits of different slots of the store have no order of their own, and
    two servers may hear of them in different orders. What a watcher takes with it to another server is therefore never
    a number of this hub, but the state that it has seen: ``revisions``.
    """

    def __init__(self, revisions: Revisions = NONE) -> None:
        self.revisions = revisions
        """The newest state published: no group commit of a slot up to its revision is still to come."""
        self.position = 0
        """The number of the newest publication."""
        self.closed = False
        self._pauses: set[asyncio.Timeout] = set()
        self._start = revisions
        self._by_sku: dict[tuple[str, str], set[Subscription]] = {}
        self._wide: dict[str, set[Subscription]] = {}
        self._asleep: dict[str, set[Subscription]] = {}
        self._recent: deque[_Change] = deque()
        self._recent_keys = 0
        self._forgotten: dict[str, _Change] = {}
        self._newest: dict[str, int] = {}
        self._count = 0
        self.on_subscribe: Callable[[], None] = _nothing
        """Called when somebody begins to listen."""

    def __len__(self) -> int:
        return self._count

    def publish(self, committed: Committed) -> None:
        """Takes one durable batch. Of each slot, batches come in the order of their revisions, and none is left out."""
        self.publish_all((committed,), revisions_in(committed.slots, committed.revision))

    def publish_all(self, commits: Sequence[Committed], revisions: Revisions) -> None:
        """Takes several durable batches at once, after which the store is at ``revisions``, or further where it was."""
        if contains(self.revisions, revisions):
            return
        self.revisions = revisions = joined(self.revisions, revisions)
        self.position += 1
        by_organization: dict[str, list[StockKey]] = {}
        by_sku = self._by_sku
        for committed in commits:
            for key in committed.changed:
                by_organization.setdefault(key.organization, []).append(key)
                if by_sku:
                    for subscription in by_sku.get((key.organization, key.sku), ()):
                        subscription.mark(key)
        for organization, keys in by_organization.items():
            self._remember(_Change(self.position, revisions, organization, tuple(keys)))
            self._wake_wide(organization)
        for committed in commits:
            for organization in committed.policies:
                for subscription in self._subscriptions_of(organization):
                    subscription.mark_everything()

    def lose(self, revisions: Revisions) -> None:
        """Something changed that nobody can tell any more: the store is at ``revisions``, and every subscriber has to
        come back with its token."""
        self.revisions = self._start = joined(self.revisions, revisions)
        self.position += 1
        self._recent.clear()
        self._recent_keys = 0
        for organization in {owner for owner, _ in self._by_sku} | set(self._wide):
            for subscription in self._subscriptions_of(organization):
                subscription.mark_lost()

    def subscribe(self, interest: Interest) -> Subscription:
        """Begins to collect changes."""
        subscription = Subscription(self, interest)
        if interest.skus:
            for sku in interest.skus:
                self._by_sku.setdefault((interest.organization, sku), set()).add(subscription)
        else:
            self._wide.setdefault(interest.organization, set()).add(subscription)
        self._count += 1
        self.on_subscribe()
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Ends a subscription."""
        interest = subscription.interest
        removed = False
        for sku in interest.skus:
            subscriptions = self._by_sku.get((interest.organization, sku), set())
            removed = removed or subscription in subscriptions
            subscriptions.discard(subscription)
            if not subscriptions:
                self._by_sku.pop((interest.organization, sku), None)
        wide = self._wide.get(interest.organization, set())
        removed = removed or subscription in wide
        wide.discard(subscription)
        self._asleep.get(interest.organization, set()).discard(subscription)
        self._count -= removed

    def since(self, revisions: Revisions, organization: str) -> dict[StockKey, None] | None:
        """Keys of an organization changed after a state, oldest first and perhaps some that it has already; None when
        that is no longer known here, or not yet: another server may have heard of more."""
        forgotten = self._forgotten.get(organization)
        if (
            not contains(revisions, self._start)
            or not contains(self.revisions, revisions)
            or (forgotten is not None and not contains(revisions, forgotten.revisions))
        ):
            return None
        newer: list[_Change] = []
        for change in reversed(self._recent):
            # States only grow: whoever has this one has all before it.
            if contains(revisions, change.revisions):
                break
            if change.organization == organization:
                newer.append(change)
        return {key: None for change in reversed(newer) for key in change.keys}

    def after(self, position: int, organization: str) -> dict[StockKey, None] | None:
        """Keys of an organization changed after a publication; None when that is no longer known."""
        forgotten = self._forgotten.get(organization)
        if forgotten is not None and position < forgotten.position:
            return None
        keys: dict[StockKey, None] = {}
        for change in reversed(self._recent):
            if change.position <= position:
                break
            if change.organization == organization:
                keys.update(dict.fromkeys(change.keys))
        return keys

    def newest_of(self, organization: str) -> int:
        """The newest publication that changed a key of the organization; 0 when none did since the start."""
        return self._newest.get(organization, 0)

    def falls_asleep(self, subscription: Subscription) -> None:
        """A subscription waits: the next change of its organization wakes it, once."""
        if not subscription.interest.skus:
            self._asleep.setdefault(subscription.interest.organization, set()).add(subscription)

    def close(self) -> None:
        """Wakes every subscription to end with its token."""
        self.closed = True
        pauses, self._pauses = self._pauses, set()
        for pause in pauses:
            pause.reschedule(0.0)
        for organization in {owner for owner, _ in self._by_sku} | set(self._wide):
            for subscription in self._subscriptions_of(organization):
                subscription.wake()

    async def unless_closed(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Awaits something that takes its time, but not beyond the hub's end.

        Raises:
            Closed: the hub closed first.
        """
        if self.closed:
            waiting.close()
            raise Closed
        with contextlib.suppress(TimeoutError):
            # Its time is over when the hub closes, and not before.
            async with asyncio.timeout(None) as pause:
                self._pauses.add(pause)
                try:
                    await waiting
                finally:
                    self._pauses.discard(pause)
        if self.closed:
            raise Closed

    def _remember(self, change: _Change) -> None:
        self._newest[change.organization] = change.position
        self._recent.append(change)
        self._recent_keys += len(change.keys)
        while self._recent_keys > _MOST_RECENT_KEYS and len(self._recent) > 1:
            oldest = self._recent.popleft()
            self._recent_keys -= len(oldest.keys)
            self._forgotten[oldest.organization] = oldest

    def _wake_wide(self, organization: str) -> None:
        asleep = self._asleep.pop(organization, None)
        for subscription in asleep or ():
            subscription.wake()

    def _subscriptions_of(self, organization: str) -> set[Subscription]:
        found = set(self._wide.get(organization, ()))
        for (owner, _), subscriptions in self._by_sku.items():
            if owner == organization:
                found |= subscriptions
        return found
