"""Who waits for orders of which location, and what wakes them: commits that open events, so that nobody polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, Place


class OrderListener:
    """One stream's view of the bell. Used by one task."""

    def __init__(
        self,
        organization: str,
        adapter: str,
        locations: Iterable[str],
        on_replaced: Callable[[], None],
        rung: asyncio.Event,
    ) -> None:
        self.organization = organization
        self.adapter = adapter
        self.locations = frozenset(locations)
        self.rung = rung
        """Set when there may be something to take; the stream clears it before it looks."""
        self.on_replaced = on_replaced
        """Called when the same adapter comes back on another stream."""


class OrderBell:
    """Takes commits, wakes the streams of the locations that they opened events of. Lives on the event loop."""

    def __init__(self) -> None:
        self._by_location: dict[Place, set[OrderListener]] = {}

    def __len__(self) -> int:
        """The locations that somebody listens to."""
        return len(self._by_location)

    def publish(self, committed: Committed) -> None:
        """Takes one durable batch."""
        for place in committed.orders:
            for listener in self._by_location.get(place, ()):
                listener.rung.set()

    def changed(self, keys: Iterable[StockKey]) -> None:
        """Stock keys changed, perhaps by another server: where something was sold there may be an order."""
        for place in {(key.organization, key.location) for key in keys}:
            for listener in self._by_location.get(place, ()):
                listener.rung.set()

    def opened(self, places: Collection[Place] | None) -> None:
        """Another server opened events at these places; None: it may have, anywhere."""
        for place in self._by_location if places is None else places:
            for listener in self._by_location.get(place, ()):
                listener.rung.set()

    def listen(self, listener: OrderListener) -> None:
        """Begins to hear. An adapter has one stream per location: its earlier ones there, perhaps of a connection that
        is dead and does not know it yet, are told that they are replaced."""
        places = [(listener.organization, location) for location in listener.locations]
        replaced = {
            other
            for place in places
            for other in self._by_location.get(place, ())
            if other.adapter == listener.adapter and other is not listener
        }
        for other in replaced:
            self.leave(other)
            other.on_replaced()
        for place in places:
            self._by_location.setdefault(place, set()).add(listener)

    def leave(self, listener: OrderListener) -> None:
        """Hears no more."""
        for location in listener.locations:
            place = (listener.organization, location)
            listeners = self._by_location.get(place)
            if listeners is not None:
                listeners.discard(listener)
                if not listeners:
                    del self._by_location[place]
