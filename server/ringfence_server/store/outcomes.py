"""One id, one outcome: finding what ids came to, keeping it, and forgetting the oldest refusals of a caller."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, literal_column
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import ReturningDelete

from ringfence_server.ledger.idempotency import REFUSALS_KEPT_PER_CALLER, StoredOutcome, forgotten_until
from ringfence_server.ledger.work import OutcomeRow, RequestKey

from . import postgres_statements, schema, sqlite_statements
from .driver import DriverConnection
from .fresh_ids import FreshIds
from .slots import Slots
from .statements import SlotSelect, insert_rows, keyed_select, upsert_rows


class Caller(NamedTuple):
    """What is known of a caller's refusals."""

    refusals: int = 0
    """Numbers given to its refusals so far."""
    forgotten_until: int = 0
    """Its unknown ids from before this instant (microseconds) are too old; 0: none was forgotten before its time."""


_NEVER_REFUSED: Final = Caller()
_MOST_REMEMBERED: Final = 10_000


class Outcomes:
    """The outcomes of requests, on one writing connection.

    A caller's refusals are numbered, and those with the newest ``refusals_kept`` numbers are kept: who is refused ten
    thousand times a second must not fill the disk. What else they cost is one row a caller.
    """

    def __init__(
        self,
        dialect: Dialect,
        slots: Slots,
        *,
        refusals_kept: int = REFUSALS_KEPT_PER_CALLER,
        only_writer: bool = False,
    ) -> None:
        outcome, caller = schema.request_outcome, schema.caller
        self._slots = slots
        self._refusals_kept = refusals_kept
        self._only_writer = only_writer
        self._remembered: dict[int, Caller | None] = {}
        self._fresh = FreshIds(dialect) if only_writer else None
        self._known = keyed_select(
            dialect,
            [outcome.c.request_id, outcome.c.scope, outcome.c.fingerprint, outcome.c.refusal_number, outcome.c.payload],
            outcome.c.request_id,
            slots.of_id,
        )
        self._callers = keyed_select(
            dialect, [caller.c.scope, caller.c.refusals, caller.c.forgotten_until], caller.c.scope, slots.of_scope
        )
        self._insert = insert_rows(dialect, outcome)
        self._count = (
            postgres_statements.array_insert(
                dialect,
                caller,
                " ON CONFLICT (slot, scope) DO UPDATE SET refusals = caller.refusals + excluded.refusals "
                "RETURNING scope, refusals, forgotten_until",
            )
            if dialect.name == "postgresql"
            else None
        )
        self._upsert_caller = upsert_rows(dialect, caller)
        self._forget: SlotSelect = (
            postgres_statements.ForgetRefusals()
            if dialect.name == "postgresql"
            else sqlite_statements.OneSlotStatement(dialect, _refusals_up_to)
        )

    def known(
        self, connection: DriverConnection, keys: Collection[RequestKey], now: int
    ) -> dict[RequestKey, StoredOutcome]:
        """Outcomes already known under these ids. ``now``: microseconds since the epoch."""
        fresh = self._fresh
        if fresh is not None:
            least, end = fresh.bounds(connection, now)
            keys = [key for key in keys if not least < key[1] < end]
        if not keys:
            return {}
        wanted = set(keys)
        found: dict[RequestKey, StoredOutcome] = {}
        for request_id, scope, fingerprint, refusal_number, payload in self._known.find(
            connection, list(dict.fromkeys(request_id for _, request_id in keys))
        ):
            if (scope, request_id) in wanted:
                found[scope, request_id] = StoredOutcome(fingerprint, refusal_number > 0, payload)
        return found

    def callers(self, connection: DriverConnection, keys: Collection[RequestKey]) -> dict[int, Caller]:
        """The callers of these ids that were ever refused, by scope."""
        scopes = list(dict.fromkeys(scope for scope, _ in keys))
        remembered = self._remembered
        if all(scope in remembered for scope in scopes):
            return {scope: known for scope in scopes if (known := remembered[scope]) is not None}
        found = {scope: Caller(*rest) for scope, *rest in self._callers.find(connection, scopes)}
        if self._only_writer:
            if len(remembered) > _MOST_REMEMBERED:
                remembered.clear()
            remembered.update((scope, found.get(scope)) for scope in scopes)
        return found

    def forget(self) -> None:
        """Drops what was remembered: the transaction did not commit."""
        self._remembered.clear()

    def keep(
        self, connection: DriverConnection, rows: Sequence[OutcomeRow], callers: Mapping[int, Caller], now: int
    ) -> None:
        """Writes outcomes; a caller's refusals beyond those kept are forgotten in the same transaction."""
        if not rows:
            return
        if self._fresh is not None:
            self._fresh.kept([row.request_id for row in rows])
        of_id = self._slots.of_id
        refusals = [row.scope for row in rows if row.refusal]
        refused = self._numbered(connection, Counter(refusals), callers) if refusals else {}
        numbers = {scope: itertools.count(known.refusals + 1) for scope, (known, _) in refused.items()}
        self._insert.run_many(
            connection,
            [
                (
                    of_id(row.request_id),
                    row.request_id,
                    row.scope,
                    row.fingerprint,
                    next(numbers[row.scope]) if row.refusal else 0,
                    *row[4:],
                )
                for row in (rows if self._count is None else sorted(rows, key=self._place))
            ],
        )
        if refused:
            self._keep_callers(connection, refused, now)

    def _keep_callers(self, connection: DriverConnection, refused: Mapping[int, tuple[Caller, int]], now: int) -> None:
        """Writes what is known of callers that were refused so often, now that these refusals are kept."""
        of_scope = self._slots.of_scope
        after: dict[int, Caller] = {}
        for scope, (before, count) in refused.items():
            after[scope] = known = before._replace(refusals=before.refusals + count)
            last = known.refusals - self._refusals_kept
            if last > 0:
                forgotten = self._forget.run(connection, self._slots.all, (scope, last))
                gone = [request_id for (request_id,) in forgotten]
                after[scope] = known._replace(forgotten_until=max(known.forgotten_until, forgotten_until(gone, now)))
        self._upsert_caller.run_many(
            connection,
            [
                (of_scope(scope), scope, *known)
                for scope, known in after.items()
                # Counted already, where counting is a statement of its own.
                if self._count is None or known.forgotten_until != refused[scope][0].forgotten_until
            ],
        )
        if self._only_writer:
            self._remembered.update(after)

    def _place(self, row: OutcomeRow) -> tuple[int, bytes, int]:
        """Where an outcome lies: every server inserts in this order, so none waits for another in a circle."""
        return self._slots.of_id(row.request_id), row.request_id, row.scope

    def _numbered(
        self, connection: DriverConnection, counts: Mapping[int, int], callers: Mapping[int, Caller]
    ) -> dict[int, tuple[Caller, int]]:
        """What is known of each refused caller before these refusals, and how many these are. Where there are other
        writers the numbers are taken from the caller's row, which is locked by it until the transaction ends."""
        if self._count is None:
            return {scope: (callers.get(scope, _NEVER_REFUSED), count) for scope, count in counts.items()}
        of_scope = self._slots.of_scope
        rows = sorted((of_scope(scope), scope, count, 0) for scope, count in counts.items())
        return {
            scope: (Caller(refusals - counts[scope], until), counts[scope])
            for scope, refusals, until in self._count.returning(connection, rows)
        }


def _refusals_up_to(slot: ColumnElement[Any]) -> tuple[ReturningDelete[Any], Sequence[str]]:
    outcome = schema.request_outcome
    query = (
        delete(outcome)
        .where(
            outcome.c.slot == slot,
            outcome.c.scope == bindparam("scope"),
            # As a literal, or the partial index is not found to fit.
            outcome.c.refusal_number > literal_column("0"),
            outcome.c.refusal_number <= bindparam("last"),
        )
        .returning(outcome.c.request_id)
    )
    return query, ["scope", "last"]
