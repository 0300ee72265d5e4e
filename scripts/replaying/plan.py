"""What a planner sets up before the first order: opening stock, and what of it is ring-fenced for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from scripts.replaying.invoices import Invoice

_CHANNEL_PART = Fraction(1, 2)
"""Of what is fenced for a path, the part that its whole channel may draw on ("customer", not "customer/france")."""


@dataclass(slots=True)
class Drawdown:
    """How far one SKU's stock is drawn down while the file is read."""

    drawn: int = 0
    """Units gone so far: sold and written off, less what came back."""
    peak: int = 0
    """The most that was ever gone: with that much at the start nothing runs out. Never below zero."""
    at_peak: dict[str, int] = field(default_factory=dict)
    """By path, what had been sold less what had come back when the peak was reached."""
    _since: dict[str, int] = field(default_factory=dict)

    def move(self, quantity: int, path: str | None) -> None:
        """Units go (above zero) or come back, for a path or for nobody."""
        self.drawn += quantity
        if path is not None:
            self._since[path] = self._since.get(path, 0) + quantity

    def settle(self) -> None:
        """An invoice is complete: notes the peak if this is one."""
        if self.drawn > self.peak:
            self.peak = self.drawn
            for path, quantity in self._since.items():
                self.at_peak[path] = self.at_peak.get(path, 0) + quantity
            self._since.clear()


@dataclass(frozen=True)
class Plan:
    """What is set up before the first order."""

    opening: dict[str, int]
    """Units on hand at the start, of every SKU that the file moves; may be 0."""
    quotas: dict[str, dict[str, int]]
    """Of them what is fenced, by SKU and path; above zero. The rest stays common."""
    brought_back: frozenset[tuple[str, str]]
    """Customer and SKU of everything that will come back: purchases of anything else need not be remembered."""
    peak_units: int
    """The sum of the peaks, whatever share of them is the opening stock."""
    peak_skus: int
    """SKUs whose peak is above zero."""

    @property
    def opening_units(self) -> int:
        """The sum of the opening stock."""
        return sum(self.opening.values())

    @property
    def fenced_units(self) -> int:
        """The sum of the quotas."""
        return sum(sum(paths.values()) for paths in self.quotas.values())


def make_plan(invoices: Iterable[Invoice], share: Fraction, fenced: Fraction) -> Plan:
    """Plans with the file's own hindsight. `share` of each SKU's peak net drawdown is its opening stock, rounded down.

    Of that, `fenced` (0 to 1) is ring-fenced in proportion to what each path had drawn at the peak: half for the path
    itself and half for its channel, both rounded down. The rest, and what write-offs will take, stays common.
    """
    drawdowns: dict[str, Drawdown] = {}
    brought_back: set[tuple[str, str]] = set()
    for invoice in invoices:
        touched: dict[str, Drawdown] = {}
        for units, direction, path in (
            (invoice.sold, 1, invoice.path),
            (invoice.returned, -1, invoice.path),
            (invoice.written_off, 1, None),
        ):
            for sku, quantity in units:
                drawdown = touched[sku] = drawdowns.setdefault(sku, Drawdown())
                drawdown.move(direction * quantity, path)
        for drawdown in touched.values():
            drawdown.settle()
        if invoice.customer:
            brought_back.update((invoice.customer, sku) for sku, _ in invoice.returned)
    opening = {sku: int(drawdowns[sku].peak * share) for sku in sorted(drawdowns)}
    quotas = {sku: fence(drawdowns[sku], units * fenced) for sku, units in opening.items()}
    return Plan(
        opening=opening,
        quotas={sku: paths for sku, paths in quotas.items() if paths},
        brought_back=frozenset(brought_back),
        peak_units=sum(drawdown.peak for drawdown in drawdowns.values()),
        peak_skus=sum(drawdown.peak > 0 for drawdown in drawdowns.values()),
    )


def fence(drawdown: Drawdown, units: Fraction) -> dict[str, int]:
    """Divides `units` of a SKU among those who had drawn it at its peak; never more than `units` in all."""
    demand = {path: quantity for path, quantity in sorted(drawdown.at_peak.items()) if quantity > 0}
    whole = max(drawdown.peak, sum(demand.values()))
    quotas: dict[str, int] = {}
    channels: dict[str, Fraction] = {}
    for path, quantity in demand.items():
        part = units * quantity / whole
        channel = path.partition("/")[0]
        channels[channel] = channels.get(channel, Fraction(0)) + part * _CHANNEL_PART
        quotas[path] = int(part * (1 - _CHANNEL_PART))
    quotas |= {channel: int(part) for channel, part in channels.items()}
    return {path: quantity for path, quantity in quotas.items() if quantity}
