"""The twin for a shop: orders in, availability out. Nothing is sold twice when the program ends between any two steps:
the id of each request is saved before it is sent, and one id has one outcome."""

from __future__ import annotations

import abc
import enum
import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ringfence._balance_types import BalanceFilter
from ringfence._client import Client
from ringfence._commands import Cancel, Command, Consume, ConsumeDirectly, Line, Reserve
from ringfence._enums import CancelReason, Fallback, Restock
from ringfence._errors import InvalidArgument, PermissionDenied, Refused, Unauthenticated, Unsupported
from ringfence._results import CancelResult
from ringfence.adapters._metrics import Counters
from ringfence.adapters._publishing import Balances, PublishDesk, Quantity, WatchedBalances
from ringfence.adapters._schedule import Backoff, Schedule
from ringfence.adapters._state import StateFile, StateFolder
from ringfence.adapters._types import AdapterError, Shown

__all__ = ["ChannelAdapter", "ChannelConfig", "ChannelOrder", "ChannelResult", "ChannelRunner", "OrderStage"]

_log = logging.getLogger("ringfence.adapters")

MOST_ORDERS = 100_000
"""Orders that are remembered: those that are done are forgotten first."""


class OrderStage(enum.StrEnum):
    """How far an order of a shop is. An order may begin at any stage."""

    PLACED = "placed"
    """Not paid: its units are held."""
    PAID = "paid"
    """Sold."""
    CANCELLED = "cancelled"
    """Given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOrder:
    """An order as the shop has it now: the whole state, never a change."""

    order_reference: str
    """The shop's order number, 1 to 128 characters, unique."""
    stage: OrderStage
    """How far it is."""
    lines: Sequence[Line] = ()
    """What was ordered; not needed for CANCELLED."""
    ttl: timedelta | None = None
    """How long PLACED holds the units; None is the policy's lease."""
    owner: str = ""
    """A label for people, 0 to 128 characters."""
    attributes: bytes = b""
    """Handed on untouched to the till's adapter, 0 to 8,192 bytes."""
    allow_split: bool = False
    """Lets a line without a location be split over several, if the policy allows it too."""
    cancel_reason: CancelReason | None = None
    """Why it was given up, for CANCELLED."""


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """What came of an order's stage."""

    stage: OrderStage
    """The stage that was asked for."""
    accepted: bool
    """Whether the service took it. False is final for this stage: nothing was held or sold."""
    reservation_id: str
    """The reservation; empty when there is none."""
    reason: str
    """Why it was not accepted, with what there would have been; empty when it was."""
    waits_for_till: bool
    """A cancellation whose units come back when the till confirms."""


class ChannelAdapter(abc.ABC):
    """A shop, as a runner sees it. All methods are called from one thread, one at a time, and may block; after a crash
    any call may come again, so each must end in the same state when it is done twice."""

    @abc.abstractmethod
    def orders(self) -> Sequence[ChannelOrder]:
        """Orders that are new, or whose stage changed and was not answered yet, oldest first, at most 1,000."""

    @abc.abstractmethod
    def answer(self, order: ChannelOrder, result: ChannelResult) -> None:
        """Tells the shop what came of an order's stage. After it `orders` need not give that stage again."""

    @abc.abstractmethod
    def publish(self, shown: Sequence[Shown]) -> None:
        """Shows what is available: absolute quantities, only those that differ from what was shown before, at most
        1,000 at a time."""

    def close(self) -> None:  # noqa: B027  # a shop may need none
        """Frees what the adapter holds; nothing is called after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """How a shop's adapter is run."""

    name: str
    """The adapter's name at the service, 1 to 64 characters."""
    state: Path
    """The directory of what is remembered over a crash. It must not be lost."""
    locations: Sequence[str] = ()
    """Whose availability is shown; empty is all."""
    path: str = ""
    """The group path whose availability is shown; empty is the common pool."""
    quantity: Quantity = "available_to_reserve"
    """Which figure is shown."""
    orders: Schedule = field(default_factory=lambda: Schedule.every(timedelta(seconds=5)))
    """When the shop is asked for orders."""
    publish: Schedule | None = field(default_factory=lambda: Schedule.every(timedelta(minutes=15)))
    """The shop's own pace for what is available; None: never."""


