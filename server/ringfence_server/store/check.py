"""What is wrong with a database, as far as its own settings tell: found by an operator before an outage finds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url

from ringfence_server.ledger.work import StoreUnavailable

from .check_citus import check_citus
from .connect import UPKEEP, PostgresOptions, connect_to, is_postgres, shown
from .errors import DATABASE_ERRORS, NETWORK_ERRORS, translated
from .migrate import HEAD
from .slots import Slots
from .suitable import unsuitable

_FEWEST_CONNECTIONS: Final = 20
_DURABLE: Final = (
    ("fsync", ("on",), "a power failure can destroy the database"),
    ("full_page_writes", ("on",), "a power failure can destroy the database"),
    ("synchronous_commit", ("on", "remote_write", "remote_apply"), "a crash can lose what was answered"),
)


@dataclass(frozen=True)
class Checked:
    """What was found."""

    facts: Sequence[tuple[str, str]]
    """What is so: name and value."""
    faults: Sequence[str]
    """What must not be so, each in one line; empty: nothing."""


async def check(url: str) -> Checked:
    """Looks at a database without changing anything.

    Raises StoreUnavailable when it cannot be reached, or is not there.
    """
    try:
        return await _check_postgres(url) if is_postgres(url) else _check_sqlite(url)
    except NETWORK_ERRORS as error:
        raise StoreUnavailable(f"the database {shown(url)} cannot be opened: {translated(error)}") from error


async def _check_postgres(url: str) -> Checked:
    connection = await connect_to(url, PostgresOptions(), application=UPKEEP)
    try:
        settings = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
        stamped = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version") if stamped else None
        slots = await connection.fetchval("SELECT count(*) FROM slot_state") if revision == HEAD else None
        replica = await connection.fetchval("SELECT pg_is_in_recovery()")
        citus = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'citus'")
        spread, citus_faults = await check_citus(connection) if citus else ("", [])
        encrypted = await connection.fetchval(
            "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
        )
    finally:
        await connection.close()
    facts = [
        ("PostgreSQL", settings["server_version"]),
        ("schema", revision or "none"),
        ("slots", "none" if slots is None else str(slots)),
        ("connection", "encrypted" if encrypted else "not encrypted"),
        ("role", "replica, for reading" if replica else "primary"),
        ("Citus", f"{citus}, {spread}" if spread else citus or "none"),
        ("max_connections", settings["max_connections"]),
    ]
    faults = _schema_faults(revision)
    faults += _postgres_faults(settings, replica=replica)
    if slots is not None:
        faults += _slot_faults(slots)
    return Checked(facts, [*faults, *citus_faults])


def _postgres_faults(settings: dict[str, Any], *, replica: bool) -> list[str]:
    faults = unsuitable(int(settings["server_version_num"]), settings["server_version"], settings["server_encoding"])
    if not replica:
        if settings["default_transaction_read_only"] == "on":
            faults.append("default_transaction_read_only is on: nothing can be written, and no server starts")
        # The server sets synchronous_commit itself when it is off; that somebody wants it off is worth a word.
        faults += [
            f"{name} is {settings[name]}: {consequence}"
            for name, good, consequence in _DURABLE
            if settings[name] not in good
        ]
    if int(settings["max_connections"]) < _FEWEST_CONNECTIONS:
        faults.append(f"max_connections is {settings['max_connections']}: a server takes about nine")
    return faults


def _slot_faults(count: int) -> list[str]:
    try:
        Slots(count)
    except ValueError as fault:
        return [f"slot_state is damaged: {fault}"]
    return []


def _schema_faults(revision: str | None) -> list[str]:
    if revision == HEAD:
        return []
    if revision is not None and revision > HEAD:
        return [f"the schema is {revision}, this release knows up to {HEAD}: run a newer ringfence"]
    return [f"the schema is {revision or 'not there'}, this release works with {HEAD}: run ringfence db upgrade"]


def _check_sqlite(url: str) -> Checked:
    path = Path(make_url(url).database or "")
    if not path.is_file():
        raise StoreUnavailable(f"{path} is not there")
    connection = sqlite3.connect(path)
    try:
        stamped = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if stamped else None
        damage = [found for (found,) in connection.execute("PRAGMA quick_check(10)") if found != "ok"]
    except DATABASE_ERRORS as error:
        raise StoreUnavailable(f"the database {path} cannot be read: {translated(error)}") from error
    finally:
        connection.close()
    revision = row[0] if row else None
    facts = [("SQLite", sqlite3.sqlite_version), ("schema", revision or "none")]
    return Checked(facts, _schema_faults(revision) + [f"the file is damaged: {found}" for found in damage])
