"""The usual handler: one SQLAlchemy transaction per request, durable like the service. On SQLite through aiosqlite with
BEGIN IMMEDIATE; on PostgreSQL through asyncpg with the balance's row locked.

It does the honest minimum of a Reserve, as a team would write it first: the request id once, the balance checked and
lowered, the reservation with its line, and the ledger entry, in one transaction. No leases, no fallback, no roll-ups.
Run as `python -m scripts.benchmarks.usual --port-file PATH [--database PATH] --skus N`; without a file of SQLite's the
database is RINGFENCE_DATABASE_URL's, which holds a password and is therefore no argument.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ringfence.v1.allocation_service_pb2 import ReserveRequest, ReserveResponse
from scripts.benchmarks.messages import LOCATION, PATH, canned_reserve, request_id, sku_name
from scripts.benchmarks.serving import Methods, serve

_LEASE_MICROSECONDS = 15 * 60 * 1_000_000
_UNITS = 1_000_000_000

metadata = sa.MetaData()
pools = sa.Table(
    "pools",
    metadata,
    sa.Column("sku", sa.Text, primary_key=True),
    sa.Column("location", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("free", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("request_id", sa.Uuid(native_uuid=False), primary_key=True),
    sa.Column("reservation_id", sa.Uuid(native_uuid=False), nullable=False),
    sqlite_with_rowid=False,
)
reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("reservation_id", sa.Uuid(native_uuid=False), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("expire_time", sa.BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
lines = sa.Table(
    "lines",
    metadata,
    sa.Column("reservation_id", sa.Uuid(native_uuid=False), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sku", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("reservation_id", sa.Uuid(native_uuid=False), nullable=False),
    sa.Column("record_time", sa.BigInteger, nullable=False),
)


def _engine(database: Path, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{database}", pool_size=connections, max_overflow=0, pool_timeout=600
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # SQLAlchemy's recipe: the driver must not begin transactions of its own before BEGIN IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA busy_timeout=600000")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class Usual:
    """Reserve of single lines without options, one transaction each.

    ``locks_row``: where to begin a transaction is not the lock already.
    """

    def __init__(self, engine: AsyncEngine, *, locks_row: bool = False) -> None:
        self._engine = engine
        self._locks_row = locks_row

    async def reserve(self, request: ReserveRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ReserveResponse:
        """Decides one line; FAILED_PRECONDITION when the pool has less."""
        identifier = uuid.UUID(request_id().decode())
        now = time.time_ns() // 1_000
        (line,) = request.lines
        place = {"sku": line.key.sku, "location": line.key.location, "path": line.path}
        row = sa.and_(*(pools.c[name] == value for name, value in place.items()))
        here = sa.and_(row, pools.c.free >= line.quantity)
        moved = {"free": pools.c.free - line.quantity, "held": pools.c.held + line.quantity}
        known = {"request_id": uuid.UUID(request.request_id), "reservation_id": identifier}
        lease = {"create_time": now, "expire_time": now + _LEASE_MICROSECONDS}
        held = {"reservation_id": identifier, "number": 1, **place, "held": line.quantity}
        entry = {"kind": "hold", "quantity": line.quantity, "reservation_id": identifier, "record_time": now}
        async with self._engine.begin() as connection:
            if self._locks_row:
                await connection.execute(sa.select(pools.c.free).where(row).with_for_update())
            # A repeated request id fails on its key: the id is taken in the transaction of its effect.
            await connection.execute(sa.insert(requests).values(known))
            taken = await connection.execute(sa.update(pools).where(here).values(moved))
            if taken.rowcount == 1:
                owner = {"reservation_id": identifier, "owner": request.owner}
                await connection.execute(sa.insert(reservations).values({**owner, **lease}))
                await connection.execute(sa.insert(lines).values(held))
                await connection.execute(sa.insert(entries).values({**place, **entry}))
        if taken.rowcount == 0:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_QUANTITY")
        return canned_reserve(str(identifier))


def _create(connection: sa.Connection, skus: int) -> None:
    metadata.create_all(connection)
    row = {"location": LOCATION, "path": PATH, "free": _UNITS, "held": 0}
    connection.execute(sa.insert(pools), [{"sku": sku_name(number), **row} for number in range(skus)])


def _create_file(database: Path, skus: int) -> None:
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(database))
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        _create(connection, skus)
    engine.dispose()


@asynccontextmanager
async def _on_postgres(url: str, skus: int, connections: int) -> AsyncIterator[Methods]:
    """The service on its filled tables, for as long as it serves."""
    engine = create_async_engine(url, pool_size=connections, max_overflow=0, pool_timeout=600)
    async with engine.begin() as connection:
        await connection.run_sync(_create, skus)
        # As autovacuum would have left it in a database that has run for a while.
        await connection.exec_driver_sql("ANALYZE pools")
    try:
        yield _services(engine, locks_row=True)
    finally:
        await engine.dispose()


def _services(engine: AsyncEngine, *, locks_row: bool = False) -> Methods:
    reserve = grpc.unary_unary_rpc_method_handler(
        Usual(engine, locks_row=locks_row).reserve, ReserveRequest.FromString, ReserveResponse.SerializeToString
    )
    return {"AllocationService": {"Reserve": reserve}}


def main() -> None:
    """Creates the database, then serves until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--skus", type=int, required=True)
    # SQLAlchemy's own default. One connection, two or twenty measured the same within the noise: SQLite has one writer.
    parser.add_argument("--connections", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.database is None:
        serve(
            _on_postgres(os.environ["RINGFENCE_DATABASE_URL"], arguments.skus, arguments.connections),
            arguments.port_file,
        )
        return
    _create_file(arguments.database, arguments.skus)
    serve(_services(_engine(arguments.database, arguments.connections)), arguments.port_file)


if __name__ == "__main__":
    main()
