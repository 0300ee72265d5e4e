"""Rows to state and state to rows, in the column order of the tables."""

from __future__ import annotations

from typing import Any

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Fallback
from ringfence_server.ledger.state import MeasureValue, Part, Pool, Reservation, Stock

from .codec import dimensions_of, dimensions_text, epoch_ends_of, epoch_ends_text
from .slots import slots_of

SqlRow = tuple[Any, ...]

STOCK_CHANGES = ("supply", "promised", "policy_revision", "revision", "last_sequence")
POOL_CHANGES = ("free", "held", "unsettled", "consumed", "taken", "living")
RESERVATION_CHANGES = (
    "owner",
    "expire_time",
    "consume_time",
    "revision",
    "order_reference",
    "attributes",
    "cancel_reason",
    "cancel_text",
    "last_sequence",
    "part_slots",
)
PART_CHANGES = (
    "requested",
    "granted",
    "held",
    "unsettled",
    "settled",
    "cancelled",
    "expired",
    "expire_time",
    "sent_time",
    "received_time",
    "settled_time",
    "document_number",
    "has_sale",
)


def has_published(row: SqlRow) -> bool:
    """Whether anything was published of the key of a row of ``stock``."""
    return bool(row[-1])


def stock_of(row: SqlRow) -> Stock:
    """A row of ``stock`` without its slot."""
    stock_id, organization, sku, location, dimensions, supply, promised, policy_revision, revision, last, _ = row
    stock = Stock(
        stock_id,
        StockKey(organization, sku, location, dimensions_of(dimensions)),
        supply,
        promised,
        policy_revision,
        revision,
        last,
        stored=True,
    )
    stock.known_paths = set()
    stock.measures_known = False
    return stock


def stock_row(slot: int, stock: Stock) -> SqlRow:
    """A whole row of ``stock``."""
    key = stock.key
    return (
        slot,
        stock.stock_id,
        key.organization,
        key.sku,
        key.location,
        dimensions_text(key.dimensions),
        stock.supply,
        stock.promised,
        stock.policy_revision,
        stock.revision,
        stock.last_sequence,
        None,
    )


def stock_changes(slot: int, stock: Stock) -> SqlRow:
    """STOCK_CHANGES and the key."""
    return (
        stock.supply,
        stock.promised,
        stock.policy_revision,
        stock.revision,
        stock.last_sequence,
        slot,
        stock.stock_id,
    )


def pool_of(row: SqlRow) -> tuple[int, Pool]:
    """(stock_id, pool) of a row of ``pool`` without its slot."""
    stock_id, _, path, free, held, unsettled, consumed, taken, living = row
    return stock_id, Pool(path, free, held, unsettled, consumed, taken, bool(living), stored=True)


def pool_row(slot: int, stock: Stock, pool: Pool) -> SqlRow:
    """A whole row of ``pool``."""
    return (
        slot,
        stock.stock_id,
        pool.number,
        pool.path,
        pool.free,
        pool.held,
        pool.unsettled,
        pool.consumed,
        pool.taken,
        pool.living,
    )


def pool_changes(slot: int, stock: Stock, pool: Pool) -> SqlRow:
    """POOL_CHANGES and the key."""
    return (
        pool.free,
        pool.held,
        pool.unsettled,
        pool.consumed,
        pool.taken,
        pool.living,
        slot,
        stock.stock_id,
        pool.number,
    )


def measure_of(row: SqlRow) -> tuple[int, MeasureValue]:
    """(stock_id, figure in force) of a row of ``measure`` without its slot."""
    stock_id, measure, value, epoch, position, source, count_time, record_time, epoch_ends, count_id = row
    ends = epoch_ends_of(epoch_ends) if epoch_ends else ()
    figure = MeasureValue(
        measure, value, position, source, count_time, record_time, epoch=epoch, epoch_ends=ends, count_id=count_id or ""
    )
    return stock_id, figure


def measure_row(slot: int, stock: Stock, value: MeasureValue) -> SqlRow:
    """A whole row of ``measure``."""
    return (
        slot,
        stock.stock_id,
        value.measure,
        value.value,
        value.epoch,
        value.position,
        value.source,
        value.count_time,
        value.record_time,
        epoch_ends_text(value.epoch_ends) if value.epoch_ends else None,
        value.count_id or None,
    )


