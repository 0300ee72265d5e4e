"""The till side: sales of tills, bookings, order events, full counts, discrepancies, what was published."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables; tables of 0001 get columns that are NULL where no till has to do with the row."""
    op.create_table(
        "booking",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("reservation_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("part_number", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_booking_quantity_not_zero")),
        sa.PrimaryKeyConstraint("slot", "reservation_id", "part_number", "epoch", "position", name=op.f("pk_booking")),
        comment="What a till booked for a part: the union of its reports, append only",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "count_session",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("count_id", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("begin_time", sa.BigInteger(), nullable=False),
        sa.Column("mentioned", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.CheckConstraint("mentioned >= 0", name=op.f("ck_count_session_mentioned_not_negative")),
        sa.PrimaryKeyConstraint("slot", "organization", "source", "count_id", name=op.f("pk_count_session")),
        comment="Full counts. Which keys one mentioned stands with their figures (measure.count_id)",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "discrepancy",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("reported", sa.BigInteger(), nullable=False),
        sa.Column("reservation_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("part_number", sa.BigInteger(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("record_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot", "sequence", name=op.f("pk_discrepancy")),
        comment="What did not fit, with its evidence; append only, kept for a year",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "order_event",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("reservation_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("part_number", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("ready_time", sa.BigInteger(), nullable=True),
        sa.Column("only_for", sa.Text(), nullable=True),
        sa.Column("done_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_order_event_quantity_not_negative")),
        sa.PrimaryKeyConstraint("slot", "reservation_id", "part_number", "sequence", name=op.f("pk_order_event")),
        sa.UniqueConstraint("slot", "event_id", name=op.f("uq_order_event_slot_event_id")),
        comment="What a till is to be told. ready_time: from when anybody may have it; only_for: who may before that",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_order_event_only_for",
        "order_event",
        ["slot", "organization", "location", "only_for", "state", "sequence"],
        unique=False,
        sqlite_where=sa.text("only_for IS NOT NULL"),
        postgresql_where=sa.text("only_for IS NOT NULL"),
    )
    op.create_index(
        "ix_order_event_ready",
        "order_event",
        ["slot", "organization", "location", "ready_time", "sequence"],
        unique=False,
        sqlite_where=sa.text("ready_time IS NOT NULL"),
        postgresql_where=sa.text("ready_time IS NOT NULL"),
    )
    op.create_table(
        "published",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("stock_id", sa.BigInteger(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("publish_time", sa.BigInteger(), nullable=False),
        sa.Column("record_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot", "stock_id", "publisher", "path", name=op.f("pk_published")),
        comment="What adapters last published of a pool. Keys that have a row carry stock.has_published",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "till_sale",
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("reservation_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("part_number", sa.BigInteger(), nullable=False),
        sa.Column("ordered", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("rejected", sa.Boolean(), nullable=False),
        sa.Column("rejected_reason", sa.Text(), nullable=False),
        sa.Column("cancelling", sa.BigInteger(), nullable=False),
        sa.Column("refused_reason", sa.Text(), nullable=False),
        sa.Column("undecided", sa.BigInteger(), nullable=False),
        sa.Column("booked", sa.BigInteger(), nullable=False),
        sa.Column("awaiting_stock_id", sa.BigInteger(), nullable=True),
        sa.Column("moved_from", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("progress", sa.SmallInteger(), nullable=True),
        sa.Column("progress_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cancelling >= 0 AND undecided >= 0", name=op.f("ck_till_sale_not_negative")),
        sa.CheckConstraint("ordered >= 0", name=op.f("ck_till_sale_ordered_not_negative")),
        sa.PrimaryKeyConstraint("slot", "reservation_id", "part_number", name=op.f("pk_till_sale")),
        comment="What a till has to do with a part. awaiting_stock_id: its stock while a figure may still move it",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_till_sale_awaiting",
        "till_sale",
        ["slot", "awaiting_stock_id"],
        unique=False,
        sqlite_where=sa.text("awaiting_stock_id IS NOT NULL"),
        postgresql_where=sa.text("awaiting_stock_id IS NOT NULL"),
    )
    op.create_index(
        "ix_till_sale_cancelling",
        "till_sale",
        ["slot", "reservation_id"],
        unique=False,
        sqlite_where=sa.text("cancelling > 0"),
        postgresql_where=sa.text("cancelling > 0"),
    )
    op.create_index(
        "ix_till_sale_progress",
        "till_sale",
        ["slot", "progress", "reservation_id"],
        unique=False,
        sqlite_where=sa.text("progress IS NOT NULL"),
        postgresql_where=sa.text("progress IS NOT NULL"),
    )
    op.create_index(
        "ix_till_sale_undecided",
        "till_sale",
        ["slot", "reservation_id"],
        unique=False,
        sqlite_where=sa.text("undecided > 0"),
        postgresql_where=sa.text("undecided > 0"),
    )
    op.add_column("measure", sa.Column("epoch_ends", sa.Text(), nullable=True))
    op.add_column("measure", sa.Column("count_id", sa.Text(), nullable=True))
    op.add_column("part", sa.Column("has_sale", sa.Boolean(), nullable=True))
    op.add_column("stock", sa.Column("has_published", sa.Boolean(), nullable=True))
    op.create_index("ix_stock_location", "stock", ["slot", "organization", "location"], unique=False)
