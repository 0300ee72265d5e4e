"""Servers as processes of their own: started, pinned to a core, watched, ended by their id."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


class StartFailure(Exception):
    """A server ended, or did not serve in time. Carries the end of what it said."""


def cores() -> tuple[set[int], set[int]]:
    """The cores for servers and for the generator. They differ where the machine has two, else both are all cores."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    everything = sorted(os.sched_getaffinity(0))
    if len(everything) < 2:
        return set(everything), set(everything)
    return set(everything[:-1]), {everything[-1]}


class ServerProcess:
    """A server under test on the loopback. It must write its port to the file that `command` was given."""

    def __init__(
        self,
        command: list[str],
        directory: Path,
        *,
        name: str,
        on_cores: set[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the process, pinned to `on_cores` (empty: not pinned), and waits until it serves. `environment` is
        added to a helper's: what must not stand in a command line, where everyone reads it.

        Raises StartFailure when it ends or does not write its port within two minutes.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"{name}.log"
        port_file = directory / f"{name}.port"
        port_file.unlink(missing_ok=True)
        self.name = name
        own = os.sched_getaffinity(0) if on_cores else set()
        began = time.perf_counter()
        with self._log.open("wb") as log:
            # A child inherits its parent's cores: pinned from its first instruction, threads included.
            if on_cores:
                os.sched_setaffinity(0, on_cores)
            try:
                self._process = subprocess.Popen(
                    [*command, "--port-file", str(port_file)],
                    stdout=log,
                    stderr=log,
                    cwd=directory,
                    env={**helper_environment(), **(environment or {})},
                )
            finally:
                if on_cores:
                    os.sched_setaffinity(0, own)
        try:
            self.port = self._await_port(port_file)
        except BaseException:
            self.stop()
            raise
        # Seconds from the start of the process until it said that it serves.
        self.start_seconds = time.perf_counter() - began

    def _await_port(self, port_file: Path) -> int:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise StartFailure(f"{self.name} ended with code {self._process.returncode}: {self.said()}")
            if port_file.exists() and (text := port_file.read_text(encoding="ascii").strip()):
                return int(text)
            time.sleep(0.005)
        raise StartFailure(f"{self.name} did not serve within {_START_SECONDS:.0f} s: {self.said()}")

    def said(self) -> str:
        """The end of what the server wrote to its output."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2_000:]

    def cpu_seconds(self) -> float:
        """CPU time that the process has used, user and system; 0.0 where /proc is not there."""
        return cpu_seconds(self._process.pid)

    def resident_bytes(self) -> int:
        """Memory resident now."""
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        return int(shown.stdout) * 1024

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not drain in time."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def cpu_seconds(pid: int, *, ended_children: bool = False) -> float:
    """CPU time that a process has used, user and system, and with `ended_children` that of those it has awaited; 0.0
    where it or /proc is not there."""
    try:
        fields = _stat(pid)
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if ended_children else 13]) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used, those that have ended included; 0.0 where there is no
    /proc."""
    return cpu_seconds(pid, ended_children=True) + sum(map(cpu_seconds, _children(pid)))


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # One may end while it is looked at.
        with contextlib.suppress(OSError):
            if int(_stat(int(entry.name))[1]) == pid:
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def helper_environment() -> dict[str, str]:
    """The environment of a server or helper: with the way to this package, without the settings of whoever runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
    kept["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent.parent)
    return kept


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"scripts.benchmarks.{module}", *arguments]
