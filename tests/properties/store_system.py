"""A store behind a committer as a System: every request a transaction, every look a look into the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.outcomes import Decision, PolicySet
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import Reservation
from ringfence_server.store import schema
from ringfence_server.store.codec import policy_text
from ringfence_server.store.scratch import Scratch, memory_place
from tests.ledger.engine import CALLER, ORGANIZATION, SECOND, START, Engine
from tests.properties.ledger_system import LedgerSystem, order_view, policy_of
from tests.properties.system import Balance, Balances, OrderView, Rules
from tests.store.audit import Contents, audit, check_memory
from tests.store.desk import Answered, Desk

T = TypeVar("T")


class StoreEngine(Engine):
    """Decides in transactions on a database in place of memory. Every third request arrives twice in one batch, every
    fifth is followed by a copy of an earlier one, and after every seventh the server is another one on the same
    database."""

    def __init__(self, policy: Policy, url: str | None = None) -> None:
        """``url``: of an empty PostgreSQL database; None: a SQLite file."""
        super().__init__(policy)
        self._scratch = Scratch("ringfence-test-", memory_place())
        self._runner = asyncio.Runner()
        self._sent: list[tuple[Command, Answered]] = []
        clock = ManualClock(datetime.fromtimestamp(START / SECOND, UTC))
        self._desk = Desk(self._scratch.path / "ringfence.db" if url is None else url, clock)
        self._run(self._desk.__aenter__())

        def insert(connection: Connection) -> None:
            # Into the table, not by SetPolicy: that refuses the tills that a later release serves.
            row = (0, ORGANIZATION, policy.revision, policy_text(policy), 0)
            connection.execute(schema.policy.insert().values(row))
            connection.commit()

        self._desk.look(insert)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def decide(self, command: Command, *, caller: str = CALLER) -> Decision:
        answered = self._run(self._send(command))
        assert answered.decision is not None
        if isinstance(answered.decision, PolicySet):
            self.policies[ORGANIZATION] = answered.decision.policy
        self._sent.append((command, answered))
        count = len(self._sent)
        if count % 5 == 0:
            self._repeat(count * count % len(self._sent))
        if count % 7 == 0:
            self.restart()
        return answered.decision

    async def _send(self, command: Command) -> Answered:
        copies = 1 if len(self._sent) % 3 else 2
        answered = await self._desk.send_all([command] * copies, request_id=self._desk.new_id())
        assert [each.answer.failure for each in answered] == [None] * copies
        # What breaks a rule of form is no outcome: its copy is judged anew, with the same end.
        assert answered[-1].answer.replayed or type(answered[-1].decision) is type(answered[0].decision)
        return answered[0]

    def advance(self, *, minutes: int = 0, seconds: int = 0, microseconds: int = 0) -> None:
        self._desk.clock.advance(timedelta(minutes=minutes, seconds=seconds, microseconds=microseconds))

    def _repeat(self, number: int) -> None:
        """Its answer is the stored one, and nothing comes of it."""
        command, earlier = self._sent[number]
        before = self.contents()
        again = self._run(self._desk.send(command, request_id=earlier.request_id))
        assert again.answer.payload == earlier.answer.payload or earlier.answer.refusal
        assert again.answer.replayed or earlier.answer.refusal
        assert len(self.contents().entries) == len(before.entries)

    def restart(self) -> None:
        """Another server on the file: it knows nothing but what is stored."""
        self._run(self._desk.reopen())

    def contents(self) -> Contents:
        """Everything in the file, with everything due applied, once it adds up."""
        self._run(self._desk.committer.sweep())

        def look(connection: Connection) -> Contents:
            found = audit(connection, self.policy)
            if self._desk.on_sqlite:
                assert self._desk.store._transactor is not None
                check_memory(self._desk.store._transactor, connection, found)
            return found

        return self._desk.look(look)

    def close(self) -> None:
        """Removes the file."""
        self._run(self._desk.__aexit__(None, None, None))
        self._runner.close()
        self._scratch.remove()


class StoreSystem(LedgerSystem):
    """What is asked of it is read from the file, beside the server."""

    engine: StoreEngine

    def __init__(self, url: str | None = None) -> None:
        super().__init__()
        self._url = url

    def start(self, rules: Rules) -> None:
        self.engine = StoreEngine(policy_of(rules), self._url)
        self._orders = []

    def balances(self) -> Balances:
        return {
            (stock.key.sku, stock.key.location, pool.path): Balance(pool.free, pool.held, pool.unsettled, pool.consumed)
            for stock in self._contents().stocks.values()
            for pool in stock.pools.values()
        }

    def order(self, number: int) -> OrderView:
        return order_view(self._contents().reservations[self._orders[number].reservation_id])

    def measures(self) -> dict[tuple[str, str, str], int]:
        return {
            (stock.key.sku, stock.key.location, name): value.value
            for stock in self._contents().stocks.values()
            for name, value in stock.measures.items()
        }

    def taken(self) -> dict[tuple[str, str, str], int]:
        taken: Counter[tuple[str, str, str]] = Counter()
        for order in self._contents().reservations.values():
            for part in order.parts:
                taken[part.stock.key.sku, part.stock.key.location, part.asked_path] += part.held + part.sold
        return taken

    def verify(self) -> None:
        self._read = self.engine.contents()

    def close(self) -> None:
        if isinstance(self.engine, StoreEngine):
            self.engine.close()

    def _contents(self) -> Contents:
        """As last verified, which is after every operation."""
        return self._read

    def _keep(self, order: Reservation) -> OrderView:
        if not any(known.reservation_id == order.reservation_id for known in self._orders):
            self._orders.append(order)
        return order_view(order)
