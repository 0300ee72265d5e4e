"""Holds a System against the model, operation by operation."""

from __future__ import annotations

from dataclasses import replace

from tests.properties.model import Model
from tests.properties.system import Answer, Balances, Operation, Refused, Rules, System


class Duel:
    """One run: the same operations to both, the same answers and balances from both."""

    def __init__(self, system: System, rules: Rules) -> None:
        self.system = system
        self.model = Model(rules)
        system.start(rules)

    def play(self, operation: Operation) -> Answer:
        """Raises AssertionError when the system answers otherwise than the model or ends up otherwise."""
        expected = self.model.apply(operation)
        answered = self.system.apply(operation)
        assert _judged(answered, expected) == expected, f"{operation}"
        self.compare()
        return expected

    def advance(self, seconds: int) -> None:
        """Time passes for both."""
        self.system.advance(seconds)
        self.model.advance(seconds)
        self.compare()

    def compare(self) -> None:
        """Conserved in the model by construction, in the system by its own check, and the same in both."""
        self.system.verify()
        assert with_units(self.system.balances()) == with_units(self.model.balances())
        for number in range(len(self.model.orders)):
            assert self.system.order(number) == self.model.order(number)


def _judged(answered: Answer, expected: Answer) -> Answer:
    """What the model has no word on (why a line to be sourced is short) is not compared."""
    if not (isinstance(answered, Refused) and isinstance(expected, Refused)):
        return answered
    if len(answered.shortages) != len(expected.shortages):
        return answered
    shortages = (
        short if known.reason else short._replace(reason="")
        for short, known in zip(answered.shortages, expected.shortages, strict=True)
    )
    return replace(answered, shortages=tuple(shortages))


def with_units(balances: Balances) -> Balances:
    """Those in which there is anything."""
    return {name: balance for name, balance in balances.items() if any(balance)}
