"""SQLite: one file, one writing thread, every transaction BEGIN IMMEDIATE and durable when it answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, false, func, make_url, select, update
from sqlalchemy.pool import StaticPool

from ringfence_server.clock import Clock
from ringfence_server.ledger.idempotency import REFUSALS_KEPT_PER_CALLER
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, StoreUnavailable, Work

from . import schema
from .driver import DriverConnection
from .errors import DATABASE_ERRORS, StoreInUse, translated
from .ids import Ids
from .locks import WriterLock
from .migrate import upgrade_file
from .moments import Moments
from .outcomes import Outcomes
from .prune import Pruner
from .scratch import Scratch, memory_place
from .slots import ONE_SLOT
from .stale_keys import stale_keys
from .transaction import Lengthy, Transacted, Transactor

T = TypeVar("T")

_OLDEST: Final = (3, 33, 0)
"""The first that knows ``UPDATE … FROM``."""
_CHECKPOINT_PAGES: Final = 16_000
"""Pages of write-ahead log before a checkpoint: 16,000 measured best."""
_CACHE_KIBIBYTES: Final = 65_536

_NAMED_SECONDS: Final = 0.01
"""For so long after a look the file is taken to have its name. Before every commit two looks were a tenth of a lone
caller's command; as it is, they are a hundred times a second at most."""
_MOST_PARTS_HERE: Final = 16
"""Parts of the reservations that a transaction on the caller's own thread names: a millisecond's worth."""

PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    # NORMAL can lose acknowledged writes when the power fails.
    "PRAGMA synchronous=FULL",
    f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}",
    "PRAGMA temp_store=MEMORY",
)
_PATIENT: Final = (f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}", "PRAGMA busy_timeout=5000")
_PROMPT: Final = ("PRAGMA wal_autocheckpoint=0", "PRAGMA busy_timeout=0")
"""On a thread that has other things to do: neither copy the log back nor wait for whoever else has the file open."""


