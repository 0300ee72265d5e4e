"""Reading balances from a replica of a PostgreSQL database, which is behind by however much it is.

A replica knows nothing of the writers' transactions, so which instant its snapshots stand for (see ``instants``) is
settled with what the primary says: first its bound B, then the place L that its log has reached. All that had been
committed when B was read stands in the log before L. A replica that has replayed its log up to L therefore shows all of
it, and whatever a snapshot lacks that it takes from then on is recorded after B.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, NamedTuple

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import LaterThanNow, PointsRead, RevisionUnknown
from ringfence_server.ledger.revisions import NONE, Revisions
from ringfence_server.ledger.work import StoreUnavailable

from .connect import PostgresOptions
from .driver import DriverConnection
from .instants import Bound, Instants
from .postgres_lanes import PostgresLanes
from .read_lanes import Lane
from .reader import Reader, SqlSnapshot
from .slots import Slots

_log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 0.02
_MOST_WAIT_SECONDS: Final = 0.5
"""How long a read waits for a state that the replica does not have yet, before it goes to the primary."""
_WAIT_SECONDS: Final = 0.02
_PLACES_KEPT: Final = 512

_WRITTEN: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
_REPLAYED: Final = """
SELECT pg_wal_lsn_diff(
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, '0/0'
)::bigint
"""


class _Place(NamedTuple):
    """A place in the primary's log, and what is known of whoever has reached it."""

    position: int
    bound: Bound


class ReplicaInstants:
    """For which instants a replica can answer, by what the primary said lately."""

    def __init__(self, primary: Instants, lane: Lane) -> None:
        self._primary = primary
        self._lane = lane
        self._places: deque[_Place] = deque(maxlen=_PLACES_KEPT)
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")

    async def refresh(self) -> None:
        """Asks the primary, unless it was asked just now. When it is away, what it said before still holds."""
        loop = asyncio.get_running_loop()
        if self._asking is None and loop.time() - self._asked_at > _FRESH_SECONDS:
            self._asking = loop.create_task(self._ask(loop.time()))
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _ask(self, now: float) -> None:
        try:
            self._places.append(await self._lane.run(self._place))
            self._asked_at = now
        except StoreUnavailable:
            pass
        finally:
            self._asking = None

    def _place(self, connection: DriverConnection) -> _Place:
        bound = self._primary.before(connection, 0)
        ((position,),) = connection.rows(_WRITTEN)
        return _Place(position, bound._replace(behind=True))

    def before(self, connection: DriverConnection, least: int) -> Bound:
        """The newest bound whose place the replica has reached.

        Raises:
            StoreUnavailable: it has reached none of them.
        """
        ((position,),) = connection.rows(_REPLAYED)
        for place in reversed(self._places):
            if position is not None and place.position <= position:
                return place.bound
        raise StoreUnavailable("the replica is too far behind")

    def within(self, bound: Bound, now: int, record_time: int) -> int:
        """The bound."""
        assert bound.instant is not None
        return bound.instant


class ReplicaReader:
    """Answers what QueryBalance asks, from the replica where it can, else from the primary."""

    def __init__(self, primary: Reader, replica: Reader, instants: ReplicaInstants) -> None:
        self._primary = primary
        self._replica = replica
        self._instants = instants
        self._away = False

    async def points(self, organization: str, keys: Sequence[StockKey], min_revisions: Revisions = NONE) -> PointsRead:
        """As ``Reader.points``."""
        async with contextlib.aclosing(self._tries(min_revisions)) as tries:
            async for _ in tries:
                try:
                    found = await self._replica.points(organization, keys, min_revisions)
                except RevisionUnknown:
                    continue
                except StoreUnavailable as error:
                    self._tell(error)
                    break
                self._tell(None)
                return found
        return await self._primary.points(organization, keys, min_revisions)

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
        """As ``Reader.snapshot``. A read_time that the replica has not reached is the primary's."""
        async with contextlib.AsyncExitStack() as stack:
            found: SqlSnapshot | None = None
            async with contextlib.aclosing(self._tries(min_revisions)) as tries:
                async for _ in tries:
                    try:
                        found = await stack.enter_async_context(
                            self._replica.snapshot(
                                organization, read_time, skus=skus, min_revisions=min_revisions, long=long
                            )
                        )
                    except RevisionUnknown:
                        continue
                    except LaterThanNow:
                        break
                    except StoreUnavailable as error:
                        self._tell(error)
                        break
                    self._tell(None)
                    break
            if found is None:
                found = await stack.enter_async_context(
                    self._primary.snapshot(organization, read_time, skus=skus, min_revisions=min_revisions, long=long)
                )
            yield found

    def _tell(self, error: StoreUnavailable | None) -> None:
        """Says once that the replica is not read from, and once that it is again: answers are right either way, and
        who pays for a replica would never know."""
        if error is not None and not self._away:
            _log.warning("the replica of --read-url is not read from: %s", error)
        elif error is None and self._away:
            _log.info("the replica of --read-url is read from again")
        self._away = error is not None

    async def _tries(self, min_revisions: Revisions) -> AsyncGenerator[None, None]:
        """Once; with a state to wait for, again and again for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _MOST_WAIT_SECONDS
        while True:
            await self._instants.refresh()
            yield
            if not min_revisions or loop.time() >= end:
                return
            await asyncio.sleep(_WAIT_SECONDS)


def replica_reader(
    url: str,
    options: PostgresOptions,
    primary: Reader,
    primary_instants: Instants,
    slots: Slots,
    *,
    distributed: bool = False,
) -> tuple[ReplicaReader, Reader]:
    """A reader of a replica beside one of the primary; and what is to be opened and closed for it."""
    instants = ReplicaInstants(primary_instants, primary.points_lane)
    replica = Reader(PostgresLanes(url, options, distributed=distributed), instants, slots)
    return ReplicaReader(primary, replica, instants), replica
