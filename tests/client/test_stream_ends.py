"""Why an Execute stream ended is told by its status alone, in whatever order the signs of its end come.

The order is forced under grpc.aio's own call: in the place of gRPC's core, `Core` does what a test tells it to.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc
from grpc.aio._call import StreamStreamCall

from ringfence import AsyncClient, Line, OutcomeUnknown, PermissionDenied, Reserve, RingfenceError, _async_stream
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.conftest import PATIENCE, QUICK, Connect
from tests.client.scripted import Failure, Recording, ScriptedServer, id_of, reserve_outcome

LAMP = Line("LAMP", "berlin", 1)
FORCED = 20
"""How often an order is forced: nothing of it is left to chance."""
TIMES = 200
"""How often a real connection ends."""
DENIED = ("PERMISSION_DENIED", "not you")


class Core:
    """The part of a grpc.aio call that gRPC writes in Cython, by the same rules, with a test as the other side."""

    def __init__(self) -> None:
        self.sent: list[allocation_pb2.ExecuteRequest] = []
        self.sending: asyncio.Future[None] | None = None
        """The write on its way; it stays there until the test lets it end."""
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._status: cygrpc.AioRpcStatus | None = None
        self._statuses: list[asyncio.Future[None]] = []
        self._callbacks: list[Callable[[], None]] = []
        self._cancelled_here = False

    # What the test does.

    def answer(self) -> None:
        """Everything that was sent is answered, each command by a message of its own."""
        for request in self.sent:
            for command in request.commands:
                response = allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(command)])
                self._inbox.put_nowait(response.SerializeToString())

    def accept(self) -> None:
        """The write on its way succeeds."""
        assert self.sending is not None
        self.sending.set_result(None)

    def fail_write(self) -> None:
        """The write on its way fails, as it does on a stream that is over."""
        assert self.sending is not None
        if not self.sending.done():
            self.sending.set_exception(grpc.aio.InternalError(f"Failed execute_batch: {self.sending!r}"))

    def end_answers(self) -> None:
        """There are no more answers."""
        self._inbox.put_nowait(None)

    def end(self, code: str, message: str = "") -> None:
        """The service's status comes. It is set by a task of its own, a turn of the loop later, as in gRPC."""

        async def come() -> None:
            if not self._cancelled_here:
                self._set(grpc.StatusCode[code].value[0], message, f"{code}:{message}")

        self._coming = asyncio.create_task(come())

    # What grpc.aio asks for.

    async def initiate_stream_stream(self, metadata: Any, observer: Callable[[], None], context: Any) -> None:
        observer()

    async def initial_metadata(self) -> tuple[Any, ...]:
        return ()

    async def send_serialized_message(self, message: bytes) -> None:
        self.sent.append(allocation_pb2.ExecuteRequest.FromString(message))
        self.sending = asyncio.get_running_loop().create_future()
        await self.sending

    async def receive_serialized_message(self) -> Any:
        await turns(2)  # a read goes through gRPC even when there is something to read
        message = await self._inbox.get()
        return cygrpc.EOF if message is None else message

    async def status(self) -> cygrpc.AioRpcStatus:
        if self._status is None:
            waiter = asyncio.get_running_loop().create_future()
            self._statuses.append(waiter)
            await waiter
        return self._status

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def set_internal_error(self, text: str) -> None:
        self._set(grpc.StatusCode.INTERNAL.value[0], "Internal error from Core", text)

    def cancel(self, details: str) -> None:
        self._cancelled_here = True
        self._set(grpc.StatusCode.CANCELLED.value[0], details, None)
        self._inbox.put_nowait(None)

    def done(self) -> bool:
        return self._status is not None

    def cancelled(self) -> bool:
        return self._status is not None and self._status.code() == grpc.StatusCode.CANCELLED.value[0]

    def is_locally_cancelled(self) -> bool:
        return self._cancelled_here

    def _set(self, code: int, details: str, debug: str | None) -> None:
        self._status = cygrpc.AioRpcStatus(code, details, (), debug)
        waiters, self._statuses = self._statuses, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Forced:
    """A client whose streams have a `Core` each, and no network. `play` is what the other side does with each stream,
    from the moment when the first message is on its way; the last one is for all that follow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *play: Callable[[Core], Awaitable[None]]) -> None:
        self.cores: list[Core] = []
        self.client = AsyncClient("nowhere", retry=QUICK)
        self._plays = list(play)
        self._tasks: list[asyncio.Task[None]] = []
        monkeypatch.setattr(self.client._transport, "stream", self._stream)

    def _stream(self, rpc: Any) -> Any:
        core = Core()
        self.cores.append(core)
        play = self._plays.pop(0) if len(self._plays) > 1 else self._plays[0]
        self._tasks.append(asyncio.create_task(self._play(play, core)))

        class Channel:
            def call(self, *arguments: Any) -> Core:
                return core

        serialize, parse = rpc.request.SerializeToString, rpc.response.FromString
        loop = asyncio.get_running_loop()
        made: Any = StreamStreamCall  # its constructor is not public
        return made(None, None, grpc.aio.Metadata(), None, None, Channel(), b"", serialize, parse, loop)

    async def _play(self, play: Callable[[Core], Awaitable[None]], core: Core) -> None:
        while core.sending is None:  # noqa: ASYNC110  # the turns of the loop are what is counted here
            await asyncio.sleep(0)
        await play(core)


async def turns(count: int) -> None:
    """Lets the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


