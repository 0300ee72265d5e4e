"""What is asked of the read side and what it answers: the contract between the edge and a store.

All a read answers comes from one snapshot and stands for one instant: ``Moment``. Times are microseconds since the
epoch, quantities base units.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import NamedTuple, Protocol

from .names import StockKey
from .policy import Policy
from .state import Reservation, ReservationState, Stock
from .till_state import Discrepancy, DiscrepancyKind

MOST_PUBLISHED = 100
"""Reports of what was published that a stock key is read with."""


class Moment(NamedTuple):
    """When a snapshot was, and what it contains."""

    instant: int
    """The instant the answers stand for: asking for it later gives the same answers."""
    revision: int
    """The newest group commit that the snapshot contains; at an earlier read_time the newest one then, 0 when that is
    no longer known."""


class LaterThanNow(Exception):
    """A read_time that lies in the future: nobody can say yet what a read will answer then."""


class KeyFilter(NamedTuple):
    """Which stock keys are meant; everything that is set must match."""

    organization: str
    skus: tuple[str, ...] = ()
    """Exactly these; empty: all."""
    locations: tuple[str, ...] | None = None
    """Exactly these; None: all."""
    dimensions: tuple[tuple[str, str], ...] = ()
    """(name, value); the empty value is "does not apply"."""

    def matches_dimensions(self, dimensions: tuple[tuple[str, str], ...]) -> bool:
        """Whether a key's dimensions are meant."""
        if not self.dimensions:
            return True
        values = dict(dimensions)
        return all(values.get(name, "") == value for name, value in self.dimensions)

    def matches(self, key: StockKey) -> bool:
        """Whether the key is meant."""
        return (
            key.organization == self.organization
            and (not self.skus or key.sku in self.skus)
            and (self.locations is None or key.location in self.locations)
            and self.matches_dimensions(key.dimensions)
        )


class KeyPosition(NamedTuple):
    """A place in the order of stock keys: SKU, location, dimensions. No key has an empty location, so a position with
    one lies before all keys of its SKU."""

    sku: str
    location: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()


class KeysRead(NamedTuple):
    """A piece of the stock keys that match, in their order, brought up to date to the moment of the read.

    The stocks hold all their pools and measures, and now, not at an earlier read_time, what was published of them
    (``Stock.published``, empty when nothing was; of more than MOST_PUBLISHED the newest by record time). They may be
    shared with other readers of the same moment: look, do not touch.
    """

    stocks: Sequence[Stock]
    last: KeyPosition | None
    """Where to go on; None: these were the last."""


class LiveHold(NamedTuple):
    """A live hold of a pool."""

    reservation_id: bytes
    owner: str
    quantity: int
    expire_time: int | None
    """None: never."""


class PointsRead(NamedTuple):
    """Single keys, as in ``KeysRead``, and the moment they were read at. Shared: look, do not touch."""

    moment: Moment
    policy: Policy
    stocks: Mapping[StockKey, Stock]
    """Those that exist."""


class TillProgress(IntEnum):
    """Where the part of an order stands on its way into a till. The numbers are those of the contract.

    Told by the part alone; ``c`` is its unsettled units, and a part that owes its till nothing stands nowhere.
    """

    NOT_SENT = 1
    """c > 0, open, no sent_time: since consume_time of the reservation."""
    NOT_RECEIVED = 2
    """c > 0, open, sent_time, no received_time: since sent_time."""
    NOT_SETTLED = 3
    """c > 0, received_time, and not only undecided units: since received_time."""
    REJECTED = 4
    """``TillSale.undecided`` > 0."""
    CANCELLING = 5
    """``TillSale.cancelling`` > 0."""


class ReservationQuery(NamedTuple):
    """Which reservations are meant; what is empty or None matches all."""

    organization: str
    states: frozenset[ReservationState] = frozenset()
    owner: str = ""
    sku: str = ""
    location: str = ""
    order_reference: str = ""
    create_time_from: int | None = None
    create_time_until: int | None = None
    till_progress: TillProgress | None = None
    """With a part, at ``location`` if one is named, that stands here."""
    stuck_for: int = 0
    """With NOT_SENT, NOT_RECEIVED and NOT_SETTLED: that has stood there for so long at the instant of the read."""


class ReservationsRead(NamedTuple):
    """A page of reservations, newest first, everything due at the instant applied. Their parts have their till's sale,
    its bookings and events need not be there."""

    instant: int
    reservations: Sequence[Reservation]
    last: bytes | None
    """The reservation_id to go on after; None: the list is at its end."""


