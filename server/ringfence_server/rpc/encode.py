"""A decision as the bytes that are stored and answered.

Runs inside the transaction, on the store's thread, right after the decision: the state it refers to changes with the
next command. A refusal becomes its google.rpc.Status.
"""

from __future__ import annotations

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2, policy_service_pb2
from ringfence_server.committer import Stamp
from ringfence_server.ledger.outcomes import (
    Cancelled,
    Consumed,
    Decision,
    PolicySet,
    PoolsChanged,
    Reassigned,
    Refusal,
    Reserved,
    Updated,
)

from .encode_held import held_line
from .refusals import refusal_status
from .render import pool_fields, reservation_fields
from .render_policy import policy_message
from .times import time_fields
from .tokens import stamp_token


def reserve(decision: Decision, stamp: Stamp) -> bytes:
    """A ReserveResponse."""
    if isinstance(decision, Reserved):
        by_hand = held_line(decision, stamp)
        if by_hand is not None:
            return by_hand
        return pb.ReserveResponse(
            reservation=reservation_fields(decision.reservation),
            fill=common_pb2.FILL_FULL if decision.full else common_pb2.FILL_PARTIAL,
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def consume(decision: Decision, stamp: Stamp) -> bytes:
    """A ConsumeResponse."""
    if isinstance(decision, Consumed):
        return pb.ConsumeResponse(
            reservation=reservation_fields(decision.reservation),
            at_risk=decision.at_risk,
            consumed=[{"line_id": line_id, "quantity": quantity} for line_id, quantity in decision.quantities],
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def cancel(decision: Decision, stamp: Stamp) -> bytes:
    """A CancelResponse."""
    if isinstance(decision, Cancelled):
        return pb.CancelResponse(
            reservation=reservation_fields(decision.reservation),
            lines=[
                {"line_id": line.line_id, "quantity": line.quantity, "restock": line.restock.value}
                for line in decision.lines
            ],
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def update_reservation(decision: Decision, stamp: Stamp) -> bytes:
    """An UpdateReservationResponse."""
    if isinstance(decision, Updated):
        return pb.UpdateReservationResponse(
            reservation=reservation_fields(decision.reservation),
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def allocate(decision: Decision, stamp: Stamp) -> bytes:
    """An AllocateResponse."""
    if isinstance(decision, PoolsChanged):
        return pb.AllocateResponse(
            pools=[pool_fields(stock, pool) for stock, pool in decision.pools],
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def unallocate(decision: Decision, stamp: Stamp) -> bytes:
    """An UnallocateResponse."""
    if isinstance(decision, PoolsChanged):
        return pb.UnallocateResponse(
            pools=[pool_fields(stock, pool) for stock, pool in decision.pools],
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
            quantities=decision.quantities,
        ).SerializeToString()
    return refused(decision)


def reallocate(decision: Decision, stamp: Stamp) -> bytes:
    """A ReallocateResponse."""
    if isinstance(decision, PoolsChanged):
        return pb.ReallocateResponse(
            pools=[pool_fields(stock, pool) for stock, pool in decision.pools],
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def reassign_part(decision: Decision, stamp: Stamp) -> bytes:
    """A ReassignPartResponse."""
    if isinstance(decision, Reassigned):
        return pb.ReassignPartResponse(
            reservation=reservation_fields(decision.reservation),
            part_numbers=[part.number for part in decision.parts],
            at_risk=decision.at_risk,
            revision=stamp_token(stamp),
            server_time=time_fields(stamp.server_time),
        ).SerializeToString()
    return refused(decision)


def set_policy(decision: Decision, stamp: Stamp) -> bytes:
    """A SetPolicyResponse."""
    if isinstance(decision, PolicySet):
        return policy_service_pb2.SetPolicyResponse(
            policy=policy_message(decision.policy), server_time=time_fields(stamp.server_time)
        ).SerializeToString()
    return refused(decision)


def refused(decision: Decision) -> bytes:
    """The google.rpc.Status of a refusal."""
    if isinstance(decision, Refusal):
        return refusal_status(decision)
    raise AssertionError(f"{type(decision).__name__} is not what this command comes to")
