"""The nouns of the client: what is counted, and who holds it.

All are frozen. Quantities are integers in the item's base unit, instants are aware datetimes in UTC, a group path is a
string such as "web/london/vip" and the empty path is the common pool. What a server answered carries the protobuf
message it was read from as `raw`, which no comparison looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ringfence._enums import CancelReason, EntryKind, Fallback, Place, ReservationState
    from ringfence.v1 import common_pb2, ledger_service_pb2, stock_service_pb2

__all__ = [
    "Entry",
    "MeasureValue",
    "Page",
    "Part",
    "PoolBalance",
    "Published",
    "Reservation",
    "ReservationLine",
    "Stock",
    "StockKey",
    "VerifyReport",
    "Violation",
]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class StockKey:
    """What is counted and locked: one SKU at one location with one value for every dimension of the policy."""

    sku: str
    """The item's stock keeping unit, case-sensitive."""
    location: str = ""
    """The store or warehouse; empty only where a line has not been sourced, or in a roll-up."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """One value per dimension that the policy names; the empty value means "does not apply" and is no wildcard."""

    def __hash__(self) -> int:
        return hash((self.sku, self.location, frozenset(self.dimensions.items())))

    def __str__(self) -> str:
        named = "".join(f" {name}={value}" for name, value in sorted(self.dimensions.items()) if value)
        return (f"{self.sku} at {self.location}" if self.location else self.sku) + named


@dataclass(frozen=True, slots=True)
class PoolBalance:
    """One pool of a stock key as it stood after a write."""

    key: StockKey
    """The stock key, with its location."""
    path: str
    """The pool's group path; empty is the common pool."""
    allocated: int
    """Free plus held units; below zero only in the common pool."""
    available: int
    """What this one pool could promise; never below zero."""
    held: int
    """Units tied to live reservations."""
    unsettled: int
    """Units sold that the till's figure does not contain yet."""
    consumed: int
    """Units sold less units cancelled, over all time."""
    raw: common_pb2.PoolBalance = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a line's quantity came from: one location and one pool."""

    part_number: int
    """1, 2, 3 … within the reservation, in the order in which the parts were granted."""
    key: StockKey
    """The stock key that gave the units, with its location."""
    path: str
    """The pool that gave the units; it differs from the line's path when they were borrowed."""
    granted: int
    """Units granted to this part."""
    held: int
    """Units still tied to the lease."""
    unsettled: int
    """Units sold that the till's figure does not contain yet."""
    settled: int
    """Units sold that the count contains."""
    cancelled: int
    """Units cancelled or given back."""
    expired: int
    """Units whose lease ended before they were consumed."""
    sent_time: datetime | None
    """When the order was handed to the till's adapter; None at an OWNED location."""
    received_time: datetime | None
    """When the till acknowledged the order; None at an OWNED location."""
    settled_time: datetime | None
    """When the last sold unit came to be contained in the count."""
    document_number: str
    """The till's document number for the order, or empty."""
    booked: int
    """Units that the till has booked so far, reversals taken off, whether or not its figure contains them."""
    owed: int
    """Units by which the till's figure has still to fall for this part."""
    rejected: int
    """Units that the till rejected, or closed the line without booking: cancel them or reassign the part."""
    rejected_reason: str
    """Why the till rejected the order, in its words."""
    cancelling: int
    """Units whose cancellation the till has not answered; they stay counted."""
    cancellation_refused_reason: str
    """Why the till refused the last cancellation; empty when it refused none."""
    closed: bool
    """Whether the till has said that it books nothing more for this part."""
    attempts: int
    """How often the order was handed to an adapter."""
    last_error: str
    """What the adapter said when it last failed to pass the order on."""
    moved_from: int
    """The part that these units were sold from before they moved here; 0 when they were always here."""
    raw: common_pb2.Part = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""


