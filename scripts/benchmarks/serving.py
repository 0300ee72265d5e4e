"""How the echo and the usual handler are served: as the service serves itself, so that only the handlers differ."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import uvloop

_PACKAGE = "ringfence.v1."

# The service's own options matter here only where they cost time.
OPTIONS: tuple[tuple[str, int], ...] = (("grpc.so_reuseport", 0),)


# Handlers by service and method.
Methods: TypeAlias = "Mapping[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]"


def serve(services: Methods | AbstractAsyncContextManager[Methods], port_file: Path) -> None:
    """Serves these services on a free port, writes that to `port_file`, and ends on SIGTERM. Services that need an
    event loop come as a context, which is left at the end."""
    uvloop.run(_serve(nullcontext(services) if isinstance(services, Mapping) else services, port_file))


async def _serve(made: AbstractAsyncContextManager[Methods], port_file: Path) -> None:
    async with made as services:
        await _serve_methods(services, port_file)


async def _serve_methods(services: Methods, port_file: Path) -> None:
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(_PACKAGE + name, methods) for name, methods in services.items()]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    # The service tunes its garbage collection; a baseline that did not would flatter it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    write_port(port_file, port)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(grace=1.0)


def write_port(port_file: Path, port: int) -> None:
    """Writes the port so that a reader sees all of it or nothing."""
    part = port_file.with_suffix(".part")
    part.write_text(str(port), encoding="ascii")
    os.replace(part, port_file)
