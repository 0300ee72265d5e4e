"""Sends calls over a grpc.aio channel: deadline, retries, errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, TypeVar

import grpc
import grpc.aio

from ringfence._calls import Call
from ringfence._config import ClientConfig, timeout_seconds
from ringfence._error_mapping import closed_under, from_rpc_error
from ringfence._errors import ClientClosed, RingfenceError
from ringfence._retry import Attempts
from ringfence._rpcs import Rpc

T = TypeVar("T")


class AsyncTransport:
    """A client's channel. It is opened by the first call, in the event loop of that call."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.closed = False
        self._metadata = config.metadata
        self._channel: grpc.aio.Channel | None = None
        self._callables: dict[Rpc, Any] = {}

    async def call(self, call: Call[T], timeout: timedelta | None) -> T:
        """Sends a request until it has an answer, its deadline passes, or another try is of no use.

        Raises the mapped error; asyncio.CancelledError when the calling task is cancelled.
        """
        return call.parse(await self.retrying(call, self.config.timeout if timeout is None else timeout, self._unary))

    async def _unary(self, call: Call[Any], seconds_left: float | None) -> Any:
        return await self._callable(call.rpc, "unary_unary")(
            call.message, timeout=seconds_left, metadata=self._metadata
        )

    async def retrying(
        self, call: Call[Any], timeout: timedelta | None, attempt: Callable[[Call[Any], float | None], Any]
    ) -> Any:
        """Tries `attempt` until it has an answer. `timeout` None is no deadline."""
        deadline = None if timeout is None else time.monotonic() + timeout_seconds(timeout)
        attempts: Attempts | None = None
        mapped: RingfenceError
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                return await attempt(call, left)
            except grpc.aio.AioRpcError as error:
                mapped = from_rpc_error(error, call.request_id)
            except ClientClosed as error:
                if attempts is None:
                    raise
                mapped = error
            except asyncio.CancelledError as error:
                # gRPC also answers with a cancellation when the channel was closed under the call.
                task = asyncio.current_task()
                if not self.closed or (task is not None and task.cancelling()):
                    raise
                mapped = closed_under(call.request_id)
                mapped.__cause__ = error
            if attempts is None:
                attempts = self.attempts(call)
            left = None if deadline is None else deadline - time.monotonic()
            await asyncio.sleep(attempts.failed(mapped, left))

    def attempts(self, call: Call[Any]) -> Attempts:
        """The tries of one request."""
        return Attempts(
            self.config.retry,
            name=call.rpc.name,
            target=self.config.target,
            request_id=call.request_id,
            mutating=call.rpc.mutating,
        )

    def answers(self, rpc: Rpc, message: Any, seconds_left: float | None = None) -> Any:
        """Opens a call that is answered by a stream."""
        return self._callable(rpc, "unary_stream")(message, timeout=seconds_left, metadata=self._metadata)

    def stream(self, rpc: Rpc) -> Any:
        """Opens a call that is a stream both ways."""
        return self._callable(rpc, "stream_stream")(metadata=self._metadata)

    async def last_answer(self, call: Call[T], timeout: timedelta | None, progress: Callable[[T], None] | None) -> T:
        """Reads a stream of reports to its end: each goes to `progress`, the last one is the result."""

        async def attempt(call: Call[Any], seconds_left: float | None) -> Any:
            last = None
            stream: AsyncIterator[Any] = self.answers(call.rpc, call.message, seconds_left)
            async for answer in stream:
                last = call.parse(answer)
                if progress is not None:
                    progress(last)
            return last

        report: T = await self.retrying(call, timeout, attempt)
        return report

    async def close(self) -> None:
        """Ends all calls and closes the channel. Closing twice is nothing."""
        self.closed = True
        channel, self._channel = self._channel, None
        self._callables.clear()
        if channel is not None:
            await channel.close()

    def _callable(self, rpc: Rpc, kind: str) -> Any:
        found = self._callables.get(rpc)
        if found is None:
            found = self._callables[rpc] = getattr(self._open(), kind)(
                rpc.path,
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.response.FromString,
            )
        return found

    def _open(self) -> grpc.aio.Channel:
        if self.closed:
            raise ClientClosed("the client is closed")
        if self._channel is None:
            config = self.config
            if config.credentials is None:
                self._channel = grpc.aio.insecure_channel(config.target, options=config.channel_options)
            else:
                self._channel = grpc.aio.secure_channel(
                    config.target, config.credentials, options=config.channel_options
                )
        return self._channel
