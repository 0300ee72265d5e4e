"""Several servers on one port: processes that share it by SO_REUSEPORT, and a parent that starts and watches them.

The parent serves nothing. It holds the port, so that nobody else gets it between two workers; it starts workers anew
that end by themselves, hands on SIGTERM and SIGINT, and its end, however it comes, ends them: each has a pipe to it.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

_log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = 1.0
"""A worker that ends by itself is started again after so long; after twice as long the next time, up to the most."""
_MOST_RESTART_SECONDS: Final = 15.0
_CALM_SECONDS: Final = 60.0
"""A worker that lasted so long starts again without having to wait longer than the first time."""
_KILL_SECONDS: Final = 30.0
"""How long after its grace a worker may take to end before it is killed."""


class WorkersFailed(Exception):
    """The workers could not be started; what kept them from it they have said themselves."""


@dataclass
class _Worker:
    number: int
    process: SpawnProcess
    pipe: Connection
    """Our end. The worker says on it when it serves, and reads from it the end of file that is our end."""
    started: float
    pause: float = _RESTART_SECONDS
    ready: bool = False


class Workers:
    """A parent's workers. ``target`` runs in each of them with its number and its end of the pipe, on which it sends
    True when it serves, and ends with code 0 on SIGTERM or when the pipe ends."""

    def __init__(self, count: int, target: Callable[[int, Connection], None], *, grace_seconds: float) -> None:
        self._count = count
        self._target = target
        self._grace_seconds = grace_seconds
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[int, _Worker] = {}
        self._waiting: dict[int, tuple[float, float]] = {}
        """Workers to start again: when, and how long the next pause is."""
        self._stopping = False
        self._signalled, self._signal_sender = self._context.Pipe(duplex=False)

    def run(self, on_ready: Callable[[], None]) -> None:
        """Starts all workers, calls ``on_ready`` when all serve, and returns when all have ended after a signal.

        Raises:
            WorkersFailed: one of them ended before all served; the others are ended again.
        """
        before = {number: signal.signal(number, self._signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for number in range(self._count):
                self._start(number, _RESTART_SECONDS)
            self._watch(on_ready)
        finally:
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            # Wakes the wait below: Python goes on waiting after a handler that returns.
            self._signal_sender.send(True)

    def _start(self, number: int, pause: float) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=self._target, args=(number, theirs), name=f"ringfence-{number}")
        process.start()
        theirs.close()
        self._running[number] = _Worker(number, process, ours, time.monotonic(), pause)

    def _watch(self, on_ready: Callable[[], None]) -> None:
        told = False
        while not self._stopping:
            if not told and all(worker.ready for worker in self._running.values()):
                told = True
                on_ready()
            workers = list(self._running.values())
            sources: list[Connection | int] = [self._signalled]
            sources += [worker.process.sentinel for worker in workers]
            sources += [worker.pipe for worker in workers if not worker.ready]
            found = wait(sources, self._until_restart())
            for worker in workers:
                if worker.process.sentinel in found:
                    # It closed its end; only now, or a moment later, can be told how it ended.
                    worker.process.join()
                    if not told:
                        raise WorkersFailed(f"worker {worker.number} ended with {worker.process.exitcode}")
                    self._ended(worker)
                elif worker.pipe in found and _received(worker.pipe):
                    worker.ready = True
            for number, (when, pause) in list(self._waiting.items()):
                if time.monotonic() >= when:
                    del self._waiting[number]
                    self._start(number, min(2 * pause, _MOST_RESTART_SECONDS))

    def _until_restart(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, min(when for when, _ in self._waiting.values()) - time.monotonic())

    def _ended(self, worker: _Worker) -> None:
        del self._running[worker.number]
        worker.pipe.close()
        pause = _RESTART_SECONDS if time.monotonic() - worker.started > _CALM_SECONDS else worker.pause
        _log.error(
            "worker %d ended with %s and is started again in %g s", worker.number, worker.process.exitcode, pause
        )
        self._waiting[worker.number] = (time.monotonic() + pause, pause)

    def _end(self) -> None:
        workers = list(self._running.values())
        for worker in workers:
            worker.process.terminate()
        until = time.monotonic() + self._grace_seconds + _KILL_SECONDS
        for worker in workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.exitcode is None:
                _log.error("worker %d does not end and is killed", worker.number)
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._running.clear()


def _received(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        # It ends: its sentinel tells.
        return False


def hold_port(host: str, port: int) -> socket.socket:
    """Takes a port for workers to share; keep the socket for as long as they run. Its name has the port.

    The caller has made sure that nobody else listens there.

    Raises OSError.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    holder = socket.socket(family, kind, protocol)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except BaseException:
        holder.close()
        raise
    return holder
