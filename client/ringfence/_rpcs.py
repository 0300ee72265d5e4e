"""Every RPC of the service that this client calls, by its path on the wire."""

from __future__ import annotations

from typing import Any, NamedTuple

from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import (
    balance_pb2,
    ledger_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
)


class Rpc(NamedTuple):
    """One RPC."""

    service: str
    """The service's name."""
    name: str
    """The RPC's name."""
    request: Any
    """The class of its request message."""
    response: Any
    """The class of its response message."""
    mutating: bool = False
    """Whether it changes something: then a lost answer leaves its outcome unknown."""

    @property
    def path(self) -> str:
        """Its path on the wire."""
        return f"/ringfence.v1.{self.service}/{self.name}"


_ALLOCATION = "AllocationService"
ALLOCATE = Rpc(_ALLOCATION, "Allocate", allocation_pb2.AllocateRequest, allocation_pb2.AllocateResponse, True)
UNALLOCATE = Rpc(_ALLOCATION, "Unallocate", allocation_pb2.UnallocateRequest, allocation_pb2.UnallocateResponse, True)
REALLOCATE = Rpc(_ALLOCATION, "Reallocate", allocation_pb2.ReallocateRequest, allocation_pb2.ReallocateResponse, True)
RESERVE = Rpc(_ALLOCATION, "Reserve", allocation_pb2.ReserveRequest, allocation_pb2.ReserveResponse, True)
UPDATE_RESERVATION = Rpc(
    _ALLOCATION,
    "UpdateReservation",
    allocation_pb2.UpdateReservationRequest,
    allocation_pb2.UpdateReservationResponse,
    True,
)
CONSUME = Rpc(_ALLOCATION, "Consume", allocation_pb2.ConsumeRequest, allocation_pb2.ConsumeResponse, True)
CANCEL = Rpc(_ALLOCATION, "Cancel", allocation_pb2.CancelRequest, allocation_pb2.CancelResponse, True)
REASSIGN_PART = Rpc(
    _ALLOCATION, "ReassignPart", allocation_pb2.ReassignPartRequest, allocation_pb2.ReassignPartResponse, True
)
EXECUTE = Rpc(_ALLOCATION, "Execute", allocation_pb2.ExecuteRequest, allocation_pb2.ExecuteResponse, True)
GET_RESERVATION = Rpc(
    _ALLOCATION, "GetReservation", allocation_pb2.GetReservationRequest, allocation_pb2.GetReservationResponse
)
LIST_RESERVATIONS = Rpc(
    _ALLOCATION, "ListReservations", allocation_pb2.ListReservationsRequest, allocation_pb2.ListReservationsResponse
)
QUERY_BALANCE = Rpc(_ALLOCATION, "QueryBalance", balance_pb2.QueryBalanceRequest, balance_pb2.QueryBalanceResponse)
WATCH_BALANCES = Rpc(_ALLOCATION, "WatchBalances", balance_pb2.WatchBalancesRequest, balance_pb2.WatchBalancesResponse)

_STOCK = "StockService"
POST_STOCK = Rpc(_STOCK, "PostStock", stock_service_pb2.PostStockRequest, stock_service_pb2.PostStockResponse, True)
SYNC_STOCK = Rpc(_STOCK, "SyncStock", stock_service_pb2.SyncStockRequest, stock_service_pb2.SyncStockResponse, True)
LIST_DISCREPANCIES = Rpc(
    _STOCK,
    "ListDiscrepancies",
    stock_service_pb2.ListDiscrepanciesRequest,
    stock_service_pb2.ListDiscrepanciesResponse,
)
REPORT_PUBLISHED = Rpc(
    _STOCK,
    "ReportPublished",
    stock_service_pb2.ReportPublishedRequest,
    stock_service_pb2.ReportPublishedResponse,
    True,
)
GET_STOCK = Rpc(_STOCK, "GetStock", stock_service_pb2.GetStockRequest, stock_service_pb2.GetStockResponse)
LIST_STOCK = Rpc(_STOCK, "ListStock", stock_service_pb2.ListStockRequest, stock_service_pb2.ListStockResponse)

STREAM_ORDERS = Rpc(
    "OrderFeedService",
    "StreamOrders",
    order_feed_service_pb2.StreamOrdersRequest,
    order_feed_service_pb2.StreamOrdersResponse,
    True,
)

_POLICY = "PolicyService"
GET_POLICY = Rpc(_POLICY, "GetPolicy", policy_service_pb2.GetPolicyRequest, policy_service_pb2.GetPolicyResponse)
SET_POLICY = Rpc(_POLICY, "SetPolicy", policy_service_pb2.SetPolicyRequest, policy_service_pb2.SetPolicyResponse, True)

_LEDGER = "LedgerService"
LIST_ENTRIES = Rpc(
    _LEDGER, "ListEntries", ledger_service_pb2.ListEntriesRequest, ledger_service_pb2.ListEntriesResponse
)
VERIFY = Rpc(_LEDGER, "Verify", ledger_service_pb2.VerifyRequest, ledger_service_pb2.VerifyResponse)
