"""How a client is set up."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from ringfence import AsyncClient, Client, Line, RetryPolicy, RingfenceError
from tests.client.conftest import Connect
from tests.client.scripted import ScriptedServer, reserved

KINDS = pytest.mark.parametrize("kind", [AsyncClient, Client])


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RINGFENCE_TARGET", "RINGFENCE_ORGANIZATION", "RINGFENCE_CALLER"):
        monkeypatch.delenv(name, raising=False)


@KINDS
def test_a_client_has_defaults(kind: Any) -> None:
    """Without anything said, a client speaks to localhost:50051 as the anonymous caller of the default organization."""
    config = kind().config
    assert (config.target, config.organization, config.caller) == ("localhost:50051", "default", "anonymous")
    assert config.timeout == timedelta(seconds=10)
    assert config.credentials is None
    assert config.retry == RetryPolicy()


@KINDS
def test_the_environment_sets_what_is_left_out(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """RINGFENCE_TARGET, RINGFENCE_ORGANIZATION and RINGFENCE_CALLER stand in for arguments, never over them."""
    monkeypatch.setenv("RINGFENCE_TARGET", "there:1")
    monkeypatch.setenv("RINGFENCE_ORGANIZATION", "north")
    monkeypatch.setenv("RINGFENCE_CALLER", "shop")
    config = kind().config
    assert (config.target, config.organization, config.caller) == ("there:1", "north", "shop")
    config = kind("here:2", organization="south", caller="till").config
    assert (config.target, config.organization, config.caller) == ("here:2", "south", "till")


@KINDS
@pytest.mark.parametrize(
    "options",
    [
        {"organization": "Zürich"},
        {"caller": "two\nlines"},
        {"caller": " shop"},
        {"timeout": timedelta(0)},
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(kind: Any, options: dict[str, Any]) -> None:
    """A name that metadata cannot carry, or a deadline that is over, is a ValueError of the constructor."""
    with pytest.raises(ValueError, match=next(iter(options))):
        kind(**options)


def test_a_configuration_is_frozen() -> None:
    """Nobody changes a client's settings under it."""
    with pytest.raises(FrozenInstanceError):
        Client().config.target = "elsewhere"  # type: ignore[misc]


def test_given_channel_options_come_first() -> None:
    """An option of the caller's replaces the client's own of that name; the others stay."""
    options = dict(Client(options=[("grpc.keepalive_time_ms", 1)]).config.channel_options)
    assert options["grpc.keepalive_time_ms"] == 1
    assert options["grpc.keepalive_timeout_ms"] == 20_000


def test_keepalive_is_what_a_plain_server_bears() -> None:
    """Pings come no more often than the 5 minutes that gRPC servers allow by default, and never without a call."""
    options = dict(Client().config.channel_options)
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert options["grpc.keepalive_permit_without_calls"] == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[bytes, bytes]:
    """A key and a certificate of 127.0.0.1 that signs itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, made = tmp_path / "key", tmp_path / "certificate"
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=test"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True,
        capture_output=True,
    )
    return key.read_bytes(), made.read_bytes()


async def test_credentials_encrypt_the_channel(
    scripted: ScriptedServer, connect: Connect, certificate: tuple[bytes, bytes]
) -> None:
    """With TLS credentials a client reaches a service that speaks TLS; without, or with others, it does not."""
    scripted.stop()
    scripted.start(grpc.ssl_server_credentials([certificate]))
    scripted.on("Reserve", reserved)
    line = Line("LAMP", "berlin", 1)
    trusting = grpc.ssl_channel_credentials(root_certificates=certificate[1])
    assert (await connect(credentials=trusting).call("reserve", line)).reservation_id
    once = RetryPolicy(maximum_attempts=1)
    for credentials in (None, grpc.ssl_channel_credentials()):
        with pytest.raises(RingfenceError):
            await connect(credentials=credentials, retry=once, timeout=timedelta(seconds=5)).call("reserve", line)
    assert len(scripted.received) == 1


def test_a_service_that_comes_back_is_found_soon() -> None:
    """The channel itself tries again within 2 seconds: gRPC's own pause grows to two minutes, whatever is called."""
    options = dict(Client().config.channel_options)
    assert options["grpc.max_reconnect_backoff_ms"] <= 2_000
    assert options["grpc.initial_reconnect_backoff_ms"] <= 200


def test_the_service_is_told_how_long_a_refusal_may_be() -> None:
    """The room for a status is two thirds of what the channel takes as metadata, whoever set that."""
    assert dict(Client().config.metadata)["ringfence-max-status-bytes"] == "1048576"
    small = Client(options=[("grpc.max_metadata_size", 9_000)])
    assert dict(small.config.metadata)["ringfence-max-status-bytes"] == "6000"
