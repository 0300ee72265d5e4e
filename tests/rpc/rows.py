"""Rows of a ledger as a decision refers to them."""

from __future__ import annotations

from typing import Any, Final

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.state import Part, Pool, Reservation, Stock

BIKE: Final = StockKey("acme", "BIKE", "north", (("colour", "red"),))
LAMP: Final = StockKey("acme", "LAMP", "south")
MADE: Final = 1_767_261_600_000_001
"""1 January 2026, 10:00 UTC and a microsecond."""
RESERVATION: Final = bytes.fromhex("0199a0000000700080000000000000ab")
RESERVATION_TEXT: Final = "0199a000-0000-7000-8000-0000000000ab"


def stock(key: StockKey, *pools: Pool) -> Stock:
    """A key with its pools; its supply is what they hold."""
    made = Stock(1, key)
    made.pools = {pool.path: pool for pool in pools}
    made.promised = sum(pool.held + pool.unsettled for pool in pools)
    made.supply = made.promised + sum(pool.free for pool in pools)
    return made


def pool(path: str, free: int = 0, held: int = 0, unsettled: int = 0, consumed: int = 0) -> Pool:
    """A pool."""
    return Pool(path, free, held, unsettled, consumed, living=True)


def part(number: int, of: Stock, line_id: str = "a", line_number: int = 0, path: str = "web", **fields: Any) -> Part:
    """What a pool gave to a line that asked on web for 5."""
    made = Part(number, line_number, line_id, of, path, "web", Fallback.ANCESTORS, True, 5, None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def reservation(*parts: Part, **fields: Any) -> Reservation:
    """A reservation of these parts, without an end unless one is given."""
    made = Reservation(RESERVATION, "acme", "shop", "Ada", None, MADE)
    made.parts = list(parts)
    for name, value in fields.items():
        setattr(made, name, value)
    return made
