"""Watchers in a process of their own: each a WatchBalances stream of a few neighbouring SKUs.

Says `ready` when every watcher has its snapshot; at the end of its input it stops and says how many messages came.
Run as `python -m scripts.benchmarks.watchers --port N --watchers N --skus N --interval-milliseconds N`.
"""

from __future__ import annotations

import argparse
import json
import select
import sys

from ringfence.v1 import balance_pb2
from scripts.benchmarks.http2 import Connection, MessageReader, ProtocolFailure, readable
from scripts.benchmarks.messages import SERVICE, metadata, sku_name, watch_request
from scripts.benchmarks.processes import HOST

WATCHED_SKUS = 10
_CONNECTIONS = 10
# `event` is the first field of WatchBalancesResponse: its tag, then its number.
_SNAPSHOT_END = bytes((0x08, balance_pb2.WATCH_EVENT_SNAPSHOT_END))


class _Watchers:
    """The watchers of one connection."""

    def __init__(self, connection: Connection, requests: list[bytes]) -> None:
        connection.handler = self
        self._readers = {connection.call(request): MessageReader() for request in requests}
        self.snapshots = 0
        self.messages = 0

    def data(self, stream: int, buffer: bytes, start: int, end: int) -> None:
        for source, first, _ in self._readers[stream].feed(buffer, start, end):
            self.messages += 1
            if source.startswith(_SNAPSHOT_END, first):
                self.snapshots += 1

    def end(self, stream: int, status: int, trailers: bytes) -> None:
        raise ProtocolFailure(f"the server ended a watch: {readable(trailers)}")

    def reset(self, stream: int, code: int) -> None:
        raise ProtocolFailure(f"the server reset a watch, code {code}")


def main() -> None:
    """Watches until the end of the input."""
    parser = argparse.ArgumentParser()
    for name in ("port", "watchers", "skus", "interval-milliseconds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    connections = [Connection(HOST, arguments.port, SERVICE + "WatchBalances", metadata()) for _ in range(_CONNECTIONS)]
    requests = []
    for number in range(arguments.watchers):
        names = [sku_name((number * WATCHED_SKUS + step) % arguments.skus) for step in range(WATCHED_SKUS)]
        requests.append(watch_request(names, arguments.interval_milliseconds))
    groups = [_Watchers(connection, requests[turn::_CONNECTIONS]) for turn, connection in enumerate(connections)]
    ready_messages: int | None = None
    while True:
        waiting = [connection for connection in connections if connection.wants_write]
        readable, writable, _ = select.select([*connections, sys.stdin], waiting, ())
        if sys.stdin in readable:
            break
        for connection in connections:
            if connection in readable:
                connection.receive()
            if connection in writable or connection in readable:
                connection.flush()
        if ready_messages is None and sum(group.snapshots for group in groups) >= arguments.watchers:
            ready_messages = sum(group.messages for group in groups)
            print("ready", flush=True)
    delivered = sum(group.messages for group in groups) - (ready_messages or 0)
    print(json.dumps({"messages": delivered}), flush=True)


if __name__ == "__main__":
    main()
