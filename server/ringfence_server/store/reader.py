"""The read side of the store: snapshots, and what is answered from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

from ringfence_server.clock import Clock
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import (
    DiscrepanciesRead,
    DiscrepancyQuery,
    EntriesRead,
    EntryQuery,
    KeyFilter,
    KeyPosition,
    KeysRead,
    LaterThanNow,
    LiveHold,
    Moment,
    PointsRead,
    ReservationQuery,
    ReservationsRead,
    VerifyProgress,
)
from ringfence_server.ledger.state import Reservation, Stock
from ringfence_server.ledger.work import StoreUnavailable

from .driver import DriverConnection
from .load import SLOT
from .moments import Moments
from .read_feed import changed_since
from .read_keys import KeyRows, SlotState, View
from .read_lanes import Lane, Lanes, begin_transaction, end_transaction
from .read_ledger import EntryRows
from .read_past import Past
from .read_points import PointReads
from .read_reservations import HoldRows, ReservationRows
from .read_till import TillRows
from .verify import Verification

_MOST_WAITS: Final = 400
_WAIT_SECONDS: Final = 0.005
_PROGRESS_SECONDS: Final = 0.9
_VERIFY_STEP_SECONDS: Final = 0.4


class Reader:
    """Answers queries from snapshots of the database; see ``ledger.reading.Reader``. Lives on one event loop.

    Every answer says for which instant it stands. ``moments`` is the writing store's: it orders reads and writes in
    time, so that a read at that instant later gives the same answer.
    """

    def __init__(self, url: str, clock: Clock, moments: Moments) -> None:
        self._clock = clock
        self._moments = moments
        self._lanes = Lanes(url)
        dialect = self._lanes.dialect
        self._keys = KeyRows(dialect)
        self._reservations = ReservationRows(dialect)
        self._holds = HoldRows()
        self._entries = EntryRows()
        self._till = TillRows(dialect, SLOT)
        self._points = PointReads(self._lanes.points, self._keys, self._instant)

    async def open(self) -> None:
        """Connects to the database, which the writing store has made.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        await self._lanes.open()

    async def close(self) -> None:
        """Answers what was asked and ends all connections."""
        await self._points.close()
        await self._lanes.close()

    async def points(self, organization: str, keys: Sequence[StockKey]) -> PointsRead:
        """A few keys, as they are now; requests that arrive together share a snapshot."""
        return await self._points.read(organization, keys)

    # --- snapshots -----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def snapshot(
        self, organization: str, read_time: int | None = None, *, long: bool = False
    ) -> AsyncIterator[SqlSnapshot]:
        """A snapshot as of now, or as a read at ``read_time`` (microseconds since the epoch) saw it.

        Raises:
            LaterThanNow: read_time lies in the future.
            StoreUnavailable: the database cannot be read.
        """
        async with self._lanes.lease(long=long) as lane:
            for _ in range(_MOST_WAITS):
                begun = await lane.run(self._begin, organization, read_time)
                if begun is not None:
                    yield SqlSnapshot(lane, self._keys, self._holds, *begun)
                    return
                # A write that was under way at that instant is not visible yet: what a read then saw lies before it.
                await asyncio.sleep(_WAIT_SECONDS)
            raise StoreUnavailable("a write takes too long to become visible")

    def _begin(
        self, connection: DriverConnection, organization: str, read_time: int | None
    ) -> tuple[Moment, View] | None:
        begin_transaction(connection)
        try:
            state = self._keys.state(connection)
            instant, due_until = self._instant(state)
            past: Past | None = None
            revision = state.revision
            if read_time is not None:
                if read_time > instant:
                    if read_time > self._clock.now():
                        raise LaterThanNow
                    end_transaction(connection)
                    return None
                instant, due_until = read_time, min(read_time, due_until)
                if read_time < state.record_time:
                    past = Past(connection, read_time, state.last_sequence)
                    revision = past.revision
            if past is None:
                policy = self._keys.policies(connection, [organization])[organization]
            else:
                policy = self._keys.policy_at(connection, organization, instant)
            due = self._keys.due(connection, due_until)
        except BaseException:
            end_transaction(connection)
            raise
        return Moment(instant, revision), View(due_until, policy, due, past)

    def _instant(self, state: SlotState) -> tuple[int, int]:
        """The instant that a snapshot stands for, and the one up to which leases have ended: the same, unless the
        clock is in doubt and expiry pauses."""
        now = self._clock.now()
        until = self._clock.due_until()
        instant = self._moments.read_time(max(now, state.now), state.record_time)
        return instant, instant if until >= now else min(instant, until)

    # --- reservations, entries, policies -------------------------------------------------------------------------

    async def reservation(self, organization: str, reservation_id: bytes) -> tuple[int, Reservation | None]:
        """The instant of the read and the reservation as it stands then, if the organization has it."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_reservation, organization, reservation_id)

    def _read_reservation(
        self, connection: DriverConnection, organization: str, reservation_id: bytes
    ) -> tuple[int, Reservation | None]:
        begin_transaction(connection)
        instant, due_until = self._instant(self._keys.state(connection))
        found = self._reservations.by_id(connection, [reservation_id], due_until)
        reservation = found[0] if found and found[0].organization == organization else None
        return instant, reservation

    async def reservations(self, query: ReservationQuery, after: bytes | None, most: int) -> ReservationsRead:
        """A page of reservations, newest first. It may be short, even empty, before the end."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_reservations, query, after, most)

    def _read_reservations(
        self, connection: DriverConnection, query: ReservationQuery, after: bytes | None, most: int
    ) -> ReservationsRead:
        begin_transaction(connection)
        instant, due_until = self._instant(self._keys.state(connection))
        found, last = self._reservations.page(connection, query, after, most, due_until, instant)
        return ReservationsRead(instant, found, last)

    async def entries(self, query: EntryQuery, below: int | None, most: int) -> EntriesRead:
        """A page of ledger entries, newest first. It may be short, even empty, before the end."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_entries, query, below, most)

    def _read_entries(
        self, connection: DriverConnection, query: EntryQuery, below: int | None, most: int
    ) -> EntriesRead:
        begin_transaction(connection)
        read = self._entries.page(connection, query, below, most, self._keys.state(connection).last_sequence)
        if query.key is None or not query.key.dimensions:
            return read
        return read._replace(policy=self._keys.policies(connection, [query.organization])[query.organization])

    async def discrepancies(self, query: DiscrepancyQuery, below: int | None, most: int) -> DiscrepanciesRead:
        """A page of what did not fit, newest first. It may be short, even empty, before the end."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_discrepancies, query, below, most)

    def _read_discrepancies(
        self, connection: DriverConnection, query: DiscrepancyQuery, below: int | None, most: int
    ) -> DiscrepanciesRead:
        begin_transaction(connection)
        instant, _ = self._instant(self._keys.state(connection))
        return DiscrepanciesRead(instant, *self._till.discrepancies(connection, query, below, most))

    async def orders_due(self, organization: str, locations: Sequence[str]) -> int | None:
        """The first instant at which an order event of these locations that is held back may be handed over."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_orders_due, organization, locations)

    def _read_orders_due(self, connection: DriverConnection, organization: str, locations: Sequence[str]) -> int | None:
        begin_transaction(connection)
        return self._till.orders_due(connection, organization, locations)

    async def policy(self, organization: str) -> Policy:
        """The policy in force."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_policy, organization)

    def _read_policy(self, connection: DriverConnection, organization: str) -> Policy:
        begin_transaction(connection)
        return self._keys.policies(connection, [organization])[organization]

    async def policy_version(self, organization: str, revision: int) -> Policy | None:
        """A version of the policy; None when there is no such version."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._keys.policy_version, organization, revision)

    async def changed_since(self, organization: str, revision: int, most: int) -> list[StockKey] | None:
        """Keys of an organization changed after a revision; None when that cannot be told any more."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_changed_since, organization, revision, most)

    @staticmethod
    def _read_changed_since(
        connection: DriverConnection, organization: str, revision: int, most: int
    ) -> list[StockKey] | None:
        begin_transaction(connection)
        return changed_since(connection, organization, revision, most)

    # --- verification --------------------------------------------------------------------------------------------

    async def verify(self, organization: str, sku: str = "") -> AsyncGenerator[VerifyProgress, None]:
        """Recomputes every balance from the ledger, in one snapshot. Constant memory; close it to stop it early."""
        async with self._lanes.lease(long=True) as lane:
            verification = Verification(organization, sku, self._keys)
            while True:
                step = asyncio.ensure_future(lane.run(verification.advance, _VERIFY_STEP_SECONDS))
                try:
                    while not step.done():
                        # Sorting the ledger is one statement: while it runs there is nothing new to tell but that.
                        done, _ = await asyncio.wait({step}, timeout=_PROGRESS_SECONDS)
                        if not done:
                            yield verification.progress()
                finally:
                    step.cancel()
                progress = step.result()
                yield progress
                if progress.done:
                    return