class ChannelRunner:
    """Runs a shop's adapter: `run` until `stop`, or `step` by step. See PosRunner for its arguments."""

    def __init__(
        self,
        adapter: ChannelAdapter,
        client: Client,
        config: ChannelConfig,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] | None = None,
        random_fraction: Callable[[], float] = random.random,
        checkpoint: Callable[[str], None] = lambda step: None,
        balances: Callable[[Client, BalanceFilter], Balances] | None = None,
    ) -> None:
        """Opens and locks the state; AdapterError when another program has it, when it is another adapter's, or when it
        cannot be read."""
        self.config = config
        self.counters = Counters()
        self._adapter = adapter
        self._client = client
        self._clock = clock
        self._stop = threading.Event()
        self._sleep = sleep or (lambda seconds: self._stop.wait(seconds) and None)
        self._checkpoint = checkpoint
        self._make_balances = balances
        self._balances: Balances | None = None
        self._backoff = Backoff(random_fraction=random_fraction)
        self._publish_backoff = Backoff(random_fraction=random_fraction)
        self._state = StateFolder(config.state, owner=config.name)
        try:
            self._orders_file, self._known = self._state.opened("channel", _known_orders)
            self._published = self._state.opened("published", self._publish_desk)
        except BaseException:
            self._state.close()
            raise
        self._orders_due = self._publish_due = clock()

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
                pause = min(self.step(), timedelta(seconds=1))
                if pause > timedelta(0) and not self._stop.is_set():
                    self._sleep(pause.total_seconds())
        finally:
            self.close()

    def stop(self) -> None:
        """Ends `run` after the present step; from any thread, or a signal's handler."""
        self._stop.set()

    def step(self) -> timedelta:
        """Does everything that is due; gives the time until something is due again."""
        now = self._clock()
        schedule = self.config.publish
        self._orders_due = self.config.orders.soon_enough(self._orders_due, now)
        if now >= self._orders_due:
            self._orders_due = self._attempt(self._take_orders, self._backoff, now, self.config.orders)
        if schedule is not None:
            self._publish_due = schedule.soon_enough(self._publish_due, now)
        if schedule is not None and now >= self._publish_due:
            self._publish_due = self._attempt(lambda: self._publish(schedule), self._publish_backoff, now, schedule)
        due = self._orders_due if schedule is None else min(self._orders_due, self._publish_due)
        return max(timedelta(0), due - self._clock())

    def close(self) -> None:
        """Ends the watch, closes the adapter and gives the state back. Closing twice is nothing."""
        self._stop.set()
        if self._balances is not None:
            self._balances.close()
            self._balances = None
        self._adapter.close()
        self._state.close()

    def _attempt(self, work: Callable[[], None], backoff: Backoff, now: datetime, schedule: Schedule) -> datetime:
        try:
            work()
        except (Unauthenticated, PermissionDenied, Unsupported):
            raise
        except Exception as error:
            pause = backoff.failed()
            _log.warning("the channel failed, again in %.0f s: %s", pause.total_seconds(), error)
            return now + pause
        backoff.succeeded()
        return schedule.next_after(now)

    def _publish(self, schedule: Schedule) -> None:
        if self._balances is None:
            chosen = BalanceFilter(locations=self.config.locations, path=self.config.path, exact_path=True)
            self._balances = (
                self._make_balances(self._client, chosen)
                if self._make_balances is not None
                else WatchedBalances(self._client, chosen, min_interval=schedule.interval)
            )
        try:
            self._published.publish(self._balances)
        except Exception:
            self.counters.publish_failures += 1
            raise

    def _take_orders(self) -> None:
        try:
            for order in self._adapter.orders():
                self._one(order)
        except Exception:
            self.counters.feed_failures += 1
            raise
        self._forget()

    def _one(self, order: ChannelOrder) -> None:
        known = self._known.setdefault(order.order_reference, {"reservation_id": "", "stages": {}})
        stages: dict[str, dict[str, Any]] = known["stages"]
        if order.stage not in stages:
            stages[order.stage] = {"request_id": self._client.config.request_ids(), "order": _plain(order)}
            self._save()
            self._checkpoint("request saved")
        # An earlier stage whose outcome is not known comes first: it may have held or sold something.
        for stage in stages.values():
            if "result" not in stage:
                stage["result"] = self._ask(_order(stage["order"]), known, stage["request_id"])
                del stage["order"]
                self._save()
                self._checkpoint("result saved")
        result = stages[order.stage]["result"]
        self._adapter.answer(
            order,
            ChannelResult(
                order.stage, result["accepted"], known["reservation_id"], result["reason"], result["waits_for_till"]
            ),
        )
        self._checkpoint("shop answered")

    def _ask(self, order: ChannelOrder, known: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Asks the service; the same id again has the same outcome. Raises RingfenceError when that is not known."""
        reservation_id: str = known["reservation_id"]
        if order.stage is OrderStage.CANCELLED and not reservation_id:
            # Nothing was ever held or sold; a placing that was refused stays refused.
            return {"accepted": True, "reason": "", "waits_for_till": False}
        try:
            result: Any = self._client.send(_command(order, reservation_id), request_id=request_id)
        except (Refused, InvalidArgument) as error:
            reason = f"{error} [{error.reason or error.code}]"
            return {"accepted": False, "reason": reason, "waits_for_till": False}
        self._checkpoint("asked")
        known["reservation_id"] = result.reservation.reservation_id
        waits = isinstance(result, CancelResult) and any(
            line.restock is Restock.WHEN_TILL_CONFIRMS for line in result.lines
        )
        return {"accepted": True, "reason": "", "waits_for_till": waits}

    def _forget(self) -> None:
        surplus = len(self._known) - MOST_ORDERS
        if surplus <= 0:
            return
        done = [
            reference
            for reference, known in self._known.items()
            if "result" in known["stages"].get(OrderStage.CANCELLED, {})
            or "result" in known["stages"].get(OrderStage.PAID, {})
        ]
        if len(done) < surplus:
            raise AdapterError(f"more than {MOST_ORDERS:,} orders are neither paid nor cancelled")
        for reference in done[:surplus]:
            del self._known[reference]
        self._save()

    def _save(self) -> None:
        self._orders_file.save({"orders": self._known})


def _plain(order: ChannelOrder) -> dict[str, Any]:
    """The order as it is first asked for: the same id must bring the same request."""
    return {
        "order_reference": order.order_reference,
        "stage": str(order.stage),
        "lines": [
            [
                line.sku,
                line.location,
                line.quantity,
                line.path,
                dict(line.dimensions),
                line.line_id,
                str(line.fallback) if line.fallback is not None else None,
            ]
            for line in order.lines
        ],
        "ttl": order.ttl.total_seconds() if order.ttl is not None else None,
        "owner": order.owner,
        "attributes": order.attributes.hex(),
        "allow_split": order.allow_split,
        "cancel_reason": str(order.cancel_reason) if order.cancel_reason is not None else None,
    }


def _order(plain: dict[str, Any]) -> ChannelOrder:
    return ChannelOrder(
        order_reference=plain["order_reference"],
        stage=OrderStage(plain["stage"]),
        lines=[
            Line(
                sku,
                location,
                quantity,
                path=path,
                dimensions=dimensions,
                line_id=line_id,
                fallback=Fallback(fallback) if fallback is not None else None,
            )
            for sku, location, quantity, path, dimensions, line_id, fallback in plain["lines"]
        ],
        ttl=timedelta(seconds=plain["ttl"]) if plain["ttl"] is not None else None,
        owner=plain["owner"],
        attributes=bytes.fromhex(plain["attributes"]),
        allow_split=plain["allow_split"],
        cancel_reason=CancelReason(plain["cancel_reason"]) if plain["cancel_reason"] is not None else None,
    )


def _known_orders(state: StateFile) -> tuple[StateFile, dict[str, dict[str, Any]]]:
    """The orders that are remembered, by their reference, with the file that they are saved in."""
    known: dict[str, dict[str, Any]] = dict(state.values.get("orders", {}))
    for order in known.values():
        if not isinstance(order["reservation_id"], str) or not isinstance(order["stages"], dict):
            raise TypeError("an order without its stages")
    return state, known


def _command(order: ChannelOrder, reservation_id: str) -> Command[Any]:
    lines: Iterable[Line] = order.lines
    if order.stage is OrderStage.PLACED:
        return Reserve(lines, owner=order.owner, ttl=order.ttl, allow_split=order.allow_split)
    if order.stage is OrderStage.CANCELLED:
        return Cancel(reservation_id, reason=order.cancel_reason)
    if reservation_id:
        return Consume(
            reservation_id, order_reference=order.order_reference, attributes=order.attributes, release_rest=True
        )
    return ConsumeDirectly(
        lines,
        owner=order.owner,
        allow_split=order.allow_split,
        order_reference=order.order_reference,
        attributes=order.attributes,
    )
