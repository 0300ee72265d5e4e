"""A Citus cluster that somebody else runs: a database of its coordinator, emptied for each test.

Where RINGFENCE_TEST_CITUS_URL names one (``postgresql+asyncpg://…``, the extension created, workers added) the tests of
the store run on it, too. **All that it holds is deleted.**
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from sqlalchemy import Connection, insert

from ringfence_server.store import schema
from ringfence_server.store.connect import UPKEEP, PostgresOptions, engine_of
from ringfence_server.store.distribute import distribute

URL: Final = os.environ.get("RINGFENCE_TEST_CITUS_URL", "")
ABSENT: Final = "NOT TESTED ON CITUS: RINGFENCE_TEST_CITUS_URL names no database of a cluster"


def emptied() -> str:
    """The URL, its tables distributed and empty."""
    asyncio.run(_empty())
    return URL


async def _empty() -> None:
    options = PostgresOptions(connect_timeout_seconds=30.0)
    await distribute(URL, options)
    engine = engine_of(URL, options, application=UPKEEP, connections=1, statement_timeout=False)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_truncate)
    finally:
        await engine.dispose()


def _truncate(connection: Connection) -> None:
    names = ", ".join(schema.metadata.tables)
    connection.exec_driver_sql(f"TRUNCATE {names}")
    state = schema.slot_state
    connection.execute(
        insert(state),
        [{"slot": slot, "revision": 0, "last_sequence": 0, "now": 0, "record_time": 0} for slot in range(64)],
    )
