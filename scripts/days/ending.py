"""How a day ended at the service: everything that a kill must not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from ringfence import AsyncClient

__all__ = ["Ending", "differences", "ending_of"]

Ending: TypeAlias = Mapping[str, Mapping[str, object]]
"""By kind, and by what it is of."""


async def ending_of(client: AsyncClient) -> Ending:
    """Balances, counts, reservations by order, sums of the ledger, and what did not fit."""
    balances = {
        f"{balance.key.sku} at {balance.key.location}, {balance.path or 'common'}": (
            balance.own,
            balance.supply,
            balance.net,
        )
        async for balance in client.query_balance(page_size=1_000)
    }
    counts = {
        f"{stock.key.sku} at {stock.key.location}": {
            name: (measure.value, measure.epoch, measure.position) for name, measure in stock.measures.items()
        }
        async for stock in client.list_stock(page_size=1_000)
    }
    reservations = {}
    async for found in client.list_reservations(page_size=1_000):
        parts = [
            (part.granted, part.held, part.unsettled, part.settled, part.cancelled, part.document_number)
            for line in found.lines
            for part in line.parts
        ]
        reservations[found.order_reference] = (found.state, parts)
    sums: Counter[str] = Counter()
    async for entry in client.list_entries(page_size=1_000):
        sums[f"{entry.key.sku} at {entry.key.location}: {entry.kind}, {entry.from_place} to {entry.to_place}"] += (
            entry.quantity
        )
    listed: Counter[str] = Counter()
    async for discrepancy in client.list_discrepancies(page_size=1_000):
        listed[f"{discrepancy.kind} of {discrepancy.order_reference or discrepancy.key.sku}"] += discrepancy.quantity
    return {
        "balances": balances,
        "counts": counts,
        "reservations": reservations,
        "ledger sums": sums,
        "discrepancies": listed,
    }


def differences(one: Ending, other: Ending) -> list[str]:
    """What differs between two endings, in words."""
    found = []
    for kind, values in one.items():
        others = other[kind]
        for name in sorted({*values, *others}):
            if values.get(name) != others.get(name):
                found.append(f"{kind}: {name}: {values.get(name)} undisturbed, {others.get(name)} after the kills")
    return found
