"""Whether a stream that a caller keeps open gets another one after it broke, and when. No gRPC, no waiting."""

from __future__ import annotations

import logging
import random
import time

from ringfence import _errors as e
from ringfence._config import ClientConfig, timeout_seconds
from ringfence._error_mapping import ENDS_STREAMS
from ringfence._retry import Attempts, pause_seconds
from ringfence._rpcs import Rpc

_log = logging.getLogger("ringfence")


class Reconnects:
    """The tries of one long stream: without end once the service has answered; before that only within the client's
    timeout, because a wrong target must not look like a quiet day."""

    def __init__(self, config: ClientConfig, rpc: Rpc, what: str) -> None:
        """`what` names the stream in the log, such as "a watch"."""
        self._config = config
        self._rpc = rpc
        self._what = what
        self.began = False
        """Whether the service has ever answered."""
        self._failures = 0
        self._first: Attempts | None = None
        self._deadline = 0.0

    def answered(self) -> None:
        """The present stream answers."""
        self.began = True
        self._failures = 0

    def broken(self, error: e.RingfenceError | None) -> float:
        """The seconds to wait before the next stream, after one ended; raises `error` when no other will do better.

        `error` is None when the service ended the stream in good order, or it was silent for too long.
        """
        # INTERNAL counts only when the service itself says so: proxies and broken connections answer it too.
        if isinstance(error, ENDS_STREAMS) or (isinstance(error, e.InternalError) and error.reason):
            raise error
        self._failures += 1
        if self.began:
            if self._failures == 2:
                _log.warning(
                    "%s has lost %s and tries to reconnect: %s", self._what, self._config.target, error or "silence"
                )
            return pause_seconds(self._config.retry, self._failures, error, random.random)
        if self._first is None:
            self._first = Attempts(self._config.retry, name=self._rpc.name, target=self._config.target)
            self._deadline = time.monotonic() + timeout_seconds(self._config.timeout)
        never_began = e.Unavailable(f"the service ended {self._what} before its first event", code="UNAVAILABLE")
        return self._first.failed(error or never_began, self._deadline - time.monotonic())
