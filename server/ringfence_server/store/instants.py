"""Which instant a snapshot stands for, where several writers commit at once.

What a read at instant t answered, a read that asks for t later answers again. So when a snapshot S is said to stand
for t, two things must hold of every slot that is read: S has no batch recorded after t (or they are taken back, by
``Past``), and every batch that S lacks is recorded after t.

*One slot.* Its batches are in one order: each holds the slot's lock from before it reads the clock until it is
committed, and is recorded after the slot's newest (``batch.record_time > slot_state.record_time``). Let R be the
slot's record_time in S. Every batch that S lacks is recorded after R; so t = R always holds.

*Any slots.* Before S is taken, in a statement of its own, a ``Bound`` is read: an instant B such that every batch that
S lacks is recorded after B. Then with R <= B in a slot t = B holds, with R > B t = R does: max(R, B) for a single
slot. For several slots with some R > B no instant may be common to all. The reader then waits until B has reached the
highest R it has met (the batches under way at that moment have ended, no later than a statement timeout), takes a new
snapshot, and takes back what of it is recorded after B: so it still contains all that was committed when it was asked.

*Why B holds on PostgreSQL.* C is ``statement_timestamp()`` of the statement that reads B: before anything of it ran. O
is the earliest ``xact_start`` of writers (by application_name) that have a transaction id, as ``pg_stat_activity``
shows them; B = min(C, O) - 1 µs. Take a batch that S lacks. If its transaction had an id when the activity was looked
at, it was among those seen, for it cannot have ended: a transaction loses its id in the moment it becomes visible to
later snapshots, and S is one. A batch reads the clock in its transaction, so it is recorded at O or later. If it had
no id yet, it held no lock yet, for ``FOR UPDATE`` takes an id first; it reads the clock after its locks, so at C or
later. Both are after B. This needs all servers to connect as one role (or one that may read all statistics): other
roles' transactions are shown without their start, and a read is refused rather than wrong.

*On Citus* the writers' transactions are the coordinator's, to which all servers connect: a batch's rows lie on other
machines, but it begins there, reads the clock there, and ends there only when every machine has committed its part. It
has no id there for most of its life, so O is the earliest ``xact_start`` of any writer; that is never later than the
one with an id. S is as many snapshots as there are machines, each taken after B was read, of which the proof asks no
more. The exception is a part that its machine was told to prepare and then, because it or the coordinator broke, not to
commit: until Citus does that (``citus.recover_2pc_interval``) S lacks it. Nobody decides by that, for it holds the
locks of its slots.

*When the clock of the database goes back*, batches of another slot may be recorded before R for as long as it is
behind. A reader of several slots does not wait for that: it answers the newest state, at the highest R.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from ringfence_server.clock import Clock
from ringfence_server.ledger.work import StoreUnavailable

from .connect import WRITER
from .driver import DriverConnection
from .moments import Moments


class Bound(NamedTuple):
    """What is known before a snapshot is taken."""

    instant: int | None
    """Every batch that the snapshot will lack is recorded after it (microseconds). None: that is told within it."""
    now: int
    """The clock by which batches are recorded."""
    due_until: int
    """Leases end up to here and no further, while the clock is in doubt; not before ``now`` when it is not."""
    behind: bool = False
    """Of a replica: a read need not contain all that the snapshot does."""


class Instants(Protocol):
    """Tells readers for which instants they can answer."""

    def before(self, connection: DriverConnection, least: int) -> Bound:
        """Asked outside of a transaction, before the snapshot. ``least`` is an instant the reader has met."""

    def within(self, bound: Bound, now: int, record_time: int) -> int:
        """That instant, once the snapshot is there; of a store with one slot, which has been at ``now`` and whose
        newest batch is recorded at ``record_time``, it is told only here."""


class WriterInstants:
    """SQLite: the one writer is of this process."""

    def __init__(self, moments: Moments, clock: Clock) -> None:
        self._moments = moments
        self._clock = clock

    def before(self, connection: DriverConnection, least: int) -> Bound:
        """Only the clock: the writer is asked when the snapshot is there, for it knows what the snapshot lacks."""
        now = self._clock.now()
        return Bound(None, now, self._clock.due_until())

    def within(self, bound: Bound, now: int, record_time: int) -> int:
        """The instant that the snapshot stands for."""
        return self._moments.read_time(max(bound.now, now), record_time)


_ACTIVITY: Final = """
SELECT
  (extract(epoch FROM statement_timestamp()) * 1000000)::bigint,
  (extract(epoch FROM min(xact_start) FILTER (WHERE {writing})) * 1000000)::bigint,
  count(*) FILTER (WHERE query = '<insufficient privilege>')
