"""The rows of the till side: what a till has to do with a sold part, its events, full counts, and what did not fit.

Like the rows of ``state`` they are mutable on purpose and never leave the batch; ``changed`` marks what the store has
to write, ``stored`` what it has to update instead of insert.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from .names import StockKey

MAX_BOOKINGS = 64
"""Journal movements of one sale line in one report."""
MAX_EPOCH = 2**31 - 1
MAX_ZEROED = 2_000
"""Stock keys that one end of a full count makes zero; it is sent again for more."""


class Mark(NamedTuple):
    """A place in a till's journal. Marks compare within an epoch, and a higher epoch is newer."""

    epoch: int
    position: int


NO_MARK = Mark(0, 0)
"""Before the first figure."""


class Booking(NamedTuple):
    """One movement of a till's journal that belongs to a sale line."""

    epoch: int
    position: int
    quantity: int
    """Units by which on hand fell, not 0; negative when the till reversed them."""


class EventKind(IntEnum):
    """What an event tells the till. The numbers are those of the contract."""

    ORDER = 1
    CANCELLATION = 2


class EventState(IntEnum):
    """Where an event stands."""

    WAITING = 1
    """To be handed over, for the first time or again."""
    HANDED = 2
    """An adapter has it under a lease."""
    DONE = 3
    """Replied to."""
    WITHDRAWN = 4
    """Never handed over, and not needed any more."""
    POSTPONED = 5
    """An adapter has passed it on and the till answers later: that adapter's under a lease, but not in flight."""


class OrderEvent:
    """Something that a till is to be told about one part. Its id stays the same however often it is handed over."""

    __slots__ = (
        "adapter",
        "attempts",
        "changed",
        "channel",
        "create_time",
        "event_id",
        "kind",
        "lease_until",
        "not_before",
        "quantity",
        "sequence",
        "state",
        "stored",
    )

    def __init__(
        self, event_id: bytes, sequence: int, kind: EventKind, quantity: int, channel: str, create_time: int
    ) -> None:
        self.event_id = event_id
        self.sequence = sequence
        """Events of one part are handed over in this order."""
        self.kind = kind
        self.quantity = quantity
        """Units to be booked or cancelled; 0 once withdrawn."""
        self.channel = channel
        """The caller that sold."""
        self.create_time = create_time
        self.state = EventState.WAITING
        self.attempts = 0
        """How often it was handed over."""
        self.adapter = ""
        """Who has it, or had it last."""
        self.lease_until = 0
        """Until when it is that adapter's alone, microseconds; 0 when nobody has it."""
        self.not_before = 0
        """After a failure: when it may be handed over again, microseconds."""
        self.stored = False
        self.changed = True

    @property
    def unsent(self) -> bool:
        """Whether no adapter was ever handed it."""
        return not self.attempts and self.state is EventState.WAITING

    @property
    def open(self) -> bool:
        """Whether it is still to be replied to."""
        return self.state in (EventState.WAITING, EventState.HANDED, EventState.POSTPONED)


class TillSale:
    """What a till has to do with a part: n, its bookings, and what it said. One per part that was sold at a TILL."""

    __slots__ = (
        "attempts",
        "awaiting",
        "booked",
        "bookings",
        "cancelling",
        "changed",
        "closed",
        "events",
        "last_error",
        "moved_from",
        "new_bookings",
        "ordered",
        "refused_reason",
        "rejected",
        "rejected_reason",
        "stored",
        "undecided",
    )

    def __init__(self) -> None:
        self.ordered = 0
        """n: units sold that the till is to book. A cancellation lowers it once the units are given up."""
        self.bookings: dict[Mark, int] = {}
        """Quantity by mark: the union of all reports. The first quantity of a mark stands."""
        self.new_bookings: list[Booking] = []
        """Those that are not stored yet."""
        self.events: list[OrderEvent] = []
        """By sequence."""
        self.closed = False
        """The till books nothing more. Sticky."""
        self.rejected = False
        """The till will not serve it. Sticky, and implies closed."""
        self.rejected_reason = ""
        self.cancelling = 0
        """Units whose cancellation the till has not answered."""
        self.refused_reason = ""
        """Why the till refused the last cancellation."""
        self.undecided = 0
        """Of the part's unsettled units those that the till will not book: the channel has to decide."""
        self.booked = 0
        """Units booked, reversals taken off, as spread over the parts of the line."""
        self.awaiting = False
        """Whether a figure may still move it: it owes units, or has bookings beyond the figure in force."""
        self.moved_from = 0
        """The part that the units were sold from before another location took them over; 0: none."""
        self.attempts = 0
        """How often orders of the part were handed over."""
        self.last_error = ""
        self.stored = False
        self.changed = True

    @property
    def unsent(self) -> int:
        """Units whose order no adapter was handed yet."""
        return sum(event.quantity for event in self.events if event.kind is EventKind.ORDER and event.unsent)

    @property
    def revocable(self) -> int:
        """Units that no till was sent and none booked all the same, or that it will not book: they can go back, or
        elsewhere, at once."""
        not_booked = max(0, self.ordered - max(0, self.booked))
        return max(min(self.unsent, not_booked), self.undecided)


