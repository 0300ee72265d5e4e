"""A write store in memory over the real rules, whose transactions a test starts, holds up and makes fail."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from ringfence_server.committer import Answer, Committer, Request, Stamp
from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.idempotency import StoredOutcome, scope_of
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.outcomes import Decision, QuotaInUse
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import (
    MAX_ZEROED,
    CountKey,
    CountScope,
    CountSession,
    Discrepancy,
    EventState,
    OrderEvent,
    ScopeKey,
    TillSale,
)
from ringfence_server.ledger.work import Committed, PolicyUse, RequestKey, Work

ORGANIZATION: Final = "default"
CALLER: Final = "webshop"
NOON: Final = 1_772_452_800_000_000
"""2 March 2026, 12:00 UTC, in microseconds."""


@dataclass
class Rows:
    """What the store has."""

    stocks: dict[StockKey, Stock] = field(default_factory=dict)
    reservations: dict[bytes, Reservation] = field(default_factory=dict)
    references: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    outcomes: dict[RequestKey, StoredOutcome] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    counts: dict[CountKey, CountSession] = field(default_factory=dict)
    discrepancies: list[Discrepancy] = field(default_factory=list)
    revision: int = 0
    sequence: int = 0


class MemoryStore:
    """Runs each unit of work on a copy of the rows and keeps the copy when nothing failed: all or nothing."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.now = NOON
        self.batches: list[int] = []
        """How many requests each transaction that was tried had."""
        self.here: list[int] = []
        """The same of those that ran without letting go of the event loop; they are not among ``batches``."""
        self.too_long_here: Callable[[Work], bool] = lambda _: False
        """What ``run_here`` does not take."""
        self.faults: list[Exception | None] = []
        """What the next transactions fail with; None: they do not."""
        self.rejects: Callable[[Work], Exception | None] = lambda _: None
        """What a transaction with such requests fails with when it is to be committed."""
        self.entered = asyncio.Event()
        """Set while a transaction is under way."""
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """The next transaction starts and goes no further until ``let_go``."""
        self._open.clear()
        self.entered.clear()

    def let_go(self) -> None:
        """Held transactions go on."""
        self._open.set()

    async def run(self, work: Work) -> Committed:
        """One transaction."""
        self.batches.append(len(work.request_keys))
        self.entered.set()
        await asyncio.sleep(0)  # a store on a thread of its own lets the event loop go on, too
        await self._open.wait()
        return self._carry_out(work)

    def run_here(self, work: Work) -> Committed | None:
        """One transaction without letting go of the event loop, unless it is too long for that."""
        if self.too_long_here(work):
            return None
        self.here.append(len(work.request_keys))
        return self._carry_out(work)

    def _carry_out(self, work: Work) -> Committed:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        rows = copy.deepcopy(self.rows)
        waiting = _waiting(rows, self.now)
        batch = self._decide(rows, work)
        fault = self.rejects(work)
        if fault is not None:
            raise fault
        rows.policies.update(batch.new_policies)
        self.rows = rows
        changed = [stock.key for stock in batch.stocks.values() if stock.changed]
        opened = {place for event, place in _waiting(rows, self.now).items() if event not in waiting}
        return Committed(
            rows.revision, batch.record_time, changed, [name for name, _ in batch.new_policies], orders=opened
        )

    def _decide(self, rows: Rows, work: Work) -> Batch:
        rows.revision += 1
        batch = Batch(
            now=self.now,
            record_time=self.now,
            revision=rows.revision,
            last_sequence=rows.sequence,
            new_reservation_id=lambda _: next(ids).to_bytes(16, "big"),
            new_stock_id=lambda _: len(batch.stocks) + 1,
        )
        ids = itertools.count((rows.revision << 20) + 1)
        batch.stocks, batch.reservations, batch.counts = rows.stocks, rows.reservations, rows.counts
        batch.order_references = rows.references
        batch.policies = {name: rows.policies.get(name, Policy()) for name in {*work.organizations, ORGANIZATION}}
        stored = {key: rows.outcomes[key] for key in work.request_keys if key in rows.outcomes}
        needs = work.needs(batch.policies, stored)
        batch.orders = {name: _holders(rows, *name) for name in needs.orders}
        work.needs_after(needs, batch.policies, rows.reservations, batch.orders)
        work.needs_after_counts(needs, batch.policies, batch.counts)
        batch.events = {event.event_id: (reservation, part, event) for reservation, part, event in events_of(rows)}
        batch.scopes = {name: _scope(rows, name) for name in needs.scopes}
        due = [
            (reservation, part)
            for reservation in rows.reservations.values()
            for part in reservation.parts
            if part.held and part.expire_time is not None and part.expire_time <= self.now
        ]
        for stock in rows.stocks.values():
            stock.changed = False
            if stock.published is None:
                stock.published = {}
        for outcome in work.decide(batch, stored, due, _use_of(rows.stocks)):
            rows.outcomes[outcome.scope, outcome.request_id] = StoredOutcome(
                outcome.fingerprint, outcome.refusal, outcome.payload
            )
        rows.sequence = batch.sequence
        rows.discrepancies += batch.discrepancies
        return batch

    def free(self, sku: str, path: str = COMMON) -> int:
        """Free units of a pool at the north store."""
        return self.rows.stocks[key(sku)].pool(path).free


