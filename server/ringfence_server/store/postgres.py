"""PostgreSQL: any number of servers on one database, each with a few writing connections; every batch is a transaction
that locks its slots."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence_server.clock import Clock, ClockWatch
from ringfence_server.ledger.idempotency import REFUSALS_KEPT_PER_CALLER
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, StoreUnavailable, Work

from .connect import WRITER, PostgresOptions, engine_of, shown
from .distribute import is_distributed
from .driver import PostgresConnection
from .due_slots import due_slots
from .errors import NETWORK_ERRORS, Contended, TookTooLong, translated
from .ids import Ids
from .instants import DatabaseInstants, Instants, SharedInstants
from .lane import LONGEST_SECONDS, Lane
from .locks import SlotLocks
from .migrate import upgrade_postgres
from .moments import DatabaseMoments
from .outcomes import Outcomes
from .placing import Placing
from .postgres_prune import SlotPruner
from .roles import refuse_unseen_roles
from .slots import Slots
from .stale_keys import stale_keys
from .stuck import StuckSlots
from .transaction import Transactor


class PostgresStore:
    """The store of several servers. Everything that is remembered between batches never changes, or is checked in each.

    Raises StoreUnavailable, in one plain line, when the database cannot be reached or is of a newer version.
    """

    def __init__(
        self,
        url: str,
        options: PostgresOptions | None = None,
        *,
        clock: Clock | None = None,
        instants: SharedInstants | None = None,
        refusals_kept: int = REFUSALS_KEPT_PER_CALLER,
        distributed: bool | None = None,
        longest_seconds: float = LONGEST_SECONDS,
        clock_watch: ClockWatch | None = None,
    ) -> None:
        """``clock`` None: the database's clock, as several servers need it. A clock of one's own is for tests, whose
        stores on one database are to share the ``instants`` of the first. ``refusals_kept``: of each caller.
        ``distributed``: whether every statement is to name a single slot; None: if the tables are distributed.
        ``longest_seconds``: how long a transaction may take with all its tries. ``clock_watch``: what judges the
        database's clock."""
        self._longest_seconds = longest_seconds
        self.url = url
        self._options = options or PostgresOptions()
        self._clock = clock
        self._refusals_kept = refusals_kept
        self._distributed = distributed
        self._shared = instants or (SharedInstants(clock) if clock is not None else None)
        self._clock_watch = clock_watch or ClockWatch()
        self.instants: Instants = self._shared or DatabaseInstants(self._clock_watch.judged)
        """For which instants readers can answer."""
        self._engine: AsyncEngine | None = None
        self._slots: Slots | None = None
        self._stuck: StuckSlots | None = None
        self._lanes: list[Lane] = []
        self._free: asyncio.Queue[Lane] = asyncio.Queue()
        self._pruner: SlotPruner | None = None

    @property
    def slots(self) -> Slots:
        """The slots of the store, once it is open."""
        if self._slots is None:
            raise StoreUnavailable("the database is not open")
        return self._slots

    @property
    def distributed(self) -> bool:
        """Whether the tables are spread over the machines of a Citus cluster; told once it is open."""
        return bool(self._distributed)

    def placing(self) -> Placing | None:
        """Which lane is to commit a command, once the store is open; None: there is one, and a batch may be of all
        slots."""
        if self._options.lanes == 1 and not self.distributed:
            return None
        return Placing(self.slots, self._options.lanes, distributed=self.distributed)

    async def open(self) -> None:
        """Migrates the database and makes ready to write."""
        try:
            self._slots = slots = await upgrade_postgres(self.url, self._options)
            if self._distributed is None:
                self._distributed = await is_distributed(self.url, self._options)
            await refuse_unseen_roles(self.url, self._options)
            self._engine = engine_of(self.url, self._options, application=WRITER, connections=self._options.lanes)
            options = self._options
            wait = min(options.lock_timeout_seconds, options.statement_timeout_seconds, self._longest_seconds)
            self._stuck = stuck = StuckSlots(self._locks(), wait)
            for _ in range(self._options.lanes):
                lane = self._lane(self._engine, slots, stuck)
                self._lanes.append(lane)
                self._free.put_nowait(lane)
            self._pruner = SlotPruner(slots, self._locks())
            # What a lane may not do, or not find, is found out here, not by the first caller; and what time it is.
            try:
                await self._on_lane(self._look)
            except StoreUnavailable as away:
                raise StoreUnavailable(f"the database {shown(self.url)} cannot be opened: {away}") from away
            # Again, now that the others see this one: of two that start at once none saw the other before.
            await refuse_unseen_roles(self.url, self._options)
        except NETWORK_ERRORS as error:
            await self.close()
            raise StoreUnavailable(f"the database {shown(self.url)} cannot be opened: {translated(error)}") from error
        except BaseException:
            await self.close()
            raise

    async def run(self, work: Work) -> Committed:
        """Runs one unit of work in one durable transaction, or raises and has done nothing. Of several at a time each
        has a connection of its own, as far as there are lanes.

        A work that names nothing ends what is due, in the slots that no other server has.

        Raises:
            StoreUnavailable: nothing happened, or nobody can tell what: the ids of the requests will.
        """
        async with self._lane_for_a_while() as lane:
            if work.request_keys or work.organizations:
                return await lane.run(work)
            return await self._sweep(lane, work)

    async def next_due(self) -> int | None:
        """The instant (microseconds) at which the next hold ends; None when none has an end."""
        async with self._lane_for_a_while() as lane:
            return await lane.call(lane.transactor.loader.next_end)

    async def stale_keys(self, after: int, most: int) -> tuple[list[StockKey], int]:
        """Keys that an older formula valued, after a stock number; and the number to go on from (0: the end)."""
        async with self._lane_for_a_while() as lane:
            loader = lane.transactor.loader
            return await lane.call(lambda connection: stale_keys(connection, self.slots, loader, after, most))

    async def prune(self) -> int:
        """Deletes one bounded step of what is past its keeping; answers the rows deleted."""
        pruner, stuck = self._pruner, self._stuck
        assert pruner is not None
        assert stuck is not None

        def step(connection: PostgresConnection) -> int:
            if stuck.bits and stuck.look(connection):
                # It takes every slot for a moment.
                return 0
            locks = self._locks()
            now = locks.now(connection)
            # What is forgotten stays forgotten: a clock in doubt must not be trusted here either.
            return pruner.step(connection, min(now, locks.due_until(now)))

        try:
            return await self._on_lane(step)
        except TookTooLong:
            stuck.suspect(self.slots.all_bits)
            raise

    async def close(self) -> None:
        """Closes all connections."""
        for lane in self._lanes:
            await lane.close()
        if self._engine is not None:
            await self._engine.dispose()

    def _look(self, connection: PostgresConnection) -> int:
        connection.rows("SELECT 1 FROM slot_state WHERE slot = 0")
        locks = self._locks()
        return locks.due_until(locks.now(connection))

    async def _sweep(self, lane: Lane, work: Work) -> Committed:
        slots = await lane.call(lambda connection: due_slots(connection, self.slots, self._locks().now(connection)))
        if not slots:
            return Committed(0, 0, [], [], 0)
        if not self._distributed:
            return await lane.sweep(work, slots)
        ended = [await lane.sweep(work, (slot,)) for slot in slots]
        return ended[-1]._replace(changed=[key for each in ended for key in each.changed])

    def _lane(self, engine: AsyncEngine, slots: Slots, stuck: StuckSlots) -> Lane:
        moments = DatabaseMoments() if self._shared is None else self._shared.writer()
        locks = self._locks()
        dialect = engine.dialect
        transactor = Transactor(
            dialect,
            slots=slots,
            locks=locks,
            ids=Ids(slot_count=slots.count),
            moments=moments,
            outcomes=Outcomes(dialect, slots, refusals_kept=self._refusals_kept),
        )
        return Lane(
            engine,
            slots,
            locks,
            moments,
            transactor,
            stuck,
            distributed=self.distributed,
            longest_seconds=self._longest_seconds,
        )

    def _locks(self) -> SlotLocks:
        return SlotLocks(self._clock_watch, self._clock)

    async def _on_lane(self, function: Callable[[PostgresConnection], int | object]) -> int:
        async with self._lane_for_a_while() as lane:
            found = await lane.call(function)
            return found if isinstance(found, int) else 0

    @contextlib.asynccontextmanager
    async def _lane_for_a_while(self) -> AsyncIterator[Lane]:
        if not self._lanes:
            raise StoreUnavailable("the database is closed")
        lane = await self._free.get()
        try:
            yield lane
        except Contended as contended:
            raise StoreUnavailable(str(contended)) from contended
        finally:
            self._free.put_nowait(lane)
