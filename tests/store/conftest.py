"""Where stores of these tests keep their rows: a file, and a PostgreSQL database."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.testing import PostgresServer
from ringfence_server.store.connect import PostgresOptions
from ringfence_server.store.migrate import upgrade_postgres
from tests.store import citus

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated database to copy: faster than migrating one for each test."""
    url = postgres_server.create_database("ringfence_template")
    asyncio.run(upgrade_postgres(url, PostgresOptions()))
    return "ringfence_template"


@pytest.fixture
def postgres_place(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    name = f"store_{next(_numbers)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    url = postgres_server.url(name)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def citus_place() -> str:
    """The URL of an empty database of a Citus cluster, where there is one; its tables are distributed."""
    if not citus.URL:
        pytest.skip(citus.ABSENT)
    return citus.emptied()


@pytest.fixture(
    # Nobody is told of every single test that there is no cluster: those of test_citus say so.
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres), *(["citus"] if citus.URL else [])]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """For ``Desk``: a store's place, on each database in turn."""
    if request.param == "sqlite":
        return tmp_path / "ringfence.db"
    url: str = request.getfixturevalue(f"{request.param}_place")
    return url
