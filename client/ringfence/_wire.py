"""Plain values to protobuf and back: enumerations, instants and spans."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ringfence import _enums
from ringfence.v1 import (
    allocation_service_pb2,
    balance_pb2,
    common_pb2,
    errors_pb2,
    ledger_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
)

E = TypeVar("E", bound=enum.StrEnum)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EnumTable(Mapping[int, E]):
    """A protobuf enumeration's numbers as members of `members`; a number this client does not know is its UNKNOWN."""

    def __init__(self, wrapper: Any, prefix: str, members: type[E]) -> None:
        known = {
            number: members[name.removeprefix(prefix)]
            for name, number in wrapper.items()
            if name.removeprefix(prefix) in members.__members__
        }
        self._by_number: dict[int, E] = known
        self._by_member: dict[E, int] = {member: number for number, member in known.items()}
        self._unknown: E | None = members.__members__.get("UNKNOWN")

    def __getitem__(self, number: int) -> E:
        member = self._by_number.get(number, self._unknown)
        if member is None:
            raise KeyError(number)
        return member

    def __iter__(self) -> Any:
        return iter(self._by_number)

    def __len__(self) -> int:
        return len(self._by_number)

    def number(self, member: E) -> Any:
        """The number of a member, for a request; ValueError for UNKNOWN and for what is no member."""
        try:
            return self._by_member[member]
        except KeyError:
            raise ValueError(f"{member!r} cannot be sent; use one of {', '.join(map(str, self._by_member))}") from None


FALLBACK = EnumTable(common_pb2.Fallback, "FALLBACK_", _enums.Fallback)
LOCATION_KIND = EnumTable(common_pb2.LocationKind, "LOCATION_KIND_", _enums.LocationKind)
RESERVATION_STATE = EnumTable(common_pb2.ReservationState, "RESERVATION_STATE_", _enums.ReservationState)
FILL = EnumTable(common_pb2.Fill, "FILL_", _enums.Fill)
RESTOCK = EnumTable(allocation_service_pb2.Restock, "RESTOCK_", _enums.Restock)
CANCEL_REASON = EnumTable(common_pb2.CancelReason, "CANCEL_REASON_", _enums.CancelReason)
FIGURE_RESULT = EnumTable(stock_service_pb2.FigureResult, "FIGURE_RESULT_", _enums.FigureResult)
MEASURE_KIND = EnumTable(policy_service_pb2.MeasureKind, "MEASURE_KIND_", _enums.MeasureKind)
ROLL_UP_BY = EnumTable(balance_pb2.RollUpBy, "ROLL_UP_BY_", _enums.RollUpBy)
WATCH_EVENT = EnumTable(balance_pb2.WatchEvent, "WATCH_EVENT_", _enums.WatchEventKind)
SHORTAGE_REASON = EnumTable(errors_pb2.ShortageReason, "SHORTAGE_REASON_", _enums.ShortageReason)
PLACE = EnumTable(ledger_service_pb2.Place, "PLACE_", _enums.Place)
BOOKING_RESULT = EnumTable(stock_service_pb2.BookingResult, "BOOKING_RESULT_", _enums.BookingResult)
COUNT_RESULT = EnumTable(stock_service_pb2.CountResult, "COUNT_RESULT_", _enums.CountResult)
DISCREPANCY_KIND = EnumTable(stock_service_pb2.DiscrepancyKind, "DISCREPANCY_KIND_", _enums.DiscrepancyKind)
TILL_PROGRESS = EnumTable(allocation_service_pb2.TillProgress, "TILL_PROGRESS_", _enums.TillProgress)
ORDER_EVENT_KIND = EnumTable(order_feed_service_pb2.OrderEventKind, "ORDER_EVENT_KIND_", _enums.OrderEventKind)
ORDER_REPLY_RESULT = EnumTable(order_feed_service_pb2.OrderReplyResult, "ORDER_REPLY_RESULT_", _enums.OrderReplyResult)
ENTRY_KIND = EnumTable(ledger_service_pb2.EntryKind, "ENTRY_KIND_", _enums.EntryKind)


def to_datetime(timestamp: Timestamp) -> datetime:
    """The instant, in UTC, to the microsecond."""
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)


def fill_timestamp(timestamp: Timestamp, instant: datetime, name: str) -> None:
    """Sets `timestamp`; ValueError when the instant has no time zone, because nobody can know which one was meant."""
    if instant.utcoffset() is None:
        raise ValueError(f"{name} needs a time zone, such as datetime.now(UTC); got {instant!r}")
    since = instant - _EPOCH
    timestamp.seconds = since.days * 86_400 + since.seconds
    timestamp.nanos = since.microseconds * 1000


def to_timedelta(duration: Duration) -> timedelta:
    """The span, to the microsecond."""
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def fill_duration(duration: Duration, span: timedelta) -> None:
    """Sets `duration`, also when the span is zero."""
    duration.SetInParent()
    duration.FromTimedelta(span)
