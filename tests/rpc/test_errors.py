"""Refusals and failures have their code, reason and typed detail, and a message that says what would work."""

from __future__ import annotations

import logging
import re
from typing import Any, get_args

import pytest

import ringfence
from ringfence._error_mapping import from_status
from ringfence.v1 import common_pb2, errors_pb2
from ringfence_server.committer import Draining, Failure, Overloaded
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    LeaseExpired,
    NotHeld,
    NotRejected,
    OpenSales,
    OrderReferenceInUse,
    Overflow,
    QuotaInUse,
    QuotasInUse,
    Refusal,
    RequestIdReused,
    RequestTooOld,
    ReservationNotFound,
    RevisionMismatch,
    SettlementInUse,
    SettlementsInUse,
    Shortage,
    ShortageReason,
    StockNotFound,
    ValueMismatch,
    Violation,
)
from ringfence_server.ledger.policy import Location, LocationKind
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.rpc.errors import failure_status, status_for
from ringfence_server.rpc.refusals import refusal_status
from ringfence_server.rpc.render import reservation_message
from tests.rpc.messages import BadRequest, ErrorInfo, ResourceInfo, RetryInfo, Status, detail, reason, violations
from tests.rpc.rows import BIKE, LAMP, MADE, RESERVATION, RESERVATION_TEXT, part, pool, reservation, stock

HELD = reservation(part(1, stock(BIKE, pool("web", held=3)), granted=3, held=3))
OVER = reservation(part(1, stock(BIKE, pool("web")), granted=3, expired=3), expire_time=MADE)

SHORT = Shortage("a", BIKE, "web/london/vip", 201, 200, ShortageReason.QUOTA_EXHAUSTED, "web/london/vip", 201, 0)


def told(refusal: Refusal) -> Status:
    """The status of a refusal."""
    return Status.FromString(refusal_status(refusal))


EVERY: list[tuple[Refusal, int, str, Any]] = [
    (Invalid((Violation("lines[3].quantity", "OUT_OF_RANGE", "1 to 10^12"),)), 3, "OUT_OF_RANGE", BadRequest),
    (Insufficient((SHORT,)), 9, "INSUFFICIENT_QUANTITY", errors_pb2.InsufficientQuantity),
    (LeaseExpired(OVER, "a"), 9, "LEASE_EXPIRED", errors_pb2.ReservationRefusal),
    (NotHeld(HELD, "a", 4, 3), 9, "NOT_HELD", errors_pb2.ReservationRefusal),
    (NotRejected(HELD, "a", 4, 3), 9, "NOT_REJECTED", errors_pb2.ReservationRefusal),
    (ReservationNotFound(RESERVATION), 5, "RESERVATION_NOT_FOUND", ResourceInfo),
    (StockNotFound(BIKE, "lines[0].key"), 5, "STOCK_NOT_FOUND", ResourceInfo),
    (RevisionMismatch("expected_revision", 3, 4), 10, "REVISION_MISMATCH", errors_pb2.Mismatch),
    (ValueMismatch("figures[1].expected_value", -3, 4), 10, "VALUE_MISMATCH", errors_pb2.Mismatch),
    (Overflow("figures[0].delta", "on_hand would become 2 * 10^12"), 11, "QUANTITY_OVERFLOW", BadRequest),
    (OrderReferenceInUse("A-7", RESERVATION), 6, "ORDER_REFERENCE_IN_USE", ResourceInfo),
    (QuotasInUse((QuotaInUse(LAMP, "web", 7),)), 9, "QUOTA_IN_USE", errors_pb2.QuotasInUse),
    (
        SettlementsInUse((SettlementInUse(Location("north", LocationKind.TILL), OpenSales(7, 2, 5)),)),
        9,
        "SETTLEMENT_IN_USE",
        errors_pb2.SettlementsInUse,
    ),
    (RequestIdReused(), 3, "REQUEST_ID_REUSED", BadRequest),
    (RequestTooOld(MADE), 3, "REQUEST_TOO_OLD", BadRequest),
]


