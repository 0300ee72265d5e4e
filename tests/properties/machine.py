"""The state machine that plays a System against the model, and shortens what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.properties import strategies
from tests.properties.duel import Duel
from tests.properties.system import Allocate, Cancel, Consume, Operation, Post, System, Update


class SystemMachine(RuleBasedStateMachine):
    """Plays one run. Subclass it with the system to be held against the model."""

    make_system: Callable[[], System]
    tills = False
    """Whether the system serves locations whose till keeps the count."""

    duel: Duel

    @initialize(data=st.data(), stocked=strategies.stocked())
    def start(self, data: st.DataObject, stocked: tuple[Post | Allocate, ...]) -> None:
        rules = data.draw(strategies.rules(tills=self.tills), label="rules")
        self.duel = Duel(type(self).make_system(), rules)
        for operation in stocked:
            self.duel.play(operation)

    @rule(operation=strategies.posts())
    def post(self, operation: Operation) -> None:
        self.duel.play(operation)

    @rule(operation=strategies.allocates() | strategies.unallocates() | strategies.reallocates())
    def move_quotas(self, operation: Operation) -> None:
        self.duel.play(operation)

    @rule(operation=strategies.reserves())
    def reserve(self, operation: Operation) -> None:
        self.duel.play(operation)

    @rule(operation=strategies.reserves())
    def reserve_more(self, operation: Operation) -> None:
        self.duel.play(operation)

    @rule(operation=strategies.sells())
    def sell(self, operation: Operation) -> None:
        self.duel.play(operation)

    @rule(operation=strategies.updates())
    def update(self, operation: Update) -> None:
        self._play_on_an_order(operation)

    @rule(decree=strategies.decrees(), operation=strategies.updates())
    def update_by_other_rules(self, decree: Operation, operation: Update) -> None:
        self.duel.play(decree)
        self._play_on_an_order(operation)

    @rule(operation=strategies.consumes())
    def consume(self, operation: Consume) -> None:
        self._play_on_an_order(operation)

    @rule(seconds=strategies.seconds(), operation=strategies.consumes(), decree=st.none() | strategies.decrees())
    def consume_late(self, seconds: int, operation: Consume, decree: Operation | None) -> None:
        self.duel.advance(seconds)
        if decree is not None:
            self.duel.play(decree)
        self._play_on_an_order(operation)

    @rule(operation=strategies.cancels())
    def cancel(self, operation: Cancel) -> None:
        self._play_on_an_order(operation)

    @rule(seconds=strategies.seconds())
    def advance(self, seconds: int) -> None:
        self.duel.advance(seconds)

    def teardown(self) -> None:
        if hasattr(self, "duel"):
            self.duel.system.close()

    def _play_on_an_order(self, operation: Update | Consume | Cancel) -> None:
        """Mostly on an order that still holds something, mostly on lines that it has: a no is soon told."""
        model = self.duel.model
        orders = [number for number in range(len(model.orders)) if model.order(number).state == "HELD"]
        if not orders or operation.order % 4 == 3:
            orders = list(range(len(model.orders)))
        if not orders:
            return
        number = orders[-1 - operation.order % len(orders)]
        if isinstance(operation, Update) and operation.lines is None:
            self.duel.play(replace(operation, order=number))
        else:
            many = len(model.orders[number].lines)
            lines = {(line if line == 9 else line % many): units for line, units in operation.lines or ()}
            self.duel.play(replace(operation, order=number, lines=tuple(lines.items())))
