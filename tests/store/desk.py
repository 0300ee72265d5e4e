"""A store with its committer and a clock that the test moves: puts requests, waits for their answers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from ringfence_server.clock import ClockWatch, ManualClock
from ringfence_server.committer import Answer, Committer, CommitterLimits, Request
from ringfence_server.committer.request import Stamp
from ringfence_server.ledger.commands import Command, Figure, Lease, PostStock, Reserve, ReserveLine
from ringfence_server.ledger.idempotency import REFUSALS_KEPT_PER_CALLER, scope_of
from ringfence_server.ledger.outcomes import Consumed, Decision, Reserved, Updated
from ringfence_server.ledger.work import Committed
from ringfence_server.store.connect import connect_to
from ringfence_server.store.instants import SharedInstants
from ringfence_server.store.postgres import PostgresStore
from ringfence_server.store.postgres_prune import SLOTS_PER_STEP
from ringfence_server.store.sqlite import SqliteStore
from tests.patience import PATIENT
from tests.store.watching import watched

T = TypeVar("T")

ORGANIZATION: Final = "default"
CALLER: Final = "webshop"

_PATIENT: Final = CommitterLimits(blocked_patience_seconds=600)


def uuid7(microseconds: int, number: int) -> bytes:
    """A UUIDv7 of an instant, made different by a number."""
    value = (microseconds // 1_000) << 80 | 0x7 << 76 | 0b10 << 62 | number
    return value.to_bytes(16, "big")


def post(*figures: Figure) -> PostStock:
    """Figures of one source."""
    return PostStock("wms", figures)


def reserve(*lines: ReserveLine, ttl: int | None = None, never: bool = False, partial: bool = False) -> Reserve:
    """An order; its lines are numbered from 1."""
    numbered = tuple(each._replace(line_id=str(number)) for number, each in enumerate(lines, 1))
    return Reserve(numbered, "basket", Lease(None, ttl, never), partial, False)


class Answered(NamedTuple):
    """What came of a request."""

    request_id: bytes
    answer: Answer
    decision: Decision | None
    """None when it was not decided this time: a repeat, or a failure."""

    def reservation_id(self) -> bytes:
        """Of the reservation that the request made or changed."""
        assert isinstance(self.decision, Reserved | Consumed | Updated), f"no reservation came of it: {self.decision}"
        return self.decision.reservation.reservation_id


# For looks beside the server: one engine for all places, as it is the engine that remembers how statements are written,
# and a connection of its own for each look.
_PLACE: ContextVar[str] = ContextVar("place")
_SQLITE = create_engine("sqlite://", creator=lambda: sqlite3.connect(_PLACE.get(), timeout=60), poolclass=NullPool)


async def _connect() -> Any:
    return await connect_to(_PLACE.get(), PATIENT, application="test", statement_timeout=False)


_POSTGRES = create_async_engine("postgresql+asyncpg://", async_creator=_connect, poolclass=NullPool)


class Desk:
    """Every request is made now, by the desk's clock, with an id of its own; what is submitted together is one batch.

    The bytes of an answer are made anew at each decision, never twice the same: equal bytes are the stored ones.
    """

    def __init__(
        self,
        place: Path | str,
        clock: ManualClock | None = None,
        *,
        refusals_kept: int = REFUSALS_KEPT_PER_CALLER,
        instants: SharedInstants | None = None,
        distributed: bool | None = None,
        lanes: int = 1,
        lock_timeout_seconds: float = PATIENT.lock_timeout_seconds,
        first_number: int = 0,
        database_clock: ClockWatch | None = None,
    ) -> None:
        """``place``: a SQLite file's path, or a PostgreSQL database's URL. Desks that share one share ``instants``, and
        number their ids from far apart. ``database_clock``: a PostgreSQL database's own clock is used, as this judges
        it; the desk's is for its ids alone."""
        self.clock = clock or ManualClock()
        self.place = place
        self._refusals_kept = refusals_kept
        self._instants = instants
        self._distributed = distributed
        self._options = replace(PATIENT, lanes=lanes, lock_timeout_seconds=lock_timeout_seconds)
        self._numbers = first_number
        self._database_clock = database_clock
        self.told: list[Committed] = []
        """What the committer told whoever listens."""
        self._make()

    def _make(self) -> None:
        if isinstance(self.place, Path):
            url = f"sqlite:///{self.place}"
            self.any_store: SqliteStore | PostgresStore = SqliteStore(
                url, self.clock, refusals_kept=self._refusals_kept
            )
        else:
            self.any_store = PostgresStore(
                self.place,
                self._options,
                clock=self.clock if self._database_clock is None else None,
                clock_watch=self._database_clock,
                instants=self._instants,
                refusals_kept=self._refusals_kept,
                distributed=self._distributed,
                longest_seconds=60.0,
            )
        self.committer = Committer(self.any_store, limits=_PATIENT, on_commit=self.told.append)

    @property
    def on_sqlite(self) -> bool:
        """Whether the store is a file."""
        return isinstance(self.place, Path)

    @property
    def path(self) -> Path:
        """The file."""
        assert isinstance(self.place, Path)
        return self.place

    @property
    def store(self) -> SqliteStore:
        """The store on a file."""
        assert isinstance(self.any_store, SqliteStore)
        return self.any_store

    @property
    def postgres(self) -> PostgresStore:
        """The store on PostgreSQL."""
        assert isinstance(self.any_store, PostgresStore)
        return self.any_store

    async def __aenter__(self) -> Desk:
        await self.any_store.open()
        if isinstance(self.any_store, PostgresStore):
            routes = self.any_store.placing()
            self.committer = Committer(self.any_store, limits=_PATIENT, on_commit=self.told.append, routes=routes)
        self.committer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.committer.drain()
        await self.any_store.close()

    async def reopen(self) -> None:
        """Another server on the same file: nothing is remembered but what is stored."""
        await self.__aexit__(None, None, None)
        self._make()
        await self.__aenter__()

    async def tamper(self, sql: str) -> None:
        """Changes the file behind the server's back, while there is none: as a fault of ours would have."""
        await self.__aexit__(None, None, None)
        self.execute(sql)
        self._make()
        await self.__aenter__()

    def new_id(self) -> bytes:
        """A UUIDv7 made now."""
        self._numbers += 1
        return uuid7(self.clock.now(), self._numbers)

    def submit(
        self,
        command: Command,
        *,
        request_id: bytes | None = None,
        fingerprint: bytes = b"the same command",
        organization: str = ORGANIZATION,
        caller: str = CALLER,
        weight: int = 1,
        deadline: float | None = None,
        kept: bool = True,
    ) -> asyncio.Future[Answered]:
        """Queues a request."""
        answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        decisions: list[Decision] = []

        def encode(decision: Decision, stamp: Stamp) -> bytes:
            decisions.append(decision)
            self._numbers += 1
            return b"%d %d %s" % (self._numbers, stamp.revision, type(decision).__name__.encode())

        def sink(request: Request, answer: Answer) -> None:
            answered.set_result(Answered(request.request_id, answer, decisions[-1] if decisions else None))

        self.committer.submit(
            Request(
                organization=organization,
                caller=caller,
                scope=scope_of(organization, caller),
                request_id=request_id or self.new_id(),
                fingerprint=fingerprint,
                command=command,
                weight=weight,
                deadline=deadline,
                encode=encode,
                sink=sink,
                kept=kept,
            )
        )
        return answered

    async def send(self, command: Command, **options: Any) -> Answered:
        """Puts one request in a batch of its own."""
        return await self.submit(command, **options)

    async def send_all(self, commands: Sequence[Command], **options: Any) -> list[Answered]:
        """Puts requests in one batch."""
        return list(await asyncio.gather(*(self.submit(command, **options) for command in commands)))

    async def prune(self) -> int:
        """Prunes until a whole round forgot nothing; answers the rows deleted."""
        steps = 1 if self.on_sqlite else self.postgres.slots.count // SLOTS_PER_STEP
        total = 0
        while deleted := sum([await self.any_store.prune() for _ in range(steps)]):
            total += deleted
        return total

    @property
    def on_citus(self) -> bool:
        """Whether the store names one slot in every statement."""
        return isinstance(self.any_store, PostgresStore) and self.any_store.distributed

    @contextmanager
    def statements(self) -> Iterator[list[tuple[str, int]]]:
        """Collects what is sent to the database while it lasts: texts, and how many rows of parameters each had."""
        engine = self.any_store._engine
        assert engine is not None
        engine = engine if isinstance(engine, Engine) else engine.sync_engine
        seen: list[tuple[str, int]] = []

        def note(statement: str, parameters: Any, many: bool) -> None:
            lists = " = ANY($2::" if self.on_citus else " FROM unnest($1::"
            if not self.on_sqlite and lists in statement:
                # Of a column with one value that alone is sent.
                many, parameters = True, max((each for each in parameters if isinstance(each, list | tuple)), key=len)
            seen.append((statement, len(parameters) if many else 1))

        with watched(engine, note):
            yield seen

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Looks into the file, beside the server."""
        token = _PLACE.set(str(self.path))
        try:
            with _SQLITE.connect() as connection:
                yield connection
        finally:
            _PLACE.reset(token)

    def look(self, function: Callable[[Connection], T]) -> T:
        """Answers what a function finds in the database, beside the server."""
        if isinstance(self.place, Path):
            with self.connection() as connection:
                return function(connection)
        return _looked(self.place, function)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What stands in the database."""
        return self.look(lambda connection: [tuple(row) for row in connection.exec_driver_sql(sql)])

    def execute(self, sql: str) -> None:
        """Changes the database behind the server's back."""
        self.look(lambda connection: _committed(connection, sql))

    def bytes(self, value: bytes) -> str:
        """Bytes as a text of SQL."""
        return f"x'{value.hex()}'" if self.on_sqlite else f"'\\x{value.hex()}'"


def _committed(connection: Connection, sql: str) -> None:
    connection.exec_driver_sql(sql)
    connection.commit()


def _looked(url: str, function: Callable[[Connection], T]) -> T:
    """In a thread of its own: a test's own event loop runs already."""

    async def look() -> T:
        _PLACE.set(url)
        async with _POSTGRES.connect() as connection:
            return await connection.run_sync(function)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, look()).result()
