"""How a client is set up: target, identity, deadlines, retries and the options of its channel."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ringfence._uuid7 import uuid7

if TYPE_CHECKING:
    import grpc

__all__ = ["ClientConfig", "RetryPolicy"]

DEFAULT_TARGET = "localhost:50051"
DEFAULT_ORGANIZATION = "default"
DEFAULT_CALLER = "anonymous"

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # After a server's restart the next try must not wait for gRPC's own pause, which grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Servers with gRPC's defaults end a connection that is pinged more often than every 5 minutes without data, and
    # common load balancers forget one that is silent for 350 seconds: this stays between both. Being set at all, it
    # also makes the kernel give up on unacknowledged data after the timeout, so a dead peer is found under load.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # A page of 1,000 explained balances, or the outcomes of 1,000 commands, may exceed gRPC's 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A refusal travels in the call's trailer and names every short line, of 2,000 at most; gRPC takes 8 KiB.
    ("grpc.max_metadata_size", 1_572_864),
    ("grpc.absolute_max_metadata_size", 2_097_152),
)

# What gRPC allows as the value of an ASCII metadata key.
_METADATA_VALUE = re.compile(r"[\x20-\x7e]+")


_LONGEST_TIMEOUT_SECONDS = 10 * 365 * 86_400.0
"""What is longer waits no less; gRPC counts nanoseconds in 64 bits and takes 290 years for an instant that is over."""


def timeout_seconds(timeout: timedelta) -> float:
    """The length of a deadline; TypeError for a bare number, because nobody can know its unit."""
    if not isinstance(timeout, timedelta):
        raise TypeError(f"a timeout is a timedelta, such as timedelta(seconds=5); got {timeout!r}")
    return min(timeout.total_seconds(), _LONGEST_TIMEOUT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a call is tried again, with the same request_id, when the service could not take it or the connection
    broke. A refusal is never tried again. All tries share the call's one deadline."""

    maximum_attempts: int = 10
    """Tries in all, the first included; 1 is never again."""
    initial_backoff_seconds: float = 0.05
    """Longest pause before the second try. Each pause is drawn from its upper half, so that callers do not come back
    together."""
    maximum_backoff_seconds: float = 1.0
    """Longest pause between two tries, unless the service asks for a longer one."""
    backoff_multiplier: float = 2.0
    """How much longer each pause is than the one before."""

    def __post_init__(self) -> None:
        if self.maximum_attempts < 1:
            raise ValueError("maximum_attempts must be at least 1")
        if self.initial_backoff_seconds < 0 or self.maximum_backoff_seconds < 0:
            raise ValueError("a pause cannot be below zero seconds")
        if self.backoff_multiplier < 1:
            raise ValueError("backoff_multiplier must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Everything a client is set up with, as `client.config` shows it."""

    target: str = DEFAULT_TARGET
    """Where the service is, as gRPC writes it: "host:port", "dns:///name:port", "unix:/path"."""
    organization: str = DEFAULT_ORGANIZATION
    """The organization whose stock is meant; printable ASCII."""
    caller: str = DEFAULT_CALLER
    """The name of the calling service, which its request_ids and order references belong to; printable ASCII."""
    timeout: timedelta = timedelta(seconds=10)
    """The deadline of a call over all its tries, where the call sets none."""
    credentials: grpc.ChannelCredentials | None = field(default=None, repr=False)
    """For TLS; None is an unencrypted channel."""
    options: tuple[tuple[str, Any], ...] = ()
    """Options of the gRPC channel, which take precedence over the client's own. Where a proxy between client and
    service bounds headers, set "grpc.max_metadata_size" (bytes) to its bound: the service then shortens long refusals
    to two thirds of it."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """How often a call is tried again."""
    request_ids: Callable[[], str] = field(default=uuid7, repr=False)
    """Makes the id of a request that its caller gave none."""

    def __post_init__(self) -> None:
        for name in ("organization", "caller"):
            value = getattr(self, name)
            if not _METADATA_VALUE.fullmatch(value) or value != value.strip():
                raise ValueError(f"{name} must be printable ASCII without blanks at its ends, not {value!r}")
        if timeout_seconds(self.timeout) <= 0:
            raise ValueError("timeout must be above zero")

    @classmethod
    def resolve(
        cls,
        target: str | None,
        *,
        organization: str | None,
        caller: str | None,
        timeout: timedelta,
        credentials: grpc.ChannelCredentials | None,
        options: Sequence[tuple[str, Any]],
        retry: RetryPolicy | None,
        request_ids: Callable[[], str] | None,
    ) -> ClientConfig:
        """The configuration of a client: what it was given, then the environment, then the defaults."""
        environment = os.environ
        return cls(
            target=target or environment.get("RINGFENCE_TARGET") or DEFAULT_TARGET,
            organization=organization or environment.get("RINGFENCE_ORGANIZATION") or DEFAULT_ORGANIZATION,
            caller=caller or environment.get("RINGFENCE_CALLER") or DEFAULT_CALLER,
            timeout=timeout,
            credentials=credentials,
            options=tuple(options),
            retry=retry or RetryPolicy(),
            request_ids=request_ids or uuid7,
        )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries beside its message."""
        return (
            ("ringfence-organization", self.organization),
            ("ringfence-caller", self.caller),
            # In a trailer bytes become base64, a third longer.
            ("ringfence-max-status-bytes", str(self._all_options["grpc.max_metadata_size"] * 2 // 3)),
        )

    @property
    def channel_options(self) -> list[tuple[str, Any]]:
        """The channel's options: the client's own, each one given instead of it, and the name the client goes by."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            agent = f"ringfence-python/{version('ringfence')}"
        except PackageNotFoundError:  # run from a copied source tree
            agent = "ringfence-python"
        return list({"grpc.primary_user_agent": agent, **self._all_options}.items())

    @property
    def _all_options(self) -> dict[str, Any]:
        return {**dict(CHANNEL_OPTIONS), **dict(self.options)}
