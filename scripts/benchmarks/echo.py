"""A bare grpc.aio server of the same messages: it parses each request and answers a canned response, and nothing else.

What it reaches is what grpc.aio and protobuf cost; the rest of the service's time is the service's own.
Run as `python -m scripts.benchmarks.echo --port-file PATH`.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import grpc

from ringfence.v1 import allocation_service_pb2 as allocation
from ringfence.v1 import balance_pb2
from ringfence.v1 import stock_service_pb2 as stock
from scripts.benchmarks.messages import canned_query, canned_reserve
from scripts.benchmarks.serving import serve
from scripts.benchmarks.till_messages import canned_post

_IDENTIFIER = "0199a000-0000-7000-8000-000000000000"


_reserved = canned_reserve(_IDENTIFIER)
_queried = canned_query()
_posted = lru_cache(canned_post)


async def _reserve(request: allocation.ReserveRequest, context: object) -> allocation.ReserveResponse:
    return _reserved


async def _query(request: balance_pb2.QueryBalanceRequest, context: object) -> balance_pb2.QueryBalanceResponse:
    return _queried


async def _execute(
    requests: AsyncIterator[allocation.ExecuteRequest], context: object
) -> AsyncIterator[allocation.ExecuteResponse]:
    async for request in requests:
        identifiers = [command.reserve.request_id for command in request.commands]
        outcomes = [allocation.Outcome(request_id=identifier, reserve=_reserved) for identifier in identifiers]
        yield allocation.ExecuteResponse(outcomes=outcomes)


async def _sync(
    requests: AsyncIterator[stock.SyncStockRequest], context: object
) -> AsyncIterator[stock.SyncStockResponse]:
    async for request in requests:
        outcomes = [
            stock.SyncStockOutcome(request_id=post.request_id, post_stock=_posted(len(post.figures)))
            for post in request.posts
        ]
        yield stock.SyncStockResponse(outcomes=outcomes)


def _methods() -> dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    allocations: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Reserve": grpc.unary_unary_rpc_method_handler(
            _reserve, allocation.ReserveRequest.FromString, allocation.ReserveResponse.SerializeToString
        ),
        "QueryBalance": grpc.unary_unary_rpc_method_handler(
            _query, balance_pb2.QueryBalanceRequest.FromString, balance_pb2.QueryBalanceResponse.SerializeToString
        ),
        "Execute": grpc.stream_stream_rpc_method_handler(
            _execute, allocation.ExecuteRequest.FromString, allocation.ExecuteResponse.SerializeToString
        ),
    }
    facts: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "SyncStock": grpc.stream_stream_rpc_method_handler(
            _sync, stock.SyncStockRequest.FromString, stock.SyncStockResponse.SerializeToString
        ),
    }
    return {"AllocationService": allocations, "StockService": facts}


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    serve(_methods(), parser.parse_args().port_file)


if __name__ == "__main__":
    main()
