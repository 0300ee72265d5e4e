"""A status fits into the trailer of a call; what is left out is told."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.v1 import errors_pb2
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    NotHeld,
    OpenSales,
    QuotaInUse,
    QuotasInUse,
    Refusal,
    SettlementInUse,
    SettlementsInUse,
    Shortage,
    ShortageReason,
    StockNotFound,
    Violation,
)
from ringfence_server.ledger.policy import Location, LocationKind
from ringfence_server.rpc.refusals import refusal_status
from ringfence_server.rpc.status import MOST_ROOM, ROOM_IN_TRAILER, ROOM_KEY, fitted, room_for
from tests.rpc.messages import BadRequest, ErrorInfo, Status, detail, reason
from tests.rpc.rows import BIKE, MADE, part, reservation, stock

SHORT = Shortage("a", BIKE, "web", 5, 2, ShortageReason.QUOTA_EXHAUSTED, "web", 3, 0)


def shortages(count: int) -> Insufficient:
    """An order of so many lines, all short."""
    return Insufficient(tuple(SHORT._replace(line_id=str(number)) for number in range(count)))


def held(count: int) -> NotHeld:
    """A reservation of so many lines."""
    parts = [part(n + 1, stock(BIKE), str(n), n, granted=1, held=1) for n in range(count)]
    return NotHeld(reservation(*parts), "1", 2, 1)


def quotas(count: int) -> QuotasInUse:
    """So many pools in the way of a policy."""
    return QuotasInUse(tuple(QuotaInUse(BIKE, f"web/london/{number:03}/vip", 1) for number in range(count)))


def settlements(count: int) -> SettlementsInUse:
    """So many tills in the way of a policy."""
    tills = [Location(f"store-{number:04}", LocationKind.TILL, "counted", source="pos") for number in range(count)]
    return SettlementsInUse(tuple(SettlementInUse(till, OpenSales(7, 2, 5)) for till in tills))


def invalid(count: int) -> Invalid:
    """So many broken rules."""
    return Invalid(
        tuple(Violation(f"lines[{n}].quantity", "OUT_OF_RANGE", "1 to 10^12 base units") for n in range(count))
    )


def test_what_fits_is_left_as_it_is() -> None:
    """Byte by byte."""
    status = refusal_status(shortages(10))
    assert len(status) < ROOM_IN_TRAILER
    assert fitted(status, ROOM_IN_TRAILER) == status


@pytest.mark.parametrize(
    ("refusal", "kind", "items"),
    [
        (shortages(2_000), errors_pb2.InsufficientQuantity, lambda found: found.shortages),
        (held(2_000), errors_pb2.ReservationRefusal, lambda found: found.reservation.lines),
        (quotas(100), errors_pb2.QuotasInUse, lambda found: found.quotas),
        (settlements(1_000), errors_pb2.SettlementsInUse, lambda found: found.locations),
        (invalid(2_000), BadRequest, lambda found: found.field_violations),
    ],
    ids=["shortages", "reservation", "quotas", "settlements", "violations"],
)
def test_a_list_is_cut_to_what_fits(refusal: Refusal, kind: Any, items: Any) -> None:
    """The first items stay, the number left out is told, and all else is as it was."""
    whole = Status.FromString(refusal_status(refusal))
    cut = Status.FromString(fitted(refusal_status(refusal), ROOM_IN_TRAILER))
    assert cut.ByteSize() <= ROOM_IN_TRAILER
    assert (cut.code, cut.message, reason(cut)) == (whole.code, whole.message, reason(whole))
    all_items, kept = list(items(detail(whole, kind))), list(items(detail(cut, kind)))
    assert 0 < len(kept) < len(all_items)
    assert kept == all_items[: len(kept)]
    omitted = detail(cut, ErrorInfo).metadata["omitted"]
    assert int(omitted) == len(all_items) - len(kept)
    # No room is wasted: two items more would not have fit.
    assert cut.ByteSize() > ROOM_IN_TRAILER - 2 * (all_items[len(kept)].ByteSize() + 4) - 64


def test_a_reservation_is_cut_by_its_attributes_first() -> None:
    """The caller's own 8 KiB never cost the detail: the reservation stands in it with all its lines."""
    refusal = held(3)
    refusal.reservation.consume_time = MADE
    refusal.reservation.attributes = b"x" * 8_192
    whole = Status.FromString(refusal_status(refusal))
    cut = Status.FromString(fitted(refusal_status(refusal), ROOM_IN_TRAILER))
    assert cut.ByteSize() <= ROOM_IN_TRAILER
    kept, every = (detail(each, errors_pb2.ReservationRefusal) for each in (cut, whole))
    assert (every.reservation.attributes, kept.reservation.attributes) == (b"x" * 8_192, b"")
    every.reservation.ClearField("attributes")
    assert kept == every
    assert detail(cut, ErrorInfo) == detail(whole, ErrorInfo)


def test_a_detail_that_cannot_be_cut_goes_before_what_the_message_says() -> None:
    """A key whose names fill the trailer several times over: the ErrorInfo keeps every value."""
    name = "\U0001f6b2"
    key = StockKey("acme", name * 128, name * 64, ((name * 64, name * 64),))
    whole = Status.FromString(refusal_status(StockNotFound(key, "lines[0].key")))
    assert whole.ByteSize() > ROOM_IN_TRAILER
    cut = Status.FromString(fitted(whole.SerializeToString(), ROOM_IN_TRAILER))
    assert cut.ByteSize() <= ROOM_IN_TRAILER
    metadata = dict(detail(cut, ErrorInfo).metadata)
    assert metadata.pop("omitted") == "all"
    assert metadata == detail(whole, ErrorInfo).metadata


@pytest.mark.parametrize("room", [200, 700, 5_000, 20_000])
def test_whatever_the_room_it_is_kept(room: int) -> None:
    """Names as long as may be, of characters of four bytes each; code and reason are always told."""
    name = "\U0001f6b2"
    key = StockKey("acme", name * 128, name * 64, ((name * 64, name * 64),))
    path = "/".join([name * 64] * 8)
    shortage = Shortage(name * 64, key, path, 1, 0, ShortageReason.CAP_REACHED, path, 0, 1)
    cut = Status.FromString(fitted(refusal_status(Insufficient((shortage,) * 5)), room))
    assert cut.ByteSize() <= max(room, 1_500)
    assert (cut.code, reason(cut)) == (9, "INSUFFICIENT_QUANTITY")


@pytest.mark.parametrize(
    ("value", "room"),
    [
        (None, ROOM_IN_TRAILER),
        ("65536", 65_536),
        ("1", ROOM_IN_TRAILER),
        ("999999999", MOST_ROOM),
        ("9" * 30, ROOM_IN_TRAILER),
        ("-5", ROOM_IN_TRAILER),
        ("many", ROOM_IN_TRAILER),
        ("²", ROOM_IN_TRAILER),
    ],
)
def test_a_caller_may_have_more_room(value: str | None, room: int) -> None:
    """It says so in its metadata; nonsense means the usual room."""
    metadata = () if value is None else (("user-agent", "x"), (ROOM_KEY, value))
    assert room_for(metadata) == room
