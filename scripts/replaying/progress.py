"""Progress: bars on a terminal, and a line now and then where there is none, so that a log shows life."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_UPDATES = 0.1
_SECONDS_BETWEEN_LINES = 30.0


class Bar(Protocol):
    """One thing that goes on."""

    def at(self, done: int, remark: str = "", total: int | None = None) -> None:
        """So much is done. May be called as often as one likes."""
        ...

    def finish(self, done: int, remark: str = "", total: int | None = None) -> None:
        """The same, when no more will come."""
        ...


class Display:
    """Bars, one below the other. For `with`."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        """`now` gives the seconds by which is told how long things take."""
        self._console = console
        self._now = now
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def bar(self, name: str, total: int | None = None) -> Iterator[Bar]:
        """A bar for the time of a block; without `total` it only shows that something goes on."""
        if not self._console.is_terminal:
            yield _Lines(self._console, self._now, name, total)
            return
        task = self._progress.add_task(name, total=total, remark="")
        try:
            yield _Drawn(self._progress, self._now, task)
        finally:
            self._progress.stop_task(task)


class _Drawn:
    """A line of the terminal that is drawn anew."""

    def __init__(self, progress: Progress, now: Callable[[], float], task: TaskID) -> None:
        self._progress = progress
        self._now = now
        self._task = task
        self._next = 0.0

    def at(self, done: int, remark: str = "", total: int | None = None) -> None:
        now = self._now()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_UPDATES
            self.finish(done, remark, total)

    def finish(self, done: int, remark: str = "", total: int | None = None) -> None:
        self._progress.update(self._task, completed=done, remark=remark, total=total)


class _Lines:
    """Lines of a log: of what takes less than the time between two of them there is none."""

    def __init__(self, console: Console, now: Callable[[], float], name: str, total: int | None) -> None:
        self._console = console
        self._now = now
        self._name = name
        self._total = total
        self._began = self._told = now()
        self._done = 0

    def at(self, done: int, remark: str = "", total: int | None = None) -> None:
        now = self._now()
        passed = now - self._told
        if passed >= _SECONDS_BETWEEN_LINES:
            self._tell(done, f"{(done - self._done) / passed:,.0f}/s", remark, total)
            self._told, self._done = now, done

    def finish(self, done: int, remark: str = "", total: int | None = None) -> None:
        if self._told > self._began:
            self._tell(done, f"after {self._now() - self._began:,.0f} s", remark, total)

    def _tell(self, done: int, pace: str, remark: str, total: int | None) -> None:
        if total is not None:
            self._total = total
        count = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        said = f"{self._name}: {count}, {pace}"
        self._console.print(f"{said}, {remark}" if remark else said, soft_wrap=True, highlight=False)
