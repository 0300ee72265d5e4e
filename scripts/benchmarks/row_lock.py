"""One transaction per request on PostgreSQL: asyncpg, a row lock, a pool of 16 connections.

The same records as the service keeps of a Reserve, written as a team would write it first: BEGIN; the stock row FOR
UPDATE; the check; its UPDATE, with the revision; an INSERT each of the reservation, its part, the ledger entry, and
the request with its answer, so that a repeat gets that instead of selling twice; COMMIT. No roll-ups, no leases that
end, no sourcing, no change feed. With `--least` not even the part, the entry and the answer: the least that survives
its server and sells nothing twice.

All that can be spared it is: asyncpg itself, no ORM; statements prepared once; rows found by primary keys; no index
besides; the pool resets no connection, which would be a round trip; the answer is canned. It is served as the service
serves itself, and its commits share an fsync as PostgreSQL lets them.

Its tables lie in a schema of their own, in the service's database.
Run as `python -m scripts.benchmarks.row_lock --port-file PATH --skus N [--least]`, with DATABASE_URL set.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc

from ringfence.v1.allocation_service_pb2 import ReserveRequest, ReserveResponse
from scripts.benchmarks.messages import LOCATION, PATH, canned_reserve, request_id, sku_name
from scripts.benchmarks.serving import serve

CONNECTIONS = 16
_LEASE_MICROSECONDS = 15 * 60 * 1_000_000
_UNITS = 1_000_000_000

_TABLES = """
CREATE SCHEMA row_lock;
CREATE TABLE row_lock.stock (
    sku text, location text, path text, free bigint NOT NULL, held bigint NOT NULL, revision bigint NOT NULL,
    PRIMARY KEY (sku, location, path)
);
CREATE TABLE row_lock.reservation (
    reservation_id uuid PRIMARY KEY, owner text NOT NULL, create_time bigint NOT NULL, expire_time bigint NOT NULL,
    sku text NOT NULL, location text NOT NULL, path text NOT NULL, held bigint NOT NULL
);
CREATE TABLE row_lock.request (request_id uuid PRIMARY KEY, reservation_id uuid NOT NULL, answer bytea NOT NULL);
CREATE TABLE row_lock.part (
    reservation_id uuid, number bigint, sku text NOT NULL, location text NOT NULL, path text NOT NULL,
    held bigint NOT NULL, expire_time bigint NOT NULL, PRIMARY KEY (reservation_id, number)
);
CREATE TABLE row_lock.entry (
    sequence bigserial PRIMARY KEY, sku text NOT NULL, location text NOT NULL, path text NOT NULL,
    kind smallint NOT NULL, quantity bigint NOT NULL,
    reservation_id uuid NOT NULL, request_id uuid NOT NULL, record_time bigint NOT NULL
);
"""
_FILL = "INSERT INTO row_lock.stock SELECT sku, $2, $3, $4, 0, 0 FROM unnest($1::text[]) AS sku"
_LOCK = "SELECT free FROM row_lock.stock WHERE sku = $1 AND location = $2 AND path = $3 FOR UPDATE"
_TAKE = (
    "UPDATE row_lock.stock SET free = free - $4, held = held + $4, revision = revision + 1 "
    "WHERE sku = $1 AND location = $2 AND path = $3"
)
_RESERVE = "INSERT INTO row_lock.reservation VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
_DIVIDE = "INSERT INTO row_lock.part VALUES ($1, 1, $2, $3, $4, $5, $6)"
_ENTER = (
    "INSERT INTO row_lock.entry (sku, location, path, kind, quantity, reservation_id, request_id, record_time) "
    "VALUES ($1, $2, $3, 1, $4, $5, $6, $7)"
)
_REMEMBER = "INSERT INTO row_lock.request VALUES ($1, $2, $3)"


class RowLock:
    """Reserve of single lines without options."""

    def __init__(self, pool: Any, *, least: bool) -> None:
        self._pool = pool
        self._least = least

    async def reserve(self, request: ReserveRequest, context: grpc.aio.ServicerContext[Any, Any]) -> ReserveResponse:
        """Decides one line; FAILED_PRECONDITION when the row has less."""
        identifier = uuid.UUID(request_id().decode())
        request_identifier = uuid.UUID(request.request_id)
        answer = canned_reserve(str(identifier))
        now = time.time_ns() // 1_000
        (line,) = request.lines
        place = (line.key.sku, line.key.location, line.path)
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                free = await connection.fetchval(_LOCK, *place)
                taken = free is not None and free >= line.quantity
                if taken:
                    await connection.execute(_TAKE, *place, line.quantity)
                    lease = (now, now + _LEASE_MICROSECONDS)
                    await connection.execute(_RESERVE, identifier, request.owner, *lease, *place, line.quantity)
                    kept = b""
                    if not self._least:
                        kept = answer.SerializeToString()
                        await connection.execute(_DIVIDE, identifier, *place, line.quantity, lease[1])
                        await connection.execute(_ENTER, *place, line.quantity, identifier, request_identifier, now)
                    await connection.execute(_REMEMBER, request_identifier, identifier, kept)
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
        if not taken:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_QUANTITY")
        return answer


async def _no_reset(_connection: Any) -> None:
    """Connections are given back as they are: every transaction on them is over."""


@asynccontextmanager
async def _filled(
    url: str, skus: int, *, least: bool
) -> AsyncIterator[dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]]:
    """The service on its filled tables, for as long as it serves."""
    create_pool: Any = asyncpg.create_pool
    async with create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_no_reset) as pool:
        await pool.execute(_TABLES)
        await pool.execute(_FILL, [sku_name(number) for number in range(skus)], LOCATION, PATH, _UNITS)
        # As autovacuum would have left it in a database that has run for a while.
        await pool.execute("ANALYZE row_lock.stock")
        reserve = grpc.unary_unary_rpc_method_handler(
            RowLock(pool, least=least).reserve, ReserveRequest.FromString, ReserveResponse.SerializeToString
        )
        yield {"AllocationService": {"Reserve": reserve}}


def main() -> None:
    """Creates the tables, then serves until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--skus", type=int, required=True)
    parser.add_argument("--least", action="store_true")
    arguments = parser.parse_args()
    serve(_filled(os.environ["DATABASE_URL"], arguments.skus, least=arguments.least), arguments.port_file)


if __name__ == "__main__":
    main()
