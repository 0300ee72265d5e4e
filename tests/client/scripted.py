"""A gRPC server that answers what a test tells it to, for what only a scripted peer can show: broken connections, late
answers, refusals of every kind. It runs in threads, so that both clients can be driven against it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2

from ringfence import _rpcs
from ringfence._rpcs import Rpc
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import common_pb2

RPCS: dict[str, Rpc] = {rpc.name: rpc for rpc in vars(_rpcs).values() if isinstance(rpc, Rpc)}
BOTH_WAYS = {"Execute", "SyncStock", "StreamOrders"}
STREAMS = {"WatchBalances", "Verify", *BOTH_WAYS}


class Received(NamedTuple):
    """One call that reached the server."""

    name: str
    request: Any
    metadata: dict[str, str]
    seconds_left: float | None
    """How long its caller waited yet when it arrived; None is for ever."""


class Failure(Exception):
    """Ends a call with a status."""

    def __init__(
        self,
        code: str,
        message: str = "scripted",
        *,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        retry_after: timedelta | None = None,
        details: Sequence[Message] = (),
    ) -> None:
        super().__init__(message)
        self.status = status(code, message, reason=reason, metadata=metadata, retry_after=retry_after, details=details)

    @property
    def code(self) -> grpc.StatusCode:
        """The status's code."""
        return next(code for code in grpc.StatusCode if code.value[0] == self.status.code)


def status(
    code: str,
    message: str = "scripted",
    *,
    reason: str = "",
    metadata: dict[str, str] | None = None,
    retry_after: timedelta | None = None,
    details: Sequence[Message] = (),
) -> status_pb2.Status:
    """A google.rpc.Status as the service makes it."""
    packed: list[Message] = []
    if reason:
        packed.append(error_details_pb2.ErrorInfo(reason=reason, domain="ringfence", metadata=metadata or {}))
    if retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(retry_after)
        packed.append(error_details_pb2.RetryInfo(retry_delay=delay))
    made = status_pb2.Status(code=code_pb2.Code.Value(code), message=message)
    for detail in (*packed, *details):
        box = AnyMessage()
        box.Pack(detail)
        made.details.append(box)
    return made


REFUSED = status("FAILED_PRECONDITION", "short", reason="INSUFFICIENT_QUANTITY")
OVERLOADED = status("RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after=timedelta(milliseconds=1))


class ScriptedServer:
    """A server on a free port. `on` sets what an RPC answers; `received` is what reached it.

    An answer is a message, a Failure, or a function of (request, context) that gives or raises one; for streams a
    function that yields messages and may raise a Failure. Several are worked off one a call, the last one for good.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.ended: list[str] = []
        """Names of streams that came to their end, by whoever's doing."""
        self._answers: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def target(self) -> str:
        """Where the server is."""
        return f"127.0.0.1:{self.port}"

    def on(self, name: str, *answers: Any) -> None:
        """Sets the answers of an RPC."""
        assert name in RPCS, name
        self._answers[name] = list(answers)

    def calls(self, name: str) -> list[Received]:
        """What reached one RPC."""
        return [call for call in self.received if call.name == name]

    def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Begins to serve; on the port it had before, if any."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
        for service in {rpc.service for rpc in RPCS.values()}:
            self._server.add_generic_rpc_handlers(
                [
                    grpc.method_handlers_generic_handler(
                        f"ringfence.v1.{service}",
                        {rpc.name: self._handler(rpc) for rpc in RPCS.values() if rpc.service == service},
                    )
                ]
            )
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self) -> None:
        """Ends every connection at once."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def _handler(self, rpc: Rpc) -> Any:
        make: Callable[..., Any] = {
            **dict.fromkeys(BOTH_WAYS, grpc.stream_stream_rpc_method_handler),
            "WatchBalances": grpc.unary_stream_rpc_method_handler,
            "Verify": grpc.unary_stream_rpc_method_handler,
        }.get(rpc.name, grpc.unary_unary_rpc_method_handler)
        behaviour = self._stream if rpc.name in STREAMS else self._unary
        return make(
            lambda request, context: behaviour(rpc.name, request, context),
            request_deserializer=rpc.request.FromString,
            response_serializer=rpc.response.SerializeToString,
        )

    def _next_answer(self, name: str, request: Any, context: Any) -> Any:
        with self._lock:
            self.received.append(Received(name, request, dict(context.invocation_metadata()), _seconds_left(context)))
            answers = self._answers.get(name) or [Failure("UNIMPLEMENTED", "not scripted")]
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def _unary(self, name: str, request: Any, context: Any) -> Any:
        answer = self._next_answer(name, request, context)
        try:
            if callable(answer) and not isinstance(answer, Message):
                answer = answer(request, context)
            if isinstance(answer, Failure):
                raise answer
        except Failure as failure:
            _abort(context, failure)
        return answer

    def _stream(self, name: str, request: Any, context: Any) -> Iterator[Any]:
        answer = self._next_answer(name, None if name in BOTH_WAYS else request, context)
        context.add_callback(lambda: self.ended.append(name))
        try:
            if isinstance(answer, Failure):
                raise answer
            if name in BOTH_WAYS:
                context.send_initial_metadata(())
            yield from answer(request, context)
        except Failure as failure:
            _abort(context, failure)


def _seconds_left(context: Any) -> float | None:
    left: float | None = context.time_remaining()
    return left if left is not None and left < 1e6 else None


def _abort(context: Any, failure: Failure) -> None:
    context.set_trailing_metadata((("grpc-status-details-bin", failure.status.SerializeToString()),))
    context.abort(failure.code, failure.status.message)


def until_cancelled(context: Any, seconds: float = 120.0) -> None:
    """Keeps a call open until its caller goes away."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(seconds)


