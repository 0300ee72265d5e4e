"""What is on its way over a stream: what goes next, what an answer settles, what a broken stream sends again.
Pure: no gRPC, no clock, no waiting. `now` is seconds of a monotonic clock."""

from __future__ import annotations

import copy
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from ringfence._calls import CommandKind
from ringfence._config import ClientConfig
from ringfence._error_mapping import Certainty, certainty, from_status, may_retry
from ringfence._errors import InternalError, RingfenceError, Unavailable
from ringfence._retry import pause_seconds, verdict

MESSAGE_BYTES = 1024 * 1024
"""Bytes of commands in one message, unless a single one is larger: far below gRPC's usual limit of 4 MiB."""
_ANOTHER_TRY_SECONDS = 1.0
"""How long a service is waited for that everything was given up for before: long enough to find that it is back."""


class Pending(Protocol):
    """A command on its way. The window keeps its books in it."""

    request_id: str
    kind: CommandKind
    message: Message
    size: int
    """Bytes of `message`."""
    deadline: float | None
    """Until when it waits for its answer; None until it was sent for the first time."""
    sent: bool
    """Whether it is on the present stream."""
    lost: bool
    """Whether a stream broke under it: it may have been carried out."""
    tries: int
    """Answers that asked to send it again."""

    def settle(self, answer: Message | None, error: RingfenceError | None) -> None:
        """Takes what came of it: the answer's message, or an error."""


P = TypeVar("P", bound=Pending)


