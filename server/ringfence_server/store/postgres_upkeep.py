"""What upkeep asks of a store with many slots; seldom, so through Core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, literal_column, select, tuple_

from ringfence_server.ledger.names import StockKey

from . import schema
from .codec import dimensions_of
from .driver import PostgresConnection
from .load import Loader
from .slots import Slots
from .statements import slot_select


class SlotUpkeep:
    """Looks through all slots."""

    def __init__(self, slots: Slots, loader: Loader) -> None:
        self._slots = slots
        self._loader = loader

    def due_slots(self, connection: PostgresConnection, until: int) -> list[int]:
        """The slots in which holds end at or before ``until``, rising."""
        statement = slot_select(connection.core.dialect, _any_due)
        return sorted(slot for (slot,) in statement.run(connection, self._slots.all, (until,)))

    def stale_keys(self, connection: PostgresConnection, after: int, most: int) -> tuple[list[StockKey], int]:
        """Keys that an older formula valued, slot by slot, after a stock number; and the number to go on from."""
        stock, policy = schema.stock, schema.policy
        any_policy = select(policy.c.revision).where(policy.c.slot == 0).limit(1)
        if not after and connection.execute(any_policy).first() is None:
            # Nobody ever set a policy: a start need not walk a million keys.
            return [], 0
        rows = connection.execute(
            select(
                stock.c.stock_id,
                stock.c.organization,
                stock.c.sku,
                stock.c.location,
                stock.c.dimensions,
                stock.c.policy_revision,
            )
            .where(tuple_(stock.c.slot, stock.c.stock_id) > (self._slots.of_stock(after), after))
            .order_by(stock.c.slot, stock.c.stock_id)
            .limit(most)
        ).all()
        policies = self._loader.policies(connection, {row.organization for row in rows})
        keys = [
            StockKey(row.organization, row.sku, row.location, dimensions_of(row.dimensions))
            for row in rows
            if row.policy_revision < policies[row.organization].formula_revision
        ]
        return keys, rows[-1].stock_id if len(rows) == most else 0


def _any_due(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    part = schema.part
    query = (
        select(part.c.slot)
        .where(
            part.c.slot == slot,
            part.c.held > literal_column("0"),
            part.c.expire_time.is_not(None),
            part.c.expire_time <= bindparam("until"),
        )
        .suffix_with("LIMIT 1")
    )
    return query, ["until"]
