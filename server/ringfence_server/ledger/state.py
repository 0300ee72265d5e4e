"""The rows a batch works on: loaded once, changed in memory by the rules, written back once.

These objects are mutable on purpose and never leave the batch. ``changed`` marks what the store has to write.
"""

from __future__ import annotations

from enum import IntEnum

from .names import COMMON, StockKey, ancestors, pool_id
from .policy import Fallback
from .till_state import Mark, Published, TillSale


class Place(IntEnum):
    """Where units of a stock key can be. The numbers are those of the contract and of the ledger table."""

    OUTSIDE = 1
    FREE = 2
    HELD = 3
    UNSETTLED = 4
    SOLD = 5


class EntryKind(IntEnum):
    """What caused a movement. The numbers are those of the contract and of the ledger table."""

    SUPPLY = 1
    ALLOCATE = 2
    UNALLOCATE = 3
    REALLOCATE = 4
    RESERVE = 5
    RELEASE = 6
    CONSUME = 7
    CANCEL = 8
    EXPIRE = 9
    REVIVE = 10
    REVALUE = 11
    SETTLE = 12


class ReservationState(IntEnum):
    """Where a reservation stands. The numbers are those of the contract."""

    HELD = 1
    CONSUMED = 2
    SENT = 3
    RECEIVED = 4
    SETTLED = 5
    EXPIRED = 6
    CANCELLED = 7
    CANCELLING = 8
    REJECTED = 9


class Pool:
    """One pool of one stock key: a(p), h(p), c(p) and the running totals of section 2 of the contract."""

    __slots__ = ("changed", "consumed", "free", "held", "living", "number", "path", "stored", "taken", "unsettled")

    def __init__(
        self,
        path: str,
        free: int = 0,
        held: int = 0,
        unsettled: int = 0,
        consumed: int = 0,
        taken: int = 0,
        living: bool = False,
        stored: bool = False,
    ) -> None:
        self.path = path
        self.number = pool_id(path)
        self.free = free
        """a(p): not negative but in the common pool."""
        self.held = held
        """h(p)."""
        self.unsettled = unsettled
        """c(p)."""
        self.consumed = consumed
        """Sold less cancelled, over all time."""
        self.taken = taken
        """Held or sold by requests that asked this path, wherever the units came from; what sales_cap bounds."""
        self.living = living or not path
        """Whether the path has a quota on this key. The common pool always lives."""
        self.stored = stored
        self.changed = False


class MeasureValue:
    """The figure in force of one measure of one stock key."""

    __slots__ = (
        "changed",
        "count_id",
        "count_time",
        "epoch",
        "epoch_ends",
        "measure",
        "position",
        "record_time",
        "source",
        "value",
    )

    def __init__(
        self,
        measure: str,
        value: int = 0,
        position: int = 0,
        source: str = "",
        count_time: int | None = None,
        record_time: int = 0,
        epoch: int = 0,
        epoch_ends: tuple[Mark, ...] = (),
        count_id: str = "",
    ) -> None:
        self.measure = measure
        self.value = value
        self.position = position
        self.source = source
        self.count_time = count_time
        self.record_time = record_time
        self.epoch = epoch
        self.epoch_ends = epoch_ends
        """The last mark of each epoch that is over, oldest first: what a figure of it contained stays contained."""
        self.count_id = count_id
        """The last full count that mentioned the key; empty: none."""
        self.changed = False

    @property
    def mark(self) -> Mark:
        """P: the figure contains the bookings up to here."""
        return Mark(self.epoch, self.position)

    def contains(self, mark: Mark) -> bool:
        """Whether a booking of this mark is in the figure. Of an epoch that is over, only what its last figure had: a
        till that replaced it starts from that figure, or reports the booking anew."""
        if mark.epoch == self.epoch:
            return mark.position <= self.position
        return any(end.epoch == mark.epoch and mark.position <= end.position for end in self.epoch_ends)


class Stock:
    """A stock key with its supply and the pools that the batch has loaded."""

    __slots__ = (
        "changed",
        "key",
        "known_paths",
        "last_sequence",
        "measures",
        "measures_known",
        "policy_revision",
        "pools",
        "promised",
        "published",
        "revision",
        "stock_id",
        "stored",
        "supply",
    )

    def __init__(
        self,
        stock_id: int,
        key: StockKey,
        supply: int = 0,
        promised: int = 0,
        policy_revision: int = 0,
        revision: int = 0,
        last_sequence: int = 0,
        stored: bool = False,
    ) -> None:
        self.stock_id = stock_id
        self.key = key
        self.supply = supply
        """The policy's formula over the measures."""
        self.promised = promised
        """Σ (h + c) over all pools of the key, also those that are not loaded."""
        self.policy_revision = policy_revision
        self.revision = revision
        self.last_sequence = last_sequence
        """The newest ledger entry of the key: the head of the chain by which entries are found."""
        self.pools: dict[str, Pool] = {}
        self.known_paths: set[str] | None = None
        """Paths whose pools were looked for; None: all of them. What was not looked for must not be made anew."""
        self.measures: dict[str, MeasureValue] = {}
        self.measures_known = True
        self.published: dict[tuple[str, str], Published] | None = None if stored else {}
        """By publisher and path; None: not looked for."""
        self.stored = stored
        self.changed = False

    @property
    def net(self) -> int:
        """supply − Σ (h + c) = Σ a: what is really there for new promises."""
        return self.supply - self.promised

    def pool(self, path: str) -> Pool:
        """The pool of the path, made empty and without quota when there is none."""
        pool = self.pools.get(path)
        if pool is None:
            if self.known_paths is not None and path not in self.known_paths:
                raise LookupError(f"the pool {path!r} of {self.key} was not loaded")
            pool = self.pools[path] = Pool(path)
        return pool

    def living_pool(self, path: str) -> Pool:
        """The pool that units of ``path`` come back to: its own, or its nearest living ancestor's."""
        for ancestor in ancestors(path):
            pool = self.pools.get(ancestor)
            if pool is not None and pool.living:
                return pool
        return self.pool(COMMON)

    def measure(self, name: str) -> MeasureValue:
        """The measure's figure, made zero when it was never posted."""
        value = self.measures.get(name)
        if value is None:
            if not self.measures_known:
                raise LookupError(f"the measures of {self.key} were not loaded")
            value = self.measures[name] = MeasureValue(name)
        return value


