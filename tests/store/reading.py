"""A reader beside a desk, and short ways to ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ringfence_server.clock import Clock
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.ledger.state import Stock
from ringfence_server.store.reader import Reader
from tests.store.desk import ORGANIZATION, Desk
from tests.store.watching import watched

EVERYTHING = KeyFilter(ORGANIZATION)


@asynccontextmanager
async def reading(desk: Desk, clock: Clock | None = None) -> AsyncIterator[Reader]:
    """Reads what the desk writes."""
    reader = Reader(desk.store.url, clock or desk.clock, desk.store.moments)
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


@contextmanager
def statements(reader: Reader) -> Iterator[list[tuple[str, Any]]]:
    """Collects what a reader sends to the database while it lasts: texts with their parameters."""
    engine = reader._lanes._engine
    seen: list[tuple[str, Any]] = []

    with watched(engine, lambda text, parameters, _: seen.append((text, parameters))):
        yield seen
