"""Reading the till side: what did not fit, when held back order events become free, orders that are stuck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, or_, select
from sqlalchemy.engine import Dialect

from ringfence_server.ledger.reading import MOST_PUBLISHED, DiscrepancyQuery, ReservationQuery, TillProgress
from ringfence_server.ledger.state import Stock
from ringfence_server.ledger.till_state import Discrepancy, Published

from . import schema
from .driver import DriverConnection
from .read_slots import merged, rows_of_slots, share_of
from .rows_till import discrepancy_of, published_of
from .slots import Slots
from .statements import keyed_select, slot_select

_MOST_LOOKED_AT: Final = 10_000
"""Rows looked at for one page; a filter that matches few gives short pages."""
_ROWS_AT_ONCE: Final = 1_000
_by_record_time = attrgetter("record_time")


class TillRows:
    """Statements over the till side. Safe to use from several reading threads."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        published = schema.published
        self._published = keyed_select(
            dialect, [column for column in published.c if column.name != "slot"], published.c.stock_id, slots.of_stock
        )
        self._due = slot_select(dialect, _due)

    def put_published(self, connection: DriverConnection, stocks: Mapping[int, Stock]) -> None:
        """Puts on stocks, by number, what was published of them; of very many reports the newest."""
        reports: dict[int, list[Published]] = {stock_id: [] for stock_id in stocks}
        for row in self._published.find(connection, list(stocks)):
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
            for (instant,) in self._due.run(connection, self._slots.all, (organization, location))
            if instant is not None
        ]
        return min(found, default=None)

    def discrepancies(
        self, connection: DriverConnection, query: DiscrepancyQuery, below: int | None, most: int
    ) -> tuple[list[Discrepancy], int | None]:
        """Matching records, newest first, and the place to go on below; None at the end."""
        found: list[Discrepancy] = []
        looked_at = 0
        while looked_at < _MOST_LOOKED_AT:
            rows, complete = self._newest_below(connection, below)
            for row in rows:
                looked_at += 1
                record = discrepancy_of(row[1:])
                below = _place_of(row)
                if query.record_time_from is not None and record.record_time < query.record_time_from:
                    return found, None
                if _matches(query, record):
                    found.append(record)
                    if len(found) == most:
                        return found, below
            if complete:
                return found, None
        return found, below

    def _newest_below(self, connection: DriverConnection, below: int | None) -> tuple[Sequence[Any], bool]:
        """Some records, newest first, and whether these are all that are left. Within a slot sequences rise with record
        time; slots count for themselves, so between them time decides."""
        table = schema.discrepancy
        slots = self._slots.all
        limit = share_of(_ROWS_AT_ONCE, slots)

        def of_slot(slot: ColumnElement[Any]) -> Select[Any]:
            query = select(table).where(table.c.slot == slot)
            if below is not None:
                record_time, sequence = below >> _SEQUENCE_BITS, below & _SEQUENCE_MASK
                query = query.where(table.c.record_time <= record_time)
                if len(slots) == 1:
                    query = query.where(table.c.sequence < sequence)
                else:
                    earlier = table.c.record_time < record_time
                    query = query.where(or_(earlier, table.c.sequence < sequence))
            return query.order_by(table.c.sequence.desc()).limit(limit)

        rows = rows_of_slots(connection, slots, of_slot)
        return merged(rows, slots, limit, _slot_of_row, _place_of, newest_first=True)


_slot_of_row = attrgetter("slot")
_SEQUENCE_BITS: Final = 64
_SEQUENCE_MASK: Final = (1 << _SEQUENCE_BITS) - 1


def _place_of(row: Any) -> int:
    """Of a discrepancy among all: by record time, then by sequence."""
    return int(row.record_time) << _SEQUENCE_BITS | int(row.sequence)


def _due(slot: ColumnElement[Any]) -> tuple[Select[Any], Sequence[str]]:
    event = schema.order_event
    query = select(func.min(event.c.ready_time)).where(
        event.c.slot == slot,
        event.c.organization == bindparam("organization"),
        event.c.location == bindparam("location"),
        event.c.ready_time > literal_column("0"),
    )
    return query, ["organization", "location"]


def stuck(query: ReservationQuery, slot: ColumnElement[Any], instant: int) -> Select[Any]:
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
    return select(sale.c.reservation_id, sale.c.slot).distinct().where(sale.c.slot == slot, stands)


def _matches(query: DiscrepancyQuery, record: Discrepancy) -> bool:
    key = record.key
    return (
        key.organization == query.organization
        and (not query.locations or key.location in query.locations)
        and (not query.kinds or record.kind in query.kinds)
        and (not query.sku or key.sku == query.sku)
        and (query.record_time_until is None or record.record_time < query.record_time_until)
    )
