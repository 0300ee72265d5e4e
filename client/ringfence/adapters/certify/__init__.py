"""A bench for adapters: a simulated till and shop in virtual time, accidents on the way, a judge who knows the truth.

    ringfence adapter certify live
    ringfence adapter certify csv_folder
    ringfence adapter certify mypackage.mymodule:MyTillUnderTest

An adapter passes a scenario when the service never held more for sale than was there by all that is known, sold nothing
twice but what a customer in the store had just taken, and is exact to the piece when everything was told.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ringfence.adapters.certify._bench import Host, run_scenario
from ringfence.adapters.certify._judge import Verdict
from ringfence.adapters.certify._scenarios import SCENARIOS, Scenario
from ringfence.adapters.certify._tills import TillUnderTest, till_named
from ringfence.adapters.simulated_till import SimulatedTill

__all__ = ["SCENARIOS", "Host", "Scenario", "TillUnderTest", "Verdict", "certify", "table", "till_named"]


def certify(
    make_till: Callable[[SimulatedTill, Path], TillUnderTest],
    host: Host,
    *,
    scenarios: Iterable[Scenario] = SCENARIOS,
    seed: int = 1,
) -> Iterator[Verdict]:
    """Runs scenarios one after the other and gives each verdict as it comes. Raises AdapterError when the adapter
    cannot be run at all."""
    for scenario in scenarios:
        # In memory where there is such a place: the bench ends programs, not the power.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="ringfence-certify-", dir=memory) as directory:
            yield run_scenario(scenario, host, make_till, Path(directory), seed=seed)


HEADER = ("scenario", "counts", "too high", "too low", "by rule", "by walk-ins", "undersold", "sold", "accidents", "")


def table(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """The verdicts as lines of a table. `by rule` and `by walk-ins` are units oversold, `undersold` is unit-minutes."""
    yield _line(HEADER)
    for verdict in verdicts:
        yield _line(
            (
                verdict.name,
                verdict.counts,
                verdict.too_high,
                verdict.too_low,
                verdict.oversold_by_rule,
                verdict.oversold_by_walk_ins,
                verdict.undersold_unit_minutes,
                verdict.sold,
                verdict.accidents,
                "passed" if verdict.passed else "FAILED",
            )
        )
        yield from (f"    {wrong}" for wrong in verdict.wrong_at_the_end)


def _line(cells: Iterable[object]) -> str:
    name, *rest = cells
    *numbers, verdict = rest
    return f"{name!s:<30}" + "".join(f"{number!s:>12}" for number in numbers) + f"  {verdict}".rstrip()
