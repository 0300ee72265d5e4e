"""One id, one outcome: finding what ids came to, keeping it, and forgetting the oldest refusals of a caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, literal_column
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.idempotency import REFUSALS_KEPT_PER_CALLER, StoredOutcome, forgotten_until
from ringfence_server.ledger.work import OutcomeRow, RequestKey

from . import schema
from .driver import DriverConnection
from .load import SLOT
from .rows import SqlRow
from .statements import Statement, insert_rows, keyed_select, upsert_rows


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
        self, dialect: Dialect, *, refusals_kept: int = REFUSALS_KEPT_PER_CALLER, only_writer: bool = False
    ) -> None:
        outcome, caller = schema.request_outcome, schema.caller
        self._refusals_kept = refusals_kept
        self._only_writer = only_writer
        self._remembered: dict[int, Caller | None] = {}
        self._known = keyed_select(
            dialect,
            [outcome.c.request_id, outcome.c.scope, outcome.c.fingerprint, outcome.c.refusal_number, outcome.c.payload],
            outcome.c.request_id,
        )
        self._callers = keyed_select(
            dialect, [caller.c.scope, caller.c.refusals, caller.c.forgotten_until], caller.c.scope
        )
        self._insert = insert_rows(dialect, outcome)
        self._upsert_caller = upsert_rows(dialect, caller)
        self._forget = Statement(
            delete(outcome)
            .where(
                outcome.c.slot == bindparam("slot"),
                outcome.c.scope == bindparam("scope"),
                # As a literal, or the partial index is not found to fit.
                outcome.c.refusal_number > literal_column("0"),
                outcome.c.refusal_number <= bindparam("last"),
            )
            .returning(outcome.c.request_id),
            dialect,
            ["slot", "scope", "last"],
        )

    def known(self, connection: DriverConnection, keys: Collection[RequestKey]) -> dict[RequestKey, StoredOutcome]:
        """Outcomes already known under these ids."""
        wanted = set(keys)
        found: dict[RequestKey, StoredOutcome] = {}
        for request_id, scope, fingerprint, refusal_number, payload in self._known.run(
            connection, SLOT, list(dict.fromkeys(request_id for _, request_id in keys))
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
        found = {scope: Caller(*rest) for scope, *rest in self._callers.run(connection, SLOT, scopes)}
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
        refused: dict[int, Caller] = {}
        written: list[SqlRow] = []
        for row in rows:
            number = 0
            if row.refusal:
                known = refused.get(row.scope) or callers.get(row.scope, _NEVER_REFUSED)
                number = known.refusals + 1
                refused[row.scope] = known._replace(refusals=number)
            written.append((SLOT, row.request_id, row.scope, row.fingerprint, number, *row[4:]))
        self._insert.run_many(connection, written)
        for scope, known in refused.items():
            last = known.refusals - self._refusals_kept
            if last > 0:
                gone = [request_id for (request_id,) in self._forget.run(connection, (SLOT, scope, last))]
                refused[scope] = known._replace(forgotten_until=max(known.forgotten_until, forgotten_until(gone, now)))
        self._upsert_caller.run_many(connection, [(SLOT, scope, *known) for scope, known in refused.items()])
        if self._only_writer:
            self._remembered.update(refused)
