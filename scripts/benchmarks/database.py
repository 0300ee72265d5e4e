"""The PostgreSQL of the benchmark: one server for a whole run, durable, with PostgreSQL's own settings otherwise; and
what it has used and written so far."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ringfence.testing import PostgresServer
from scripts.benchmarks.processes import family_cpu_seconds

# The defaults, said aloud: what is measured is durable.
_SETTINGS: dict[str, str | int] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": 200,
}
# Since PostgreSQL 18 the log is counted with all other files.
_SYNCS = "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'"
_SYNCS_BEFORE_18 = "SELECT wal_sync FROM pg_stat_wal"


class Database:
    """A PostgreSQL server under test."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.version = int(server.execute("SHOW server_version_num")[0][0])

    def meter(self) -> dict[str, float]:
        """CPU seconds of all its processes."""
        return {"database": family_cpu_seconds(self._server.pid)}

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of an empty database, which is dropped again."""
        url = self._server.create_database()
        try:
            yield url
        finally:
            self._server.drop_database(url)

    def syncs(self) -> int:
        """How often its log was synchronised to the disk. Processes that live are counted up to a second ago, or to
        when they last did something; those that ended in full."""
        ((count,),) = self._server.execute(_SYNCS if self.version >= 180_000 else _SYNCS_BEFORE_18)
        return int(count)

    def count(self, url: str, what: str) -> int:
        """The answer to a `SELECT` of one count in a database."""
        ((count,),) = self._server.execute(f"SELECT {what}", database=url.rpartition("/")[2])
        return int(count)

    def deadlocks(self, url: str) -> int:
        """How many deadlocks it has found in a database; of connections that ended in full."""
        ((count,),) = self._server.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = $1", url.rpartition("/")[2]
        )
        return int(count)


@contextlib.contextmanager
def database_below(directory: Path) -> Iterator[Database]:
    """A PostgreSQL whose data lie below a directory, on a disk: it is deleted at the end.

    Raises PostgresNotFound where none is installed.
    """
    with PostgresServer(settings=_SETTINGS, directory=directory) as server:
        yield Database(server)
