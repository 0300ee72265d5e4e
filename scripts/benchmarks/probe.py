"""The lag probe as a process of its own: started, awaited, read. What it measures stands in `lag`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.processes import helper_environment, module_command
from scripts.benchmarks.targets import BenchFailure

_MOST_SECONDS = 120


@contextmanager
def lag_probe(port: int, sku: str, writes: int, *, watch_port: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Writes through the server at `port`, watches at `watch_port` (None: the same server)."""
    options = {"port": port, "watch-port": watch_port or port, "sku": sku, "writes": writes}
    command = module_command("lag", *(text for name, value in options.items() for text in (f"--{name}", str(value))))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=helper_environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def lags(probe: subprocess.Popen[str]) -> list[float]:
    """Waits for its end; sorted seconds.

    Raises BenchFailure when it failed."""
    said, _ = probe.communicate(timeout=_MOST_SECONDS)
    if probe.returncode:
        raise BenchFailure("the lag probe failed; what it said stands above")
    return [float(value) for value in json.loads(said)]
