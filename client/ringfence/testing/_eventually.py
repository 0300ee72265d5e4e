"""Waiting for what another thread or process does, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

_PAUSE_SECONDS = 0.01
_DEFAULT_TIMEOUT = timedelta(seconds=30)


def assert_eventually(condition: Callable[[], object], *, timeout: timedelta = _DEFAULT_TIMEOUT) -> None:
    """Returns as soon as `condition` gives something true, or stops raising AssertionError.

    At the end of `timeout` raises its last AssertionError, or one that names it.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        failure: AssertionError | None = None
        try:
            if condition():
                return
        except AssertionError as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure or _never(condition, timeout)
        time.sleep(_PAUSE_SECONDS)


async def assert_eventually_async(
    condition: Callable[[], object | Awaitable[object]], *, timeout: timedelta = _DEFAULT_TIMEOUT
) -> None:
    """As `assert_eventually`, for asyncio: the event loop runs meanwhile; `condition` may be a coroutine function."""
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        failure: AssertionError | None = None
        try:
            met = condition()
            if await met if inspect.isawaitable(met) else met:
                return
        except AssertionError as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure or _never(condition, timeout)
        await asyncio.sleep(_PAUSE_SECONDS)


def _never(condition: Callable[..., object], timeout: timedelta) -> AssertionError:
    name = getattr(condition, "__name__", repr(condition))
    return AssertionError(f"{name} did not come true within {timeout.total_seconds():g} seconds")
