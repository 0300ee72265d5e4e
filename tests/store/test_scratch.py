"""Directories that do not outlast their makers: those of dead ones are swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.testing import PostgresServer
from ringfence_server.store.scratch import Scratch

MAKE = """
import sys
from ringfence_server.store.scratch import Scratch
made = Scratch("shop-", sys.argv[1])
(made.path / "inner").mkdir()
(made.path / "inner" / "file").write_text("left")
print(made.path, flush=True)
sys.stdin.read()
"""

MAKE_POSTGRES = """
import sys
from pathlib import Path
from ringfence.testing import PostgresServer
server = PostgresServer(directory=Path(sys.argv[1])).start()
print(server.data_directory.parent, server.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def maker(program: str, place: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process that makes something, and what it says of it."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()
        finally:
            process.kill()


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_what_a_dead_maker_left_goes_when_the_next_one_comes(tmp_path: Path) -> None:
    """Killed, a process leaves its directory with all that is in it; the next Scratch deletes it."""
    with maker(MAKE, tmp_path) as (process, (made,)):
        process.kill()
        process.wait()
        assert (Path(made) / "inner" / "file").exists()
        next_one = Scratch("shop-", tmp_path)
        assert list(tmp_path.iterdir()) == [next_one.path]
    next_one.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    """A living maker's directory is left alone, in this process and in others."""
    with maker(MAKE, tmp_path) as (_, (made,)):
        here = [Scratch("shop-", tmp_path) for _ in range(2)]
        assert {Path(made), *(one.path for one in here)} == set(tmp_path.iterdir())
        assert (Path(made) / "inner" / "file").exists()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Other prefixes, directories without a lock, and locks that are links to something else are none of its
    business."""
    plain, linked = tmp_path / "shop-plain", tmp_path / "shop-linked"
    for one in (plain, linked):
        one.mkdir()
        (one / "file").touch()
    (linked / "owner.lock").symlink_to(tmp_path / "shop-plain" / "file")
    with maker(MAKE, tmp_path) as (process, (made,)):
        process.kill()
        process.wait()
        Scratch("till-", tmp_path).remove()
        assert Path(made).exists()
        Scratch("shop-", tmp_path).remove()
        assert not Path(made).exists()
    assert (plain / "file").exists()
    assert (linked / "file").exists()


def test_what_cannot_be_ended_is_swept_another_time(tmp_path: Path) -> None:
    """A directory where something still runs stays, whole, until that has ended."""
    with maker(MAKE, tmp_path) as (process, (made,)):
        process.kill()
        process.wait()

        def refuse(left: Path) -> None:
            assert left == Path(made)
            raise TimeoutError

        Scratch("shop-", tmp_path, end=refuse).remove()
        assert (Path(made) / "inner" / "file").exists()
        Scratch("shop-", tmp_path).remove()
        assert not Path(made).exists()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder for PostgreSQL, which runs as another user when this is root; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="ringfence-test-") as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


@pytest.mark.postgres
def test_a_postgresql_whose_owner_was_killed_is_ended(postgres_server: PostgresServer, reachable: Path) -> None:
    """Its processes go on without their owner; the next PostgresServer ends them and deletes their directory."""
    with maker(MAKE_POSTGRES, reachable) as (process, (made, pid)):
        process.kill()
        process.wait()
        assert runs(int(pid))
        try:
            PostgresServer(directory=reachable).close()
            assert not Path(made).exists()
            assert not runs(int(pid))
        except BaseException:
            os.kill(int(pid), signal.SIGQUIT)
            raise
