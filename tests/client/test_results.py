"""How answers read."""

from __future__ import annotations

import copy
import enum
import pickle
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

import ringfence as r
from ringfence import _enums, _parse, _parse_results, _parse_till, _wire
from ringfence.v1 import (
    allocation_service_pb2 as allocation_pb2,
)
from ringfence.v1 import (
    balance_pb2,
    common_pb2,
    errors_pb2,
    ledger_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
)


def is_map(field: Any) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def filled(kind: type[Message], depth: int = 4) -> Any:
    """A message with a value of its own in every field."""
    message = kind()
    descriptor: Any = kind.DESCRIPTOR
    for number, field in enumerate(descriptor.fields, 2):
        if is_map(field):
            getattr(message, field.name).update({"colour": "red"})
        elif field.message_type is not None:
            if depth:
                # The concrete class of a sub-message, whatever its kind.
                target = getattr(message, field.name)
                sample = target.add() if field.is_repeated else target
                sample.CopyFrom(filled(type(sample), depth - 1))
        elif field.containing_oneof is None or field.containing_oneof.fields[0] is field:
            value: Any = {
                FieldDescriptor.CPPTYPE_STRING: f"{field.name}-{number}",
                FieldDescriptor.CPPTYPE_BOOL: True,
                FieldDescriptor.CPPTYPE_ENUM: 1,
            }.get(field.cpp_type, number)
            if field.type == FieldDescriptor.TYPE_BYTES:
                value = b"\x00" + bytes([number])
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


PAIRS: list[tuple[type[Message], Any]] = [
    (common_pb2.PoolBalance, _parse.pool),
    (common_pb2.Reservation, _parse.reservation),
    (stock_service_pb2.Stock, _parse.stock),
    (stock_service_pb2.Discrepancy, _parse_till.discrepancy),
    (order_feed_service_pb2.OrderEvent, _parse_till.order_event),
    (ledger_service_pb2.Entry, _parse.entry),
    (ledger_service_pb2.VerifyResponse, _parse.verify_report),
    (balance_pb2.Balance, _parse.balance),
    (balance_pb2.WatchBalancesResponse, _parse.watch_event),
    (policy_service_pb2.Policy, _parse.policy),
    *(
        (kind, lambda message, parse=parse: parse(message, "id"))
        for kind, parse in (
            (allocation_pb2.AllocateResponse, _parse_results.allocate),
            (allocation_pb2.UnallocateResponse, _parse_results.unallocate),
            (allocation_pb2.ReallocateResponse, _parse_results.reallocate),
            (allocation_pb2.ReserveResponse, _parse_results.reserve),
            (allocation_pb2.UpdateReservationResponse, _parse_results.update_reservation),
            (allocation_pb2.ConsumeResponse, _parse_results.consume),
            (allocation_pb2.CancelResponse, _parse_results.cancel),
            (stock_service_pb2.PostStockResponse, _parse_results.post_stock),
            (allocation_pb2.ReassignPartResponse, _parse_results.reassign_part),
            (stock_service_pb2.ReportPublishedResponse, _parse_results.report_published),
            (policy_service_pb2.SetPolicyResponse, _parse_results.set_policy),
        )
    ),
]

# Where a field's name or shape differs from the message's, on purpose.
RENAMED = {"event": "kind"}
SHAPED = {"supply", "measures", "consumed"}


def same(message: Any, value: Any, where: str) -> None:
    """Asserts that a value holds everything a message says, to the bottom."""
    for field in message.DESCRIPTOR.fields:
        name = RENAMED.get(field.name, field.name)
        assert hasattr(value, name), f"{where}.{name} is missing"
        theirs, ours = getattr(message, field.name), getattr(value, name)
        if is_map(field):
            assert dict(theirs) == dict(ours), f"{where}.{name}"
            continue
        if name in SHAPED and field.is_repeated:
            assert len(ours) == len(theirs)
            continue
        pairs = list(zip(theirs, ours, strict=True)) if field.is_repeated else [(theirs, ours)]
        for one, other in pairs:
            compare(field, one, other, f"{where}.{name}")


def compare(field: Any, theirs: Any, ours: Any, where: str) -> None:
    """Asserts that one field's value is the message's."""
    if isinstance(ours, datetime):
        assert ours == datetime.fromtimestamp(theirs.seconds, UTC), where
        assert ours.tzinfo is UTC, where
    elif isinstance(ours, timedelta):
        assert ours == timedelta(seconds=theirs.seconds), where
    elif isinstance(ours, enum.StrEnum):
        assert field.enum_type.values_by_number[theirs].name.endswith(ours.name), where
    elif is_dataclass(ours):
        same(theirs, ours, where)
    else:
        assert type(theirs) is type(ours), where
        assert theirs == ours, where


