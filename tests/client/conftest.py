"""Fixtures of the client's tests: a scripted server, and both clients driven in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import AsyncClient, Client, RetryPolicy
from tests.client.scripted import ScriptedServer, nobody

QUICK = RetryPolicy(initial_backoff_seconds=0.001, maximum_backoff_seconds=0.01)
"""Pauses that a test need not wait for."""
PATIENCE = timedelta(seconds=60)
"""A deadline that no test is about: far beyond what a call takes on a machine that has much else to do."""


class Driver:
    """One of the two clients, called in the same way."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self.client = client

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method and gives its result; a list gives all its items."""
        if isinstance(self.client, Client):
            return await asyncio.to_thread(self._sync, name, *arguments, **options)
        result = getattr(self.client, name)(*arguments, **options)
        if hasattr(result, "__aiter__"):
            return [item async for item in result]
        return await result

    def _sync(self, name: str, *arguments: Any, **options: Any) -> Any:
        result = getattr(self.client, name)(*arguments, **options)
        return list(result) if hasattr(result, "__iter__") else result

    async def close(self) -> None:
        """Closes the client."""
        if isinstance(self.client, Client):
            await asyncio.to_thread(self.client.close)
        else:
            await self.client.close()


Connect = Callable[..., Driver]


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A scripted server on a free port."""
    server = ScriptedServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A target where nobody listens."""
    with nobody() as target:
        yield target


@pytest.fixture(params=["async", "sync"])
async def connect(request: pytest.FixtureRequest, scripted: ScriptedServer) -> AsyncIterator[Connect]:
    """Makes a client of either kind for the scripted server; it is closed after the test."""
    made: list[Driver] = []

    def make(**options: Any) -> Driver:
        kind = AsyncClient if request.param == "async" else Client
        chosen = {"target": scripted.target, "retry": QUICK, "timeout": PATIENCE, **options}
        driver = Driver(kind(**chosen))
        made.append(driver)
        return driver

    yield make
    for driver in made:
        await driver.close()


@pytest.fixture
async def client(scripted: ScriptedServer) -> AsyncIterator[AsyncClient]:
    """An async client of the scripted server."""
    async with AsyncClient(scripted.target, retry=QUICK, timeout=PATIENCE) as made:
        yield made
