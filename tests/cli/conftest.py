"""One server for the tests of a module; each test has an organization of its own in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence import RetryPolicy, uuid7
from ringfence.testing import PostgresServer, RingfenceServer, pytest_plugin
from tests.cli.run import Cli


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL as it is set up for work, which `ringfence db check` finds nothing wrong with."""
    yield from pytest_plugin.running()


@pytest.fixture(scope="module")
def server() -> Iterator[RingfenceServer]:
    """A running server; its clock is moved by the tests, and only forward."""
    with RingfenceServer() as running:
        yield running


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gives up after its first try: a test of a service that is away need not wait for its patience."""
    once = RetryPolicy(maximum_attempts=1)
    monkeypatch.setattr("ringfence._config.RetryPolicy", lambda: once)


@pytest.fixture
def cli(server: RingfenceServer) -> Cli:
    """The command line for an empty organization."""
    return Cli(server, uuid7())


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Where a test's file is."""
    return tmp_path / "stock.csv"
