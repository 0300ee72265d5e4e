"""What changed in a PostgreSQL store, whoever changed it: LISTEN to be woken, revisions to read.

A server says NOTIFY after its commits, never within them: a transaction that has notified takes a lock of the whole
database when it commits, and all batches of all servers would go through it one by one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from sqlalchemy import func, select

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import ChangesRead
from ringfence_server.ledger.revisions import Revisions
from ringfence_server.ledger.work import Place, StoreUnavailable

from . import schema
from .connect import UPKEEP, PostgresOptions, engine_of
from .driver import PostgresConnection
from .errors import NETWORK_ERRORS, unavailable
from .postgres_connection import KeptConnection, keep_connection
from .prune import FEED_KEPT
from .read_feed import FeedRows, numbers_of
from .read_keys import KeyRows, States
from .read_lanes import begin_transaction, end_transaction
from .slots import Slots

T = TypeVar("T")

_CHANNEL: Final = "ringfence_feed"
_MOST_PAYLOAD: Final = 7_900
"""Bytes of a notification; PostgreSQL takes less than 8,000."""
_ANYWHERE: Final = "*"
_ROWS_A_LOOK: Final = 500
"""Rows of each slot, each a group commit."""
_MOST_KEYS_CACHED: Final = 65_536
_HOUR: Final = 3_600_000_000


class PostgresFeed:
    """A connection of its own, used by one task at a time."""

    def __init__(self, url: str, options: PostgresOptions, slots: Slots, *, distributed: bool = False) -> None:
        self._engine = engine_of(url, options, application=UPKEEP, connections=1)
        self._distributed = distributed
        self._keys = KeyRows(self._engine.dialect, slots)
        self._feed = FeedRows(self._engine.dialect, slots)
        self._cached: dict[int, StockKey] = {}
        self._policies_until = 0
        self._looked = 0
        self._kept: KeptConnection | None = None

    async def open(self, notified: Callable[[], None], opened: Callable[[Collection[Place] | None], None]) -> None:
        """Connects and listens; ``notified`` is called when another server says that there is something, ``opened``
        where it says that order events opened; None: anywhere.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        if self._kept is not None:
            return
        try:
            self._kept = kept = await keep_connection(self._engine, distributed=self._distributed)
            raw: Any = (await kept.connection.get_raw_connection()).driver_connection
            own = raw.get_server_pid()

            def heard(_connection: object, pid: int, _channel: str, payload: str) -> None:
                if pid != own:
                    if payload:
                        opened(_places_of(payload))
                    notified()

            await raw.add_listener(_CHANNEL, heard)
            # A connection that ends says so at once, not only when it is used next.
            raw.add_termination_listener(lambda _connection: notified())
        except BaseException as error:
            # One that does not listen would pass for open the next time.
            await self.close()
            if isinstance(error, NETWORK_ERRORS):
                raise unavailable(error) from error
            raise

    async def state(self) -> Revisions:
        """The state the store is in.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        return await self._call(self._state)

    async def after(self, revisions: Revisions) -> ChangesRead:
        """What changed after a state, in one snapshot.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        return await self._call(self._after, revisions)

    async def notify(self, opened: Collection[Place]) -> None:
        """Tells the other servers that there is something, and where order events opened.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        if opened:
            payload = _payload_of(opened)
            await self._call(lambda connection: connection.rows("SELECT pg_notify($1, $2)", (_CHANNEL, payload)))
        else:
            await self._call(lambda connection: connection.command(f"NOTIFY {_CHANNEL}"))

    async def close(self) -> None:
        """Disconnects; it may be opened again."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.end()

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._kept is None:
            raise StoreUnavailable("the database is not connected")
        try:
            return await self._kept.run(function, *arguments)
        except NETWORK_ERRORS as error:
            await self.close()
            raise unavailable(error) from error
        except asyncio.CancelledError:
            await self.close()
            raise

    @staticmethod
    def _begin(connection: PostgresConnection) -> None:
        """One snapshot; where there is none of several machines every statement has its own, and what is read after the
        revisions contains all that they tell of: rules are committed by the coordinator before a machine's rows are."""
        if not connection.distributed:
            begin_transaction(connection)

    def _state(self, connection: PostgresConnection) -> Revisions:
        self._begin(connection)
        try:
            states = self._keys.states(connection)
            self._looked = _newest(states)
            self._changed_policies(connection, states)
        finally:
            end_transaction(connection)
        return tuple([state.revision for state in states])

    def _after(self, connection: PostgresConnection, revisions: Revisions) -> ChangesRead:
        self._begin(connection)
        try:
            return self._read(connection, revisions)
        finally:
            end_transaction(connection)

    def _read(self, connection: PostgresConnection, revisions: Revisions) -> ChangesRead:
        states = self._keys.states(connection)
        reached = [state.revision for state in states]
        since = (*revisions, *(0 for _ in states))[: len(states)]
        now = _newest(states)
        looked, self._looked = self._looked, now
        moved = {slot: since[slot] for slot, revision in enumerate(reached) if revision > since[slot]}
        if looked and now - looked > FEED_KEPT - _HOUR:
            # Rows may have been forgotten that nobody here has seen.
            return ChangesRead(tuple(reached), (), (), False, True)
        policies = self._changed_policies(connection, states) if 0 in moved else ()
        if not moved:
            return ChangesRead(tuple(reached), (), policies, False, False)
        numbers: dict[int, None] = {}
        taken: dict[int, int] = {}
        for row in self._feed.after(connection, moved, _ROWS_A_LOOK):
            if row.revision > reached[row.slot]:
                # Written after the revisions were read: for the next look.
                continue
            numbers.update(dict.fromkeys(numbers_of(row.stock_ids)))
            taken[row.slot] = taken.get(row.slot, 0) + 1
            if taken[row.slot] == _ROWS_A_LOOK:
                reached[row.slot] = row.revision
        more = any(count == _ROWS_A_LOOK for count in taken.values())
        return ChangesRead(tuple(reached), self._named(connection, numbers), policies, more, False)

    def _named(self, connection: PostgresConnection, numbers: dict[int, None]) -> list[StockKey]:
        cached = self._cached
        unknown = [number for number in numbers if number not in cached]
        if unknown:
            if len(cached) + len(unknown) > _MOST_KEYS_CACHED:
                cached.clear()
                unknown = list(numbers)
            cached.update(self._feed.keys(connection, unknown))
        return [cached[number] for number in numbers]

    def _changed_policies(self, connection: PostgresConnection, states: States) -> list[str]:
        """Organizations with a policy that was not there at the last look. Changes of policy are recorded one after the
        other: each locks every slot, so those of the states are recorded no later than slot 0's newest batch."""
        policy = schema.policy
        until, in_states = self._policies_until, (policy.c.slot == 0, policy.c.create_time <= states[0].record_time)
        newest = connection.execute(select(func.max(policy.c.create_time)).where(*in_states)).scalar() or 0
        self._policies_until = newest
        if newest <= until:
            return []
        later = policy.c.create_time > until
        rows = connection.execute(select(policy.c.organization).distinct().where(*in_states, later))
        return [organization for (organization,) in rows]


def _payload_of(places: Collection[Place]) -> str:
    """Places as the payload of a notification; more than one holds are anywhere."""
    payload = json.dumps(sorted(places), separators=(",", ":"), ensure_ascii=False)
    return payload if len(payload.encode()) <= _MOST_PAYLOAD else _ANYWHERE


def _places_of(payload: str) -> list[Place] | None:
    if payload == _ANYWHERE:
        return None
    return [(organization, location) for organization, location in json.loads(payload)]


def _newest(states: States) -> int:
    return max(max(state.now, state.record_time) for state in states)
