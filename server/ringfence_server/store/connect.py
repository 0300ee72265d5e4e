"""How PostgreSQL is reached: URLs, timeouts and pools. Nobody else opens a connection to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_PREFIXES: Final = ("postgresql+asyncpg://", "postgresql://")

LONGEST_SECONDS: Final = 86_400
"""Of a timeout: longer ones are meant as none, and PostgreSQL takes no more than 24 days."""

WRITER: Final = "ringfence-writer"
"""application_name of connections that write batches: by it every server sees which batches of others are under way."""
READER: Final = "ringfence-reader"
"""application_name of connections that read snapshots."""
UPKEEP: Final = "ringfence-upkeep"
"""application_name of all others: migration, following, copying."""


@dataclass(frozen=True, kw_only=True)
class PostgresOptions:
    """How a server uses PostgreSQL."""

    lanes: int = 1
    """Batches that one server commits at a time, 1 to 64; each has a connection."""
    quick_connections: int = 4
    """Connections for reads of a few rows."""
    long_connections: int = 2
    """Connections for reads that go through many rows: lists, history, verification."""
    connect_timeout_seconds: float = 1.5
    """How long opening a connection may take, at most 86,400, as the next two."""
    statement_timeout_seconds: float = 2.5
    """How long a statement of a batch or of a quick read may take; long reads have no such end."""
    lock_timeout_seconds: float = 2.0
    """How long a statement may wait for another server's batch."""

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= 64:
            raise ValueError(f"lanes is 1 to 64, not {self.lanes}")
        for name in ("quick_connections", "long_connections"):
            if not 1 <= getattr(self, name) <= 1_000:
                raise ValueError(f"{name} is 1 to 1000, not {getattr(self, name)}")
        for name in ("connect_timeout_seconds", "statement_timeout_seconds", "lock_timeout_seconds"):
            if not 0 < (seconds := getattr(self, name)) <= LONGEST_SECONDS:
                raise ValueError(f"{name} is above 0 and at most {LONGEST_SECONDS}, not {seconds:g}")


def is_postgres(url: str) -> bool:
    """Whether a database URL names PostgreSQL."""
    return url.startswith(_PREFIXES)


def dsn_of(url: str) -> str:
    """A URL as PostgreSQL's own tools read it, its parameters (sslmode, sslrootcert, …) included."""
    for prefix in _PREFIXES:
        if url.startswith(prefix):
            return f"postgresql://{url.removeprefix(prefix)}"
    raise ValueError(f"not a PostgreSQL URL: {shown(url)}")


def shown(url: str) -> str:
    """A URL for people and logs: without its password and parameters."""
    scheme, separator, rest = url.partition("://")
    place, _, parameters = rest.partition("?")
    if "@" in parameters and "@" not in place:
        # Perhaps a question mark in the password: who can tell what of it may be shown?
        place = "…"
    return f"{scheme}{separator}{place.rpartition('@')[2]}"


def engine_of(
    url: str, options: PostgresOptions, *, application: str, connections: int, statement_timeout: bool = True
) -> AsyncEngine:
    """An engine with a pool of so many connections, none of them opened yet; the pool never grows beyond.

    Whoever waits for one longer than opening it may take gets SQLAlchemy's TimeoutError. ``statement_timeout`` False:
    statements take as long as they take.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> Any:
        return await connect_to(url, options, application=application, statement_timeout=statement_timeout)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=options.connect_timeout_seconds,
    )


async def connect_to(url: str, options: PostgresOptions, *, application: str, statement_timeout: bool = True) -> Any:
    """One asyncpg connection, for its caller to close.

    Raises what asyncpg raises, TimeoutError when it takes too long.
    """
    import asyncpg

    settings = {
        "application_name": application,
        "lock_timeout": _milliseconds(options.lock_timeout_seconds),
        "jit": "off",
    }
    if statement_timeout:
        settings["statement_timeout"] = _milliseconds(options.statement_timeout_seconds)
        # A server that freezes in the midst of a batch (its machine is paused, or gone without a word) must not hold
        # its locks: the others wait for them, and with each try whatever is in the same lane.
        idle = (2 if application == WRITER else 10) * options.statement_timeout_seconds
        settings["idle_in_transaction_session_timeout"] = _milliseconds(idle)
    open_connection: Any = asyncpg.connect
    return await open_connection(
        dsn_of(url),
        timeout=options.connect_timeout_seconds,
        # PostgreSQL ends a statement by itself; this one is for a network that says nothing any more.
        command_timeout=options.statement_timeout_seconds + 0.5 if statement_timeout else None,
        server_settings=settings,
        # What a batch writes is one statement, longer than asyncpg keeps prepared by itself.
        max_cacheable_statement_size=0,
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1_000)))