class SqliteStore:
    """The embedded store. All writing happens on one thread of its own, a whole batch as one call: as fast as aiosqlite
    under load and four times as fast for a lone caller when measured. Only what is brief and comes alone may run on the
    caller's own thread (``run_here``).

    Raises StoreUnavailable, in one plain line, when the file cannot be opened or written, StoreInUse when another
    server has it.
    """

    def __init__(
        self, url: str, clock: Clock, *, in_memory: bool = False, refusals_kept: int = REFUSALS_KEPT_PER_CALLER
    ) -> None:
        """``refusals_kept``: of each caller; beyond them its oldest refusals are forgotten."""
        self._clock = clock
        self._refusals_kept = refusals_kept
        self.moments = Moments()
        self._scratch: Scratch | None = None
        if in_memory:
            # A database in a memory file system: the same code path as on disk, gone with the server; that of a server
            # that was killed goes when the next one starts.
            self._scratch = Scratch("ringfence-memory-", memory_place())
            place = self._scratch.path / "ringfence.db"
        else:
            place = Path(make_url(url).database or "ringfence.db")
        # Resolved: two names of one file must meet at one lock, and its log lies beside the file itself.
        self.path = place.resolve()
        self.url = URL.create("sqlite", database=str(self.path))
        """Of that path: pasted into a text, a folder named ``what?`` would end it."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ringfence-store")
        self._engine: Engine | None = None
        self._connection: DriverConnection | None = None
        self._transactor: Transactor | None = None
        self._pruner = Pruner()
        self._lock_file: IO[str] | None = None
        self._files: list[tuple[str, tuple[int, int]]] = []
        self._look_at = 0.0
        self._unreported: list[StockKey] = []
        self._turn = threading.Lock()
        """Held by whoever uses the connection: the writing thread, or a caller in ``run_here``."""
        self._prompt = False

    async def open(self) -> None:
        """Takes the file, migrates it and makes ready to write."""
        await self._call(self._open)

    async def run(self, work: Work) -> Committed:
        """Runs one unit of work in one durable transaction, or raises and has done nothing."""
        return await self._call(self._run, work)

    def run_here(self, work: Work) -> Committed | None:
        """The same on the calling thread, if it is brief; None: it is not, or the file is busy, and nothing happened.

        Neither waits for another's lock nor copies the log back: a call of ``run`` now and then has to do that. The
        durable write itself takes as long as the disk does.
        """
        if not self._turn.acquire(blocking=False):
            return None
        try:
            connection = self._connection
            if connection is None or self._transactor is None:
                return None
            try:
                self._be(connection, prompt=True)
                connection.rows("BEGIN IMMEDIATE")
            except sqlite3.Error:
                # The writing thread meets it too: it can wait, and says what is wrong.
                return None
            return self._reported(self._carry_out(connection, self._transactor, work, most_parts=_MOST_PARTS_HERE))
        except Lengthy:
            return None
        finally:
            self._turn.release()

    async def next_due(self) -> int | None:
        """The instant (microseconds) at which the next hold ends; None when none has an end."""
        return await self._call(self._next_due)

    async def stale_keys(self, after: int, most: int) -> tuple[list[StockKey], int]:
        """Keys that an older formula valued, after a stock number; and the number to go on from (0: the end)."""
        return await self._call(self._stale_keys, after, most)

    async def prune(self) -> int:
        """Deletes one bounded step of what is past its keeping; answers the rows deleted."""
        return await self._call(self._prune)

    async def close(self) -> None:
        """Closes the database; an in-memory one is gone."""
        await self._call(self._close)
        self._executor.shutdown(wait=True)
        if self._scratch is not None:
            self._scratch.remove()

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._in_turn, function, arguments)

    def _in_turn(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        with self._turn:
            if self._connection is not None:
                # If this fails, so does what follows, and says so.
                with contextlib.suppress(sqlite3.Error):
                    self._be(self._connection, prompt=False)
            return function(*arguments)

    def _be(self, connection: DriverConnection, *, prompt: bool) -> None:
        if self._prompt is not prompt:
            for pragma in _PROMPT if prompt else _PATIENT:
                connection.rows(pragma)
            self._prompt = prompt

    # --- on the writing thread -----------------------------------------------------------------------------------

    def _open(self) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise StoreUnavailable(
                f"this Python has SQLite {sqlite3.sqlite_version}: SQLite {oldest} or newer is needed, or PostgreSQL"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = take_file(self.path.with_name(self.path.name + ".lock"))
            upgrade_file(self.url)
            self._engine = create_engine(
                self.url,
                poolclass=StaticPool,
                connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": 512},
            )
            event.listen(self._engine, "connect", _prepare)
            self._connect(self._engine)
        except FileExistsError:
            raise StoreUnavailable(
                f"the database {self.path} cannot be written: {self.path.parent} is not a directory"
            ) from None
        except OSError as error:
            self._close()
            raise StoreUnavailable(f"the database {self.path} cannot be written: {error.strerror}") from None
        except DATABASE_ERRORS as error:
            self._close()
            raise StoreUnavailable(f"the database {self.path} cannot be opened: {translated(error)}") from None
        except StoreUnavailable:
            self._close()
            raise

    def _connect(self, engine: Engine) -> None:
        core = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection = DriverConnection(core)
        try:
            # A file that can only be read is found out here, not by the first caller. BEGIN IMMEDIATE alone would not:
            # of such a file SQLite begins to read.
            connection.rows("BEGIN IMMEDIATE")
            connection.execute(update(schema.slot_state).where(false()).values(revision=0))
            stock_id = schema.stock.c.stock_id
            last = connection.execute(select(func.max(stock_id)).where(schema.stock.c.slot == 0)).scalar()
            connection.rows("ROLLBACK")
            if connection.rows("PRAGMA journal_mode") != [("wal",)]:
                # SQLite goes on without one in silence, and readers would then hold up the writer.
                raise StoreUnavailable(f"the database {self.path} cannot have a write-ahead log on this file system")
        except BaseException:
            _discard(connection)
            raise
        self._prompt = False
        self._look_at = 0.0
        self._files = [(path, _identity(path)) for path in (str(self.path), f"{self.path}-wal")]
        self._connection = connection
        self._transactor = Transactor(
            engine.dialect,
            slots=ONE_SLOT,
            locks=WriterLock(engine.dialect, self._clock, only_writer=True),
            ids=Ids(last or 0),
            moments=self.moments,
            outcomes=Outcomes(engine.dialect, ONE_SLOT, refusals_kept=self._refusals_kept, only_writer=True),
            # The lock on the file sees to that.
            only_writer=True,
        )

    def _run(self, work: Work) -> Committed:
        while True:
            connection, transactor = self._ready()
            try:
                connection.rows("BEGIN IMMEDIATE")
            except DATABASE_ERRORS as error:
                self._roll_back(connection)
                raise translated(error) from error
            committed = self._reported(self._carry_out(connection, transactor, work))
            if committed is not None:
                return committed

    def _carry_out(
        self, connection: DriverConnection, transactor: Transactor, work: Work, *, most_parts: int | None = None
    ) -> Transacted:
        """Runs a unit of work in the transaction that has begun, and ends it."""
        committed = False
        try:
            transacted = transactor.run(connection, work, most_parts=most_parts)
            self._end(connection, commit=transacted.wrote)
            committed = transacted.wrote
            transactor.settle(transacted)
            return transacted
        except Lengthy:
            connection.rows("ROLLBACK")
            raise
        except BaseException as error:
            self._roll_back(connection)
            if isinstance(error, DATABASE_ERRORS):
                raise translated(error) from error
            raise
        finally:
            self.moments.end(committed=committed)

    def _reported(self, transacted: Transacted) -> Committed | None:
        """What was committed since a run last succeeded; None when the work itself still has to run."""
        committed = transacted.committed
        # Kept until a run succeeds: leases may have been ended in transactions before one that failed.
        self._unreported.extend(committed.changed)
        if transacted.more_due:
            return None
        changed, self._unreported = self._unreported, []
        return committed._replace(changed=list(dict.fromkeys(changed)))

    def _ready(self) -> tuple[DriverConnection, Transactor]:
        if self._engine is None:
            raise StoreUnavailable("the database is closed")
        if self._connection is None:
            try:
                self._connect(self._engine)
            except DATABASE_ERRORS as error:
                raise translated(error) from error
        assert self._connection is not None
        assert self._transactor is not None
        return self._connection, self._transactor

    def _end(self, connection: DriverConnection, *, commit: bool) -> None:
        if commit and (now := time.monotonic()) >= self._look_at:
            for path, identity in self._files:
                # What is written to a file that has no name any more would be answered for and lost.
                if _identity(path) != identity:
                    raise StoreUnavailable(f"{path} was moved or replaced: put it back, or restart the server")
            self._look_at = now + _NAMED_SECONDS
        connection.rows("COMMIT" if commit else "ROLLBACK")

    def _roll_back(self, connection: DriverConnection) -> None:
        assert self._transactor is not None
        self._transactor.forget()
        try:
            if connection.in_transaction:
                connection.rows("ROLLBACK")
        except Exception:
            # The connection itself is gone; the next one finds the file as the last commit left it.
            _discard(connection)
            self._connection = None

    def _next_due(self) -> int | None:
        connection, transactor = self._ready()
        try:
            return transactor.loader.next_end(connection)
        except DATABASE_ERRORS as error:
            raise translated(error) from error

    def _stale_keys(self, after: int, most: int) -> tuple[list[StockKey], int]:
        connection, transactor = self._ready()
        try:
            return stale_keys(connection, ONE_SLOT, transactor.loader, after, most)
        except DATABASE_ERRORS as error:
            raise translated(error) from error

    def _prune(self) -> int:
        connection, transactor = self._ready()
        try:
            connection.rows("BEGIN IMMEDIATE")
            # What is forgotten stays forgotten: a clock in doubt must not be trusted here either.
            deleted = self._pruner.step(connection, min(self._clock.now(), self._clock.due_until()))
            self._end(connection, commit=deleted > 0)
            transactor.reread()
        except BaseException as error:
            self._roll_back(connection)
            if isinstance(error, DATABASE_ERRORS):
                raise translated(error) from error
            raise
        return deleted

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.core.close()
            self._connection = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in (*_PATIENT, *PRAGMAS):
        cursor.execute(pragma)
    cursor.close()


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _discard(connection: DriverConnection) -> None:
    connection.core.invalidate()
    connection.core.close()


def take_file(path: Path) -> IO[str]:
    """One server per file: watchers hear only of what their own server writes, so two must not share one.

    Raises StoreInUse when somebody else has it. Closing what is answered gives it back.
    """
    handle = path.open("w")
    try:
        import fcntl
    except ImportError:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        text = f"the database {path.with_suffix('')} is in use by another server: stop that, or name another file"
        raise StoreInUse(text) from None
    return handle
