"""Clients that ask for everything there is to ask for, over streams with many messages in flight."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from threading import Semaphore, Thread
from typing import Final

import grpc

from ringfence import (
    Allocate,
    Cancel,
    Consume,
    ConsumeDirectly,
    Line,
    Move,
    PostStock,
    Reallocate,
    Reserve,
    StockFigure,
    Unallocate,
    UpdateReservation,
    uuid7,
)
from ringfence import Command as AnyCommand
from ringfence._calls import execute_command
from ringfence.v1.allocation_service_pb2 import Command, ExecuteRequest, ExecuteResponse, Outcome
from ringfence.v1.allocation_service_pb2_grpc import AllocationServiceStub
from tests.faults.journal import Journal, request_id_of

SKUS: Final = tuple(f"BIKE-{number}" for number in range(6))
LOCATION: Final = "north"
PATHS: Final = ("", "web", "shop")
OPENING_STOCK: Final = 5_000
_MESSAGES_IN_FLIGHT: Final = 4
_MOST_COMMANDS: Final = 20
_GIVE_UP_SECONDS: Final = 240.0
_UNDECIDED: Final = {grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}


def wire(command: AnyCommand[object], request_id: str | None = None) -> Command:
    """A command as an Execute stream carries it."""
    return execute_command(command, request_id or uuid7())[1]


def opening() -> list[Command]:
    """The stock and the quotas that traffic needs."""
    figures = [StockFigure(sku, LOCATION, OPENING_STOCK) for sku in SKUS]
    quotas = [Line(sku, LOCATION, 1_000, path=path) for sku in SKUS for path in PATHS if path]
    return [wire(PostStock(figures)), wire(Allocate(quotas))]


class Client:
    """One connection with one stream. It stops when the connection breaks, or when it is told to."""

    def __init__(self, target: str, journal: Journal, seed: int, answered: Callable[[int], None]) -> None:
        self._target = target
        self._journal = journal
        self._random = Random(seed)
        self._told = answered
        self._window = Semaphore(_MESSAGES_IN_FLIGHT)
        self._stopped = False
        self._sizes: deque[int] = deque()
        self._arrived = 0
        self._open: deque[str] = deque()
        """Reservations that may be consumed or cancelled."""
        self._thread = Thread(target=self._run, name=f"client-{seed}")

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Sends no more; what is in flight is waited for."""
        self._stopped = True
        self._window.release()
        self._thread.join()

    def _run(self) -> None:
        with grpc.insecure_channel(self._target) as channel:
            try:
                for response in AllocationServiceStub(channel).Execute(self._messages()):
                    self._take(response)
            except grpc.RpcError:
                self._stopped = True
            finally:
                self._stopped = True
                self._window.release()

    def _messages(self) -> Iterator[ExecuteRequest]:
        while True:
            self._window.acquire()
            if self._stopped:
                return
            commands = [wire(self._command()) for _ in range(self._random.randint(1, _MOST_COMMANDS))]
            if self._random.random() < 0.2:
                # One request, two copies of it in one message.
                commands.append(commands[0])
            self._sizes.append(len(commands))
            self._journal.sent(commands)
            yield ExecuteRequest(commands=commands)

    def _take(self, response: ExecuteResponse) -> None:
        outcomes = [each for each in response.outcomes if each.error.code not in _UNDECIDED]
        self._journal.answered(outcomes)
        for outcome in outcomes:
            if outcome.HasField("reserve"):
                self._open.append(outcome.reserve.reservation.reservation_id)
        self._told(len(outcomes))
        self._arrived += len(response.outcomes)
        while self._sizes and self._arrived >= self._sizes[0]:
            self._arrived -= self._sizes.popleft()
            self._window.release()

    def _command(self) -> AnyCommand[object]:
        random = self._random
        sku, path = random.choice(SKUS), random.choice(PATHS)
        kind = random.randrange(12)
        if kind >= 7 and self._open:
            reservation = self._open.popleft() if random.random() < 0.8 else self._open[0]
            match kind:
                case 7 | 8:
                    return Consume(reservation, order_reference=str(uuid.uuid4()) if kind == 7 else "")
                case 9 | 10:
                    return Cancel(reservation)
                case _:
                    return UpdateReservation(reservation, lines={"1": random.randint(1, 4)})
        match kind:
            case 0:
                return Allocate(Line(sku, LOCATION, random.randint(1, 5), path=random.choice(PATHS[1:])))
            case 1:
                return Unallocate(Line(sku, LOCATION, random.randint(1, 5), path=random.choice(PATHS[1:])))
            case 2:
                return Reallocate(Move(sku, LOCATION, random.randint(1, 5), from_path="web", to_path="shop"))
            case 3:
                return PostStock(StockFigure(sku, LOCATION, delta=random.randint(1, 5)))
            case 4:
                line = Line(sku, LOCATION, random.randint(1, 3), path=path)
                return ConsumeDirectly(line, order_reference=str(uuid.uuid4()))
            case 5:
                return Reserve(Line(sku, LOCATION, 10**6, path=path))
            case _:
                line = Line(sku, LOCATION, random.randint(1, 3), path=path)
                return Reserve(line, ttl=timedelta(hours=12))


def ask_again(target: str, commands: list[Command]) -> dict[str, Outcome]:
    """Sends requests over streams until every one has an outcome; a server that is told to have no database yet is
    asked again."""
    outcomes: dict[str, Outcome] = {}
    left = {request_id_of(command): command for command in commands}
    end = time.monotonic() + _GIVE_UP_SECONDS

    with grpc.insecure_channel(target) as channel:
        while left:
            assert time.monotonic() < end, f"{len(left)} requests find no outcome"
            for response in AllocationServiceStub(channel).Execute(_messages_of(list(left.values()))):
                outcomes.update((each.request_id, each) for each in response.outcomes)
            assert outcomes.keys() >= left.keys()
            left = {each: command for each, command in left.items() if outcomes[each].error.code in _UNDECIDED}
    return outcomes


def _messages_of(commands: list[Command]) -> Iterator[ExecuteRequest]:
    for start in range(0, len(commands), 200):
        yield ExecuteRequest(commands=commands[start : start + 200])
