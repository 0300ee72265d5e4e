"""Supply: measures, figures and their order, the formula, and valuing a key anew."""

from __future__ import annotations

from .checks import dimensions_violation
from .commands import Figure, PostStock
from .journal import Batch
from .names import COMMON, MAX_QUANTITY, StockKey
from .outcomes import (
    FigureOutcome,
    FigureResult,
    Invalid,
    Overflow,
    Posted,
    Refusal,
    ValueMismatch,
    Violation,
)
from .policy import LocationKind, MeasureKind, Policy
from .state import EntryKind, MeasureValue, Place, Stock


def supply_of(policy: Policy, stock: Stock) -> int:
    """The formula's value over the key's measures: Σ coefficient × value, unposted measures being 0."""
    total = 0
    for term in policy.supply:
        value = stock.measures.get(term.measure)
        if value is not None:
            total += term.coefficient * value.value
    return total


def change_measure(stock: Stock, measure: str, delta: int) -> None:
    """A sale or its return at an OWNED location: the service's own count changes; supply moves with the sale itself.

    The ledger entry of the sale names the measure, so its history needs no fact of its own.
    """
    value = stock.measure(measure)
    value.value += delta
    value.changed = True


def move_supply(batch: Batch, stock: Stock, delta: int, kind: EntryKind, measure: str = "") -> None:
    """A fact changes supply: it moves the common pool's free units only, and is never refused for making them
    negative."""
    if delta > 0:
        batch.move(kind, stock, delta, None, Place.OUTSIDE, stock.pool(COMMON), Place.FREE, measure=measure)
    elif delta < 0:
        batch.move(kind, stock, -delta, stock.pool(COMMON), Place.FREE, None, Place.OUTSIDE, measure=measure)


def revalue(batch: Batch, policy: Policy, stock: Stock) -> None:
    """Values a key by the policy in force, as a fact; before any decision on a key that an older policy valued."""
    move_supply(batch, stock, supply_of(policy, stock) - stock.supply, EntryKind.REVALUE)
    stock.policy_revision = policy.revision
    stock.changed = True


def post_stock(batch: Batch, organization: str, command: PostStock) -> Posted | Refusal:
    """Posts figures and differences, atomic over measures and keys. The first post makes a key known.

    A value with a newer position is APPLIED; the same position is a DUPLICATE, or with another value a CONFLICT; an
    older one is STALE. At an OWNED location a value without position counts as of now.
    """
    policy = batch.policy(organization)
    trial: dict[tuple[StockKey, str], tuple[int, int]] = {}
    results: list[tuple[Figure, str, FigureResult, int, int]] = []
    for number, figure in enumerate(command.figures):
        field = f"figures[{number}]"
        measure = figure.measure or policy.location(figure.key.location).settlement_measure
        violation = _figure_violation(policy, figure, measure, field)
        if violation is not None:
            return Invalid((violation,))
        value, position = _in_force(batch, trial, figure.key, measure)
        if figure.expected_value is not None and figure.expected_value != value:
            return ValueMismatch(f"{field}.expected_value", figure.expected_value, value)
        result, value, position = _judge(figure, value, position)
        if result is FigureResult.APPLIED and abs(value) > MAX_QUANTITY:
            return Overflow(f"{field}.delta", f"{measure} would become {value}; a measure stays within ±10^12")
        trial[figure.key, measure] = (value, position)
        results.append((figure, measure, result, value, position))
    outcomes = []
    for figure, measure, result, value, position in results:
        stock = batch.stocks.get(figure.key)
        if stock is None:
            stock = Stock(batch.new_stock_id(figure.key), figure.key, policy_revision=policy.revision)
            stock.changed = True
            batch.stocks[figure.key] = stock
            stock.pool(COMMON).changed = True
        if result is FigureResult.APPLIED:
            _apply(batch, policy, stock, command.source, figure, measure, value, position)
        outcomes.append(FigureOutcome(figure.key, measure, result, value, position, stock))
    return Posted(tuple(outcomes))


def _in_force(
    batch: Batch, trial: dict[tuple[StockKey, str], tuple[int, int]], key: StockKey, measure: str
) -> tuple[int, int]:
    tried = trial.get((key, measure))
    if tried is not None:
        return tried
    stock = batch.stocks.get(key)
    known: MeasureValue | None = stock.measures.get(measure) if stock is not None else None
    return (known.value, known.position) if known is not None else (0, 0)


def _judge(figure: Figure, value: int, position: int) -> tuple[FigureResult, int, int]:
    """What comes of a figure, with the value and position in force after it."""
    if figure.delta:
        return FigureResult.APPLIED, value + figure.amount, max(position, figure.position)
    if not figure.position:
        return FigureResult.APPLIED, figure.amount, position
    if figure.position > position:
        return FigureResult.APPLIED, figure.amount, figure.position
    if figure.position < position:
        return FigureResult.STALE, value, position
    return FigureResult.DUPLICATE if figure.amount == value else FigureResult.CONFLICT, value, position


def _figure_violation(policy: Policy, figure: Figure, name: str, field: str) -> Violation | None:
    measure = policy.measure(name)
    if measure is None:
        known = ", ".join(known.name for known in policy.measures)
        return Violation(f"{field}.measure", "MEASURE_NOT_IN_POLICY", f"{name!r} is no measure of the policy: {known}")
    location = policy.location(figure.key.location)
    counted_here = location.kind is LocationKind.OWNED and name == location.settlement_measure
    if figure.delta and measure.kind is MeasureKind.FIGURE and not counted_here:
        return Violation(f"{field}.delta", "DELTA_OF_FIGURE", f"{name!r} is a FIGURE here: post its absolute value")
    if not figure.delta and measure.kind is MeasureKind.COUNTER:
        return Violation(f"{field}.value", "VALUE_OF_COUNTER", f"{name!r} is a COUNTER: post differences as delta")
    if not figure.delta and not figure.position and location.kind is LocationKind.TILL:
        return Violation(f"{field}.position", "POSITION_REQUIRED", "a till's figure carries the till's position")
    return dimensions_violation(policy, figure.key, f"{field}.key")


def _apply(
    batch: Batch,
    policy: Policy,
    stock: Stock,
    source: str,
    figure: Figure,
    measure: str,
    value: int,
    position: int,
) -> None:
    in_force = stock.measure(measure)
    delta = value - in_force.value
    in_force.value = value
    in_force.position = position
    in_force.source = source
    in_force.count_time = figure.count_time
    in_force.record_time = batch.record_time
    in_force.changed = True
    stock.changed = True
    move_supply(batch, stock, policy.coefficient(measure) * delta, EntryKind.SUPPLY, measure)
    batch.record_fact(stock, in_force, delta)
