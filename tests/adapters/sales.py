"""What the small service of adapter tests knows of a sale, and what its till still owes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence.v1 import order_feed_service_pb2 as feed_pb2

Key = tuple[str, str]
"""SKU and location."""
Instant = tuple[int, int]
"""Epoch and position."""


@dataclass
class Sale:
    """One sold line."""

    reservation_id: str
    key: Key
    quantity: int
    order_reference: str
    bookings: dict[Instant, int] = field(default_factory=dict)
    closed: bool = False
    cancelled: int = 0
    document_number: str = ""
    rejected: str = ""

    def contained(self, at: Instant) -> int:
        """Units that the figure of that instant contains."""
        # The newest epoch that told of the line is its state.
        epoch = max((instant[0] for instant in self.bookings if instant <= at), default=0)
        return sum(quantity for instant, quantity in self.bookings.items() if instant <= at and instant[0] == epoch)

    def owed(self, at: Instant) -> int:
        """Units by which the till's figure has still to fall."""
        contained, sold = self.contained(at), self.quantity - self.cancelled
        if not self.closed:
            return max(0, sold - contained)
        highest = contained
        ever = 0
        for instant in sorted(self.bookings):
            total = self.contained(instant)
            ever = max(ever, total)
            if instant > at:
                highest = max(highest, total)
        owed = max(0, min(highest, sold) - contained)
        # Rejected or closed short: the channel decides about the rest.
        return owed + (max(0, sold - ever) if self.rejected or ever else 0)


@dataclass
class Event:
    """One event for a till."""

    message: feed_pb2.OrderEvent
    replied: feed_pb2.OrderReply | None = None
    postponed: bool = False
