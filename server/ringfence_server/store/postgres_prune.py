"""Forgetting where several servers do it at once: in bounded steps, around rows that somebody else has.

Where the tables are distributed (Citus) every statement names a single slot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, true, tuple_, update

from ringfence_server.ledger.idempotency import EFFECTS_KEPT, REFUSALS_KEPT, time_of, too_old
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
        rows = self._next_rows(connection)
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

    def _next_rows(self, connection: PostgresConnection) -> Sequence[Any]:
        """The next piece, of ROWS_PER_STEP rows unless the walk has come to the end."""
        outcome = schema.request_outcome
        columns = [outcome.c.slot, outcome.c.request_id, outcome.c.scope]
        query = select(*columns, outcome.c.refusal_number, outcome.c.record_time).order_by(*columns)
        rows: list[Any] = []
        if not connection.distributed:
            rows += connection.execute(query.where(tuple_(*columns) > self._after).limit(ROWS_PER_STEP))
            return rows
        first, *after = self._after
        for slot in self._slots.all[first:]:
            place = tuple_(*columns[1:]) > tuple(after if slot == first else (b"", 0))
            left = ROWS_PER_STEP - len(rows)
            rows += connection.execute(query.where(outcome.c.slot == slot, place).limit(left))
            if len(rows) == ROWS_PER_STEP:
                break
        return rows

    def _forget(self, connection: PostgresConnection, rows: Sequence[Any], now: int) -> int:
        if not any(_past_keeping(row, now) for row in rows):
            return 0
        now = self._assure(connection, now)
        gone = [(row.slot, row.request_id, row.scope) for row in rows if _past_keeping(row, now)]
        if not gone:
            return 0
        outcome = schema.request_outcome
        place = tuple_(outcome.c.slot, outcome.c.request_id, outcome.c.scope)
        if not connection.distributed:
            return _delete_free(connection, place, gone, true())
        return sum(
            _delete_free(connection, place, list(its), outcome.c.slot == slot)
            for slot, its in itertools.groupby(gone, itemgetter(0))
        )

    def _assure(self, connection: PostgresConnection, now: int) -> int:
        """An instant before which no later batch takes place, should the clock go back: for it something may be
        forgotten. Brought forward once a minute, for it takes every slot for a moment."""
        if now - self._assured >= MINUTE:
            state = schema.slot_state
            if connection.distributed:
                # One after the other: what is assured of a slot needs no other.
                for slot in self._slots.all:
                    connection.execute(update(state).where(state.c.slot == slot, state.c.now < now).values(now=now))
                self._assured = now
                return now
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


def _delete_free(
    connection: PostgresConnection, place: Any, gone: Sequence[tuple[int, bytes, int]], in_slot: ColumnElement[bool]
) -> int:
    """Deletes those of these outcomes that nobody else has."""
    outcome = schema.request_outcome
    free = select(outcome.c.slot, outcome.c.request_id, outcome.c.scope).where(in_slot, place.in_(gone))
    free = free.with_for_update(skip_locked=True)
    return int(connection.execute(delete(outcome).where(in_slot, place.in_(free))).rowcount)


def _past_keeping(row: Any, now: int) -> bool:
    kept = REFUSALS_KEPT if row.refusal_number else EFFECTS_KEPT
    return bool(
        row.record_time < now - kept
        # Of a clock that runs ahead: until its own time is over too, its repeat would be taken as new.
        and (time_of(row.request_id) is None or too_old(row.request_id, now))
    )
