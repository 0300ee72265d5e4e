"""A machine of random rules: the ledger and the model beside one another, at two tills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ringfence.adapters.simulated_till import JournalEntry, LineState, SimulatedTill
from ringfence_server.ledger.commands import (
    CancellationConfirmed,
    CancellationRefused,
    Figure,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    OrderRejected,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import BookingResult, HandedOrder, Posted, Restock
from ringfence_server.ledger.policy import MINUTE
from ringfence_server.ledger.state import Part, Reservation
from ringfence_server.ledger.till_state import EventKind
from tests.ledger.till_messages import chained, reading, report
from tests.ledger.world import BIKE, NORTH, SOUTH, TILLS, World, line, quota
from tests.properties.till_model import Sale, TillModel

LOCATIONS = (NORTH, SOUTH)
PATHS = (COMMON, "web")


@dataclass
class Sold:
    """One part of an order in the ledger, in the model and at its till."""

    order: Reservation
    part: Part
    sale: Sale

    @property
    def line(self) -> str:
        return f"{self.order.reservation_id.hex()}-{self.part.number}"


class TillMachine(RuleBasedStateMachine):
    """Orders of one item at two tills. Each till's messages may be told at once, later, again, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(TILLS)
        self.model = TillModel()
        self.tills = {name: SimulatedTill(name, {}) for name in LOCATIONS}
        self.sold: list[Sold] = []
        self.handed: list[tuple[HandedOrder, Sold]] = []
        self.said: list[Callable[[], None]] = []
        """What tills said, to be told now or again."""

    @initialize(stock=st.integers(4, 12))
    def open(self, stock: int) -> None:
        for name, till in self.tills.items():
            till.deliver(BIKE, stock)
            self.world.post(reading(till))
            self.model.figures[name] = (stock, 1)
            self.world.allocate(quota("web", 2, location=name))

    # --- the channel -------------------------------------------------------------------------------------------------

    @rule(location=st.sampled_from(LOCATIONS), path=st.sampled_from(PATHS), units=st.integers(1, 3), sell=st.booleans())
    def order(self, location: str, path: str, units: int, sell: bool) -> None:
        """Somebody orders what is there, holds it or buys it."""
        pool = self.world[BIKE, location].pool(path)
        if units > min(pool.free, self.model.net(location)):
            return
        order = self.world.reserve(line(path, units, location=location)).reservation
        sold = Sold(order, order.parts[0], Sale(location, held=units))
        self.sold.append(sold)
        self.model.sales.append(sold.sale)
        if sell:
            self._consume(sold)

    @rule(data=st.data())
    @precondition(lambda self: any(each.sale.held for each in self.sold))
    def buy(self, data: st.DataObject) -> None:
        """A hold becomes a sale."""
        self._consume(data.draw(st.sampled_from([each for each in self.sold if each.sale.held])))

    def _consume(self, sold: Sold) -> None:
        self.world.consume(sold.order)
        sale = sold.sale
        sale.ordered += sale.held
        sale.unsent += sale.held
        sale.held = 0

    @rule(minutes=st.sampled_from([1, 20]))
    def wait(self, minutes: int) -> None:
        """Leases of 15 minutes end."""
        ends = self.world.now + minutes * 60 * 1_000_000
        for each in self.sold:
            expire_time = each.order.expire_time
            if expire_time is not None and expire_time <= ends:
                each.sale.held = 0
        self.world.advance(minutes=minutes)

    @rule(data=st.data())
    @precondition(lambda self: self.sold)
    def cancel(self, data: st.DataObject) -> None:
        """The channel gives an order up, whatever became of it."""
        sold = data.draw(st.sampled_from(self.sold))
        mine = [each for each in self.sold if each.order is sold.order]
        expected = [self.model.cancel(each.sale) for each in mine]
        (taken,) = self.world.cancel(sold.order).lines
        assert taken.quantity == sum(units for units, _ in expected)
        asked = any(asked for _, asked in expected)
        assert (taken.restock is Restock.WHEN_TILL_CONFIRMS) == asked

    @rule(data=st.data())
    @precondition(lambda self: any(each.sale.revocable() for each in self.sold))
    def reassign(self, data: st.DataObject) -> None:
        """What a till rejected, or was not sent, goes to the other store if it has it."""
        sold = data.draw(st.sampled_from([each for each in self.sold if each.sale.revocable()]))
        sale = sold.sale
        target = NORTH if sale.location == SOUTH else SOUTH
        units = sale.revocable()
        there_already = any(each.order is sold.order and each.sale.location == target for each in self.sold)
        if there_already or units > min(self.world[BIKE, target].pool(COMMON).free, self.model.net(target)):
            return
        (part,) = self.world.reassign(sold.order, target, sold.part.number, path=COMMON).parts
        sale.ordered -= units
        sale.unsent -= min(sale.unsent, units)
        successor = Sold(sold.order, part, Sale(target, ordered=units, unsent=units))
        self.sold.append(successor)
        self.model.sales.append(successor.sale)

    # --- the feed ----------------------------------------------------------------------------------------------------

    @rule(location=st.sampled_from(LOCATIONS))
    def hand_over(self, location: str) -> None:
        """An adapter of the till takes what waits."""
        for handed in self.world.take(location):
            sold = next(each for each in self.sold if each.part is handed.part)
            if handed.event.kind is EventKind.ORDER and handed.event.attempts == 1:
                sold.sale.unsent -= handed.event.quantity
            self.handed.append((handed, sold))

    @rule(data=st.data(), kind=st.sampled_from(["yes", "yes", "no", "failed", "postponed"]))
    @precondition(lambda self: self.handed)
    def reply(self, data: st.DataObject, kind: str) -> None:
        """The till answers."""
        handed, sold = data.draw(st.sampled_from(self.handed))
        event = handed.event
        was_open = event.open
        if kind == "failed":
            self.world.reply(handed, OrderFailed("offline", 0))
            return
        if kind == "postponed":
            self.world.reply(handed, OrderPostponed(MINUTE))
            return
        if event.kind is EventKind.ORDER:
            self.world.reply(handed, OrderReceived("T", None) if kind == "yes" else OrderRejected("damaged"))
            if was_open and kind == "no":
                self.model.tell(sold.sale, {}, closed=True, rejected=True)
            return
        self.world.reply(handed, CancellationConfirmed() if kind == "yes" else CancellationRefused("wrapped"))
        if was_open:
            self.model.answer(sold.sale, event.quantity, confirmed=kind == "yes")

    # --- the shop ----------------------------------------------------------------------------------------------------

    @rule(location=st.sampled_from(LOCATIONS), units=st.integers(-2, 2).filter(bool))
    def trade(self, location: str, units: int) -> None:
        """Walk-ins and returns."""
        till = self.tills[location]
        self._note(till, till.deliver(BIKE, units), None)

    @rule(data=st.data(), units=st.integers(-2, 3).filter(bool), surplus=st.booleans())
    @precondition(lambda self: self.sold)
    def book(self, data: st.DataObject, units: int, surplus: bool) -> None:
        """The till books a line, reverses it, or books too much, whatever the channel thinks of the order."""
        sold = data.draw(st.sampled_from(self.sold))
        till = self.tills[sold.sale.location]
        till.accept(sold.line, BIKE, max(1, sold.sale.ordered + sold.sale.held))
        so_far = sum(quantity for _, quantity in till.state_of(sold.line).bookings)
        most = 10 if surplus else max(0, sold.sale.ordered + sold.sale.held - so_far)
        units = max(-so_far, min(units, most))
        if units:
            self._note(till, till.book(sold.line, units), sold)

    @rule(data=st.data(), reject=st.booleans())
    @precondition(lambda self: self.sold)
    def close(self, data: st.DataObject, reject: bool) -> None:
        """The till books nothing more for a line."""
        sold = data.draw(st.sampled_from(self.sold))
        till = self.tills[sold.sale.location]
        till.accept(sold.line, BIKE, max(1, sold.sale.ordered))
        if reject:
            till.reject(sold.line, "damaged")
        else:
            till.close(sold.line)
        state = till.state_of(sold.line)
        self.said.append(lambda: self._tell_line(sold, state))

    def _note(self, till: SimulatedTill, entry: JournalEntry, sold: Sold | None) -> None:
        """The till can tell of a movement as the line's state, as a delta, or with a figure."""
        delta, value = chained(till, entry), reading(till)
        state = till.state_of(sold.line) if sold is not None else None
        if sold is not None and state is not None:
            self.said.append(lambda: self._tell_line(sold, state))
        self.said.append(lambda: self._tell_figure(delta, sold, state))
        self.said.append(lambda: self._tell_figure(value, sold, state))

    @rule(data=st.data())
    @precondition(lambda self: self.said)
    def tell(self, data: st.DataObject) -> None:
        """Something that a till said arrives: now, late, or once more."""
        data.draw(st.sampled_from(self.said))()

    @rule(location=st.sampled_from(LOCATIONS))
    def read(self, location: str) -> None:
        """A consistent read of everything arrives at once."""
        till = self.tills[location]
        mine = [each for each in self.sold if each.sale.location == location and each.line in till.read().lines]
        reports = [report(each.order, till.state_of(each.line), part=each.part.number) for each in mine]
        posted = self.world.post(*(each._replace(location=location) for each in reports), reading(till))
        for each in mine:
            self._join(each, till.state_of(each.line))
        self.model.post(location, till.on_hand(BIKE), till.position)
        assert posted.outcomes[-1].value == self.model.figures[location][0]

    def _tell_line(self, sold: Sold, state: LineState) -> None:
        before = (dict(sold.sale.bookings), sold.sale.closed, sold.sale.rejected)
        (outcome,) = self._post(sold, state).bookings
        self._join(sold, state)
        new = before != (sold.sale.bookings, sold.sale.closed, sold.sale.rejected)
        assert outcome.result is (BookingResult.APPLIED if new else BookingResult.DUPLICATE)

    def _tell_figure(self, told: Figure, sold: Sold | None, state: LineState | None) -> None:
        (outcome,) = self._post(sold, state, told).outcomes
        if sold is not None and state is not None:
            self._join(sold, state)
        location = told.key.location
        if told.previous_position is None:
            expected = self.model.post(location, told.amount, told.position)
        else:
            expected = self.model.change(location, told.amount, told.position, told.previous_position)
        assert outcome.result.name == expected
        assert (outcome.value, outcome.position) == self.model.figures[location]

    def _post(self, sold: Sold | None, state: LineState | None, *figures: Figure) -> Posted:
        if sold is None or state is None:
            return self.world.post(*figures)
        told = report(sold.order, state, part=sold.part.number)._replace(location=sold.sale.location)
        return self.world.post(told, *figures)

    def _join(self, sold: Sold, state: LineState) -> None:
        bookings = {mark.position: units for mark, units in state.bookings}
        self.model.tell(sold.sale, bookings, closed=state.closed, rejected=bool(state.reject_reason))

    # --- what has to hold ---------------------------------------------------------------------------------------------

    @invariant()
    def as_the_model_says(self) -> None:
        """Free units, c and what is settled of every sale, held units and what waits for the channel."""
        for sold in self.sold:
            part, sale = sold.part, sold.sale
            assert part.held == sale.held
            assert part.unsettled == self.model.owed(sale)
            assert part.settled == sale.contained(self.model.position(sale.location))
            if part.till is not None:
                assert part.till.undecided == sale.undecided()
                assert (part.till.unsent, part.till.ordered) == (sale.unsent, sale.ordered)
        for location in self.model.figures:
            assert self.world.net(BIKE, location) == self.model.net(location)
