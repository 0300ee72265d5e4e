"""What a watch of balances brings."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio

from ringfence.v1 import balance_pb2 as pb
from ringfence.v1 import common_pb2, policy_service_pb2

SNAPSHOT, SNAPSHOT_END, CHANGES, RESET = (
    pb.WATCH_EVENT_SNAPSHOT,
    pb.WATCH_EVENT_SNAPSHOT_END,
    pb.WATCH_EVENT_CHANGES,
    pb.WATCH_EVENT_RESET,
)


def locations(**groups: list[str]) -> list[policy_service_pb2.Location]:
    """Locations in these groups."""
    return [
        policy_service_pb2.Location(name=name, kind=common_pb2.LOCATION_KIND_OWNED, groups=of)
        for name, of in groups.items()
    ]


async def next_message(watch: Any) -> pb.WatchBalancesResponse:
    """The next message that is no checkpoint; fails when none comes in a minute."""
    async with asyncio.timeout(60):
        while True:
            message = await watch.read()
            assert message is not grpc.aio.EOF
            if message.event != pb.WATCH_EVENT_CHECKPOINT:
                return message  # type: ignore[no-any-return]
