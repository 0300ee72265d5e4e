"""One unit of work in one transaction: load, decide, write. The same on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.decide import bring_up_to_date
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.state import Part, Reservation
from ringfence_server.ledger.work import Committed, OutcomeRow, Work

from . import schema
from .driver import DriverConnection
from .ids import Ids
from .load import SLOT, LoadedState, Loader, needed_measures
from .load_till import TillState, needs_till
from .moments import Moments
from .outcomes import Outcomes
from .statements import Statement
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


class Transactor:
    """Runs units of work on one writing connection, inside a transaction that the caller has begun."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        ids: Ids,
        moments: Moments,
        outcomes: Outcomes,
        now: Callable[[], int],
        due_until: Callable[[], int],
        only_writer: bool = False,
    ) -> None:
        self.loader = Loader(dialect, only_writer=only_writer)
        self._outcomes = outcomes
        self._writer = Writer(dialect)
        self._ids = ids
        self._moments = moments
        self._now = now
        self._due_until = due_until
        self._only_writer = only_writer
        self._head: tuple[int, int, int, int] | None = None
        state = schema.slot_state
        self._state = Statement(
            select(state.c.revision, state.c.last_sequence, state.c.now, state.c.record_time).where(
                state.c.slot == bindparam("slot")
            ),
            dialect,
            ["slot"],
        )

    def settle(self, transacted: Transacted) -> None:
        """The transaction is committed (or had nothing to commit): what it left in memory is what the tables say."""
        batch = transacted.batch
        if self._only_writer and transacted.wrote:
            self._head = (batch.revision, batch.sequence, batch.now, batch.record_time)
        ends = [
            reservation.expire_time
            for reservation in batch.reservations.values()
            if reservation.expire_time is not None
        ]
        self.loader.keep(batch.stocks.values(), min(ends, default=None), (name for name, _ in batch.new_policies))

    def forget(self) -> None:
        """The transaction did not commit: what it left in memory is wrong."""
        self._head = None
        self._outcomes.forget()
        self.loader.forget()

    def reread(self) -> None:
        """The counters were written by somebody else on this connection."""
        self._head = None

    def run(self, connection: DriverConnection, work: Work) -> Transacted:
        """Loads, decides and writes. Call with the database's write lock held: time is read after it."""
        head = self._head
        if head is None:
            rows = self._state.run(connection, (SLOT,))
            head = (rows[0][0], rows[0][1], rows[0][2], rows[0][3]) if rows else (0, 0, 0, 0)
        revision, last_sequence, last_now, last_record_time = head
        now = max(self._now(), last_now)
        record_time = self._moments.begin(now, last_record_time)
        loader = self.loader
        policies = loader.policies(connection, work.organizations)
        stored = self._outcomes.known(connection, work.request_keys)
        callers = self._outcomes.callers(connection, work.request_keys)
        needs = work.needs(policies, stored)
        # A reader may have been answered for an instant after ``now``: what it saw ended must be ended here too.
        trusted = self._due_until()
        due_until = record_time if trusted >= now else min(record_time, trusted)
        due_ids, more_due = loader.due(connection, due_until)
        if more_due:
            # Far more leases ended at once than one transaction should carry: end these first, by themselves.
            needs = Needs()
        state = LoadedState()
        till = _NO_TILL
        if needs_till(needs):
            loader.stocks(connection, state, needs.pools, ())
            till = loader.till.resolve(connection, needs, state.stocks, now)
        named = set(needs.reservations)
        part_rows = loader.reservations(connection, state, [*named, *(due for due in due_ids if due not in named)])
        loader.stocks(connection, state, needs.pools if till is _NO_TILL else (), {row[4] for row in part_rows})
        loader.link_parts(connection, state, part_rows)
        if not more_due:
            known = len(needs.pools)
            work.needs_after(needs, policies, state.reservations, till.orders)
            if needs.counts:
                work.needs_after_counts(needs, policies, till.counts)
                self._load_scopes(connection, state, needs, till)
            if len(needs.pools) > known:
                loader.stocks(connection, state, needs.pools, ())
            if needs.scopes:
                named |= self._load_sales_of_scopes(connection, state, till)
        unknown = {stock.key.organization for stock in state.stocks.values()} - policies.keys()
        policies.update(loader.policies(connection, unknown))
        loader.pools(connection, state, needs)
        loader.measures(connection, state, needed_measures(needs, state, named, policies))
        if needs.published:
            loader.till.published(connection, [state.stocks[key] for key in needs.published if key in state.stocks])
        self._ids.now = now
        batch = Batch(
            now=now,
            record_time=record_time,
            revision=revision + 1,
            last_sequence=last_sequence,
            new_reservation_id=self._ids.reservation_id,
            new_stock_id=self._ids.stock_id,
        )
        batch.stocks = state.stocks
        batch.reservations = state.reservations
        batch.policies = policies
        if till is not _NO_TILL:
            batch.orders, batch.counts, batch.scopes = till.orders, till.counts, till.scopes
            batch.events = till.events(state.reservations)
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
        wrote = bool(
            outcomes
            or batch.entries
            or any(stock.changed for stock in batch.stocks.values())
            # Handing order events over keeps no outcome and moves nothing.
            or any(reservation.changed for reservation in batch.reservations.values())
        )
        if not wrote:
            return Transacted(Committed(revision, last_record_time, ()), False, False, batch)
        changed = self._writer.write(connection, batch)
        self._outcomes.keep(connection, outcomes, callers, now)
        committed = Committed(
            batch.revision,
            record_time,
            [stock.key for stock in changed],
            [name for name, _ in batch.new_policies],
            self._writer.opened,
        )
        return Transacted(committed, True, more_due, batch)

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
