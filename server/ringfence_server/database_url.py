"""Which database URLs this release serves."""

from __future__ import annotations

from typing import Final

from .store.connect import is_postgres, shown

_SQLITE: Final = "sqlite:///"


def check_database_url(url: str) -> None:
    """Raises ValueError, in one plain line, when the URL names neither a SQLite file nor a PostgreSQL database."""
    if is_postgres(url):
        _check_postgres(url)
        return
    path = url.removeprefix(_SQLITE)
    if path == url or path in ("", ":memory:") or path.endswith("/"):
        raise ValueError(
            f"{shown(url)!r} names no database: sqlite:///relative.db or sqlite:////absolute.db, or "
            "postgresql+asyncpg://user:password@host/database; to try out, --in-memory"
        )


def _check_postgres(url: str) -> None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"{shown(url)!r} is no URL: postgresql+asyncpg://user:password@host:port/database") from None
    if not parsed.database:
        raise ValueError(f"{shown(url)!r} names no database: end it with /database")
