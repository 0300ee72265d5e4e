"""The unary mutating RPCs: a request in, the bytes of its durable outcome out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import grpc
import grpc.aio

from ringfence_server.committer import Answer, Request

from .errors import Refused, failure_status, status_for
from .handlers import Context, Handlers, parser, refused, unreadable
from .identity import identity_of
from .methods import METHODS, Method
from .render import uuid_text
from .services import Services


def command_handlers(services: Services) -> Handlers:
    """Every mutating unary method."""
    return {method.path: _handler(services, method) for method in METHODS}


def _handler(services: Services, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    committer, commands = services.committer, services.counts.commands
    default_deadline = services.limits.default_deadline_seconds

    async def handle(message: Any, context: Context) -> bytes:
        try:
            if message is None:
                raise unreadable()
            loop = asyncio.get_running_loop()
            left = context.time_remaining()
            deadline = loop.time() + (default_deadline if left is None else left)
            outcome: asyncio.Future[Answer] = loop.create_future()
            request = method.request(
                message, identity_of(context.invocation_metadata()), deadline, partial(_resolve, outcome)
            )
            committer.submit(request)
            # A caller that goes away cancels this future, its own waiting; the commit belongs to the committer's task.
            answer = await outcome
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            commands[method.refused if isinstance(error, Refused) else method.failed] += 1
            return refused(context, status_for(error, method.name))
        if not answer.refusal:
            commands[method.replayed if answer.replayed else method.accepted] += 1
            return method.response(answer)
        if answer.failure is None:
            commands[method.refused] += 1
            return refused(context, answer.payload)
        commands[method.failed] += 1
        return refused(context, failure_status(answer.failure, uuid_text(request.request_id)))

    # Bytes are what is stored: no response serialiser, so that a payload is serialised exactly once.
    return grpc.unary_unary_rpc_method_handler(handle, request_deserializer=parser(method.request_type))


def _resolve(outcome: asyncio.Future[Answer], request: Request, answer: Answer) -> None:
    if not outcome.done():
        outcome.set_result(answer)
