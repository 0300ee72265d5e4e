"""When a failed try is tried again, and what the caller is told when it is not. Pure: no clock, no sleep, no gRPC."""

from __future__ import annotations

import random
from collections.abc import Callable

from ringfence._config import RetryPolicy
from ringfence._error_mapping import Certainty, certainty, may_retry, never_sent
from ringfence._errors import DeadlineExceeded, OutcomeUnknown, RingfenceError, Unavailable, Unsupported


class Attempts:
    """The tries of one request, which share one deadline.

    `random_fraction` draws from [0, 1); tests hand in their own.
    """

    __slots__ = ("_count", "_mutating", "_name", "_policy", "_random", "_request_id", "_target", "_uncertain")

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        name: str,
        target: str,
        request_id: str = "",
        mutating: bool = False,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._name = name
        self._target = target
        self._request_id = request_id
        self._mutating = mutating
        self._random = random_fraction
        self._count = 0
        self._uncertain = False

    def failed(self, error: RingfenceError, seconds_left: float | None) -> float:
        """The seconds to wait before the next try.

        Raises what the caller shall see when there is none: tries or time are used up, or the error is final.
        `seconds_left` is the time to the deadline; None is no deadline.
        """
        self._count += 1
        self._uncertain = self._uncertain or certainty(error) is Certainty.UNKNOWN
        if may_retry(error) and self._count < self._policy.maximum_attempts:
            pause = pause_seconds(self._policy, self._count, error, self._random)
            if seconds_left is None or pause < seconds_left:
                return pause
        raise verdict(
            error,
            name=self._name,
            target=self._target,
            request_id=self._request_id,
            mutating=self._mutating,
            uncertain=self._uncertain,
        )


def verdict(
    error: RingfenceError,
    *,
    name: str,
    target: str,
    request_id: str,
    mutating: bool,
    uncertain: bool,
    of_stream: bool = False,
) -> RingfenceError:
    """What the caller is told of the last try. Of a request that changes something it must not sound certain when this
    or an earlier try (`uncertain`) may have been carried out. With `of_stream` the error answers not the request but
    the stream it was on: it decides nothing of a request that an earlier stream may have brought to the service."""
    known = certainty(error)
    decided = known is Certainty.DECIDED and not of_stream
    if mutating and not decided and (uncertain or known is Certainty.UNKNOWN):
        unknown = OutcomeUnknown(
            f"whether {name} was carried out is unknown: {error}. Send the same request again with "
            f"request_id={request_id!r} to learn it; it takes effect at most once",
            code=error.code,
            reason=error.reason,
            metadata=error.metadata,
            request_id=request_id,
            retry_after=error.retry_after,
            raw=error.raw,
        )
        unknown.__cause__ = error
        return unknown
    if isinstance(error, DeadlineExceeded) and not error.reason:
        return _reworded(error, f"no answer to {name} from {target} in time")
    if isinstance(error, Unsupported) and not error.reason:
        return _reworded(error, f"{target} does not know {name}: it is another service, or older than this client")
    if isinstance(error, Unavailable) and never_sent(error):
        return _reworded(error, f"no service answers at {target}: {error}")
    return error


def pause_seconds(
    policy: RetryPolicy, tries: int, error: RingfenceError | None, random_fraction: Callable[[], float]
) -> float:
    """How long to wait after the `tries`-th failure: exponential, bounded, drawn from the upper half so that callers
    do not come back together, and never shorter than the service asked for."""
    # The exponent is bounded too: a watch may try for days.
    factor = policy.backoff_multiplier ** min(tries - 1, 64)
    backoff = min(policy.maximum_backoff_seconds, policy.initial_backoff_seconds * factor)
    pause = backoff * (0.5 + random_fraction() / 2)
    if error is not None and error.retry_after is not None:
        pause += error.retry_after.total_seconds()
    return pause


def _reworded(error: RingfenceError, message: str) -> RingfenceError:
    error.args = (message,)
    return error