def reservation_of(row: SqlRow) -> Reservation:
    """A row of ``reservation`` without its slot; its parts are added by the caller."""
    (
        reservation_id,
        organization,
        caller,
        owner,
        expire_time,
        create_time,
        consume_time,
        revision,
        order_reference,
        attributes,
        cancel_reason,
        cancel_text,
        last_sequence,
        _,
    ) = row
    found = Reservation(reservation_id, organization, caller, owner, expire_time, create_time)
    found.consume_time = consume_time
    found.revision = revision
    found.order_reference = order_reference
    found.attributes = attributes
    found.cancel_reason = cancel_reason
    found.cancel_text = cancel_text
    found.last_sequence = last_sequence
    found.stored = True
    found.changed = False
    return found


def part_slots_of(row: SqlRow) -> tuple[int, ...]:
    """The slots in which the parts of a row of ``reservation`` without its slot lie."""
    return slots_of(row[-1])


def reservation_row(slot: int, reservation: Reservation, part_slots: int) -> SqlRow:
    """A whole row of ``reservation``."""
    return (
        slot,
        reservation.reservation_id,
        reservation.organization,
        reservation.caller,
        reservation.owner,
        reservation.expire_time,
        reservation.create_time,
        reservation.consume_time,
        reservation.revision,
        reservation.order_reference,
        reservation.attributes,
        reservation.cancel_reason,
        reservation.cancel_text,
        reservation.last_sequence,
        part_slots,
    )


def reservation_changes(slot: int, reservation: Reservation, part_slots: int) -> SqlRow:
    """RESERVATION_CHANGES and the key."""
    return (
        reservation.owner,
        reservation.expire_time,
        reservation.consume_time,
        reservation.revision,
        reservation.order_reference,
        reservation.attributes,
        reservation.cancel_reason,
        reservation.cancel_text,
        reservation.last_sequence,
        part_slots,
        slot,
        reservation.reservation_id,
    )


def has_sale(row: SqlRow) -> bool:
    """Whether a row of ``part`` has one of ``till_sale``, which its caller has to load."""
    return bool(row[-1])


def part_of(row: SqlRow, stock: Stock) -> Part:
    """A row of ``part`` without its slot and reservation, on its stock."""
    (
        number,
        line_number,
        line_id,
        _,
        path,
        asked_path,
        fallback,
        located,
        requested,
        granted,
        held,
        unsettled,
        settled,
        cancelled,
        expired,
        expire_time,
        sent_time,
        received_time,
        settled_time,
        document_number,
        _has_sale,
    ) = row
    part = Part(
        number,
        line_number,
        line_id,
        stock,
        path,
        asked_path,
        Fallback(fallback),
        bool(located),
        requested,
        expire_time,
    )
    part.granted = granted
    part.held = held
    part.unsettled = unsettled
    part.settled = settled
    part.cancelled = cancelled
    part.expired = expired
    part.sent_time = sent_time
    part.received_time = received_time
    part.settled_time = settled_time
    part.document_number = document_number
    part.stored = True
    part.changed = False
    return part


def part_row(slot: int, reservation: Reservation, part: Part) -> SqlRow:
    """A whole row of ``part``."""
    return (
        slot,
        reservation.reservation_id,
        part.number,
        part.line_number,
        part.line_id,
        part.stock.stock_id,
        part.path,
        part.asked_path,
        +part.fallback,
        part.located,
        part.requested,
        part.granted,
        part.held,
        part.unsettled,
        part.settled,
        part.cancelled,
        part.expired,
        part.expire_time,
        part.sent_time,
        part.received_time,
        part.settled_time,
        part.document_number,
        part.till is not None or None,
    )


def part_changes(slot: int, reservation: Reservation, part: Part) -> SqlRow:
    """PART_CHANGES and the key."""
    return (
        part.requested,
        part.granted,
        part.held,
        part.unsettled,
        part.settled,
        part.cancelled,
        part.expired,
        part.expire_time,
        part.sent_time,
        part.received_time,
        part.settled_time,
        part.document_number,
        part.till is not None or None,
        slot,
        reservation.reservation_id,
        part.number,
    )
