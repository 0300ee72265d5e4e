"""The parent of several workers: what it starts it watches, and ends."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.testing import assert_eventually
from ringfence_server.workers import Workers, WorkersFailed, hold_port
from tests.server import worker_targets

ROOT = Path(__file__).parents[2]


@contextmanager
def parent(directory: Path, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A parent process whose workers all serve."""
    program = (
        "import sys; from pathlib import Path; from tests.server.worker_targets import parent; "
        "parent(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(directory), str(count)], cwd=ROOT)
    try:
        assert_eventually((directory / "ready").exists)
        yield process
    finally:
        process.kill()
        process.wait()


def pid_of(directory: Path, number: int) -> int:
    """The process of a worker."""
    return int((directory / f"worker-{number}").read_text())


def ended(directory: Path, number: int) -> str:
    """How a worker says it ended."""
    path = directory / f"ended-{number}"
    return path.read_text() if path.exists() else ""


def test_a_signal_ends_all_workers_and_then_the_parent(tmp_path: Path) -> None:
    """SIGTERM is handed on; the parent's exit code is 0 once all have ended."""
    with parent(tmp_path, 3) as process:
        assert len({pid_of(tmp_path, number) for number in range(3)} | {process.pid}) == 4
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert [ended(tmp_path, number) for number in range(3)] == ["signal"] * 3


def test_a_worker_that_ends_is_started_again(tmp_path: Path) -> None:
    """Killed, it is replaced; the others go on."""
    with parent(tmp_path, 2) as process:
        first, second = pid_of(tmp_path, 0), pid_of(tmp_path, 1)
        os.kill(second, signal.SIGKILL)
        assert_eventually(lambda: pid_of(tmp_path, 1) != second)
        assert pid_of(tmp_path, 0) == first
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """A parent that is killed takes them with it."""
    with parent(tmp_path, 2) as process:
        process.kill()
        process.wait()
        assert_eventually(lambda: [ended(tmp_path, number) for number in range(2)] == ["orphaned"] * 2)


def test_a_worker_that_cannot_start_ends_them_all(tmp_path: Path) -> None:
    """Before all serve, the end of one is the end."""
    workers = Workers(2, functools.partial(worker_targets.fail_second, tmp_path), grace_seconds=5)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(WorkersFailed, match="worker 1 ended with 3"):
        workers.run(lambda: pytest.fail("they never all serve"))
    assert signal.getsignal(signal.SIGTERM) == before
    assert not (tmp_path / "worker-0").exists() or not Path(f"/proc/{pid_of(tmp_path, 0)}").exists()


def test_the_port_is_held_for_workers_alone() -> None:
    """Who does not share cannot have it; who shares can."""
    with hold_port("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with hold_port("127.0.0.1", port) as worker:
            assert worker.getsockname()[1] == port