def events_of(rows: Rows) -> Iterator[tuple[Reservation, Part, OrderEvent]]:
    """Every event there is."""
    for reservation in rows.reservations.values():
        for part in reservation.parts:
            for event in part.till.events if part.till is not None else ():
                yield reservation, part, event


def _waiting(rows: Rows, now: int) -> dict[tuple[bytes, int, bool, int], tuple[str, str]]:
    """Events that nobody has, each with its place; handing one over, replying to one before it, or postponing it, makes
    another."""

    def behind(till: TillSale, event: OrderEvent) -> bool:
        earlier = till.events[: till.events.index(event)]
        return any(each.open and each.state is not EventState.POSTPONED for each in earlier)

    return {
        (event.event_id, event.attempts, behind(part.till, event), event.lease_until): (
            part.stock.key.organization,
            part.stock.key.location,
        )
        for _, part, event in events_of(rows)
        if part.till is not None
        and (event.state is EventState.POSTPONED or (event.state is EventState.WAITING and event.not_before <= now))
    }


def _holders(rows: Rows, organization: str, channel: str, reference: str) -> tuple[bytes, ...]:
    return tuple(
        holder
        for (owner, caller, known), holder in rows.references.items()
        if (owner, known) == (organization, reference) and channel in ("", caller)
    )


def _scope(rows: Rows, name: ScopeKey) -> CountScope:
    _, location, measure, mark = name
    figures = {
        stock.key: stock.measures[measure]
        for stock in rows.stocks.values()
        if stock.key.location == location and measure in stock.measures
    }
    older = {key: figure.value for key, figure in figures.items() if figure.mark < mark}
    units = sum(max(0, figure.value) for figure in figures.values())
    return CountScope(mark, list(older)[:MAX_ZEROED], len(older), sum(max(0, v) for v in older.values()), units)


def _use_of(stocks: Mapping[StockKey, Stock]) -> PolicyUse:
    quotas = [
        QuotaInUse(stock.key, pool.path, pool.free + pool.held)
        for stock in stocks.values()
        for pool in stock.pools.values()
        if pool.path
    ]
    return PolicyUse(quotas, {name for stock in stocks for name, _ in stock.dimensions})


def key(sku: str) -> StockKey:
    """A stock key at the north store."""
    return StockKey(ORGANIZATION, sku, "north")


def request_id(number: int) -> bytes:
    """A random-looking UUID, which carries no time."""
    return bytes.fromhex(f"{number:012x}40008000000000000000")


class Caller:
    """Puts requests to a committer and keeps what comes back, by their number."""

    def __init__(self, committer: Committer) -> None:
        self.committer = committer
        self.answers: dict[int, list[Answer]] = {}
        self.order: list[int] = []
        """Numbers of the requests in the order in which they were answered."""
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    def submit(
        self,
        number: int,
        command: Command,
        *,
        id_number: int | None = None,
        weight: int = 1,
        deadline: float | None = None,
        encode: Callable[[Decision, Stamp], bytes] | None = None,
        more: bool = False,
    ) -> asyncio.Future[Answer]:
        """Submits a command; the future is its answer. ``id_number`` names the id when it is not the number's own."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def sink(request: Request, answer: Answer) -> None:
            self.answers.setdefault(number, []).append(answer)
            self.order.append(number)
            if not future.done():
                future.set_result(answer)

        self.committer.submit(
            Request(
                organization=ORGANIZATION,
                caller=CALLER,
                scope=scope_of(ORGANIZATION, CALLER),
                request_id=request_id(number if id_number is None else id_number),
                fingerprint=blake2b(repr(command).encode(), digest_size=16).digest(),
                command=command,
                weight=weight,
                deadline=deadline,
                encode=encode or described,
                sink=sink,
            ),
            more=more,
        )
        self._waiting[number] = future
        return future

    async def all(self) -> list[Answer]:
        """The answers of everything submitted, in the order it was submitted."""
        return await asyncio.gather(*self._waiting.values())


def described(decision: Decision, stamp: Stamp) -> bytes:
    """An encoding that a test can read: the decision's name and the batch's revision."""
    return f"{type(decision).__name__}@{stamp.revision}".encode()


def explode(*_: Any) -> bytes:
    """An encoding that fails: what poisons a batch."""
    raise ZeroDivisionError
