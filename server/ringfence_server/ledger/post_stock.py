"""PostStock: one atomic batch of facts. Bookings are taken first, figures second, the end of a full count last."""

from __future__ import annotations

from typing import NamedTuple

from .booking import booking_violation, take_booking, with_standing
from .commands import Figure, PostStock
from .figure import InForce, apply_figure, figure_violation, in_force, judge, list_conflict, new_stock
from .full_count import begin_count, count_violations, counted_figure, end_count, mention, session_of
from .journal import Batch
from .names import MAX_QUANTITY, StockKey
from .outcomes import (
    CountOutcome,
    FigureOutcome,
    FigureResult,
    Invalid,
    Overflow,
    Posted,
    Refusal,
    ValueMismatch,
    Violation,
)
from .policy import LocationKind, Policy
from .state import Stock
from .till_state import CountSession, Discrepancy, DiscrepancyKind


class _Judged(NamedTuple):
    """A figure with what comes of it."""

    figure: Figure
    measure: str
    result: FigureResult
    before: InForce
    after: InForce


def post_stock(batch: Batch, organization: str, command: PostStock) -> Posted | Refusal:
    """Posts figures and differences and takes bookings, atomic over measures and keys. The first post makes a key
    known.

    A value at a newer mark is APPLIED; the same mark is a DUPLICATE, or with another value a CONFLICT; an older one is
    STALE. A chained delta whose predecessor is missing is a GAP. At an OWNED location a value without position counts
    as of now. Only rules of form, another value than expected and an overflow refuse, and then everything.
    """
    policy = batch.policy(organization)
    session: CountSession | None = None
    if command.count_id or command.begin is not None or command.end is not None:
        violations = count_violations(policy, command)
        if violations:
            return Invalid(tuple(violations))
        session = session_of(batch, organization, command)
    for number, report in enumerate(command.bookings):
        violation = booking_violation(batch, organization, report, f"bookings[{number}]")
        if violation is not None:
            return Invalid((violation,))
    judged = _judge_all(batch, policy, command, session)
    if not isinstance(judged, list):
        return judged
    begin = begin_count(batch, organization, command, session) if command.begin is not None and session else None
    short = _Shortfalls(batch, command.source)
    bookings = []
    for report in command.bookings:
        bookings.append(take_booking(batch, organization, command.source, report, short.watch))
    source = command.source
    outcomes: list[FigureOutcome] = []
    for figure, measure, result, before, after in judged:
        key = figure.key
        stock = batch.stocks.get(key) or new_stock(batch, policy, key)
        if stock.promised:
            short.watch(stock)
        if result is FigureResult.APPLIED:
            apply_figure(batch, policy, stock, measure, source, figure.count_time, after)
        elif result is FigureResult.CONFLICT:
            list_conflict(batch, key, measure, source, figure, before)
        if session is not None:
            mention(session, stock)
        outcomes.append(FigureOutcome(key, measure, result, after.value, after.position, stock, after.epoch))
    end: CountOutcome | None = None
    if command.end is not None:
        end = end_count(batch, policy, organization, command, session, short.watch)
    short.list_new()
    if policy.has_tills:
        # c is a part of what is promised: where nothing is, there is none.
        outcomes = [
            _with_unsettled(batch, policy, outcome) if outcome.stock.promised else outcome for outcome in outcomes
        ]
    return Posted(tuple(outcomes), tuple([with_standing(outcome) for outcome in bookings]), begin, end)


def _judge_all(
    batch: Batch, policy: Policy, command: PostStock, session: CountSession | None
) -> list[_Judged] | Invalid | ValueMismatch | Overflow:
    """What comes of each figure, each after those before it; nothing has moved yet."""
    trial: dict[tuple[StockKey, str], InForce] = {}
    judged: list[_Judged] = []
    source = command.source
    for number, posted in enumerate(command.figures):
        location = policy.location(posted.key.location)
        measure = posted.measure or location.settlement_measure
        figure = posted if session is None else counted_figure(session, posted, measure, f"figures[{number}]")
        if isinstance(figure, Violation):
            return Invalid((figure,))
        violation = figure_violation(policy, location, source, figure, measure, number)
        if violation is not None:
            return Invalid((violation,))
        name = (figure.key, measure)
        before = trial.get(name) or in_force(batch, figure.key, measure)
        if figure.expected_value is not None and figure.expected_value != before.value:
            return ValueMismatch(f"figures[{number}].expected_value", figure.expected_value, before.value)
        result, after = judge(figure, before)
        if result is FigureResult.APPLIED and not -MAX_QUANTITY <= after.value <= MAX_QUANTITY:
            text = f"{measure} would become {after.value}; a measure stays within ±10^12"
            return Overflow(f"figures[{number}].delta", text)
        trial[name] = after
        judged.append(_Judged(figure, measure, result, before, after))
    return judged


def _with_unsettled(batch: Batch, policy: Policy, outcome: FigureOutcome) -> FigureOutcome:
    if policy.location(outcome.key.location).kind is LocationKind.OWNED:
        return outcome
    return outcome._replace(unsettled=sum(part.unsettled for _, part in batch.sales_at(outcome.stock)))


class _Shortfalls:
    """Lists stock keys of which a request's facts left more promised than is there, or more so than before."""

    def __init__(self, batch: Batch, source: str) -> None:
        self._batch = batch
        self._source = source
        self._before: dict[StockKey, int] = {}

    def watch(self, stock: Stock) -> None:
        """Call it before the first fact of a key."""
        self._before.setdefault(stock.key, promises_short(stock))

    def list_new(self) -> None:
        """Call it after the last fact."""
        batch = self._batch
        for key, before in self._before.items():
            stock = batch.stocks[key]
            short = promises_short(stock)
            if short <= before:
                continue
            name = batch.policy(key.organization).location(key.location).settlement_measure
            figure = stock.measures.get(name)
            batch.discrepancies.append(
                Discrepancy(
                    batch.next_sequence(),
                    DiscrepancyKind.SHORTFALL,
                    key,
                    short,
                    self._source,
                    name,
                    figure.epoch if figure is not None else 0,
                    figure.position if figure is not None else 0,
                    before,
                    short,
                    b"",
                    0,
                    "",
                    batch.request_id,
                    batch.record_time,
                )
            )


def promises_short(stock: Stock) -> int:
    """Units that are promised and not there: what net lacks, as far as it is promised."""
    return min(max(0, -stock.net), stock.promised)
