"""Writing what a batch changed: one statement per table and kind of change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from struct import pack
from typing import NamedTuple

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.state import Part, Reservation, Stock

from . import schema
from .codec import policy_text
from .driver import DriverConnection
from .rows import (
    PART_CHANGES,
    POOL_CHANGES,
    RESERVATION_CHANGES,
    STOCK_CHANGES,
    SqlRow,
    measure_row,
    part_changes,
    part_row,
    pool_changes,
    pool_row,
    reservation_changes,
    reservation_row,
    stock_changes,
    stock_row,
)
from .slots import Slots, bits_of, column_of, slots_of
from .statements import insert_rows, rows_together, update_rows, upsert_rows
from .write_till import TillWriter

_by_id = attrgetter("stock_id")


class _Reservations(NamedTuple):
    """Rows of the reservations that a batch changed."""

    new: list[SqlRow]
    old: list[SqlRow]
    new_parts: list[SqlRow]
    old_parts: list[SqlRow]
    sold: list[tuple[Reservation, Part]]
    """Parts that a till keeps books of."""


class Writer:
    """Writes batches on one connection."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        self._sold = rows_together(
            [
                insert_rows(dialect, schema.stock),
                update_rows(dialect, schema.stock, STOCK_CHANGES),
                insert_rows(dialect, schema.pool),
                update_rows(dialect, schema.pool, POOL_CHANGES),
                insert_rows(dialect, schema.entry),
                insert_rows(dialect, schema.reservation),
                update_rows(dialect, schema.reservation, RESERVATION_CHANGES),
                insert_rows(dialect, schema.part),
                update_rows(dialect, schema.part, PART_CHANGES),
                insert_rows(dialect, schema.feed),
                upsert_rows(dialect, schema.slot_state),
            ]
        )
        """What selling writes, and every batch some of."""
        self._upsert_measure = upsert_rows(dialect, schema.measure)
        self._insert_fact = insert_rows(dialect, schema.fact)
        self._insert_reference = insert_rows(dialect, schema.order_reference)
        self._insert_policy = insert_rows(dialect, schema.policy)
        self._till = TillWriter(dialect, slots)
        self.opened: Collection[tuple[str, str]] = ()
        """Where the batch written last opened order events: (organization, location)."""

    def write(self, connection: DriverConnection, batch: Batch) -> list[Stock]:
        """Writes everything marked as changed, and clears the marks: the objects are the rows then, if the transaction
        commits. Answers the stocks whose balances moved. Every slot of the batch gets its counters."""
        mask = self._slots.mask
        # In the order of the keys on disk: neighbours share pages.
        stocks = sorted(batch.stocks.values(), key=_by_id)
        changed = [stock for stock in stocks if stock.changed]
        for stock in changed:
            stock.revision = batch.revision
        new_stocks = [stock_row(stock.stock_id & mask, stock) for stock in changed if not stock.stored]
        old_stocks = [stock_changes(stock.stock_id & mask, stock) for stock in changed if stock.stored]
        new_pools: list[SqlRow] = []
        old_pools: list[SqlRow] = []
        measures: list[SqlRow] = []
        published: list[Stock] = []
        for stock in stocks:
            slot = stock.stock_id & mask
            for pool in stock.pools.values():
                if pool.changed:
                    if pool.stored:
                        old_pools.append(pool_changes(slot, stock, pool))
                    else:
                        new_pools.append(pool_row(slot, stock, pool))
                    pool.changed = False
                    pool.stored = True
            for value in stock.measures.values():
                if value.changed:
                    measures.append(measure_row(slot, stock, value))
                    value.changed = False
            if stock.published:
                published.append(stock)
        reservations = self._reservations(batch)
        self._sold.run_many(
            connection,
            [
                new_stocks,
                old_stocks,
                new_pools,
                old_pools,
                [(entry.sequence & mask, *entry) for entry in batch.entries],
                reservations.new,
                reservations.old,
                reservations.new_parts,
                reservations.old_parts,
                [
                    (slot, batch.revision, batch.record_time, pack(f">{len(ids)}q", *ids))
                    for slot, ids in self._by_slot(changed)
                ],
                [
                    (slot, batch.revision, batch.sequence, batch.now, batch.record_time)
                    for slot in ((0,) if not mask else slots_of(batch.slots))
                ],
            ],
        )
        if measures:
            self._upsert_measure.run_many(connection, measures)
        if batch.facts:
            self._insert_fact.run_many(connection, [(fact.sequence & mask, *fact) for fact in batch.facts])
        if published:
            self._till.write_published(connection, published)
        self.opened = self._till.write_sales(connection, batch, reservations.sold) if reservations.sold else ()
        if batch.counts or batch.discrepancies:
            self._till.write_rest(connection, batch)
        if batch.new_policies:
            self._insert_policy.run_many(
                connection,
                [
                    (0, organization, policy.revision, policy_text(policy), policy.create_time)
                    for organization, policy in batch.new_policies
                ],
            )
        for stock in changed:
            stock.changed = False
            stock.stored = True
        return changed

    def write_references(self, connection: DriverConnection, batch: Batch) -> None:
        """Writes the order references that are new; another server's row of the same key is a conflict."""
        if batch.new_order_references:
            of_reference = self._slots.of_reference
            self._insert_reference.run_many(
                connection, sorted((of_reference(row[:3]), *row) for row in batch.new_order_references)
            )

    def _by_slot(self, stocks: Sequence[Stock]) -> Iterable[tuple[int, list[int]]]:
        mask = self._slots.mask
        ids: dict[int, list[int]] = {}
        for stock in stocks:
            ids.setdefault(stock.stock_id & mask, []).append(stock.stock_id)
        return sorted(ids.items())

    def _reservations(self, batch: Batch) -> _Reservations:
        mask = self._slots.mask
        rows = _Reservations([], [], [], [], [])
        for reservation in batch.reservations.values():
            if not reservation.changed:
                continue
            slot = reservation.reservation_id[-1] & mask if mask else 0
            part_slots = column_of(bits_of(part.stock.stock_id & mask for part in reservation.parts)) if mask else 1
            if reservation.stored:
                rows.old.append(reservation_changes(slot, reservation, part_slots))
            else:
                rows.new.append(reservation_row(slot, reservation, part_slots))
            for part in reservation.parts:
                if part.till is not None and (part.changed or part.till.changed):
                    rows.sold.append((reservation, part))
                if part.changed:
                    # A part lies beside its stock: what is due on a stock is found in the stock's own slot.
                    slot = part.stock.stock_id & mask
                    if part.stored:
                        rows.old_parts.append(part_changes(slot, reservation, part))
                    else:
                        rows.new_parts.append(part_row(slot, reservation, part))
        return rows
