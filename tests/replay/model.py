"""A replay as it must come out, without a server: the rules of a ring-fenced stock in their simplest form.

Orders are decided one after the other, whole or not at all; a line takes from its own pool, then its channel's, then
the common one; what is cancelled goes back to the pools that gave it, the borrowed units first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from scripts.replaying.invoices import Invoice
from scripts.replaying.plan import Plan
from scripts.replaying.tally import Movements


@dataclass
class Bought:
    """A line that somebody bought or wanted to buy."""

    wanted: int
    takes: list[tuple[str, int]]
    """Pool and units, in the order in which they were taken; none when the order was refused."""


@dataclass
class Model:
    """The stock, and what became of the orders."""

    partial: bool = False
    free: dict[str, Counter[str]] = field(default_factory=dict)
    """By SKU and path."""
    refused: list[str] = field(default_factory=list)
    """Numbers of refused orders."""
    movements: dict[str, Movements] = field(default_factory=dict)
    void: int = 0
    bought: dict[tuple[str, str], list[Bought]] = field(default_factory=dict)

    def replay(self, plan: Plan, invoices: Iterable[Invoice]) -> None:
        """Plays all of it."""
        for sku, units in plan.opening.items():
            quotas = plan.quotas.get(sku, {})
            self.free[sku] = Counter({**quotas, "": units - sum(quotas.values())})
            self.movements[sku] = Movements(opening=units)
        for invoice in invoices:
            self.sell(invoice)
            for sku, quantity in invoice.returned:
                self.bring_back(invoice.customer, sku, quantity)
            for sku, quantity in invoice.written_off:
                self.free[sku][""] -= quantity
                self.movements[sku].written_off += quantity

    def sell(self, invoice: Invoice) -> None:
        trial = {sku: self.free[sku].copy() for sku, _ in invoice.sold}
        lines = [self.take(trial[sku], invoice.path, quantity) for sku, quantity in invoice.sold]
        granted = [sum(units for _, units in takes) for takes in lines]
        wanted = [quantity for _, quantity in invoice.sold]
        if granted != wanted and not (self.partial and any(granted)):
            self.refused.append(invoice.number)
            lines = [[] for _ in lines]
        else:
            self.free |= trial
        for (sku, quantity), takes in zip(invoice.sold, lines, strict=True):
            self.movements[sku].sold += sum(units for _, units in takes)
            self.bought.setdefault((invoice.customer, sku), []).append(Bought(quantity, takes))

    @staticmethod
    def take(free: Counter[str], path: str, quantity: int) -> list[tuple[str, int]]:
        """Takes what there is, and no more than the SKU has in all."""
        left = min(quantity, max(0, free.total()))
        takes = []
        for pool in (path, path.partition("/")[0], ""):
            share = min(left, max(0, free[pool]))
            if share:
                free[pool] -= share
                left -= share
                takes.append((pool, share))
        return takes

    def bring_back(self, customer: str, sku: str, quantity: int) -> None:
        for line in reversed(self.bought.get((customer, sku), []) if customer else []):
            share = min(quantity, line.wanted)
            line.wanted -= share
            quantity -= share
            self.void += share
            while share and line.takes:
                pool, units = line.takes.pop()
                back = min(share, units)
                share -= back
                self.void -= back
                self.free[sku][pool] += back
                self.movements[sku].cancelled += back
                if units > back:
                    line.takes.append((pool, units - back))
        self.free[sku][""] += quantity
        self.movements[sku].returned += quantity
