"""A real server in a process of its own, whose clock the day moves: `python -m scripts.days.host`.

It reads the time from its input, microseconds since the epoch a line, and answers each with `ok`.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from ringfence.testing import RingfenceServer
from scripts.benchmarks.processes import helper_environment

__all__ = ["START", "ServerProcess"]

START = datetime(2026, 1, 5, tzinfo=UTC)
"""Minute 0 of the day."""
_STOP_SECONDS = 60.0


class ServerProcess:
    """The process, for `with`. It keeps its ledger in a SQLite file, or without one in memory."""

    def __init__(self, database: Path | None = None) -> None:
        self.database = database
        self._port = 0
        self._now = START
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    @property
    def target(self) -> str:
        """Where it serves; the same after a new start."""
        return f"127.0.0.1:{self._port}"

    @property
    def now(self) -> datetime:
        """Its time."""
        return self._now

    def start(self) -> None:
        """Returns when it serves. RuntimeError when it does not."""
        command = [
            sys.executable,
            "-m",
            "scripts.days.host",
            "--port",
            str(self._port),
            "--start",
            str(_micros(self._now)),
        ]
        if self.database is not None:
            command += ["--database", str(self.database)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=helper_environment()
        )
        self._port = int(self._line())

    def move_to(self, moment: datetime) -> None:
        """Sets its clock."""
        with self._lock:
            self._now = moment
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(f"{_micros(moment)}\n")
            self._process.stdin.flush()
            self._line()

    def restart(self) -> None:
        """SIGKILL, so that it gets no chance to finish anything, and a new start on the same file and port."""
        with self._lock:
            process, self._process = self._process, None
            assert process is not None
            process.kill()
            self._end(process)
            self.start()

    def resident_bytes(self) -> int:
        """Memory resident now."""
        assert self._process is not None
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        return int(shown.stdout) * 1024

    def stop(self) -> None:
        """Ends it in good order. Stopping twice is nothing."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            self._end(process)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the day's server ended; what it said stands above")
        return line

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def main() -> None:
    """Serves until its input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--database", type=Path)
    options = parser.parse_args()
    settings: dict[str, Any] = {"port": options.port}
    if options.database is not None:
        settings |= {"in_memory": False, "database_url": f"sqlite:///{options.database}"}
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=options.start)
    with RingfenceServer(start_time=start, **settings) as server:
        print(server.target.rpartition(":")[2], flush=True)
        for line in sys.stdin:
            server.clock.advance(timedelta(microseconds=int(line) - server.clock.now()))
            print("ok", flush=True)


if __name__ == "__main__":
    main()
