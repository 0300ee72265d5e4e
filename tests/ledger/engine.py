"""Decides commands on a state in memory, the way the committer and a store do, and checks each one as it happens."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeVar

from ringfence_server.ledger.commands import Command, SetPolicy
from ringfence_server.ledger.decide import bring_up_to_date, decide
from ringfence_server.ledger.feed import is_waiting
from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.names import COMMON, StockKey
from ringfence_server.ledger.needs import Needs, after_counts, after_reservations, needs_of, part_paths
from ringfence_server.ledger.outcomes import Decision, OpenSales, QuotaInUse, Refusal
from ringfence_server.ledger.policy import MINUTE, Policy
from ringfence_server.ledger.policy_change import set_policy
from ringfence_server.ledger.state import MeasureValue, Part, Pool, Reservation, Stock
from ringfence_server.ledger.till_state import MAX_ZEROED, CountKey, CountScope, CountSession, Discrepancy, OrderEvent
from tests.ledger.checks import (
    Journal,
    Snapshot,
    check_promises,
    check_sales,
    check_stock,
    mark_stored,
    rows,
    snapshot,
)

SECOND: Final = 1_000_000
START: Final = 1_772_442_000 * SECOND
"""2 March 2026, 9:00 UTC."""
ORGANIZATION: Final = "default"
CALLER: Final = "webshop"

R = TypeVar("R")


class Refused(Exception):
    """A command that was expected to succeed was refused."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(repr(why))
        self.why = why