def executed(
    answer: Callable[[allocation_pb2.Command], allocation_pb2.Outcome | None],
) -> Callable[[Iterator[allocation_pb2.ExecuteRequest], Any], Iterator[allocation_pb2.ExecuteResponse]]:
    """An Execute that answers every message with the outcomes of its commands; None is no answer."""

    def behaviour(
        requests: Iterator[allocation_pb2.ExecuteRequest], context: Any
    ) -> Iterator[allocation_pb2.ExecuteResponse]:
        for request in requests:
            outcomes = [outcome for command in request.commands if (outcome := answer(command)) is not None]
            yield allocation_pb2.ExecuteResponse(outcomes=outcomes)

    return behaviour


def id_of(command: allocation_pb2.Command) -> str:
    """The request_id of a command of an Execute stream."""
    request_id: str = getattr(command, str(command.WhichOneof("command"))).request_id
    return request_id


def reserved(request: allocation_pb2.ReserveRequest, context: Any = None) -> allocation_pb2.ReserveResponse:
    """Reserve as the service answers it: one part per line, a lease of 15 minutes."""
    now = Timestamp(seconds=1_767_268_800)
    answer = allocation_pb2.ReserveResponse(fill="FILL_FULL", revision="r1", server_time=now)
    answer.reservation.reservation_id = f"reservation-of-{request.request_id}"
    answer.reservation.state = common_pb2.RESERVATION_STATE_HELD
    answer.reservation.revision = 1
    answer.reservation.owner = request.owner
    answer.reservation.create_time.CopyFrom(now)
    answer.reservation.expire_time.FromSeconds(now.seconds + 900)
    for number, line in enumerate(request.lines, 1):
        added = answer.reservation.lines.add(
            line_id=line.line_id or str(number),
            key=line.key,
            path=line.path,
            requested=line.quantity,
            granted=line.quantity,
            fallback="FALLBACK_NONE",
        )
        added.parts.add(part_number=number, key=line.key, path=line.path, granted=line.quantity, held=line.quantity)
    return answer


def reserve_outcome(command: allocation_pb2.Command) -> allocation_pb2.Outcome:
    """The outcome of a Reserve of an Execute stream."""
    return allocation_pb2.Outcome(request_id=command.reserve.request_id, reserve=reserved(command.reserve))


class Recording:
    """An Execute that answers everything and remembers the ids of each message, stream by stream."""

    def __init__(
        self, answer: Callable[[allocation_pb2.Command], allocation_pb2.Outcome | None] = reserve_outcome
    ) -> None:
        self.streams: list[list[list[str]]] = []
        self._answer = answer

    def __call__(
        self, requests: Iterator[allocation_pb2.ExecuteRequest], context: Any
    ) -> Iterator[allocation_pb2.ExecuteResponse]:
        messages: list[list[str]] = []
        self.streams.append(messages)
        for request in requests:
            messages.append([id_of(command) for command in request.commands])
            outcomes = [found for command in request.commands if (found := self._answer(command)) is not None]
            yield allocation_pb2.ExecuteResponse(outcomes=outcomes)

    @property
    def ids(self) -> list[str]:
        """All ids that arrived, in order."""
        return [request_id for messages in self.streams for message in messages for request_id in message]


@contextmanager
def nobody() -> Iterator[str]:
    """A target where nobody listens, and where nobody else comes to listen meanwhile: the port is taken."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def silent(requests: Any, context: Any) -> Iterator[Any]:
    """Reads everything and answers nothing."""
    until_cancelled(context)
    yield from ()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until something happened in another thread; fails when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
