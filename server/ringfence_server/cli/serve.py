"""`ringfence serve`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringfence_server.store.connect import LONGEST_SECONDS

from .database import DATABASE_HELP, DATABASE_VARIABLE, DEFAULT_DATABASE
from .serving import run, run_worker

if TYPE_CHECKING:
    from ringfence_server.config import ServerConfig

_LISTENING = "Listening"
_STORE = "Store"
_POSTGRES = "PostgreSQL"
_LIMITS = "Limits"
_OBSERVING = "Observing"


class LogFormat(enum.StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(enum.StrEnum):
    """The least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def add_commands(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("serve", rich_help_panel="Server")(serve)


def serve(
    ctx: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            envvar="RINGFENCE_HOST",
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 is every IPv4 address of the machine.",
            rich_help_panel=_LISTENING,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_PORT", min=0, max=65_535, help="Port; 0 takes a free one.", rich_help_panel=_LISTENING
        ),
    ] = 50_051,
    port_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RINGFENCE_PORT_FILE",
            metavar="FILE",
            help="Write the port to this file once the server serves.",
            rich_help_panel=_LISTENING,
        ),
    ] = None,
    database_url: Annotated[
        str, typer.Option(envvar=DATABASE_VARIABLE, metavar="URL", help=DATABASE_HELP, rich_help_panel=_STORE)
    ] = DEFAULT_DATABASE,
    in_memory: Annotated[
        bool,
        typer.Option(
            "--in-memory",
            envvar="RINGFENCE_IN_MEMORY",
            help="Keep everything in memory, for trying out: it is gone with the server.",
            rich_help_panel=_STORE,
        ),
    ] = False,
    read_url: Annotated[
        str | None,
        typer.Option(
            envvar="RINGFENCE_READ_URL",
            metavar="URL",
            help="Answer balance queries from this replica where it is not behind what they ask for; else, and for all "
            "other reads, from the database.",
            rich_help_panel=_POSTGRES,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_WORKERS",
            min=1,
            max=64,
            help="Server processes that share the port, one per core that is to be used.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 1,
    lanes: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_LANES",
            min=1,
            max=64,
            help="Batches that each server commits at a time. More than one pays when one is always full.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 1,
    quick_connections: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_QUICK_CONNECTIONS",
            min=1,
            max=1_000,
            help="Connections of each server for reads of a few keys.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 4,
    long_connections: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_LONG_CONNECTIONS",
            min=1,
            max=1_000,
            help="Connections of each server for reads of many keys: lists, history, verification.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 2,
    connect_timeout_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_CONNECT_TIMEOUT_SECONDS",
            min=0.001,
            max=LONGEST_SECONDS,
            help="How long opening a connection may take.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 1.5,
    statement_timeout_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_STATEMENT_TIMEOUT_SECONDS",
            min=0.001,
            max=LONGEST_SECONDS,
            help="How long a statement of a batch or of a quick read may take.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 2.5,
    lock_timeout_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_LOCK_TIMEOUT_SECONDS",
            min=0.001,
            max=LONGEST_SECONDS,
            help="How long a statement may wait for the batch of another server.",
            rich_help_panel=_POSTGRES,
        ),
    ] = 2.0,
    grace_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_GRACE_SECONDS",
            min=0,
            max=LONGEST_SECONDS,
            help="On SIGTERM: how long open calls may take to end. What was accepted is committed in any case.",
            rich_help_panel=_LIMITS,
        ),
    ] = 10.0,
    queue_lines: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_QUEUE_LINES",
            min=4_000,
            help="Lines of commands that may wait for a transaction; beyond it callers are told OVERLOADED.",
            rich_help_panel=_LIMITS,
        ),
    ] = 20_000,
    deadline_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_DEADLINE_SECONDS",
            min=0.001,
            max=LONGEST_SECONDS,
            help="How long a command may wait for its decision when its caller set no deadline.",
            rich_help_panel=_LIMITS,
        ),
    ] = 30.0,
    max_message_bytes: Annotated[
        int,
        typer.Option(
            envvar="RINGFENCE_MAX_MESSAGE_BYTES",
            min=65_536,
            help="The largest message that is taken.",
            rich_help_panel=_LIMITS,
        ),
    ] = 4 * 1024 * 1024,
    clock_jump_trust_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_CLOCK_JUMP_TRUST_SECONDS",
            min=0,
            max=LONGEST_SECONDS,
            help="How long a wall clock that jumped by more than 5 s must stand before leases end by it; "
            "SIGUSR1 trusts it at once.",
            rich_help_panel=_LIMITS,
        ),
    ] = 600.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="RINGFENCE_METRICS_PORT",
            min=0,
            max=65_535,
            help="Serve Prometheus metrics on this port; 0 takes a free one. Left out: none.",
            rich_help_panel=_OBSERVING,
        ),
    ] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="RINGFENCE_LOG_FORMAT",
            help="How log lines are written, to stderr; auto is console on a terminal, else json.",
            rich_help_panel=_OBSERVING,
        ),
    ] = LogFormat.AUTO,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            envvar="RINGFENCE_LOG_LEVEL", help="The least important lines written.", rich_help_panel=_OBSERVING
        ),
    ] = LogLevel.INFO,
    channelz: Annotated[
        bool,
        typer.Option(
            "--channelz/--no-channelz",
            envvar="RINGFENCE_CHANNELZ",
            help="Serve grpc.channelz.v1, which tells of every connection.",
            rich_help_panel=_OBSERVING,
        ),
    ] = False,
    reflection: Annotated[
        bool,
        typer.Option(
            "--reflection/--no-reflection",
            envvar="RINGFENCE_REFLECTION",
            help="Serve grpc.reflection, so that grpcurl and its like need no .proto files.",
            rich_help_panel=_OBSERVING,
        ),
    ] = True,
) -> None:
    """Serve the allocation service over gRPC until SIGTERM or Ctrl-C.

    The database is made, and brought to this release's schema, when needed. What was answered is durable.
    """
    from ringfence_server.config import ServerConfig, StartFailed
    from ringfence_server.logs import configure
    from ringfence_server.store.connect import PostgresOptions
    from ringfence_server.workers import WorkersFailed

    configure(log_format.value, log_level.value)
    try:
        if in_memory and ctx.get_parameter_source("in_memory") is ctx.get_parameter_source("database_url"):
            # A flag overrides the environment, and that is plain; of two flags, or two variables, one was not meant.
            raise ValueError("--in-memory keeps nothing, and --database-url says where to keep it: give one of the two")
        config = ServerConfig(
            host=host,
            port=port,
            database_url=database_url,
            in_memory=in_memory,
            own_process=True,
            queue_lines=queue_lines,
            default_deadline_seconds=deadline_seconds,
            max_message_bytes=max_message_bytes,
            clock_jump_trust_seconds=clock_jump_trust_seconds,
            metrics_port=metrics_port,
            channelz=channelz,
            reflection=reflection,
            read_url=read_url,
            postgres=PostgresOptions(
                lanes=lanes,
                quick_connections=quick_connections,
                long_connections=long_connections,
                connect_timeout_seconds=connect_timeout_seconds,
                statement_timeout_seconds=statement_timeout_seconds,
                lock_timeout_seconds=lock_timeout_seconds,
            ),
        )
        if workers == 1:
            run(config, grace_seconds, lambda server: _tell(config.host, server.port, server.database, port_file))
        else:
            _run_workers(workers, config, grace_seconds, port_file, (log_format.value, log_level.value))
    except WorkersFailed:
        # The worker has said why.
        raise typer.Exit(1) from None
    except (StartFailed, ValueError) as error:
        typer.echo(f"ringfence: {error}", err=True)
        raise typer.Exit(1) from None


