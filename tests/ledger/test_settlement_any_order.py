"""Whatever a till says of one sale, in whatever order it arrives, ends in the same state, and is never too high before.

A simulated till lives through the sale, and its journal judges. Its messages (reports of the line, figures with the
line's state, chained deltas, replies) are then delivered in an order that Hypothesis picks, some twice, some never.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.adapters.simulated_till import Mark, SimulatedTill
from ringfence_server.ledger.commands import (
    CancellationConfirmed,
    CancellationRefused,
    OrderReceived,
    OrderRejected,
    Reply,
)
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.outcomes import HandedOrder
from ringfence_server.ledger.state import Reservation
from ringfence_server.ledger.till_state import EventKind
from tests.ledger.till_messages import Message, chained, reading, report
from tests.ledger.world import BIKE, NORTH, TILLS, World, figure, quota
from tests.properties.profiles import TIMEOUT_SECONDS, searching

LINE = "line"
SHELF = 20


@dataclass
class Life:
    """What happened to one sale at its till, and everything the till could say of it."""

    till: SimulatedTill
    ordered: int
    messages: list[Message] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    """To the order, and to its cancellation if there is one."""
    cancelled: bool = False
    given_up: bool = False
    """The till holds nothing for the order and never will: its units are stock."""

    def say(self, *, with_figure: bool) -> None:
        state = self.till.state_of(LINE)
        self.messages.append(Message(state, reading(self.till) if with_figure and self.till.position else None))


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A sale of 1 to 4 units at a till with 20: booked in parts, reversed, among walk-ins and returns, with reads
    between; in the end open, complete, closed short, given up, rejected, or cancelled by the channel."""
    till = SimulatedTill(NORTH, {})
    till.deliver(BIKE, SHELF)
    life = Life(till, draw(st.integers(1, 4)))
    till.accept(LINE, BIKE, life.ordered)
    booked = 0
    steps = st.sampled_from(["walk in", "return", "book", "reverse", "tell", "read", "replace"])
    for step in draw(st.lists(steps, max_size=8)):
        entry = None
        if step == "walk in":
            entry = till.walk_in(BIKE, draw(st.integers(1, 2)))
        elif step == "return":
            entry = till.take_back(BIKE, 1)
        elif step == "book" and booked < life.ordered:
            units = draw(st.integers(1, life.ordered - booked))
            entry = till.book(LINE, units)
            booked += units
        elif step == "reverse" and booked:
            units = draw(st.integers(1, booked))
            entry = till.reverse(LINE, units)
            booked -= units
        elif step == "replace":
            till.replace()
        elif step in ("tell", "read"):
            life.say(with_figure=step == "read")
        if entry is not None and draw(st.booleans()):
            life.messages.append(Message(till.state_of(LINE), chained(till, entry)))
    _end(draw, life, booked)
    return life


def _end(draw: st.DrawFn, life: Life, booked: int) -> None:
    till = life.till
    end = draw(st.sampled_from(["open", "complete", "short", "give up", "reject", "cancel", "refuse to cancel"]))
    life.replies.append(OrderReceived("T1", None))
    if end in ("complete", "refuse to cancel"):
        if booked < life.ordered:
            till.book(LINE)
        till.close(LINE)
    elif end == "short":
        till.close(LINE)
    elif end in ("give up", "cancel"):
        if booked:
            till.reverse(LINE)
        till.close(LINE)
        life.given_up = True
    elif end == "reject":
        till.reject(LINE, "damaged")
        if draw(st.booleans()):
            life.replies[0] = OrderRejected("damaged")
    if end in ("cancel", "refuse to cancel"):
        life.cancelled = True
        life.replies.append(CancellationConfirmed() if end == "cancel" else CancellationRefused("wrapped"))
    if not till.position:
        till.deliver(BIKE, 1)
    life.say(with_figure=True)


