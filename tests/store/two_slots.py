"""SKUs that lie in two slots of a PostgreSQL store: what happens to one locks nothing of the other."""

from __future__ import annotations

from typing import Final

from ringfence_server.store.slots import Slots
from tests.ledger.engine import ORGANIZATION
from tests.store.desk import Desk

SLOTS: Final = Slots(64)


def sku_in(slot: int) -> str:
    """A SKU that lies in a slot."""
    names = (f"LAMP-{number}" for number in range(100_000))
    return next(name for name in names if SLOTS.of_sku(ORGANIZATION, name) == slot)


LOW: Final = sku_in(3)
HIGH: Final = sku_in(40)


def held(desk: Desk, sku: str) -> int:
    """Units of a lamp that orders hold."""
    return int(desk.rows(f"SELECT held FROM pool JOIN stock USING (slot, stock_id) WHERE sku = '{sku}'")[0][0])