SIGNS: dict[str, Callable[[Core], None]] = {
    "write": Core.fail_write,
    "answers": Core.end_answers,
    "status": lambda core: core.end(*DENIED),
}
ORDERS = [
    *itertools.permutations(("write", "answers", "status")),
    ("answers", "status"),
    ("status", "answers"),
]


def ending(order: tuple[str, ...], gap: int, *, answered: bool = False) -> Callable[[Core], Awaitable[None]]:
    """The end of a stream, its signs in this order and `gap` turns of the loop apart."""

    async def play(core: Core) -> None:
        if "write" not in order:
            core.accept()
            await turns(gap)
        if answered:
            core.answer()
        for sign in order:
            SIGNS[sign](core)
            await turns(gap)

    return play


@pytest.mark.parametrize("gap", [0, 1, 2, 7])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_a_stream_is_refused_in_any_order(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], gap: int
) -> None:
    """Whether a failed write, the end of the answers or the status is first: every command is told PERMISSION_DENIED,
    and there is no second stream."""
    for _ in range(FORCED):
        forced = Forced(monkeypatch, ending(order, gap))
        async with forced.client.pipeline() as pipe:
            futures = [pipe.reserve(LAMP) for _ in range(2)]
            for future in futures:
                with pytest.raises(PermissionDenied, match="not you"):
                    await asyncio.wait_for(future, 60)
            assert isinstance(pipe.failure, PermissionDenied)
        assert len(forced.cores) == 1


@pytest.mark.parametrize("gap", [0, 1, 2, 7])
@pytest.mark.parametrize("order", [order for order in ORDERS if order.index("status")], ids="-".join)
async def test_an_answer_before_the_end_is_read(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], gap: int
) -> None:
    """Commands whose answers came before the end have them; a failed write hides none. The pipeline is over."""
    for _ in range(FORCED):
        forced = Forced(monkeypatch, ending(order, gap, answered=True))
        async with forced.client.pipeline() as pipe:
            futures = [pipe.reserve(LAMP) for _ in range(3)]
            await asyncio.wait_for(asyncio.gather(*futures), 60)
            async with asyncio.timeout(60):
                while pipe.failure is None:  # noqa: ASYNC110  # nobody is told when a pipeline ends by itself
                    await asyncio.sleep(0)
            assert isinstance(pipe.failure, PermissionDenied)
        assert len(forced.cores) == 1


@pytest.mark.parametrize("gap", [0, 1, 7])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_what_may_have_been_carried_out_stays_unknown(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], gap: int
) -> None:
    """A refused stream says nothing of the stream that broke before: what was on that one is unknown, what came after
    it was not done."""
    later: list[Any] = []

    async def broken(core: Core) -> None:
        core.end("UNAVAILABLE", "gone")
        core.end_answers()
        later.append(pipe.reserve(LAMP))

    for _ in range(FORCED):
        forced = Forced(monkeypatch, broken, ending(order, gap))
        pipe = forced.client.pipeline()
        async with pipe:
            with pytest.raises(OutcomeUnknown):
                await asyncio.wait_for(pipe.reserve(LAMP), 60)
            with pytest.raises(PermissionDenied):
                await asyncio.wait_for(later.pop(), 60)
        assert len(forced.cores) == 2


@pytest.mark.parametrize("gap", [0, 1, 2, 7])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_an_end_in_good_order_sends_again(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], gap: int
) -> None:
    """A stream that ended OK without an answer is opened again, and the command goes again with its id."""
    monkeypatch.setitem(SIGNS, "status", lambda core: core.end("OK"))

    async def answer(core: Core) -> None:
        core.accept()
        core.answer()

    for _ in range(FORCED):
        forced = Forced(monkeypatch, ending(order, gap), answer)
        async with forced.client.pipeline() as pipe:
            future = pipe.reserve(LAMP)
            await asyncio.wait_for(future, 60)
        first, second = forced.cores
        assert [id_of(command) for core in (first, second) for command in core.sent[0].commands] == [
            future.request_id,
            future.request_id,
        ]