@pytest.mark.parametrize(("kind", "parse"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_of_an_answer_is_read(kind: type[Message], parse: Any) -> None:
    """What the service says stands in the result, field by field, whatever the contract adds to the message."""
    message = filled(kind)
    same(message, parse(message), kind.__name__)


@pytest.mark.parametrize(("kind", "parse"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_empty_answer_is_read(kind: type[Message], parse: Any) -> None:
    """A message without anything in it is no reason to fail."""
    assert parse(kind()) is not None


@pytest.mark.parametrize(("kind", "parse"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_result_is_frozen_slotted_and_keeps_its_message(kind: type[Message], parse: Any) -> None:
    """Results cannot be changed, take no other fields, and hand out the message they were read from."""
    message = filled(kind)
    result = parse(message)
    assert result.raw is message
    assert not hasattr(result, "__dict__")
    with pytest.raises(FrozenInstanceError):
        setattr(result, fields(result)[0].name, None)
    again = parse(filled(kind))
    assert again == result
    assert "raw" not in repr(result)


def test_figures_of_a_reservation_add_up() -> None:
    """What is held of a line and of a reservation is the sum over its parts."""
    message = text_format.Parse(
        'lines { line_id: "a" parts { held: 2 } parts { held: 3 } } lines { line_id: "b" parts { held: 4 } }',
        common_pb2.Reservation(),
    )
    reservation = _parse.reservation(message)
    assert reservation.held == 9
    assert reservation.line("a").held == 5
    with pytest.raises(KeyError):
        reservation.line("c")


def test_a_missing_instant_is_none() -> None:
    """A hold without end has no expire_time, instead of 1970."""
    reservation = _parse.reservation(common_pb2.Reservation())
    assert reservation.expire_time is None
    assert reservation.consume_time is None


def test_an_instant_is_exact_to_the_microsecond() -> None:
    """No float rounds a time."""
    message = common_pb2.Reservation()
    message.expire_time.seconds = 253_402_300_799
    message.expire_time.nanos = 999_999_000
    expected = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert _parse.reservation(message).expire_time == expected


def test_a_value_of_a_newer_service_is_unknown() -> None:
    """A state that this client does not know reads as UNKNOWN, and raw has its number."""
    message = common_pb2.Reservation()
    message.MergeFromString(b"\x10\x63")
    reservation = _parse.reservation(message)
    assert reservation.state is r.ReservationState.UNKNOWN
    assert reservation.raw.state == 99


def test_no_cancel_reason_is_none() -> None:
    """A reservation that was never cancelled has no reason."""
    assert _parse.reservation(common_pb2.Reservation()).cancel_reason is None


TABLES = [(name, table) for name, table in vars(_wire).items() if isinstance(table, _wire.EnumTable)]


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[name for name, _ in TABLES])
def test_every_enumeration_is_whole(name: str, table: Any) -> None:
    """A value that the contract adds to an enumeration must be added to the client's."""
    kind = type(next(iter(table.values())))
    wrapper: Any = {
        "FALLBACK": common_pb2.Fallback,
        "LOCATION_KIND": common_pb2.LocationKind,
        "RESERVATION_STATE": common_pb2.ReservationState,
        "FILL": common_pb2.Fill,
        "CANCEL_REASON": common_pb2.CancelReason,
        "RESTOCK": allocation_pb2.Restock,
        "FIGURE_RESULT": stock_service_pb2.FigureResult,
        "MEASURE_KIND": policy_service_pb2.MeasureKind,
        "ROLL_UP_BY": balance_pb2.RollUpBy,
        "WATCH_EVENT": balance_pb2.WatchEvent,
        "PLACE": ledger_service_pb2.Place,
        "ENTRY_KIND": ledger_service_pb2.EntryKind,
        "SHORTAGE_REASON": errors_pb2.ShortageReason,
        "BOOKING_RESULT": stock_service_pb2.BookingResult,
        "COUNT_RESULT": stock_service_pb2.CountResult,
        "DISCREPANCY_KIND": stock_service_pb2.DiscrepancyKind,
        "TILL_PROGRESS": allocation_pb2.TillProgress,
        "ORDER_EVENT_KIND": order_feed_service_pb2.OrderEventKind,
        "ORDER_REPLY_RESULT": order_feed_service_pb2.OrderReplyResult,
    }[name]
    theirs = {value.removeprefix(f"{name}_") for value, _ in wrapper.items()} - {"UNSPECIFIED"}
    # RESUME is between client and service: a reader of a watch never sees it.
    ours = set(kind.__members__) - {"UNKNOWN"} | ({"RESUME"} if name == "WATCH_EVENT" else set())
    assert ours == theirs


def test_every_enumeration_of_the_client_is_on_the_wire() -> None:
    """No enumeration is left without its table."""
    tabled = {type(next(iter(table.values()))).__name__ for _, table in TABLES}
    assert tabled == set(_enums.__all__)


def test_a_stock_key_can_be_a_key() -> None:
    """Stock keys compare and hash by value, dimensions in any order, and print for people."""
    one = r.StockKey("BIKE", "hamburg", {"colour": "red", "size": ""})
    other = r.StockKey("BIKE", "hamburg", {"size": "", "colour": "red"})
    assert {one: 1}[other] == 1
    assert one != r.StockKey("BIKE", "hamburg")
    assert str(one) == "BIKE at hamburg colour=red"
    assert str(r.StockKey("BIKE")) == "BIKE"


def test_results_can_be_copied_and_pickled() -> None:
    """Plain values travel between processes; so does the message they were read from."""
    result = _parse_results.reserve(filled(allocation_pb2.ReserveResponse), "id")
    assert copy.deepcopy(result) == result
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_balance_hands_out_its_own_figures() -> None:
    """The figures asked for most are at hand without `own`."""
    balance = _parse.balance(filled(balance_pb2.Balance))
    for name in ("allocated", "available", "held", "unsettled", "consumed"):
        assert getattr(balance, name) == getattr(balance.own, name)


def test_a_page_is_its_items() -> None:
    """Iterating over a page gives its items."""
    page: r.Page[int] = r.Page(items=(1, 2), next_page_token="", raw=common_pb2.StockKey())
    assert list(page) == [1, 2]
    assert len(page) == 2


def test_a_verdict() -> None:
    """Only a finished Verify without violations is ok."""
    report = ledger_service_pb2.VerifyResponse
    assert _parse.verify_report(report(done=True)).ok
    assert not _parse.verify_report(report()).ok
    found = [ledger_service_pb2.Violation(rule="CONSERVATION")]
    assert not _parse.verify_report(report(done=True, violations=found)).ok
