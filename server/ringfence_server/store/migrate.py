"""Migrations: the same Alembic revisions for every database, run by ``serve`` and by ``ringfence db upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, make_url

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The revision this code works with."""


def upgrade(url: str) -> None:
    """Brings the database to HEAD. A database that is there already costs one look, not an import of Alembic."""
    engine = create_engine(make_url(url))
    try:
        with engine.connect() as connection:
            if _stamped(connection) == HEAD:
                return
        from alembic import command

        with engine.begin() as connection:
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """The revision the database is at; None: empty."""
    engine = create_engine(make_url(url))
    try:
        with engine.connect() as connection:
            return _stamped(connection)
    finally:
        engine.dispose()


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
