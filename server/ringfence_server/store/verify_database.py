"""Verifying a whole database, all organizations, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import make_url, select

from ringfence_server.clock import SystemClock
from ringfence_server.ledger.reading import Flaw

from . import schema
from .connect import PostgresOptions, is_postgres
from .distribute import is_distributed
from .driver import DriverConnection
from .instants import DatabaseInstants, WriterInstants
from .migrate import upgrade_postgres
from .moments import Moments
from .postgres_lanes import PostgresLanes
from .read_lanes import Lanes, ThreadLanes
from .reader import Reader
from .slots import ONE_SLOT


class Verified(NamedTuple):
    """What was found."""

    keys: int
    """Stock keys."""
    entries: int
    """Ledger entries."""
    flaws: Sequence[Flaw]
    """What does not add up; empty: nothing."""


async def verify_database(url: str, progress: Callable[[int, int], None]) -> Verified:
    """Recomputes every balance of a database from its ledger; ``progress`` is told the keys checked and all keys of the
    organization at hand.

    Raises StoreUnavailable when it cannot be read.
    """
    lanes: Lanes
    if is_postgres(url):
        options = PostgresOptions()
        slots = await upgrade_postgres(url, options)
        lanes = PostgresLanes(url, options, distributed=await is_distributed(url, options))
        reader = Reader(lanes, DatabaseInstants(), slots)
    else:
        lanes = ThreadLanes(make_url(url))
        reader = Reader(lanes, WriterInstants(Moments(), SystemClock()), ONE_SLOT)
    keys = entries = 0
    flaws: list[Flaw] = []
    await reader.open()
    try:
        async with lanes.lease(long=True) as lane:
            organizations = await lane.run(_organizations)
        for organization in organizations:
            async for found in reader.verify(organization):
                progress(found.keys_checked, found.keys_total)
                if found.done:
                    keys += found.keys_checked
                    entries += found.entries_read
                    flaws.extend(found.flaws)
    finally:
        await reader.close()
    return Verified(keys, entries, flaws)


def _organizations(connection: DriverConnection) -> list[str]:
    query: Any = select(schema.stock.c.organization).distinct().order_by(schema.stock.c.organization)
    return [row[0] for row in connection.execute(query)]
