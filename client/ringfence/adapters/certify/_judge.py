"""What is judged: the service's figures against the till's own journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence.adapters.simulated_till import Mark, SimulatedTill

__all__ = ["Verdict"]


@dataclass(slots=True)
class Verdict:
    """What came of one scenario."""

    name: str
    """The scenario."""
    counts: int = 0
    """Counts judged: one per item whenever the service took a read."""
    too_high: int = 0
    """Counts after which the service would have sold what is not there. None may be."""
    too_low: int = 0
    """Counts after which the service would not have sold what is there; it may be for a while."""
    oversold_by_rule: int = 0
    """Units sold that were not there, and that the service could have known of. None may be."""
    oversold_by_walk_ins: int = 0
    """Units sold that a customer in the store had just taken; no rule helps against it."""
    undersold_unit_minutes: int = 0
    """Units that were there and not for sale, times minutes."""
    sold: int = 0
    """Units sold online."""
    accidents: int = 0
    """Messages lost or doubled, and restarts."""
    wrong_at_the_end: list[str] = field(default_factory=list)
    """Items whose figure is not exact after everything was told: counted twice, or lost."""

    @property
    def passed(self) -> bool:
        """Whether nothing was counted twice, lost or oversold by the rule, and something was judged."""
        wrong = self.too_high or self.oversold_by_rule or self.wrong_at_the_end
        return bool(self.counts) and not wrong


@dataclass(slots=True)
class SoldLine:
    """An order as the shop sold it: one line."""

    sku: str
    quantity: int
    reservation_id: str
    given_up: bool = False
    """Whether the shop took a rejected order back."""


def right_at(till: SimulatedTill, sku: str, mark: Mark, lines: dict[str, SoldLine]) -> int:
    """What the service should say at a figure of this mark: the figure less what it does not contain yet."""
    owed = sum(
        till.owed_at(name, mark, line.quantity) for name, line in lines.items() if line.sku == sku and not line.given_up
    )
    return till.value_at(sku, mark) - owed


def walked_since(till: SimulatedTill, sku: str, mark: Mark) -> int:
    """Units that left by the store's own door after a figure of this mark, as far as others did not come in."""
    moved = sum(entry.change for entry in till.entries() if entry.sku == sku and entry.mark > mark and not entry.line)
    return max(0, -moved)
