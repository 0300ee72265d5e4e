"""The queue and the loop of group commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, StoreUnavailable, Work

from .alone import Alone
from .request import Answer, Failure, Request
from .work import BatchWork, Poisoned, RevalueWork, SweepWork

_log = logging.getLogger(__name__)


_BUSY_SECONDS: Final = 0.05


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
        run_here: Callable[[Work], Committed | None] | None = None,
    ) -> None:
        """``run_here`` does what the store's ``run`` does, on the calling thread, or answers None and has done nothing;
        left out where a transaction waits for a network."""
        self._store = store
        self._run_here = run_here
        self._alone = Alone()
        self._limits = limits
        self._on_commit = on_commit
        self._queue: deque[Request] = deque()
        self._queued_lines = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._maintenance: deque[tuple[BatchWork, asyncio.Future[Committed]]] = deque()
        self._busy_until = 0.0
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
    def busy(self) -> bool:
        """Whether commands have to wait for others, now or a moment ago: under full load there are moments when none
        does. A lone caller does not make it busy."""
        return bool(self._queue) or asyncio.get_running_loop().time() < self._busy_until

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

    @property
    def has_room(self) -> bool:
        """Whether ``room`` would return at once."""
        return self._room.is_set()

    async def room(self) -> None:
        """Waits until the queue is at most half full: back-pressure for streams, which can wait where a call cannot."""
        await self._room.wait()

    async def sweep(self) -> Committed:
        """Ends the leases that are due, in a transaction of its own.

        Raises:
            StoreUnavailable: nothing happened.
        """
        return await self._maintain(SweepWork())

    async def revalue(self, keys: Sequence[StockKey]) -> Committed:
        """Values keys by the policy in force that an older one valued.

        Raises:
            StoreUnavailable: nothing happened.
        """
        return await self._maintain(RevalueWork(keys))

    async def _maintain(self, work: BatchWork) -> Committed:
        if self._draining:
            raise StoreUnavailable("the server goes down")
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._maintenance.append((work, future))
        self._wake.set()
        return await future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue and not self._maintenance:
                if self._draining:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._maintenance:
                await self._run_maintenance(*self._maintenance.popleft())
            requests = self._take()
            if not requests:
                continue
            started = loop.time()
            if len(requests) > 1:
                self._busy_until = math.inf
            try:
                await self._commit(requests)
            except Exception:
                # A fault of ours, outside any one command. The loop must live, and every caller must hear.
                _log.exception("a batch failed")
                for request in requests:
                    _answer(request, Answer(b"", True, False, 0, Failure.INTERNAL))
            ended = loop.time()
            if len(requests) > 1 or self._queue:
                self._busy_until = ended + _BUSY_SECONDS
            spent = ended - started
            lines = sum(request.weight for request in requests)
            if spent > 0:
                self._lines_per_second += 0.1 * (lines / spent - self._lines_per_second)

    async def _run_maintenance(self, work: BatchWork, future: asyncio.Future[Committed]) -> None:
        try:
            committed = await self._store.run(work)
        except Exception as fault:
            if not future.done():
                future.set_exception(fault)
            return
        self._tell(committed)
        if not future.done():
            future.set_result(committed)

    def _tell(self, committed: Committed) -> None:
        # The batch is durable: whoever listens cannot undo it, nor keep its callers from their answers.
        if self._on_commit is not None:
            try:
                self._on_commit(committed)
            except Exception:
                _log.exception("a listener failed")

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

    async def _commit(self, requests: Sequence[Request]) -> None:
        """Commits a batch; isolates what poisons it. Answers every request exactly once."""
        pending = list(requests)
        while pending:
            work = BatchWork(pending, asyncio.get_running_loop().time())
            try:
                committed = await self._transact(pending, work)
            except Poisoned as poisoned:
                name = poisoned.request.request_id.hex()
                _log.error("request %s could not be decided", name, exc_info=poisoned.__cause__)
                pending.remove(poisoned.request)
                _answer(poisoned.request, Answer(b"", True, False, 0, Failure.INTERNAL))
                continue
            except StoreUnavailable as away:
                _log.warning("the store is away: %s", away)
                for request in pending:
                    _answer(request, Answer(b"", True, False, 0, Failure.STORE))
                return
            except Exception as fault:
                if len(pending) <= 1:
                    for request in pending:
                        _log.error("request %s could not be committed", request.request_id.hex(), exc_info=fault)
                        _answer(request, Answer(b"", True, False, 0, Failure.INTERNAL))
                    return
                # A broken constraint, or a value that no column takes. One of them is at fault: halve until it stands
                # alone, so that it takes no other down.
                middle = len(pending) // 2
                await self._commit(pending[:middle])
                await self._commit(pending[middle:])
                return
            self._tell(committed)
            for request, answer in zip(pending, work.answers, strict=True):
                _answer(request, answer)
            return

    async def _transact(self, requests: Sequence[Request], work: BatchWork) -> Committed:
        """Runs a batch on the store's thread; on this one when its caller is alone."""
        alone = self._alone
        if self._run_here is not None and alone.may_run_here(requests, queued=bool(self._queue)):
            started = perf_counter()
            try:
                committed = self._run_here(work)
            finally:
                alone.ran_here(perf_counter() - started)
            if committed is not None:
                return committed
        try:
            return await self._store.run(work)
        finally:
            alone.ran_there(len(requests), queued=bool(self._queue))


def _answer(request: Request, answer: Answer) -> None:
    sink, request.sink = request.sink, _no_one
    # A sink belongs to a caller who may be gone; its fault must not cost the others their answers.
    with contextlib.suppress(Exception):
        sink(request, answer)


def _no_one(request: Request, answer: Answer) -> None:
    """The sink of what is answered: whatever fails afterwards, no caller hears twice."""
