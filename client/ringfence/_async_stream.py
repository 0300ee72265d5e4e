"""A grpc.aio stream both ways that tells for certain why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from ringfence._error_mapping import from_rpc_error
from ringfence._errors import RingfenceError

_STATUS_SECONDS = 5.0
"""How long the status may come after the last answer. It comes with it, or a moment later."""
_LOOK_SECONDS = 0.001

# How gRPC says, from a read or a write, that a stream is over. None of them is taken at its word about the reason.
_SIGNS = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


class AsyncStream:
    """One call that is a stream both ways, with one task that writes and one that reads.

    Its end shows in three ways, in any order: a write fails, the answers end, the call's status comes. Only the status
    says why. A write that fails under grpc.aio also puts a status of its own making, INTERNAL, where the call's status
    belongs: too early, or over the service's. So the reason is determined here alone, from the service's status.
    """

    def __init__(self, call: Any) -> None:
        """`call` is a grpc.aio.StreamStreamCall that nobody else reads, writes or has reason to."""
        self._call = call
        self._writer: asyncio.Task[Any] | None = None
        self._made_up: str | None = None
        """What tells the status that a failed write made up; None unless that came before any other."""
        call.add_done_callback(self._status_came)

    async def accepted(self) -> bool:
        """Waits until the service has taken the call; False when it ended before. Nothing written earlier than that is
        certain not to have been carried out."""
        await self._call.initial_metadata()
        return not self._call.done()

    async def write(self, message: Message) -> bool:
        """Sends one message; False when the stream takes no more. Raises asyncio.CancelledError too when the stream
        ends meanwhile."""
        self._writer = asyncio.current_task()
        try:
            await self._call.write(message)
        except _SIGNS as sign:
            if self._made_up is not None and isinstance(sign, grpc.aio.AioRpcError):
                self._made_up = sign.debug_error_string() or ""
            return False
        finally:
            self._writer = None
        return True

    async def read(self, take: Callable[[Any], None]) -> RingfenceError | None:
        """Hands every answer to `take`, down to the last one. Gives why the stream ended; None is in good order."""
        try:
            # Not `call.read()`: after a failed write that leaves out what is still to be read.
            async for message in self._call:
                take(message)
        except _SIGNS:
            pass
        except asyncio.CancelledError:
            # gRPC also answers with a cancellation when the channel was closed under the call.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        return await self._why()

    def cancel(self) -> None:
        """Ends the stream, whatever is on its way."""
        self._call.cancel()

    def _status_came(self, call: Any) -> None:
        """gRPC calls this once, when the call has a status for the first time, in the task that sets it."""
        if self._writer is None:
            return
        if self._writer is asyncio.current_task():
            self._made_up = ""  # by the write, which is about to fail
        else:
            # Unless it is stopped now, a write that fails by this end sets its own status over the one that came.
            self._writer.cancel()

    async def _why(self) -> RingfenceError | None:
        call = self._call
        try:
            async with asyncio.timeout(_STATUS_SECONDS):
                code = await call.code()
                # Nothing tells when the service's status takes the place of the made up one.
                while self._made_up is not None and await call.debug_error_string() == self._made_up:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
                code = await call.code()
        except TimeoutError:
            return RingfenceError("the stream ended without a status", code="UNKNOWN")
        if code is grpc.StatusCode.OK:
            return None
        return from_rpc_error(
            grpc.aio.AioRpcError(
                code,
                await call.initial_metadata(),
                await call.trailing_metadata(),
                details=await call.details(),
                debug_error_string=await call.debug_error_string(),
            )
        )
