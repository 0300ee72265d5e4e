"""A reader beside a desk, and short ways to ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Engine

from ringfence_server.clock import Clock
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.ledger.state import Stock
from ringfence_server.store.postgres_lanes import PostgresLanes, postgres_reader
from ringfence_server.store.read_lanes import ThreadLanes
from ringfence_server.store.reader import Reader, sqlite_reader
from tests.patience import PATIENT
from tests.store.desk import ORGANIZATION, Desk
from tests.store.watching import watched

EVERYTHING = KeyFilter(ORGANIZATION)


def reader_of(desk: Desk, clock: Clock | None = None) -> Reader:
    """A reader of the desk's store, to be opened."""
    if desk.on_sqlite:
        return sqlite_reader(desk.store.url, clock or desk.clock, desk.store.moments)
    store = desk.postgres
    return postgres_reader(store.url, PATIENT, store.instants, store.slots, distributed=store.distributed)


@asynccontextmanager
async def reading(desk: Desk, clock: Clock | None = None) -> AsyncIterator[Reader]:
    """Reads what the desk writes."""
    reader = reader_of(desk, clock)
    await reader.open()
    try:
        yield reader
    finally:
        await reader.close()


async def all_keys(
    reader: Reader, wanted: KeyFilter = EVERYTHING, read_time: int | None = None, *, piece: int = 1_000
) -> list[Stock]:
    """Every key that matches, in its order."""
    found: list[Stock] = []
    async with reader.snapshot(wanted.organization, read_time) as snapshot:
        start = None
        while True:
            read = await snapshot.keys(wanted, start, piece)
            found += read.stocks
            start = read.last
            if start is None:
                return found


async def free(reader: Reader, key: StockKey, path: str = "", read_time: int | None = None) -> int | None:
    """Free units of a pool; None where the key is not known."""
    wanted = KeyFilter(key.organization, (key.sku,), (key.location,), key.dimensions)
    for stock in await all_keys(reader, wanted, read_time):
        pool = stock.pools.get(path)
        return pool.free if pool is not None else 0
    return None


def engine_of(reader: Reader) -> Engine:
    """What its connections are made by."""
    lanes = reader._lanes
    assert isinstance(lanes, ThreadLanes | PostgresLanes)
    return lanes._engine if isinstance(lanes, ThreadLanes) else lanes._quick.sync_engine


@contextmanager
def statements(reader: Reader) -> Iterator[list[tuple[str, Any]]]:
    """Collects what a reader sends to the database while it lasts: texts with their parameters."""
    engine = engine_of(reader)
    seen: list[tuple[str, Any]] = []

    with watched(engine, lambda text, parameters, _: seen.append((text, parameters))):
        yield seen