class Window(Generic[P]):
    """Commands from their submission to their answer. At most `max_in_flight` of them are on the stream."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        timeout_seconds: float,
        max_in_flight: int,
        max_commands_per_message: int,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        if not 1 <= max_commands_per_message <= 1000:
            raise ValueError("max_commands_per_message must be 1 to 1,000")
        if max_in_flight < 1:
            raise ValueError("max_in_flight must be at least 1")
        if timeout_seconds <= 0:
            raise ValueError("timeout must be above zero")
        self.max_in_flight = max_in_flight
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._max_commands = max_commands_per_message
        self._random = random_fraction
        self._live: dict[str, P] = {}
        """All that has no answer yet, in the order of submission."""
        self._waiting: deque[P] = deque()
        self._delayed: list[tuple[float, int, P]] = []
        self._ticket = itertools.count()
        self._in_flight = 0
        self._down_since: float | None = None
        self._given_up = False
        """Whether all that waited for the service was given up since it is down."""
        self._answered_ever = False

    def __len__(self) -> int:
        return len(self._live)

    @property
    def message_is_full(self) -> bool:
        """Whether what waits to be sent fills a message."""
        return len(self._waiting) >= self._max_commands

    def submit(self, command: P) -> None:
        """Takes a command in; ValueError when one with its request_id is still on its way."""
        if command.request_id in self._live:
            raise ValueError(f"a command with request_id {command.request_id} is on its way already")
        self._live[command.request_id] = command
        self._waiting.append(command)

    def take(self, now: float) -> list[P]:
        """The commands of the next message; none when nothing may go now."""
        self._wake_delayed(now)
        waiting = self._waiting
        room = min(self.max_in_flight - self._in_flight, self._max_commands)
        taken: list[P] = []
        size = 0
        while waiting and len(taken) < room:
            command = waiting[0]
            if self._live.get(command.request_id) is not command:  # given up in the meantime
                waiting.popleft()
                continue
            size += command.size
            if taken and size > MESSAGE_BYTES:
                break
            waiting.popleft()
            command.sent = True
            if command.deadline is None:
                command.deadline = now + self._timeout_seconds
            taken.append(command)
        self._in_flight += len(taken)
        return taken

    def answered(self, outcome: Any, now: float) -> None:
        """Settles a command by its Outcome or SyncStockOutcome, or puts it off when the service asks for that."""
        command = self._live.get(outcome.request_id)
        if command is None or not command.sent:
            return  # given up before, or answered on a stream that broke: its next answer will say the same
        self._in_flight -= 1
        command.sent = False
        field = outcome.WhichOneof("outcome")
        if field == "error":
            error = from_status(outcome.error, command.request_id)
            if may_retry(error) and command.deadline is not None:
                command.tries += 1
                due = now + pause_seconds(self._config.retry, command.tries, error, self._random)
                if due < command.deadline:
                    heapq.heappush(self._delayed, (due, next(self._ticket), command))
                    return
            self._give_up(command, error, of_stream=False)
            return
        del self._live[command.request_id]
        if field is None:
            command.settle(None, InternalError("the service answered nothing", request_id=command.request_id))
        else:
            command.settle(getattr(outcome, field), None)

    def opening(self, now: float) -> None:
        """A stream is being opened. Until the service takes it nothing goes, and what waits does so no longer than when
        the service is down."""
        if self._down_since is None:
            self._down_since = now
        elif self._given_up:
            self._down_since = now - self._down_limit + min(_ANOTHER_TRY_SECONDS, self._down_limit)
        self._given_up = False

    def connected(self) -> None:
        """The service has taken the present stream."""
        self._down_since = None
        self._given_up = False
        self._answered_ever = True

    def broken(self, now: float, error: RingfenceError | None) -> None:
        """The stream broke, by `error` if any: what it left unanswered goes again first, in its order and with the same
        ids."""
        if self._down_since is None:
            self._down_since = now
        lost = error is None or certainty(error) is Certainty.UNKNOWN
        again = [command for command in self._live.values() if command.sent]
        for command in again:
            command.sent = False
            command.lost = command.lost or lost
        self._waiting.extendleft(reversed(again))
        self._in_flight = 0

    def expire(self, now: float, reason: RingfenceError | None) -> bool:
        """Gives up what waited too long; `reason` is why the last stream broke. True when the present stream is worth
        nothing. What was put off and is due goes next."""
        self._wake_delayed(now)
        down = self._down_since is not None and now >= self._down_since + self._down_limit
        error = reason or RingfenceError("no answer in time", code="DEADLINE_EXCEEDED")
        if down and reason is None:
            error = Unavailable(f"no service answers at {self._config.target} in time", code="UNAVAILABLE")
        silent = down and not self._given_up
        self._given_up = self._given_up or down
        overdue: list[P] = []
        for command in self._live.values():
            if not down and (command.deadline is None or command.deadline > now):
                break
            overdue.append(command)
        for command in overdue:
            silent = silent or command.sent
            if command.sent:
                self._in_flight -= 1
            self._give_up(command, error)
        return silent

    def next_delayed(self, now: float) -> float | None:
        """Seconds until what was put off may go; None when nothing was."""
        return max(0.0, self._delayed[0][0] - now) if self._delayed else None

    def next_event(self, now: float) -> float | None:
        """Seconds until something falls due by itself; None when nothing will."""
        instants = [self._delayed[0][0]] if self._delayed else []
        oldest = next(iter(self._live.values()), None)
        if oldest is not None and oldest.deadline is not None:
            instants.append(oldest.deadline)
        if self._down_since is not None:
            instants.append(self._down_since + self._down_limit)
        return max(0.0, min(instants) - now) if instants else None

    def fail(self, error: RingfenceError) -> None:
        """Gives everything up."""
        for command in list(self._live.values()):
            self._give_up(command, error)
        self._waiting.clear()
        self._delayed.clear()
        self._in_flight = 0

    @property
    def _down_limit(self) -> float:
        # A service that never answered is more likely a wrong target than a restart.
        if self._answered_ever:
            return self._timeout_seconds
        return min(self._timeout_seconds, self._config.timeout.total_seconds())

    def _give_up(self, command: P, error: RingfenceError, *, of_stream: bool = True) -> None:
        del self._live[command.request_id]
        # Each command has an exception of its own: they are raised in different places.
        own = copy.copy(error)
        own.request_id = command.request_id
        own.__cause__ = error.__cause__
        told = verdict(
            own,
            name=command.kind.rpc.name,
            target=self._config.target,
            request_id=command.request_id,
            # What never left this process was not done, whatever the error.
            mutating=command.deadline is not None,
            uncertain=command.lost or command.sent,
            of_stream=of_stream,
        )
        command.settle(None, told)

    def _wake_delayed(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            self._waiting.appendleft(heapq.heappop(self._delayed)[2])
