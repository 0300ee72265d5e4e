"""Forgetting on the till side, in bounded steps: what was replied to, full counts that are over, old reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Table, and_, bindparam, delete, func, select, tuple_

from ringfence_server.ledger.idempotency import EFFECTS_KEPT
from ringfence_server.ledger.policy import DAY

from . import schema
from .driver import DriverConnection
from .load import SLOT

ROWS_PER_STEP: Final = 500
YEAR: Final = 366 * DAY
EVENTS_KEPT: Final = EFFECTS_KEPT
"""After its reply: as long as a repeat of it is recognised. Open events are kept until they are replied to."""
COUNTS_KEPT: Final = EFFECTS_KEPT
"""After its begin."""


class _Walk:
    """Goes through a table in the order of its key, a bounded piece each step, round and round."""

    def __init__(self, table: Table, time: Column[Any], kept: int, start: tuple[Any, ...]) -> None:
        """``start``: a key before all others."""
        self._table = table
        self._key = [column for column in table.primary_key.columns if column.name != "slot"]
        self._time = time
        self._kept = kept
        self._start = self._after = start

    def step(self, connection: DriverConnection, now: int) -> int:
        """Looks at one piece and deletes what is past its keeping; answers the rows deleted."""
        table, key = self._table, self._key
        query = select(*key, self._time).where(table.c.slot == SLOT, tuple_(*key) > self._after)
        rows: Sequence[Any] = connection.execute(query.order_by(*key).limit(ROWS_PER_STEP)).all()
        self._after = tuple(rows[-1][:-1]) if len(rows) == ROWS_PER_STEP else self._start
        gone = [
            {f"gone_{column.name}": value for column, value in zip(key, row, strict=False)}
            for row in rows
            if row[-1] is not None and row[-1] < now - self._kept
        ]
        if gone:
            connection.execute(
                delete(table).where(
                    table.c.slot == SLOT, and_(*(column == bindparam(f"gone_{column.name}") for column in key))
                ),
                gone,
            )
        return len(gone)


class TillPruner:
    """Forgets rows of the till side that nothing is decided by any more."""

    def __init__(self) -> None:
        event, count, report = schema.order_event, schema.count_session, schema.published
        self._walks = (
            _Walk(event, event.c.done_time, EVENTS_KEPT, (b"", 0, 0)),
            _Walk(count, count.c.begin_time, COUNTS_KEPT, ("", "", "")),
            _Walk(report, report.c.record_time, YEAR, (0, "", "")),
        )

    def step(self, connection: DriverConnection, now: int) -> int:
        """One bounded step; answers the rows deleted."""
        return sum(walk.step(connection, now) for walk in self._walks) + self._old_discrepancies(connection, now)

    @staticmethod
    def _old_discrepancies(connection: DriverConnection, now: int) -> int:
        """Kept for a year. Sequences rise with record time: the oldest lie first."""
        table = schema.discrepancy
        oldest = (
            select(table.c.sequence, table.c.record_time)
            .where(table.c.slot == SLOT, table.c.sequence > 0)
            .order_by(table.c.sequence)
            .limit(ROWS_PER_STEP)
            .subquery("wanted")
        )
        end = connection.execute(select(func.max(oldest.c.sequence)).where(oldest.c.record_time < now - YEAR)).scalar()
        if end is None:
            return 0
        return int(connection.execute(delete(table).where(table.c.slot == SLOT, table.c.sequence <= end)).rowcount)
