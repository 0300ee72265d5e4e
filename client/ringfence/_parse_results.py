"""Protobuf answers to mutating requests, as results. Pure, and shared by both clients and by Execute."""

from __future__ import annotations

from ringfence import _parse
from ringfence import _results as r
from ringfence._types import PoolBalance
from ringfence._wire import BOOKING_RESULT, COUNT_RESULT, FIGURE_RESULT, FILL, RESTOCK, to_datetime
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import policy_service_pb2, stock_service_pb2


def allocate(message: allocation_pb2.AllocateResponse, request_id: str) -> r.AllocateResult:
    """Reads the answer to Allocate."""
    return r.AllocateResult(
        pools=_pools(message),
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def unallocate(message: allocation_pb2.UnallocateResponse, request_id: str) -> r.UnallocateResult:
    """Reads the answer to Unallocate."""
    return r.UnallocateResult(
        pools=_pools(message),
        quantities=tuple(message.quantities),
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def reallocate(message: allocation_pb2.ReallocateResponse, request_id: str) -> r.ReallocateResult:
    """Reads the answer to Reallocate."""
    return r.ReallocateResult(
        pools=_pools(message),
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def reserve(message: allocation_pb2.ReserveResponse, request_id: str) -> r.ReserveResult:
    """Reads the answer to Reserve."""
    return r.ReserveResult(
        reservation=_parse.reservation(message.reservation),
        fill=FILL[message.fill],
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def update_reservation(message: allocation_pb2.UpdateReservationResponse, request_id: str) -> r.UpdateReservationResult:
    """Reads the answer to UpdateReservation."""
    return r.UpdateReservationResult(
        reservation=_parse.reservation(message.reservation),
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def consume(message: allocation_pb2.ConsumeResponse, request_id: str) -> r.ConsumeResult:
    """Reads the answer to Consume."""
    return r.ConsumeResult(
        reservation=_parse.reservation(message.reservation),
        at_risk=message.at_risk,
        consumed={line.line_id: line.quantity for line in message.consumed},
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def cancel(message: allocation_pb2.CancelResponse, request_id: str) -> r.CancelResult:
    """Reads the answer to Cancel."""
    return r.CancelResult(
        reservation=_parse.reservation(message.reservation),
        lines=tuple([r.CancelledLine(line.line_id, line.quantity, RESTOCK[line.restock]) for line in message.lines]),
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def post_stock(message: stock_service_pb2.PostStockResponse, request_id: str) -> r.PostStockResult:
    """Reads the answer to PostStock."""
    return r.PostStockResult(
        outcomes=tuple(
            [
                r.FigureOutcome(
                    key=_parse.stock_key(outcome.key),
                    measure=outcome.measure,
                    result=FIGURE_RESULT[outcome.result],
                    value=outcome.value,
                    position=outcome.position,
                    supply=outcome.supply,
                    epoch=outcome.epoch,
                    common=_parse.pool(outcome.common) if outcome.HasField("common") else None,
                    unsettled=outcome.unsettled,
                )
                for outcome in message.outcomes
            ]
        ),
        booking_outcomes=tuple(
            [
                r.BookingOutcome(
                    result=BOOKING_RESULT[outcome.result],
                    reservation_id=outcome.reservation_id,
                    part_number=outcome.part_number,
                    key=_parse.stock_key(outcome.key),
                    contained=outcome.contained,
                    owed=outcome.owed,
                    surplus=outcome.surplus,
                )
                for outcome in message.booking_outcomes
            ]
        ),
        begin_outcome=_count(message.begin_outcome) if message.HasField("begin_outcome") else None,
        end_outcome=_count(message.end_outcome) if message.HasField("end_outcome") else None,
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def _count(message: stock_service_pb2.CountOutcome) -> r.CountOutcome:
    return r.CountOutcome(
        result=COUNT_RESULT[message.result],
        mentioned_keys=message.mentioned_keys,
        unmentioned_keys=message.unmentioned_keys,
        zeroed_units=message.zeroed_units,
        remaining_keys=message.remaining_keys,
    )


def reassign_part(message: allocation_pb2.ReassignPartResponse, request_id: str) -> r.ReassignPartResult:
    """Reads the answer to ReassignPart."""
    return r.ReassignPartResult(
        reservation=_parse.reservation(message.reservation),
        part_numbers=tuple(message.part_numbers),
        at_risk=message.at_risk,
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def report_published(message: stock_service_pb2.ReportPublishedResponse, request_id: str) -> r.ReportPublishedResult:
    """Reads the answer to ReportPublished."""
    return r.ReportPublishedResult(
        applied=message.applied,
        request_id=request_id,
        revision=message.revision,
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def set_policy(message: policy_service_pb2.SetPolicyResponse, request_id: str) -> r.SetPolicyResult:
    """Reads the answer to SetPolicy."""
    return r.SetPolicyResult(
        policy=_parse.policy(message.policy),
        request_id=request_id,
        revision="",
        server_time=to_datetime(message.server_time),
        replayed=message.replayed,
        raw=message,
    )


def _pools(
    message: allocation_pb2.AllocateResponse | allocation_pb2.UnallocateResponse | allocation_pb2.ReallocateResponse,
) -> tuple[PoolBalance, ...]:
    return tuple([_parse.pool(found) for found in message.pools])
