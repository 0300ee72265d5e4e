"""Keys, pools and reservations as messages: plain dictionaries of fields, which the generated classes take whole.

A dictionary becomes a message in one call into C; filling the message field by field costs the same, nested generated
objects twice as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ringfence.v1 import common_pb2
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.promise import sellable
from ringfence_server.ledger.state import Part, Pool, Reservation, Stock
from ringfence_server.ledger.till_state import Published, TillSale

from .times import time_fields

Fields: TypeAlias = Mapping[str, Any]


def uuid_text(identifier: bytes) -> str:
    """16 bytes as a UUID in its usual text form."""
    digits = identifier.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def key_fields(key: StockKey) -> Fields:
    """A stock key; the location may be empty where a line is to be sourced."""
    if key.dimensions:
        return {"sku": key.sku, "location": key.location, "dimensions": dict(key.dimensions)}
    return {"sku": key.sku, "location": key.location}


def key_text(key: StockKey) -> str:
    """For people: ``BIKE at north (colour=red)``."""
    place = f" at {key.location}" if key.location else " over the policy's location order"
    values = ", ".join(f"{name}={value}" for name, value in key.dimensions)
    return f"{key.sku}{place} ({values})" if values else f"{key.sku}{place}"


def dimension_metadata(key: StockKey) -> dict[str, str]:
    """``dimension_1`` … for an ErrorInfo's metadata, whose keys a dimension's name might not fit."""
    return {f"dimension_{number}": f"{name}={value}" for number, (name, value) in enumerate(key.dimensions, 1)}


def pool_fields(stock: Stock, pool: Pool) -> Fields:
    """A pool as it stands."""
    return {
        "key": key_fields(stock.key),
        "path": pool.path,
        "allocated": pool.free + pool.held,
        "available": sellable(stock, pool),
        "held": pool.held,
        "unsettled": pool.unsettled,
        "consumed": pool.consumed,
    }


def published_fields(report: Published) -> Fields:
    """What an adapter last published for one pool."""
    return {
        "publisher": report.publisher,
        "path": report.path,
        "quantity": report.quantity,
        "publish_time": time_fields(report.publish_time),
        "record_time": time_fields(report.record_time),
    }


def part_fields(part: Part, key: Fields) -> Fields:
    """What one location and one pool gave. Zeros are left out: a reader of the message sees them all the same."""
    fields: dict[str, Any] = {"part_number": part.number, "key": key, "path": part.path, "granted": part.granted}
    if part.held:
        fields["held"] = part.held
    if part.unsettled:
        fields["unsettled"] = part.unsettled
    if part.settled:
        fields["settled"] = part.settled
    if part.cancelled:
        fields["cancelled"] = part.cancelled
    if part.expired:
        fields["expired"] = part.expired
    if part.sent_time is not None:
        fields["sent_time"] = time_fields(part.sent_time)
    if part.received_time is not None:
        fields["received_time"] = time_fields(part.received_time)
    if part.settled_time is not None:
        fields["settled_time"] = time_fields(part.settled_time)
    if part.document_number:
        fields["document_number"] = part.document_number
    if part.till is not None:
        _add_till_fields(fields, part, part.till)
    return fields


def _add_till_fields(fields: dict[str, Any], part: Part, till: TillSale) -> None:
    """What a till has to do with the part."""
    if part.unsettled > till.undecided:
        fields["owed"] = part.unsettled - till.undecided
    if till.undecided:
        fields["rejected"] = till.undecided
    # The rest is named in the contract as it is here.
    for name in ("attempts", "booked", "cancelling", "closed", "last_error", "moved_from", "rejected_reason"):
        value = getattr(till, name)
        if value:
            fields[name] = value
    if till.refused_reason:
        fields["cancellation_refused_reason"] = till.refused_reason


def reservation_fields(reservation: Reservation) -> Fields:
    """A reservation with its lines in the caller's order and the parts of each in the order they were granted."""
    parts = reservation.parts
    lines: Iterable[list[Part]] = (parts,) if len(parts) == 1 else reservation.lines().values()
    fields: dict[str, Any] = {
        "reservation_id": uuid_text(reservation.reservation_id),
        "state": reservation.state,
        "owner": reservation.owner,
        "lines": [_line_fields(line) for line in lines],
        "create_time": time_fields(reservation.create_time),
        "revision": reservation.revision,
    }
    if reservation.expire_time is not None:
        fields["expire_time"] = time_fields(reservation.expire_time)
    if reservation.consume_time is not None:
        fields["consume_time"] = time_fields(reservation.consume_time)
        fields["order_reference"] = reservation.order_reference
        fields["attributes"] = reservation.attributes
    if reservation.cancel_reason:
        fields["cancel_reason"] = reservation.cancel_reason
    if reservation.cancel_text:
        fields["cancel_reason_text"] = reservation.cancel_text
    return fields


def reservation_message(reservation: Reservation) -> common_pb2.Reservation:
    """The same as a message."""
    return common_pb2.Reservation(**reservation_fields(reservation))


def _line_fields(parts: list[Part]) -> Fields:
    first = parts[0]
    key = first.stock.key
    known = key_fields(key)
    # A line that a partial grant left with nothing has one part that gave nothing: no part of the answer.
    granted = [part for part in parts if part.granted]
    return {
        "line_id": first.line_id,
        "key": known if first.located else key_fields(key._replace(location="")),
        "path": first.asked_path,
        "requested": first.requested,
        "granted": sum([part.granted for part in granted]),
        "fallback": first.fallback,
        "parts": [
            part_fields(part, known if part.stock is first.stock else key_fields(part.stock.key)) for part in granted
        ],
    }
