"""One unit of work in one transaction: load, decide, write. The same on every database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.decide import bring_up_to_date
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.work import Committed, OutcomeRow, Work

from .driver import DriverConnection
from .ids import Ids
from .load import LoadedState, Loader, needed_measures
from .locks import Head, Locked, WiderLock
from .outcomes import Outcomes
from .placing import PLACES
from .slots import Slots, bits_of
from .write import Writer


class Transacted(NamedTuple):
    """What one transaction did."""

    committed: Committed
    wrote: bool
    """False: nothing is to be committed (repeats only)."""
    more_due: bool
    """The transaction only ended leases, and there are more: the work itself still has to run."""
    batch: Batch
    """What was loaded and decided, as the transaction leaves it."""
    outcomes: Sequence[OutcomeRow] = ()
    """The outcomes written."""


class Locks(Protocol):
    """How a batch comes to be the only one that reads and writes its slots."""

    def take(self, connection: DriverConnection, slots: Sequence[int]) -> Locked:
        """Waits for them; they rise."""

    def settle(self, head: Head) -> None:
        """The transaction that wrote these counters is committed."""

    def forget(self) -> None:
        """Some other transaction may have written counters."""


class RecordTimes(Protocol):
    """Which instant a batch is written for."""

    def begin(self, now: int, last_record_time: int) -> int:
        """The record_time of the batch that begins: not before ``now``, after ``last_record_time``."""


class Lengthy(Exception):
    """More rows than a brief transaction may have. Nothing was decided or written: what is in memory still holds."""


class Transactor:
    """Runs units of work on one writing connection, inside a transaction that the caller has begun."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        slots: Slots,
        locks: Locks,
        ids: Ids,
        moments: RecordTimes,
        outcomes: Outcomes,
        due_until: Callable[[int], int],
        only_writer: bool = False,
    ) -> None:
        """``due_until``: given the time of a batch, the instant up to which leases may be ended."""
        self.loader = Loader(dialect, slots, only_writer=only_writer)
        self._slots = slots
        self._locks = locks
        self.outcomes = outcomes
        self._writer = Writer(dialect, slots)
        self._ids = ids
        self._moments = moments
        self._due_until = due_until

    def settle(self, transacted: Transacted) -> None:
        """The transaction is committed (or had nothing to commit): what it left in memory is what the tables say."""
        batch = transacted.batch
        if transacted.wrote:
            self._locks.settle(Head(batch.revision, batch.sequence, batch.now, batch.record_time))
        ends = [
            reservation.expire_time
            for reservation in batch.reservations.values()
            if reservation.expire_time is not None
        ]
        self.loader.keep(batch.stocks.values(), min(ends, default=None), (name for name, _ in batch.new_policies))

    def forget(self) -> None:
        """The transaction did not commit: what it left in memory is wrong."""
        self._locks.forget()
        self.outcomes.forget()
        self.loader.forget()

    def reread(self) -> None:
        """The counters were written by somebody else on this connection."""
        self._locks.forget()

    def slots_of(self, connection: DriverConnection, work: Work) -> int:
        """The slots that a work has to lock, as a bitmap, as far as can be told before; 0: it names none."""
        if work.policy_organization is not None:
            # Whatever was decided by the old rules is committed before, and what comes after reads the new ones.
            return self._slots.all_bits
        needs = work.needs(defaultdict(lambda: PLACES), {})
        bits = bits_of(map(self._slots.of_key, needs.pools))
        if needs.reservations:
            bits |= self.loader.slots_of_reservations(connection, needs.reservations)
        return bits

    def run(
        self, connection: DriverConnection, work: Work, slots: Sequence[int] = (0,), *, most_parts: int | None = None
    ) -> Transacted:
        """Locks, loads, decides and writes; time is read after the locks.

        Raises:
            WiderLock: the work needs more slots.
            Lengthy: ``most_parts`` is given, and the reservations that are named have more, or leases are due.
        """
        head, now = self._locks.take(connection, slots)
        return self.run_locked(connection, work, slots, head, now, most_parts=most_parts)

    def run_locked(
        self,
        connection: DriverConnection,
        work: Work,
        slots: Sequence[int],
        head: Head,
        now: int,
        *,
        most_parts: int | None = None,
    ) -> Transacted:
        """The same with the locks held: ``head`` and ``now`` are what they told."""
        record_time = self._moments.begin(now, head.record_time)
        loader = self.loader
        policies = loader.policies(connection, work.organizations)
        stored = self.outcomes.known(connection, work.request_keys)
        callers = self.outcomes.callers(connection, work.request_keys)
        needs = work.needs(policies, stored)
        # A reader may have been answered for an instant after ``now``: what it saw ended must be ended here too.
        trusted = self._due_until(now)
        due_until = record_time if trusted >= now else min(record_time, trusted)
        due_ids, more_due = loader.due(connection, due_until, slots)
        if more_due:
            # Far more leases ended at once than one transaction should carry: end these first, by themselves.
            needs = Needs()
        state = LoadedState()
        named = set(needs.reservations)
        part_rows = loader.reservations(connection, state, [*named, *(due for due in due_ids if due not in named)])
        if most_parts is not None and (due_ids or len(part_rows) > most_parts):
            raise Lengthy
        locked = bits_of(slots)
        if self._slots.mask:
            needed = (state.slots & self._slots.all_bits) | bits_of(map(self._slots.of_key, needs.pools))
            if needed & ~locked:
                raise WiderLock(needed | locked)
        loader.stocks(connection, state, needs.pools, {row[4] for row in part_rows})
        loader.link_parts(state, part_rows)
        if not more_due:
            known = len(needs.pools)
            work.needs_after(needs, policies, state.reservations)
            if len(needs.pools) > known:
                loader.stocks(connection, state, needs.pools, ())
        unknown = {stock.key.organization for stock in state.stocks.values()} - policies.keys()
        policies.update(loader.policies(connection, unknown))
        loader.pools(connection, state, needs)
        loader.measures(connection, state, needed_measures(needs, state, named, policies))
        self._ids.now = now
        batch = Batch(
            now=now,
            record_time=record_time,
            revision=head.revision + 1,
            last_sequence=head.last_sequence,
            new_reservation_id=self._new_reservation_id,
            new_stock_id=self._new_stock_id,
            slot_count=self._slots.count,
        )
        if self._slots.mask:
            # The slot's own counter: no other server gives the number, for none has the slot.
            batch.new_stock_id = lambda key: batch.next_number(self._slots.of_key(key))
        batch.slots = locked
        batch.stocks = state.stocks
        batch.reservations = state.reservations
        batch.policies = policies
        batch.forgotten_until = {scope: caller.forgotten_until for scope, caller in callers.items()}
        due: list[tuple[Reservation, Part]] = [
            (state.reservations[reservation_id], part)
            for reservation_id in due_ids
            for part in state.reservations[reservation_id].parts
            if part.held and part.expire_time is not None and part.expire_time <= due_until
        ]
        outcomes: list[OutcomeRow] = []
        if more_due:
            bring_up_to_date(batch, due)
        else:
            batch.order_references = loader.references(connection, needs.references)
            use = loader.policy_use(connection, work.policy_organization) if work.policy_organization else None
            outcomes.extend(work.decide(batch, stored, due, use))
        wrote = bool(outcomes or batch.entries or any(stock.changed for stock in batch.stocks.values()))
        if not wrote:
            return Transacted(Committed(head.revision, head.record_time, []), False, False, batch)
        changed = self._writer.write(connection, batch)
        self.outcomes.keep(connection, outcomes, callers, now)
        self._writer.write_references(connection, batch)
        committed = Committed(
            batch.revision,
            record_time,
            [stock.key for stock in changed],
            [name for name, _ in batch.new_policies],
            locked,
        )
        return Transacted(committed, True, more_due, batch, outcomes)

    def _new_reservation_id(self, stock: Stock) -> bytes:
        return self._ids.reservation_id(self._slots.of_stock(stock.stock_id))

    def _new_stock_id(self, _key: StockKey) -> int:
        return self._ids.stock_id()
