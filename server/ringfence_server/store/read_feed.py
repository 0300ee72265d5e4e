"""Which keys changed since a revision: what a resumed watch asks when its server no longer remembers."""

from __future__ import annotations

from struct import unpack
from typing import Final

from sqlalchemy import func, select

from ringfence_server.ledger.names import StockKey

from . import schema
from .codec import dimensions_of
from .driver import DriverConnection
from .load import SLOT

_STOCKS_A_STATEMENT: Final = 1_000


def changed_since(connection: DriverConnection, organization: str, revision: int, most: int) -> list[StockKey] | None:
    """Keys of an organization changed after ``revision``, oldest change first; None when that is not known any more
    (pruned), was never (a token of another database), or is more than ``most`` keys of all organizations."""
    feed = schema.feed
    newest = connection.execute(select(schema.slot_state.c.revision).where(schema.slot_state.c.slot == SLOT)).scalar()
    if newest is None or revision > newest:
        return None
    oldest = connection.execute(select(func.min(feed.c.revision)).where(feed.c.slot == SLOT)).scalar()
    if oldest is None or oldest > revision + 1:
        # Commits that changed no balance have no row, so a gap at the start may be nothing; but that cannot be told
        # from a pruned row once the oldest one lies beyond the token.
        return [] if oldest is None and revision == newest else None
    numbers: dict[int, None] = {}
    rows = connection.execute(
        select(feed.c.stock_ids).where(feed.c.slot == SLOT, feed.c.revision > revision).order_by(feed.c.revision)
    )
    for (packed,) in rows:
        numbers.update(dict.fromkeys(unpack(f">{len(packed) // 8}q", packed)))
        if len(numbers) > most:
            rows.close()
            return None
    stock = schema.stock
    wanted = list(numbers)
    keys: dict[int, StockKey] = {}
    for start in range(0, len(wanted), _STOCKS_A_STATEMENT):
        for row in connection.execute(
            select(stock.c.stock_id, stock.c.sku, stock.c.location, stock.c.dimensions).where(
                stock.c.slot == SLOT,
                stock.c.organization == organization,
                stock.c.stock_id.in_(wanted[start : start + _STOCKS_A_STATEMENT]),
            )
        ):
            keys[row.stock_id] = StockKey(organization, row.sku, row.location, dimensions_of(row.dimensions))
    return [keys[number] for number in wanted if number in keys]
