"""The one function that moves a quantity: it changes the balances and writes the ledger entry, or neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .names import StockKey
from .policy import Policy
from .state import EntryKind, MeasureValue, Part, Place, Pool, Reservation, Stock
from .till_state import CountKey, CountScope, CountSession, Discrepancy, OrderEvent, ScopeKey

_OUTSIDE, _FREE, _HELD, _UNSETTLED, _SOLD = Place.OUTSIDE, Place.FREE, Place.HELD, Place.UNSETTLED, Place.SOLD
_NO_ID = b""
_NO_SALES: Final[Sequence[tuple[Reservation, Part]]] = ()


class Entry(NamedTuple):
    """One movement, in the column order of the ledger table."""

    sequence: int
    stock_id: int
    previous_sequence: int
    """The stock key's entry before this one; 0 for its first."""
    kind: int
    quantity: int
    from_place: int
    from_pool: int
    to_place: int
    to_pool: int
    reservation_id: bytes
    """Empty when no reservation moved."""
    part_number: int
    reservation_previous: int
    """The reservation's entry before this one; 0 for its first."""
    request_id: bytes
    """Empty for what time caused."""
    measure: str
    record_time: int
    effective_time: int


class Fact(NamedTuple):
    """A change of a measure's value, kept beside the entries so that the past can be valued."""

    sequence: int
    stock_id: int
    measure: str
    delta: int
    value: int
    epoch: int
    position: int
    source: str
    count_time: int | None
    record_time: int


