"""A watch over a grpc.aio channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Any

import grpc.aio

from ringfence import _rpcs
from ringfence._async_transport import AsyncTransport
from ringfence._balance_types import WatchEvent
from ringfence._error_mapping import from_rpc_error
from ringfence._errors import RingfenceError
from ringfence._watch import WatchCursor

__all__ = ["AsyncWatch"]


class AsyncWatch:
    """The events of a watch, for `async for`. It reconnects and resumes by itself for as long as it takes, once the
    service has answered; before that it raises what a call would raise when nothing answers in the client's timeout.

    It ends when it is closed, or its client is. Breaking out of the loop and dropping it ends the stream too.
    """

    def __init__(self, transport: AsyncTransport, cursor: WatchCursor) -> None:
        self._transport = transport
        self._cursor = cursor
        self._events: deque[WatchEvent] = deque()
        self._stream: Any = None
        self._closed = asyncio.Event()
        self._idle_seconds = cursor.idle_limit.total_seconds()

    @property
    def resume_token(self) -> str:
        """Where to go on after the last event; give it to `watch(resume_token=…)`, in another process if need be."""
        return self._cursor.resume_token

    def __aiter__(self) -> AsyncWatch:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._events.popleft()

    @property
    def _ended(self) -> bool:
        return self._closed.is_set() or self._transport.closed

    async def _read(self) -> None:
        """Takes one message of the stream, or one step towards the next stream."""
        error: RingfenceError | None = None
        try:
            if self._stream is None:
                self._stream = self._transport.answers(_rpcs.WATCH_BALANCES, self._cursor.request())
            message = await self._next_message(self._stream)
        except TimeoutError:
            message = None
        except grpc.aio.AioRpcError as failure:
            message = None
            error = from_rpc_error(failure)
        if message is not None:
            self._events.extend(self._cursor.accept(message))
            return
        self._cancel()
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._cursor.broken(error)):
                    await self._closed.wait()

    async def _next_message(self, stream: Any) -> Any:
        """The next message; None at the end of the stream; TimeoutError when it is silent for too long."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await stream.read()
        except asyncio.CancelledError:
            # gRPC answers with a cancellation, too, when the stream was closed under the reader.
            task = asyncio.current_task()
            if self._ended and not (task is not None and task.cancelling()):
                return None
            raise
        return None if message is grpc.aio.EOF else message

    async def aclose(self) -> None:
        """Ends the watch; whoever is reading it gets the end of the iteration. Closing twice is nothing."""
        self._closed.set()
        self._cancel()

    async def __aenter__(self) -> AsyncWatch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _cancel(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()

    def __del__(self) -> None:
        if getattr(self, "_stream", None) is not None:
            self._cancel()
