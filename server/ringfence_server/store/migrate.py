"""Migrations: the same Alembic revisions for every database, run by ``serve`` and by ``ringfence db upgrade``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, insert, make_url, select

from ringfence_server.ledger.work import StoreUnavailable

from . import schema
from .citus import refuse_worker
from .connect import UPKEEP, PostgresOptions, engine_of, is_postgres
from .driver import DriverConnection
from .slots import MOST_SLOTS, Slots
from .statistics import drop_statistics
from .suitable import unsuitable

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.ext.asyncio import AsyncEngine

HEAD = "0002"
"""The revision this code works with."""
_UPGRADE_LOCK: Final = 7_453_010_373_645_639_777
"""Two servers that start at once do not both upgrade."""


def upgrade(url: str) -> None:
    """Brings the database to HEAD. A database that is there already costs one look, not an import of Alembic.

    Not from within an event loop when the database is a PostgreSQL one: ``upgrade_postgres`` is for there.

    Raises StoreUnavailable for a database of a newer version.
    """
    if is_postgres(url):
        asyncio.run(upgrade_postgres(url, PostgresOptions()))
    else:
        upgrade_file(make_url(url))


def upgrade_file(url: URL) -> None:
    """The same for a SQLite file."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            current = _stamped(connection) == HEAD
        with engine.begin() as connection:
            if not current:
                _upgrade(connection)
            drop_statistics(DriverConnection(connection))
    finally:
        engine.dispose()


async def upgrade_postgres(url: str, options: PostgresOptions) -> Slots:
    """Brings a PostgreSQL database to HEAD, an empty one with 64 slots; answers its slots.

    Raises StoreUnavailable for a database of a newer version, of another encoding than UTF8, or of a worker of a Citus
    cluster, and what the driver raises when it is away.
    """
    engine = _postgres_engine(url, options)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade_postgres)
    finally:
        await engine.dispose()


def current(url: str) -> str | None:
    """The revision the database is at; None: empty. Not from within an event loop when it is a PostgreSQL one."""
    if is_postgres(url):
        return asyncio.run(_current_postgres(url))
    engine = _engine(make_url(url))
    try:
        with engine.connect() as connection:
            return _stamped(connection)
    finally:
        engine.dispose()


async def _current_postgres(url: str) -> str | None:
    engine = _postgres_engine(url, PostgresOptions())
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_stamped)
    finally:
        await engine.dispose()


def _postgres_engine(url: str, options: PostgresOptions) -> AsyncEngine:
    return engine_of(url, options, application=UPKEEP, connections=1, statement_timeout=False)


def _upgrade_postgres(connection: Connection) -> Slots:
    refuse_worker(connection)
    _refuse_unsuitable(connection)
    if _stamped(connection) != HEAD:
        # However long another server takes with it.
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        if _stamped(connection) != HEAD:
            _upgrade(connection)
            _make_slots(connection)
    state = schema.slot_state
    count, first, last = connection.execute(
        select(func.count(), func.min(state.c.slot), func.max(state.c.slot)).select_from(state)
    ).one()
    try:
        slots = Slots(count)
    except ValueError as fault:
        raise StoreUnavailable(f"slot_state is damaged: {fault}") from None
    if (first, last) != (0, slots.mask):
        raise StoreUnavailable(f"slot_state is damaged: {count} slots from {first} to {last}")
    return slots


def _refuse_unsuitable(connection: Connection) -> None:
    settings = "server_version_num", "server_version", "server_encoding"
    asked = ", ".join(f"current_setting('{name}')" for name in settings)
    number, version, encoding = connection.exec_driver_sql(f"SELECT {asked}").one()
    faults = unsuitable(int(number), version, encoding)
    if faults:
        raise StoreUnavailable("; ".join(faults))


def _make_slots(connection: Connection) -> None:
    """Their number is a property of the store: it is told by these rows, and never changes."""
    state = schema.slot_state
    if connection.execute(select(func.count()).select_from(state)).scalar_one() == 0:
        rows = [
            {"slot": slot, "revision": 0, "last_sequence": 0, "now": 0, "record_time": 0} for slot in range(MOST_SLOTS)
        ]
        connection.execute(insert(state), rows)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    found = _stamped(connection)
    try:
        command.upgrade(_config(connection), "head")
    except CommandError:
        raise StoreUnavailable(
            f"the database is at revision {found}, this version knows up to {HEAD}: run a newer ringfence"
        ) from None


def _engine(url: URL) -> Engine:
    engine = create_engine(url)
    # Python's driver would commit every CREATE by itself, and a start cut short would leave half a schema.
    event.listen(engine, "connect", _begin_nothing)
    event.listen(engine, "begin", _begin)
    return engine


def _begin_nothing(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _stamped(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return row[0] if row else None


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
