"""Forgetting, in bounded steps: outcomes past their keeping, feed rows no watch can resume from, and old rows of the
till side."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from ringfence_server.ledger.idempotency import past_keeping
from ringfence_server.ledger.policy import DAY

from . import schema
from .driver import DriverConnection
from .prune_till import TillPruner
from .statistics import drop_statistics

ROWS_PER_STEP: Final = 2_000
FEED_KEPT: Final = DAY
"""A watch that was away longer is answered with RESET and a fresh snapshot."""


class Pruner:
    """Walks the outcomes in the order of their ids, a bounded piece each step, round and round."""

    def __init__(self) -> None:
        self._after: tuple[bytes, int] = (b"", 0)
        self._till = TillPruner()

    def step(self, connection: DriverConnection, now: int) -> int:
        """Looks at one piece and deletes what is past its keeping; answers the rows deleted, and the tables of
        statistics dropped."""
        outcome, state = schema.request_outcome, schema.slot_state
        rows = connection.execute(
            select(outcome.c.request_id, outcome.c.scope, outcome.c.refusal_number, outcome.c.record_time)
            .where(outcome.c.slot == 0, tuple_(outcome.c.request_id, outcome.c.scope) > self._after)
            .order_by(outcome.c.request_id, outcome.c.scope)
            .limit(ROWS_PER_STEP)
        ).all()
        self._after = (rows[-1].request_id, rows[-1].scope) if len(rows) == ROWS_PER_STEP else (b"", 0)
        gone = [
            {"gone_id": row.request_id, "gone_scope": row.scope}
            for row in rows
            if past_keeping(row.request_id, row.record_time, now, refusal=row.refusal_number > 0)
        ]
        if gone:
            connection.execute(
                delete(outcome).where(
                    outcome.c.slot == 0,
                    outcome.c.request_id == bindparam("gone_id"),
                    outcome.c.scope == bindparam("gone_scope"),
                ),
                gone,
            )
            # No later batch may take place before the instant for which this was forgotten, should the clock go back.
            connection.execute(update(state).where(state.c.slot == 0, state.c.now < now).values(now=now))
        rest = self._prune_feed(connection, now) + self._till.step(connection, now)
        return len(gone) + rest + drop_statistics(connection)

    @staticmethod
    def _prune_feed(connection: DriverConnection, now: int) -> int:
        feed = schema.feed
        oldest = connection.execute(select(func.min(feed.c.revision)).where(feed.c.slot == 0)).scalar()
        if oldest is None:
            return 0
        end = connection.execute(
            select(func.max(feed.c.revision)).where(
                feed.c.slot == 0, feed.c.revision < oldest + ROWS_PER_STEP, feed.c.record_time < now - FEED_KEPT
            )
        ).scalar()
        if end is None:
            return 0
        return int(connection.execute(delete(feed).where(feed.c.slot == 0, feed.c.revision <= end)).rowcount)
