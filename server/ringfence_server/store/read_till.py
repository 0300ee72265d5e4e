"""Reading the till side: what did not fit, when held back order events become free, orders that are stuck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, func, literal_column, select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.reading import MOST_PUBLISHED, DiscrepancyQuery, ReservationQuery, TillProgress
from ringfence_server.ledger.state import Stock
from ringfence_server.ledger.till_state import Discrepancy, Published

from . import schema
from .driver import DriverConnection
from .rows_till import discrepancy_of, published_of
from .statements import Statement, keyed_select

_MOST_LOOKED_AT: Final = 10_000
"""Rows looked at for one page; a filter that matches few gives short pages."""
_ROWS_AT_ONCE: Final = 1_000
_by_record_time = attrgetter("record_time")


class TillRows:
    """Statements over the till side. Safe to use from several reading threads."""

    def __init__(self, dialect: Dialect, slot: int) -> None:
        self._slot = slot
        published, event = schema.published, schema.order_event
        self._published = keyed_select(
            dialect, [column for column in published.c if column.name != "slot"], published.c.stock_id
        )
        self._due = Statement(
            select(func.min(event.c.ready_time)).where(
                event.c.slot == bindparam("slot"),
                event.c.organization == bindparam("organization"),
                event.c.location == bindparam("location"),
                event.c.ready_time > literal_column("0"),
            ),
            dialect,
            ["slot", "organization", "location"],
        )

    def put_published(self, connection: DriverConnection, stocks: Mapping[int, Stock]) -> None:
        """Puts on stocks, by number, what was published of them; of very many reports the newest."""
        reports: dict[int, list[Published]] = {stock_id: [] for stock_id in stocks}
        for row in self._published.run(connection, self._slot, list(stocks)):
            stock_id, report = published_of(row)
            reports[stock_id].append(report)
        for stock_id, found in reports.items():
            if len(found) > MOST_PUBLISHED:
                found.sort(key=_by_record_time, reverse=True)
                del found[MOST_PUBLISHED:]
            stocks[stock_id].published = {(report.publisher, report.path): report for report in found}

    def orders_due(self, connection: DriverConnection, organization: str, locations: Iterable[str]) -> int | None:
        """The first instant at which an event that is held back may be handed over; None: none is."""
        found = [
            instant
            for location in locations
            for (instant,) in self._due.run(connection, (self._slot, organization, location))
            if instant is not None
        ]
        return min(found, default=None)

    def discrepancies(
        self, connection: DriverConnection, query: DiscrepancyQuery, below: int | None, most: int
    ) -> tuple[list[Discrepancy], int | None]:
        """Matching records, newest first, and the sequence to go on below; None at the end."""
        found: list[Discrepancy] = []
        looked_at = 0
        while looked_at < _MOST_LOOKED_AT:
            rows = self._newest_below(connection, below)
            for row in rows:
                looked_at += 1
                record = discrepancy_of(row[1:])
                below = record.sequence
                if query.record_time_from is not None and record.record_time < query.record_time_from:
                    # Sequences rise with record time.
                    return found, None
                if _matches(query, record):
                    found.append(record)
                    if len(found) == most:
                        return found, below
            if len(rows) < _ROWS_AT_ONCE:
                return found, None
        return found, below

    def _newest_below(self, connection: DriverConnection, below: int | None) -> Sequence[Any]:
        table = schema.discrepancy
        query = select(table).where(table.c.slot == self._slot)
        if below is not None:
            query = query.where(table.c.sequence < below)
        rows: Sequence[Any] = connection.execute(query.order_by(table.c.sequence.desc()).limit(_ROWS_AT_ONCE)).all()
        return rows


def stuck(query: ReservationQuery, slot: int, instant: int) -> Select[Any]:
    """Ids of reservations with a part that stands where ``query.till_progress`` says, each once, in the order of an
    index: of what is on its way alone, not of all orders of all time."""
    sale = schema.till_sale
    match query.till_progress:
        case TillProgress.REJECTED:
            stands = sale.c.undecided > literal_column("0")
        case TillProgress.CANCELLING:
            stands = sale.c.cancelling > literal_column("0")
        case _:
            assert query.till_progress is not None
            stands = and_(
                sale.c.progress == literal_column(str(int(query.till_progress))),
                sale.c.progress_time <= instant - query.stuck_for,
            )
    return select(sale.c.reservation_id).distinct().where(sale.c.slot == slot, stands)


def _matches(query: DiscrepancyQuery, record: Discrepancy) -> bool:
    key = record.key
    return (
        key.organization == query.organization
        and (not query.locations or key.location in query.locations)
        and (not query.kinds or record.kind in query.kinds)
        and (not query.sku or key.sku == query.sku)
        and (query.record_time_until is None or record.record_time < query.record_time_until)
    )