class Engine:
    """The state of one organization. For each command only the rows that ``needs`` names are loaded, as by a store;
    after each command section 2 of the semantics, the ledger's sums and the marks for writing are checked, and that a
    refusal changed nothing."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.now = START
        self.most_zeroed = MAX_ZEROED
        self.policies = {ORGANIZATION: policy or Policy()}
        self.stocks: dict[StockKey, Stock] = {}
        self.reservations: dict[bytes, Reservation] = {}
        self.references: dict[tuple[str, str, str], bytes] = {}
        self.counts: dict[CountKey, CountSession] = {}
        self.discrepancies: list[Discrepancy] = []
        self.journal = Journal()
        self.history: dict[tuple[StockKey, str, str], int] = {}
        self._requests = 0
        self._ids = 0
        self._sequence = 0
        self.batch = self._new_batch()

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.policies[ORGANIZATION]

    def advance(self, *, minutes: int = 0, seconds: int = 0, microseconds: int = 0) -> None:
        """The next batch, later: what is due is applied to every key, and keys are valued by the policy in force."""
        self.now += minutes * MINUTE + seconds * SECOND + microseconds
        self.batch = batch = self._new_batch()
        due = self.due()
        needs = Needs()
        needs.pools = {each: {COMMON} for each in self.stocks}
        needs.measures = set(self.stocks)
        needs.reservations = {reservation.reservation_id for reservation, _ in due}
        before = self.snapshot()
        hidden = self._load(needs)
        bring_up_to_date(batch, due)
        self._unload(hidden)
        self._check(before, b"")

    def due(self) -> list[tuple[Reservation, Part]]:
        """Parts whose hold has ended but is not yet given back."""
        return [
            (reservation, part)
            for reservation in self.reservations.values()
            for part in reservation.parts
            if part.held and part.expire_time is not None and part.expire_time <= self.now
        ]

    def decide(self, command: Command, *, caller: str = CALLER) -> Decision:
        """Decides one command as a batch does, and checks what it did."""
        self._requests += 1
        request_id = self.batch.request_id = self._requests.to_bytes(16, "big")
        before = self.snapshot()
        state = (self.batch.sequence, list(self.batch.new_order_references), list(self.batch.new_policies))
        needs = Needs()
        needs_of(needs, ORGANIZATION, caller, command, self.policy)
        self._resolve(needs)
        after_reservations(needs, command, self.policy, self.reservations, self.batch.orders)
        after_counts(needs, ORGANIZATION, command, self.batch.counts)
        self._resolve_scopes(needs)
        hidden = self._load(needs)
        try:
            decision = self._decide(command, caller)
        finally:
            self._unload(hidden)
        after = self._check(before, request_id)
        if isinstance(decision, Refusal):
            assert after == before, "a refusal changes nothing"
            unchanged = (self.batch.sequence, self.batch.new_order_references, self.batch.new_policies)
            assert state == unchanged, "a refusal writes nothing"
        return decision

    def _decide(self, command: Command, caller: str) -> Decision:
        if not isinstance(command, SetPolicy):
            return decide(self.batch, ORGANIZATION, caller, command)
        quotas = [
            QuotaInUse(stock.key, pool.path, pool.free + pool.held, pool.held, pool.unsettled)
            for stock in self.stocks.values()
            for pool in stock.pools.values()
            if pool.path and (pool.living or pool.held or pool.unsettled)
        ]
        dimensions = {name for each in self.stocks for name, _ in each.dimensions}
        unsettled: dict[str, OpenSales] = {}
        for stock in self.stocks.values():
            units = sum(pool.unsettled for pool in stock.pools.values())
            sales = sum(
                bool(part.unsettled and part.stock is stock)
                for reservation in self.reservations.values()
                for part in reservation.parts
            )
            known = unsettled.get(stock.key.location, OpenSales(0, 0, 0))
            unsettled[stock.key.location] = OpenSales(
                known.units + units, known.keys + bool(units), known.sales + sales
            )
        return set_policy(self.batch, ORGANIZATION, command, quotas, dimensions, unsettled)

    def effect(self, kind: type[R], command: Command, *, caller: str = CALLER) -> R:
        """Decides a command that has to succeed. Raises Refused when it does not."""
        decision = self.decide(command, caller=caller)
        if isinstance(decision, Refusal):
            raise Refused(decision)
        assert isinstance(decision, kind)
        return decision

    def _new_batch(self) -> Batch:
        batch = Batch(
            now=self.now,
            record_time=self.now,
            revision=1,
            last_sequence=self._sequence,
            new_reservation_id=lambda _: self._new_id().to_bytes(16, "big"),
            new_stock_id=lambda _: self._new_id(),
        )
        batch.policies = self.policies
        batch.order_references = self.references
        return batch

    def _new_id(self) -> int:
        self._ids += 1
        return self._ids

    def _resolve(self, needs: Needs) -> None:
        """Loads what names other rows: orders by their number, events, full counts, and what a figure may still
        move."""
        batch = self.batch
        batch.orders = {
            (organization, channel, reference): tuple(
                holder
                for (owner, caller, known), holder in self.references.items()
                if (owner, known) == (organization, reference) and channel in ("", caller)
            )
            for organization, channel, reference in needs.orders
        }
        for found in batch.orders.values():
            needs.reservations.update(found)
        batch.events = {}
        for reservation, part, event in self.events():
            if event.event_id in needs.events or any(
                part.stock.key.location in command.locations
                and event.open
                and (is_waiting(event, self.now) or (command.resume and event.adapter == command.adapter))
                for _, command in needs.takes
            ):
                batch.events[event.event_id] = (reservation, part, event)
                needs.reservations.add(reservation.reservation_id)
        batch.counts = {name: self.counts[name] for name in needs.counts if name in self.counts}
        self._resolve_awaiting(needs, needs.awaiting)

    def _resolve_awaiting(self, needs: Needs, keys: Collection[StockKey]) -> None:
        for reservation in self.reservations.values():
            if any(
                part.till is not None and part.till.awaiting and part.stock.key in keys for part in reservation.parts
            ):
                needs.reservations.add(reservation.reservation_id)

    def _resolve_scopes(self, needs: Needs) -> None:
        """Loads what lies below the full counts that may end."""
        self.batch.scopes = {}
        for name in needs.scopes:
            _, location, measure, mark = name
            figures = {
                each.key: each.measures[measure]
                for each in self.stocks.values()
                if each.key.location == location and measure in each.measures
            }
            older = {known: figure for known, figure in figures.items() if figure.mark < mark}
            keys = list(older)[: self.most_zeroed]
            units = sum(max(0, figure.value) for figure in figures.values())
            older_units = sum(max(0, figure.value) for figure in older.values())
            self.batch.scopes[name] = CountScope(mark, keys, len(older), older_units, units)
            for known in keys:
                needs.add_pools(known, ())
                needs.measures.add(known)
            self._resolve_awaiting(needs, keys)

    def events(self) -> list[tuple[Reservation, Part, OrderEvent]]:
        """Every event there is, oldest first."""
        found = [
            (reservation, part, event)
            for reservation in self.reservations.values()
            for part in reservation.parts
            for event in (part.till.events if part.till is not None else ())
        ]
        return sorted(found, key=lambda each: each[2].sequence)

    def _load(self, needs: Needs) -> list[tuple[Stock, dict[str, Pool], dict[str, MeasureValue]]]:
        """Puts into the batch what ``needs`` names and hides the rest; answers what is hidden."""
        batch = self.batch
        batch.forget_sales()
        batch.reservations = {each: self.reservations[each] for each in needs.reservations if each in self.reservations}
        paths = {each: set(found) for each, found in needs.pools.items()}
        measures = set(needs.measures)
        for reservation in batch.reservations.values():
            for part in reservation.parts:
                paths.setdefault(part.stock.key, {COMMON}).update(part_paths(part.path, part.asked_path))
                measures.add(part.stock.key)
        batch.stocks = {each: self.stocks[each] for each in paths if each in self.stocks}
        hidden = []
        for stock in batch.stocks.values():
            known = paths[stock.key]
            unknown = {path: pool for path, pool in stock.pools.items() if path not in known}
            stock.pools = {path: pool for path, pool in stock.pools.items() if path in known}
            stock.known_paths = known
            stock.measures_known = stock.key in measures
            values = {} if stock.measures_known else stock.measures
            stock.measures = stock.measures if stock.measures_known else {}
            if stock.key in needs.published and stock.published is None:
                stock.published = {}
            hidden.append((stock, unknown, values))
        return hidden

    def _unload(self, hidden: list[tuple[Stock, dict[str, Pool], dict[str, MeasureValue]]]) -> None:
        for stock, pools, measures in hidden:
            assert not pools.keys() & stock.pools.keys(), "a pool was made that was not loaded"
            stock.pools |= pools
            stock.measures |= measures
            stock.known_paths = None
            stock.measures_known = True
        self.stocks |= self.batch.stocks
        self.reservations |= self.batch.reservations
        self.counts |= self.batch.counts

    def snapshot(self) -> Snapshot:
        """The values of every row there is."""
        return snapshot(self.stocks.values(), self.reservations.values(), self.counts)

    def _check(self, before: Snapshot, request_id: bytes) -> Snapshot:
        """Everything that holds after any command; answers the state as it is."""
        stocks, reservations = self.stocks.values(), self.reservations.values()
        after = self.snapshot()
        for name, row in rows(stocks, reservations, self.counts):
            assert row.changed or before.get(name) == after[name], f"{name} changed and is not marked for writing"
        assert not before.keys() - after.keys(), "nothing that was stored disappears"
        self.journal.add(self.batch.entries, self.batch.facts, request_id)
        self.batch.entries, self.batch.facts = [], []
        self.discrepancies += self.batch.discrepancies
        self.batch.discrepancies = []
        self._sequence = self.batch.sequence
        for stock in stocks:
            check_stock(stock, self.policy)
            self.journal.check(stock)
        check_promises(stocks, reservations, self.history)
        check_sales(self.policy, reservations)
        mark_stored(stocks, reservations, self.counts)
        return after
