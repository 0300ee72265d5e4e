"""The queue and the loop of group commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.work import BatchRejected, Committed, StoreUnavailable, Work

from .request import Answer, Failure, Request
from .work import BatchWork, Poisoned, SweepWork

_log = logging.getLogger(__name__)


class WriteStore(Protocol):
    """What the committer needs of a store."""

    async def run(self, work: Work) -> Committed:
        """Runs one unit of work in one durable transaction, or raises and has done nothing."""


@dataclass(frozen=True)
class CommitterLimits:
    """Bounds of the queue and of a batch, counted in lines (a command without lines counts one)."""

    max_queued_lines: int = 20_000
    """Lines waiting; beyond it a new command is refused with OVERLOADED."""
    max_batch_commands: int = 512
    """Commands of one transaction; beyond 512 nothing was gained when measured."""
    max_batch_lines: int = 4_096
    """Lines of one transaction, unless a single command has more."""


class Overloaded(Exception):
    """The queue is full."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the queue of commands is full")
        self.retry_after_seconds = retry_after_seconds
        """When a retry is likely to find room, seconds."""


class Draining(Exception):
    """The server goes down and takes no more commands."""


class Committer:
    """Takes requests on the event loop and commits what has queued up, batch after batch.

    The loop is a task of its own: a caller that goes away cancels its waiting, never a commit.
    """

    def __init__(
        self,
        store: WriteStore,
        *,
        limits: CommitterLimits = CommitterLimits(),
        on_commit: Callable[[Committed], None] | None = None,
    ) -> None:
        self._store = store
        self._limits = limits
        self._on_commit = on_commit
        self._queue: deque[Request] = deque()
        self._queued_lines = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._sweeps: list[asyncio.Future[Committed]] = []
        self._draining = False
        self._task: asyncio.Task[None] | None = None
        self._lines_per_second = 5_000.0

    def start(self) -> None:
        """Starts the loop on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ringfence-committer")

    async def drain(self) -> None:
        """Refuses new commands, commits all that is queued, and ends the loop."""
        self._draining = True
        self._wake.set()
        self._room.set()
        if self._task is not None:
            await self._task

    @property
    def queued_lines(self) -> int:
        """Lines that wait for a transaction."""
        return self._queued_lines

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._queue

    def submit(self, request: Request) -> None:
        """Queues a request; its sink is called when the outcome is durable.

        Raises:
            Overloaded: the queue is full.
            Draining: the server goes down.
        """
        if self._draining:
            raise Draining
        if self._queued_lines + request.weight > self._limits.max_queued_lines and self._queue:
            raise Overloaded(max(0.05, self._queued_lines / self._lines_per_second / 2))
        self._queue.append(request)
        self._queued_lines += request.weight
        if self._queued_lines >= self._limits.max_queued_lines // 2:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Waits until the queue is at most half full: back-pressure for streams, which can wait where a call cannot."""
        await self._room.wait()

    async def sweep(self) -> Committed:
        """Applies what is due, in the next transaction; with commands queued it goes along with theirs."""
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._sweeps.append(future)
        self._wake.set()
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue and not self._sweeps:
                if self._draining:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            sweeps, self._sweeps = self._sweeps, []
            requests = self._take()
            started = loop.time()
            try:
                committed = await self._commit(requests)
            except Exception as fault:
                _log.exception("a batch failed")
                for sweep in sweeps:
                    if not sweep.done():
                        sweep.set_exception(fault)
                continue
            spent = loop.time() - started
            lines = sum(request.weight for request in requests)
            if lines and spent > 0:
                self._lines_per_second += 0.1 * (lines / spent - self._lines_per_second)
            for sweep in sweeps:
                if not sweep.done():
                    if committed is None:
                        sweep.set_exception(StoreUnavailable())
                    else:
                        sweep.set_result(committed)

    def _take(self) -> list[Request]:
        """The next batch, in the order of arrival; a change of policy goes alone."""
        limits, queue = self._limits, self._queue
        taken: list[Request] = []
        lines = 0
        while queue and len(taken) < limits.max_batch_commands:
            request = queue[0]
            if taken and (lines + request.weight > limits.max_batch_lines or isinstance(request.command, SetPolicy)):
                break
            taken.append(queue.popleft())
            lines += request.weight
            if isinstance(request.command, SetPolicy):
                break
        self._queued_lines -= lines
        if self._queued_lines < limits.max_queued_lines // 2:
            self._room.set()
        return taken

    async def _commit(self, requests: Sequence[Request]) -> Committed | None:
        """Commits a batch; isolates what poisons it. Answers every request exactly once."""
        pending = list(requests)
        committed: Committed | None = None
        while True:
            work = BatchWork(pending, asyncio.get_running_loop().time()) if pending else SweepWork()
            try:
                committed = await self._store.run(work)
            except Poisoned as poisoned:
                _log.error("a command could not be decided", exc_info=poisoned.__cause__)
                pending.remove(poisoned.request)
                _answer(poisoned.request, Answer(b"", True, False, 0, Failure.INTERNAL))
                if pending:
                    continue
                return committed
            except BatchRejected as rejected:
                if len(pending) <= 1:
                    _log.error("the store refused a command's rows", exc_info=rejected)
                    for request in pending:
                        _answer(request, Answer(b"", True, False, 0, Failure.INTERNAL))
                    return committed
                # One of them is at fault: halve until it stands alone, so that it takes no other down.
                middle = len(pending) // 2
                first = await self._commit(pending[:middle])
                second = await self._commit(pending[middle:])
                return second or first
            except StoreUnavailable as away:
                _log.warning("the store is away: %s", away)
                for request in pending:
                    _answer(request, Answer(b"", True, False, 0, Failure.STORE))
                return committed
            if self._on_commit is not None:
                self._on_commit(committed)
            for request, answer in zip(pending, work.answers, strict=True):
                _answer(request, answer)
            return committed


def _answer(request: Request, answer: Answer) -> None:
    # A sink belongs to a caller who may be gone; its fault must not cost the others their answers.
    with contextlib.suppress(Exception):
        request.sink(request, answer)
