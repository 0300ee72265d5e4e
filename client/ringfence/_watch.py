"""Where a watch stands: what to ask for after a broken stream, and what its reader is told. No gRPC, no waiting."""

from __future__ import annotations

from datetime import timedelta

from ringfence import _rpcs
from ringfence._balance_types import WatchEvent
from ringfence._config import ClientConfig
from ringfence._enums import WatchEventKind
from ringfence._errors import RingfenceError
from ringfence._parse import watch_event
from ringfence._reconnect import Reconnects
from ringfence._wire import to_timedelta
from ringfence.v1 import balance_pb2

_DEFAULT_CHECKPOINT = timedelta(seconds=15)
_LONGEST_INTERVAL = timedelta(hours=24)
_SLACK = timedelta(seconds=15)


class WatchCursor:
    """The state of one watch over all its streams."""

    def __init__(self, request: balance_pb2.WatchBalancesRequest, config: ClientConfig, resume_token: str) -> None:
        self._request = request
        self.resume_token = resume_token
        """Where to go on after the last event given out; empty while there is nothing to resume."""
        self._restarted = False
        self._reconnects = Reconnects(config, _rpcs.WATCH_BALANCES, "a watch")

    @property
    def idle_limit(self) -> timedelta:
        """How long a living stream can be silent: a checkpoint is due by then, or the next delivery."""
        longest = max(
            to_timedelta(self._request.checkpoint_interval) or _DEFAULT_CHECKPOINT,
            to_timedelta(self._request.min_interval),
        )
        # A longer interval is refused by the service, not here.
        return 2 * min(longest, _LONGEST_INTERVAL) + _SLACK

    def request(self) -> balance_pb2.WatchBalancesRequest:
        """The request of the next stream."""
        message = balance_pb2.WatchBalancesRequest()
        message.CopyFrom(self._request)
        message.resume_token = self.resume_token
        # A reader that has pieces of a snapshot which cannot be resumed must drop them before it gets another one.
        self._restarted = self._reconnects.began and not self.resume_token
        return message

    def accept(self, message: balance_pb2.WatchBalancesResponse) -> list[WatchEvent]:
        """The events that a message of the stream means to the reader: none, one, or a RESET before it."""
        self._reconnects.answered()
        if message.event == balance_pb2.WATCH_EVENT_RESUME:
            self.resume_token = message.resume_token or self.resume_token
            return []
        events: list[WatchEvent] = []
        if self._restarted and message.event != balance_pb2.WATCH_EVENT_RESET:
            events.append(watch_event(balance_pb2.WatchBalancesResponse(event=balance_pb2.WATCH_EVENT_RESET)))
        self._restarted = False
        event = watch_event(message)
        if event.kind in {WatchEventKind.RESET, WatchEventKind.SNAPSHOT}:
            # Until SNAPSHOT_END there is nothing to resume, and the old token is worth nothing any more.
            self.resume_token = event.resume_token
        elif event.resume_token:
            self.resume_token = event.resume_token
        events.append(event)
        return events

    def broken(self, error: RingfenceError | None) -> float:
        """The seconds to wait before the next stream, after one ended; raises `error` when no other will do better.

        `error` is None when the service ended the stream in good order, or it was silent for too long.
        """
        return self._reconnects.broken(error)
