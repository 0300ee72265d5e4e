"""The sales that tills have to do with, put on the parts that carry one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.state import Part, Reservation
from ringfence_server.ledger.till_state import TillSale

from . import schema
from .driver import DriverConnection
from .rows import SqlRow, has_sale
from .rows_till import booking_of, event_of, sale_of
from .statements import keyed_select

_by_sequence = attrgetter("sequence")


class SaleRows:
    """Statements over the sales of reservations. Safe to use from several threads."""

    def __init__(self, dialect: Dialect, slot: int) -> None:
        self._slot = slot
        sale, booking, event = schema.till_sale, schema.booking, schema.order_event
        self._sales = keyed_select(dialect, _all_but_slot(sale), sale.c.reservation_id)
        self._bookings = keyed_select(dialect, _all_but_slot(booking), booking.c.reservation_id)
        self._events = keyed_select(dialect, _all_but_slot(event), event.c.reservation_id)

    def put(
        self,
        connection: DriverConnection,
        reservations: Mapping[bytes, Reservation],
        part_rows: Collection[SqlRow],
        *,
        whole: bool = True,
    ) -> None:
        """Puts their sales on the parts of these rows, which are on their reservations; ``whole``: with bookings and
        events. Where no part has a sale nothing is asked."""
        ids = list(dict.fromkeys(row[0] for row in part_rows if has_sale(row)))
        if not ids:
            return
        parts: dict[tuple[bytes, int], Part] = {
            (reservation_id, part.number): part for reservation_id in ids for part in reservations[reservation_id].parts
        }
        sales: dict[tuple[bytes, int], TillSale] = {}
        for row in self._sales.run(connection, self._slot, ids):
            name, sale = sale_of(row)
            sales[name] = parts[name].till = sale
        if not whole:
            return
        for row in self._bookings.run(connection, self._slot, ids):
            name, mark, quantity = booking_of(row)
            sales[name].bookings[mark] = quantity
        for row in self._events.run(connection, self._slot, ids):
            name, event = event_of(row)
            sales[name].events.append(event)
        for sale in sales.values():
            sale.events.sort(key=_by_sequence)


def _all_but_slot(table: Any) -> Sequence[Any]:
    return [column for column in table.c if column.name != "slot"]
