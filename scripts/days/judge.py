"""The judge: what was really there, by the tills' own journals."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence import FigureResult
from ringfence.adapters.simulated_till import LineState, Mark, SimulatedTill
from scripts.days.messages import Delta
from scripts.days.plan import Order

__all__ = ["Sale", "Verdict", "chained", "owed_at", "promised_now"]


@dataclass(slots=True)
class Sale:
    """An accepted order, and what the service was told of it."""

    order: Order
    units: int
    """Sold and not given up, as far as the service was told."""
    handed: bool = False
    """Whether its till's adapter has it."""
    arrives: int = 0
    """The minute at which the till has it, once it was handed over."""
    asked: bool = False
    """Whether the till is asked to cancel it and has not answered."""
    told_closed: bool = False
    """Whether the service was told that the till books nothing more for it."""
    told_rejected: bool = False
    """Whether the service was told that the till will not serve it."""
    given_up: bool = False
    """Whether the shop has given up what the till rejected."""
    elsewhere: int = 0
    """Units that another store has booked, and of which the service was not told."""
    moved: int = 0
    """Units that another store has booked, and of which the service was told: they are that store's now."""

    @property
    def reference(self) -> str:
        """The order's number."""
        return self.order.reference

    @property
    def taken_over(self) -> int:
        """Units that another store has booked."""
        return self.elsewhere + self.moved


@dataclass(slots=True)
class Verdict:
    """What came of one day under one set of rules."""

    name: str
    asked: int = 0
    """Orders that came in."""
    accepted: int = 0
    """Orders that were sold."""
    counts: int = 0
    """Counts judged: one per item and figure that reached the service."""
    too_high: int = 0
    """Counts after which more was for sale than was there by the till's journal."""
    too_low: int = 0
    """Counts after which less was."""
    oversold_by_rule: int = 0
    """Units sold that were not there, and that no walk-in explains that the till had yet to report."""
    oversold_by_walk_ins: int = 0
    """Units sold that a customer in the store had just taken."""
    undersold_unit_minutes: int = 0
    """Units that were there and not for sale, times minutes."""
    deltas: int = 0
    """Chained deltas that reached the service."""
    stale: int = 0
    """Deltas that came after a newer figure."""
    gaps: int = 0
    """Deltas that came before the one before them."""
    resent: int = 0
    """Messages with figures that an adapter sent for that."""
    epochs: int = 0
    """Tills that were replaced."""
    old_figures: int = 0
    """Figures and deltas of a till's older epoch that came after a figure of the newer one."""
    moved: int = 0
    """Orders that were booked in another store, in whole or in part."""
    seconds: float = 0.0
    """Real time that the day took."""
    faults: list[str] = field(default_factory=list)
    """What else was not as it must be."""
    samples: list[str] = field(default_factory=list)
    """The first wrong counts, for people."""

    @property
    def right(self) -> bool:
        """Whether no count was wrong and nothing was oversold but what walk-ins took."""
        wrong = self.too_high or self.too_low or self.oversold_by_rule or self.faults
        return bool(self.counts) and not wrong


def owed_at(till: SimulatedTill, sale: Sale, mark: Mark) -> int:
    """Units by which a figure of this mark is too high for a sale, by the till's journal and what its channel knows.
    A till that was replaced goes on where the old one stood: what happened counts, not what it writes down anew."""
    units = sale.units
    if not units:
        return 0
    line = _line(till, sale)
    bookings = till.movements(sale.reference) if line is not None else ()
    contained = min(max(0, sum(quantity for at, quantity in bookings if at <= mark)), units)
    if line is None or not sale.told_closed:
        return units - contained
    total = ever = beyond = 0
    for at, quantity in bookings:
        total += quantity
        ever = max(ever, total)
        if at > mark:
            beyond = max(beyond, total)
    owed = max(0, min(beyond, units) - contained)
    if (line.reject_reason or total > 0) and not sale.asked:
        # Rejected: sold, until the shop decides.
        owed += max(0, units - ever)
    return owed


def promised_now(till: SimulatedTill, sale: Sale) -> int:
    """Units on the till's shelf that belong to a sale now."""
    line = _line(till, sale)
    if line is None:
        return sale.units - sale.elsewhere
    if line.closed:
        return 0
    return max(0, sale.units - sale.elsewhere - sum(quantity for _, quantity in line.bookings))


def chained(delta: Delta, in_force: Mark) -> FigureResult:
    """What a delta is worth at the mark of a figure: it follows it, it is in it, or one before it is missing."""
    if delta.mark <= in_force:
        return FigureResult.STALE
    if delta.mark.epoch > in_force.epoch or delta.previous > in_force.position:
        return FigureResult.GAP
    return FigureResult.APPLIED


def _line(till: SimulatedTill, sale: Sale) -> LineState | None:
    try:
        return till.state_of(sale.reference)
    except KeyError:
        return None  # it has not come to the till yet
