"""The read side of the store: snapshots, and what is answered from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import URL

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
    LiveHold,
    Moment,
    PointsRead,
    ReservationQuery,
    ReservationsRead,
    VerifyProgress,
)
from ringfence_server.ledger.revisions import NONE, Revisions
from ringfence_server.ledger.state import Reservation, Stock
from ringfence_server.ledger.work import StoreUnavailable

from .driver import DriverConnection
from .instants import Instants, WriterInstants
from .moments import Moments
from .read_feed import FeedRows
from .read_keys import KeyRows, States, View
from .read_lanes import Lane, Lanes, ThreadLanes, begin_transaction
from .read_ledger import EntryRows
from .read_points import PointReads
from .read_reservations import HoldRows, ReservationRows
from .read_till import TillRows
from .slots import ONE_SLOT, Slots
from .snapshots import Begun, Snapshots, Wanted
from .verify import Verification

_MOST_WAITS: Final = 400
_WAIT_SECONDS: Final = 0.005
_PROGRESS_SECONDS: Final = 0.9
_VERIFY_STEP_SECONDS: Final = 0.4
_recorded: Final = attrgetter("record_time")


def sqlite_reader(url: URL, clock: Clock, moments: Moments) -> Reader:
    """A reader of a SQLite database; ``moments`` is the writing store's."""
    return Reader(ThreadLanes(url), WriterInstants(moments, clock), ONE_SLOT)


class Reader:
    """Answers queries from snapshots of the database; see ``ledger.reading.Reader``. Lives on one event loop.

    Every answer says for which instant it stands. ``instants`` orders reads and writes in time, so that a read at that
    instant later gives the same answer.
    """

    def __init__(self, lanes: Lanes, instants: Instants, slots: Slots) -> None:
        self._lanes = lanes
        self.points_lane = lanes.points
        """For whoever has to ask the database something between two reads."""
        dialect = lanes.dialect
        self._keys = KeyRows(dialect, slots)
        self._snapshots = Snapshots(self._keys, instants)
        self._reservations = ReservationRows(dialect, slots)
        self._holds = HoldRows(dialect, slots)
        self._feed = FeedRows(dialect, slots)
        self._entries = EntryRows(slots, self._feed.keys)
        self._till = TillRows(dialect, slots)
        self._points = PointReads(lanes.points, self._keys, self._snapshots)

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

    async def points(self, organization: str, keys: Sequence[StockKey], min_revisions: Revisions = NONE) -> PointsRead:
        """A few keys, as they are now; requests that arrive together share a snapshot.

        Raises:
            RevisionUnknown: the store never was in the state that is asked for.
        """
        skus = [key.sku for key in keys]
        if len(self._keys.slots_of(organization, skus)) == 1:
            return await self._points.read(organization, keys, min_revisions)
        async with self.snapshot(organization, skus=skus, min_revisions=min_revisions) as snapshot:
            stocks = await snapshot.stocks(keys)
            return PointsRead(snapshot.moment, snapshot.policy, {stock.key: stock for stock in stocks})

    async def newest(self, organization: str, keys: Sequence[StockKey]) -> PointsRead:
        """As ``points``, where no common instant is asked for: the figures are the newest, the moment is about
        theirs."""
        return await self._points.read(organization, keys)

    # --- snapshots -----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def snapshot(
        self,
        organization: str,
        read_time: int | None = None,
        *,
        skus: Sequence[str] = (),
        min_revisions: Revisions = NONE,
        long: bool = False,
    ) -> AsyncIterator[SqlSnapshot]:
        """A snapshot as of now, or as a read at ``read_time`` (microseconds since the epoch) saw it; only these SKUs
        are asked of it (none: all).

        Raises:
            LaterThanNow: read_time lies in the future.
            RevisionUnknown: the store never was in that state, or not yet at read_time.
            StoreUnavailable: the database cannot be read.
        """
        wanted = Wanted(organization, self._keys.slots_of(organization, skus), read_time, min_revisions)
        async with self._lanes.lease(long=long) as lane:
            least = 0
            for _ in range(_MOST_WAITS):
                begun = await lane.run(self._snapshots.begin, wanted, least)
                if isinstance(begun, Begun):
                    yield SqlSnapshot(lane, self._keys, self._holds, begun)
                    return
                # Batches that are under way may be recorded before what this one has to contain.
                least = max(least, begun)
                await asyncio.sleep(_WAIT_SECONDS)
            raise StoreUnavailable("a write takes too long to become visible")

    def _now(self, connection: DriverConnection) -> tuple[States, int, int]:
        """Begins a snapshot that nobody asks for again: the counters, an instant that contains all of it, and the one
        up to which leases have ended."""
        bound = self._snapshots.bound(connection)
        begin_transaction(connection)
        states = self._keys.states(connection)
        latest = max(states, key=_recorded)
        return (states, *self._snapshots.instant_of_slot(bound, latest))

    # --- reservations, entries, policies -------------------------------------------------------------------------

    async def reservation(self, organization: str, reservation_id: bytes) -> tuple[int, Reservation | None]:
        """The instant of the read and the reservation as it stands then, if the organization has it."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_reservation, organization, reservation_id)

    def _read_reservation(
        self, connection: DriverConnection, organization: str, reservation_id: bytes
    ) -> tuple[int, Reservation | None]:
        _, instant, due_until = self._now(connection)
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
        _, instant, due_until = self._now(connection)
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
        read = self._entries.page(connection, query, below, most, self._keys.states(connection))
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
        _, instant, _ = self._now(connection)
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

    async def changed_since(self, organization: str, revisions: Revisions, most: int) -> list[StockKey] | None:
        """Keys of an organization changed after a state; None when that cannot be told any more, or never could be."""
        async with self._lanes.lease() as lane:
            return await lane.run(self._read_changed_since, organization, revisions, most)

    def _read_changed_since(
        self, connection: DriverConnection, organization: str, revisions: Revisions, most: int
    ) -> list[StockKey] | None:
        begin_transaction(connection)
        return self._feed.changed_since(connection, organization, revisions, self._keys.states(connection), most)

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

    def __init__(self, lane: Lane, keys: KeyRows, holds: HoldRows, begun: Begun) -> None:
        self._lane = lane
        self._keys = keys
        self._holds = holds
        self._view: View = begun.view
        self.moment: Moment = begun.moment

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
