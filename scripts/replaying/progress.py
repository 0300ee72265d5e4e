"""Progress on the terminal; nothing where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_UPDATES = 0.1


class Bar:
    """One line of the display."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._next = 0.0

    def at(self, done: int, remark: str = "", total: int | None = None) -> None:
        """So much is done. May be called as often as one likes."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN_UPDATES
            self.finish(done, remark, total)

    def finish(self, done: int, remark: str = "", total: int | None = None) -> None:
        """The same, shown whatever was shown just before."""
        self._progress.update(self._task, completed=done, remark=remark, total=total)


class Display:
    """Bars, one below the other. For `with`."""

    def __init__(self, console: Console) -> None:
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
        task = self._progress.add_task(name, total=total, remark="")
        try:
            yield Bar(self._progress, task)
        finally:
            self._progress.stop_task(task)