class SqlSnapshot:
    """A view of the database that does not change while it is looked at; see ``ledger.reading.Snapshot``."""

    def __init__(self, lane: Lane, keys: KeyRows, holds: HoldRows, moment: Moment, view: View) -> None:
        self._lane = lane
        self._keys = keys
        self._holds = holds
        self._view = view
        self.moment = moment

    @property
    def policy(self) -> Policy:
        """The organization's policy at the moment."""
        return self._view.policy

    async def keys(self, wanted: KeyFilter, start: KeyPosition | None, most: int) -> KeysRead:
        """Up to ``most`` matching keys from ``start`` on (included), in their order."""
        return await self._lane.run(self._keys.in_order, self._view, wanted, start, most)

    async def stocks(self, keys: Sequence[StockKey]) -> Sequence[Stock]:
        """These keys, as far as they exist."""
        return await self._lane.run(self._read_stocks, keys)

    async def holds(self, stock: Stock, path: str, most: int) -> Sequence[LiveHold]:
        """Live holds of a pool, earliest end first. At an earlier read_time their quantities are those of then, their
        owner and end those of now: changes of these move nothing and stand in no ledger."""
        return await self._lane.run(self._holds.of_pool, self._view, stock, path, most)

    def _read_stocks(self, connection: DriverConnection, keys: Sequence[StockKey]) -> list[Stock]:
        return self._keys.brought(connection, self._view, self._keys.by_key(connection, keys))
