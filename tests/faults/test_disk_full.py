"""The disk of the database is full, by the kernel's word: callers hear of it, what was answered stays, and service
resumes by itself when there is room again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from ringfence.testing import PostgresServer, assert_eventually
from tests.faults.shoppers import Seen
from tests.faults.shopping import SHOPPERS, shopping
from tests.faults.small_disk import NoSmallDisk, SmallDisk

pytestmark = pytest.mark.timeout(400)

PATIENCE: Final = timedelta(seconds=120)
SOON_SECONDS: Final = 30.0
"""Alone on a machine it is 5; what is held here must hold on one that is busy with eight other things, too."""
MEBIBYTES: Final = 96
"""Room for an empty PostgreSQL, twice."""


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """A disk that a test may fill."""
    try:
        disk = SmallDisk(MEBIBYTES)
    except NoSmallDisk as absent:
        pytest.skip(f"NOT TESTED ON A FULL DISK: {absent}")
    with disk:
        yield disk


def waits_out_a_full_disk(disk: SmallDisk, seen: Seen, press: Callable[[], object] = lambda: None) -> None:
    """Until every shopper was refused, most of them more than once; keeps what is freed meanwhile taken. ``press`` asks
    for room, too."""
    before = len(seen.failures)

    def everybody_heard() -> bool:
        disk.fill()
        press()
        return len(seen.failures) >= before + 3 * SHOPPERS

    assert_eventually(everybody_heard, timeout=PATIENCE)


@pytest.mark.postgres
@pytest.mark.parametrize("what", ["tables", "log"])
def test_postgresql_has_no_room(tmp_path: Path, disk: SmallDisk, what: str) -> None:
    """For its tables it refuses what would grow; for its log it ends in a panic and tries to start again, until it does
    or gives up and is started anew. Nothing that was answered is lost, and all shoppers are served again soon."""
    waldir = f"--waldir={disk.beside if what == 'tables' else disk.path}/log"
    with PostgresServer(
        # Small files of log, none of them used twice: the next one is needed soon.
        initdb_options=("--wal-segsize=1", waldir),
        settings={"max_wal_size": "8MB", "wal_recycle": "off", "wal_keep_size": "1GB"},
        directory=None if what == "log" else disk.path,
    ) as server:
        press = partial(begin_another_log, server) if what != "tables" else (lambda: None)
        with shopping(tmp_path, server.create_database(), slowest_seconds=SOON_SECONDS) as seen:
            for _ in range(2):
                waits_out_a_full_disk(disk, seen, press)
                disk.free()
                answers_again(server)
                assert seen.wait_for_all(1, 60) < SOON_SECONDS
        assert "No space left on device" in server.log
        assert ("PANIC" in server.log) == (what == "log")


def begin_another_log(server: PostgresServer) -> None:
    """The next file of it, instead of what is left of this one."""
    with contextlib.suppress(Exception):
        server.execute("SELECT pg_switch_wal()")


def answers_again(server: PostgresServer) -> None:
    """Waits until PostgreSQL has recovered; one that gave up is started, as a machine's service manager does."""

    def answers() -> bool:
        if not _runs(server.pid):
            server.restart()
        try:
            return server.execute("SELECT 1") == [(1,)]
        except Exception as refused:
            raise AssertionError(f"PostgreSQL does not come back: {refused!r}: {server.log[-2000:]}") from refused

    assert_eventually(answers, timeout=PATIENCE)


def _runs(pid: int) -> bool:
    """Whether a child of ours has not ended."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def test_sqlite_has_no_room(tmp_path: Path, disk: SmallDisk) -> None:
    """Its log cannot grow, nor the file: every batch is refused as a whole until there is room."""
    with shopping(tmp_path, f"sqlite:///{disk.path}/ringfence.db", servers=1, slowest_seconds=SOON_SECONDS) as seen:
        for _ in range(3):
            waits_out_a_full_disk(disk, seen)
            disk.free()
            assert seen.wait_for_all(1, 60) < SOON_SECONDS
