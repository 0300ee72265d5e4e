"""What tills and planners tell: figures, bookings of sale lines, full counts, what was published. Plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence._commands import ReservationLike

__all__ = ["Booking", "CountBegin", "CountEnd", "PublishedQuantity", "SaleBooking", "StockFigure"]


@dataclass(frozen=True, slots=True)
class StockFigure:
    """One figure or difference of one measure of one stock key. For PostStock; give either `value` or `delta`."""

    sku: str
    """The item's stock keeping unit."""
    location: str
    """The store or warehouse."""
    value: int | None = None
    """The absolute value of a FIGURE measure, -10^12 to 10^12."""
    delta: int | None = field(default=None, kw_only=True)
    """A difference: of a COUNTER measure; of the count the service itself keeps (a delivery, a return); or of any
    FIGURE when `previous_position` chains it."""
    measure: str = field(default="", kw_only=True)
    """The measure, such as "on_hand"; empty is the location's settlement measure."""
    position: int = field(default=0, kw_only=True)
    """The source's position of this figure, rising per source, location and epoch; 0 at an OWNED location is "now".
    The figure contains exactly the bookings of that location with a position up to this one."""
    previous_position: int | None = field(default=None, kw_only=True)
    """Makes a delta a chained one: the position of the key's movement before it, 0 to 2^63-1."""
    epoch: int = field(default=0, kw_only=True)
    """The till's life, 0 to 2^31-1: one more when a till was replaced or restored and its positions start anew."""
    count_time: datetime | None = field(default=None, kw_only=True)
    """When the source began its consistent read, aware; it decides nothing."""
    expected_value: int | None = field(default=None, kw_only=True)
    """Compare and set: the value of this measure the caller has seen; another one refuses the whole batch."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """One value for every dimension of the policy."""


@dataclass(frozen=True, slots=True)
class Booking:
    """One movement of a till's journal that belongs to a sale line."""

    position: int
    """The journal's position of the movement, 1 to 2^63-1, in the numbering of that location's figures."""
    quantity: int
    """Units by which on hand fell, 1 to 10^12; negative when the till reversed them."""
    epoch: int = field(default=0, kw_only=True)
    """The till's life, 0 to 2^31-1, as in StockFigure."""


@dataclass(frozen=True, slots=True)
class SaleBooking:
    """What a till has booked for one online sale line so far: its whole state, never an increment. Name the sale either
    by `reservation` and `part_number`, or by `order_reference`. Report booked when on hand falls, not when the order
    arrives; a reversal with, or before, the figure it raises; and in a new epoch everything anew."""

    location: str
    """The location whose till booked it; another one than the part's moves the sale there."""
    bookings: Booking | Iterable[Booking] = ()
    """All journal movements of the line, at most 64, reversals included."""
    reservation: ReservationLike = field(default="", kw_only=True)
    """The reservation, when the sale is named by part."""
    part_number: int = field(default=0, kw_only=True)
    """The part that the order feed handed over, from 1; with `reservation`."""
    order_reference: str = field(default="", kw_only=True)
    """The channel's order number, 1 to 128 characters, when the sale is named by order."""
    channel: str = field(default="", kw_only=True)
    """The caller that sold; empty is any, refused when two callers use the number."""
    line_id: str = field(default="", kw_only=True)
    """The order line; empty is the line of `sku`, or the only line of the order."""
    sku: str = field(default="", kw_only=True)
    """The item; needed where `line_id` is empty and the order has several lines."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """The item's dimensions; only with `sku`."""
    closed: bool = field(default=False, kw_only=True)
    """True when the till books nothing more for the line: it is complete, was given up, or is rejected."""
    reject_reason: str = field(default="", kw_only=True)
    """Why the till will not serve the line, 1 to 512 characters; implies closed. The sale stands until the channel
    decides."""


@dataclass(frozen=True, slots=True)
class CountBegin:
    """Opens a full count: a session in which every key of one location and measure is posted."""

    location: str
    """The location."""
    position: int
    """The position of the consistent read, 1 to 2^63-1; figures of the count carry it, or 0, which means it."""
    measure: str = field(default="", kw_only=True)
    """The measure; empty is the location's settlement measure."""
    epoch: int = field(default=0, kw_only=True)
    """The till's life, 0 to 2^31-1."""


@dataclass(frozen=True, slots=True)
class CountEnd:
    """Closes a full count: keys of its scope that it did not mention, and whose position is lower, become zero."""

    key_count: int
    """How many different keys the count mentioned, 0 to 10^9."""
    confirmed: bool = field(default=False, kw_only=True)
    """True when a person has agreed to what would become zero; needed after NEEDS_CONFIRMATION."""


@dataclass(frozen=True, slots=True)
class PublishedQuantity:
    """What an adapter published for one pool of one stock key. For `report_published`."""

    sku: str
    """The item's stock keeping unit."""
    location: str
    """The store or warehouse."""
    quantity: int
    """The quantity published, -10^12 to 10^12; 0 was published as zero."""
    publish_time: datetime
    """When, by the adapter's clock, aware. An older time than the last report's does not replace it."""
    path: str = field(default="", kw_only=True)
    """The pool's group path; empty is the common pool."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """One value for every dimension of the policy."""
