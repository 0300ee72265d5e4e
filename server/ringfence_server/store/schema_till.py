"""The tables of the till side: what tills have to do with sold parts, full counts, and what did not fit.

Rows that belong to a part lie in the slot of the part's stock: ``till_sale``, ``booking``, ``order_event`` (whose id is
made there); ``published`` in that of its stock, ``discrepancy`` in that of its key, ``count_session`` in that of its
name. Sales of OWNED locations have none of them. Nothing is indexed but what is still open.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint, text

from .columns import (
    CLUSTERED,
    big_column,
    id_column,
    metadata,
    slot_column,
    small_column,
    text_column,
)

till_sale: Final = Table(
    "till_sale",
    metadata,
    slot_column(),
    id_column("reservation_id"),
    big_column("part_number"),
    big_column("ordered"),
    Column("closed", Boolean, nullable=False),
    Column("rejected", Boolean, nullable=False),
    text_column("rejected_reason"),
    big_column("cancelling"),
    text_column("refused_reason"),
    big_column("undecided"),
    big_column("booked"),
    big_column("awaiting_stock_id", nullable=True),
    big_column("moved_from"),
    big_column("attempts"),
    text_column("last_error"),
    small_column("progress", nullable=True),
    big_column("progress_time", nullable=True),
    PrimaryKeyConstraint("slot", "reservation_id", "part_number"),
    CheckConstraint("ordered >= 0", name="ordered_not_negative"),
    CheckConstraint("cancelling >= 0 AND undecided >= 0", name="not_negative"),
    comment="What a till has to do with a part. awaiting_stock_id: its stock while a figure may still move it",
    **CLUSTERED,
)
# By it a figure finds the sales that it may move: those of its key, not those of all time.
Index(
    "ix_till_sale_awaiting",
    till_sale.c.slot,
    till_sale.c.awaiting_stock_id,
    sqlite_where=text("awaiting_stock_id IS NOT NULL"),
    postgresql_where=text("awaiting_stock_id IS NOT NULL"),
)
# By these what is stuck is listed, newest first.
Index(
    "ix_till_sale_progress",
    till_sale.c.slot,
    till_sale.c.progress,
    till_sale.c.reservation_id,
    sqlite_where=text("progress IS NOT NULL"),
    postgresql_where=text("progress IS NOT NULL"),
)
Index(
    "ix_till_sale_undecided",
    till_sale.c.slot,
    till_sale.c.reservation_id,
    sqlite_where=text("undecided > 0"),
    postgresql_where=text("undecided > 0"),
)
Index(
    "ix_till_sale_cancelling",
    till_sale.c.slot,
    till_sale.c.reservation_id,
    sqlite_where=text("cancelling > 0"),
    postgresql_where=text("cancelling > 0"),
)

booking: Final = Table(
    "booking",
    metadata,
    slot_column(),
    id_column("reservation_id"),
    big_column("part_number"),
    big_column("epoch"),
    big_column("position"),
    big_column("quantity"),
    PrimaryKeyConstraint("slot", "reservation_id", "part_number", "epoch", "position"),
    CheckConstraint("quantity <> 0", name="quantity_not_zero"),
    comment="What a till booked for a part: the union of its reports, append only",
    **CLUSTERED,
)

order_event: Final = Table(
    "order_event",
    metadata,
    slot_column(),
    id_column("reservation_id"),
    big_column("part_number"),
    big_column("sequence"),
    id_column("event_id"),
    text_column("organization"),
    text_column("location"),
    small_column("kind"),
    big_column("quantity"),
    text_column("channel"),
    big_column("create_time"),
    small_column("state"),
    big_column("attempts"),
    text_column("adapter"),
    big_column("lease_until"),
    big_column("not_before"),
    big_column("ready_time", nullable=True),
    text_column("only_for", nullable=True),
    big_column("done_time", nullable=True),
    PrimaryKeyConstraint("slot", "reservation_id", "part_number", "sequence"),
    UniqueConstraint("slot", "event_id"),
    CheckConstraint("quantity >= 0", name="quantity_not_negative"),
    comment="What a till is to be told. ready_time: from when anybody may have it; only_for: who may before that",
    **CLUSTERED,
)
# Open events alone: what may be handed over at once (0) by age, then what becomes free with time.
Index(
    "ix_order_event_ready",
    order_event.c.slot,
    order_event.c.organization,
    order_event.c.location,
    order_event.c.ready_time,
    order_event.c.sequence,
    sqlite_where=text("ready_time IS NOT NULL"),
    postgresql_where=text("ready_time IS NOT NULL"),
)
# What one adapter has, or may have besides because it has what comes before.
Index(
    "ix_order_event_only_for",
    order_event.c.slot,
    order_event.c.organization,
    order_event.c.location,
    order_event.c.only_for,
    order_event.c.state,
    order_event.c.sequence,
    sqlite_where=text("only_for IS NOT NULL"),
    postgresql_where=text("only_for IS NOT NULL"),
)

count_session: Final = Table(
    "count_session",
    metadata,
    slot_column(),
    text_column("organization"),
    text_column("source"),
    text_column("count_id"),
    text_column("location"),
    text_column("measure"),
    big_column("epoch"),
    big_column("position"),
    big_column("begin_time"),
    big_column("mentioned"),
    Column("ended", Boolean, nullable=False),
    PrimaryKeyConstraint("slot", "organization", "source", "count_id"),
    CheckConstraint("mentioned >= 0", name="mentioned_not_negative"),
    comment="Full counts. Which keys one mentioned stands with their figures (measure.count_id)",
    **CLUSTERED,
)

discrepancy: Final = Table(
    "discrepancy",
    metadata,
    slot_column(),
    big_column("sequence"),
    small_column("kind"),
    text_column("organization"),
    text_column("sku"),
    text_column("location"),
    text_column("dimensions"),
    big_column("quantity"),
    text_column("source"),
    text_column("measure"),
    big_column("epoch"),
    big_column("position"),
    big_column("known"),
    big_column("reported"),
    id_column("reservation_id"),
    big_column("part_number"),
    text_column("order_reference"),
    id_column("request_id"),
    big_column("record_time"),
    PrimaryKeyConstraint("slot", "sequence"),
    comment="What did not fit, with its evidence; append only, kept for a year",
    **CLUSTERED,
)

published: Final = Table(
    "published",
    metadata,
    slot_column(),
    big_column("stock_id"),
    text_column("publisher"),
    text_column("path"),
    big_column("quantity"),
    big_column("publish_time"),
    big_column("record_time"),
    PrimaryKeyConstraint("slot", "stock_id", "publisher", "path"),
    comment="What adapters last published of a pool. Keys that have a row carry stock.has_published",
    **CLUSTERED,
)
