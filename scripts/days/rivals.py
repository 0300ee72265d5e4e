"""Two ways of keeping count that are widely used, as pure models. Both know which figure is newer by its position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from ringfence import FigureResult, OrderEventKind, Restock
from ringfence.adapters import Cancelled, Received
from ringfence.adapters.simulated_till import Mark
from scripts.days.judge import chained
from scripts.days.messages import Expected, Handed, Message, Reply
from scripts.days.plan import Order

__all__ = ["CountOverwrites", "SettledOnAcknowledgement"]


_BEFORE = Mark(0, 0)


class _Model(ABC):
    """What both have in common: events for tills, and figures."""

    name = ""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._unsent: dict[Expected, Handed] = {}
        self._marks: dict[tuple[str, str], Mark] = {}
        self._figures: dict[str, dict[str, int]] = defaultdict(dict)
        self._counted: dict[tuple[str, str], int] = {}
        """What each till shows, whatever was sold since."""

    async def at(self, minute: int) -> None:
        """Time decides nothing."""
        return

    async def sell(self, orders: Sequence[Order]) -> list[bool]:
        """Sells what is there."""
        return [self._sell(order) for order in orders]

    def _sell(self, order: Order) -> bool:
        if self._available(order.location, order.sku) < order.quantity:
            return False
        self._orders[order.reference] = order
        self._take(order)
        self._tell(order, OrderEventKind.ORDER)
        return True

    async def cancel(self, orders: Sequence[Order]) -> list[Restock]:
        """An order that no till has comes back at once."""
        return [self._cancel(order) for order in orders]

    def _cancel(self, order: Order) -> Restock:
        if self._unsent.pop((order.reference, OrderEventKind.ORDER), None) is not None:
            self._give_back(order, order.quantity)
            return Restock.AT_ONCE
        self._tell(order, OrderEventKind.CANCELLATION)
        return Restock.WHEN_TILL_CONFIRMS

    async def give_up(self, order: Order, units: int) -> None:
        """Rejected units come back."""
        self._give_back(order, units)

    async def hand_over(self, location: str, expected: Collection[Expected]) -> list[Handed]:
        """What waits for a till."""
        found = [name for name in self._unsent if self._orders[name[0]].location == location]
        return [self._unsent.pop(name) for name in found]

    async def leave(self, location: str) -> None:
        """Nothing is open."""
        return

    async def reply(self, location: str, replies: Sequence[Reply]) -> None:
        """What tills answer."""
        for reply in replies:
            order = self._orders[reply.event.reference]
            if isinstance(reply.answer, Received):
                self._acknowledged(order)
            elif isinstance(reply.answer, Cancelled):
                self._give_back(order, reply.event.quantity)

    async def post(self, message: Message) -> frozenset[str]:
        """A newer figure replaces the older one; an older one is known by its position, and dropped. A delta makes a
        newer figure of the one that it follows."""
        missing = set()
        for sku, units in message.figures.items():
            if message.mark > self._marks.get((message.location, sku), _BEFORE):
                self._count(message.location, sku, message.mark, units)
        for delta in message.deltas:
            key = (message.location, delta.sku)
            result = chained(delta, self._marks.get(key, _BEFORE))
            if result is FigureResult.APPLIED:
                self._count(*key, delta.mark, self._counted[key] + delta.change)
            elif result is FigureResult.GAP:
                missing.add(delta.sku)
        return frozenset(missing)

    def _count(self, location: str, sku: str, mark: Mark, units: int) -> None:
        self._marks[location, sku] = mark
        self._counted[location, sku] = self._figures[location][sku] = units

    async def net(self, location: str, skus: Sequence[str] = ()) -> Mapping[str, int]:
        """What may be sold."""
        return {sku: self._available(location, sku) for sku in skus or self._figures[location]}

    def _tell(self, order: Order, kind: OrderEventKind) -> None:
        handed = Handed(f"{order.reference}/{kind}", order.reference, kind, order.quantity)
        self._unsent[order.reference, kind] = handed

    @abstractmethod
    def _available(self, location: str, sku: str) -> int:
        """Units that may be sold."""

    @abstractmethod
    def _take(self, order: Order) -> None:
        """An order was sold."""

    @abstractmethod
    def _give_back(self, order: Order, units: int) -> None:
        """Units of an order are not sold any more."""

    @abstractmethod
    def _acknowledged(self, order: Order) -> None:
        """The till has an order."""


class CountOverwrites(_Model):
    """What is available is the newest count, less what was sold since it arrived."""

    name = "a count overwrites"

    def _available(self, location: str, sku: str) -> int:
        return self._figures[location].get(sku, 0)

    def _take(self, order: Order) -> None:
        self._figures[order.location][order.sku] -= order.quantity

    def _give_back(self, order: Order, units: int) -> None:
        self._figures[order.location][order.sku] += units

    def _acknowledged(self, order: Order) -> None:
        pass


class SettledOnAcknowledgement(_Model):
    """What is available is the newest count, less the orders that the till has not acknowledged."""

    name = "settled on acknowledgement"

    def __init__(self) -> None:
        super().__init__()
        self._reserved: dict[str, int] = {}
        self._sums: dict[tuple[str, str], int] = defaultdict(int)

    def _available(self, location: str, sku: str) -> int:
        return self._figures[location].get(sku, 0) - self._sums[location, sku]

    def _take(self, order: Order) -> None:
        self._reserved[order.reference] = order.quantity
        self._sums[order.location, order.sku] += order.quantity

    def _give_back(self, order: Order, units: int) -> None:
        left = self._reserved.pop(order.reference, 0)
        self._sums[order.location, order.sku] -= left
        if left > units:
            self._reserved[order.reference] = left - units
            self._sums[order.location, order.sku] += left - units

    def _acknowledged(self, order: Order) -> None:
        self._give_back(order, order.quantity)
