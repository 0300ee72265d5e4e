"""Migrations: the same Alembic revisions for every database, run by ``serve`` and by ``ringfence db upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from ringfence_server.ledger.work import StoreUnavailable

from .driver import DriverConnection
from .statistics import drop_statistics

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The revision this code works with."""


def upgrade(url: str) -> None:
    """Brings the database to HEAD. A database that is there already costs one look, not an import of Alembic.

    Raises StoreUnavailable for a database of a newer version.
    """
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            found = _stamped(connection)
        if found != HEAD:
            _migrate(engine, found)
        with engine.begin() as connection:
            drop_statistics(DriverConnection(connection))
    finally:
        engine.dispose()


def _migrate(engine: Engine, found: str | None) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection), "head")
    except CommandError:
        raise StoreUnavailable(
            f"the database is at revision {found}, this version knows up to {HEAD}: run a newer ringfence"
        ) from None


def current(url: str) -> str | None:
    """The revision the database is at; None: empty."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return _stamped(connection)
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(make_url(url))
    if engine.dialect.name == "sqlite":
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
