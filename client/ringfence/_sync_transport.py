"""Sends calls over a plain gRPC channel, from any thread: deadline, retries, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import grpc

from ringfence._calls import Call
from ringfence._config import ClientConfig, timeout_seconds
from ringfence._error_mapping import closed_under, from_rpc_error
from ringfence._errors import ClientClosed, RingfenceError
from ringfence._retry import Attempts
from ringfence._rpcs import Rpc

T = TypeVar("T")


class SyncTransport:
    """A client's channel, opened by the first call. Everything here may be called from any thread."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._metadata = config.metadata
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._callables: dict[Rpc, Any] = {}

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._closed.is_set()

    def call(self, call: Call[T], timeout: timedelta | None) -> T:
        """Sends a request until it has an answer, its deadline passes, or another try is of no use.

        Raises the mapped error.
        """
        return call.parse(self.retrying(call, self.config.timeout if timeout is None else timeout, self._unary))

    def _unary(self, call: Call[Any], seconds_left: float | None) -> Any:
        return self._callable(call.rpc, "unary_unary")(call.message, timeout=seconds_left, metadata=self._metadata)

    def retrying(
        self, call: Call[Any], timeout: timedelta | None, attempt: Callable[[Call[Any], float | None], Any]
    ) -> Any:
        """Tries `attempt` until it has an answer. `timeout` None is no deadline."""
        deadline = None if timeout is None else time.monotonic() + timeout_seconds(timeout)
        attempts: Attempts | None = None
        mapped: RingfenceError
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                return attempt(call, left)
            except grpc.RpcError as error:
                mapped = from_rpc_error(error, call.request_id)
                if self.closed and mapped.code == "CANCELLED":
                    mapped = closed_under(call.request_id)
                    mapped.__cause__ = error
            except ClientClosed as error:
                if attempts is None:
                    raise
                mapped = error
            if attempts is None:
                attempts = self.attempts(call)
            left = None if deadline is None else deadline - time.monotonic()
            # A close ends the pause; the next try then says that the client is closed.
            self._closed.wait(attempts.failed(mapped, left))

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

    def stream(self, rpc: Rpc, messages: Any) -> Any:
        """Opens a call that is a stream both ways; gRPC reads `messages` in a thread of its own."""
        return self._callable(rpc, "stream_stream")(messages, metadata=self._metadata)

    def last_answer(self, call: Call[T], timeout: timedelta | None, progress: Callable[[T], None] | None) -> T:
        """Reads a stream of reports to its end: each goes to `progress`, the last one is the result."""

        def attempt(call: Call[Any], seconds_left: float | None) -> Any:
            last = None
            for answer in self.answers(call.rpc, call.message, seconds_left):
                last = call.parse(answer)
                if progress is not None:
                    progress(last)
            return last

        report: T = self.retrying(call, timeout, attempt)
        return report

    def pause(self, seconds: float) -> None:
        """Waits; a close of the client ends it."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Ends all calls and closes the channel. Closing twice is nothing."""
        with self._lock:
            self._closed.set()
            channel, self._channel = self._channel, None
            self._callables.clear()
        if channel is not None:
            channel.close()

    def _callable(self, rpc: Rpc, kind: str) -> Any:
        found = self._callables.get(rpc)
        if found is None:
            with self._lock:
                found = self._callables[rpc] = getattr(self._open(), kind)(
                    rpc.path,
                    request_serializer=rpc.request.SerializeToString,
                    response_deserializer=rpc.response.FromString,
                )
        return found

    def _open(self) -> grpc.Channel:
        if self._closed.is_set():
            raise ClientClosed("the client is closed")
        if self._channel is None:
            config = self.config
            if config.credentials is None:
                self._channel = grpc.insecure_channel(config.target, options=config.channel_options)
            else:
                self._channel = grpc.secure_channel(config.target, config.credentials, options=config.channel_options)
        return self._channel
