"""What the contract says and the client does not do yet: the till side, while it is being built.

Whoever builds an entry removes its name here; when nothing is left this module goes, and the tests that ask it.
"""

from __future__ import annotations

from typing import Final

COMING: Final = frozenset(
    f"ringfence.v1.{name}"
    for name in (
        # Methods, without a client method.
        "OrderFeedService.StreamOrders",
        "StockService.SyncStock",
        "StockService.ListDiscrepancies",
        "StockService.ReportPublished",
        "AllocationService.ReassignPart",
        # Fields of answers that the client does not read.
        "Balance.published",
        "FigureOutcome.common",
        "FigureOutcome.epoch",
        "FigureOutcome.unsettled",
        "Location.source",
        "MeasureValue.epoch",
        "Part.attempts",
        "Part.booked",
        "Part.cancellation_refused_reason",
        "Part.cancelling",
        "Part.closed",
        "Part.last_error",
        "Part.moved_from",
        "Part.owed",
        "Part.rejected",
        "Part.rejected_reason",
        "Policy.full_count_confirm_share",
        "PostStockResponse.begin_outcome",
        "PostStockResponse.booking_outcomes",
        "PostStockResponse.end_outcome",
        "Stock.published",
        # Values that the client does not name.
        "FIGURE_RESULT_GAP",
    )
)
"""Full names of protobuf descriptors."""
