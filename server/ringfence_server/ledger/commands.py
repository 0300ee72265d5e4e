"""What can be asked of the ledger: frozen commands, parsed at the edge. Quantities are 1 … 10^12 base units."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

from .names import StockKey
from .policy import Fallback, Policy
from .till_state import Booking, Mark

Dimensions: TypeAlias = tuple[tuple[str, str], ...]


class AllocationLine(NamedTuple):
    """Units for one pool."""

    key: StockKey
    path: str
    quantity: int


class UnallocationLine(NamedTuple):
    """Units that a pool gives back; None is all that is free."""

    key: StockKey
    path: str
    quantity: int | None


class ReallocationLine(NamedTuple):
    """Units that move between two pools of one key."""

    key: StockKey
    from_path: str
    to_path: str
    quantity: int


class ReserveLine(NamedTuple):
    """A line of an order. An empty location is sourced."""

    line_id: str
    key: StockKey
    path: str
    quantity: int
    fallback: Fallback | None


class LineQuantity(NamedTuple):
    """A quantity of a reservation's line; 0 is all the line has for the command (in an update: really zero)."""

    line_id: str
    quantity: int


class Lease(NamedTuple):
    """When a hold ends: at most one is set; none is the policy's default. Microseconds."""

    expire_time: int | None = None
    ttl: int | None = None
    never: bool = False


DEFAULT_LEASE = Lease()


class Allocate(NamedTuple):
    """common.a → p.a"""

    lines: tuple[AllocationLine, ...]


class Unallocate(NamedTuple):
    """p.a → common.a"""

    lines: tuple[UnallocationLine, ...]


class Reallocate(NamedTuple):
    """p1.a → p2.a"""

    lines: tuple[ReallocationLine, ...]


class Reserve(NamedTuple):
    """p.a → p.h per part"""

    lines: tuple[ReserveLine, ...]
    owner: str
    lease: Lease
    allow_partial: bool
    allow_split: bool


class UpdateReservation(NamedTuple):
    """Changes by differences; None leaves as is."""

    reservation_id: bytes
    expected_revision: int
    lines: tuple[LineQuantity, ...] | None
    lease: Lease | None
    owner: str | None
    allow_split: bool = False
    """Lets an increase of a line without a location go to other locations than the line's."""


class Consume(NamedTuple):
    """p.h → p.c, or out at an OWNED location."""

    reservation_id: bytes
    lines: tuple[LineQuantity, ...]
    release_rest: bool
    revive: bool | None
    order_reference: str
    attributes: bytes


class ConsumeDirect(NamedTuple):
    """p.a → p.c, making a reservation."""

    lines: tuple[ReserveLine, ...]
    owner: str
    allow_split: bool
    order_reference: str
    attributes: bytes


class CancelReason(IntEnum):
    """Why an order was given up. The numbers are those of the contract."""

    UNSPECIFIED = 0
    CUSTOMER = 1
    PAYMENT = 2
    FRAUD = 3
    OUT_OF_STOCK = 4
    RETURNED = 5
    OTHER = 6


class Cancel(NamedTuple):
    """Takes back what is left."""

    reservation_id: bytes
    lines: tuple[LineQuantity, ...]
    reason: CancelReason
    reason_text: str


class ReassignPart(NamedTuple):
    """Moves units that a till rejected, or was not sent yet, to another location: c → the giving pool, and a new
    promise there, sold at once."""

    reservation_id: bytes
    part_number: int
    location: str
    path: str | None
    """None: the path that asked for the part."""
    fallback: Fallback | None
    quantity: int
    """0: all that may move."""


class Figure(NamedTuple):
    """One figure (``delta`` is False) or difference of one measure."""

    key: StockKey
    measure: str
    amount: int
    delta: bool
    position: int
    """0: now at an OWNED location; in a full count, the count's."""
    count_time: int | None
    expected_value: int | None
    previous_position: int | None = None
    """Set: a chained delta, of the figure at this position."""
    epoch: int = 0


