"""Supply: the formula over the measures, and what its change moves."""

from __future__ import annotations

from .journal import Batch
from .names import COMMON
from .policy import Policy
from .state import EntryKind, Place, Stock


def supply_of(policy: Policy, stock: Stock) -> int:
    """The formula's value over the key's measures: Σ coefficient × value, unposted measures being 0."""
    total = 0
    for term in policy.supply:
        value = stock.measures.get(term.measure)
        if value is not None:
            total += term.coefficient * value.value
    return total


def change_measure(stock: Stock, measure: str, delta: int) -> None:
    """A sale or its return at an OWNED location: the service's own count changes; supply moves with the sale itself.

    The ledger entry of the sale names the measure, so its history needs no fact of its own.
    """
    value = stock.measure(measure)
    value.value += delta
    value.changed = True


def move_supply(batch: Batch, stock: Stock, delta: int, kind: EntryKind, measure: str = "") -> None:
    """A fact changes supply: it moves the common pool's free units only, and is never refused for making them
    negative."""
    if delta > 0:
        batch.move(kind, stock, delta, None, Place.OUTSIDE, stock.pool(COMMON), Place.FREE, measure=measure)
    elif delta < 0:
        batch.move(kind, stock, -delta, stock.pool(COMMON), Place.FREE, None, Place.OUTSIDE, measure=measure)


def revalue(batch: Batch, policy: Policy, stock: Stock) -> None:
    """Values a key by the policy in force, as a fact; before any decision on a key that an older policy valued."""
    move_supply(batch, stock, supply_of(policy, stock) - stock.supply, EntryKind.REVALUE)
    stock.policy_revision = policy.revision
    stock.changed = True
