"""Running a server in this process, by itself or as one of several workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from multiprocessing.connection import Connection

    from ringfence_server.app import Server
    from ringfence_server.config import ServerConfig

_SMALL_OBJECTS_MEBIBYTES: Final = 64
"""What a server of some ten thousand keys comes to have."""


def run(config: ServerConfig, grace_seconds: float, on_ready: Callable[[Server], None]) -> None:
    """Runs a server until SIGTERM or SIGINT, on uvloop where there is one: it takes 15 % more calls.

    Raises StartFailed.
    """
    _run(config, grace_seconds, on_ready, None)


def run_worker(
    config: ServerConfig, grace_seconds: float, logs: tuple[str, str], number: int, parent: Connection
) -> None:
    """Runs a server as worker ``number`` (from 0) of a parent, until a signal or the parent's end; see ``workers``.

    Its metrics are on the port that follows the one of the worker before it.
    """
    import dataclasses
    import sys

    from ringfence_server.config import StartFailed
    from ringfence_server.logs import configure

    configure(*logs)
    if config.metrics_port:
        config = dataclasses.replace(config, metrics_port=config.metrics_port + number)
    try:
        _run(config, grace_seconds, lambda _: parent.send(True), parent)
    except StartFailed as error:
        print(f"ringfence: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def _run(
    config: ServerConfig, grace_seconds: float, on_ready: Callable[[Server], None], parent: Connection | None
) -> None:
    import asyncio

    from ringfence_server.memory import gather_small_objects

    gathered = gather_small_objects(_SMALL_OBJECTS_MEBIBYTES)
    run = asyncio.run
    try:
        import uvloop
    except ImportError:
        pass
    else:
        run = uvloop.run
    run(_serve(config, grace_seconds, on_ready, parent))
    del gathered


async def _serve(
    config: ServerConfig, grace_seconds: float, on_ready: Callable[[Server], None], parent: Connection | None
) -> None:
    import asyncio
    import os
    import signal

    from ringfence_server.app import Server
    from ringfence_server.memory import keep_in_huge_pages, spare_the_collector

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent is not None:
        # It never sends anything: that there is something to read is its end.
        loop.add_reader(parent.fileno(), _orphaned, loop, parent, stop)
    # Not SIGHUP: a terminal that is closed knows nothing of the time.
    hint = f"if it is right, kill -USR1 {os.getpid()} trusts it at once"
    server = Server(config, how_to_accept_clock=hint)
    loop.add_signal_handler(signal.SIGUSR1, server.accept_clock)
    await server.start()
    try:
        spare_the_collector()
        on_ready(server)
        pages = asyncio.create_task(keep_in_huge_pages())
        await stop.wait()
        pages.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Who asks twice does not want to wait.
            loop.remove_signal_handler(number)
    finally:
        await server.stop(grace_seconds)


def _orphaned(loop: asyncio.AbstractEventLoop, parent: Connection, stop: asyncio.Event) -> None:
    loop.remove_reader(parent.fileno())
    stop.set()
