"""A big database, filled through the service's own front door, so that every table holds what real use leaves there."""

from __future__ import annotations

import contextlib

from scripts.benchmarks import load, messages
from scripts.benchmarks.processes import HOST
from scripts.benchmarks.targets import BenchFailure, Target, sell_out, stock

_BATCH = 100
_SLICE_SECONDS = 5.0


def fill(target: Target, keys: int, entries: int) -> None:
    """Posts and allocates `keys` stock keys (two ledger entries each), then sells units directly until the ledger holds
    at least `entries`. Sales have no lease: nothing of it falls due while a benchmark runs, today or next week.

    Raises BenchFailure when a sale is refused.
    """
    sell_out(target.process.port)
    stock(target.process.port, [messages.sku_name(number) for number in range(keys)])
    sales = entries - 2 * keys
    work = load.streams(
        HOST,
        [target.process.port],
        messages.SERVICE + "Execute",
        messages.metadata(),
        messages.direct_sales(keys, _BATCH),
        target.meter,
        in_flight=4 * 8 * _BATCH,
        batch=_BATCH,
        connections=4,
    )
    with contextlib.closing(work):
        while sales > 0:
            before = work.answered
            sample = work.measure(_SLICE_SECONDS, 0.0)
            if sample.refused or sample.failed:
                raise BenchFailure(f"filling: {sample.refused} sales refused, {sample.failed} failed")
            sales -= work.answered - before
