"""A world whose every command is decided twice, in memory and by a store, with the same rows in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.commands import Command
from ringfence_server.ledger.outcomes import Decision
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import Flaw
from ringfence_server.store import schema
from ringfence_server.store.codec import policy_text
from ringfence_server.store.connect import PostgresOptions, engine_of
from ringfence_server.store.scratch import Scratch, memory_place
from ringfence_server.store.transaction import Transactor
from tests.ledger.checks import snapshot
from tests.ledger.engine import CALLER, ORGANIZATION, SECOND, START
from tests.ledger.world import World
from tests.store.audit import Contents, audit, check_memory
from tests.store.desk import Answered, Desk
from tests.store.reading import reading

T = TypeVar("T")

RESTARTS_EVERY = 5
"""Commands between two servers on the database."""


class _Ids:
    """Numbers its ids as the world in memory does: the same decisions give the same rows."""

    def __init__(self) -> None:
        self.now = 0
        self._last = 0

    def reservation_id(self, _slot: int = 0) -> bytes:
        return self.stock_id().to_bytes(16, "big")

    def stock_id(self) -> int:
        self._last += 1
        return self._last


class StoredWorld(World):
    """After each command each decision, and everything in the database, is what the rules made in memory: every column
    of every row, entries, facts, discrepancies. After every fifth the server is another one on the same database."""

    opened: ClassVar[list[StoredWorld]] = []
    """Worlds to be closed."""

    new_database: ClassVar[Callable[[], str] | None] = None
    """Makes an empty PostgreSQL database of one slot, where numbers are what they are in memory; None: a file each."""

    def __init__(self, policy: Policy | None = None, **on_hand: int) -> None:
        self._scratch = Scratch("ringfence-test-", memory_place())
        self._runner = asyncio.Runner()
        self._ids_of_store = _Ids()
        self._clock = ManualClock(datetime.fromtimestamp(START / SECOND, UTC))
        make = StoredWorld.new_database
        self.desk = Desk(self._scratch.path / "ringfence.db" if make is None else make(), self._clock)
        self._run(self.desk.__aenter__())
        self._beside = _beside(self.desk)
        in_force = policy or Policy()
        if policy is not None:
            row = (0, ORGANIZATION, policy.revision, policy_text(policy), 0)
            self._look_beside(lambda connection: connection.execute(schema.policy.insert().values(row)))
        self._prepare()
        self._decided = 0
        StoredWorld.opened.append(self)
        super().__init__(in_force, **on_hand)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def _look_beside(self, function: Callable[[Connection], T]) -> T:
        """What a function finds in the database, beside the server; what it writes is committed."""
        if isinstance(self._beside, Engine):
            with self._beside.begin() as connection:
                return function(connection)
        return self._run(self._looked(self._beside, function))

    @staticmethod
    async def _looked(engine: AsyncEngine, function: Callable[[Connection], T]) -> T:
        async with engine.begin() as connection:
            return await connection.run_sync(function)

    def _prepare(self) -> None:
        """Batches of one instant get one record time, as in memory."""
        moments: Any = self._transactor._moments
        moments.begin = _at_once
        self._transactor._ids = self._ids_of_store  # type: ignore[assignment]

    @property
    def _transactor(self) -> Transactor:
        if not self.desk.on_sqlite:
            return self.desk.postgres._lanes[0].transactor
        transactor = self.desk.store._transactor
        assert transactor is not None
        return transactor

    def advance(self, *, minutes: int = 0, seconds: int = 0, microseconds: int = 0) -> None:
        super().advance(minutes=minutes, seconds=seconds, microseconds=microseconds)
        self._clock.advance(timedelta(minutes=minutes, seconds=seconds, microseconds=microseconds))
        self._run(self.desk.committer.revalue(list(self.stocks)))
        self._compare_now()

    def decide(self, command: Command, *, caller: str = CALLER) -> Decision:
        decision = super().decide(command, caller=caller)
        answered = self._run(self._send(command, caller))
        assert answered.answer.failure is None
        assert type(answered.decision) is type(decision), f"{answered.decision} in the store, {decision} in memory"
        assert _rid(answered.decision) == _rid(decision)
        self._compare_now()
        self._decided += 1
        if self._decided % RESTARTS_EVERY == 0:
            self.restart()
        return decision

    async def _send(self, command: Command, caller: str) -> Answered:
        return await self.desk.send(command, request_id=self.batch.request_id, caller=caller)

    def restart(self) -> None:
        """Another server on the database: it knows nothing but what is stored."""
        self.compare()
        self._run(self.desk.reopen())
        self._prepare()

    def stored(self) -> Contents:
        """Everything in the database, once it adds up; where the one writer keeps rows in memory, with those."""

        def look(connection: Connection) -> Contents:
            found = audit(connection, self.policy)
            if self.desk.on_sqlite:
                check_memory(self._transactor, connection, found)
            return found

        return self._look_beside(look)

    def _compare_now(self) -> None:
        """On PostgreSQL at restarts and in the end alone: a look takes as long there as the command, and what differs
        once differs still."""
        if self.desk.on_sqlite:
            self.compare()

    def compare(self) -> None:
        """What is in the database is what is in memory."""
        found = self.stored()
        for stock in found.stocks.values():
            # Told by the store alone.
            stock.revision = 0
        stored = snapshot(found.stocks.values(), found.reservations.values(), found.counts)
        in_memory = self.snapshot()
        different = {
            name: (stored.get(name), in_memory.get(name))
            for name in stored.keys() | in_memory.keys()
            if stored.get(name) != in_memory.get(name)
        }
        assert not different, f"in the database and in memory: {different}"
        assert found.entries == self.journal.entries
        assert sorted(found.facts) == sorted(self.journal.facts)
        assert found.discrepancies == self.discrepancies

    def verify(self) -> list[Flaw]:
        """What the service itself says of the database."""
        return self._run(self._verify())

    async def _verify(self) -> list[Flaw]:
        flaws: list[Flaw] = []
        async with reading(self.desk) as reader:
            async for progress in reader.verify(ORGANIZATION):
                flaws.extend(progress.flaws)
        return flaws

    def close(self) -> None:
        """Stops the server, and removes its file."""
        self._run(self.desk.__aexit__(None, None, None))
        if isinstance(self._beside, Engine):
            self._beside.dispose()
        else:
            self._run(self._beside.dispose())
        self._runner.close()
        self._scratch.remove()

    @classmethod
    def close_all(cls) -> None:
        """Closes every world, once what the service says of it was asked."""
        while cls.opened:
            world = cls.opened.pop()
            try:
                world.compare()
                assert world.verify() == []
            finally:
                world.close()


def _beside(desk: Desk) -> Engine | AsyncEngine:
    if desk.on_sqlite:
        return create_engine(f"sqlite:///{desk.path}")
    return engine_of(desk.postgres.url, PostgresOptions(), application="test", connections=1, statement_timeout=False)


def _at_once(now: int, last_record_time: int) -> int:
    return max(now, last_record_time)


def _rid(decision: Decision | None) -> bytes | None:
    reservation = getattr(decision, "reservation", None)
    return reservation.reservation_id if reservation is not None else None
