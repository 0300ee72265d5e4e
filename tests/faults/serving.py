"""A server in a process of its own, to be killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 120.0


class ServerProcess:
    """``ringfence serve`` on a free port, which it keeps when it is killed and started again on its database.

    ``database_url`` None is a SQLite file in the directory; ``options`` are further ones of the command.
    """

    def __init__(
        self, directory: Path, database_url: str | None = None, *, options: Sequence[str] = (), name: str = "server"
    ) -> None:
        self.database = directory / "ringfence.db"
        self.database_url = database_url or f"sqlite:///{self.database}"
        self._directory = directory
        self._options = options
        self._name = name
        self._port = 0
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.target = ""

    def start(self) -> None:
        """Returns when it serves."""
        self._starts += 1
        port_file = self._directory / f"{self._name}-{self._starts}.port"
        log = self._directory / f"{self._name}-{self._starts}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from ringfence_server.cli import main; main()",
                    "serve",
                    *("--port", str(self._port)),
                    *("--port-file", str(port_file)),
                    *("--database-url", self.database_url),
                    *self._options,
                ],
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + _START_SECONDS
        while not port_file.exists():
            assert self._process.poll() is None, f"the server did not start: {log.read_text()}"
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.02)
        self._port = int(port_file.read_text())
        self.target = f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: it gets no chance to finish anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        self._process = None

    def stop(self) -> None:
        """SIGTERM: it ends in good order."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            code = process.wait(_STOP_SECONDS)
            assert code == 0, f"the server ended with {code}"

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        elif self._process is not None:
            self.kill()
