"""One writing connection to PostgreSQL: batches as transactions, tried again where that is safe, and told apart where a
connection broke in the midst of a COMMIT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, StoreUnavailable, Work

from .driver import PostgresConnection
from .errors import NETWORK_ERRORS, READ_ONLY, Contended, refused_by_database, translated
from .locks import SlotLocks, WiderLock
from .postgres_connection import KeptConnection, keep_connection
from .slots import Slots, bits_of, slots_of
from .transaction import Transacted, Transactor

_log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_SECONDS: Final = 4.0
"""Callers hear within five seconds that the store is away."""
_MOST_TRIES: Final = 8
_MOST_WIDENED: Final = 3
"""A batch that still needs more slots then gets them all."""
_LONGEST_PAUSE_SECONDS: Final = 0.05
PLANNER: Final = (
    # Statements are few and find their rows by keys. Plans made while tables are empty would be kept for full ones, so
    # the planner may not choose what is good for small tables alone; and need not plan anew each time.
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; "
    "SET enable_mergejoin = off; SET enable_bitmapscan = off"
)
_SETTINGS: Final = "SET default_transaction_isolation = 'read committed'; SET synchronous_commit = on"


class BatchTimes(Protocol):
    """Where batches are ordered in time."""

    def begin(self, now: int, last_record_time: int) -> int:
        """The record_time of the batch that begins."""

    def end(self, *, committed: bool) -> None:
        """It is visible to new snapshots, or gone."""


class _Unknown(Exception):
    """The connection broke in the midst of a COMMIT."""

    def __init__(self, transacted: Transacted, slots: int) -> None:
        super().__init__("nobody answered the COMMIT")
        self.transacted = transacted
        self.slots = slots


class Lane:
    """A connection and what it remembers; one unit of work at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        slots: Slots,
        locks: SlotLocks,
        moments: BatchTimes,
        transactor: Transactor,
        *,
        distributed: bool,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        """``longest_seconds``: how long a transaction may take with all its tries."""
        self._longest_seconds = longest_seconds
        self._engine = engine
        self._slots = slots
        self._locks = locks
        self._moments = moments
        self.transactor = transactor
        self._distributed = distributed
        self._kept: KeptConnection | None = None

    async def run(self, work: Work, slots: int | None = None) -> Committed:
        """Runs one unit of work in one durable transaction, or raises and has done nothing; as an exception from that,
        StoreUnavailable also stands for what nobody can tell.

        ``slots``, a bitmap: those that it begins with, instead of what the work names.

        Raises:
            StoreUnavailable, BatchRejected, and what deciding raises.
        """
        changed: list[StockKey] = []
        while True:
            try:
                async with asyncio.timeout(self._longest_seconds):
                    transacted = await self._transacted(work, slots)
            except TimeoutError:
                raise StoreUnavailable("the database does not answer") from None
            changed.extend(transacted.committed.changed)
            if not transacted.more_due:
                return transacted.committed._replace(changed=list(dict.fromkeys(changed)))

    async def sweep(self, work: Work, slots: Sequence[int]) -> Committed:
        """Runs a work that only ends leases, in those of the slots that nobody else has: who has one, ends them there.

        Raises:
            StoreUnavailable: as ``run``.
        """
        try:
            async with asyncio.timeout(self._longest_seconds):
                transacted = await self.call(partial(self._sweep, work, slots))
        except (WiderLock, Contended, _Unknown) as stopped:
            # Leases of orders over further slots; and what came of a COMMIT, the next try sees.
            if isinstance(stopped, _Unknown):
                await self.close()
                self._moments.end(committed=False)
            return await self.run(work, bits_of(slots))
        except TimeoutError:
            raise StoreUnavailable("the database does not answer") from None
        committed = transacted.committed
        if transacted.more_due:
            rest = await self.run(work, bits_of(slots))
            committed = rest._replace(changed=list(dict.fromkeys([*committed.changed, *rest.changed])))
        return committed

    async def call(self, function: Callable[[PostgresConnection], T]) -> T:
        """Runs a function on the connection, which is opened when there is none.

        Raises:
            Contended, StoreUnavailable, BatchRejected: for the database's errors.
        """
        try:
            return await (await self._ready()).run(function)
        except NETWORK_ERRORS as error:
            raise translated(error) from error
        except asyncio.CancelledError:
            # In the midst of a statement: what comes next must not get its answer.
            await self.close()
            raise

    async def close(self) -> None:
        """Closes the connection; the next call opens another."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.end()

    async def _ready(self) -> KeptConnection:
        if self._kept is not None and (self._kept.driver.closed or self._kept.driver.in_transaction):
            await self.close()
        if self._kept is None:
            # On Citus a statement is planned for the slot that it names; another machine plans how its rows are found.
            settings = _SETTINGS if self._distributed else f"{PLANNER}; {_SETTINGS}"
            kept = await keep_connection(self._engine, distributed=self._distributed, settings=settings)
            try:
                # A primary that has become a replica answers all but writes: nobody must take it for served.
                if await kept.run(_takes_no_writes):
                    raise StoreUnavailable(READ_ONLY)
            except BaseException:
                await kept.end()
                raise
            self._kept = kept
        return self._kept

    # --- one transaction -----------------------------------------------------------------------------------------

    async def _transacted(self, work: Work, slots: int | None) -> Transacted:
        tries = widened = 0
        while True:
            try:
                return await self.call(partial(self._transact, work, slots))
            except WiderLock as wider:
                widened += 1
                slots = wider.slots if widened < _MOST_WIDENED else self._slots.all_bits
            except Contended as contended:
                tries += 1
                if tries >= _MOST_TRIES:
                    raise StoreUnavailable(f"other servers stood in the way {tries} times: {contended}") from contended
                await asyncio.sleep(random.uniform(0.1, 1.0) * _LONGEST_PAUSE_SECONDS * tries / _MOST_TRIES)
            except _Unknown as unknown:
                tries += 1
                _log.warning("the connection broke in a COMMIT: looking what came of it")
                if await self._was_committed(unknown):
                    return unknown.transacted
                if tries >= _MOST_TRIES:
                    raise StoreUnavailable("the connection broke again and again") from unknown

    def _transact(self, work: Work, slots: int | None, connection: PostgresConnection) -> Transacted:
        transactor = self.transactor
        bits = transactor.slots_of(connection, work) if slots is None else slots
        with self._transaction(connection):
            transacted = transactor.run(connection, work, slots_of(bits))
            self._end(connection, transacted, bits)
        transactor.settle(transacted)
        return transacted

    def _sweep(self, work: Work, slots: Sequence[int], connection: PostgresConnection) -> Transacted:
        with self._transaction(connection):
            taken, locked = self._locks.take_free(connection, slots)
            transacted = self.transactor.run_locked(connection, work, taken, locked)
            self._end(connection, transacted, bits_of(taken))
        self.transactor.settle(transacted)
        return transacted

    @contextlib.contextmanager
    def _transaction(self, connection: PostgresConnection) -> Iterator[None]:
        connection.command("BEGIN")
        try:
            yield
        except BaseException as error:
            if not isinstance(error, WiderLock | _Unknown):
                self.transactor.forget()
            if not isinstance(error, _Unknown):
                # Rolled back before readers are told that it is gone.
                if connection.in_transaction and not isinstance(error, asyncio.CancelledError):
                    with contextlib.suppress(*NETWORK_ERRORS):
                        connection.command("ROLLBACK")
                self._moments.end(committed=False)
            raise

    def _end(self, connection: PostgresConnection, transacted: Transacted, slots: int) -> None:
        if not transacted.wrote:
            connection.command("ROLLBACK")
            self._moments.end(committed=False)
            return
        try:
            connection.command("COMMIT")
        except NETWORK_ERRORS as error:
            if refused_by_database(error):
                raise
            raise _Unknown(transacted, slots) from error
        self._moments.end(committed=True)

    async def _was_committed(self, unknown: _Unknown) -> bool:
        """Whether a batch took place whose COMMIT nobody answered.

        Its slots are locked first: a transaction that still lives has them, so it is over when they are had. The
        outcomes were written in the same transaction: all of them are there, or none.

        Raises:
            StoreUnavailable: nobody can tell.
        """
        await self.close()
        committed = False
        try:
            committed = await self.call(lambda connection: self._look(connection, unknown))
        except Contended as contended:
            raise StoreUnavailable(str(contended)) from contended
        finally:
            self.transactor.forget()
            self._moments.end(committed=committed)
        if committed:
            _log.warning("the batch had been committed")
        return committed

    def _look(self, connection: PostgresConnection, unknown: _Unknown) -> bool:
        outcomes = unknown.transacted.outcomes
        connection.command("BEGIN")
        try:
            self._locks.take(connection, slots_of(unknown.slots))
            keys = [(row.scope, row.request_id) for row in outcomes]
            stored = self.transactor.outcomes.known(connection, keys, unknown.transacted.batch.now)
        finally:
            connection.command("ROLLBACK")
        # Without outcomes it only ended leases: that is done again, or was done.
        return bool(outcomes) and all(
            (found := stored.get((row.scope, row.request_id))) is not None and found.payload == row.payload
            for row in outcomes
        )


def _takes_no_writes(connection: PostgresConnection) -> bool:
    ((setting,),) = connection.rows("SELECT current_setting('transaction_read_only')")
    return bool(setting == "on")
