"""Citus: spreading the tables over several machines, by slot."""

from __future__ import annotations

from sqlalchemy import Connection

from ringfence_server.ledger.work import StoreUnavailable

from . import schema
from .citus import has_citus
from .connect import UPKEEP, PostgresOptions, engine_of
from .migrate import upgrade_postgres


def distribute_statements() -> list[str]:
    """What spreads the tables: every other one lies beside ``stock``, so that a batch of one slot is one machine's."""
    first = schema.stock.name
    statements = [f"SELECT create_distributed_table('{first}', 'slot')"]
    statements += [
        f"SELECT create_distributed_table('{table.name}', 'slot', colocate_with => '{first}')"
        for table in schema.metadata.sorted_tables
        if table.name != first and table is not schema.policy
    ]
    return [*statements, f"SELECT create_reference_table('{schema.policy.name}')"]


async def distribute(url: str, options: PostgresOptions) -> None:
    """Spreads the tables of a database over the workers of its Citus cluster; one that is spread stays as it is.

    Raises StoreUnavailable when the database has no Citus extension.
    """
    await upgrade_postgres(url, options)
    engine = engine_of(url, options, application=UPKEEP, connections=1, statement_timeout=False)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_distribute)
    finally:
        await engine.dispose()


async def is_distributed(url: str, options: PostgresOptions) -> bool:
    """Whether the tables are spread."""
    engine = engine_of(url, options, application=UPKEEP, connections=1)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_is_distributed)
    finally:
        await engine.dispose()


def _distribute(connection: Connection) -> None:
    if not has_citus(connection):
        raise StoreUnavailable(
            "the database has no Citus extension: create it on every machine (CREATE EXTENSION citus), then distribute"
        )
    if _is_distributed(connection):
        return
    for statement in distribute_statements():
        connection.exec_driver_sql(statement)


def _is_distributed(connection: Connection) -> bool:
    if not has_citus(connection):
        return False
    found = connection.exec_driver_sql("SELECT 1 FROM pg_dist_partition WHERE logicalrelid = 'stock'::regclass")
    return found.first() is not None