class CountSession:
    """A full count of one location and measure, from its begin to its end."""

    __slots__ = (
        "begin_time",
        "changed",
        "count_id",
        "ended",
        "location",
        "mark",
        "measure",
        "mentioned",
        "organization",
        "source",
        "stored",
    )

    def __init__(
        self, organization: str, source: str, count_id: str, location: str, measure: str, mark: Mark, begin_time: int
    ) -> None:
        self.organization = organization
        self.source = source
        self.count_id = count_id
        self.location = location
        self.measure = measure
        self.mark = mark
        self.begin_time = begin_time
        self.mentioned = 0
        """Different keys that its figures named."""
        self.ended = False
        """Whether everything it did not mention is zero."""
        self.stored = False
        self.changed = True


CountKey = tuple[str, str, str]
"""(organization, source, count_id)."""
ScopeKey = tuple[str, str, str, Mark]
"""(organization, location, measure, mark)."""


class CountScope:
    """What lies below a full count: the keys of its location and measure whose figure is older, and the sums for
    judging how much would become zero. Loaded for the end of a count, and kept current while the batch posts
    figures."""

    __slots__ = ("keys", "lower_keys", "lower_units", "mark", "units")

    def __init__(self, mark: Mark, keys: list[StockKey], lower_keys: int, lower_units: int, units: int) -> None:
        self.mark = mark
        self.keys = keys
        """Of the older ones at most MAX_ZEROED, in any order; the batch has them loaded with measures and open
        sales."""
        self.lower_keys = lower_keys
        """How many older ones there are in all."""
        self.lower_units = lower_units
        """Their units, negative ones counted as none."""
        self.units = units
        """Units of all keys of the location and measure, negative ones counted as none."""

    def replace(self, old_value: int, old: Mark | None, value: int, mark: Mark) -> None:
        """A figure of the scope went from one value and mark (None: never posted) to another."""
        if old is not None:
            self.units -= max(0, old_value)
            if old < self.mark:
                self.lower_keys -= 1
                self.lower_units -= max(0, old_value)
        self.units += max(0, value)
        if mark < self.mark:
            self.lower_keys += 1
            self.lower_units += max(0, value)


class DiscrepancyKind(IntEnum):
    """What did not fit. The numbers are those of the contract."""

    SURPLUS_BOOKING = 1
    BOOKED_AFTER_END = 2
    BOOKED_WHILE_HELD = 3
    POSITION_CONFLICT = 4
    BOOKING_CONFLICT = 5
    UNKNOWN_ORDER = 6
    SHORTFALL = 7
    MOVED_STORE = 8


class Discrepancy(NamedTuple):
    """Something that did not fit, with its evidence; append only."""

    sequence: int
    kind: DiscrepancyKind
    key: StockKey
    """Of an unknown order what the report named: SKU and location may be empty."""
    quantity: int
    source: str
    measure: str
    epoch: int
    position: int
    known: int
    reported: int
    reservation_id: bytes
    """Empty when there is none."""
    part_number: int
    order_reference: str
    request_id: bytes
    record_time: int


class Published:
    """What an adapter last published for one pool of one stock key."""

    __slots__ = ("changed", "path", "publish_time", "publisher", "quantity", "record_time", "stored")

    def __init__(self, publisher: str, path: str, quantity: int, publish_time: int, record_time: int) -> None:
        self.publisher = publisher
        self.path = path
        self.quantity = quantity
        self.publish_time = publish_time
        """By the adapter's clock, microseconds."""
        self.record_time = record_time
        self.stored = False
        self.changed = True
