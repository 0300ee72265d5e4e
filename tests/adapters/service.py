"""How the small service of the adapters' tests is served: the contract over grpc.aio in a thread of its own. It fails
when it is told to. What it knows is in books.py."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from ringfence import Client, RetryPolicy, _rpcs
from ringfence.v1 import order_feed_service_pb2 as feed_pb2
from ringfence.v1 import stock_service_pb2 as stock_pb2
from tests.adapters.books import Books, Refusal
from tests.client.scripted import RPCS


class TillService(Books):
    """The service on a free port of loopback."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.faults: dict[str, list[str]] = {}
        self._outcomes: dict[str, Any] = {}
        self._news: asyncio.Event
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: grpc.aio.Server
        self.port = 0

    def start(self) -> None:
        """Begins to serve, on the port it had before, if any."""
        if not self._thread.is_alive():
            self._thread.start()
        self._wait(self._start())

    def stop(self) -> None:
        """Ends every connection; what is known stays."""
        self._wait(self._server.stop(None))

    def close(self) -> None:
        """Ends for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)

    def client(self, **options: Any) -> Client:
        """A client that does not pause long before its next try."""
        chosen: dict[str, Any] = {
            "caller": "pos",
            "timeout": timedelta(seconds=60),
            "retry": RetryPolicy(initial_backoff_seconds=0.001, maximum_backoff_seconds=0.01),
            **options,
        }
        return Client(f"127.0.0.1:{self.port}", **chosen)

    def changed(self) -> None:
        """There is something for a till."""
        self._loop.call_soon_threadsafe(self._news.set)

    def fail(self, name: str, *faults: str) -> None:
        """The next calls of an RPC fail: "before" undone, "after" done and the answer lost, "" well."""
        self.faults[name] = list(faults)

    def _wait(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=60)

    async def _start(self) -> None:
        self._news = asyncio.Event()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        served: dict[str, Callable[[Any], Any]] = {
            "PostStock": self._post_stock,
            "ListStock": self._list_stock,
            "ReportPublished": self._report_published,
            "Reserve": self._reserve,
            "Consume": self._consume,
            "Cancel": self._cancel,
            "QueryBalance": self._query_balance,
        }
        handlers: dict[str, dict[str, Any]] = {}
        for name, behaviour in served.items():
            rpc = RPCS[name]
            handlers.setdefault(rpc.service, {})[name] = grpc.unary_unary_rpc_method_handler(
                self._unary(name, behaviour),
                request_deserializer=rpc.request.FromString,
                response_serializer=rpc.response.SerializeToString,
            )
        streams = ((_rpcs.SYNC_STOCK, self._sync_stock), (_rpcs.STREAM_ORDERS, self._stream_orders))
        for rpc, stream in streams:
            handlers.setdefault(rpc.service, {})[rpc.name] = grpc.stream_stream_rpc_method_handler(
                stream,
                request_deserializer=rpc.request.FromString,
                response_serializer=rpc.response.SerializeToString,
            )
        for service, methods in handlers.items():
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(f"ringfence.v1.{service}", methods),)
            )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    def _unary(self, name: str, behaviour: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        async def handle(request: Any, context: Any) -> Any:
            self.requests[name] += 1
            faults = self.faults.get(name) or [""]
            fault = faults.pop(0)
            answer = None
            try:
                if fault != "before":
                    answer = self._once(request, behaviour)
            except Refusal as refusal:
                await _end(context, refusal)
            if fault:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"scripted: {fault}")
            return answer

        return handle

    def _once(self, request: Any, behaviour: Callable[[Any], Any]) -> Any:
        """One id, one outcome."""
        with self._lock:
            request_id = getattr(request, "request_id", "")
            if request_id and request_id in self._outcomes:
                return self._outcomes[request_id]
            answer = behaviour(request)
            if request_id:
                self._outcomes[request_id] = answer
            return answer

    async def _sync_stock(
        self, requests: AsyncIterator[stock_pb2.SyncStockRequest], context: Any
    ) -> AsyncIterator[stock_pb2.SyncStockResponse]:
        await context.send_initial_metadata(())
        async for request in requests:
            outcomes = []
            for post in request.posts:
                try:
                    answer = self._once(post, self._post_stock)
                    outcomes.append(stock_pb2.SyncStockOutcome(request_id=post.request_id, post_stock=answer))
                except Refusal as refusal:
                    outcomes.append(stock_pb2.SyncStockOutcome(request_id=post.request_id, error=refusal.status))
            yield stock_pb2.SyncStockResponse(outcomes=outcomes)

    async def _stream_orders(
        self, requests: AsyncIterator[feed_pb2.StreamOrdersRequest], context: Any
    ) -> AsyncIterator[feed_pb2.StreamOrdersResponse]:
        first = (await anext(requests)).subscribe
        given: Counter[str] = Counter()
        acks: asyncio.Queue[feed_pb2.OrderAck] = asyncio.Queue()

        async def read() -> None:
            async for request in requests:
                for reply in request.replies:
                    with self._lock:
                        ack = self._replied(reply)
                    given[reply.event_id] = 0
                    if self.faults.get("StreamOrders"):
                        self.faults["StreamOrders"].pop()
                        continue
                    acks.put_nowait(ack)
                    self._news.set()

        reading = asyncio.create_task(read())
        try:
            while True:
                self._news.clear()
                answer = feed_pb2.StreamOrdersResponse()
                while not acks.empty():
                    answer.acks.append(acks.get_nowait())
                for event in self.events:
                    place = event.message.key.location
                    if sum(given.values()) == (first.max_in_flight or 100):
                        break
                    open_ = event.replied is None and not event.postponed
                    if open_ and not given[event.message.event_id] and place in first.locations:
                        given[event.message.event_id] = 1
                        self.handed[event.message.event_id] += 1
                        answer.events.append(event.message)
                if answer.acks or answer.events:
                    yield answer
                await self._news.wait()
        finally:
            reading.cancel()


async def _end(context: Any, refusal: Refusal) -> None:
    """Ends a call with a refusal's status."""
    context.set_trailing_metadata((("grpc-status-details-bin", refusal.status.SerializeToString()),))
    code = next(code for code in grpc.StatusCode if code.value[0] == refusal.status.code)
    await context.abort(code, refusal.status.message)