@pytest.mark.parametrize(("refusal", "code", "name", "kind"), EVERY, ids=lambda value: getattr(value, "__name__", None))
def test_a_refusal_has_its_code_its_reason_and_its_detail(refusal: Refusal, code: int, name: str, kind: Any) -> None:
    """As the table of the contract has it; never INTERNAL or UNKNOWN."""
    status = told(refusal)
    assert (status.code, reason(status)) == (code, name)
    assert detail(status, kind) != kind()
    assert status.message


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (QuotaInUse(LAMP, "web", 0), "unallocate all its free units (0) to end it"),
        (QuotaInUse(LAMP, "web", 7, 3), "3 held: consume or cancel them, or let their leases end; 4 free: then"),
        (QuotaInUse(LAMP, "web", 0, 0, 6), "6 sold and not settled: post the till's figures, or cancel them"),
    ],
)
def test_a_quota_in_use_says_what_ends_it(found: QuotaInUse, said: str) -> None:
    """Free, held and sold units each go their own way; a sold-out quota is none of them and still one."""
    assert said in told(QuotasInUse((found,))).message


def test_a_settlement_in_use_says_what_is_open_and_what_has_to_stay() -> None:
    """The units, sales and keys, and the location's kind, measure and source as they are."""
    north = Location("north", LocationKind.TILL, "counted", source="pos")
    status = told(SettlementsInUse((SettlementInUse(north, OpenSales(7, 2, 5)),)))
    assert "keep its kind TILL, settlement_measure 'counted' and source 'pos' until" in status.message
    assert detail(status, errors_pb2.SettlementsInUse).locations[0] == errors_pb2.SettlementInUse(
        location="north",
        unsettled=7,
        keys=2,
        sales=5,
        kind=common_pb2.LOCATION_KIND_TILL,
        settlement_measure="counted",
        source="pos",
    )
    assert detail(status, ErrorInfo).metadata["settlement_measure"] == "counted"


def test_no_refusal_is_forgotten() -> None:
    """The table above holds every refusal that the ledger knows."""
    assert {type(row[0]) for row in EVERY} == set(get_args(Refusal))


def test_the_client_has_an_exception_for_every_refusal() -> None:
    """Of its own: a caller who handles one handles no other by it, and none is only the class of its code."""
    raised = [type(from_status(told(row[0]))) for row in EVERY]
    assert len(set(raised)) == len(raised)
    assert not {ringfence.Refused, ringfence.NotFound} & set(raised)


@pytest.mark.parametrize("refusal", [row[0] for row in EVERY])
def test_every_value_of_a_message_stands_in_its_metadata(refusal: Refusal) -> None:
    """A program need not read the words."""
    status = told(refusal)
    values = set(detail(status, ErrorInfo).metadata.values())
    spoken = set(re.findall(r"(?<![\w-])-?\d+(?![\w:-])", status.message.replace(RESERVATION_TEXT, "")))
    assert {number for number in spoken if number not in "".join(values)} == set()


@pytest.mark.parametrize(
    "refusal",
    [Insufficient((SHORT,)), StockNotFound(BIKE, "lines[0].key"), QuotasInUse((QuotaInUse(BIKE, "web", 7),))],
)
def test_the_dimensions_of_a_key_stand_in_the_metadata_too(refusal: Refusal) -> None:
    """The message names the red bike; of a blue one the metadata would say the same otherwise."""
    status = told(refusal)
    assert "(colour=red)" in status.message
    assert detail(status, ErrorInfo).metadata["dimension_1"] == "colour=red"


def test_a_shortage_says_what_was_asked_what_there_is_and_what_fallback_would_give() -> None:
    """In the message for people, in the detail for programs."""
    status = told(Insufficient((SHORT, SHORT._replace(line_id="b", reason=ShortageReason.NO_QUOTA))))
    assert status.message == (
        "path 'web/london/vip' of BIKE at north (colour=red): asked 201, 200 to give; fallback would give 201; "
        "1 more lines are short"
    )
    found = detail(status, errors_pb2.InsufficientQuantity).shortages
    assert [each.line_id for each in found] == ["a", "b"]
    assert found[0] == errors_pb2.Shortage(
        line_id="a",
        key={"sku": "BIKE", "location": "north", "dimensions": {"colour": "red"}},
        path="web/london/vip",
        requested=201,
        available=200,
        reason=errors_pb2.SHORTAGE_REASON_QUOTA_EXHAUSTED,
        bound_path="web/london/vip",
        available_with_fallback=201,
    )


