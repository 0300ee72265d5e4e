"""Figures of measures: which is newer, and what a newer one moves. Rows 5 to 10, 22 and 23 of the settlement table.

A figure is a value with a mark (epoch and position); it contains exactly the bookings up to its mark. Times decide
nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from .checks import dimensions_violation
from .commands import Figure
from .journal import Batch
from .names import COMMON, StockKey
from .outcomes import FigureResult, Violation
from .policy import Location, LocationKind, MeasureKind, Policy
from .settle import line_parts, rule_s
from .state import EntryKind, MeasureValue, Stock
from .supply import move_supply
from .till_state import NO_MARK, Discrepancy, DiscrepancyKind, Mark


class InForce(NamedTuple):
    """The value of a measure and the mark of its figure."""

    value: int
    epoch: int
    position: int

    @property
    def mark(self) -> Mark:
        """The mark of the figure."""
        return Mark(self.epoch, self.position)


NOTHING_POSTED = InForce(0, *NO_MARK)


def in_force(batch: Batch, key: StockKey, measure: str) -> InForce:
    """What is in force of a measure of a key."""
    stock = batch.stocks.get(key)
    known = stock.measures.get(measure) if stock is not None else None
    return InForce(known.value, known.epoch, known.position) if known is not None else NOTHING_POSTED


def judge(figure: Figure, known: InForce) -> tuple[FigureResult, InForce]:
    """What comes of a figure, with what is in force after it."""
    value, epoch, position = known
    if not figure.delta and not figure.position:
        return FigureResult.APPLIED, InForce(figure.amount, epoch, position)
    posted, in_force = (figure.epoch, figure.position), (epoch, position)
    if figure.previous_position is not None:
        if posted <= in_force:
            return FigureResult.STALE, known
        if figure.epoch > epoch or figure.previous_position > position:
            return FigureResult.GAP, known
        return FigureResult.APPLIED, InForce(value + figure.amount, *posted)
    if figure.delta:
        return FigureResult.APPLIED, InForce(value + figure.amount, *max(in_force, posted))
    if posted > in_force:
        return FigureResult.APPLIED, InForce(figure.amount, *posted)
    if posted < in_force:
        return FigureResult.STALE, known
    return (FigureResult.DUPLICATE if figure.amount == value else FigureResult.CONFLICT), known


def figure_violation(
    policy: Policy, location: Location, source: str, figure: Figure, name: str, number: int
) -> Violation | None:
    """The rule that the request's figure of this number, of the measure ``name`` at its location, breaks if it does."""
    measure = policy.measure(name)
    if measure is None:
        known = ", ".join(known.name for known in policy.measures)
        return Violation(
            _field(number, "measure"), "MEASURE_NOT_IN_POLICY", f"{name!r} is no measure of the policy, it has {known}"
        )
    counts = name == location.settlement_measure
    chained = figure.previous_position is not None
    if measure.kind is MeasureKind.FIGURE:
        if figure.delta and not chained and not (counts and location.kind is LocationKind.OWNED):
            text = f"{name!r} is a FIGURE here: post its absolute value, or chain the delta by previous_position"
            return Violation(_field(number, "delta"), "DELTA_OF_FIGURE", text)
        if chained and not figure.delta:
            text = "an absolute value stands for itself; leave it out, or post a delta"
            return Violation(_field(number, "previous_position"), "PREVIOUS_POSITION_OF_VALUE", text)
        if figure.previous_position is not None and figure.position <= figure.previous_position:
            text = f"position is {figure.position}: above previous_position, which is {figure.previous_position}"
            return Violation(_field(number, "position"), "POSITION_NOT_AFTER_PREVIOUS", text)
    elif not figure.delta:
        return Violation(
            _field(number, "value"), "VALUE_OF_COUNTER", f"{name!r} is a COUNTER: post differences as delta"
        )
    elif chained:
        text = f"{name!r} is a COUNTER: its differences come in any order; leave it out"
        return Violation(_field(number, "previous_position"), "PREVIOUS_POSITION_OF_COUNTER", text)
    if location.kind is LocationKind.TILL:
        if not figure.delta and not figure.position:
            return Violation(
                _field(number, "position"), "POSITION_REQUIRED", "a till's figure carries the till's position"
            )
        if counts and location.source and source != location.source:
            text = f"{name!r} of {location.name!r} is posted by {location.source!r}, not {source!r}"
            right = "name that source, or have the policy name yours"
            return Violation("source", "SOURCE_NOT_OF_LOCATION", f"{text}: {right}")
    if figure.key.dimensions:
        return dimensions_violation(policy, figure.key, _field(number, "key"))
    return None


