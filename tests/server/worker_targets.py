"""What test_workers runs in worker processes: each writes its process id to a file of its number."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path


def serve(directory: Path, number: int, parent: Connection) -> None:
    """Serves until SIGTERM or its parent's end, and says so in a file."""
    ended = directory / f"ended-{number}"

    def end(*_: object) -> None:
        ended.write_text("signal")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    _tell(directory, number)
    parent.send(True)
    try:
        parent.recv()
    except EOFError:
        ended.write_text("orphaned")


def fail_second(directory: Path, number: int, parent: Connection) -> None:
    """The second worker cannot start."""
    if number == 1:
        sys.exit(3)
    serve(directory, number, parent)


def _tell(directory: Path, number: int) -> None:
    part = directory / f"part-{number}-{os.getpid()}"
    part.write_text(str(os.getpid()))
    part.replace(directory / f"worker-{number}")


def parent(directory: Path, count: int) -> None:
    """A parent of such workers, for a process of its own."""
    import functools

    from ringfence_server.workers import Workers

    workers = Workers(count, functools.partial(serve, directory), grace_seconds=5)
    workers.run((directory / "ready").touch)