class Arrival:
    """The ledger's side of a life: an order that was handed to the till, and what arrives of it."""

    def __init__(self, life: Life, path: str) -> None:
        self._life = life
        self.world = world = World(TILLS)
        world.post(figure(SHELF, position=1))
        if path:
            world.allocate(quota(path, 10))
        self.order: Reservation = world.consume(world.hold(path, life.ordered)).reservation
        (self._handed,) = world.take()
        self._cancellation: list[HandedOrder] | None = None
        self._path = path

    def deliver(self, message: Message) -> None:
        """One PostStock arrives, and the balance is judged."""
        figures = (message.figure,) if message.figure is not None else ()
        self.world.post(report(self.order, message.state), *figures)
        self.judge()

    def reply(self) -> None:
        """The till's answer to the order arrives."""
        self.world.reply(self._handed, self._life.replies[0])
        self.judge()

    def cancel(self) -> None:
        """The channel gives the order up."""
        self.world.cancel(self.order)
        self._cancellation = [each for each in self.world.take() if each.event.kind is EventKind.CANCELLATION]
        self.judge()

    def reply_to_cancellation(self) -> None:
        """The till's answer to that arrives, once there is something to answer."""
        if self._cancellation is None:
            self.cancel()
        for handed in self._cancellation or ():
            self.world.reply(handed, self._life.replies[1])
        self.judge()

    def judge(self) -> None:
        """Never too high: the balance is at most what the till's journal says of the figure in force, less what that
        figure still has to fall for the sale."""
        assert self.world.net() <= self.truth()

    def truth(self) -> int:
        """What is really free at the mark of the figure in force."""
        life = self._life
        mark = self.world[BIKE, NORTH].measures["on_hand"].mark
        at = Mark(mark.epoch, mark.position)
        owed = 0 if life.given_up else life.till.owed_at(LINE, at, life.ordered)
        return life.till.value_at(BIKE, at) - owed

    def end(self) -> tuple[object, ...]:
        """All that can be seen of the sale and its stock. Which pool reversed units came back to depends on the figures
        between that were in force (row 14); with the common pool there is no such choice."""
        world, (part,) = self.world, self.order.parts
        assert part.till is not None
        in_force = world[BIKE, NORTH].measures["on_hand"]
        free = (world.net(),) if self._path else (world.net(), world.pool(COMMON))
        figures = (part.settled, part.unsettled, part.cancelled, part.till.undecided, part.till.booked)
        return *free, *figures, self.order.state, in_force.value, in_force.mark, world.consumed(self._path)


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("path", [COMMON, "web"], ids=["common", "fenced"])
def test_any_order_of_arrival_ends_in_the_same_state_and_is_never_too_high(path: str) -> None:
    """Settled, owed, given up, free units and state are those of the order in which it happened, exact at the last
    figure by the till's journal; and at every moment before the balance is at most the journal's."""

    @searching(400)
    @given(st.data())
    def search(data: st.DataObject) -> None:
        life = data.draw(lives(), label="life")
        straight = Arrival(life, path)
        for message in life.messages:
            straight.deliver(message)
        straight.reply()
        if life.cancelled:
            straight.cancel()
            straight.reply_to_cancellation()
        assert straight.world.net() == straight.truth(), "exact at the last figure"

        arrival = Arrival(life, path)
        last = len(life.messages) - 1
        heard = data.draw(st.lists(st.integers(0, last), max_size=10), label="heard")
        tokens: list[int | str] = [*heard, last, "reply", *(["cancel", "answer"] if life.cancelled else [])]
        cancelled = False
        for token in data.draw(st.permutations(tokens), label="arrivals"):
            if isinstance(token, int):
                arrival.deliver(life.messages[token])
            elif token == "reply":
                arrival.reply()
            elif token == "answer":
                arrival.reply_to_cancellation()
                cancelled = True
            elif not cancelled:
                arrival.cancel()
        assert arrival.end() == straight.end()

    search()