class EntryQuery(NamedTuple):
    """Which ledger entries are meant; what is empty or None matches all."""

    organization: str
    key: StockKey | None = None
    reservation_id: bytes = b""
    request_id: bytes = b""
    record_time_from: int | None = None
    record_time_until: int | None = None


class EntryRead(NamedTuple):
    """A ledger entry with the names of what it moved."""

    sequence: int
    key: StockKey
    kind: int
    quantity: int
    from_place: int
    from_path: str
    to_place: int
    to_path: str
    reservation_id: bytes
    part_number: int
    request_id: bytes
    measure: str
    record_time: int
    effective_time: int


class EntriesRead(NamedTuple):
    """A page of entries, newest first."""

    entries: Sequence[EntryRead]
    last: int | None
    """The sequence to go on below; None: the list is at its end."""
    policy: Policy | None = None
    """The policy in force at the read, where the query names dimensions of a key; else None."""


class DiscrepancyQuery(NamedTuple):
    """Which discrepancies are meant; what is empty or None matches all."""

    organization: str
    locations: tuple[str, ...] = ()
    kinds: frozenset[DiscrepancyKind] = frozenset()
    sku: str = ""
    record_time_from: int | None = None
    record_time_until: int | None = None


class DiscrepanciesRead(NamedTuple):
    """A page of discrepancies, newest first."""

    instant: int
    discrepancies: Sequence[Discrepancy]
    last: int | None
    """The sequence to go on below; None: the list is at its end."""


class Flaw(NamedTuple):
    """Something that does not add up."""

    key: StockKey
    path: str
    rule: str
    description: str


class VerifyProgress(NamedTuple):
    """How far a verification is."""

    keys_checked: int
    entries_read: int
    keys_total: int
    done: bool
    flaws: Sequence[Flaw]


class Snapshot(Protocol):
    """A view of the store that does not change while it is looked at."""

    @property
    def moment(self) -> Moment:
        """When it is."""

    @property
    def policy(self) -> Policy:
        """The organization's policy then."""

    async def keys(self, wanted: KeyFilter, start: KeyPosition | None, most: int) -> KeysRead:
        """Up to ``most`` matching keys from ``start`` on (included), in their order."""

    async def stocks(self, keys: Sequence[StockKey]) -> Sequence[Stock]:
        """These keys, as far as they exist."""

    async def holds(self, stock: Stock, path: str, most: int) -> Sequence[LiveHold]:
        """Live holds of a pool, earliest end first."""


class Reader(Protocol):
    """Answers queries. Every method raises StoreUnavailable when the store cannot be read."""

    async def points(self, organization: str, keys: Sequence[StockKey]) -> PointsRead:
        """A few keys, as they are now; requests that arrive together share a snapshot."""

    def snapshot(
        self, organization: str, read_time: int | None = None, *, long: bool = False
    ) -> AbstractAsyncContextManager[Snapshot]:
        """A snapshot as of now, or as a read at ``read_time`` saw it. ``long`` is for scans, which wait for each other
        and for nobody else.

        Raises:
            LaterThanNow: read_time lies in the future.
        """

    async def reservation(self, organization: str, reservation_id: bytes) -> tuple[int, Reservation | None]:
        """The instant of the read and the reservation as it stands then."""

    async def reservations(self, query: ReservationQuery, after: bytes | None, most: int) -> ReservationsRead:
        """A page of reservations after one. It may be short, even empty, before the end."""

    async def entries(self, query: EntryQuery, below: int | None, most: int) -> EntriesRead:
        """A page of entries below a sequence. It may be short, even empty, before the end."""

    async def discrepancies(self, query: DiscrepancyQuery, below: int | None, most: int) -> DiscrepanciesRead:
        """A page of discrepancies below a sequence. It may be short, even empty, before the end."""

    async def orders_due(self, organization: str, locations: Sequence[str]) -> int | None:
        """The first instant at which one of the open order events of these locations that nobody may be handed now may
        be: the end of a lease, or ``not_before`` after a failure. It may lie in the past, when it has come since; None
        when no event is held back."""

    async def policy(self, organization: str) -> Policy:
        """The policy in force."""

    async def policy_version(self, organization: str, revision: int) -> Policy | None:
        """A version of the policy; None when there is no such version."""

    async def changed_since(self, organization: str, revision: int, most: int) -> list[StockKey] | None:
        """Keys changed after a revision, oldest change first; None when that cannot be told any more or is more than
        ``most``."""

    def verify(self, organization: str, sku: str = "") -> AsyncGenerator[VerifyProgress, None]:
        """Recomputes every balance from the ledger, in one snapshot; progress about every second, then the verdict."""
