"""A store that cannot be written: nothing happens, callers are told so, and service goes on when it is over."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.committer import Failure
from ringfence_server.ledger.outcomes import Reserved
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.store import sqlite
from ringfence_server.store.errors import StoreInUse
from ringfence_server.store.sqlite import SqliteStore
from tests.ledger.world import figure, line
from tests.store.desk import Desk, post, reserve

pytestmark = pytest.mark.usefixtures("names_looked_up_at_once")

HOLD = reserve(line("", 1))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A store with ten thousand bikes, whose connection waits for nobody else's lock."""
    async with Desk(tmp_path / "data" / "ringfence.db") as desk:
        await desk.send(post(figure(10_000, "on_hand")))
        await pragma(desk, "busy_timeout = 0")
        yield desk


async def pragma(desk: Desk, text: str) -> Any:
    """Sets or asks something of the connection that writes, on its thread."""

    def run() -> Any:
        assert desk.store._connection is not None
        rows = desk.store._connection.rows(f"PRAGMA {text}")
        return rows[0][0] if rows else None

    return await desk.store._call(run)


def held(desk: Desk) -> int:
    return int(desk.rows("SELECT held FROM pool")[0][0])


class Away:
    """A spell in which a store cannot be written. What is asked meanwhile is told so, and is asked again afterwards."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.request_ids: list[bytes] = []
        self.before = held(desk)

    async def is_told(self, count: int = 3) -> None:
        """Requests are answered with STORE, every one, and so is whoever asks the store itself."""
        request_ids = [self.desk.new_id() for _ in range(count)]
        answered = await asyncio.gather(*(self.desk.submit(HOLD, request_id=each) for each in request_ids))
        assert [each.answer.failure for each in answered] == [Failure.STORE] * count
        self.request_ids += request_ids

    async def is_over(self) -> None:
        """Nothing had happened, and the same ids are carried out now, once."""
        assert held(self.desk) == self.before
        for _ in range(2):
            answered = await asyncio.gather(
                *(self.desk.submit(HOLD, request_id=each) for each in self.request_ids), return_exceptions=False
            )
            assert [each.answer.failure for each in answered] == [None] * len(self.request_ids)
        assert held(self.desk) == self.before + len(self.request_ids)
        committed = await self.desk.committer.sweep()
        assert self.desk.rows("SELECT revision FROM slot_state") == [(committed.revision,)]


async def test_a_full_disk(desk: Desk) -> None:
    """SQLite finds no room for another page: the batch is undone, and goes through when there is room again."""
    away = Away(desk)
    with desk.connection() as connection:
        connection.exec_driver_sql(
            "INSERT INTO request_outcome SELECT 0, randomblob(16), 1, x'', 0, zeroblob(3000), 0, 0, 0 FROM "
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i FROM n)"
        )
        connection.commit()
    pages = await pragma(desk, "page_count")
    assert await pragma(desk, f"max_page_count = {pages}") == pages
    await away.is_told(200)
    assert await desk.store.next_due() is None
    await pragma(desk, "max_page_count = 1000000")
    await away.is_over()


@contextmanager
def no_file_grows(path: Path) -> Iterator[None]:
    """Files of this process cannot grow beyond this one's size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_the_operating_system_refuses(desk: Desk) -> None:
    """An I/O error while the commit is written to the log: none of it counts, and the next commit finds the log
    sound."""
    away = Away(desk)
    with no_file_grows(desk.path.with_name("ringfence.db-wal")):
        await away.is_told()
        await away.is_told()
    await away.is_over()
    await desk.reopen()
    assert held(desk) == len(away.request_ids)


async def test_a_file_system_that_became_read_only(desk: Desk) -> None:
    """Every write is refused until it is mounted for writing again."""
    away = Away(desk)
    await pragma(desk, "query_only = ON")
    await away.is_told()
    await pragma(desk, "query_only = OFF")
    await away.is_over()


