"""What the contract says and the server does not do yet: the till side, while it is being built.

Whoever builds an entry removes its name here; when nothing is left this module goes, and the tests that ask it.
"""

from __future__ import annotations

from typing import Final

COMING: Final = frozenset(
    f"ringfence.v1.{name}"
    for name in (
        # Methods without a handler.
        "OrderFeedService.StreamOrders",
        "StockService.SyncStock",
        "StockService.ListDiscrepancies",
        "StockService.ReportPublished",
        "AllocationService.ReassignPart",
    )
)
"""Full names of protobuf descriptors."""
