"""What is available, shown elsewhere: only differences to what was shown before, and the report of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from ringfence._balance_types import Balance, BalanceFilter
from ringfence._client import Client
from ringfence._enums import WatchEventKind
from ringfence._errors import RingfenceError
from ringfence._facts import PublishedQuantity
from ringfence._sync_watch import Watch
from ringfence._types import StockKey
from ringfence.adapters._metrics import Counters
from ringfence.adapters._state import StateFile
from ringfence.adapters._types import Shown

__all__ = ["Balances", "Quantity", "QueriedBalances", "WatchedBalances"]

MOST_AT_ONCE = 1_000
"""Quantities given to an adapter at once."""

Quantity: TypeAlias = Literal["available_to_reserve", "available"]
"""Which figure of a balance is shown: what one Reserve of the path would get, or what its own pool alone has."""


class Balances(Protocol):
    """Where the balances to be shown come from."""

    def changed(self) -> Iterable[Balance]:
        """Balances that may have changed since the last call; all of them the first time. It need not be exact: what is
        shown already is left out later."""

    def close(self) -> None:
        """Ends it."""


class QueriedBalances:
    """Asks for all balances each time. For few keys, and where nothing may run beside."""

    def __init__(self, client: Client, filter: BalanceFilter) -> None:
        self._client = client
        self._filter = filter

    def changed(self) -> Iterable[Balance]:
        """All balances."""
        return self._client.query_balance(self._filter, page_size=1_000)

    def close(self) -> None:
        """Nothing to end."""


class WatchedBalances:
    """Watches the balances in a thread of its own and keeps the newest of each that changed."""

    def __init__(self, client: Client, filter: BalanceFilter, *, min_interval: timedelta) -> None:
        self._client = client
        self._filter = filter
        self._min_interval = min_interval
        self._newest: dict[tuple[StockKey, str], Balance] = {}
        self._lock = threading.Lock()
        self._failure: RingfenceError | None = None
        self._begin()

    def _begin(self) -> None:
        self._watch: Watch = self._client.watch(self._filter, min_interval=self._min_interval)
        self._thread = threading.Thread(target=self._run, name="ringfence-publish", daemon=True)
        self._thread.start()

    def changed(self) -> Iterable[Balance]:
        """What changed since the last call, once each. Raises what ended the watch, such as Unavailable if the service
        was away when it began; who asks again has another one."""
        with self._lock:
            failure, self._failure = self._failure, None
            taken, self._newest = self._newest, {}
        if failure is not None:
            self._begin()
            raise failure
        return taken.values()

    def close(self) -> None:
        """Ends the watch."""
        self._watch.close()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            for event in self._watch:
                if event.kind in {WatchEventKind.SNAPSHOT, WatchEventKind.CHANGES}:
                    with self._lock:
                        for balance in event.balances:
                            self._newest[(balance.key, balance.path)] = balance
        except RingfenceError as error:
            with self._lock:
                self._failure = error


class PublishDesk:
    """Shows differences and reports them. A crash between the two steps shows and reports again: both are absolute."""

    def __init__(
        self,
        publish: Callable[[Sequence[Shown]], None],
        client: Client,
        state: StateFile,
        *,
        publisher: str,
        quantity: Quantity,
        counters: Counters,
        clock: Callable[[], datetime],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._publish = publish
        self._client = client
        self._state = state
        self._publisher = publisher
        self._quantity = quantity
        self._counters = counters
        self._clock = clock
        self._checkpoint = checkpoint
        self._shown: dict[str, int] = state.values.get("shown", {})
        self._unreported: dict[str, str] = state.values.get("unreported", {})
        self._waiting: dict[str, Shown] = {}

    def publish(self, balances: Balances) -> None:
        """Shows what differs. Raises what the adapter raises and RingfenceError; nothing is lost by it."""
        for balance in balances.changed():
            quantity = max(0, getattr(balance, self._quantity))
            shown = Shown(balance.key, balance.path, quantity)
            name = _name(shown)
            if self._shown.get(name) != quantity:
                self._waiting[name] = shown
            else:
                self._waiting.pop(name, None)
        while self._waiting:
            names = list(self._waiting)[:MOST_AT_ONCE]
            chunk = [self._waiting[name] for name in names]
            self._publish(chunk)
            self._checkpoint("shown")
            now = self._clock().isoformat()
            for name, shown in zip(names, chunk, strict=True):
                self._shown[name] = shown.quantity
                self._unreported[name] = now
                del self._waiting[name]
            self._counters.published += len(chunk)
            self._save()
            self._checkpoint("shown saved")
        self._report()

    def _report(self) -> None:
        while self._unreported:
            names = list(self._unreported)[:MOST_AT_ONCE]
            quantities = [_published(name, self._shown[name], self._unreported[name]) for name in names]
            self._client.report_published(quantities, publisher=self._publisher)
            self._checkpoint("reported")
            for name in names:
                del self._unreported[name]
            self._save()

    def _save(self) -> None:
        self._state.save({"shown": self._shown, "unreported": self._unreported})


def _name(shown: Shown) -> str:
    key = shown.key
    return json.dumps([key.sku, key.location, sorted(key.dimensions.items()), shown.path], ensure_ascii=False)


def _published(name: str, quantity: int, time: str) -> PublishedQuantity:
    sku, location, dimensions, path = json.loads(name)
    return PublishedQuantity(
        sku, location, quantity, datetime.fromisoformat(time), path=path, dimensions=dict(dimensions)
    )
