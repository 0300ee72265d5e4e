"""What passes between an adapter and its runner. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from ringfence._facts import SaleBooking, StockFigure
from ringfence._types import StockKey

__all__ = [
    "AdapterError",
    "Answer",
    "Cancelled",
    "Later",
    "NotCancelled",
    "OrderAnswer",
    "ReadReport",
    "Received",
    "Rejected",
    "SaleTotal",
    "Shown",
    "TillRead",
]


class AdapterError(Exception):
    """What an adapter raises when the other system does not do its part: the runner logs it, waits and tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleTotal:
    """What a till without a journal says of an online sale line: the units booked so far, as one number. The runner
    remembers what it was before and gives the difference the position of the read. Name the line by `order_reference`,
    or by `reservation_id` and `part_number`."""

    location: str
    """The location whose till booked it."""
    booked: int
    """Units by which on hand has fallen for this line so far, reversals taken off; 0 while nothing was booked."""
    order_reference: str = ""
    """The channel's order number, 1 to 128 characters."""
    channel: str = ""
    """The caller that sold; empty is any."""
    line_id: str = ""
    """The order line; empty is the line of `sku`, or the only line."""
    sku: str = ""
    """The item; needed where `line_id` is empty and the order has several lines."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """The item's dimensions; only with `sku`."""
    reservation_id: str = ""
    """The reservation, when the line is named by part."""
    part_number: int = 0
    """The part, from 1; with `reservation_id`."""
    closed: bool = False
    """True when the till books nothing more for the line."""
    reject_reason: str = ""
    """Why the till will not serve the line, 1 to 512 characters; implies closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TillRead:
    """What one consistent read of a till found: bookings and figures of the same instant."""

    figures: Sequence[StockFigure] = ()
    """On hand as the till books it, not "available". Those with position 0 get the read's position and epoch."""
    bookings: Sequence[SaleBooking] = ()
    """Sale lines with their journal positions, for a till that has a journal; they need `position`."""
    totals: Sequence[SaleTotal] = ()
    """Sale lines with what is booked so far, for a till that has none."""
    position: int = 0
    """The till's journal position at the read; 0: the runner's own running number of reads."""
    epoch: int = 0
    """The till's life, 0 to 2^31-1: one more when it was replaced or restored."""
    count_time: datetime | None = None
    """When the read began, aware; it decides nothing."""
    full_count_of: str = ""
    """The location of which `figures` holds every key; empty: no full count. What a full count does not mention becomes
    zero."""
    reference: Any = None
    """The adapter's own: what `posted` and `refused` shall find again, such as the name of a file."""


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What came of a read that the service took."""

    position: int
    """The position it was posted with."""
    results: Mapping[str, int]
    """How many figures, bookings and counts had each result, such as {"figure applied": 40, "booking duplicate": 2}."""
    unknown_orders: Sequence[str]
    """Order references that the service does not know yet; the runner sends their lines again."""
    needs_confirmation: bool
    """A full count waits for a person, because it would make too much zero."""
    gaps: Sequence[StockKey] = ()
    """Keys of which a chained delta came before the one that it follows: send their figures in the next read."""


@dataclass(frozen=True, slots=True)
class Received:
    """The till has the order. It is not booked and not settled by that."""

    document_number: str = ""
    """The till's own number of the order, 0 to 128 characters."""
    time: datetime | None = None
    """When the till took it, aware; None is now."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The till will not serve the order. The sale stands until the channel decides."""

    reason: str
    """Why, 1 to 512 characters."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The till has cancelled the units: they can be sold again."""


@dataclass(frozen=True, slots=True)
class NotCancelled:
    """The till does not cancel: the sale stands."""

    reason: str
    """Why, 1 to 512 characters."""


@dataclass(frozen=True, slots=True)
class Later:
    """The till has been told and answers later: by `PosAdapter.answers`, or by what it books and closes. It holds up no
    newer order: up to 20,000 events may wait so; then no more are taken, and the log says so."""


OrderAnswer: TypeAlias = Received | Rejected | Cancelled | NotCancelled | Later
"""What a till says to an order or a cancellation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A late answer to an event."""

    event_id: str
    """The event."""
    answer: Received | Rejected | Cancelled | NotCancelled
    """What the till says."""
    reference: Any = None
    """The adapter's own: what `answered` shall find again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be shown for one pool of one stock key."""

    key: StockKey
    """The stock key, with its location."""
    path: str
    """The pool's group path; empty is the common pool."""
    quantity: int
    """What may be shown as available, 0 or more."""
