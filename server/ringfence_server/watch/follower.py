"""The follower: tells a hub what every server of a store commits, this one's own batches included.

Batches of different slots, and of different servers, are visible in no common order. The follower asks the store, in
one snapshot, for each slot's revision and for what changed above the revision that the hub has. A slot's revision is
taken under the slot's lock, which is held until the commit: when one is visible so are all below it, and nothing can
appear below it later. So nothing is missed, whatever the order of the commits, and nothing is published twice.

A notification says only that there is something; what it is, or whether one was lost, does not matter: the follower
also looks by itself every now and then. While nobody here wants to hear of changes that is the only time it does: at
full load a look after every batch would cost a tenth of the server.

With a notification travels where order events became open to be handed over, for that need not move any balance: a till
replied to an earlier one. Whoever waits for orders there looks. If that is lost, the events are found when the lease of
the earlier one would have ended, and after a broken connection at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import ChangesRead
from ringfence_server.ledger.revisions import Revisions
from ringfence_server.ledger.work import Committed, Place, StoreUnavailable

from .hub import Hub

_log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.25
"""How late a change is heard of when its notification was lost."""
_UNHEARD_SECONDS: Final = 1.0
"""Between two looks while nobody wants to hear."""
_SPACING_SECONDS: Final = 0.02
"""Between two looks under load: what comes meanwhile is one look, and one notification. The first is not delayed."""
_RETRY_SECONDS: Final = 0.5


class ChangeFeed(Protocol):
    """A store's changes, whoever made them. Used by one task."""

    async def open(self, notified: Callable[[], None], opened: Callable[[Collection[Place] | None], None]) -> None:
        """Connects; ``notified`` is called when another server says that there is something, ``opened`` where it says
        that order events opened; None: anywhere.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """

    async def state(self) -> Revisions:
        """The state the store is in; what changed before is not asked for.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

    async def after(self, revisions: Revisions) -> ChangesRead:
        """What changed after a state.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

    async def notify(self, opened: Collection[Place]) -> None:
        """Tells the other servers that there is something, and where order events opened.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """

    async def close(self) -> None:
        """Disconnects; it may be opened again."""


class Follower:
    """Keeps one hub up to date. Lives on the event loop."""

    def __init__(
        self,
        feed: ChangeFeed,
        hub: Hub,
        *,
        changed: Callable[[Sequence[StockKey]], None] = lambda _keys: None,
        heard: Callable[[], bool] = lambda: False,
        opened: Callable[[Collection[Place] | None], None] = lambda _places: None,
    ) -> None:
        """``changed`` is called after something was published, with the keys that changed. ``heard``: whether somebody
        beside the hub's subscribers wants to hear of that soon. ``opened`` is called when other servers opened order
        events, with the places (None: perhaps anywhere)."""
        self._feed = feed
        self._hub = hub
        self._changed = changed
        self._heard = heard
        self._opened = opened
        self._untold_places: set[Place] = set()
        self._wake = asyncio.Event()
        self._untold = False
        hub.on_subscribe = self._wake.set

    def committed(self, committed: Committed) -> None:
        """This server committed a batch: it is looked for at once, and the other servers are told."""
        self._untold = True
        self._untold_places.update(committed.orders)
        self._wake.set()

    async def start(self) -> None:
        """Begins with the store as it is. Call it before anybody subscribes.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        await self._feed.open(self._wake.set, self._opened)
        self._hub.lose(await self._feed.state())

    async def run(self) -> None:
        """Runs until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._feed.open(self._wake.set, self._opened)
                    # What was said while nobody listened is lost.
                    self._opened(None)
                    look_at = loop.time()
                    while True:
                        more = False
                        if self._is_heard or loop.time() >= look_at:
                            more = await self.look()
                            look_at = loop.time() + _UNHEARD_SECONDS
                        else:
                            await self._tell()
                        acted = loop.time()
                        if not more:
                            await self._pause(look_at)
                        await asyncio.sleep(max(0.0, acted + _SPACING_SECONDS - loop.time()))
                except StoreUnavailable as away:
                    _log.warning("following the store's changes waits for it: %s", away)
                except Exception:
                    _log.exception("following the store's changes failed")
                await self._feed.close()
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await self._feed.close()

    async def look(self) -> bool:
        """Tells the others, and the hub, what there is; whether there is more.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        await self._tell()
        found = await self._feed.after(self._hub.revisions)
        before = self._hub.position
        if found.lost:
            self._hub.lose(found.revisions)
        else:
            self._hub.publish_all((Committed(0, 0, found.keys, found.policies),), found.revisions)
        if self._hub.position > before:
            self._changed(found.keys)
        return found.more

    async def _tell(self) -> None:
        """Tells the other servers of what this one committed."""
        # What comes from here on wakes again.
        self._wake.clear()
        if self._untold:
            self._untold = False
            places, self._untold_places = self._untold_places, set()
            try:
                await self._feed.notify(places)
            except BaseException:
                self._untold = True
                self._untold_places |= places
                raise

    @property
    def _is_heard(self) -> bool:
        return len(self._hub) > 0 or self._heard()

    async def _pause(self, look_at: float) -> None:
        """Waits for whoever wakes, but not for long."""
        seconds = look_at - asyncio.get_running_loop().time()
        if self._is_heard:
            seconds = min(seconds, _POLL_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return
