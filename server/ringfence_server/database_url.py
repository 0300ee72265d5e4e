"""Which database URLs this release serves."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "sqlite:///"


def check_database_url(url: str) -> None:
    """Raises ValueError, in one plain line, when the URL names no SQLite file."""
    path = url.removeprefix(_PREFIX)
    if path == url or path in ("", ":memory:") or path.endswith("/"):
        raise ValueError(
            f"{url!r} names no database: sqlite:///relative.db or sqlite:////absolute.db; to try out, --in-memory"
        )
