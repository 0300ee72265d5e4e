"""Requests as a caller would write them, and what comes back taken apart."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2, stock_service_pb2
from ringfence_server.rpc.status import DETAILS_KEY

M = TypeVar("M", bound=Message)


def new_id() -> str:
    """An id for one request; it carries no time."""
    return str(uuid.uuid4())


def stock_key(sku: str = "LAMP", location: str = "north", **dimensions: str) -> common_pb2.StockKey:
    """A stock key."""
    return common_pb2.StockKey(sku=sku, location=location, dimensions=dimensions)


def line(quantity: int = 1, sku: str = "LAMP", path: str = "", **fields: Any) -> pb.ReserveLine:
    """An order line at the north store."""
    return pb.ReserveLine(key=stock_key(sku), path=path, quantity=quantity, **fields)


def reserve(*lines: pb.ReserveLine, request_id: str | None = None, **fields: Any) -> pb.ReserveRequest:
    """A Reserve; one lamp when no lines are given."""
    return pb.ReserveRequest(request_id=request_id or new_id(), lines=lines or (line(),), **fields)


def figure(sku: str = "LAMP", **fields: Any) -> stock_service_pb2.StockFigure:
    """A figure at the north store."""
    return stock_service_pb2.StockFigure(key=stock_key(sku), **fields)


def detail(status: Status, kind: type[M]) -> M:
    """The one detail of that kind."""
    url = f"type.googleapis.com/{kind.DESCRIPTOR.full_name}"
    (packed,) = (each for each in status.details if each.type_url == url)
    return kind.FromString(packed.value)


def reason(status: Status) -> str:
    """The reason in the ErrorInfo, whose domain must be the service's."""
    info = detail(status, ErrorInfo)
    assert info.domain == "ringfence"
    return info.reason


def violations(status: Status) -> dict[str, tuple[str, str]]:
    """Field to (rule, description) of a BadRequest."""
    found = detail(status, BadRequest).field_violations
    assert len({each.field for each in found}) == len(found), "a test looks at one violation per field"
    return {each.field: (each.reason, each.description) for each in found}


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """The google.rpc.Status that a failed call carries; it must say what the call's own status says."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(trailers[DETAILS_KEY])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return status


__all__ = [
    "BadRequest",
    "ErrorInfo",
    "ResourceInfo",
    "RetryInfo",
    "Status",
    "detail",
    "figure",
    "line",
    "new_id",
    "reason",
    "reserve",
    "status_of",
    "stock_key",
    "violations",
]
