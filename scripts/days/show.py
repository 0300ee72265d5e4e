"""What came of a day, for people."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence import VerifyReport
from scripts.days.judge import Verdict
from scripts.days.plan import DAY, LOCATIONS, Plan

__all__ = ["described", "show_faults", "table", "told"]

_MOST_FAULTS = 10
_HEADER = (
    "rules",
    "sold",
    "counts",
    "too high",
    "too low",
    "oversold by the rule",
    "by unreported walk-ins",
    "undersold unit-minutes",
    "seconds",
)


def described(plan: Plan) -> str:
    """The day in one line."""
    days = f"{plan.days} {'day' if plan.days == 1 else 'days'}"
    length = "" if plan.minutes_a_day == DAY else f" of {plan.minutes_a_day} minutes"
    orders = sum(len(found) for found in plan.orders.values())
    return f"{days}{length}, seed {plan.seed}: {len(LOCATIONS)} tills, {len(plan.skus)} items, {orders:,} orders"


def table(verdicts: Sequence[Verdict]) -> str:
    """One line for each set of rules. Oversold is in units."""
    rows = [
        _HEADER,
        *(
            (
                verdict.name,
                *(
                    f"{number:,}"
                    for number in (
                        verdict.accepted,
                        verdict.counts,
                        verdict.too_high,
                        verdict.too_low,
                        verdict.oversold_by_rule,
                        verdict.oversold_by_walk_ins,
                        verdict.undersold_unit_minutes,
                    )
                ),
                f"{verdict.seconds:.0f}",
            )
            for verdict in verdicts
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = []
    for name, *numbers in rows:
        cells = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def told(verdict: Verdict) -> str:
    """What the tills told besides hourly counts, in one line."""
    return (
        f"{verdict.name}: {verdict.deltas:,} chained deltas, {verdict.stale:,} STALE, {verdict.gaps:,} GAP answered by "
        f"{verdict.resent:,} reads of figures; {verdict.epochs} new {'epoch' if verdict.epochs == 1 else 'epochs'}, "
        f"{verdict.old_figures:,} figures of an old one came later; {verdict.moved:,} orders booked in another store"
    )


def show_faults(verdict: Verdict, report: VerifyReport) -> None:
    """What was wrong, and what Verify says."""
    for text in [*verdict.samples, *verdict.faults][:_MOST_FAULTS]:
        print(f"  {verdict.name}: {text}")
    said = "everything adds up" if report.done and not report.violations else f"{len(report.violations)} violations"
    print(f"Verify: {report.keys_checked:,} stock keys, {report.entries_read:,} ledger entries: {said}")
    for violation in report.violations[:_MOST_FAULTS]:
        print(f"  {violation}")
