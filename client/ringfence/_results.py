"""What came of a mutating request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence._enums import BookingResult, CountResult, FigureResult, Fill, Restock
    from ringfence._policy_types import Policy
    from ringfence._types import PoolBalance, Reservation, StockKey
    from ringfence.v1 import allocation_service_pb2, policy_service_pb2, stock_service_pb2

__all__ = [
    "AllocateResult",
    "BookingOutcome",
    "CancelResult",
    "CancelledLine",
    "ConsumeResult",
    "CountOutcome",
    "FigureOutcome",
    "PostStockResult",
    "ReallocateResult",
    "ReassignPartResult",
    "ReportPublishedResult",
    "ReserveResult",
    "SetPolicyResult",
    "UnallocateResult",
    "UpdateReservationResult",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What every answer to a mutating request says."""

    request_id: str
    """The id the request was sent with."""
    revision: str
    """Opaque token of the write; give it as `min_revision` to read at least this state. Empty for SetPolicy."""
    server_time: datetime
    """The service's time of the answer."""
    replayed: bool
    """True when this is the stored outcome of an earlier request with the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateResult(_Written):
    """What came of Allocate."""

    pools: tuple[PoolBalance, ...]
    """The pools touched, common pools included, as they stand after the write."""
    raw: allocation_service_pb2.AllocateResponse = field(repr=False, compare=False)
    """The message this was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnallocateResult(_Written):
    """What came of Unallocate."""

    pools: tuple[PoolBalance, ...]
    """The pools touched, common pools included, as they stand after the write."""
    quantities: tuple[int, ...]
    """Units given back per line, in the request's order."""
    raw: allocation_service_pb2.UnallocateResponse = field(repr=False, compare=False)
    """The message this was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReallocateResult(_Written):
    """What came of Reallocate."""

    pools: tuple[PoolBalance, ...]
    """The pools touched as they stand after the write."""
    raw: allocation_service_pb2.ReallocateResponse = field(repr=False, compare=False)
    """The message this was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveResult(_Written):
    """What came of Reserve."""

    reservation: Reservation
    """As first decided. A replay may show a lease that is over by now: compare `server_time`."""
    fill: Fill
    """Whether every line got all it asked for."""
    raw: allocation_service_pb2.ReserveResponse = field(repr=False, compare=False)
    """The message this was read from."""

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReservationResult(_Written):
    """What came of UpdateReservation."""

    reservation: Reservation
    """The reservation after the change."""
    raw: allocation_service_pb2.UpdateReservationResponse = field(repr=False, compare=False)
    """The message this was read from."""

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumeResult(_Written):
    """What came of Consume."""

    reservation: Reservation
    """The reservation after the sale."""
    at_risk: bool
    """True when more is promised on a key of this sale than is there: the sale stands, delivery may fail."""
    consumed: Mapping[str, int]
    """Units sold by this request, by `line_id`."""
    raw: allocation_service_pb2.ConsumeResponse = field(repr=False, compare=False)
    """The message this was read from."""

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id


@dataclass(frozen=True, slots=True)
class CancelledLine:
    """What a cancellation took back of one line."""

    line_id: str
    """The line."""
    quantity: int
    """Units taken back by this request, 0 or more."""
    restock: Restock
    """When they can be sold again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResult(_Written):
    """What came of Cancel."""

    reservation: Reservation
    """The reservation after the cancellation."""
    lines: tuple[CancelledLine, ...]
    """Every line asked about, in the reservation's order."""
    raw: allocation_service_pb2.CancelResponse = field(repr=False, compare=False)
    """The message this was read from."""

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id


@dataclass(frozen=True, slots=True)
class FigureOutcome:
    """What came of one posted figure, with the value in force."""

    key: StockKey
    """The stock key."""
    measure: str
    """The measure."""
    result: FigureResult
    """What came of the figure."""
    value: int
    """The value in force after the request."""
    position: int
    """The position in force after the request."""
    supply: int
    """The key's supply after the request."""
    epoch: int
    """The epoch in force after the request."""
    common: PoolBalance | None
    """The common pool after the request: its free units are what settlement moves, and may be negative."""
    unsettled: int
    """Units of all pools of the key that were sold and that the till's figure does not contain yet."""


@dataclass(frozen=True, slots=True)
class BookingOutcome:
    """What came of the report of one sale line."""

    result: BookingResult
    """What came of it."""
    reservation_id: str
    """The reservation; empty when there is no such sale."""
    part_number: int
    """The part that the report was taken for: the new one when the sale moved to another store."""
    key: StockKey
    """The stock key whose till booked it."""
    contained: int
    """Units of the line that the figure in force contains."""
    owed: int
    """Units of the line by which that figure has still to fall."""
    surplus: int
    """Units booked beyond what was sold: counted as walk-ins, and listed."""


@dataclass(frozen=True, slots=True)
class CountOutcome:
    """What came of the begin or the end of a full count."""

    result: CountResult
    """What came of it."""
    mentioned_keys: int
    """Different keys of the count that are durable."""
    unmentioned_keys: int
    """Keys of its scope that it did not mention and whose position is lower: those that become zero."""
    zeroed_units: int
    """Units that became zero by this request, or would with `confirmed`."""
    remaining_keys: int
    """Keys that are still to become zero, with CONTINUE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostStockResult(_Written):
    """What came of PostStock."""

    outcomes: tuple[FigureOutcome, ...]
    """One per figure, in the request's order."""
    booking_outcomes: tuple[BookingOutcome, ...]
    """One per booking, in the request's order."""
    begin_outcome: CountOutcome | None
    """What came of `begin_count`; None when there was none."""
    end_outcome: CountOutcome | None
    """What came of `end_count`; None when there was none."""
    raw: stock_service_pb2.PostStockResponse = field(repr=False, compare=False)
    """The message this was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPolicyResult(_Written):
    """What came of SetPolicy."""

    policy: Policy
    """The policy now in force."""
    raw: policy_service_pb2.SetPolicyResponse = field(repr=False, compare=False)
    """The message this was read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReassignPartResult(_Written):
    """What came of ReassignPart."""

    reservation: Reservation
    """The reservation after the move."""
    part_numbers: tuple[int, ...]
    """The parts that took over; more than one when units were borrowed."""
    at_risk: bool
    """True when more is promised on the new key than is there: the sale stands, delivery may fail."""
    raw: allocation_service_pb2.ReassignPartResponse = field(repr=False, compare=False)
    """The message this was read from."""

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPublishedResult(_Written):
    """What came of ReportPublished."""

    applied: int
    """How many of the reports are in force now: the others were older than what is known."""
    raw: stock_service_pb2.ReportPublishedResponse = field(repr=False, compare=False)
    """The message this was read from."""
