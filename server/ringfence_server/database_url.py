"""Which database URLs this release serves."""

from __future__ import annotations

from typing import Final

from .store.connect import dsn_of, is_postgres, shown

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
    if "?" in path:
        raise ValueError(f"{url!r}: a SQLite file takes no parameters; leave out what begins with ?")


def _check_postgres(url: str) -> None:
    from urllib.parse import urlsplit

    no_url = f"{shown(url)!r} is no URL: postgresql+asyncpg://user:password@host:port/database"
    try:
        parsed = urlsplit(dsn_of(url))
    except ValueError:
        raise ValueError(no_url) from None
    # Several servers of which one takes writes: host,host:port,[::1]:port
    if not all(map(_is_host, parsed.netloc.rpartition("@")[2].split(","))):
        raise ValueError(no_url)
    if not parsed.path.strip("/"):
        raise ValueError(f"{shown(url)!r} names no database: end it with /database")


def _is_host(text: str) -> bool:
    """Whether that is a host, a host and a port, or nothing: the parameters may name it."""
    _, separator, port = text.rpartition(":")
    if not separator or text.endswith("]"):
        return True
    return port.isdecimal() and 0 < int(port) <= 65_535
