"""Ringfence: inventory allocation over gRPC. Ring-fenced stock, reservations under a lease, and an exact ledger.

    from datetime import timedelta
    from ringfence import Client, Line

    with Client("localhost:50051") as client:
        with client.hold(Line("LAMP", "berlin", 1, path="web"), ttl=timedelta(minutes=15)) as hold:
            hold.consume(order_reference="4711")

`AsyncClient` is the same for asyncio. Quantities are integers in the item's base unit, instants are aware datetimes, a
group path is a string such as "web/london/vip", and "" is the common pool. What can go wrong is a `RingfenceError`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ringfence._balance_types import (
    Balance,
    BalanceFilter,
    Explanation,
    Figures,
    FormulaTerm,
    Freshness,
    LiveHold,
    RollUp,
    WatchEvent,
)
from ringfence._commands import (
    Allocate,
    Cancel,
    Command,
    Consume,
    ConsumeDirectly,
    FreeLine,
    HasReservationId,
    Line,
    LineQuantities,
    Move,
    PostStock,
    Reallocate,
    ReassignPart,
    ReservationLike,
    Reserve,
    Unallocate,
    UpdateReservation,
)
from ringfence._config import (
    ClientConfig,
    RetryPolicy,
)
from ringfence._enums import (
    BookingResult,
    CancelReason,
    CountResult,
    DiscrepancyKind,
    EntryKind,
    Fallback,
    FigureResult,
    Fill,
    LocationKind,
    MeasureKind,
    OrderEventKind,
    OrderReplyResult,
    Place,
    ReservationState,
    Restock,
    RollUpBy,
    ShortageReason,
    TillProgress,
    WatchEventKind,
)
from ringfence._errors import (
    ClientClosed,
    DeadlineExceeded,
    FieldViolation,
    InsufficientQuantity,
    InternalError,
    InvalidArgument,
    LeaseExpired,
    NotFound,
    NotHeld,
    NotRejected,
    OrderReferenceInUse,
    OrphanedQuota,
    OutcomeUnknown,
    Overloaded,
    PermissionDenied,
    QuantityOverflow,
    QuotaInUse,
    RateLimited,
    Refused,
    RequestIdReused,
    RequestTooOld,
    ReservationNotFound,
    RevisionMismatch,
    RingfenceError,
    SettlementInUse,
    Shortage,
    StockNotFound,
    Unauthenticated,
    Unavailable,
    UnsettledLocation,
    Unsupported,
    ValueMismatch,
)
from ringfence._facts import (
    Booking,
    CountBegin,
    CountEnd,
    PublishedQuantity,
    SaleBooking,
    StockFigure,
)
from ringfence._outcomes import (
    CommandWithId,
    Outcome,
)
from ringfence._policy_types import (
    LeaseBounds,
    Level,
    Location,
    Measure,
    PathRule,
    Policy,
)
from ringfence._results import (
    AllocateResult,
    BookingOutcome,
    CancelledLine,
    CancelResult,
    ConsumeResult,
    CountOutcome,
    FigureOutcome,
    PostStockResult,
    ReallocateResult,
    ReassignPartResult,
    ReportPublishedResult,
    ReserveResult,
    SetPolicyResult,
    UnallocateResult,
    UpdateReservationResult,
)
from ringfence._till_types import (
    Discrepancy,
    OrderEvent,
)
from ringfence._types import (
    Entry,
    MeasureValue,
    Page,
    Part,
    PoolBalance,
    Published,
    Reservation,
    ReservationLine,
    Stock,
    StockKey,
    VerifyReport,
    Violation,
)
from ringfence._uuid7 import (
    uuid7,
)

if TYPE_CHECKING:
    from ringfence._async_client import AsyncClient
    from ringfence._async_feed import AsyncOrderFeed
    from ringfence._async_watch import AsyncWatch
    from ringfence._client import Client
    from ringfence._hold import AsyncHold, Hold
    from ringfence._paging import AsyncPager, Pager
    from ringfence._pipeline import AsyncPipeline, AsyncStockPipeline, CommandFuture
    from ringfence._sync_feed import OrderFeed
    from ringfence._sync_watch import Watch

__all__ = [
    "Allocate",
    "AllocateResult",
    "AsyncClient",
    "AsyncHold",
    "AsyncOrderFeed",
    "AsyncPager",
    "AsyncPipeline",
    "AsyncStockPipeline",
    "AsyncWatch",
    "Balance",
    "BalanceFilter",
    "Booking",
    "BookingOutcome",
    "BookingResult",
    "Cancel",
    "CancelReason",
    "CancelResult",
    "CancelledLine",
    "Client",
    "ClientClosed",
    "ClientConfig",
    "Command",
    "CommandFuture",
    "CommandWithId",
    "Consume",
    "ConsumeDirectly",
    "ConsumeResult",
    "CountBegin",
    "CountEnd",
    "CountOutcome",
    "CountResult",
    "DeadlineExceeded",
    "Discrepancy",
    "DiscrepancyKind",
    "Entry",
    "EntryKind",
    "Explanation",
    "Fallback",
    "FieldViolation",
    "FigureOutcome",
    "FigureResult",
    "Figures",
    "Fill",
    "FormulaTerm",
    "FreeLine",
    "Freshness",
    "HasReservationId",
    "Hold",
    "InsufficientQuantity",
    "InternalError",
    "InvalidArgument",
    "LeaseBounds",
    "LeaseExpired",
    "Level",
    "Line",
    "LineQuantities",
    "LiveHold",
    "Location",
    "LocationKind",
    "Measure",
    "MeasureKind",
    "MeasureValue",
    "Move",
    "NotFound",
    "NotHeld",
    "NotRejected",
    "OrderEvent",
    "OrderEventKind",
    "OrderFeed",
    "OrderReferenceInUse",
    "OrderReplyResult",
    "OrphanedQuota",
    "Outcome",
    "OutcomeUnknown",
    "Overloaded",
    "Page",
    "Pager",
    "Part",
    "PathRule",
    "PermissionDenied",
    "Place",
    "Policy",
    "PoolBalance",
    "PostStock",
    "PostStockResult",
    "Published",
    "PublishedQuantity",
    "QuantityOverflow",
    "QuotaInUse",
    "RateLimited",
    "Reallocate",
    "ReallocateResult",
    "ReassignPart",
    "ReassignPartResult",
    "Refused",
    "ReportPublishedResult",
    "RequestIdReused",
    "RequestTooOld",
    "Reservation",
    "ReservationLike",
    "ReservationLine",
    "ReservationNotFound",
    "ReservationState",
    "Reserve",
    "ReserveResult",
    "Restock",
    "RetryPolicy",
    "RevisionMismatch",
    "RingfenceError",
    "RollUp",
    "RollUpBy",
    "SaleBooking",
    "SetPolicyResult",
    "SettlementInUse",
    "Shortage",
    "ShortageReason",
    "Stock",
    "StockFigure",
    "StockKey",
    "StockNotFound",
    "TillProgress",
    "Unallocate",
    "UnallocateResult",
    "Unauthenticated",
    "Unavailable",
    "UnsettledLocation",
    "Unsupported",
    "UpdateReservation",
    "UpdateReservationResult",
    "ValueMismatch",
    "VerifyReport",
    "Violation",
    "Watch",
    "WatchEvent",
    "WatchEventKind",
    "__version__",
    "uuid7",
]

# What needs gRPC and protobuf is imported when it is first used: many a program that names a type or an exception never
# makes a client, and should not wait for them.
_LAZY = {
    "AsyncClient": "_async_client",
    "AsyncOrderFeed": "_async_feed",
    "AsyncStockPipeline": "_pipeline",
    "OrderFeed": "_sync_feed",
    "AsyncWatch": "_async_watch",
    "Client": "_client",
    "AsyncHold": "_hold",
    "Hold": "_hold",
    "AsyncPager": "_paging",
    "Pager": "_paging",
    "AsyncPipeline": "_pipeline",
    "CommandFuture": "_pipeline",
    "Watch": "_sync_watch",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f"ringfence.{_LAZY[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("ringfence")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
