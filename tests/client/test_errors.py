"""Which exception a status becomes, with which fields, and what its message says."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from google.rpc import error_details_pb2, status_pb2

import ringfence as r
from ringfence._error_mapping import Certainty, certainty, from_rpc_error, from_status, never_sent
from ringfence.v1 import errors_pb2
from tests.client.conftest import Connect
from tests.client.scripted import Failure, ScriptedServer, status

SHORTAGES = text_format.Parse(
    """
    shortages { line_id: "1" key { sku: "BIKE" location: "hamburg" } path: "web/london/vip" requested: 201
                available: 200 reason: SHORTAGE_REASON_QUOTA_EXHAUSTED bound_path: "web/london/vip"
                available_with_fallback: 500 }
    shortages { line_id: "2" key { sku: "LAMP" location: "berlin" } requested: 3 available: 0
                reason: SHORTAGE_REASON_NET_SHORT }
    shortages { line_id: "3" key { sku: "LAMP" location: "berlin" } path: "web" requested: 3 available: 0
                reason: SHORTAGE_REASON_NO_QUOTA bound_path: "web" }
    shortages { line_id: "4" key { sku: "LAMP" location: "berlin" } path: "web" requested: 3 available: 1
                reason: SHORTAGE_REASON_CAP_REACHED bound_path: "web" cap: 7 }
    """,
    errors_pb2.InsufficientQuantity(),
)
REFUSAL = text_format.Parse(
    'reservation { reservation_id: "res" } line_id: "a" requested: 3 available: 1', errors_pb2.ReservationRefusal()
)
FIELDS = error_details_pb2.BadRequest(
    field_violations=[{"field": "lines[0].quantity", "description": "must be at least 1", "reason": "QUANTITY"}]
)

CASES: list[tuple[str, str, Any, type[r.RingfenceError], dict[str, Any]]] = [
    (
        "FAILED_PRECONDITION",
        "LEASE_EXPIRED",
        REFUSAL,
        r.LeaseExpired,
        {"line_id": "a", "requested": 3, "available": 1},
    ),
    ("FAILED_PRECONDITION", "NOT_HELD", REFUSAL, r.NotHeld, {"line_id": "a", "requested": 3, "available": 1}),
    (
        "FAILED_PRECONDITION",
        "QUOTA_IN_USE",
        errors_pb2.QuotasInUse(
            quotas=[{"key": {"sku": "BIKE", "location": "hamburg"}, "path": "web", "allocated": 5, "held": 2}]
        ),
        r.QuotaInUse,
        {"quotas": (r.OrphanedQuota(r.StockKey("BIKE", "hamburg"), "web", 5, 2),)},
    ),
    ("FAILED_PRECONDITION", "NOT_REJECTED", REFUSAL, r.NotRejected, {"line_id": "a", "requested": 3, "available": 1}),
    (
        "FAILED_PRECONDITION",
        "SETTLEMENT_IN_USE",
        errors_pb2.SettlementsInUse(
            locations=[{"location": "berlin", "unsettled": 3, "keys": 1, "sales": 2, "kind": 2, "source": "pos"}]
        ),
        r.SettlementInUse,
        {"locations": (r.UnsettledLocation("berlin", 3, 1, 2, r.LocationKind.TILL, "", "pos"),)},
    ),
    (
        "NOT_FOUND",
        "RESERVATION_NOT_FOUND",
        error_details_pb2.ResourceInfo(resource_type="reservation", resource_name="res"),
        r.ReservationNotFound,
        {"resource_type": "reservation", "resource_name": "res"},
    ),
    (
        "NOT_FOUND",
        "STOCK_NOT_FOUND",
        error_details_pb2.ResourceInfo(resource_type="stock", resource_name="LAMP at berlin"),
        r.StockNotFound,
        {"resource_name": "LAMP at berlin"},
    ),
    (
        "ABORTED",
        "REVISION_MISMATCH",
        errors_pb2.Mismatch(field="expected_revision", expected=3, current=4),
        r.RevisionMismatch,
        {"field": "expected_revision", "expected": 3, "current": 4},
    ),
    (
        "ABORTED",
        "VALUE_MISMATCH",
        errors_pb2.Mismatch(field="figures[0].expected_value", expected=3, current=-4),
        r.ValueMismatch,
        {"field": "figures[0].expected_value", "expected": 3, "current": -4},
    ),
    (
        "OUT_OF_RANGE",
        "QUANTITY_OVERFLOW",
        FIELDS,
        r.QuantityOverflow,
        {"violations": (r.FieldViolation("lines[0].quantity", "must be at least 1", "QUANTITY"),)},
    ),
    (
        "INVALID_ARGUMENT",
        "QUANTITY_OUT_OF_BOUNDS",
        FIELDS,
        r.InvalidArgument,
        {"violations": (r.FieldViolation("lines[0].quantity", "must be at least 1", "QUANTITY"),)},
    ),
    ("INVALID_ARGUMENT", "REQUEST_ID_REUSED", None, r.RequestIdReused, {}),
    ("INVALID_ARGUMENT", "REQUEST_TOO_OLD", None, r.RequestTooOld, {}),
    ("RESOURCE_EXHAUSTED", "OVERLOADED", None, r.Overloaded, {}),
    ("RESOURCE_EXHAUSTED", "RATE_LIMITED", None, r.RateLimited, {}),
    ("UNAVAILABLE", "STORE_UNAVAILABLE", None, r.Unavailable, {}),
    ("UNAVAILABLE", "DRAINING", None, r.Unavailable, {}),
    ("UNAUTHENTICATED", "NO_TOKEN", None, r.Unauthenticated, {}),
    ("PERMISSION_DENIED", "SCOPE_MISSING", None, r.PermissionDenied, {}),
    ("DEADLINE_EXCEEDED", "", None, r.DeadlineExceeded, {}),
    ("UNIMPLEMENTED", "", None, r.Unsupported, {}),
    ("INTERNAL", "INCIDENT", None, r.InternalError, {}),
    ("UNKNOWN", "", None, r.InternalError, {}),
    ("FAILED_PRECONDITION", "A_NEW_REASON", None, r.Refused, {}),
    ("NOT_FOUND", "", None, r.NotFound, {}),
    ("CANCELLED", "", None, r.RingfenceError, {}),
]


@pytest.mark.parametrize(("code", "reason", "detail", "kind", "expected"), CASES, ids=lambda value: str(value)[:30])
def test_a_status_becomes_its_exception(
    code: str, reason: str, detail: Any, kind: type[r.RingfenceError], expected: dict[str, Any]
) -> None:
    """Each reason of the catalogue is an exception of its own; an unknown reason is that of its code."""
    made = status(
        code,
        "what happened",
        reason=reason,
        metadata={"sku": "LAMP"} if reason else None,
        retry_after=timedelta(seconds=2),
        details=[detail] if detail is not None else [],
    )
    error = from_status(made, "id")
    assert type(error) is kind
    assert (error.code, error.reason, error.request_id) == (code, reason, "id")
    assert error.retry_after == timedelta(seconds=2)
    assert error.metadata == ({"sku": "LAMP"} if reason else {})
    assert error.raw is made
    assert "what happened" in str(error)
    for name, value in expected.items():
        assert getattr(error, name) == value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1] or case[0])
def test_a_status_without_its_detail_is_the_same_exception(case: Any) -> None:
    """A service that leaves a detail out costs the fields, never the exception."""
    code, reason, _, kind, _ = case
    assert type(from_status(status(code, reason=reason))) is kind


def test_shortages_name_every_line_and_what_bound_it() -> None:
    """InsufficientQuantity has all short lines as values, and says them in words."""
    error = from_status(
        status("FAILED_PRECONDITION", "short", reason="INSUFFICIENT_QUANTITY", details=[SHORTAGES]), "id"
    )
    assert isinstance(error, r.InsufficientQuantity)
    first = error.shortages[0]
    assert first == r.Shortage(
        line_id="1",
        key=r.StockKey("BIKE", "hamburg"),
        path="web/london/vip",
        requested=201,
        available=200,
        reason=r.ShortageReason.QUOTA_EXHAUSTED,
        bound_path="web/london/vip",
        available_with_fallback=500,
        cap=0,
    )
    assert [shortage.reason for shortage in error.shortages[1:]] == ["net_short", "no_quota", "cap_reached"]
    assert str(error) == (
        "not enough: line 1: BIKE at hamburg for web/london/vip: 201 asked, 200 available, 500 with fallback "
        "(web/london/vip has no more); "
        "line 2: LAMP at berlin for the common pool: 3 asked, 0 available (more is promised than is there); "
        "line 3: LAMP at berlin for web: 3 asked, 0 available (web has no quota); "
        "line 4: LAMP at berlin for web: 3 asked, 1 available (the cap of 7 is reached)"
    )


def test_a_long_list_is_cut_in_words_only() -> None:
    """The message names five lines and how many more there are, those included that the service left out."""
    many = errors_pb2.InsufficientQuantity(shortages=[SHORTAGES.shortages[1]] * 9)
    error = from_status(
        status("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY", metadata={"omitted": "100"}, details=[many])
    )
    assert isinstance(error, r.InsufficientQuantity)
    assert len(error.shortages) == 9
    assert str(error).count("line 2") == 5
    assert str(error).endswith("; and 104 more")


def test_a_reservation_comes_with_its_refusal() -> None:
    """LeaseExpired and NotHeld say how the reservation stands."""
    error = from_status(status("FAILED_PRECONDITION", reason="LEASE_EXPIRED", details=[REFUSAL]))
    assert isinstance(error, r.LeaseExpired)
    assert error.reservation is not None
    assert error.reservation.reservation_id == "res"


def test_an_order_reference_in_use_names_its_reservation() -> None:
    """Whoever consumes an order twice learns which reservation has it."""
    error = from_status(
        status(
            "ALREADY_EXISTS",
            reason="ORDER_REFERENCE_IN_USE",
            metadata={"order_reference": "4711", "reservation_id": "res"},
        )
    )
    assert isinstance(error, r.OrderReferenceInUse)
    assert (error.order_reference, error.reservation_id) == ("4711", "res")


def test_a_violation_is_not_said_twice() -> None:
    """When the service's message says the one violation already, the exception does not repeat it."""
    error = from_status(
        status("INVALID_ARGUMENT", "lines[0].quantity: must be at least 1", reason="QUANTITY", details=[FIELDS])
    )
    assert str(error) == "lines[0].quantity: must be at least 1"