FROM pg_stat_activity
WHERE application_name = '{writer}' AND datname = current_database()
"""
_ACTIVITY_HERE: Final = _ACTIVITY.format(writing="backend_xid IS NOT NULL", writer=WRITER)
_ACTIVITY_ELSEWHERE: Final = _ACTIVITY.format(writing="true", writer=WRITER)


class _Bounded:
    """What is known before a snapshot is all there is to know."""

    def within(self, bound: Bound, now: int, record_time: int) -> int:
        """The bound."""
        assert bound.instant is not None
        return bound.instant


class DatabaseInstants(_Bounded):
    """PostgreSQL, by its own clock: the writers may be of many servers."""

    def __init__(self, due_until: Callable[[int], int] = lambda now: now) -> None:
        """``due_until``: given what the database's clock says, the instant up to which leases may be ended."""
        self._due_until = due_until

    def before(self, connection: DriverConnection, least: int) -> Bound:
        """Looks at the writers' transactions.

        Raises:
            StoreUnavailable: a server connects as another role.
        """
        ((now, oldest, hidden),) = connection.rows(_ACTIVITY_ELSEWHERE if connection.distributed else _ACTIVITY_HERE)
        if hidden:
            raise StoreUnavailable(
                "another server connects as another role: give all servers one role, or grant pg_read_all_stats"
            )
        return Bound((now if oldest is None else min(now, oldest)) - 1, now, self._due_until(now))


class SharedInstants(_Bounded):
    """PostgreSQL with an injected clock, for tests: all writers are of this process, and know of each other.
    Thread-safe.

    The same rules as by the database's clock, where that may stand still: a batch that begins after a bound was given
    is recorded after it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._served = 0
        self._under_way: dict[object, int] = {}

    def writer(self) -> SharedMoments:
        """What one writing connection tells its batches to."""
        return SharedMoments(self)

    def before(self, connection: DriverConnection, least: int) -> Bound:
        """The clock, or ``least`` where that is ahead of it, but before all batches under way."""
        now = self._clock.now()
        with self._lock:
            instant = min([max(now, least), *(record_time - 1 for record_time in self._under_way.values())])
            self._served = max(self._served, instant)
        return Bound(instant, now, self._clock.due_until())

    def begin(self, writer: object, now: int, last_record_time: int) -> int:
        """The record_time of a writer's batch, whose locks are held."""
        with self._lock:
            record_time = max(now, last_record_time + 1, self._served + 1)
            self._under_way[writer] = record_time
            return record_time

    def end(self, writer: object) -> None:
        """The writer's batch is visible to new snapshots, or gone."""
        with self._lock:
            self._under_way.pop(writer, None)


class SharedMoments:
    """One writer's part of ``SharedInstants``; see ``Moments``."""

    def __init__(self, instants: SharedInstants) -> None:
        self._instants = instants

    def begin(self, now: int, last_record_time: int) -> int:
        """The record_time of the batch that begins, whose locks are held."""
        return self._instants.begin(self, now, last_record_time)

    def end(self, *, committed: bool) -> None:
        """The batch is visible to new snapshots, or gone."""
        self._instants.end(self)
