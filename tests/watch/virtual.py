"""An event loop whose time is a number: where it would wait for a timer, it sets its clock to that timer instead."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what a test gives it as fast as it can, however much time it says passes."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def pass_time(self, seconds: float) -> None:
        """So much later."""
        self._virtual_now += seconds


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready at once; the rest of the time simply passes."""
        ready = super().select(0)
        if not ready and timeout:
            self._loop.pass_time(timeout)
        return ready


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that takes the time it says, and none of the machine's."""

    @functools.wraps(test)
    def wrapped(*arguments: P.args, **named: P.kwargs) -> None:
        run(test(*arguments, **named))

    return wrapped


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
