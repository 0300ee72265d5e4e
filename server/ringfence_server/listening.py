"""The port of a server: how gRPC listens there, and why it cannot."""

from __future__ import annotations

import errno
import socket
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc

from .config import ServerConfig, StartFailed
from .rpc.handlers import serve_all
from .rpc.registry import SERVICES, all_handlers
from .rpc.services import Services


def bound_server(
    config: ServerConfig, services: Services, health_servicer: health.aio.HealthServicer
) -> tuple[grpc.aio.Server, int]:
    """A server of all RPCs that has its port, to be started; and the port.

    Raises StartFailed: it cannot be had.
    """
    server = grpc.aio.server(options=_options(config))
    added: Any = _GenericHandlers()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, added)
    names = [*SERVICES, health.SERVICE_NAME]
    if config.reflection:
        from grpc_reflection.v1alpha import reflection

        names.append(reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, added)
    if config.channelz:
        from grpc_channelz.v1 import channelz

        channelz.add_channelz_servicer(added)
    server.add_generic_rpc_handlers((serve_all(all_handlers(services)), *added.handlers))
    try:
        port = server.add_insecure_port(_address(config.host, config.port))
    except RuntimeError:
        raise StartFailed(f"cannot listen on {_address(config.host, config.port)}") from None
    return server, port


class _GenericHandlers:
    """Takes what generated code registers, as generic handlers only: grpc.aio waits on one future per method that is
    registered by name, for every call that comes in."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        """Keeps them."""
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """The same methods once more, by name."""


def _options(config: ServerConfig) -> tuple[tuple[str, int], ...]:
    return (
        # On, a second server would bind the same port in silence.
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Finds dead watchers within two minutes.
        ("grpc.keepalive_time_ms", 90_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # By default connections that are pinged more often than every five minutes are ended; clients in the field ping
        # every ten seconds.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.enable_channelz", int(config.channelz)),
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(host: str, port: int) -> None:
    """Finds out why a port cannot be had: gRPC itself says only that it cannot, at length.

    Raises StartFailed.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise StartFailed(f"the host {host!r} is not known") from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As gRPC binds: connections of a server that just ended do not block the port, a live server does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise StartFailed(cannot_listen(host, port, error)) from None


def cannot_listen(host: str, port: int, error: OSError, flag: str = "--port") -> str:
    """Why, in one plain line that says what may help; ``flag`` is the one that names the port."""
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; name another with {flag}, or 0 for a free one"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} needs more rights than this user has; take one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine"
    return f"cannot listen on {_address(host, port)}: {error.strerror}"
