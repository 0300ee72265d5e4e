"""The servers that a replay starts for itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class ServerFailed(Exception):
    """The server ended or did not serve in time. Carries the end of what it said."""


class OwnServer:
    """A server process on a free port of the loopback, for `with`. It ends with the block, by its id."""

    def __init__(self, directory: Path, database_url: str, name: str = "server") -> None:
        """`directory` takes its log and its port file, which have the name; the database is there or not."""
        self._log = directory / f"{name}.log"
        self._port_file = directory / f"{name}.port"
        program = Path(sys.executable).with_name("ringfence")
        settings = ["--port-file", str(self._port_file), "--database-url", database_url]
        self._command = [str(program), "serve", *settings]
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.target = ""
        """Where it serves, once the block has begun."""

    def __enter__(self) -> OwnServer:
        self._start()
        return self

    def kill_and_start(self) -> None:
        """SIGKILL; it serves again, on the same port, when this returns."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._port_file.unlink()
        self._start()

    def _start(self) -> None:
        # Of the caller's settings none may reach a server that is started for this alone.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C is for the replay, which then ends its server in good order.
                start_new_session=True,
            )
        try:
            self._port = self._await_port(self._process)
        except BaseException:
            self._end()
            raise
        self.target = f"127.0.0.1:{self._port}"

    def __exit__(self, *_: object) -> None:
        self._end()

    def said(self) -> str:
        """The end of what the server wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2_000:].strip()

    def _await_port(self, process: subprocess.Popen[bytes]) -> int:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise ServerFailed(f"the server ended with code {process.returncode}: {self.said()}")
            if self._port_file.exists() and (text := self._port_file.read_text(encoding="ascii").strip()):
                return int(text)
            time.sleep(0.01)
        raise ServerFailed(f"the server did not serve within {_START_SECONDS:.0f} s: {self.said()}")

    def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
