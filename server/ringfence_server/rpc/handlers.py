"""gRPC handlers around plain coroutines: identity in, messages or bytes out, and no fault leaves them unmapped.

A handler is the outermost code of a call, so an interceptor would only cost: what escaped from here would reach the
caller as UNKNOWN with the exception's text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, NoReturn, Protocol, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from .errors import Refused, invalid, status_for
from .identity import Identity, identity_of
from .services import Counts
from .status import DETAILS_KEY, ROOM_IN_TRAILER, fitted, room_for

Request_contra = TypeVar("Request_contra", bound=Message, contravariant=True)
Context: TypeAlias = Any
"""A grpc.aio servicer context; its generic parameters tell nothing here."""
Handlers: TypeAlias = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
"""By full method name, such as "/ringfence.v1.AllocationService/Reserve"."""

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class UnaryBehaviour(Protocol[Request_contra]):
    """What answers one request with one message."""

    def __call__(self, request: Request_contra, identity: Identity, context: Context) -> Awaitable[Message]:
        """Answers, or raises ``errors.Refused`` or what ``errors.status_for`` knows."""


class StreamBehaviour(Protocol[Request_contra]):
    """What answers one request with a stream of messages."""

    def __call__(self, request: Request_contra, identity: Identity, context: Context) -> AsyncIterator[Message]:
        """Answers, or raises ``errors.Refused`` or what ``errors.status_for`` knows."""


def unary(
    method: str, request_type: type[Request_contra], behaviour: UnaryBehaviour[Request_contra], counts: Counts
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of a unary method ("GetPolicy")."""

    async def handle(request: Request_contra | None, context: Context) -> bytes:
        try:
            if request is None:
                raise unreadable()
            answer = await behaviour(request, identity_of(context.invocation_metadata()), context)
            counts.commands[method, "accepted"] += 1
            return answer.SerializeToString()
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            counts.commands[method, "refused" if isinstance(error, Refused) else "failed"] += 1
            return refused(context, status_for(error, method))

    return grpc.unary_unary_rpc_method_handler(handle, request_deserializer=parser(request_type))


def server_stream(
    method: str, request_type: type[Request_contra], behaviour: StreamBehaviour[Request_contra], counts: Counts
) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of a method that answers with a stream ("Verify"). ``behaviour`` is an async generator."""

    async def handle(request: Request_contra | None, context: Context) -> None:
        try:
            if request is None:
                raise unreadable()
            identity = identity_of(context.invocation_metadata())
            # Closed here and now, not when it is collected: what a stream holds must not outlive its call.
            async with aclosing(cast(AsyncGenerator[Message, None], behaviour(request, identity, context))) as answers:
                async for answer in answers:
                    await context.write(answer.SerializeToString())
            counts.commands[method, "accepted"] += 1
            return
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            counts.commands[method, "refused" if isinstance(error, Refused) else "failed"] += 1
            status = status_for(error, method)
        await end(context, status)

    return grpc.unary_stream_rpc_method_handler(handle, request_deserializer=parser(request_type))


def parser(request_type: type[Message]) -> Callable[[bytes], Any]:
    """A deserialiser that answers None for what is no such message: an exception would end the call as UNKNOWN."""
    from_string = request_type.FromString

    def parse(raw: bytes) -> Any:
        try:
            return from_string(raw)
        except DecodeError:
            return None

    return parse


def unreadable() -> Exception:
    """INVALID_ARGUMENT for bytes that are no message of the method."""
    return invalid("", "UNREADABLE_MESSAGE", "the bytes are no message of this method; texts are UTF-8")


def refused(context: Context, status: bytes) -> bytes:
    """Makes a unary call end with a google.rpc.Status; answers what its handler has to return.

    ``context.abort`` costs a sixth of the whole call more, for it raises through every frame, and a sold-out item is
    refused as often as it is asked for. The empty message that grpc.aio sends this way is read by no client.
    """
    status, said = _said(context, status)
    context.set_trailing_metadata(((DETAILS_KEY, status),))
    context.set_details(said.message)
    context.set_code(_CODES[said.code])
    return b""


async def end(context: Context, status: bytes) -> NoReturn:
    """Ends a stream with a google.rpc.Status."""
    status, said = _said(context, status)
    await context.abort(_CODES[said.code], said.message, ((DETAILS_KEY, status),))
    raise AssertionError("abort returned")


def _said(context: Context, status: bytes) -> tuple[bytes, Status]:
    """The status, its lists cut to what the caller's channel takes, as bytes and as a message."""
    if len(status) > ROOM_IN_TRAILER:
        status = fitted(status, room_for(context.invocation_metadata()))
    return status, Status.FromString(status)


def serve_all(handlers: Handlers) -> grpc.GenericRpcHandler:
    """One generic handler for all methods.

    Not registered one by one: grpc.aio then waits on one future per method for every call that comes in.
    """
    return _Table(dict(handlers))


class _Table(grpc.GenericRpcHandler):
    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a full method name."""
        return self._handlers.get(handler_call_details.method)