@pytest.mark.parametrize("order", [("write", "answers"), ("answers", "write"), ("answers",)], ids="-".join)
async def test_a_status_that_never_comes_is_not_waited_for_beyond_the_deadline(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    """A command waits its timeout for a stream that ended without saying why, and is unknown then."""
    forced = Forced(monkeypatch, ending(order, 1))
    async with forced.client.pipeline(timeout=timedelta(seconds=1)) as pipe:
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await asyncio.wait_for(pipe.reserve(LAMP), 60)
    assert len(forced.cores) == 1


async def test_a_stream_without_a_status_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no status follows the end of the answers, the stream counts as broken and the command goes again."""
    monkeypatch.setattr(_async_stream, "_STATUS_SECONDS", 0.02)

    async def answer(core: Core) -> None:
        core.accept()
        core.answer()

    forced = Forced(monkeypatch, ending(("write", "answers"), 1), answer)
    async with forced.client.pipeline() as pipe:
        await asyncio.wait_for(pipe.reserve(LAMP), 60)
    assert len(forced.cores) == 2


# Large enough for a write to be on its way when the stream ends: the other side takes 64 KiB without reading.
LARGE = Line("LAMP" * 50_000, "berlin", 1)


def at_once(requests: Any, context: Any) -> Any:
    """Refuses before anything is read."""
    raise Failure(*DENIED)


def after_reading(requests: Any, context: Any) -> Any:
    """Refuses what it read."""
    next(requests)
    raise Failure(*DENIED)


@pytest.mark.parametrize("line", [LAMP, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("behaviour", [at_once, after_reading])
async def test_a_service_refuses_the_stream_every_time(
    scripted: ScriptedServer, connect: Connect, line: Line, behaviour: Any
) -> None:
    """Over a real connection, with small messages and with writes that the end cuts off: one stream, one refusal."""
    scripted.on("Execute", behaviour)
    driver = connect()
    for count in range(1, TIMES + 1):
        with pytest.raises(PermissionDenied, match="not you"):
            await driver.call("execute_many", [Reserve(line), Reserve(line)])
        assert len(scripted.received) == count


async def test_a_status_with_the_last_answer_loses_neither(scripted: ScriptedServer) -> None:
    """An answer and the status right behind it: the answered command has its result, the other one was not done."""

    def behaviour(requests: Any, context: Any) -> Any:
        command = next(requests).commands[0]
        yield allocation_pb2.ExecuteResponse(outcomes=[reserve_outcome(command)])
        raise Failure(*DENIED)

    scripted.on("Execute", behaviour)
    async with AsyncClient(scripted.target, retry=QUICK, timeout=PATIENCE) as client:
        for count in range(1, TIMES + 1):
            async with client.pipeline() as pipe:
                answered, refused = pipe.reserve(LAMP), pipe.reserve(LAMP)
                with pytest.raises(PermissionDenied):
                    await asyncio.wait_for(refused, 60)
                assert (await answered).request_id == answered.request_id
            assert len(scripted.received) == count


async def test_a_service_that_ends_in_good_order_is_asked_again_every_time(
    scripted: ScriptedServer, connect: Connect
) -> None:
    """A stream that ends OK without an answer costs one more stream, and no outcome."""
    driver = connect()
    for count in range(1, TIMES // 4 + 1):
        scripted.on("Execute", lambda requests, context: iter(()), Recording())
        (outcome,) = await driver.call("execute_many", [Reserve(LAMP)])
        assert outcome.unwrap().reservation.owner == ""
        assert len(scripted.received) == 2 * count


async def test_a_fault_of_the_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no stream's end explains, such as a message that cannot be written, leaves nobody waiting."""

    async def broken(core: Core, message: bytes) -> None:
        raise ZeroDivisionError

    async def nothing(core: Core) -> None:
        """Never reached: no message is on its way."""

    monkeypatch.setattr(Core, "send_serialized_message", broken)
    forced = Forced(monkeypatch, nothing)
    async with forced.client.pipeline() as pipe:
        with pytest.raises(RingfenceError, match="ZeroDivisionError"):
            await asyncio.wait_for(pipe.reserve(LAMP), 60)
    for task in forced._tasks:
        task.cancel()
