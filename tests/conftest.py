"""What all tests may ask for: a PostgreSQL for the whole run, a database of it for each test, and a server."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from ringfence.testing import PostgresServer
from ringfence_server.store.migrate import upgrade_postgres
from tests.patience import PATIENT
from tests.properties.profiles import LONG

pytest_plugins = ["ringfence.testing.pytest_plugin"]

# A run fails for what was changed, not for the machine's pace or by another draw.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=not LONG,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of a shell's background job. Tests send it, and programs that they start inherit what becomes of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = (
    "faults",
    "properties",
    "days",
    "replay",
    "docs",
    "server",
    "store",
    "cli",
)
"""Of two workers the one that gets a long file last keeps the other waiting."""

_numbers = itertools.count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts what takes longest first, where tests are shared out to workers (with --no-loadscope-reorder)."""
    if hasattr(config, "workerinput"):
        places = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL. It does not wait for the disk: its data outlast its processes, but no power cut."""
    # Not above: pytest is to be the first who imports a plugin that it is told of.
    from ringfence.testing import pytest_plugin

    yield from pytest_plugin.running(fsync="off", full_page_writes="off")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated database to copy: faster than migrating one for each test."""
    url = postgres_server.create_database("ringfence_template")
    asyncio.run(upgrade_postgres(url, PATIENT))
    return "ringfence_template"


@pytest.fixture
def postgres_place(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    name = f"place_{next(_numbers)}"
    # As files: without fsync that is quicker than through the log.
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY FILE_COPY")
    url = postgres_server.url(name)
    yield url
    postgres_server.drop_database(url)
