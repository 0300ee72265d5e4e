"""A replay's outcome as text, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.replaying.report import MOST_EXAMPLES, Outcome, by_kind, kind_name, ranked, summed
from scripts.replaying.tally import Missing


def show(outcome: Outcome, console: Console, top: int) -> None:
    """Prints the figures, what was short (the first `top` of each list) and the verdict."""
    grid = Table.grid(padding=(0, 2))
    for name, text in _figures(outcome):
        grid.add_row(name, text)
    console.print(grid)
    missing = outcome.tally.missing
    if missing:
        by_pool = summed(missing, lambda bound: (bound.path, bound.reason))
        by_sku = summed(missing, lambda bound: (bound.sku,))
        console.print(_table("short, by pool", ("pool", "reason"), by_pool, top))
        console.print(_table("short, by SKU", ("SKU",), by_sku, top))
    _show_verdict(outcome, console)


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    invoices, plan, tally = outcome.invoices, outcome.plan, outcome.tally
    total = tally.total()
    skipped = ", ".join(f"{lines:,} {reason}" for reason, lines in sorted(invoices.skipped.items()))
    quotas = sum(map(len, plan.quotas.values()))
    kinds = by_kind(outcome.audit.sold_by_pool)
    given = ", ".join(f"{kinds.get(depth, 0):,} {kind_name(depth)}" for depth in (2, 1, 0))
    back = f"{total.cancelled:,} by Cancel, {total.returned:,} as a fact, {tally.void_units:,} never granted"
    seconds = outcome.seconds
    figures = [
        ("file", f"{invoices.lines:,} lines, {len(invoices):,} invoices, {len(invoices.skus):,} SKUs"),
        ("lines that are no stock", skipped or "none"),
        ("opening stock", f"{plan.opening_units:,} units: {outcome.share:g} of {plan.peak_units:,}"),
        ("ring-fenced", f"{plan.fenced_units:,} units in {quotas:,} quotas: up to {outcome.fenced:g} of it"),
        ("orders", f"{tally.orders:,}: {tally.accepted:,} accepted, {tally.in_part:,} of them in part"),
        ("refused", f"{tally.refused:,} orders, {tally.refused_lines:,} lines, {tally.refused_units:,} units"),
        ("cancellations", f"{tally.cancellations:,}: {back}"),
        ("write-offs", f"{tally.write_offs:,}: {total.written_off:,} units"),
        ("units sold", f"{total.sold:,}"),
        ("units kept, by pool", given),
        ("units on hand", f"{total.on_hand:,}"),
    ]
    if seconds:
        speed = f"{tally.orders / seconds:,.0f} orders/s, {tally.lines / seconds:,.0f} lines/s"
        figures.append(("speed", f"{speed}, {tally.commands / seconds:,.0f} commands/s; {seconds:,.1f} s"))
    return figures


def _show_verdict(outcome: Outcome, console: Console) -> None:
    tally, audit, verify = outcome.tally, outcome.audit, outcome.verify
    for kind, count in tally.errors.items():
        console.print(f"unexpected: {count:,} × {kind}", style="red", markup=False, soft_wrap=True)
    for text in (*tally.examples, *audit.violations[:MOST_EXAMPLES]):
        console.print(f"  {text}", markup=False, soft_wrap=True)
    found = "adds up, nothing oversold" if audit.ok else f"{len(audit.violations):,} violations"
    console.print(
        f"own check: {audit.skus:,} SKUs, {audit.entries:,} ledger entries, {audit.promises:,} promises: "
        + (found if audit.complete else f"not finished, {found}"),
        style="green" if audit.ok else "red",
        soft_wrap=True,
    )
    if audit.below_zero:
        console.print(f"SKUs below zero, because more was written off than was left: {audit.below_zero:,}")
    if verify is None:
        console.print("Verify: no verdict", style="red")
        return
    found = "everything adds up" if verify.ok else f"{len(verify.violations):,} violations"
    console.print(
        f"Verify: {verify.keys_checked:,} keys, {verify.entries_read:,} entries: {found}",
        style="green" if verify.ok else "red",
        soft_wrap=True,
    )
    for each in verify.violations[:MOST_EXAMPLES]:
        console.print(
            f"  {each.key}, {each.path or 'common pool'}: {each.rule}: {each.description}", markup=False, soft_wrap=True
        )


def _table(title: str, columns: tuple[str, ...], sums: dict[Any, Missing], top: int) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column)
    table.add_column("lines", justify="right")
    table.add_column("units", justify="right")
    rows = ranked(sums)
    for key, missing in rows[:top]:
        table.add_row(*key, f"{missing.lines:,}", f"{missing.units:,}")
    if len(rows) > top:
        table.caption = f"{len(rows) - top:,} more"
    return table