@dataclass(frozen=True, slots=True)
class ReservationLine:
    """One order line of a reservation and what it got."""

    line_id: str
    """The caller's name for the line; "1", "2" … where none was given."""
    key: StockKey
    """The SKU, and the location if the caller named one."""
    path: str
    """The group path that asked."""
    requested: int
    """Units asked for."""
    granted: int
    """Units granted: equal to `requested` unless `allow_partial` was set."""
    fallback: Fallback
    """The fallback that was used."""
    parts: tuple[Part, ...]
    """One per location and pool: parts are not lines."""
    raw: common_pb2.ReservationLine = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""

    @property
    def held(self) -> int:
        """Units of this line still tied to the lease."""
        return sum(part.held for part in self.parts)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An order's lines under one lease and one owner label."""

    reservation_id: str
    """A UUID made by the service."""
    state: ReservationState
    """Where the reservation stands."""
    owner: str
    """A label for people and reports: not unique, and no right to act."""
    lines: tuple[ReservationLine, ...]
    """In the caller's order."""
    expire_time: datetime | None
    """The instant at which what is still held ends, exactly; None is never."""
    create_time: datetime | None
    """When the reservation was decided."""
    consume_time: datetime | None
    """When the first unit was consumed; None before."""
    revision: int
    """Rises by one with every change; give it as `expected_revision`."""
    order_reference: str
    """The caller's order number, set by Consume; or empty."""
    attributes: bytes
    """Handed on untouched to the till's adapter, set by Consume."""
    cancel_reason: CancelReason | None
    """Why units of it were last cancelled; None when nobody said."""
    cancel_reason_text: str
    """The same in words."""
    raw: common_pb2.Reservation = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""

    @property
    def held(self) -> int:
        """Units of all lines still tied to the lease."""
        return sum(line.held for line in self.lines)

    def line(self, line_id: str) -> ReservationLine:
        """The line of that name; KeyError when there is none."""
        for line in self.lines:
            if line.line_id == line_id:
                return line
        raise KeyError(line_id)


@dataclass(frozen=True, slots=True)
class MeasureValue:
    """The value in force of one measure."""

    measure: str
    """The measure's name."""
    value: int
    """The value."""
    position: int
    """The position in force."""
    source: str
    """The data source of the newest post."""
    count_time: datetime | None
    """When the source read it, as it said; None when it did not."""
    record_time: datetime | None
    """When the service recorded it."""
    epoch: int
    """The epoch in force: the till's life."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publishing adapter last showed to the world for one pool of one stock key: it decides nothing."""

    publisher: str
    """The adapter that published."""
    path: str
    """The pool's group path; empty is the common pool."""
    quantity: int
    """The quantity published."""
    publish_time: datetime | None
    """When, by the adapter's clock."""
    record_time: datetime | None
    """When the service recorded the report."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A stock key and its measures."""

    key: StockKey
    """The stock key."""
    measures: Mapping[str, MeasureValue]
    """Its measures, by name."""
    supply: int
    """Supply by the policy's formula; may be below zero."""
    published: tuple[Published, ...]
    """What adapters last said they published for this key, by publisher and path, at most 100."""
    raw: stock_service_pb2.Stock = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of a quantity between two places of one stock key; nothing in the ledger ever changes."""

    sequence: int
    """Rises with time; not gapless."""
    key: StockKey
    """The stock key."""
    kind: EntryKind
    """What caused the movement."""
    quantity: int
    """Units moved, above zero."""
    from_place: Place
    """Where the units were."""
    from_path: str
    """The pool they were in; empty is the common pool."""
    to_place: Place
    """Where the units went."""
    to_path: str
    """The pool they went to; empty is the common pool."""
    reservation_id: str
    """The reservation, or empty."""
    part_number: int
    """The part of the reservation, from 1; 0 if none."""
    request_id: str
    """The request that caused it; empty for what time caused."""
    measure: str
    """The measure of a fact, or empty."""
    record_time: datetime | None
    """When the service recorded the movement."""
    effective_time: datetime | None
    """From when the movement counts."""
    raw: ledger_service_pb2.Entry = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that does not add up."""

    key: StockKey
    """The stock key."""
    path: str
    """The pool; empty is the common pool."""
    rule: str
    """The rule that is broken, such as "CONSERVATION"."""
    description: str
    """What was found, in words with the figures."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Progress of Verify; with `done` the verdict."""

    keys_checked: int
    """Stock keys checked so far."""
    entries_read: int
    """Ledger entries read so far."""
    keys_total: int
    """Stock keys to check in all; an estimate until done."""
    done: bool
    """Whether the verdict is in."""
    violations: tuple[Violation, ...]
    """What does not add up, at most 1,000."""
    raw: ledger_service_pb2.VerifyResponse = field(repr=False, compare=False, kw_only=True)
    """The message this was read from."""

    @property
    def ok(self) -> bool:
        """True when all is checked and everything adds up."""
        return self.done and not self.violations


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T_co]):
    """One page of a list. Iterating over it gives its items."""

    items: tuple[T_co, ...]
    """What the page holds; it may be empty while a `next_page_token` still stands."""
    next_page_token: str
    """Where the next page begins; empty when the list is at its end."""
    server_time: datetime | None = None
    """The service's time of the answer, where the RPC says it."""
    read_time: datetime | None = None
    """The instant the figures stand for (QueryBalance); asking for it later gives the same answer."""
    revision: str = ""
    """Opaque token of the state that was read (QueryBalance)."""
    raw: Message = field(repr=False, compare=False)
    """The message this was read from."""

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
