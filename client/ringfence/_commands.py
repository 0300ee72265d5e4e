"""What a caller can ask for: lines, and the mutating commands made of them.

A command is the one description of a request, whether it goes as a call of its own (`client.reserve(...)`) or among
many over Execute (`pipe.submit(Reserve(...))`). Commands are plain values: making one sends and checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from ringfence._facts import CountBegin, CountEnd, SaleBooking, StockFigure
from ringfence._results import (
    AllocateResult,
    CancelResult,
    ConsumeResult,
    PostStockResult,
    ReallocateResult,
    ReassignPartResult,
    ReserveResult,
    UnallocateResult,
    UpdateReservationResult,
)

if TYPE_CHECKING:
    from ringfence._enums import CancelReason, Fallback

__all__ = [
    "Allocate",
    "Cancel",
    "Command",
    "Consume",
    "ConsumeDirectly",
    "FreeLine",
    "HasReservationId",
    "Line",
    "LineQuantities",
    "Move",
    "PostStock",
    "Reallocate",
    "ReassignPart",
    "ReservationLike",
    "Reserve",
    "Unallocate",
    "UpdateReservation",
]

T_co = TypeVar("T_co", covariant=True)


class HasReservationId(Protocol):
    """A reservation, or a result that names one."""

    @property
    def reservation_id(self) -> str:
        """The reservation's UUID."""
        ...


ReservationLike: TypeAlias = "str | HasReservationId"
"""A reservation's id, a `Reservation`, or a result that names one."""

LineQuantities: TypeAlias = "Mapping[str, int | None] | Iterable[str]"
"""Quantities of lines of a reservation, by `line_id`; None is all that the line has. A list of names is all of each."""


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity of one item for one group path: to allocate, to reserve or to sell."""

    sku: str
    """The item's stock keeping unit."""
    location: str
    """The store or warehouse. Empty in Reserve and direct Consume: sourced over the policy's location order."""
    quantity: int
    """Units of the item's base unit, 1 to 10^12: grams where the item is kept in grams."""
    path: str = field(default="", kw_only=True)
    """The group path, such as "web/london"; empty is the common pool. "web" does not contain "web/london"."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """One value for every dimension of the policy; empty means "does not apply"."""
    line_id: str = field(default="", kw_only=True)
    """The caller's name for the line, unique within the request; empty: its number, from "1". Not for Allocate."""
    fallback: Fallback | None = field(default=None, kw_only=True)
    """Narrows the policy's fallback for the path; None is the policy's, not NONE. Not for Allocate."""


@dataclass(frozen=True, slots=True)
class FreeLine:
    """All free units of one pool, be it none: a planner cannot know that figure under traffic. For Unallocate."""

    sku: str
    """The item's stock keeping unit."""
    location: str
    """The store or warehouse."""
    path: str = field(kw_only=True)
    """The group path that gives back; not empty."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """One value for every dimension of the policy."""


@dataclass(frozen=True, slots=True)
class Move:
    """A quantity that goes from one pool to another of the same stock key. For Reallocate."""

    sku: str
    """The item's stock keeping unit."""
    location: str
    """The store or warehouse."""
    quantity: int
    """Units, 1 to 10^12."""
    from_path: str = field(kw_only=True)
    """The group path that gives; empty is the common pool."""
    to_path: str = field(kw_only=True)
    """The group path that gets; empty is the common pool."""
    dimensions: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """One value for every dimension of the policy."""


class Command(Generic[T_co]):
    """A mutating command whose result is a `T_co`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Allocate(Command[AllocateResult]):
    """Moves free units from the common pool to the pools of the lines' paths."""

    lines: Line | Iterable[Line]
    """1 to 2,000; demands on one pool are summed."""


@dataclass(frozen=True, slots=True)
class Unallocate(Command[UnallocateResult]):
    """Gives free units of pools back to the common pool."""

    lines: Line | FreeLine | Iterable[Line | FreeLine]
    """1 to 2,000, in order."""
    all_free: bool = field(default=False, kw_only=True)
    """Every line gives back all it has free, whatever its quantity."""


@dataclass(frozen=True, slots=True)
class Reallocate(Command[ReallocateResult]):
    """Moves free units between pools of the same stock key."""

    lines: Move | Iterable[Move]
    """1 to 2,000, applied in order: a later line may move what an earlier one brought."""


@dataclass(frozen=True, slots=True)
class Reserve(Command[ReserveResult]):
    """Ties units to an order under a lease. Of `ttl`, `expire_time` and `never` at most one; none is the policy's
    default lease."""

    lines: Line | Iterable[Line]
    """1 to 2,000; all or nothing unless `allow_partial`."""
    owner: str = field(default="", kw_only=True)
    """A label for people and reports, 0 to 128 characters: not unique, and no right to act."""
    ttl: timedelta | None = field(default=None, kw_only=True)
    """How long the hold lasts from the first decision, never from a retry; above zero."""
    expire_time: datetime | None = field(default=None, kw_only=True)
    """When the hold ends, aware."""
    never: bool = field(default=False, kw_only=True)
    """The hold ends only when consumed or cancelled; refused unless the policy allows it."""
    allow_partial: bool = field(default=False, kw_only=True)
    """Grants what there is when it is less than asked: look at `fill`."""
    allow_split: bool = field(default=False, kw_only=True)
    """Lets a line without a location be split over several, if the policy allows it too."""


