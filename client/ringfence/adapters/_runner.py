"""What does everything around a till's adapter: when, in which order, after a crash, and until it is told to stop."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringfence._balance_types import BalanceFilter
from ringfence._client import Client
from ringfence._errors import (
    InvalidArgument,
    PermissionDenied,
    Refused,
    RingfenceError,
    Unauthenticated,
    Unsupported,
)
from ringfence._sync_feed import OrderFeed
from ringfence.adapters._metrics import Counters
from ringfence.adapters._orders import OrderDesk
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._publishing import Balances, PublishDesk, Quantity, WatchedBalances
from ringfence.adapters._reads import ReadDesk
from ringfence.adapters._schedule import LONGEST_PAUSE, Backoff, Schedule
from ringfence.adapters._state import StateFile, StateFolder, write_atomically
from ringfence.adapters._types import AdapterError

__all__ = ["PosRunner", "RunnerConfig"]

_log = logging.getLogger("ringfence.adapters")

_FINAL = (Refused, InvalidArgument, Unauthenticated, PermissionDenied, Unsupported)
_LONGEST_WAIT = timedelta(seconds=1)
"""How long a wait for orders may be: a stop is seen after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """How a till's adapter is run."""

    name: str
    """The adapter's name at the service, 1 to 64 characters: the same after a restart."""
    locations: Sequence[str]
    """The TILL locations of this till, 1 to 100."""
    state: Path
    """The directory of what is remembered over a crash; it is made when it is not there. It must not be lost."""
    source: str = ""
    """The data source that posts; empty is the client's caller."""
    read: Schedule = field(default_factory=lambda: Schedule.every(timedelta(minutes=15)))
    """When the till is read."""
    publish: Schedule | None = None
    """When what is available is shown; None: never."""
    path: str = ""
    """The group path whose availability is shown; empty is the common pool."""
    quantity: Quantity = "available_to_reserve"
    """Which figure is shown."""
    orders: bool = True
    """Whether orders are taken to the till."""
    max_in_flight: int = 100
    """Events without a reply, 1 to 1,000. Those that the till answers later are not counted: up to 20,000 may wait."""
    lease: timedelta = timedelta(seconds=60)
    """How long an event is this adapter's alone without a sign of life; while its till works through what it was given
    the runner gives one with every answer and every look for orders."""
    metrics_file: Path | None = None
    """Where the counters are written as OpenMetrics text, after every step that did something; None: nowhere."""
    start_anew: bool = False
    """True: begin without a state though the service has figures of this source. Only after going live anew."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 64:
            raise ValueError("name is 1 to 64 characters")
        if isinstance(self.locations, str) or not 1 <= len(self.locations) <= 100:
            raise ValueError("locations are a list of 1 to 100")


class PosRunner:
    """Runs an adapter: `run` until `stop`, or `step` by step.

    `clock` gives the present as an aware datetime; `checkpoint` is called between every two steps with a name, for
    tests of crashes; `balances` makes the source of what is shown, a watch by default.
    """

    def __init__(
        self,
        adapter: PosAdapter,
        client: Client,
        config: RunnerConfig,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] | None = None,
        random_fraction: Callable[[], float] = random.random,
        checkpoint: Callable[[str], None] = lambda step: None,
        balances: Callable[[Client, BalanceFilter], Balances] | None = None,
    ) -> None:
        """Opens and locks the state; AdapterError when another program has it, when it cannot be read, or when it is
        missing. Whether it is missing the service knows: one that is away is asked by the first steps."""
        self.config = config
        self.counters = Counters()
        self._adapter = adapter
        self._client = client
        self._clock = clock
        self._stop = threading.Event()
        self._sleep = sleep or (lambda seconds: self._stop.wait(seconds) and None)
        self._checkpoint = checkpoint
        self._balances: Balances | None = None
        self._make_balances = balances
        self._feed: OrderFeed | None = None
        self._metrics_fault = ""
        self._random_fraction = random_fraction
        self._read_backoff, self._feed_backoff, self._publish_backoff = (self._backoff() for _ in range(3))
        now = clock()
        self._state = StateFolder(config.state, owner=config.name)
        try:
            self._reads = self._state.opened("reads", self._read_desk)
            self._orders = self._state.opened("orders", self._order_desk)
            self._published = self._state.opened("published", self._publish_desk)
            self._unproven = self._state.fresh and not config.start_anew
            self._prove_due = now
            self._prove(now)
        except BaseException:
            self._state.close()
            raise
        self._read_due = now
        self._publish_due = now
        self._feed_due = now

    def _backoff(self) -> Backoff:
        return Backoff(random_fraction=self._random_fraction)

    def _read_desk(self, state: StateFile) -> ReadDesk:
        return ReadDesk(
            self._adapter,
            self._client,
            state,
            source=self.config.source,
            name=self.config.name,
            counters=self.counters,
            checkpoint=self._checkpoint,
        )

    def _order_desk(self, state: StateFile) -> OrderDesk:
        return OrderDesk(
            self._adapter,
            state,
            counters=self.counters,
            clock=self._clock,
            backoff=self._backoff(),
            checkpoint=self._checkpoint,
        )

    def _publish_desk(self, state: StateFile) -> PublishDesk:
        return PublishDesk(
            self._adapter.publish,
            self._client,
            state,
            publisher=self.config.name,
            quantity=self.config.quantity,
            counters=self.counters,
            clock=self._clock,
            checkpoint=self._checkpoint,
        )

    def run(self) -> None:
        """Works until `stop`. Raises RingfenceError when the service refuses for good, such as PermissionDenied."""
        try:
            while not self._stop.is_set():
                self._idle(min(self.step(), _LONGEST_WAIT))
        finally:
            self.close()

    def stop(self) -> None:
        """Ends `run` after the present step; from any thread, or a signal's handler."""
        self._stop.set()

    def step(self, *, wait: timedelta = timedelta(0)) -> timedelta:
        """Does everything that is due, waiting at most `wait` for orders; gives the time until something is due."""
        now = self._clock()
        if self._unproven and not self._prove(now):
            return max(timedelta(0), self._prove_due - self._clock())
        self._notice_clock(now)
        if now >= self._read_due:
            self._read(now)
        if self.config.orders and now >= self._feed_due:
            self._take_orders(wait)
        if self.config.publish is not None and now >= self._publish_due:
            self._publish(now, self.config.publish)
        self._write_metrics()
        due = [self._read_due]
        if self.config.orders and self._feed is None:
            due.append(self._feed_due)
        if self.config.publish is not None:
            due.append(self._publish_due)
        return max(timedelta(0), min(due) - self._clock())

    def close(self) -> None:
        """Ends the feed and the watch, closes the adapter and gives the state back. Closing twice is nothing."""
        self._stop.set()
        self._close_feed()
        if self._balances is not None:
            self._balances.close()
            self._balances = None
        self._adapter.close()
        self._state.close()

    def _idle(self, longest: timedelta) -> None:
        if self._stop.is_set() or longest <= timedelta(0):
            return
        # An open feed waits in the next step's place, so that an order is taken at once.
        if self._feed is not None and not self._orders.full:
            self._take_orders(longest)
        else:
            self._sleep(longest.total_seconds())

    def _read(self, now: datetime) -> None:
        schedule = self.config.read
        try:
            if schedule.on_change and not self._adapter.changed():
                self._read_due = schedule.next_after(now)
                return
            more = self._reads.read()
        except _FINAL:
            raise
        except Exception as error:
            self.counters.reads_failed += 1
            pause = self._read_backoff.failed()
            _log.warning("reading failed, again in %.0f s: %s", pause.total_seconds(), error)
            self._read_due = now + pause
        else:
            self._read_backoff.succeeded()
            if more:
                self.counters.last_read_time = now
            # A folder may hold more than one export: the next one follows at once.
            self._read_due = now if more and self._adapter.more() else schedule.next_after(now)

    def _take_orders(self, wait: timedelta) -> None:
        try:
            if self._feed is None:
                self._feed = self._client.stream_orders(
                    self.config.locations,
                    adapter=self.config.name,
                    source=self.config.source,
                    max_in_flight=self.config.max_in_flight,
                    lease=self.config.lease,
                )
            # While the till has what it was given, no other adapter of the location is.
            self._feed.keep()
            before = self._events_done()
            self._orders.replay(self._feed)
            if not self._orders.full:
                events = self._feed.take(self.config.max_in_flight, timeout=wait)
                if events:
                    self._orders.take(events, self._feed)
            if before != self._events_done():
                self._orders.save()
                self._checkpoint("orders saved")
            self._feed_backoff.succeeded()
        except _FINAL:
            raise
        except Exception as error:
            self.counters.feed_failures += 1
            pause = self._feed_backoff.failed()
            _log.warning("orders could not be taken, again in %.0f s: %s", pause.total_seconds(), error)
            self._close_feed()
            self._feed_due = self._clock() + pause

    def _events_done(self) -> tuple[int, ...]:
        """What rises with everything that the desk has to keep."""
        counters = self.counters
        return (
            counters.replies,
            counters.orders,
            counters.cancellations,
            counters.postponements,
            counters.reply_failures,
        )

    def _publish(self, now: datetime, schedule: Schedule) -> None:
        try:
            if self._balances is None:
                self._balances = self._open_balances(schedule)
            self._published.publish(self._balances)
        except _FINAL:
            raise
        except Exception as error:
            self.counters.publish_failures += 1
            pause = self._publish_backoff.failed()
            _log.warning("showing balances failed, again in %.0f s: %s", pause.total_seconds(), error)
            self._publish_due = now + pause
        else:
            self._publish_backoff.succeeded()
            self._publish_due = schedule.next_after(now)

    def _open_balances(self, schedule: Schedule) -> Balances:
        chosen = BalanceFilter(locations=self.config.locations, path=self.config.path, exact_path=True)
        if self._make_balances is not None:
            return self._make_balances(self._client, chosen)
        return WatchedBalances(self._client, chosen, min_interval=schedule.interval)

    def _write_metrics(self) -> None:
        path = self.config.metrics_file
        if path is None:
            return
        try:
            write_atomically(path, self.counters.open_metrics().encode())
            self._metrics_fault = ""
        except OSError as error:
            # Numbers for a collector are no reason to stop. Said once, not at every step.
            if self._metrics_fault != str(error):
                _log.warning("the metrics cannot be written to %s: %s", path, error.strerror or error)
            self._metrics_fault = str(error)

    def _notice_clock(self, now: datetime) -> None:
        self._read_due = self.config.read.soon_enough(self._read_due, now)
        self._feed_due = min(self._feed_due, now + LONGEST_PAUSE)
        if self.config.publish is not None:
            self._publish_due = self.config.publish.soon_enough(self._publish_due, now)

    def _prove(self, now: datetime) -> bool:
        """Whether the state may be begun with; False: the service, which knows, is away."""
        if self._unproven and now >= self._prove_due:
            try:
                self._check_first_start()
            except _FINAL:
                raise
            except RingfenceError as error:
                pause = self._read_backoff.failed()
                self.counters.reads_failed += 1
                _log.warning("the service does not answer, again in %.0f s: %s", pause.total_seconds(), error)
                self._prove_due = now + pause
            else:
                self._unproven = False
                self._read_backoff.succeeded()
        return not self._unproven

    def _check_first_start(self) -> None:
        """A state that was lost would give bookings new positions, and count them twice."""
        source = self.config.source or self._client.config.caller
        for stock in self._client.list_stock(locations=self.config.locations, page_size=1_000):
            for measure in stock.measures.values():
                if measure.source == source and measure.position:
                    raise AdapterError(
                        f"there is no state in {self.config.state}, but the service has figures of {source!r} at "
                        f"{stock.key.location}: restore the directory, or go live anew (stop selling, drain, post) and "
                        "start with --start-anew (start_anew=True)"
                    )

    def _close_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()
