"""Rows of the till side to state and back, in the column order of the tables."""

from __future__ import annotations

from typing import NamedTuple

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_progress import way_of
from ringfence_server.ledger.till_state import (
    Booking,
    CountSession,
    Discrepancy,
    DiscrepancyKind,
    EventKind,
    EventState,
    Mark,
    OrderEvent,
    Published,
    TillSale,
)

from .codec import dimensions_of, dimensions_text
from .rows import SqlRow


class PartName(NamedTuple):
    """Which part a row belongs to."""

    reservation_id: bytes
    part_number: int


def sale_of(row: SqlRow) -> tuple[PartName, TillSale]:
    """A row of ``till_sale`` without its slot; bookings and events are added by the caller."""
    (
        reservation_id,
        part_number,
        ordered,
        closed,
        rejected,
        rejected_reason,
        cancelling,
        refused_reason,
        undecided,
        booked,
        awaiting_stock_id,
        moved_from,
        attempts,
        last_error,
        _progress,
        _progress_time,
    ) = row
    sale = TillSale()
    sale.ordered = ordered
    sale.closed = bool(closed)
    sale.rejected = bool(rejected)
    sale.rejected_reason = rejected_reason
    sale.cancelling = cancelling
    sale.refused_reason = refused_reason
    sale.undecided = undecided
    sale.booked = booked
    sale.awaiting = awaiting_stock_id is not None
    sale.moved_from = moved_from
    sale.attempts = attempts
    sale.last_error = last_error
    sale.stored = True
    sale.changed = False
    return PartName(reservation_id, part_number), sale


def sale_row(slot: int, reservation: Reservation, part: Part, sale: TillSale) -> SqlRow:
    """A whole row of ``till_sale``."""
    progress, since = way_of(reservation, part) or (None, None)
    return (
        slot,
        reservation.reservation_id,
        part.number,
        sale.ordered,
        sale.closed,
        sale.rejected,
        sale.rejected_reason,
        sale.cancelling,
        sale.refused_reason,
        sale.undecided,
        sale.booked,
        part.stock.stock_id if sale.awaiting else None,
        sale.moved_from,
        sale.attempts,
        sale.last_error,
        progress,
        since,
    )


def booking_of(row: SqlRow) -> tuple[PartName, Mark, int]:
    """A row of ``booking`` without its slot."""
    reservation_id, part_number, epoch, position, quantity = row
    return PartName(reservation_id, part_number), Mark(epoch, position), quantity


def booking_row(slot: int, reservation: Reservation, part: Part, booking: Booking) -> SqlRow:
    """A whole row of ``booking``."""
    return (slot, reservation.reservation_id, part.number, booking.epoch, booking.position, booking.quantity)


def event_of(row: SqlRow) -> tuple[PartName, OrderEvent]:
    """A row of ``order_event`` without its slot."""
    (
        reservation_id,
        part_number,
        sequence,
        event_id,
        _organization,
        _location,
        kind,
        quantity,
        channel,
        create_time,
        state,
        attempts,
        adapter,
        lease_until,
        not_before,
        _ready_time,
        _only_for,
        _done_time,
    ) = row
    event = OrderEvent(event_id, sequence, EventKind(kind), quantity, channel, create_time)
    event.state = EventState(state)
    event.attempts = attempts
    event.adapter = adapter
    event.lease_until = lease_until
    event.not_before = not_before
    event.stored = True
    event.changed = False
    return PartName(reservation_id, part_number), event


class Readiness(NamedTuple):
    """When an open event may be handed over, by itself and by what comes before it."""

    ready_time: int | None
    """From when anybody may have it, microseconds; 0: at once; None: never again."""
    only_for: str | None
    """The adapter that may have it before: it has the event, or all that comes before it."""


def readiness_of(sale: TillSale) -> dict[bytes, Readiness]:
    """Of every event of a sale. One of a part waits for the events before it, until those are replied to or their
    lease is over: then it may be handed over right after them. A postponed one holds up none, and comes again only when
    its own lease is over."""
    found: dict[bytes, Readiness] = {}
    latest = 0
    holders: set[str | None] = set()
    for event in sale.events:
        if not event.open:
            found[event.event_id] = Readiness(None, None)
            continue
        if event.state is EventState.POSTPONED:
            found[event.event_id] = Readiness(max(latest, event.lease_until), None)
            continue
        handed = event.state is EventState.HANDED
        latest = max(latest, event.lease_until if handed else event.not_before)
        holder = next(iter(holders)) if len(holders) == 1 else None
        found[event.event_id] = Readiness(latest, event.adapter if handed else holder)
        holders.add(event.adapter if handed else None)
    return found


def event_row(
    slot: int,
    reservation: Reservation,
    part: Part,
    event: OrderEvent,
    readiness: Readiness,
    record_time: int,
) -> SqlRow:
    """A whole row of ``order_event``, written at ``record_time``."""
    return (
        slot,
        reservation.reservation_id,
        part.number,
        event.sequence,
        event.event_id,
        reservation.organization,
        part.stock.key.location,
        event.kind,
        event.quantity,
        event.channel,
        event.create_time,
        event.state,
        event.attempts,
        event.adapter,
        event.lease_until,
        event.not_before,
        *readiness,
        None if event.open else record_time,
    )


def count_of(row: SqlRow) -> CountSession:
    """A row of ``count_session`` without its slot."""
    organization, source, count_id, location, measure, epoch, position, begin_time, mentioned, ended = row
    session = CountSession(organization, source, count_id, location, measure, Mark(epoch, position), begin_time)
    session.mentioned = mentioned
    session.ended = bool(ended)
    session.stored = True
    session.changed = False
    return session


def count_row(slot: int, session: CountSession) -> SqlRow:
    """A whole row of ``count_session``."""
    return (
        slot,
        session.organization,
        session.source,
        session.count_id,
        session.location,
        session.measure,
        *session.mark,
        session.begin_time,
        session.mentioned,
        session.ended,
    )


def discrepancy_of(row: SqlRow) -> Discrepancy:
    """A row of ``discrepancy`` without its slot."""
    sequence, kind, organization, sku, location, dimensions, *rest = row
    key = StockKey(organization, sku, location, dimensions_of(dimensions))
    return Discrepancy(sequence, DiscrepancyKind(kind), key, *rest)


def discrepancy_row(slot: int, found: Discrepancy) -> SqlRow:
    """A whole row of ``discrepancy``."""
    key = found.key
    dimensions = dimensions_text(key.dimensions)
    return (slot, found.sequence, found.kind, key.organization, key.sku, key.location, dimensions, *found[3:])


def published_of(row: SqlRow) -> tuple[int, Published]:
    """(stock_id, report) of a row of ``published`` without its slot."""
    stock_id, publisher, path, quantity, publish_time, record_time = row
    report = Published(publisher, path, quantity, publish_time, record_time)
    report.stored = True
    report.changed = False
    return stock_id, report


def published_row(slot: int, stock: Stock, report: Published) -> SqlRow:
    """A whole row of ``published``."""
    return (
        slot,
        stock.stock_id,
        report.publisher,
        report.path,
        report.quantity,
        report.publish_time,
        report.record_time,
    )
