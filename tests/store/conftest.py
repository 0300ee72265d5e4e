"""Where stores of these tests keep their rows: a file, and a PostgreSQL database; and two servers of one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ringfence.testing import PostgresServer
from ringfence_server.clock import ManualClock
from ringfence_server.store import sqlite
from ringfence_server.store.instants import SharedInstants
from ringfence_server.store.reader import Reader
from tests.ledger.world import figure
from tests.store import citus
from tests.store.desk import Desk, post
from tests.store.reading import reading
from tests.store.two_slots import HIGH, LOW

_numbers = itertools.count()


@pytest.fixture
def names_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit to SQLite looks whether its file still has its name, from the first on."""
    monkeypatch.setattr(sqlite, "_NAMED_SECONDS", 0)


@pytest.fixture
def one_slot_database(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Callable[[], str]]:
    """Makes migrated, empty databases of one slot: what is written there has the numbers that it has on SQLite."""
    made: list[str] = []

    def make() -> str:
        name = f"one_slot_{next(_numbers)}"
        postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY FILE_COPY")
        made.append(postgres_server.url(name))
        postgres_server.execute("DELETE FROM slot_state WHERE slot > 0", database=name)
        return made[-1]

    yield make
    for url in made:
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


@pytest.fixture
async def desks(postgres_place: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two servers of one database that know two lamps, in different slots, ten of each."""
    clock = ManualClock()
    instants = SharedInstants(clock)
    async with (
        Desk(postgres_place, clock, instants=instants, first_number=0) as one,
        Desk(postgres_place, clock, instants=instants, first_number=1_000_000) as other,
    ):
        await one.send(post(figure(10, "on_hand", sku=LOW), figure(10, "on_hand", sku=HIGH)))
        yield one, other


@pytest.fixture
async def reader(desk: Desk) -> AsyncIterator[Reader]:
    """Reads what the test's desk writes."""
    async with reading(desk) as reader:
        yield reader