class BookedPart(NamedTuple):
    """Names a sale line by one of its parts."""

    reservation_id: bytes
    part_number: int


class BookedOrder(NamedTuple):
    """Names a sale line by the channel's order number."""

    order_reference: str
    channel: str
    """Empty: any."""
    line_id: str
    """Empty: the line of the SKU, or the only one."""
    sku: str
    dimensions: Dimensions


class SaleBooking(NamedTuple):
    """What a till has booked for one sale line so far: its whole state."""

    sale: BookedPart | BookedOrder
    location: str
    """Whose till booked it."""
    bookings: tuple[Booking, ...]
    """Each mark once."""
    closed: bool
    reject_reason: str
    """Not empty: rejected, which implies closed."""


class CountBegin(NamedTuple):
    """Opens a full count."""

    location: str
    measure: str
    """Empty: the location's settlement measure."""
    mark: Mark


class CountEnd(NamedTuple):
    """Closes a full count."""

    key_count: int
    confirmed: bool


class PostStock(NamedTuple):
    """Facts; atomic over measures and keys. Bookings are taken first, figures second, the end of a count last."""

    source: str
    figures: tuple[Figure, ...]
    bookings: tuple[SaleBooking, ...] = ()
    count_id: str = ""
    begin: CountBegin | None = None
    end: CountEnd | None = None


class PublishedQuantity(NamedTuple):
    """What an adapter published for one pool."""

    key: StockKey
    path: str
    quantity: int
    publish_time: int


class ReportPublished(NamedTuple):
    """What an adapter last published; moves nothing."""

    publisher: str
    quantities: tuple[PublishedQuantity, ...]


class TakeOrders(NamedTuple):
    """Hands events of these locations to an adapter, under a lease."""

    adapter: str
    source: str
    """Empty: any; else that of the locations."""
    locations: tuple[str, ...]
    limit: int
    """Most events, 1 to 1,000."""
    lease: int
    """Microseconds."""
    resume: bool
    """True when the adapter comes back: what it holds is handed to it again."""
    holding: frozenset[bytes] | None = None
    """Events that it was handed since it came back: these are not handed over again before their lease ends, and only
    these count as being with it; None: all that is its own."""


class KeepOrders(NamedTuple):
    """An adapter lives: the leases of events that it has begin anew."""

    adapter: str
    event_ids: frozenset[bytes]
    lease: int
    """Microseconds."""


class OrderReceived(NamedTuple):
    """The till has the order."""

    document_number: str
    time: int | None


class OrderRejected(NamedTuple):
    """The till will not serve the order."""

    reason: str


class CancellationConfirmed(NamedTuple):
    """The till has cancelled the units."""


class CancellationRefused(NamedTuple):
    """The till does not cancel."""

    reason: str


class OrderFailed(NamedTuple):
    """The event could not be passed on; it comes again after so many microseconds."""

    error: str
    retry_after: int


class OrderPostponed(NamedTuple):
    """The till was told and answers later; without an answer the event comes again after so many microseconds."""

    retry_after: int


Reply: TypeAlias = (
    OrderReceived | OrderRejected | CancellationConfirmed | CancellationRefused | OrderFailed | OrderPostponed
)


class ReplyOrder(NamedTuple):
    """What a till said to one event."""

    event_id: bytes
    reply: Reply


class SetPolicy(NamedTuple):
    """Replaces the policy, compare-and-set."""

    policy: Policy
    expected_revision: int


Command: TypeAlias = (
    Allocate
    | Unallocate
    | Reallocate
    | Reserve
    | UpdateReservation
    | Consume
    | ConsumeDirect
    | Cancel
    | ReassignPart
    | PostStock
    | ReportPublished
    | TakeOrders
    | KeepOrders
    | ReplyOrder
    | SetPolicy
)