class Batch:
    """One batch's state: the loaded rows, the moment, and what the commands have moved so far."""

    def __init__(
        self,
        *,
        now: int,
        record_time: int,
        revision: int,
        last_sequence: int,
        new_reservation_id: Callable[[Stock], bytes],
        new_stock_id: Callable[[StockKey], int],
        slot_count: int = 1,
    ) -> None:
        self.now = now
        """The clock, microseconds since the epoch, read after the batch's locks are held. Leases count from it."""
        self.record_time = record_time
        """Not before ``now``, and after every instant a reader was answered for."""
        self.revision = revision
        self.slots = 1
        """A bit for each slot of the store that gets the revision when the batch commits."""
        self.home = 0
        """One of these slots: for rows that no stock key places."""
        self.sequence = last_sequence
        """Counts entries and facts in steps of the number of slots; what is counted has the slot of its stock in the
        lowest bits."""
        self._step = slot_count
        self._mask = slot_count - 1
        self.new_reservation_id = new_reservation_id
        """Of a reservation that takes from this stock first."""
        self.new_stock_id = new_stock_id
        self.stocks: dict[StockKey, Stock] = {}
        self.reservations: dict[bytes, Reservation] = {}
        self.policies: dict[str, Policy] = {}
        self.order_references: dict[tuple[str, str, str], bytes] = {}
        self.forgotten_until: dict[int, int] = {}
        """By scope: the instant before which unknown ids of the caller are too old; without one only age makes them."""
        self.new_order_references: list[tuple[str, str, str, bytes]] = []
        self.new_policies: list[tuple[str, Policy]] = []
        self.entries: list[Entry] = []
        self.facts: list[Fact] = []
        self.orders: dict[tuple[str, str, str], tuple[bytes, ...]] = {}
        """(organization, channel, order_reference) as bookings name them → reservations; an empty channel is any."""
        self.events: dict[bytes, tuple[Reservation, Part, OrderEvent]] = {}
        """Events that replies name, by id; and those that adapters may be handed."""
        self.counts: dict[CountKey, CountSession] = {}
        self.scopes: dict[ScopeKey, CountScope] = {}
        self.discrepancies: list[Discrepancy] = []
        self._sales: dict[int, list[tuple[Reservation, Part]]] | None = None
        self.request_id = _NO_ID
        """The request being decided; empty while what is due is applied."""
        self.effective_time: int | None = None
        """Set while a movement counts from another instant than record_time."""

    def policy(self, organization: str) -> Policy:
        """The organization's policy in force."""
        return self.policies[organization]

    @property
    def newest_sequence(self) -> int:
        """Not below the number of any entry so far, and below those of all that follow."""
        return self.sequence | self._mask

    def next_number(self, slot: int) -> int:
        """The next number of a slot: above all that the slot has seen."""
        self.sequence += self._step
        return self.sequence | slot

    def next_number_at(self, stock: Stock) -> int:
        """A number for something that belongs to a stock key and is ordered with the ledger's entries."""
        return self.next_number(stock.stock_id & self._mask)

    def next_sequence(self) -> int:
        """A number for something that belongs to no stock key, in a slot that the batch holds."""
        return self.next_number(self.home)

    def sales_at(self, stock: Stock) -> Sequence[tuple[Reservation, Part]]:
        """The loaded parts of a stock key that a till has to do with; of a key whose figures are posted these are all
        that a figure may still move. The caller adds what it makes (``add_sale``)."""
        if self._sales is None:
            self._sales = {}
            for reservation in self.reservations.values():
                for part in reservation.parts:
                    if part.till is not None:
                        self._sales.setdefault(part.stock.stock_id, []).append((reservation, part))
        return self._sales.get(stock.stock_id, _NO_SALES)

    def add_sale(self, reservation: Reservation, part: Part) -> None:
        """A part that a till has to do with from now on."""
        if self._sales is not None:
            self._sales.setdefault(part.stock.stock_id, []).append((reservation, part))

    def forget_sales(self) -> None:
        """Other reservations were loaded."""
        self._sales = None

    def move(
        self,
        kind: EntryKind,
        stock: Stock,
        quantity: int,
        source: Pool | None,
        source_place: Place,
        target: Pool | None,
        target_place: Place,
        reservation: Reservation | None = None,
        part: Part | None = None,
        measure: str = "",
    ) -> None:
        """Moves ``quantity`` > 0 from a place of one pool to a place of another; None stands for outside of all pools.

        Keeps supply = Σ (a + h + c): units that enter or leave the pools change ``supply``, units that enter or leave
        a promise change ``promised``.
        """
        from_pool = to_pool = 0
        if source is not None:
            from_pool = source.number
            source.changed = True
            if source_place is _FREE:
                source.free -= quantity
            elif source_place is _HELD:
                source.held -= quantity
                stock.promised -= quantity
            else:
                source.unsettled -= quantity
                stock.promised -= quantity
        else:
            stock.supply += quantity
        if target is not None:
            to_pool = target.number
            target.changed = True
            if target_place is _FREE:
                target.free += quantity
            elif target_place is _HELD:
                target.held += quantity
                stock.promised += quantity
            else:
                target.unsettled += quantity
                stock.promised += quantity
        else:
            stock.supply -= quantity
        stock.changed = True
        self.sequence = sequence = self.sequence + self._step
        sequence |= stock.stock_id & self._mask
        reservation_id, reservation_previous, part_number = _NO_ID, 0, 0
        if reservation is not None:
            reservation_id = reservation.reservation_id
            reservation_previous = reservation.last_sequence
            reservation.last_sequence = sequence
            reservation.changed = True
            if part is not None:
                part_number = part.number
                part.changed = True
        record_time = self.record_time
        effective_time = self.effective_time
        self.entries.append(
            Entry(
                sequence,
                stock.stock_id,
                stock.last_sequence,
                # Plain numbers: a database's driver takes them as they are, and asks a member of an enum what it is.
                +kind,
                quantity,
                +source_place,
                from_pool,
                +target_place,
                to_pool,
                reservation_id,
                part_number,
                reservation_previous,
                self.request_id,
                measure,
                record_time,
                record_time if effective_time is None else effective_time,
            )
        )
        stock.last_sequence = sequence

    def record_fact(self, stock: Stock, value: MeasureValue, delta: int) -> None:
        """Remembers that a measure changed by ``delta`` to ``value.value``."""
        stock_id = stock.stock_id
        self.sequence += self._step
        self.facts.append(
            Fact(
                self.sequence | (stock_id & self._mask),
                stock_id,
                value.measure,
                delta,
                value.value,
                value.epoch,
                value.position,
                value.source,
                value.count_time,
                self.record_time,
            )
        )