async def test_another_process_that_holds_the_lock(desk: Desk) -> None:
    """Somebody works on the file with another tool: requests wait for the busy time and are then told STORE; when the
    tool is done, service goes on."""
    away = Away(desk)
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n",
        str(desk.path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"locked\n"
        await away.is_told()
        with pytest.raises(StoreUnavailable, match="locked"):
            await desk.committer.sweep()
        with pytest.raises(StoreUnavailable, match="locked"):
            await desk.store.prune()
        # Whoever only reads is not in the way.
        assert await desk.store.next_due() is None
    finally:
        await holder.communicate(b"done")
    await away.is_over()


async def test_the_name_of_the_file_is_looked_up_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many commits in one span of time the first does."""
    looked: list[str] = []
    identity = sqlite._identity

    def look(path: str) -> tuple[int, int]:
        looked.append(path)
        return identity(path)

    monkeypatch.setattr(sqlite, "_identity", look)
    monkeypatch.setattr(sqlite, "_NAMED_SECONDS", 3_600)
    desk.store._look_at = 0
    for _ in range(5):
        await desk.send(HOLD)
    assert looked == [str(desk.path.resolve()), f"{desk.path.resolve()}-wal"]


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_file_that_was_moved_away(desk: Desk, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is written to a file without a name would be answered for and lost: nothing is, until it is put back."""
    away = Away(desk)
    path = desk.path.with_name("ringfence.db" + suffix)
    path.rename(path.with_name("elsewhere"))
    await away.is_told()
    assert f"the store is away: {path} was moved or replaced: put it back, or restart the server" in caplog.messages
    path.with_name("elsewhere").rename(path)
    await away.is_over()


async def test_a_file_that_was_replaced(desk: Desk, tmp_path: Path) -> None:
    """A copy put in its place is another file: the server writes neither to the old one nor to the new one."""
    away = Away(desk)
    original = desk.path.rename(tmp_path / "original.db")
    shutil.copyfile(original, desk.path)
    await away.is_told()
    os.replace(original, desk.path)
    await away.is_over()


async def test_a_connection_that_broke(desk: Desk) -> None:
    """The batch that finds out is told STORE, the next one has a new connection."""
    away = Away(desk)
    assert desk.store._connection is not None
    raw: Any = desk.store._connection.core.connection.dbapi_connection
    raw.close()
    await away.is_told()
    await away.is_over()


async def test_a_connection_that_broke_while_the_file_is_away(desk: Desk) -> None:
    """Every batch tries to connect again; the first that can goes through."""
    away = Away(desk)
    assert desk.store._connection is not None
    raw: Any = desk.store._connection.core.connection.dbapi_connection
    raw.close()
    desk.path.parent.rename(desk.path.parent.with_name("elsewhere"))
    await away.is_told()
    await away.is_told()
    for ask in (desk.store.next_due, desk.store.prune, desk.committer.sweep):
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            await ask()
    desk.path.parent.with_name("elsewhere").rename(desk.path.parent)
    await away.is_over()


async def test_new_keys_and_orders_after_a_fault(desk: Desk) -> None:
    """What was remembered of a batch that did not commit is forgotten: keys it would have made are not known."""
    await pragma(desk, "query_only = ON")
    arrival = post(figure(5, "on_hand", sku="LAMP"))
    assert (await desk.send(arrival)).answer.failure is Failure.STORE
    await pragma(desk, "query_only = OFF")
    assert not isinstance((await desk.send(reserve(line("", 1, sku="LAMP")))).decision, Reserved)
    assert (await desk.send(arrival)).answer.failure is None
    assert isinstance((await desk.send(reserve(line("", 1, sku="LAMP")))).decision, Reserved)


async def test_a_second_server_on_one_file(desk: Desk) -> None:
    """It is told in one line which file is taken, changes nothing, and has it when the first one is gone."""
    second = SqliteStore(f"sqlite:///{desk.path}", ManualClock())
    with pytest.raises(StoreInUse) as refused:
        await second.open()
    assert str(refused.value).startswith(f"the database {desk.path} is in use by another server: stop that")
    await second.close()
    assert isinstance((await desk.send(HOLD)).decision, Reserved)
    await desk.__aexit__(None, None, None)
    third = SqliteStore(f"sqlite:///{desk.path}", ManualClock())
    await third.open()
    await third.close()
    desk._make()
    await desk.__aenter__()


async def test_a_second_server_in_another_process(desk: Desk) -> None:
    """The lock holds between processes, too, and through another name of the same file."""
    link = desk.path.with_name("link.db")
    link.symlink_to(desk.path)
    for path in (desk.path, link):
        other = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import asyncio, sys\n"
            "from ringfence_server.clock import SystemClock\n"
            "from ringfence_server.store.sqlite import SqliteStore\n"
            "asyncio.run(SqliteStore('sqlite:///' + sys.argv[1], SystemClock()).open())\n",
            str(path),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await other.communicate()
        last = said.decode().splitlines()[-1]
        assert other.returncode == 1
        assert f"StoreInUse: the database {desk.path} is in use by another server: " in last


async def refusal(path: Path) -> str:
    """Why a store cannot be opened. It must leave nothing locked behind."""
    store = SqliteStore(f"sqlite:///{path}", ManualClock())
    with pytest.raises(StoreUnavailable) as refused:
        await store.open()
    assert not isinstance(refused.value, StoreInUse)
    await store.close()
    text = str(refused.value)
    assert "\n" not in text
    return text


async def test_a_path_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    """What the file is and why not, for people, before anything is served."""
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "ringfence.db"
    assert await refusal(below) == f"the database {below} cannot be written: {below.parent} is not a directory"
    (tmp_path / "directory.db").mkdir()
    directory = tmp_path / "directory.db"
    assert await refusal(directory) == f"the database {directory} cannot be opened: unable to open database file"
    other = tmp_path / "other.db"
    other.write_text("this is a letter, not a database. " * 100)
    assert await refusal(other) == f"the database {other} cannot be opened: file is not a database"


async def test_a_python_with_an_old_sqlite_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any statement that it would not understand."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 32, 3))
    monkeypatch.setattr("sqlite3.sqlite_version", "3.32.3")
    path = tmp_path / "ringfence.db"
    told = "this Python has SQLite 3.32.3: SQLite 3.33.0 or newer is needed, or PostgreSQL"
    assert await refusal(path) == told
    assert not path.exists()


async def test_a_file_that_another_process_has_locked_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a file can only be read, or is locked, is found out before the first caller asks."""
    path = tmp_path / "ringfence.db"
    async with Desk(path):
        pass
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "PRAGMA busy_timeout=0"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert await refusal(path) == f"the database {path} cannot be opened: database is locked"
    finally:
        holder.close()
    async with Desk(path) as desk:
        assert (await desk.send(post(figure(1, "on_hand")))).answer.failure is None


async def test_a_file_system_without_write_ahead_log_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would go on in silence, with readers and writer in each other's way."""
    monkeypatch.setattr(sqlite, "PRAGMAS", ("PRAGMA journal_mode=DELETE", *sqlite.PRAGMAS[1:]))
    path = tmp_path / "ringfence.db"
    assert await refusal(path) == f"the database {path} cannot have a write-ahead log on this file system"


async def test_a_file_that_can_only_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    """Also when its log is there already: it could be read then, and every command would be told that it is away."""
    path = tmp_path / "ringfence.db"
    async with Desk(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM pool")  # keeps the log there
        store = SqliteStore(f"sqlite:///{path}", ManualClock())
        # Permissions do not bind the superuser; this does.
        store.url = store.url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
        with pytest.raises(StoreUnavailable) as refused:
            await store.open()
        assert str(refused.value) == f"the database {path} cannot be opened: attempt to write a readonly database"
        await store.close()


async def test_a_store_that_could_not_be_opened_can_be_tried_again(tmp_path: Path) -> None:
    """By the same object or another: the lock was given back."""
    path = tmp_path / "ringfence.db"
    path.write_text("this is a letter, not a database. " * 100)
    store = SqliteStore(f"sqlite:///{path}", ManualClock())
    with pytest.raises(StoreUnavailable):
        await store.open()
    path.unlink()
    await store.open()
    await store.close()


async def test_a_closed_store_is_away(desk: Desk) -> None:
    """Whoever still asks is told so."""
    await desk.store._call(desk.store._close)
    assert (await desk.send(HOLD)).answer.failure is Failure.STORE
    with pytest.raises(StoreUnavailable, match="closed"):
        await desk.store.next_due()


async def test_a_database_in_memory_is_gone_with_its_server(tmp_path: Path) -> None:
    """It is a file that readers can open, in a folder of its own that is removed; also when it could not be opened."""
    store = SqliteStore("sqlite:///unused.db", ManualClock(), in_memory=True)
    await store.open()
    assert store.path.exists()
    assert store.url.database == str(store.path)
    await store.close()
    assert not store.path.parent.exists()
    broken = SqliteStore("sqlite:///unused.db", ManualClock(), in_memory=True)
    broken.path.write_text("this is a letter, not a database. " * 100)
    with pytest.raises(StoreUnavailable):
        await broken.open()
    await broken.close()
    assert not broken.path.parent.exists()
