"""Finding the keys that an older formula valued, in bounded pieces."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from ringfence_server.ledger.names import StockKey

from . import schema
from .codec import dimensions_of
from .driver import DriverConnection
from .load import Loader
from .slots import Slots


def stale_keys(
    connection: DriverConnection, slots: Slots, loader: Loader, after: int, most: int
) -> tuple[list[StockKey], int]:
    """Keys that an older formula valued, slot by slot, after a stock number (0: from the beginning), out of the next
    ``most`` keys; and the number to go on from (0: that was the last piece)."""
    stock, policy = schema.stock, schema.policy
    any_policy = select(policy.c.revision).where(policy.c.slot == 0).limit(1)
    if not after and connection.execute(any_policy).first() is None:
        # Nobody ever set a policy: a start need not walk a million keys.
        return [], 0
    rows: list[Any] = []
    for slot in slots.all[slots.of_stock(after) :]:
        # One slot at a time: its keys are a range of the primary key, of one machine where slots lie on several.
        found = (
            select(
                stock.c.stock_id,
                stock.c.organization,
                stock.c.sku,
                stock.c.location,
                stock.c.dimensions,
                stock.c.policy_revision,
            )
            .where(stock.c.slot == slot, stock.c.stock_id > after)
            .order_by(stock.c.stock_id)
            .limit(most - len(rows))
        )
        rows += connection.execute(found).all()
        if len(rows) == most:
            break
        after = 0
    policies = loader.policies(connection, {row.organization for row in rows})
    keys = [
        StockKey(row.organization, row.sku, row.location, dimensions_of(row.dimensions))
        for row in rows
        if row.policy_revision < policies[row.organization].formula_revision
    ]
    return keys, rows[-1].stock_id if len(rows) == most else 0
