"""A full count: a session that zeroes what it did not mention. Row 22 of the settlement table.

A mentioned key has a figure at the count's mark or a newer one. So what a count zeroes are simply the keys of its
location and measure whose figure is older; mentioning only proves that everything arrived.
"""

from __future__ import annotations

from collections.abc import Callable

from .commands import CountBegin, CountEnd, Figure, PostStock
from .figure import InForce, apply_figure
from .journal import Batch
from .outcomes import CountOutcome, CountResult, Violation
from .policy import Policy
from .state import Stock
from .till_state import CountSession


def session_of(batch: Batch, organization: str, command: PostStock) -> CountSession | None:
    """The full count that a request belongs to: the one begun before, or else the one that it begins."""
    if not command.count_id:
        return None
    session = batch.counts.get((organization, command.source, command.count_id))
    if session is None and command.begin is not None:
        measure = _measure(batch.policy(organization), command.begin)
        session = CountSession(
            organization,
            command.source,
            command.count_id,
            command.begin.location,
            measure,
            command.begin.mark,
            batch.record_time,
        )
    return session


def count_violations(policy: Policy, command: PostStock) -> list[Violation]:
    """Rules of form of a request's count."""
    found: list[Violation] = []
    if (command.begin is not None or command.end is not None) and not command.count_id:
        found.append(Violation("count_id", "REQUIRED", "the source's own name for the full count, never used twice"))
    if command.begin is not None:
        measure = _measure(policy, command.begin)
        if policy.measure(measure) is None:
            known = ", ".join(each.name for each in policy.measures)
            text = f"{measure!r} is no measure of the policy, it has {known}"
            found.append(Violation("begin_count.measure", "MEASURE_NOT_IN_POLICY", text))
    return found


def counted_figure(session: CountSession, figure: Figure, measure: str, field: str) -> Figure | Violation:
    """A figure of a full count, at the count's mark unless it names one of its own."""
    if (figure.key.location, measure) != (session.location, session.measure):
        text = f"the count is one of {session.measure!r} at {session.location!r}; post others without count_id"
        return Violation(f"{field}.key.location", "FIGURE_NOT_OF_COUNT", text)
    if figure.delta:
        text = "a full count is of absolute values"
        return Violation(f"{field}.delta", "DELTA_IN_COUNT", text)
    if not figure.position:
        return figure._replace(epoch=session.mark.epoch, position=session.mark.position)
    if (figure.epoch, figure.position) < session.mark:
        text = (
            f"the count's position is {session.mark.position} in epoch {session.mark.epoch}; a figure of it is no older"
        )
        return Violation(f"{field}.position", "POSITION_BEFORE_COUNT", text)
    return figure


def begin_count(batch: Batch, organization: str, command: PostStock, session: CountSession) -> CountOutcome:
    """Opens the session; a repeat finds it open."""
    assert command.begin is not None
    name = (organization, command.source, command.count_id)
    if name not in batch.counts:
        batch.counts[name] = session
        return CountOutcome(CountResult.BEGUN, 0)
    policy = batch.policy(organization)
    begun = (command.begin.location, _measure(policy, command.begin), command.begin.mark)
    same = begun == (session.location, session.measure, session.mark)
    return CountOutcome(CountResult.DUPLICATE if same else CountResult.CONFLICT, session.mentioned)


def mention(session: CountSession, stock: Stock) -> None:
    """A figure of the count is durable, whatever came of it: its key is mentioned."""
    value = stock.measure(session.measure)
    if value.count_id != session.count_id:
        value.count_id = session.count_id
        value.changed = stock.changed = True
        session.mentioned += 1
        session.changed = True


def end_count(
    batch: Batch,
    policy: Policy,
    organization: str,
    command: PostStock,
    session: CountSession | None,
    watch: Callable[[Stock], None],
) -> CountOutcome:
    """Row 22: when everything the count mentioned is durable, what it did not mention, at an older mark, becomes zero,
    as a figure of the count would have it. What would zero too much of the location waits for a person."""
    end = command.end
    assert end is not None
    if session is None:
        return CountOutcome(CountResult.INCOMPLETE, 0)
    if session.ended:
        return CountOutcome(CountResult.DUPLICATE, session.mentioned)
    if session.mentioned != end.key_count:
        return CountOutcome(CountResult.INCOMPLETE, session.mentioned)
    scope = batch.scopes[organization, session.location, session.measure, session.mark]
    unmentioned, units = scope.lower_keys, scope.lower_units
    if _needs_confirmation(policy, end, units, scope.units):
        return CountOutcome(CountResult.NEEDS_CONFIRMATION, session.mentioned, unmentioned, units)
    for key in scope.keys:
        stock = batch.stocks[key]
        known = stock.measure(session.measure)
        if known.mark < session.mark:
            watch(stock)
            zero = InForce(0, *session.mark)
            apply_figure(batch, policy, stock, session.measure, command.source, None, zero)
    zeroed = units - scope.lower_units
    if scope.lower_keys:
        return CountOutcome(CountResult.CONTINUE, session.mentioned, unmentioned, zeroed, scope.lower_keys)
    session.ended = session.changed = True
    return CountOutcome(CountResult.APPLIED, session.mentioned, unmentioned, zeroed)


def _needs_confirmation(policy: Policy, end: CountEnd, zeroed: int, units: int) -> bool:
    return not end.confirmed and zeroed * 100 > policy.full_count_confirm_share * units


def _measure(policy: Policy, begin: CountBegin) -> str:
    return begin.measure or policy.location(begin.location).settlement_measure
