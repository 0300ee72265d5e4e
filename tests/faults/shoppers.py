"""Shoppers that go on through faults, and remember what they asked, when, and what they were told."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final, TypeVar

from ringfence import (
    Client,
    DeadlineExceeded,
    InsufficientQuantity,
    Line,
    NotHeld,
    OutcomeUnknown,
    RetryPolicy,
    RingfenceError,
    StockFigure,
    Unavailable,
    uuid7,
)
from tests.faults.linearizability import Operation
from tests.faults.stock_history import (
    Answered,
    Asked,
    Balance,
    Cancel,
    Consume,
    QueryBalance,
    Reserve,
    judge_stock,
)

T = TypeVar("T")

LOCATION: Final = "north"
_DEADLINE: Final = timedelta(seconds=120)
"""Far beyond what an answer may take: a call that hangs shall be seen, not cut."""
_PAUSE_SECONDS: Final = 0.02
_GIVE_UP_SECONDS: Final = 240.0


@dataclass
class Seen:
    """What all shoppers of a test saw. Used from their threads."""

    targets: list[str] = field(default_factory=list)
    """Where the servers are."""
    histories: dict[str, list[Operation[Asked, Answered]]] = field(default_factory=lambda: defaultdict(list))
    """Of each SKU, by time.monotonic()."""
    slowest_seconds: float = 0.0
    """The longest that one call took, answered or failed."""
    slowest: Asked | None = None
    """What that call asked."""
    failures: list[RingfenceError] = field(default_factory=list)
    """Calls that could not be served, in their order."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    progress: threading.Condition = field(default_factory=threading.Condition)
    done: dict[int, int] = field(default_factory=dict)
    """Of each shopper, its operations that were answered."""
    fault: BaseException | None = None
    """What a shopper did not expect."""

    def wait_for_all(self, more: int, seconds: float) -> float:
        """Waits until every shopper was answered so many times from now on; answers how long that took.

        Raises AssertionError when it takes longer than ``seconds``.
        """
        start = time.monotonic()
        with self.progress:
            wanted = {shopper: done + more for shopper, done in self.done.items()}
            reached = self.progress.wait_for(
                lambda: self.fault or all(self.done[shopper] >= least for shopper, least in wanted.items()), seconds
            )
        if self.fault is not None:
            raise self.fault
        assert reached, f"not every shopper was served {more} times within {seconds:g} s; last: {self.failures[-1:]}"
        return time.monotonic() - start

    def judge(self, units: int) -> int:
        """Judges every SKU's history, which began with so many units; answers how many operations there are."""
        for sku, history in self.histories.items():
            verdict = judge_stock(history, units)
            assert verdict.linearizable, f"{sku}: {verdict.explanation}"
        return sum(map(len, self.histories.values()))


