"""What a replay found out, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ringfence import VerifyReport
from scripts.replaying.audit import Audit
from scripts.replaying.invoices import Invoices
from scripts.replaying.plan import Plan
from scripts.replaying.tally import Bound, Missing, Tally

MOST_EXAMPLES = 10
"""Of what went wrong, how much is told in words."""


@dataclass(frozen=True)
class Outcome:
    """A replay and everything that was found out about it."""

    source: str
    """The file, or the sample."""
    target: str
    organization: str
    share: float
    fenced: float
    invoices: Invoices
    plan: Plan
    tally: Tally
    audit: Audit
    verify: VerifyReport | None
    """The service's own verdict; None when it could not be had."""
    seconds: float
    """From the first order to the last answer."""

    @property
    def ok(self) -> bool:
        """Whether everything adds up and nothing went wrong."""
        return not self.tally.errors and self.audit.ok and self.verify is not None and self.verify.ok

    def as_json(self, top: int) -> dict[str, Any]:
        """The whole of it in plain values; lists of what was short are cut to `top`."""
        tally, plan, audit = self.tally, self.plan, self.audit
        total = tally.total()
        seconds = self.seconds or 1e-9
        return {
            "ok": self.ok,
            "source": self.source,
            "target": self.target,
            "organization": self.organization,
            "share": self.share,
            "fenced": self.fenced,
            "file": {
                "lines": self.invoices.lines,
                "invoices": len(self.invoices),
                "units": self.invoices.units,
                "skus": len(self.invoices.skus),
                "skipped_lines": {str(reason): lines for reason, lines in sorted(self.invoices.skipped.items())},
            },
            "opening": {
                "peak_units": plan.peak_units,
                "peak_skus": plan.peak_skus,
                "units": plan.opening_units,
                "fenced_units": plan.fenced_units,
                "quotas": sum(len(paths) for paths in plan.quotas.values()),
            },
            "orders": {
                "decided": tally.orders,
                "accepted": tally.accepted,
                "granted_in_part": tally.in_part,
                "refused": tally.refused,
                "accepted_lines": tally.accepted_lines,
                "refused_lines": tally.refused_lines,
                "refused_units": tally.refused_units,
            },
            "cancellations": tally.cancellations,
            "write_offs": tally.write_offs,
            "units": {**asdict(total), "void": tally.void_units, "on_hand": total.on_hand},
            "sold_by_pool": {kind_name(depth): units for depth, units in by_kind(audit.sold_by_pool).items()},
            "short": {
                "by_reason": _as_json(summed(tally.missing, lambda bound: bound.reason), None),
                "by_pool": _as_json(summed(tally.missing, lambda bound: bound.path), top),
                "by_bounding_pool": _as_json(summed(tally.missing, lambda bound: bound.bound_path or "common"), top),
                "by_sku": _as_json(summed(tally.missing, lambda bound: bound.sku), top),
                "by_pool_and_sku": [
                    {**bound._asdict(), "lines": missing.lines, "units": missing.units}
                    for bound, missing in ranked(tally.missing)[:top]
                ],
            },
            "speed": {
                "seconds": round(self.seconds, 3),
                "orders_per_second": round(tally.orders / seconds, 1),
                "lines_per_second": round(tally.lines / seconds, 1),
                "commands_per_second": round(tally.commands / seconds, 1),
            },
            "errors": {"by_kind": dict(tally.errors), "examples": tally.examples},
            "audit": {
                "complete": audit.complete,
                "skus": audit.skus,
                "skus_below_zero_by_write_offs": audit.below_zero,
                "ledger_entries": audit.entries,
                "promises": audit.promises,
                "violations": len(audit.violations),
                "examples": audit.violations[:MOST_EXAMPLES],
            },
            "verify": None
            if self.verify is None
            else {
                "ok": self.verify.ok,
                "keys_checked": self.verify.keys_checked,
                "entries_read": self.verify.entries_read,
                "violations": [f"{each.key}: {each.rule}: {each.description}" for each in self.verify.violations],
            },
        }


def summed(missing: dict[Bound, Missing], key: Callable[[Bound], Any]) -> dict[Any, Missing]:
    """What was short, added up by what `key` keeps apart."""
    sums: dict[Any, Missing] = {}
    for bound, each in missing.items():
        total = sums.setdefault(key(bound), Missing())
        total.lines += each.lines
        total.units += each.units
    return sums


def ranked(sums: dict[Any, Missing]) -> list[tuple[Any, Missing]]:
    """Most lines first; of equals by name."""
    return sorted(sums.items(), key=lambda item: (-item[1].lines, item[0]))


def by_kind(sold_by_pool: dict[str, int]) -> dict[int, int]:
    """Units by the depth of the pool that gave them: 0 is the common pool, 1 a channel, 2 a region of one."""
    kinds: dict[int, int] = {}
    for path, units in sold_by_pool.items():
        depth = path.count("/") + 1 if path else 0
        kinds[depth] = kinds.get(depth, 0) + units
    return kinds


def kind_name(depth: int) -> str:
    """What such a pool is to the one who asks."""
    return ("common", "channel", "own")[depth]


def _as_json(sums: dict[str, Missing], top: int | None) -> dict[str, dict[str, int]]:
    return {key: {"lines": missing.lines, "units": missing.units} for key, missing in ranked(sums)[:top]}
