"""What the handlers work with."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from ringfence_server.clock import Clock
from ringfence_server.committer import Committer
from ringfence_server.ledger.reading import Reader
from ringfence_server.watch import Hub, OrderBell


@dataclass(frozen=True)
class RpcLimits:
    """Bounds of calls and streams."""

    default_deadline_seconds: float = 30.0
    """How long a unary command may wait for its decision when its caller set no deadline."""
    max_commands_per_message: int = 1_000
    """Commands of one message of an Execute stream, requests of one of a SyncStock stream."""
    max_replies_per_stream: int = 2_000
    """Replies of one StreamOrders stream that wait to be durable; no further message is read beyond it."""
    max_in_flight_per_stream: int = 8_192
    """Commands of one Execute or SyncStock stream that wait for their outcome; no further message is read beyond it."""


@dataclass
class Counts:
    """What was done so far, counted on the event loop; metrics read it."""

    commands: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By method ("Reserve") and outcome ("accepted", "replayed", "refused", "failed")."""
    watchers: int = 0
    """Open WatchBalances streams."""
    adapters: int = 0
    """Open StreamOrders streams."""
    events_handed: int = 0
    """Order events handed over by StreamOrders, repeats included."""


@dataclass(frozen=True)
class Services:
    """Everything a handler may use. One per server, made by the composition root."""

    committer: Committer
    """Takes mutating commands."""
    reader: Reader
    """Answers queries from snapshots."""
    clock: Clock
    """The server's time."""
    limits: RpcLimits
    """Bounds of calls and streams."""
    hub: Hub
    """Tells watchers what changed."""
    draining: asyncio.Event
    """Set when the server goes down: streams finish what they took and end."""
    counts: Counts
    """Counted here, shown by metrics."""
    bell: OrderBell = field(default_factory=OrderBell)
    """Tells order streams what opened."""
