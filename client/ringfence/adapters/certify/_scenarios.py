"""What the bench puts an adapter through. Chances are per event, spans are virtual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["SCENARIOS", "Scenario"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One day, or a part of it."""

    name: str
    """Its name in the table."""
    hours: int = 8
    """How long the shop is open."""
    skus: int = 6
    """Items, each with 20 to 60 pieces at the beginning."""
    orders_an_hour: float = 12
    """Online orders."""
    walk_ins_an_hour: float = 20
    """Sales in the store, and now and then a return or a delivery."""
    longest_booking_minutes: int = 40
    """How long after it has an order the till books it, at most; at least 2 minutes."""
    partial: float = 0.2
    """Chance that an order of several pieces is booked in parts."""
    reversed: float = 0.1
    """Chance that a booking is undone and done again."""
    rejected: float = 0.0
    """Chance that the till rejects an order."""
    cancelled: float = 0.0
    """Chance that the shop cancels an order that was sent."""
    copies: float = 0.0
    """Chance that a message arrives a second time, later and out of order."""
    lost_requests: float = 0.0
    """Chance that a message does not arrive."""
    lost_answers: float = 0.0
    """Chance that a message arrives and its answer does not."""
    crashes: float = 0.0
    """Chance, between any two steps, that the adapter's program ends."""
    away: bool = False
    """Whether the till cannot be read for an hour."""
    drift: timedelta = timedelta(0)
    """By how much the adapter's clock goes wrong in the course of the day."""
    replaced: bool = False
    """Whether the till is replaced at noon: a new epoch."""
    partial_counts: bool = False
    """Whether the adapter sees only some of the items in a read."""


SCENARIOS = (
    Scenario(name="a quiet day"),
    Scenario(name="late bookings", longest_booking_minutes=180, partial=0.5, reversed=0.3),
    Scenario(name="rejections and cancellations", rejected=0.15, cancelled=0.15),
    Scenario(name="duplicates out of order", copies=0.3),
    Scenario(name="losses", lost_requests=0.2, lost_answers=0.2),
    Scenario(name="restarts", crashes=0.02),
    Scenario(name="a till that is away", away=True),
    Scenario(name="clock drift", drift=timedelta(minutes=-90), copies=0.1),
    Scenario(name="partial counts", partial_counts=True),
    Scenario(name="a replaced till", replaced=True),
    Scenario(
        name="everything at once",
        partial=0.3,
        reversed=0.2,
        rejected=0.1,
        cancelled=0.1,
        copies=0.2,
        lost_requests=0.1,
        lost_answers=0.1,
        crashes=0.01,
        drift=timedelta(minutes=45),
        partial_counts=True,
        replaced=True,
    ),
)
"""All of them."""
