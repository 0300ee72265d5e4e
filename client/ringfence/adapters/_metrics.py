"""What a runner has done, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Counts since the start of the program; they only rise, but for `events_waiting` and `last_read_time`."""

    reads: int = 0
    """Reads that the service took."""
    reads_empty: int = 0
    """Reads that found nothing new."""
    reads_failed: int = 0
    """Reads that the till, or the way to the service, failed."""
    reads_refused: int = 0
    """Reads that the service refused for good, wholly or in part."""
    figures: int = 0
    """Figures posted."""
    bookings: int = 0
    """Sale lines posted."""
    stale: int = 0
    """Figures for which a newer one was in force."""
    conflicts: int = 0
    """Figures and bookings whose position is known with another value."""
    unknown_orders: int = 0
    """Bookings of orders that the service does not know."""
    counts_to_confirm: int = 0
    """Full counts that wait for a person."""
    orders: int = 0
    """Orders given to the till."""
    cancellations: int = 0
    """Cancellations given to the till."""
    events_repeated: int = 0
    """Events that came again and were known."""
    events_waiting: int = 0
    """Orders and cancellations that the till has and has not answered, now."""
    postponements: int = 0
    """Postponements, and renewals of them, while the till takes its time."""
    events_failed: int = 0
    """Events that the till could not take."""
    rejected: int = 0
    """Orders that the till rejected."""
    replies: int = 0
    """Replies that are durable at the service."""
    reply_failures: int = 0
    """Replies that did not reach the service at once; they go again."""
    published: int = 0
    """Quantities shown."""
    publish_failures: int = 0
    """Times that showing them, or reporting it, failed."""
    feed_failures: int = 0
    """Times that the order feed could not be had."""
    sales_forgotten: int = 0
    """Sale lines dropped because the service never came to know their orders and there were too many."""
    last_read_time: datetime | None = field(default=None)
    """When the service last took a read; None before."""

    def open_metrics(self, prefix: str = "ringfence_adapter") -> str:
        """The counts as OpenMetrics text, for a file that a collector reads."""
        lines: list[str] = []
        for found in fields(self):
            value = getattr(self, found.name)
            if found.name == "last_read_time":
                name = f"{prefix}_last_read_timestamp_seconds"
                lines += [f"# TYPE {name} gauge"]
                if value is not None:
                    lines.append(f"{name} {value.timestamp()}")
                continue
            name = f"{prefix}_{found.name}"
            if found.name == "events_waiting":
                lines += [f"# TYPE {name} gauge", f"{name} {value}"]
                continue
            lines += [f"# TYPE {name} counter", f"{name}_total {value}"]
        return "\n".join([*lines, "# EOF", ""])
