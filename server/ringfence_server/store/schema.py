"""The tables. Every primary and unique key starts with ``slot``: one schema serves SQLite, PostgreSQL and Citus.

Quantities and times (microseconds since the epoch) are BIGINT, ids 16-byte UUIDs made by the application; no sequences,
no server defaults, no triggers. CHECK constraints state the invariants once more, against faults of our own.

Ledger entries are found without an index of their own: an entry names the entry before it of its stock key and of its
reservation, and the rows of those name their newest. An index by pool costs three quarters of the write rate at five
million entries; following the chain costs one primary-key look-up per entry that is wanted.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from .columns import CLUSTERED as _CLUSTERED
from .columns import big_column as _big
from .columns import id_column as _id
from .columns import metadata
from .columns import slot_column as _slot
from .columns import text_column as _text
from .schema_till import booking, count_session, discrepancy, order_event, published, till_sale

__all__ = [
    "booking",
    "caller",
    "count_session",
    "discrepancy",
    "entry",
    "fact",
    "feed",
    "measure",
    "metadata",
    "order_event",
    "order_reference",
    "part",
    "policy",
    "pool",
    "published",
    "request_outcome",
    "reservation",
    "slot_state",
    "stock",
    "till_sale",
]

slot_state = Table(
    "slot_state",
    metadata,
    _slot(),
    _big("revision"),
    _big("last_sequence"),
    _big("now"),
    _big("record_time"),
    PrimaryKeyConstraint("slot"),
    comment="Counters of a slot, written in every group commit",
    **_CLUSTERED,
)

stock = Table(
    "stock",
    metadata,
    _slot(),
    _big("stock_id"),
    _text("organization"),
    _text("sku"),
    _text("location"),
    _text("dimensions"),
    _big("supply"),
    _big("promised"),
    _big("policy_revision"),
    _big("revision"),
    _big("last_sequence"),
    # NULL: no adapter ever said what it published of the key. So what nobody published is not looked for.
    Column("has_published", Boolean, nullable=True),
    PrimaryKeyConstraint("slot", "stock_id"),
    UniqueConstraint("slot", "organization", "sku", "location", "dimensions"),
    CheckConstraint("promised >= 0", name="promised_not_negative"),
    comment="Stock keys. supply - promised = sum of free over the key's pools",
    **_CLUSTERED,
)
# Written once per key: by it the end of a full count finds what it did not mention.
Index("ix_stock_location", stock.c.slot, stock.c.organization, stock.c.location)

pool = Table(
    "pool",
    metadata,
    _slot(),
    _big("stock_id"),
    _big("pool_id"),
    _text("path"),
    _big("free"),
    _big("held"),
    _big("unsettled"),
    _big("consumed"),
    _big("taken"),
    Column("living", Boolean, nullable=False),
    PrimaryKeyConstraint("slot", "stock_id", "pool_id"),
    CheckConstraint("free >= 0 OR pool_id = 0", name="free_not_negative"),
    CheckConstraint("held >= 0", name="held_not_negative"),
    CheckConstraint("unsettled >= 0", name="unsettled_not_negative"),
    comment="Balances: running sums of the ledger, per pool. pool_id 0 is the common pool",
    **_CLUSTERED,
)

measure = Table(
    "measure",
    metadata,
    _slot(),
    _big("stock_id"),
    _text("measure"),
    _big("value"),
    _big("epoch"),
    _big("position"),
    _text("source"),
    _big("count_time", nullable=True),
    _big("record_time"),
    # NULL, as at every OWNED location: no epoch is over, no full count mentioned it.
    _text("epoch_ends", nullable=True),
    _text("count_id", nullable=True),
    PrimaryKeyConstraint("slot", "stock_id", "measure"),
    comment="The figure in force of each measure",
    **_CLUSTERED,
)

fact = Table(
    "fact",
    metadata,
    _slot(),
    _big("sequence"),
    _big("stock_id"),
    _text("measure"),
    _big("delta"),
    _big("value"),
    _big("epoch"),
    _big("position"),
    _text("source"),
    _big("count_time", nullable=True),
    _big("record_time"),
    PrimaryKeyConstraint("slot", "stock_id", "sequence"),
    comment="Every posted change of a measure; what OWNED sales change stands in the ledger",
    **_CLUSTERED,
)

entry = Table(
    "entry",
    metadata,
    _slot(),
    _big("sequence"),
    _big("stock_id"),
    _big("previous_sequence"),
    Column("kind", SmallInteger, nullable=False),
    _big("quantity"),
    Column("from_place", SmallInteger, nullable=False),
    _big("from_pool"),
    Column("to_place", SmallInteger, nullable=False),
    _big("to_pool"),
    Column("reservation_id", LargeBinary(16), nullable=False),
    Column("part_number", BigInteger, nullable=False),
    _big("reservation_previous"),
    Column("request_id", LargeBinary(16), nullable=False),
    _text("measure"),
    _big("record_time"),
    _big("effective_time"),
    PrimaryKeyConstraint("slot", "sequence"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    comment="The ledger: every movement, append only, the source of truth",
    **_CLUSTERED,
)

reservation = Table(
    "reservation",
    metadata,
    _slot(),
    _id("reservation_id"),
    _text("organization"),
    _text("caller"),
    _text("owner"),
    _big("expire_time", nullable=True),
    _big("create_time"),
    _big("consume_time", nullable=True),
    _big("revision"),
    _text("order_reference"),
    Column("attributes", LargeBinary, nullable=False),
    Column("cancel_reason", SmallInteger, nullable=False),
    _text("cancel_text"),
    _big("last_sequence"),
    PrimaryKeyConstraint("slot", "reservation_id"),
    comment="An order's lines under one lease",
    **_CLUSTERED,
)

part = Table(
    "part",
    metadata,
    _slot(),
    _id("reservation_id"),
    Column("part_number", BigInteger, nullable=False),
    Column("line_number", BigInteger, nullable=False),
    _text("line_id"),
    _big("stock_id"),
    _text("path"),
    _text("asked_path"),
    Column("fallback", SmallInteger, nullable=False),
    Column("located", Boolean, nullable=False),
    _big("requested"),
    _big("granted"),
    _big("held"),
    _big("unsettled"),
    _big("settled"),
    _big("cancelled"),
    _big("expired"),
    _big("expire_time", nullable=True),
    _big("sent_time", nullable=True),
    _big("received_time", nullable=True),
    _big("settled_time", nullable=True),
    _text("document_number"),
    # NULL: no till has to do with it, so none of the till's tables is looked into.
    Column("has_sale", Boolean, nullable=True),
    PrimaryKeyConstraint("slot", "reservation_id", "part_number"),
    CheckConstraint("granted = held + unsettled + settled + cancelled + expired", name="granted_accounted"),
    CheckConstraint(
        "held >= 0 AND unsettled >= 0 AND settled >= 0 AND cancelled >= 0 AND expired >= 0", name="not_negative"
    ),
    comment="What one location and pool gave to a line",
    **_CLUSTERED,
)
# What is due is found by this index alone: by pool it cost a third of the rate.
Index(
    "ix_part_due",
    part.c.slot,
    part.c.expire_time,
    sqlite_where=text("held > 0 AND expire_time IS NOT NULL"),
    postgresql_where=text("held > 0 AND expire_time IS NOT NULL"),
)

request_outcome = Table(
    "request_outcome",
    metadata,
    _slot(),
    _id("request_id"),
    _big("scope"),
    Column("fingerprint", LargeBinary(16), nullable=False),
    _big("refusal_number"),
    Column("payload", LargeBinary, nullable=False),
    _big("record_time"),
    _big("first_sequence"),
    _big("last_sequence"),
    PrimaryKeyConstraint("slot", "request_id", "scope"),
    comment="One id, one outcome. refusal_number: 0 for an effect, else the number among the caller's refusals",
    **_CLUSTERED,
)
# Refusals alone pay for it: by it a caller's oldest are found when it has too many.
Index(
    "ix_request_outcome_refusal",
    request_outcome.c.slot,
    request_outcome.c.scope,
    request_outcome.c.refusal_number,
    sqlite_where=text("refusal_number > 0"),
    postgresql_where=text("refusal_number > 0"),
)

caller = Table(
    "caller",
    metadata,
    _slot(),
    _big("scope"),
    _big("refusals"),
    _big("forgotten_until"),
    PrimaryKeyConstraint("slot", "scope"),
    comment="Callers that were refused: how often, and until when refusals were forgotten early",
    **_CLUSTERED,
)

order_reference = Table(
    "order_reference",
    metadata,
    _slot(),
    _text("organization"),
    _text("caller"),
    _text("order_reference"),
    _id("reservation_id"),
    PrimaryKeyConstraint("slot", "organization", "caller", "order_reference"),
    comment="An order reference names one reservation of a caller",
    **_CLUSTERED,
)

feed = Table(
    "feed",
    metadata,
    _slot(),
    _big("revision"),
    _big("record_time"),
    Column("stock_ids", LargeBinary, nullable=False),
    PrimaryKeyConstraint("slot", "revision"),
    comment="Which keys each group commit changed (packed big-endian 64-bit ids): what a resumed watch reads",
    **_CLUSTERED,
)

policy = Table(
    "policy",
    metadata,
    _slot(),
    _text("organization"),
    _big("revision"),
    _text("body"),
    _big("create_time"),
    PrimaryKeyConstraint("slot", "organization", "revision"),
    comment="Every version of every organization's rules, as JSON; small, slot 0",
    **_CLUSTERED,
)
