"""A store: its till, its shelf, its customers, and what it tells of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from ringfence.adapters import Cancelled, NotCancelled, Received, Rejected
from ringfence.adapters.simulated_till import JournalEntry, Mark, SimulatedTill
from scripts.days.messages import Message
from scripts.days.plan import Order, Plan, Visit

__all__ = ["Store"]


class Store:
    """One store of the day."""

    def __init__(self, plan: Plan, location: str) -> None:
        self.location = location
        self.till = SimulatedTill(location, {})
        self._values: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([0], [0]))
        """By SKU: positions of its movements in the journal, and on hand after each."""
        for sku, units in plan.opening[location].items():
            self._moved(self.till.deliver(sku, units))
        self._messages = 0
        self._version = 0
        self._changed: dict[str, int] = {}
        """When each line changed last, by a running number."""
        self._versions: dict[int, int] = {}
        self._told = 0
        """What the service knows of lines, by the same number."""
        self._walked: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([0], [0]))
        """By SKU: positions of movements without an order, and their sums up to each."""

    def visit(self, visit: Visit) -> None:
        """Customers and deliveries. Nobody takes what is not on the shelf."""
        sku, till = visit.sku, self.till
        units = max(visit.quantity, -till.on_hand(sku))
        if not units:
            return
        entry = till.walk_in(sku, -units) if units < 0 else till.take_back(sku, units)
        self._moved(entry)
        positions, sums = self._walked[sku]
        positions.append(entry.mark.position)
        sums.append(sums[-1] + units)

    def unreported_walk_ins(self, sku: str, mark: Mark) -> int:
        """Units that left by the store's own door after a figure of this mark, as far as others did not come in."""
        positions, sums = self._walked[sku]
        return max(0, sums[bisect_right(positions, mark.position) - 1] - sums[-1])

    def value_at(self, sku: str, mark: Mark) -> int:
        """On hand by the journal, every movement up to the mark taken in."""
        positions, values = self._values[sku]
        return values[bisect_right(positions, mark.position) - 1]

    def accept(self, order: Order) -> Received | Rejected:
        """The till gets an order."""
        document = self.till.accept(order.reference, order.sku, order.quantity)
        self._touch(order)
        if order.rejected and order.by_reply:
            self.till.reject(order.reference, "damaged")
            return Rejected("damaged")
        return Received(document)

    def book(self, order: Order) -> bool | None:
        """The goods of an order leave, or a part of them, or it turns out that they are not there. Gives whether a part
        is still to come; None when there was nothing to do."""
        state = self.till.state_of(order.reference)
        if state.closed:
            return None
        left = order.quantity - sum(quantity for _, quantity in state.bookings)
        wanted = 1 if order.second and not state.bookings else left
        there = min(wanted, self.till.on_hand(order.sku))
        self._touch(order)
        if order.rejected and not order.second:
            there = 0
        if there:
            self._moved(self.till.book(order.reference, there))
        if there == left:
            self.till.close(order.reference)
        elif there < wanted or order.rejected:
            self.till.reject(order.reference, "not on the shelf")
        else:
            return True
        return False

    def cancel(self, order: Order) -> Cancelled | NotCancelled:
        """The till is asked to cancel an order."""
        state = self.till.state_of(order.reference)
        booked = sum(quantity for _, quantity in state.bookings)
        if booked and not order.taken_back:
            return NotCancelled("it has left the shelf")
        self._touch(order)
        if booked:
            self._moved(self.till.reverse(order.reference))
        self.till.close(order.reference)
        return Cancelled()

    def count(self, lost: frozenset[str]) -> Message:
        """The till is counted: figures, and every line of which the service may not know all."""
        lines = [name for name, version in self._changed.items() if version > self._told]
        shown = self.till.read()
        figures = {sku: units for sku, units in shown.figures.items() if sku not in lost}
        return self._message(figures, lines)

    def report(self, order: Order) -> Message:
        """One line by itself."""
        return self._message({}, [order.reference])

    def delivered(self, message: Message) -> None:
        """The service has a message."""
        if message.figures:
            self._told = max(self._told, self._versions[message.number])

    @property
    def next_message(self) -> int:
        """The number of the next message."""
        return self._messages + 1

    def _message(self, figures: dict[str, int], lines: list[str]) -> Message:
        self._messages += 1
        if figures:
            self._versions[self._messages] = self._version
        states = tuple(self.till.state_of(line) for line in lines)
        told = tuple(state for state in states if state.bookings or state.closed)
        return Message(self.location, self._messages, self.till.mark, figures, told)

    def _moved(self, entry: JournalEntry) -> None:
        positions, values = self._values[entry.sku]
        positions.append(entry.mark.position)
        values.append(values[-1] + entry.change)

    def _touch(self, order: Order) -> None:
        self._version += 1
        self._changed[order.reference] = self._version