def _run_workers(
    count: int, config: ServerConfig, grace_seconds: float, port_file: Path | None, logs: tuple[str, str]
) -> None:
    """Runs so many servers in processes of their own on one port."""
    import dataclasses
    import functools

    from ringfence_server.listening import probe
    from ringfence_server.store.connect import is_postgres, shown
    from ringfence_server.workers import Workers, hold_port

    if config.in_memory or not is_postgres(config.database_url):
        raise ValueError("--workers needs PostgreSQL: a SQLite file has one server, and a ledger in memory too")
    if config.metrics_port and config.metrics_port + count - 1 > 65_535:
        raise ValueError(f"--metrics-port {config.metrics_port} has no port after it for each of {count} workers")
    probe(config.host, config.port)
    with hold_port(config.host, config.port) as holder:
        port: int = holder.getsockname()[1]
        shared = dataclasses.replace(config, port=port, reuse_port=True)
        workers = Workers(
            count, functools.partial(run_worker, shared, grace_seconds, logs), grace_seconds=grace_seconds
        )
        workers.run(lambda: _tell(config.host, port, f"{shown(config.database_url)}, {count} workers", port_file))


def _tell(host: str, port: int, database: str, port_file: Path | None) -> None:
    if port_file is not None:
        _write_port(port_file, port)
    host = f"[{host}]" if ":" in host else host
    print(f"ringfence: listening on {host}:{port} (database {database})", flush=True)


def _write_port(port_file: Path, port: int) -> None:
    """Writes the port so that a reader sees all of it or nothing.

    Raises StartFailed: whoever waits for the file would wait for ever.
    """
    from ringfence_server.config import StartFailed

    part = port_file.with_name(port_file.name + ".part")
    try:
        part.write_text(f"{port}\n", encoding="ascii")
        part.replace(port_file)
    except OSError as error:
        raise StartFailed(f"--port-file {port_file} cannot be written: {error.strerror or error}") from None
