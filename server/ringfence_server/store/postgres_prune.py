"""Forgetting where several servers do it at once: in bounded steps, around rows that somebody else has.

Every statement names a single slot, as distributed tables (Citus) need it; but for one that brings all clocks forward.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, func, select, tuple_

from ringfence_server.ledger.idempotency import past_keeping
from ringfence_server.ledger.policy import MINUTE

from . import schema
from .driver import PostgresConnection
from .locks import SlotLocks
from .prune import FEED_KEPT, ROWS_PER_STEP
from .prune_till import TillPruner
from .slots import Slots

SLOTS_PER_STEP: Final = 4
"""A step has a writing connection for itself, and each slot takes half a dozen statements: batches wait that long."""

_START: Final = (b"", 0)
# Row for row around what another server is deleting; however many rows there are, it has one text.
_DELETE: Final = """
DELETE FROM request_outcome AS gone USING (
  SELECT outcome.request_id, outcome.scope
  FROM unnest($2::bytea[], $3::bigint[]) AS wanted(request_id, scope)
  JOIN request_outcome AS outcome
    ON outcome.slot = $1::smallint AND outcome.request_id = wanted.request_id AND outcome.scope = wanted.scope
  FOR UPDATE OF outcome SKIP LOCKED
) AS free
WHERE gone.slot = $1::smallint AND gone.request_id = free.request_id AND gone.scope = free.scope
RETURNING 1
"""
_BRING_FORWARD: Final = "UPDATE slot_state SET now = $2::bigint WHERE {slots} AND now < $2::bigint"
_BRING_ALL: Final = _BRING_FORWARD.format(slots="slot = ANY($1::smallint[])")
_BRING_ONE: Final = _BRING_FORWARD.format(slots="slot = $1::smallint")


class SlotPruner:
    """Walks slot by slot, in each through the outcomes in the order of their ids, round and round."""

    def __init__(self, slots: Slots, locks: SlotLocks) -> None:
        self._slots = slots
        self._locks = locks
        self._tills = [TillPruner(slot) for slot in slots.all]
        self._slot = 0
        self._after = _START
        """Of the slot that comes next, how far its outcomes were looked at."""
        self._assured = 0
        """No batch of any slot takes place before this instant."""

    def step(self, connection: PostgresConnection, now: int) -> int:
        """Looks at one piece of a few slots and deletes what is past its keeping; answers the rows deleted."""
        deleted = 0
        for _ in range(min(SLOTS_PER_STEP, self._slots.count)):
            slot = self._slot
            deleted += self._forget(connection, slot, now)
            if self._after != _START:
                # The next step goes on there.
                break
            deleted += self._prune_feed(connection, slot, now) + self._tills[slot].step(connection, now)
            self._slot = (slot + 1) & self._slots.mask
        return deleted

    def _forget(self, connection: PostgresConnection, slot: int, now: int) -> int:
        outcome = schema.request_outcome
        rows = connection.execute(
            select(outcome.c.request_id, outcome.c.scope, outcome.c.refusal_number, outcome.c.record_time)
            .where(outcome.c.slot == slot, tuple_(outcome.c.request_id, outcome.c.scope) > self._after)
            .order_by(outcome.c.request_id, outcome.c.scope)
            .limit(ROWS_PER_STEP)
        ).all()
        self._after = (rows[-1].request_id, rows[-1].scope) if len(rows) == ROWS_PER_STEP else _START
        if not any(_forgettable(row, now) for row in rows):
            return 0
        now = self._assure(connection, now)
        gone = [row for row in rows if _forgettable(row, now)]
        if not gone:
            return 0
        return len(connection.rows(_DELETE, (slot, [row.request_id for row in gone], [row.scope for row in gone])))

    def _assure(self, connection: PostgresConnection, now: int) -> int:
        """An instant before which no later batch takes place, should the clock go back: for it something may be
        forgotten. Of all slots, for whoever repeats a forgotten request need not lock the slot of its id. Brought
        forward once a minute, for it takes every slot for a moment."""
        if now - self._assured >= MINUTE and connection.distributed:
            # One after the other, each as soon as no batch has it: what is assured of a slot needs no other, and no
            # batch has to wait until all machines have been asked.
            for slot in self._slots.all:
                connection.rows(_BRING_ONE, (slot, now))
            self._assured = now
        elif now - self._assured >= MINUTE:
            slots = self._slots.all
            connection.command("BEGIN")
            try:
                self._locks.take(connection, slots)
                connection.rows(_BRING_ALL, (slots, now))
            except BaseException:
                connection.command("ROLLBACK")
                raise
            connection.command("COMMIT")
            self._assured = now
        return min(now, self._assured)

    @staticmethod
    def _prune_feed(connection: PostgresConnection, slot: int, now: int) -> int:
        """The oldest rows lie first: record times rise with revisions. So a slot in which nothing is past its keeping
        costs a look at a piece, not at the whole day."""
        feed = schema.feed
        in_slot = feed.c.slot == slot
        oldest = select(feed.c.revision, feed.c.record_time).where(in_slot).order_by(feed.c.revision)
        piece = oldest.limit(ROWS_PER_STEP).subquery("wanted")
        end = connection.execute(
            select(func.max(piece.c.revision)).where(piece.c.record_time < now - FEED_KEPT)
        ).scalar()
        if end is None:
            return 0
        free = select(feed.c.revision).where(in_slot, feed.c.revision <= end).with_for_update(skip_locked=True)
        return int(connection.execute(delete(feed).where(in_slot, feed.c.revision.in_(free))).rowcount)


def _forgettable(row: Any, now: int) -> bool:
    return past_keeping(row.request_id, row.record_time, now, refusal=row.refusal_number > 0)
