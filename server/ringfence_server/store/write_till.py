"""Writing what a batch changed on the till side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.state import Part, Reservation, Stock
from ringfence_server.ledger.till_state import EventState

from . import schema
from .driver import DriverConnection
from .rows import SqlRow
from .rows_till import (
    booking_row,
    count_row,
    discrepancy_row,
    event_row,
    published_row,
    readiness_of,
    sale_row,
)
from .slots import Slots
from .statements import insert_rows, update_rows, upsert_rows


class TillWriter:
    """Writes rows of the till side on one connection: one executemany per table, and none where nothing changed."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        self._upsert_sale = upsert_rows(dialect, schema.till_sale)
        self._insert_booking = insert_rows(dialect, schema.booking)
        self._upsert_event = upsert_rows(dialect, schema.order_event)
        self._upsert_count = upsert_rows(dialect, schema.count_session)
        self._insert_discrepancy = insert_rows(dialect, schema.discrepancy)
        self._upsert_published = upsert_rows(dialect, schema.published)
        self._mark_published = update_rows(dialect, schema.stock, ("has_published",))

    def write_sales(
        self, connection: DriverConnection, batch: Batch, sold: Iterable[tuple[Reservation, Part]]
    ) -> set[tuple[str, str]]:
        """Writes the sales of these parts with their bookings and events; answers where events wait to be handed over
        that did not before, or from another instant on: (organization, location)."""
        mask = self._slots.mask
        opened: set[tuple[str, str]] = set()
        sales: list[SqlRow] = []
        bookings: list[SqlRow] = []
        events: list[SqlRow] = []
        for reservation, part in sold:
            sale = part.till
            assert sale is not None
            # Beside the part, which lies beside its stock.
            slot = part.stock.stock_id & mask
            sales.append(sale_row(slot, reservation, part, sale))
            bookings += [booking_row(slot, reservation, part, booking) for booking in sale.new_bookings]
            if not any(event.changed for event in sale.events):
                continue
            readiness = readiness_of(sale)
            for event in sale.events:
                # With the one that changed those that waited for it.
                if event.changed or event.open:
                    ready = readiness[event.event_id]
                    events.append(event_row(slot, reservation, part, event, ready, batch.record_time))
                    # A postponed one may come again before anything that the streams wait for.
                    if event.state is EventState.WAITING or (event.changed and event.state is EventState.POSTPONED):
                        opened.add((reservation.organization, part.stock.key.location))
        self._upsert_sale.run_many(connection, sales)
        self._insert_booking.run_many(connection, bookings)
        self._upsert_event.run_many(connection, events)
        return opened

    def write_rest(self, connection: DriverConnection, batch: Batch) -> None:
        """Writes full counts and what did not fit."""
        of_count, mask = self._slots.of_count, self._slots.mask
        self._upsert_count.run_many(
            connection,
            [
                count_row(of_count((session.organization, session.source, session.count_id)), session)
                for session in batch.counts.values()
                if session.changed
            ],
        )
        self._insert_discrepancy.run_many(
            connection, [discrepancy_row(found.sequence & mask, found) for found in batch.discrepancies]
        )

    def write_published(self, connection: DriverConnection, stocks: Sequence[Stock]) -> None:
        """Writes what was published of these keys, and forgets it: nothing that is decided depends on it."""
        mask = self._slots.mask
        rows: list[SqlRow] = []
        first: list[SqlRow] = []
        for stock in stocks:
            slot = stock.stock_id & mask
            reports = (stock.published or {}).values()
            rows += [published_row(slot, stock, report) for report in reports if report.changed]
            if any(not report.stored for report in reports):
                first.append((True, slot, stock.stock_id))
            stock.published = None
        self._upsert_published.run_many(connection, rows)
        self._mark_published.run_many(connection, first)
