"""The fixtures `ringfence_server`, `postgres_server` and `postgres_url`, for
`pytest_plugins = ["ringfence.testing.pytest_plugin"]`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ringfence.testing._postgres import PostgresNotFound, PostgresServer
from ringfence.testing._server import RingfenceServer

__all__ = ["postgres_server", "postgres_url", "ringfence_server"]


@pytest.fixture
def ringfence_server() -> Iterator[RingfenceServer]:
    """A running server with an empty ledger, for this test alone."""
    with RingfenceServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL, the same for all tests of a run, so leave it running.

    Where there is none the test is skipped; with RINGFENCE_REQUIRE_POSTGRES=1 in the environment it fails.
    """
    yield from running()


def running(**settings: str) -> Iterator[PostgresServer]:
    """For a fixture: a running PostgreSQL with settings of its own. Without one it skips or fails as above."""
    try:
        server = PostgresServer(settings=settings)
    except PostgresNotFound as absent:
        if os.environ.get("RINGFENCE_REQUIRE_POSTGRES") == "1":
            pytest.fail(f"RINGFENCE_REQUIRE_POSTGRES=1, but {absent}", pytrace=False)
        pytest.skip(f"NOT TESTED ON POSTGRESQL: {absent}")
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, for this test alone."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)
