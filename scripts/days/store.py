"""A store: its till, its shelf, its customers, and what it tells of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from ringfence.adapters import Cancelled, NotCancelled, Received, Rejected
from ringfence.adapters.simulated_till import JournalEntry, Mark, SimulatedTill
from scripts.days.messages import Delta, Message
from scripts.days.plan import Order, Plan, Visit

__all__ = ["Store"]


class Store:
    """One store of the day."""

    def __init__(self, plan: Plan, location: str) -> None:
        self.location = location
        self.till = SimulatedTill(location, {})
        self._values: dict[tuple[int, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([0], [0]))
        """By epoch and SKU: positions of its movements in the journal, and on hand after each."""
        self._untold: list[tuple[JournalEntry, Delta]] = []
        """Movements that no message of deltas has told yet."""
        for sku, units in plan.opening[location].items():
            self._moved(self.till.deliver(sku, units))
        # The first count has the opening.
        self._untold.clear()
        self._messages = 0
        self._version = 0
        self._changed: dict[str, int] = {}
        """When each line changed last, by a running number."""
        self._versions: dict[int, int] = {}
        """The same number at each count of all items."""
        self._told = 0
        """What the service knows of lines, by the same number."""
        self._walked: dict[str, tuple[list[Mark], list[int]]] = defaultdict(lambda: ([Mark(0, 0)], [0]))
        """By SKU: marks of movements without an order, and their sums up to each."""
        self._taken_over: dict[str, dict[str, tuple[Mark, int]]] = defaultdict(dict)
        """By SKU: orders of other stores that were booked here and of which the service was not told, with the units.
        Nobody can know of them."""

    def visit(self, visit: Visit) -> None:
        """Customers and deliveries. Nobody takes what is not on the shelf."""
        sku, till = visit.sku, self.till
        units = max(visit.quantity, -till.on_hand(sku))
        if not units:
            return
        entry = till.walk_in(sku, -units) if units < 0 else till.take_back(sku, units)
        self._moved(entry)
        marks, sums = self._walked[sku]
        marks.append(entry.mark)
        sums.append(sums[-1] + units)

    def replace(self) -> None:
        """Another till takes over: it takes in the shelf anew, in positions of its own, and knows every order."""
        till = self.till
        shelf = till.read().figures
        till.replace(dict.fromkeys(shelf, 0))
        opening = Mark(till.epoch, 0)
        for sku in shelf:
            self._values[till.epoch, sku] = ([0], [till.value_at(sku, opening)])
        for entry in till.entries():
            if entry.mark > opening:
                self._moved(entry)
        for sku, units in shelf.items():
            if units:
                self._moved(till.deliver(sku, units))
        self._untold.clear()
        for line in self._changed:
            self._touch(line)

    def unreported_walk_ins(self, sku: str, mark: Mark) -> int:
        """Units that left by the store's own door after a figure of this mark, as far as others did not come in: with
        customers, or for orders of other stores of which nothing was told."""
        marks, sums = self._walked[sku]
        gone = sums[bisect_right(marks, mark) - 1] - sums[-1]
        gone += sum(units for at, units in self._taken_over[sku].values() if at > mark)
        return max(0, gone)

    def value_at(self, sku: str, mark: Mark) -> int:
        """On hand by the journal, every movement up to the mark taken in."""
        positions, values = self._values[mark.epoch, sku]
        return values[bisect_right(positions, mark.position) - 1]

    def accept(self, order: Order) -> Received | Rejected:
        """The till gets an order."""
        document = self.till.accept(order.reference, order.sku, order.quantity)
        self._touch(order.reference)
        if order.rejected and order.by_reply:
            self.till.reject(order.reference, "damaged")
            return Rejected("damaged")
        return Received(document)

    def book(self, order: Order, elsewhere: int) -> bool | None:
        """The goods of an order leave, or a part of them, or it turns out that they are not there. Gives whether a part
        is still to come; None when there was nothing to do. `elsewhere` is what another store has booked."""
        state = self.till.state_of(order.reference)
        if state.closed:
            return None
        left = order.quantity - elsewhere - sum(quantity for _, quantity in state.bookings)
        wanted = 1 if order.second and not state.bookings and not elsewhere else left
        there = min(wanted, self.till.on_hand(order.sku))
        self._touch(order.reference)
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

    def take_over(self, order: Order) -> int:
        """The goods of another store's order leave here, if they are here, or the first unit of a partial booking.
        Gives the units."""
        units = 1 if order.second else order.quantity
        if self.till.on_hand(order.sku) < units:
            return 0
        self.till.accept(order.reference, order.sku, order.quantity)
        self._touch(order.reference)
        entry = self.till.book(order.reference, units)
        self._moved(entry)
        self.till.close(order.reference)
        self._taken_over[order.sku][order.reference] = (entry.mark, units)
        return units

    def cancel(self, order: Order, elsewhere: int) -> Cancelled | NotCancelled:
        """The till is asked to cancel an order. `elsewhere` is what another store has booked: that is not undone."""
        state = self.till.state_of(order.reference)
        booked = sum(quantity for _, quantity in state.bookings)
        if elsewhere:
            return NotCancelled("it was fetched from another store")
        if booked and not order.taken_back:
            return NotCancelled("it has left the shelf")
        self._touch(order.reference)
        if booked:
            self._moved(self.till.reverse(order.reference))
        self.till.close(order.reference)
        return Cancelled()

    def count(self, lost: Collection[str] = ()) -> Message:
        """The till is counted: figures, and every line of which the service may not know all."""
        shown = self.till.read()
        message = self._message(
            self._unknown(), {sku: units for sku, units in shown.figures.items() if sku not in lost}
        )
        self._versions[message.number] = self._version
        return message

    def count_of(self, skus: Collection[str], lost: Collection[str] = ()) -> Message:
        """The figures of some items, and their lines of which the service may not know all."""
        figures = {sku: self.till.on_hand(sku) for sku in skus if sku not in lost}
        return self._message([line for line in self._unknown() if self.till.state_of(line).sku in skus], figures)

    def report(self, order: Order) -> Message:
        """One line by itself."""
        return self._message([order.reference])

    def deltas(self, lost: Collection[str] = ()) -> Message:
        """Every movement since the last such message, and the lines that it belongs to."""
        moved, self._untold = self._untold, []
        lines = dict.fromkeys(entry.line for entry, _ in moved if entry.line)
        return self._message(list(lines), deltas=tuple(delta for _, delta in moved if delta.sku not in lost))

    @property
    def has_moved(self) -> bool:
        """Whether there are movements that no message of deltas has told yet."""
        return bool(self._untold)

    def has_booked(self, order: Order) -> bool:
        """Whether there are such movements of an order."""
        return any(entry.line == order.reference for entry, _ in self._untold)

    def delivered(self, message: Message) -> None:
        """The service has a message."""
        self._told = max(self._told, self._versions.get(message.number, 0))
        for line in message.lines:
            self._taken_over[line.sku].pop(line.line, None)

    @property
    def next_message(self) -> int:
        """The number of the next message."""
        return self._messages + 1

    def _unknown(self) -> list[str]:
        return [name for name, version in self._changed.items() if version > self._told]

    def _message(
        self, lines: Iterable[str], figures: Mapping[str, int] | None = None, deltas: tuple[Delta, ...] = ()
    ) -> Message:
        self._messages += 1
        states = (self.till.state_of(line) for line in lines)
        told = tuple(state for state in states if state.bookings or state.closed)
        return Message(self.location, self._messages, self.till.mark, figures or {}, told, deltas)

    def _moved(self, entry: JournalEntry) -> None:
        positions, values = self._values[entry.mark.epoch, entry.sku]
        self._untold.append((entry, Delta(entry.sku, entry.change, entry.mark, positions[-1])))
        positions.append(entry.mark.position)
        values.append(values[-1] + entry.change)

    def _touch(self, line: str) -> None:
        self._version += 1
        self._changed[line] = self._version
