"""One unit of work in one transaction: load, decide, write. The same on every database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.decide import bring_up_to_date
from ringfence_server.ledger.idempotency import StoredOutcome
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.work import Committed, OutcomeRow, RequestKey, Work

from .driver import DriverConnection
from .ids import Ids
from .load import LoadedState, Loader, needed_measures
from .load_till import TillState, needs_till
from .locks import Head, Locked, WiderLock
from .outcomes import Caller, Outcomes
from .placing import PLACES
from .policy_use import policy_use
from .slots import Slots, bits_of
from .write import Writer

_NO_TILL: Final = TillState()
"""Of batches without a command of the till side; never written to."""


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


class _Loaded:
    """What one batch is decided on, as the steps of loading fill it."""

    __slots__ = ("callers", "due_ids", "due_until", "more_due", "named", "needs", "policies", "state", "stored", "till")

    def __init__(
        self,
        policies: dict[str, Policy],
        stored: Mapping[RequestKey, StoredOutcome],
        callers: Mapping[int, Caller],
        needs: Needs,
        due_ids: Sequence[bytes],
        due_until: int,
        more_due: bool,
    ) -> None:
        self.policies = policies
        self.stored = stored
        self.callers = callers
        self.needs = needs
        self.due_ids = due_ids
        self.due_until = due_until
        self.more_due = more_due
        self.state = LoadedState()
        self.till = _NO_TILL
        self.named: set[bytes] = set()

    def due_parts(self) -> list[tuple[Reservation, Part]]:
        """The holds that end by ``due_until``, with their reservations."""
        reservations, until = self.state.reservations, self.due_until
        return [
            (reservations[reservation_id], part)
            for reservation_id in self.due_ids
            for part in reservations[reservation_id].parts
            if part.held and part.expire_time is not None and part.expire_time <= until
        ]


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
        only_writer: bool = False,
    ) -> None:
        self.loader = Loader(dialect, slots, only_writer=only_writer)
        self._slots = slots
        self._locks = locks
        self.outcomes = outcomes
        self._writer = Writer(dialect, slots)
        self._ids = ids
        self._moments = moments

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
        if needs_till(needs):
            bits |= bits_of(map(self._slots.of_count, needs.counts)) | bits_of(map(self._slots.of_id, needs.events))
            # What did not fit is written somewhere, even if it names no stock key.
            bits = bits or 1
        return bits

    def run(
        self, connection: DriverConnection, work: Work, slots: Sequence[int] = (0,), *, most_parts: int | None = None
    ) -> Transacted:
        """Locks, loads, decides and writes; time is read after the locks.

        Raises:
            WiderLock: the work needs more slots.
            Lengthy: ``most_parts`` is given, and the reservations that are named have more, or leases are due.
        """
        return self.run_locked(connection, work, slots, self._locks.take(connection, slots), most_parts=most_parts)

    def run_locked(
        self,
        connection: DriverConnection,
        work: Work,
        slots: Sequence[int],
        told: Locked,
        *,
        most_parts: int | None = None,
    ) -> Transacted:
        """The same with the locks held: ``told`` is what they told."""
        head, now, trusted = told
        record_time = self._moments.begin(now, head.record_time)
        # A reader may have been answered for an instant after ``now``: what it saw ended must be ended here too.
        due_until = record_time if trusted >= now else min(record_time, trusted)
        loaded = self._load(connection, work, slots, now, due_until, most_parts)
        batch = self._begin_batch(loaded, head, now, record_time, slots)
        outcomes = self._decide(connection, work, batch, loaded)
        if not _has_effect(batch, outcomes):
            return Transacted(Committed(head.revision, head.record_time, []), False, False, batch)
        committed = self._write(connection, batch, outcomes, loaded.callers)
        return Transacted(committed, True, loaded.more_due, batch, outcomes)

    def _load(
        self,
        connection: DriverConnection,
        work: Work,
        slots: Sequence[int],
        now: int,
        due_until: int,
        most_parts: int | None,
    ) -> _Loaded:
        """Everything the batch is decided on: what it names, what is due in its slots, and what these lead to.

        Raises:
            WiderLock: as :meth:`run`.
            Lengthy: as :meth:`run`.
        """
        loader = self.loader
        policies = loader.policies(connection, work.organizations)
        stored = self.outcomes.known(connection, work.request_keys, now)
        callers = self.outcomes.callers(connection, work.request_keys)
        needs = work.needs(policies, stored)
        due_ids, more_due = loader.due(connection, due_until, slots)
        if more_due:
            # Far more leases ended at once than one transaction should carry: end these first, by themselves.
            needs = Needs()
        loaded = _Loaded(policies, stored, callers, needs, due_ids, due_until, more_due)
        locked = bits_of(slots)
        self._load_named(connection, loaded, locked, now, most_parts)
        if not more_due:
            self._load_implied(connection, work, loaded, locked)
        self._load_figures(connection, loaded)
        return loaded

    def _load_named(
        self, connection: DriverConnection, loaded: _Loaded, locked: int, now: int, most_parts: int | None
    ) -> None:
        """Stock keys and reservations that the commands name, and the reservations with something due."""
        loader, needs, state = self.loader, loaded.needs, loaded.state
        if needs_till(needs):
            loader.stocks(connection, state, needs.pools, ())
            loaded.till = loader.till.resolve(connection, needs, state.stocks, now)
        named = loaded.named = set(needs.reservations)
        rows = loader.reservations(connection, state, [*named, *(due for due in loaded.due_ids if due not in named)])
        if most_parts is not None and (loaded.due_ids or len(rows) > most_parts):
            raise Lengthy
        self._check_locks(locked, state.slots, needs)
        loader.stocks(connection, state, needs.pools if loaded.till is _NO_TILL else (), {row[4] for row in rows})
        loader.link_parts(connection, state, rows)

    def _load_implied(self, connection: DriverConnection, work: Work, loaded: _Loaded, locked: int) -> None:
        """What can be told only from what is loaded by now: keys that orders, counts and full counts lead to."""
        needs, state, till = loaded.needs, loaded.state, loaded.till
        known = len(needs.pools)
        work.needs_after(needs, loaded.policies, state.reservations, till.orders)
        if needs.counts:
            work.needs_after_counts(needs, loaded.policies, till.counts)
        self._check_locks(locked, state.slots, needs)
        if needs.scopes:
            self._load_scopes(connection, state, needs, till)
        if len(needs.pools) > known:
            self.loader.stocks(connection, state, needs.pools, ())
        if needs.scopes:
            loaded.named |= self._load_sales_of_scopes(connection, state, till)

    def _load_figures(self, connection: DriverConnection, loaded: _Loaded) -> None:
        """Pools and measures of the stock keys, with the policies that they are valued by."""
        loader, policies, needs, state = self.loader, loaded.policies, loaded.needs, loaded.state
        unknown = {stock.key.organization for stock in state.stocks.values()} - policies.keys()
        policies.update(loader.policies(connection, unknown))
        loader.pools(connection, state, needs)
        loader.measures(connection, state, needed_measures(needs, state, loaded.named, policies))
        if needs.published:
            loader.till.published(connection, [state.stocks[key] for key in needs.published if key in state.stocks])

    def _begin_batch(self, loaded: _Loaded, head: Head, now: int, record_time: int, slots: Sequence[int]) -> Batch:
        """The journal that the rules write into, over what was loaded, numbered after what was committed last."""
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
        batch.slots = bits_of(slots)
        batch.home = slots[0] if slots else 0
        state, till = loaded.state, loaded.till
        batch.stocks = state.stocks
        batch.reservations = state.reservations
        batch.policies = loaded.policies
        if till is not _NO_TILL:
            batch.orders, batch.counts, batch.scopes = till.orders, till.counts, till.scopes
            batch.events = till.events(state.reservations)
        batch.forgotten_until = {scope: caller.forgotten_until for scope, caller in loaded.callers.items()}
        return batch

    def _decide(self, connection: DriverConnection, work: Work, batch: Batch, loaded: _Loaded) -> list[OutcomeRow]:
        """What is due first, then each command in its order; answers the outcomes to keep."""
        due = loaded.due_parts()
        if loaded.more_due:
            bring_up_to_date(batch, due)
            return []
        batch.order_references = self.loader.references(connection, loaded.needs.references)
        use = policy_use(connection, self._slots, work.policy_organization) if work.policy_organization else None
        return list(work.decide(batch, loaded.stored, due, use))

    def _write(
        self,
        connection: DriverConnection,
        batch: Batch,
        outcomes: Sequence[OutcomeRow],
        callers: Mapping[int, Caller],
    ) -> Committed:
        """The movements with their running sums, and the outcomes of the requests that made them."""
        changed = self._writer.write(connection, batch)
        self.outcomes.keep(connection, outcomes, callers, batch.now)
        self._writer.write_references(connection, batch)
        return Committed(
            batch.revision,
            batch.record_time,
            [stock.key for stock in changed],
            [name for name, _ in batch.new_policies],
            batch.slots,
            self._writer.opened,
        )

    def _check_locks(self, locked: int, loaded: int, needs: Needs) -> None:
        """Whatever the batch reads to decide by lies in slots that it holds.

        Raises:
            WiderLock: some does not.
        """
        slots = self._slots
        if not slots.mask:
            return
        needed = (loaded & slots.all_bits) | bits_of(map(slots.of_key, needs.pools))
        if needs.counts:
            needed |= bits_of(map(slots.of_count, needs.counts))
        if needs.scopes:
            # The keys of a location lie anywhere.
            needed = slots.all_bits
        if needed & ~locked:
            raise WiderLock(needed | locked)

    def _new_reservation_id(self, stock: Stock) -> bytes:
        return self._ids.reservation_id(self._slots.of_stock(stock.stock_id))

    def _new_stock_id(self, _key: StockKey) -> int:
        return self._ids.stock_id()

    def _load_scopes(self, connection: DriverConnection, state: LoadedState, needs: Needs, till: TillState) -> None:
        """What full counts that may end lie above, with the keys that become zero."""
        for name in needs.scopes:
            scope, ids = self.loader.till.scope(connection, name)
            self.loader.stocks(connection, state, (), ids)
            for stock_id in ids:
                key = state.by_id[stock_id].key
                scope.keys.append(key)
                needs.add_pools(key, ())
                needs.measures.add(key)
            till.scopes[name] = scope

    def _load_sales_of_scopes(self, connection: DriverConnection, state: LoadedState, till: TillState) -> set[bytes]:
        """The sales that zeroes of full counts may move; answers the reservations added."""
        loader = self.loader
        keys = {key for scope in till.scopes.values() for key in scope.keys}
        ids = loader.till.awaiting(connection, [state.stocks[key] for key in keys]) - state.reservations.keys()
        rows = loader.reservations(connection, state, ids)
        loader.stocks(connection, state, (), {row[4] for row in rows})
        loader.link_parts(connection, state, rows)
        return ids


def _has_effect(batch: Batch, outcomes: Sequence[OutcomeRow]) -> bool:
    """Whether there is anything to write: a batch of repeats only has nothing."""
    return bool(
        outcomes
        or batch.entries
        or any(stock.changed for stock in batch.stocks.values())
        # Handing order events over keeps no outcome and moves nothing.
        or any(reservation.changed for reservation in batch.reservations.values())
    )
