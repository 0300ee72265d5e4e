"""The one lock of a batch, and the counters that stand on it. Nobody else locks a row.

The rows of ``slot_state`` are the locks: a batch takes those of every slot that it reads for a decision or writes, in
the order of their numbers, before it reads anything else; what lies in a slot (stocks, pools, measures, reservations,
parts, entries, the feed) is changed by nobody else until it ends. After the slots come, in this order and each in the
order of its keys, rows that are no slot's own: callers (counting refusals), outcomes and order references (inserted; a
rival's row of the same key is a conflict). As everybody takes locks in this one order, nobody waits in a circle.

Counters are Lamport's: a batch gets what is above those of all its slots, and all of them get the batch's. So within a
slot revisions, sequences and times rise in the order of the commits, and between slots they are in no order, unless a
batch held both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Dialect

from ringfence_server.clock import Clock, ClockWatch

from . import schema
from .compiled import Statement
from .driver import DriverConnection, PostgresConnection


class Head(NamedTuple):
    """The counters above which a batch begins: the greatest of its slots."""

    revision: int = 0
    last_sequence: int = 0
    now: int = 0
    """Microseconds since the epoch, as is the next."""
    record_time: int = 0


class Locked(NamedTuple):
    """What a batch holds."""

    head: Head
    now: int
    """The clock, read after the last lock was taken; never before that of an earlier batch of these slots."""
    due_until: int
    """The instant up to which leases may be ended, by the clock as it was read: ``now`` or later, unless that is in
    doubt or went back."""


class WiderLock(Exception):
    """A batch needs slots that it did not lock; nothing of it happened. It is to begin again with these."""

    def __init__(self, slots: int) -> None:
        super().__init__("more slots are to be locked")
        self.slots = slots
        """A bitmap: those that were locked and those that were missed."""


class WriterLock:
    """SQLite's: BEGIN IMMEDIATE is the lock, and where there is but one writer it remembers its own counters."""

    def __init__(self, dialect: Dialect, clock: Clock, *, only_writer: bool = False) -> None:
        state = schema.slot_state
        self._clock = clock
        self._only_writer = only_writer
        self._head: Head | None = None
        self._state = Statement(
            select(state.c.revision, state.c.last_sequence, state.c.now, state.c.record_time).where(
                state.c.slot == bindparam("slot")
            ),
            dialect,
            ["slot"],
        )

    def take(self, connection: DriverConnection, slots: Sequence[int]) -> Locked:
        """The counters, and the time; call with the database's write lock held."""
        head = self._head
        if head is None:
            rows = self._state.run(connection, (0,))
            head = Head(*rows[0]) if rows else Head()
        return Locked(head, max(self._clock.now(), head.now), self._clock.due_until())

    def settle(self, head: Head) -> None:
        """The transaction that wrote these counters is committed."""
        if self._only_writer:
            self._head = head

    def forget(self) -> None:
        """The counters may have been written by somebody else."""
        self._head = None


_COUNTERS = "revision, last_sequence, now, record_time"
# Row for row: the clock stands in the outer list, so it is read when the row's lock is held, and the last one counts.
_LOCK = (
    "WITH locked AS MATERIALIZED ("
    f"SELECT slot, {_COUNTERS} FROM slot_state WHERE slot = ANY($1::smallint[]) ORDER BY slot FOR UPDATE{{skip}}) "
    f"SELECT slot, {_COUNTERS}, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM locked"
)
# For shards: a statement of its own for each slot.
_LOCK_ONE = f"SELECT slot, {_COUNTERS} FROM slot_state WHERE slot = $1::smallint FOR UPDATE{{skip}}"
# A row names in ``xmax`` the transaction that has it, and while that lives it has the lock of its own number.
_STUCK = """
WITH locks AS MATERIALIZED (SELECT pid, locktype, transactionid, granted FROM pg_locks)
SELECT slot, held.pid FROM slot_state
JOIN locks AS held ON held.locktype = 'transactionid' AND held.granted AND held.transactionid = slot_state.xmax
LEFT JOIN pg_stat_activity AS holder ON holder.pid = held.pid
WHERE slot = ANY($1::smallint[])
  AND NOT EXISTS (SELECT FROM locks AS wanted WHERE wanted.pid = held.pid AND NOT wanted.granted)
  AND coalesce(
    holder.state_change <= clock_timestamp() - $2::float8 * interval '1 second'
    OR holder.xact_start <= clock_timestamp() - $3::float8 * interval '1 second', true)
"""
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class SlotLocks:
    """PostgreSQL's: rows of ``slot_state``, FOR UPDATE."""

    def __init__(self, watch: ClockWatch, clock: Clock | None) -> None:
        """``clock`` is used instead of the database's; None: the database's, as ``watch`` judges it."""
        self._watch = watch
        self._clock = clock

    def take(self, connection: DriverConnection, slots: Sequence[int]) -> Locked:
        """Waits for the slots, which rise; answers their counters, and the time.

        Raises:
            LookupError: the store has no such slot.
        """
        taken, locked = self._take(connection, slots, "")
        if len(taken) != len(slots):
            raise LookupError(f"the store lacks some of the slots {list(slots)}")
        return locked

    def take_free(self, connection: DriverConnection, slots: Sequence[int]) -> tuple[list[int], Locked]:
        """The same without waiting: of these slots those that nobody has, rising."""
        return self._take(connection, slots, " SKIP LOCKED")

    def stuck(
        self, connection: PostgresConnection, slots: Sequence[int], quiet_seconds: float, longest_seconds: float
    ) -> dict[int, int | None]:
        """Without waiting, and outside a transaction: of these slots those that a transaction has which waits for no
        other, and which began no statement and ended none for so long, or began itself so long ago; each with the
        number of its connection's process. None: of a transaction that was prepared, or on another machine.

        Nobody knows how long a slot on another machine has been taken, or what for: of distributed ones all that are.
        """
        if not connection.distributed:
            rows = connection.rows(_STUCK, (slots, quiet_seconds, longest_seconds))
            return {slot: pid for slot, pid in rows}
        connection.command("BEGIN")
        try:
            free, _ = self.take_free(connection, slots)
        finally:
            connection.command("ROLLBACK")
        return dict.fromkeys(slot for slot in slots if slot not in free)

    def now(self, connection: DriverConnection) -> int:
        """The clock of the batches, microseconds since the epoch."""
        return self._clock.now() if self._clock is not None else int(connection.rows(_CLOCK)[0][0])

    def due_until(self, now: int) -> int:
        """The instant up to which leases may be ended, and outcomes forgotten, when that clock says ``now``."""
        return self._clock.due_until() if self._clock is not None else self._watch.judged(now)

    def settle(self, head: Head) -> None:
        """Nothing is remembered: others write too."""

    def forget(self) -> None:
        """Nothing is remembered."""

    def _take(self, connection: DriverConnection, slots: Sequence[int], skip: str) -> tuple[list[int], Locked]:
        if connection.distributed:
            rows = [row for slot in slots for row in connection.rows(_LOCK_ONE.format(skip=skip), (slot,))]
        else:
            rows = list(connection.rows(_LOCK.format(skip=skip), (slots,)))
        head = Head(*(max((row[place] for row in rows), default=0) for place in range(1, 5)))
        if self._clock is None and rows and not connection.distributed:
            now = int(max(row[5] for row in rows))
        else:
            now = self.now(connection)
        # Judged as it was read: what an earlier batch says of the time is no clock.
        return sorted(row[0] for row in rows), Locked(head, max(now, head.now), self.due_until(now))