class Part:
    """What one location and one pool gave to one line. granted = held + unsettled + settled + cancelled + expired."""

    __slots__ = (
        "asked_path",
        "cancelled",
        "changed",
        "document_number",
        "expire_time",
        "expired",
        "fallback",
        "granted",
        "held",
        "line_id",
        "line_number",
        "located",
        "number",
        "path",
        "received_time",
        "requested",
        "sent_time",
        "settled",
        "settled_time",
        "stock",
        "stored",
        "till",
        "unsettled",
    )

    def __init__(
        self,
        number: int,
        line_number: int,
        line_id: str,
        stock: Stock,
        path: str,
        asked_path: str,
        fallback: Fallback,
        located: bool,
        requested: int,
        expire_time: int | None,
    ) -> None:
        self.number = number
        self.line_number = line_number
        """The line's place in the reservation, from 0."""
        self.line_id = line_id
        self.stock = stock
        self.path = path
        """The pool that gave."""
        self.asked_path = asked_path
        self.fallback = fallback
        self.located = located
        """Whether the caller named the location."""
        self.requested = requested
        """Units asked by the line; the same on every part of a line."""
        self.expire_time = expire_time
        """The reservation's, repeated here so that what is due is found by one index."""
        self.granted = 0
        self.held = 0
        self.unsettled = 0
        self.settled = 0
        self.cancelled = 0
        self.expired = 0
        self.sent_time: int | None = None
        self.received_time: int | None = None
        self.settled_time: int | None = None
        self.document_number = ""
        self.till: TillSale | None = None
        """What a till has to do with it; None until it is sold at a TILL location, or booked there."""
        self.stored = False
        self.changed = True

    @property
    def borrowed(self) -> bool:
        """Whether the units came from another pool than the path that asked."""
        return self.path != self.asked_path

    @property
    def sold(self) -> int:
        """Units consumed and not cancelled."""
        return self.unsettled + self.settled


class Reservation:
    """An order's lines under one lease."""

    __slots__ = (
        "attributes",
        "caller",
        "cancel_reason",
        "cancel_text",
        "changed",
        "consume_time",
        "create_time",
        "expire_time",
        "last_sequence",
        "order_reference",
        "organization",
        "owner",
        "parts",
        "reservation_id",
        "revision",
        "stored",
    )

    def __init__(
        self,
        reservation_id: bytes,
        organization: str,
        caller: str,
        owner: str,
        expire_time: int | None,
        create_time: int,
    ) -> None:
        self.reservation_id = reservation_id
        self.organization = organization
        self.caller = caller
        self.owner = owner
        self.expire_time = expire_time
        """Microseconds since the epoch; None: never."""
        self.create_time = create_time
        self.consume_time: int | None = None
        self.revision = 1
        self.order_reference = ""
        self.attributes = b""
        self.cancel_reason = 0
        """Of the newest cancellation that took something back; a number of the contract's CancelReason."""
        self.cancel_text = ""
        self.last_sequence = 0
        self.parts: list[Part] = []
        self.stored = False
        self.changed = True

    def lines(self) -> dict[int, list[Part]]:
        """Parts by line number, in the caller's order."""
        lines: dict[int, list[Part]] = {}
        for part in sorted(self.parts, key=_by_line):
            lines.setdefault(part.line_number, []).append(part)
        return lines

    def touch(self) -> None:
        """Marks a change: the revision rises once per request that changes anything."""
        self.revision += 1
        self.changed = True

    @property
    def state(self) -> ReservationState:
        """Where the reservation stands, from its parts."""
        return reservation_state(self)


def _by_line(part: Part) -> tuple[int, int]:
    return part.line_number, part.number


def reservation_state(reservation: Reservation) -> ReservationState:
    """The state of a reservation: that of the part furthest behind; what is over only when nothing is left.

    Before the way of sold parts into a till comes what somebody has to act on: REJECTED, then CANCELLING.
    """
    held = unsettled = settled = expired = undecided = cancelling = 0
    behind: ReservationState = ReservationState.RECEIVED
    for part in reservation.parts:
        held += part.held
        unsettled += part.unsettled
        settled += part.settled
        expired += part.expired
        till = part.till
        if till is not None:
            undecided += till.undecided
            if part.unsettled or part.settled:
                cancelling += till.cancelling
        if part.unsettled:
            if part.sent_time is None:
                behind = ReservationState.CONSUMED
            elif part.received_time is None and behind is ReservationState.RECEIVED:
                behind = ReservationState.SENT
    if held:
        return ReservationState.HELD
    if undecided:
        return ReservationState.REJECTED
    if cancelling:
        return ReservationState.CANCELLING
    if unsettled:
        return behind
    if settled:
        return ReservationState.SETTLED
    if expired and reservation.consume_time is None:
        return ReservationState.EXPIRED
    return ReservationState.CANCELLED