def test_several_violations_are_said_once_each() -> None:
    """The service's message is the first of them, at times without its field; the exception lists all."""
    detail = error_details_pb2.BadRequest()
    for field, description in (("request_id", "a UUID"), ("lines", "1 to 2,000 of them")):
        detail.field_violations.add(field=field, description=description)
    error = from_status(status("INVALID_ARGUMENT", "request_id: a UUID (and 1 more)", reason="X", details=[detail]))
    assert str(error) == "request_id: a UUID; lines: 1 to 2,000 of them"
    del detail.field_violations[1]
    error = from_status(status("INVALID_ARGUMENT", "a UUID", reason="REQUEST_TOO_OLD", details=[detail]))
    assert str(error) == "a UUID"


def test_a_name_that_cannot_be_resolved_leaves_nothing_unknown() -> None:
    """The request never left: whoever mistyped the host need not ask what came of it. The words are gRPC's."""
    text = "errors resolving nobody:1: [field:hostname lookup error:address lookup failed for nobody:1: not found]"
    error = from_status(status("UNAVAILABLE", text))
    assert (never_sent(error), certainty(error)) == (True, Certainty.NOT_DONE)


def test_another_domain_is_not_this_catalogue() -> None:
    """A reason counts only in Ringfence's own domain: proxies have reasons too."""
    made = status("FAILED_PRECONDITION", "no")
    info = error_details_pb2.ErrorInfo(reason="LEASE_EXPIRED", domain="proxy.example")
    made.details.add().Pack(info)
    assert type(from_status(made)) is r.Refused


