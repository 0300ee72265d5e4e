"""The queue and the loop of group commit."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import Committed, RequestsBlocked, StoreUnavailable, Work

from .alone import Alone, AloneListener
from .lanes import LaneQueue, OneLane, Routes
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
    max_batch_commands: int = 1_024
    """Commands of one transaction: 8 % more than with 512 where there are always as many, by turns. Whoever calls
    beside them waits for two such batches at most, a fifth of a second."""
    max_batch_lines: int = 4_096
    """Lines of one transaction, unless a single command has more."""
    store_patience_seconds: float = 1.0
    """A store that took so long to fail has failed all that wait, too: they would only hear of it later."""
    blocked_patience_seconds: float = 3.0
    """A batch that was tried for so long is not begun again without the requests that somebody else blocks: all of its
    callers hear now."""


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

    The loops are tasks of their own: a caller that goes away cancels its waiting, never a commit.
    """

    def __init__(
        self,
        store: WriteStore,
        *,
        limits: CommitterLimits = CommitterLimits(),
        on_commit: Callable[[Committed], None] | None = None,
        routes: Routes | None = None,
        run_here: Callable[[Work], Committed | None] | None = None,
        alone_listener: AloneListener | None = None,
    ) -> None:
        """``routes``: for a store that commits several batches beside one another; None: one after the other.
        ``run_here`` does what the store's ``run`` does, on the calling thread, or answers None and has done nothing;
        left out where a transaction waits for a network, and where there are several lanes. ``alone_listener`` hears
        of a lone caller only if there is a ``run_here``."""
        self._store = store
        self._run_here = run_here
        self._alone = Alone(alone_listener)
        self._resting = False
        self._limits = limits
        self._on_commit = on_commit
        self._routes = routes or OneLane()
        self._queues = [LaneQueue() for _ in range(self._routes.lanes)]
        self._wakes = [asyncio.Event() for _ in self._queues]
        self._queued_lines = 0
        self._room = asyncio.Event()
        self._room.set()
        self._maintenance: deque[tuple[BatchWork, asyncio.Future[Committed]]] = deque()
        self._busy_until = 0.0
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._lines_per_second = 5_000.0

    def start(self) -> None:
        """Starts a loop for each lane on the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._run(lane), name=f"ringfence-committer-{lane}") for lane in range(len(self._queues))
        ]

    async def drain(self) -> None:
        """Refuses new commands, commits all that is queued, and ends the loops."""
        self._draining = True
        for wake in self._wakes:
            wake.set()
        self._room.set()
        if self._tasks:
            await asyncio.gather(*self._tasks)

    @property
    def queued_lines(self) -> int:
        """Lines that wait for a transaction."""
        return self._queued_lines

    @property
    def busy(self) -> bool:
        """Whether commands have to wait for others, now or a moment ago: under full load there are moments when none
        does. A lone caller does not make it busy."""
        return any(self._queues) or asyncio.get_running_loop().time() < self._busy_until

    def submit(self, request: Request, *, more: bool = False) -> None:
        """Takes a request; its sink is called on the event loop when the outcome is durable, which for a lone caller's
        may be before this returns. ``more``: others follow at once, so a batch is worth waiting for.

        Raises:
            Overloaded: the queue is full.
            Draining: the server goes down.
        """
        if self._draining:
            raise Draining
        if self._resting and not more and self._commit_here(request):
            return
        if self._queued_lines + request.weight > self._limits.max_queued_lines and self._queued_lines:
            raise Overloaded(max(0.05, self._queued_lines / self._lines_per_second / 2))
        lane, group = self._routes.route(request.organization, request.caller, request.command)
        self._queues[lane].put(request, group)
        self._queued_lines += request.weight
        if self._queued_lines >= self._limits.max_queued_lines // 2:
            self._room.clear()
        self._rouse(lane)

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
        self._rouse(0)
        return await future

    def _rouse(self, lane: int) -> None:
        self._resting = False
        wake = self._wakes[lane]
        if not wake.is_set():
            wake.set()

    async def _run(self, lane: int) -> None:
        loop = asyncio.get_running_loop()
        queue, wake = self._queues[lane], self._wakes[lane]
        while True:
            # The first lane's alone: so there is one at a time.
            maintenance = self._maintenance if lane == 0 else ()
            if not queue and not maintenance:
                if self._draining:
                    return
                wake.clear()
                self._resting = self._run_here is not None
                await wake.wait()
                continue
            if maintenance:
                await self._run_maintenance(*self._maintenance.popleft())
            requests, lines = self._take(queue)
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
            if len(requests) > 1 or queue:
                self._busy_until = ended + _BUSY_SECONDS
            spent = ended - started
            if spent > 0:
                self._lines_per_second += 0.1 * (lines / spent - self._lines_per_second)

    async def _run_maintenance(self, work: BatchWork, future: asyncio.Future[Committed]) -> None:
        started = asyncio.get_running_loop().time()
        try:
            committed = await self._store.run(work)
        except Exception as fault:
            if not future.done():
                future.set_exception(fault)
            if isinstance(fault, StoreUnavailable) and not isinstance(fault, RequestsBlocked):
                self._fail_waiting(started)
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

    def _take(self, queue: LaneQueue) -> tuple[list[Request], int]:
        """The next batch, and its lines."""
        limits = self._limits
        taken = queue.take(limits.max_batch_commands, limits.max_batch_lines)
        lines = sum([request.weight for request in taken])
        self._queued_lines -= lines
        if self._queued_lines < limits.max_queued_lines // 2:
            self._room.set()
        return taken, lines

    async def _commit(self, requests: Sequence[Request]) -> None:
        """Commits a batch; isolates what poisons it, and leaves out what is blocked. Answers every request exactly
        once."""
        pending = list(requests)
        began = math.inf
        while pending:
            started = asyncio.get_running_loop().time()
            work = BatchWork(pending, started)
            try:
                committed = await self._transact(work)
            except Poisoned as poisoned:
                name = poisoned.request.request_id.hex()
                _log.error("request %s could not be decided", name, exc_info=poisoned.__cause__)
                pending.remove(poisoned.request)
                _answer(poisoned.request, Answer(b"", True, False, 0, Failure.INTERNAL))
                continue
            except RequestsBlocked as blocked:
                # The store lives, and what waits need not wait for them.
                began = min(began, started)
                waited = asyncio.get_running_loop().time() - began
                pending = _fail_blocked(pending, blocked, all_of_them=waited >= self._limits.blocked_patience_seconds)
                continue
            except StoreUnavailable as away:
                _log.warning("the store is away: %s", away)
                for request in pending:
                    _answer(request, Answer(b"", True, False, 0, Failure.STORE))
                self._fail_waiting(started)
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

    def _fail_waiting(self, started: float) -> None:
        """The store is away. If it took long to say so, those who waited meanwhile hear it now."""
        if asyncio.get_running_loop().time() - started < self._limits.store_patience_seconds:
            return
        waiting = [request for queue in self._queues for request in queue.clear()]
        self._queued_lines = 0
        self._room.set()
        for request in waiting:
            _answer(request, Answer(b"", True, False, 0, Failure.STORE))

    async def _transact(self, work: BatchWork) -> Committed:
        try:
            return await self._store.run(work)
        finally:
            self._alone.ran_there(len(work.requests), queued=any(self._queues))

    def _commit_here(self, request: Request) -> bool:
        """Commits a lone caller's request on this thread and answers it; False when it has to go the ordinary way, and
        nothing was done."""
        alone, run_here = self._alone, self._run_here
        began = perf_counter()
        if run_here is None or not alone.may_run_here(request, began):
            return False
        loop = asyncio.get_running_loop()
        work = BatchWork((request,), loop.time())
        try:
            committed = run_here(work)
        except Exception:
            # Met again on the ordinary way, which knows what to do with it.
            return False
        finally:
            alone.ran_here(began, perf_counter())
        if committed is None:
            return False
        _answer(request, work.answers[0])
        # Next, before any later commit's: so the answer is on its way first.
        loop.call_soon(self._tell, committed)
        return True


def _fail_blocked(pending: list[Request], blocked: RequestsBlocked, *, all_of_them: bool) -> list[Request]:
    """Answers the requests that are blocked; answers the others."""
    places = frozenset(range(len(pending)) if all_of_them or not blocked.requests else blocked.requests)
    for place in sorted(places):
        _answer(pending[place], Answer(b"", True, False, 0, Failure.STORE))
    return [request for place, request in enumerate(pending) if place not in places]


def _answer(request: Request, answer: Answer) -> None:
    sink, request.sink = request.sink, _no_one
    try:
        sink(request, answer)
    except Exception:
        # A sink belongs to a caller who may be gone; its fault must not cost the others their answers.
        _log.exception("an answer could not be handed over")


def _no_one(request: Request, answer: Answer) -> None:
    """The sink of what is answered: whatever fails afterwards, no caller hears twice."""