@pytest.mark.parametrize(
    ("shortage", "words"),
    [
        (SHORT._replace(reason=ShortageReason.NO_QUOTA), "no quota"),
        (SHORT._replace(reason=ShortageReason.NET_SHORT), "more is promised than is there"),
        (SHORT._replace(reason=ShortageReason.CAP_REACHED, cap=50), "the cap of 'web/london/vip' is 50"),
        (SHORT._replace(path="", available_with_fallback=200), "the common pool of BIKE"),
        (SHORT._replace(key=BIKE._replace(location="")), "BIKE over the policy's location order"),
    ],
)
def test_a_shortage_says_what_bound_it(shortage: Shortage, words: str) -> None:
    """Each reason in words."""
    assert words in told(Insufficient((shortage,))).message


def test_a_refusal_of_a_reservation_shows_it_as_it_stands() -> None:
    """With what was asked and what there is."""
    found = detail(told(NotHeld(HELD, "a", 4, 3)), errors_pb2.ReservationRefusal)
    assert found.reservation == reservation_message(HELD)
    assert (found.line_id, found.requested, found.available) == ("a", 4, 3)


def test_a_lease_that_is_over_says_when_it_ended() -> None:
    """And what can be done."""
    assert told(LeaseExpired(OVER, "")).message == (
        f"the lease of reservation {RESERVATION_TEXT} ended at 2026-01-01T10:00:00.000001Z; reserve anew, or consume "
        "with revive"
    )


def test_all_violations_are_told() -> None:
    """The message tells the first and how many more; the detail all, each with its rule."""
    found = tuple(Violation(f"lines[{number}].quantity", "OUT_OF_RANGE", "1 to 10^12") for number in range(3))
    status = told(Invalid(found))
    assert status.message == "lines[0].quantity: 1 to 10^12 (and 2 more)"
    assert violations(status) == {each.field: (each.rule, each.description) for each in found}


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (Overloaded(0.25), 8, "OVERLOADED"),
        (Draining(), 14, "DRAINING"),
        (StoreUnavailable("SELECT secret FROM pool"), 14, "STORE_UNAVAILABLE"),
    ],
)
def test_what_may_be_tried_again_says_when(error: Exception, code: int, name: str) -> None:
    """RetryInfo above zero, on each of them."""
    status = Status.FromString(status_for(error, "Reserve"))
    assert (status.code, reason(status)) == (code, name)
    assert detail(status, RetryInfo).retry_delay.ToNanoseconds() > 0
    assert "SELECT" not in str(status)


def test_overloaded_says_when_there_will_be_room() -> None:
    """As the committer reckons."""
    status = Status.FromString(status_for(Overloaded(1.5), "Reserve"))
    assert detail(status, RetryInfo).retry_delay.ToMilliseconds() == 1_500


@pytest.mark.parametrize(
    ("failure", "code", "name"),
    [
        (Failure.DEADLINE, 4, "DEADLINE_EXCEEDED"),
        (Failure.STORE, 14, "STORE_UNAVAILABLE"),
        (Failure.DRAINING, 14, "DRAINING"),
        (Failure.INTERNAL, 13, "INTERNAL"),
    ],
)
def test_every_failure_of_the_committer_has_its_status(failure: Failure, code: int, name: str) -> None:
    """Nothing happened, and the status says so."""
    status = Status.FromString(failure_status(failure, "id"))
    assert (status.code, reason(status)) == (code, name)


def test_a_fault_tells_the_log_everything_and_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """But an id under which the log has it."""
    try:
        raise KeyError("sqlite3.OperationalError: near SELECT")
    except KeyError as fault:
        with caplog.at_level(logging.ERROR):
            status = Status.FromString(status_for(fault, "Reserve"))
    assert (status.code, reason(status)) == (13, "INTERNAL")
    incident = detail(status, ErrorInfo).metadata["incident"]
    assert incident in status.message
    assert incident in caplog.text
    assert "SELECT" in caplog.text
    assert "Traceback" in caplog.text
    for secret in ("SELECT", "sqlite", "KeyError", "Traceback", ".py"):
        assert secret not in str(status)
