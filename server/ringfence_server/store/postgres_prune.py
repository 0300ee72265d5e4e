"""Forgetting where several servers do it at once: in bounded steps, around rows that somebody else has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, tuple_, update

from ringfence_server.ledger.idempotency import past_keeping
from ringfence_server.ledger.policy import MINUTE

from . import schema
from .driver import PostgresConnection
from .prune import FEED_KEPT, ROWS_PER_STEP
from .prune_till import TillPruner
from .slots import Slots


class SlotPruner:
    """Walks the outcomes of all slots in the order of their ids, a bounded piece each step, round and round."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._tills = [TillPruner(slot) for slot in slots.all]
        self._after: tuple[int, bytes, int] = (0, b"", 0)
        self._assured = 0
        """No batch of any slot takes place before this instant."""

    def step(self, connection: PostgresConnection, now: int) -> int:
        """Looks at one piece and deletes what is past its keeping; answers the rows deleted."""
        outcome = schema.request_outcome
        place = tuple_(outcome.c.slot, outcome.c.request_id, outcome.c.scope)
        rows = connection.execute(
            select(
                outcome.c.slot,
                outcome.c.request_id,
                outcome.c.scope,
                outcome.c.refusal_number,
                outcome.c.record_time,
            )
            .where(place > self._after)
            .order_by(outcome.c.slot, outcome.c.request_id, outcome.c.scope)
            .limit(ROWS_PER_STEP)
        ).all()
        deleted = self._forget(connection, rows, now)
        slot = self._after[0]
        self._after = (
            (rows[-1].slot, rows[-1].request_id, rows[-1].scope) if len(rows) == ROWS_PER_STEP else (0, b"", 0)
        )
        # The feed of every slot that the walk has passed.
        last = self._after[0] if self._after[1] else self._slots.mask
        for passed in range(slot, last + 1):
            deleted += self._prune_feed(connection, passed, now)
            deleted += self._tills[passed].step(connection, now)
        return deleted

    def _forget(self, connection: PostgresConnection, rows: Any, now: int) -> int:
        if not any(_forgettable(row, now) for row in rows):
            return 0
        now = self._assure(connection, now)
        outcome = schema.request_outcome
        place = tuple_(outcome.c.slot, outcome.c.request_id, outcome.c.scope)
        gone = [(row.slot, row.request_id, row.scope) for row in rows if _forgettable(row, now)]
        if not gone:
            return 0
        free = select(outcome.c.slot, outcome.c.request_id, outcome.c.scope).where(place.in_(gone))
        free = free.with_for_update(skip_locked=True)
        return int(connection.execute(delete(outcome).where(place.in_(free))).rowcount)

    def _assure(self, connection: PostgresConnection, now: int) -> int:
        """An instant before which no later batch takes place, should the clock go back: for it something may be
        forgotten. Brought forward once a minute, for it takes every slot for a moment."""
        if now - self._assured >= MINUTE:
            state = schema.slot_state
            connection.command("BEGIN")
            try:
                connection.execute(select(state.c.slot).order_by(state.c.slot).with_for_update()).all()
                connection.execute(update(state).where(state.c.now < now).values(now=now))
            except BaseException:
                connection.command("ROLLBACK")
                raise
            connection.command("COMMIT")
            self._assured = now
        return min(now, self._assured)

    @staticmethod
    def _prune_feed(connection: PostgresConnection, slot: int, now: int) -> int:
        feed = schema.feed
        oldest = connection.execute(select(func.min(feed.c.revision)).where(feed.c.slot == slot)).scalar()
        if oldest is None:
            return 0
        past = (
            select(feed.c.revision)
            .where(feed.c.slot == slot, feed.c.record_time < now - FEED_KEPT)
            .order_by(feed.c.revision)
            .limit(ROWS_PER_STEP)
            .with_for_update(skip_locked=True)
        )
        return int(connection.execute(delete(feed).where(feed.c.slot == slot, feed.c.revision.in_(past))).rowcount)


def _forgettable(row: Any, now: int) -> bool:
    return past_keeping(row.request_id, row.record_time, now, refusal=row.refusal_number > 0)
