"""Writing what a batch changed: one executemany per table and kind of change."""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from struct import pack

from sqlalchemy.engine import Dialect

from ringfence_server.ledger.journal import Batch
from ringfence_server.ledger.state import Part, Reservation, Stock

from . import schema
from .codec import policy_text
from .driver import DriverConnection
from .load import SLOT
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
from .statements import insert_rows, update_rows, upsert_rows
from .write_till import TillWriter

_by_id = attrgetter("stock_id")


class Writer:
    """Writes batches on one connection."""

    def __init__(self, dialect: Dialect) -> None:
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
        self._till = TillWriter(dialect, SLOT)
        self.opened: Collection[tuple[str, str]] = ()
        """Where the batch written last opened order events: (organization, location)."""

    def write(self, connection: DriverConnection, batch: Batch) -> list[Stock]:
        """Writes everything marked as changed, and clears the marks: the objects are the rows then, if the transaction
        commits. Answers the stocks whose balances moved."""
        changed = sorted((stock for stock in batch.stocks.values() if stock.changed), key=_by_id)
        for stock in changed:
            stock.revision = batch.revision
        self._insert_stock.run_many(connection, [stock_row(SLOT, stock) for stock in changed if not stock.stored])
        self._update_stock.run_many(connection, [stock_changes(SLOT, stock) for stock in changed if stock.stored])
        new_pools: list[SqlRow] = []
        old_pools: list[SqlRow] = []
        measures: list[SqlRow] = []
        published: list[Stock] = []
        # In the order of the keys on disk: neighbours share pages.
        for stock in sorted(batch.stocks.values(), key=_by_id):
            for pool in stock.pools.values():
                if pool.changed:
                    if pool.stored:
                        old_pools.append(pool_changes(SLOT, stock, pool))
                    else:
                        new_pools.append(pool_row(SLOT, stock, pool))
                    pool.changed = False
                    pool.stored = True
            for value in stock.measures.values():
                if value.changed:
                    measures.append(measure_row(SLOT, stock, value))
                    value.changed = False
            if stock.published:
                published.append(stock)
        self._insert_pool.run_many(connection, new_pools)
        self._update_pool.run_many(connection, old_pools)
        self._upsert_measure.run_many(connection, measures)
        self._insert_fact.run_many(
            connection,
            [(SLOT, *fact) for fact in batch.facts],
        )
        self._insert_entry.run_many(connection, [(SLOT, *entry) for entry in batch.entries])
        if published:
            self._till.write_published(connection, published)
        self._write_reservations(connection, batch)
        if batch.counts or batch.discrepancies:
            self._till.write_rest(connection, batch)
        self._insert_reference.run_many(connection, [(SLOT, *row) for row in batch.new_order_references])
        self._insert_policy.run_many(
            connection,
            [
                (SLOT, organization, policy.revision, policy_text(policy), policy.create_time)
                for organization, policy in batch.new_policies
            ],
        )
        if changed:
            ids = [stock.stock_id for stock in changed]
            self._insert_feed.run_many(
                connection, [(SLOT, batch.revision, batch.record_time, pack(f">{len(ids)}q", *ids))]
            )
        for stock in changed:
            stock.changed = False
            stock.stored = True
        self._upsert_state.run_many(connection, [(SLOT, batch.revision, batch.sequence, batch.now, batch.record_time)])
        return changed

    def _write_reservations(self, connection: DriverConnection, batch: Batch) -> None:
        new_reservations: list[SqlRow] = []
        old_reservations: list[SqlRow] = []
        new_parts: list[SqlRow] = []
        old_parts: list[SqlRow] = []
        sold: list[tuple[Reservation, Part]] = []
        for reservation in batch.reservations.values():
            if not reservation.changed:
                continue
            if reservation.stored:
                old_reservations.append(reservation_changes(SLOT, reservation))
            else:
                new_reservations.append(reservation_row(SLOT, reservation))
            for part in reservation.parts:
                if part.till is not None and (part.changed or part.till.changed):
                    sold.append((reservation, part))
                if part.changed:
                    if part.stored:
                        old_parts.append(part_changes(SLOT, reservation, part))
                    else:
                        new_parts.append(part_row(SLOT, reservation, part))
        self._insert_reservation.run_many(connection, new_reservations)
        self._update_reservation.run_many(connection, old_reservations)
        self._insert_part.run_many(connection, new_parts)
        self._update_part.run_many(connection, old_parts)
        self.opened = self._till.write_sales(connection, batch, sold) if sold else ()
