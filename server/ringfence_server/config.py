"""How a server is set up, and that it cannot be started so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .clock import SystemClock
from .database_url import check_database_url
from .ledger.names import MAX_LINES
from .store.connect import LONGEST_SECONDS, PostgresOptions, is_postgres

_SMALLEST_QUEUE: Final = 2 * MAX_LINES


class StartFailed(Exception):
    """The server cannot start, said in one plain line."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How a server is set up."""

    host: str = "127.0.0.1"
    """The address to listen on; "0.0.0.0" is every IPv4 address, "::" every address."""
    port: int = 50_051
    """0 takes a free one."""
    database_url: str = "sqlite:///ringfence.db"
    """Where the ledger is kept, as SQLAlchemy writes it; relative paths count from the working directory. TLS and the
    like stand in a PostgreSQL URL as its own tools have it: ?sslmode=verify-full&sslrootcert=…"""
    in_memory: bool = False
    """Keeps everything in memory, for trying out: it is gone with the server. The database URL is not used."""
    postgres: PostgresOptions = field(default_factory=PostgresOptions)
    """Of a PostgreSQL database: connections and timeouts."""
    read_url: str | None = None
    """A replica of a PostgreSQL database that answers balance queries where it is not behind what they ask for; None
    reads everything from the database itself."""
    reuse_port: bool = False
    """Shares the port with other workers of this machine that do the same."""
    queue_lines: int = 20_000
    """Lines of commands that may wait for a transaction; what comes beyond is told OVERLOADED."""
    default_deadline_seconds: float = 30.0
    """How long a unary command may wait for its decision when its caller set no deadline, at most 86,400."""
    max_message_bytes: int = 4 * 1024 * 1024
    """The largest message that is taken. 2,000 lines are 200 to 400 KiB, and 3.8 MiB with the longest ASCII names."""
    metrics_port: int | None = None
    """Serves Prometheus metrics on this port of the same host; 0 takes a free one, None serves none."""
    clock_jump_trust_seconds: float = SystemClock.TRUST_AFTER_SECONDS
    """How long the wall clock's time must stand after a jump of more than 5 s before leases end by it, 0 to 86,400; 0
    trusts it at once. ``Server.accept_clock`` trusts it before that."""
    own_process: bool = False
    """The process serves and does nothing else: the server may say on which cores its threads run."""
    channelz: bool = False
    """Serves grpc.channelz.v1, which tells of every connection."""
    reflection: bool = True
    """Serves grpc.reflection.v1alpha, so that grpcurl and its like need no .proto files."""

    def __post_init__(self) -> None:
        if not self.in_memory:
            check_database_url(self.database_url)
        if self.read_url is not None:
            check_database_url(self.read_url)
            if self.in_memory or not (is_postgres(self.read_url) and is_postgres(self.database_url)):
                raise ValueError("--read-url names a replica of a PostgreSQL database, for a server of that database")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port is 0 to 65535, not {self.port}")
        if self.queue_lines < _SMALLEST_QUEUE:
            raise ValueError(f"queue_lines is at least {_SMALLEST_QUEUE}, two of the largest requests")
        deadline = self.default_deadline_seconds
        if not 0 < deadline <= LONGEST_SECONDS:
            raise ValueError(f"default_deadline_seconds is above 0 and at most {LONGEST_SECONDS}, not {deadline:g}")
        if self.max_message_bytes < 65_536:
            raise ValueError("max_message_bytes is at least 65536")
        if not 0 <= self.clock_jump_trust_seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"clock_jump_trust_seconds is 0 to {LONGEST_SECONDS}, not {self.clock_jump_trust_seconds:g}"
            )
