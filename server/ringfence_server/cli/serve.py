"""`ringfence serve`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .database import DATABASE_HELP, DATABASE_VARIABLE, DEFAULT_DATABASE

if TYPE_CHECKING:
    from ringfence_server.app import ServerConfig

_LISTENING = "Listening"
_STORE = "Store"
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
    grace_seconds: Annotated[
        float,
        typer.Option(
            envvar="RINGFENCE_GRACE_SECONDS",
            min=0,
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
            max=86_400,
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
    from ringfence_server.app import ServerConfig, StartFailed
    from ringfence_server.logs import configure

    configure(log_format.value, log_level.value)
    try:
        config = ServerConfig(
            host=host,
            port=port,
            database_url=database_url,
            in_memory=in_memory,
            queue_lines=queue_lines,
            default_deadline_seconds=deadline_seconds,
            max_message_bytes=max_message_bytes,
            clock_jump_trust_seconds=clock_jump_trust_seconds,
            metrics_port=metrics_port,
            channelz=channelz,
            reflection=reflection,
        )
        _run(config, grace_seconds, port_file)
    except (StartFailed, ValueError) as error:
        typer.echo(f"ringfence: {error}", err=True)
        raise typer.Exit(1) from None


def _run(config: ServerConfig, grace_seconds: float, port_file: Path | None) -> None:
    """Runs a server on uvloop where there is one: it takes 15 % more calls."""
    import asyncio

    run = asyncio.run
    try:
        import uvloop
    except ImportError:
        pass
    else:
        run = uvloop.run
    run(_serve(config, grace_seconds, port_file))


async def _serve(config: ServerConfig, grace_seconds: float, port_file: Path | None) -> None:
    import asyncio
    import os
    import signal

    from ringfence_server.app import Server

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Not SIGHUP: a terminal that is closed knows nothing of the time.
    hint = f"if it is right, kill -USR1 {os.getpid()} trusts it at once"
    server = Server(config, how_to_accept_clock=hint)
    loop.add_signal_handler(signal.SIGUSR1, server.accept_clock)
    port = await server.start()
    try:
        if port_file is not None:
            _write_port(port_file, port)
        _spare_the_collector()
        host = f"[{config.host}]" if ":" in config.host else config.host
        print(f"ringfence: listening on {host}:{port} (database {server.database})", flush=True)
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Who asks twice does not want to wait.
            loop.remove_signal_handler(number)
    finally:
        await server.stop(grace_seconds)


def _write_port(port_file: Path, port: int) -> None:
    """Writes the port so that a reader sees all of it or nothing."""
    part = port_file.with_name(port_file.name + ".part")
    part.write_text(f"{port}\n", encoding="ascii")
    part.replace(port_file)


def _spare_the_collector() -> None:
    """What is loaded stays: the garbage collector need not look at it again. Commands make no cycles, so it may look
    seldom; measured, a third more commands in batches."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
