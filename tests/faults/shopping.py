"""Shoppers at servers of one database, from the first to what they saw being judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ringfence import Client
from tests.faults.serving import ServerProcess
from tests.faults.shoppers import Seen, Shopper, look_once_more, stock

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

SKUS: Final = ("BIKE", "LAMP", "VASE", "SOFA")
UNITS: Final = 60
SHOPPERS: Final = 6
SOON_SECONDS: Final = 30.0
"""Within so long every call is answered or refused, and service is back when the database is: 5 seconds where nothing
else runs, and never as long as a call that hangs, which ends by its deadline alone."""


@contextmanager
def shopping(tmp_path: Path, url: str, *, servers: int = 2, slowest_seconds: float = SOON_SECONDS) -> Iterator[Seen]:
    """Shoppers on servers of one database. At the end: what they saw can be put in one order, no call took longer than
    ``slowest_seconds``, every failure said when to come back, and the ledger adds up."""
    seen = Seen()
    processes = [ServerProcess(tmp_path, url, name=f"server-{number}") for number in range(servers)]
    shoppers: list[Shopper] = []
    try:
        for process in processes:
            process.start()
        targets = seen.targets = [process.target for process in processes]
        stock(targets[0], SKUS, UNITS)
        shoppers += [Shopper(number, targets, SKUS, seen) for number in range(SHOPPERS)]
        for shopper in shoppers:
            shopper.start()
        seen.wait_for_all(10, 120)
        yield seen
        seen.wait_for_all(10, 120)
    finally:
        for shopper in shoppers:
            shopper.stop()
    for target in targets:
        look_once_more(target, SKUS, seen)
    assert seen.judge(UNITS) > 100
    assert seen.slowest_seconds < slowest_seconds, f"{seen.slowest} took {seen.slowest_seconds:.1f} s"
    for failure in seen.failures:
        assert failure.retry_after is not None, f"it does not say when to come back: {failure!r}"
    with Client(targets[0]) as client:
        assert client.verify().ok
    for process in processes:
        process.stop()
