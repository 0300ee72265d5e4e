"""Writing what a batch changed: one statement per table and kind of change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from struct import pack

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
from .statements import insert_rows, update_rows, upsert_rows
from .write_till import TillWriter

_by_id = attrgetter("stock_id")


class Writer:
    """Writes batches on one connection."""

    def __init__(self, dialect: Dialect, slots: Slots) -> None:
        self._slots = slots
        self._insert_stock = insert_rows(dialect, schema.stock)
        self._update_stock = update_rows(dialect, schema.stock, STOCK_CHANGES)
        self._insert_pool = insert_rows(dialect, schema.pool)
        self._update_pool = update_rows(dialect, schema.pool, POOL_CHANGES)
        self._upsert_measure = upsert_rows(dialect, schema.measure)
        self._insert_fact = insert_rows(dialect, schema.fact)
        self._insert_entry = insert_rows(dialect, schema.entry)
        self._insert_reservation = insert_rows(dialect, schema.reservation)
        self._update_reservation = update_rows(dialect, schema.reservation, RESERVATION_CHANGES)
        self._insert_part = insert_rows(dialect, schema.part)
        self._update_part = update_rows(dialect, schema.part, PART_CHANGES)
        self._insert_reference = insert_rows(dialect, schema.order_reference)
        self._insert_policy = insert_rows(dialect, schema.policy)
        self._insert_feed = insert_rows(dialect, schema.feed)
        self._upsert_state = upsert_rows(dialect, schema.slot_state)
        self._till = TillWriter(dialect, slots)
        self.opened: Collection[tuple[str, str]] = ()
        """Where the batch written last opened order events: (organization, location)."""

    def write(self, connection: DriverConnection, batch: Batch) -> list[Stock]:
        """Writes everything marked as changed, and clears the marks: the objects are the rows then, if the transaction
        commits. Answers the stocks whose balances moved. Every slot of the batch gets its counters."""
        mask = self._slots.mask
        changed = sorted((stock for stock in batch.stocks.values() if stock.changed), key=_by_id)
        for stock in changed:
            stock.revision = batch.revision
        self._insert_stock.run_many(
            connection, [stock_row(stock.stock_id & mask, stock) for stock in changed if not stock.stored]
        )
        self._update_stock.run_many(
            connection, [stock_changes(stock.stock_id & mask, stock) for stock in changed if stock.stored]
        )
        new_pools: list[SqlRow] = []
        old_pools: list[SqlRow] = []
        measures: list[SqlRow] = []
        published: list[Stock] = []
        # In the order of the keys on disk: neighbours share pages.
        for stock in sorted(batch.stocks.values(), key=_by_id):
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
        self._insert_pool.run_many(connection, new_pools)
        self._update_pool.run_many(connection, old_pools)
        self._upsert_measure.run_many(connection, measures)
        self._insert_fact.run_many(
            connection,
            [(fact.sequence & mask, *fact) for fact in batch.facts],
        )
        self._insert_entry.run_many(connection, [(entry.sequence & mask, *entry) for entry in batch.entries])
        if published:
            self._till.write_published(connection, published)
        self._write_reservations(connection, batch)
        if batch.counts or batch.discrepancies:
            self._till.write_rest(connection, batch)
        self._insert_policy.run_many(
            connection,
            [
                (0, organization, policy.revision, policy_text(policy), policy.create_time)
                for organization, policy in batch.new_policies
            ],
        )
        if changed:
            self._insert_feed.run_many(
                connection,
                [
                    (slot, batch.revision, batch.record_time, pack(f">{len(ids)}q", *ids))
                    for slot, ids in self._by_slot(changed)
                ],
            )
        for stock in changed:
            stock.changed = False
            stock.stored = True
        self._upsert_state.run_many(
            connection,
            [
                (slot, batch.revision, batch.sequence, batch.now, batch.record_time)
                for slot in ((0,) if not mask else slots_of(batch.slots))
            ],
        )
        return changed

    def write_references(self, connection: DriverConnection, batch: Batch) -> None:
        """Writes the order references that are new; another server's row of the same key is a conflict."""
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

    def _write_reservations(self, connection: DriverConnection, batch: Batch) -> None:
        mask = self._slots.mask
        new_reservations: list[SqlRow] = []
        old_reservations: list[SqlRow] = []
        new_parts: list[SqlRow] = []
        old_parts: list[SqlRow] = []
        sold: list[tuple[Reservation, Part]] = []
        for reservation in batch.reservations.values():
            if not reservation.changed:
                continue
            slot = reservation.reservation_id[-1] & mask if mask else 0
            part_slots = column_of(bits_of(part.stock.stock_id & mask for part in reservation.parts)) if mask else 1
            if reservation.stored:
                old_reservations.append(reservation_changes(slot, reservation, part_slots))
            else:
                new_reservations.append(reservation_row(slot, reservation, part_slots))
            for part in reservation.parts:
                if part.till is not None and (part.changed or part.till.changed):
                    sold.append((reservation, part))
                if part.changed:
                    # A part lies beside its stock: what is due on a stock is found in the stock's own slot.
                    slot = part.stock.stock_id & mask
                    if part.stored:
                        old_parts.append(part_changes(slot, reservation, part))
                    else:
                        new_parts.append(part_row(slot, reservation, part))
        self._insert_reservation.run_many(connection, new_reservations)
        self._update_reservation.run_many(connection, old_reservations)
        self._insert_part.run_many(connection, new_parts)
        self._update_part.run_many(connection, old_parts)
        self.opened = self._till.write_sales(connection, batch, sold) if sold else ()
