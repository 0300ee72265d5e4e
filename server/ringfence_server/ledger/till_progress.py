"""Where a sold part stands on its way into a till: what lists of stuck orders ask for."""

from __future__ import annotations

from .reading import TillProgress
from .state import Part, Reservation


def way_of(reservation: Reservation, part: Part) -> tuple[TillProgress, int] | None:
    """Of NOT_SENT, NOT_RECEIVED and NOT_SETTLED where the part stands, and since when (microseconds); None: its till
    has it in a figure, or will not book it."""
    till = part.till
    if till is None or part.unsettled <= 0:
        return None
    if part.received_time is not None:
        return (TillProgress.NOT_SETTLED, part.received_time) if part.unsettled > till.undecided else None
    if till.closed:
        return None
    if part.sent_time is not None:
        return TillProgress.NOT_RECEIVED, part.sent_time
    return TillProgress.NOT_SENT, reservation.consume_time or reservation.create_time


def stands_at(reservation: Reservation, part: Part, progress: TillProgress, until: int) -> bool:
    """Whether the part stands there; at one of the stages of ``way_of`` since ``until`` or longer."""
    till = part.till
    if till is None:
        return False
    if progress is TillProgress.REJECTED:
        return till.undecided > 0
    if progress is TillProgress.CANCELLING:
        return till.cancelling > 0
    way = way_of(reservation, part)
    return way is not None and way[0] is progress and way[1] <= until