def test_a_damaged_code_is_no_reason_to_fail() -> None:
    """A code that nobody knows is still an error one can catch."""
    assert type(from_status(status_pb2.Status(code=99, message="odd"))) is r.RingfenceError


def test_every_error_can_be_pickled_and_copied() -> None:
    """Errors travel between processes with their fields."""
    error = from_status(status("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY", details=[SHORTAGES]), "id")
    assert isinstance(error, r.InsufficientQuantity)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.shortages == error.shortages
        assert again.request_id == "id"
        assert again.raw == error.raw


def test_an_error_without_details_has_code_and_words() -> None:
    """What gRPC itself says comes through."""

    class Call(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

        def details(self) -> str:
            return "Socket closed"

        def trailing_metadata(self) -> tuple[()]:
            return ()

    cause = Call()
    error = from_rpc_error(cause, "id")
    assert type(error) is r.Unavailable
    assert str(error) == "Socket closed"
    assert error.__cause__ is cause


async def test_a_refusal_of_2000_lines_arrives_whole(scripted: ScriptedServer, connect: Connect) -> None:
    """The channel takes a trailer with every line of the largest request, and tells the service so."""
    many = errors_pb2.InsufficientQuantity(shortages=[SHORTAGES.shortages[0]] * 2_000)
    scripted.on("Reserve", Failure("FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY", details=[many]))
    with pytest.raises(r.InsufficientQuantity) as caught:
        await connect().call("reserve", r.Line("LAMP", "berlin", 1))
    assert len(caught.value.shortages) == 2_000
    assert int(scripted.received[0].metadata["ringfence-max-status-bytes"]) > many.ByteSize()
