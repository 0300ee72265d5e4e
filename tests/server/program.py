"""The program `ringfence` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = [sys.executable, "-c", "from ringfence_server.cli import main; main()"]


def environment(**variables: str) -> dict[str, str]:
    """The environment without what a developer may have set for the program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGFENCE_")}
    return {**kept, "COLUMNS": "120", "NO_COLOR": "1", **variables}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment(**variables)
    )


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and the line it says when it serves; ended by its id."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.communicate()[1]
        yield process, said.rstrip("\n")
    finally:
        process.kill()
        process.communicate()


def address(said: str) -> str:
    """Where a server that said this line listens."""
    return said.removeprefix("ringfence: listening on ").partition(" ")[0]


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """Ends a server; what it wrote to stderr. It must end well and say nothing more."""
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == ""
    return err
