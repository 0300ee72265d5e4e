"""A watch over a plain gRPC channel."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Any

import grpc

from ringfence import _rpcs
from ringfence._balance_types import WatchEvent
from ringfence._error_mapping import from_rpc_error
from ringfence._errors import RingfenceError
from ringfence._sync_transport import SyncTransport
from ringfence._watch import WatchCursor

__all__ = ["Watch"]


class Watch:
    """The events of a watch, for `for`, in one thread. It reconnects and resumes by itself for as long as it takes,
    once the service has answered; before that it raises what a call would raise when nothing answers in the client's
    timeout.

    It ends when it is closed, from any thread, or its client is. Breaking out of the loop and dropping it ends the
    stream too.
    """

    def __init__(self, transport: SyncTransport, cursor: WatchCursor) -> None:
        self._transport = transport
        self._cursor = cursor
        self._events: deque[WatchEvent] = deque()
        self._stream: Any = None
        self._listener: _Listener
        self._closed = threading.Event()
        self._idle_seconds = cursor.idle_limit.total_seconds()

    @property
    def resume_token(self) -> str:
        """Where to go on after the last event; give it to `watch(resume_token=…)`, in another process if need be."""
        return self._cursor.resume_token

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> WatchEvent:
        while not self._events:
            if self._ended:
                raise StopIteration
            self._read()
        return self._events.popleft()

    @property
    def _ended(self) -> bool:
        return self._closed.is_set() or self._transport.closed

    def _read(self) -> None:
        """Takes one message of the stream, or one step towards the next stream."""
        error: RingfenceError | None = None
        message = None
        try:
            # Another thread may close the watch between any two of these steps.
            stream = self._stream
            if stream is None:
                stream = self._transport.answers(_rpcs.WATCH_BALANCES, self._cursor.request())
                self._listener = _Listener(stream, self._idle_seconds)
                self._stream = stream
                if self._ended:
                    self._cancel()
                    return
            with self._listener:
                message = next(stream, None)
        except grpc.RpcError as failure:
            error = from_rpc_error(failure)
            if error.code == "CANCELLED":
                # Closed, or silent for too long: either way no fault of the service.
                error = None
        if message is not None:
            self._events.extend(self._cursor.accept(message))
            return
        self._cancel()
        if not self._ended:
            self._closed.wait(self._cursor.broken(error))

    def close(self) -> None:
        """Ends the watch; whoever is reading it gets the end of the iteration. Closing twice is nothing."""
        self._closed.set()
        self._cancel()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _cancel(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._listener.end()
            stream.cancel()

    def __del__(self) -> None:
        if getattr(self, "_stream", None) is not None:
            self._cancel()


class _Listener:
    """Cancels a stream that is silent for too long while somebody waits for it, so that a dead peer is noticed.

    It holds the stream, never the watch: a dropped watch must be collected.
    """

    def __init__(self, stream: Any, idle_seconds: float) -> None:
        self._stream = stream
        self._idle_seconds = idle_seconds
        self._waiting_since: float | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ringfence-watch", daemon=True).start()

    def __enter__(self) -> None:
        self._waiting_since = time.monotonic()

    def __exit__(self, *raised: object) -> None:
        self._waiting_since = None

    def end(self) -> None:
        """Ends the listening."""
        self._ended.set()

    def _run(self) -> None:
        pause = self._idle_seconds
        while not self._ended.wait(pause):
            since = self._waiting_since
            pause = self._idle_seconds
            if since is not None:
                pause -= time.monotonic() - since
                if pause <= 0:
                    self._stream.cancel()
                    return