class Shopper:
    """One after the other: reserves, consumes, cancels and looks, on one server and, when that fails, on the next. A
    request that was not answered is sent again under its id until it is."""

    def __init__(self, number: int, targets: Sequence[str], skus: Sequence[str], seen: Seen) -> None:
        self._number = number
        self._clients = [
            Client(
                target,
                timeout=_DEADLINE,
                retry=RetryPolicy(maximum_attempts=1),
                # A connection of its own: otherwise gRPC has all clients of a process share one.
                options=(("grpc.use_local_subchannel_pool", 1),),
            )
            for target in targets
        ]
        self._at = number % len(targets)
        self._skus = skus
        self._seen = seen
        self._random = Random(number)
        self._held: list[tuple[str, str, int]] = []
        self._ended: list[tuple[str, str, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shopper-{number}")
        seen.done[number] = 0

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Asks nothing more, waits for what was asked, and raises what went wrong."""
        self._stop.set()
        self._thread.join()
        for client in self._clients:
            client.close()
        if self._seen.fault is not None:
            raise self._seen.fault

    def _run(self) -> None:
        try:
            while not self._stop.wait(_PAUSE_SECONDS):
                self._ask_something()
                with self._seen.progress:
                    self._seen.done[self._number] += 1
                    self._seen.progress.notify_all()
        except BaseException as fault:
            with self._seen.progress:
                self._seen.fault = fault
                self._seen.progress.notify_all()

    def _ask_something(self) -> None:
        random = self._random
        kind = random.random()
        if self._held and kind < 0.35:
            sku, reservation, quantity = self._held.pop(random.randrange(len(self._held)))
            request_id = uuid7()
            if kind < 0.15:
                consume = Consume(reservation, quantity)
                self._ask(sku, consume, lambda client: _told(client.consume(reservation, request_id=request_id)))
            else:
                cancel = Cancel(reservation, quantity)
                self._ask(sku, cancel, lambda client: _told(client.cancel(reservation, request_id=request_id)))
                self._ended.append((sku, reservation, quantity))
        elif self._ended and kind < 0.4:
            # What was cancelled cannot be sold.
            sku, reservation, quantity = self._ended.pop()
            request_id = uuid7()
            late = Consume(reservation, quantity)
            self._ask(sku, late, lambda client: _told(client.consume(reservation, request_id=request_id)))
        elif kind < 0.75:
            sku, wanted, request_id = random.choice(self._skus), random.randint(1, 3), uuid7()
            line = Line(sku, LOCATION, wanted)
            answered = self._ask(
                sku,
                Reserve(wanted),
                lambda client: client.reserve(line, ttl=timedelta(hours=12), request_id=request_id).reservation_id,
            )
            if answered:
                assert isinstance(answered, str)
                self._held.append((sku, answered, wanted))
        else:
            sku = random.choice(self._skus)
            self._ask(sku, QueryBalance(), lambda client: _balance(client, sku))

    def _ask(self, sku: str, asked: Asked, call: Callable[[Client], Answered]) -> Answered | None:
        start = time.monotonic()
        answered: Answered | None = None
        while answered is None:
            answered = self._try(asked, call)
            if answered is None:
                if isinstance(asked, QueryBalance):
                    return None
                assert time.monotonic() - start < _GIVE_UP_SECONDS, f"{asked} finds no answer"
                self._at = (self._at + 1) % len(self._clients)
                time.sleep(_PAUSE_SECONDS)
        operation: Operation[Asked, Answered] = Operation(asked, answered, start, time.monotonic())
        with self._seen.lock:
            self._seen.histories[sku].append(operation)
        return answered

    def _try(self, asked: Asked, call: Callable[[Client], Answered]) -> Answered | None:
        start = time.monotonic()
        try:
            return call(self._clients[self._at])
        except InsufficientQuantity:
            return ""
        except NotHeld:
            return False
        except (Unavailable, OutcomeUnknown, DeadlineExceeded) as failure:
            with self._seen.lock:
                self._seen.failures.append(failure)
            return None
        finally:
            took = time.monotonic() - start
            with self._seen.lock:
                if took > self._seen.slowest_seconds:
                    self._seen.slowest_seconds, self._seen.slowest = took, asked


def _told(_result: object) -> bool:
    return True


def _balance(client: Client, sku: str) -> Balance:
    figures = client.balance(sku, LOCATION)
    assert figures is not None
    return Balance(figures.own.available, figures.own.held, figures.own.consumed)


def stock(target: str, skus: Sequence[str], units: int) -> None:
    """Posts the units of every SKU."""
    with Client(target) as client:
        client.post_stock([StockFigure(sku, LOCATION, units) for sku in skus])


def look_once_more(target: str, skus: Sequence[str], seen: Seen) -> None:
    """The last operation of every history is a look that nobody disturbs."""
    with Client(target, timeout=_DEADLINE) as client:
        for sku in skus:
            start = time.monotonic()
            balance = _balance(client, sku)
            seen.histories[sku].append(Operation(QueryBalance(), balance, start, time.monotonic()))