@dataclass(frozen=True, slots=True)
class UpdateReservation(Command[UpdateReservationResult]):
    """Changes a reservation by differences; what is left out stays as it is."""

    reservation: ReservationLike
    """The reservation or its id."""
    lines: Mapping[str, int] | None = field(default=None, kw_only=True)
    """New held quantities by `line_id`: the whole quantity, not a difference; 0 gives the line's hold back."""
    owner: str | None = field(default=None, kw_only=True)
    """The new owner label; "" takes it away."""
    ttl: timedelta | None = field(default=None, kw_only=True)
    """The new end of the lease, counted from this decision; above zero."""
    expire_time: datetime | None = field(default=None, kw_only=True)
    """The new end of the lease, aware."""
    never: bool = field(default=False, kw_only=True)
    """The hold ends only when consumed or cancelled; refused unless the policy allows it."""
    expected_revision: int = field(default=0, kw_only=True)
    """The revision the caller has seen; another one is RevisionMismatch. 0: any."""
    allow_split: bool = field(default=False, kw_only=True)
    """Lets a line without a location grow at other locations than its own, if the policy allows splitting too."""


@dataclass(frozen=True, slots=True)
class Consume(Command[ConsumeResult]):
    """Makes held units a sale. It means "sold", not "shipped"."""

    reservation: ReservationLike
    """The reservation or its id."""
    lines: LineQuantities | None = field(default=None, kw_only=True)
    """Some lines; None is all that is held. What is not named stays held unless `release_rest`."""
    release_rest: bool = field(default=False, kw_only=True)
    """Gives back whatever stays held after this sale."""
    revive: bool | None = field(default=None, kw_only=True)
    """Whether a lease that is over may take its stock back if it is still there; None is the policy's default."""
    order_reference: str = field(default="", kw_only=True)
    """The caller's order number, unique per caller, 0 to 128 characters."""
    attributes: bytes = field(default=b"", kw_only=True)
    """Handed on untouched to the till's adapter, 0 to 8,192 bytes."""


@dataclass(frozen=True, slots=True)
class ConsumeDirectly(Command[ConsumeResult]):
    """Sells lines without a hold before; a reservation is made and answered."""

    lines: Line | Iterable[Line]
    """1 to 2,000, judged as in Reserve; all or nothing."""
    owner: str = field(default="", kw_only=True)
    """A label for people and reports, 0 to 128 characters."""
    allow_split: bool = field(default=False, kw_only=True)
    """Lets a line without a location be split over several, if the policy allows it too."""
    order_reference: str = field(default="", kw_only=True)
    """The caller's order number, unique per caller, 0 to 128 characters."""
    attributes: bytes = field(default=b"", kw_only=True)
    """Handed on untouched to the till's adapter, 0 to 8,192 bytes."""


@dataclass(frozen=True, slots=True)
class Cancel(Command[CancelResult]):
    """Takes back whatever is left of a reservation, in every state: a sale too."""

    reservation: ReservationLike
    """The reservation or its id."""
    lines: LineQuantities | None = field(default=None, kw_only=True)
    """Some lines; None takes back whatever is left. Named quantities are strict: more than is left is refused."""
    reason: CancelReason | None = field(default=None, kw_only=True)
    """Why, for reports."""
    reason_text: str = field(default="", kw_only=True)
    """Why, in words, 0 to 512 characters."""


@dataclass(frozen=True, slots=True)
class ReassignPart(Command[ReassignPartResult]):
    """Moves units that a till rejected, or has not been sent yet, to another location."""

    reservation: ReservationLike
    """The reservation or its id."""
    part_number: int
    """The part whose units move, from 1."""
    location: str
    """The location that takes over, not the part's own."""
    path: str | None = field(default=None, kw_only=True)
    """The group path that asks there; None is the line's own, "" the common pool."""
    fallback: Fallback | None = field(default=None, kw_only=True)
    """Narrows the policy's fallback for the path; None is the policy's, not NONE."""
    quantity: int | None = field(default=None, kw_only=True)
    """Units, 1 to 10^12; None is all of the part that may move."""


@dataclass(frozen=True, slots=True)
class PostStock(Command[PostStockResult]):
    """Posts figures, differences and bookings; the whole batch is one transaction. Bookings are taken first, figures
    second, the end of a full count last."""

    figures: StockFigure | Iterable[StockFigure] = ()
    """0 to 2,000. A key that is left out stays as it is; it does not become zero, unless a full count ends."""
    source: str = field(default="", kw_only=True)
    """The data source that posts, 1 to 64 characters; empty is the caller's name."""
    bookings: SaleBooking | Iterable[SaleBooking] = field(default=(), kw_only=True)
    """What the till booked for online sale lines; together with the figures 0 to 2,000. All bookings up to a figure's
    position travel with it or before it."""
    count_id: str = field(default="", kw_only=True)
    """The full count that the figures belong to, 1 to 64 characters, never used twice by one source; empty: none."""
    begin_count: CountBegin | None = field(default=None, kw_only=True)
    """Opens the full count; needs `count_id`."""
    end_count: CountEnd | None = field(default=None, kw_only=True)
    """Closes the full count; needs `count_id`."""