def _field(number: int, name: str) -> str:
    return f"figures[{number}].{name}"


def new_stock(batch: Batch, policy: Policy, key: StockKey) -> Stock:
    """The stock of a key that was not known: the first post of any measure makes it so."""
    stock = batch.stocks[key] = Stock(batch.new_stock_id(key), key, policy_revision=policy.revision)
    stock.changed = True
    stock.pool(COMMON).changed = True
    return stock


def apply_figure(
    batch: Batch, policy: Policy, stock: Stock, measure: str, source: str, count_time: int | None, new: InForce
) -> None:
    """Rows 5, 8, 10, 22 and 23: a newer figure moves common.a by its coefficient; one of a till's settlement measure
    then has every sale of the key judged at its mark."""
    known = stock.measure(measure)
    value, epoch, position = new
    if known.record_time:
        if batch.scopes:
            _tell_scopes(batch, stock.key, known, measure, new)
        if epoch != known.epoch:
            known.epoch_ends = (*known.epoch_ends, known.mark)
    elif batch.scopes:
        _tell_scopes(batch, stock.key, None, measure, new)
    delta = value - known.value
    known.value, known.epoch, known.position = value, epoch, position
    known.source = source
    known.count_time = count_time
    known.record_time = batch.record_time
    known.changed = stock.changed = True
    if delta:
        move_supply(batch, stock, policy.coefficient(measure) * delta, EntryKind.SUPPLY, measure)
    batch.record_fact(stock, known, delta)
    if policy.has_tills:
        location = policy.location(stock.key.location)
        if location.kind is LocationKind.TILL and measure == location.settlement_measure:
            settle_key(batch, policy, stock)


def settle_key(batch: Batch, policy: Policy, stock: Stock) -> None:
    """Rule S for all sales of a key that its till's figure may still move."""
    sales = batch.sales_at(stock)
    if not sales:
        return
    judged: set[tuple[bytes, int]] = set()
    for reservation, part in sales:
        line = (reservation.reservation_id, part.line_number)
        if part.till is not None and part.till.awaiting and line not in judged:
            judged.add(line)
            parts = line_parts(reservation, part)
            before = [(each.unsettled, each.settled) for each in parts]
            rule_s(batch, policy, reservation, parts)
            if before != [(each.unsettled, each.settled) for each in parts]:
                reservation.touch()


def list_conflict(batch: Batch, key: StockKey, measure: str, source: str, figure: Figure, known: InForce) -> None:
    """Row 7: two reads share one position, or the source is at fault."""
    batch.discrepancies.append(
        Discrepancy(
            batch.next_sequence(),
            DiscrepancyKind.POSITION_CONFLICT,
            key,
            figure.amount - known.value,
            source,
            measure,
            figure.epoch,
            figure.position,
            known.value,
            figure.amount,
            b"",
            0,
            "",
            batch.request_id,
            batch.record_time,
        )
    )


def _tell_scopes(batch: Batch, key: StockKey, known: MeasureValue | None, measure: str, new: InForce) -> None:
    for (organization, location, name, _), scope in batch.scopes.items():
        if (organization, location, name) == (key.organization, key.location, measure):
            old_value, old = (known.value, known.mark) if known is not None else (0, None)
            scope.replace(old_value, old, new.value, new.mark)
