"""The handlers of every read, by full method name."""

from __future__ import annotations

from ringfence.v1 import allocation_service_pb2, balance_pb2, ledger_service_pb2, policy_service_pb2, stock_service_pb2

from .handlers import Handlers, server_stream, unary
from .query_balance import QueryBalance
from .query_discrepancies import ListDiscrepancies
from .query_ledger import ListEntries, Verify
from .query_reservations import GetReservation, ListReservations
from .query_stock import GetPolicy, GetStock, ListStock
from .services import Services

_ALLOCATION = "/ringfence.v1.AllocationService/"
_STOCK = "/ringfence.v1.StockService/"
_POLICY = "/ringfence.v1.PolicyService/"
_LEDGER = "/ringfence.v1.LedgerService/"


def query_handlers(services: Services) -> Handlers:
    """Every read but WatchBalances."""
    counts = services.counts
    return {
        _ALLOCATION + "QueryBalance": unary(
            "QueryBalance", balance_pb2.QueryBalanceRequest, QueryBalance(services), counts
        ),
        _ALLOCATION + "GetReservation": unary(
            "GetReservation", allocation_service_pb2.GetReservationRequest, GetReservation(services), counts
        ),
        _ALLOCATION + "ListReservations": unary(
            "ListReservations", allocation_service_pb2.ListReservationsRequest, ListReservations(services), counts
        ),
        _STOCK + "GetStock": unary("GetStock", stock_service_pb2.GetStockRequest, GetStock(services), counts),
        _STOCK + "ListStock": unary("ListStock", stock_service_pb2.ListStockRequest, ListStock(services), counts),
        _STOCK + "ListDiscrepancies": unary(
            "ListDiscrepancies", stock_service_pb2.ListDiscrepanciesRequest, ListDiscrepancies(services), counts
        ),
        _POLICY + "GetPolicy": unary("GetPolicy", policy_service_pb2.GetPolicyRequest, GetPolicy(services), counts),
        _LEDGER + "ListEntries": unary(
            "ListEntries", ledger_service_pb2.ListEntriesRequest, ListEntries(services), counts
        ),
        _LEDGER + "Verify": server_stream("Verify", ledger_service_pb2.VerifyRequest, Verify(services), counts),
    }
