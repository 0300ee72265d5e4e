"""A server that cannot start says why in one line, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from ringfence_server.app import Server
from ringfence_server.config import ServerConfig, StartFailed
from ringfence_server.store.connect import PostgresOptions, shown
from tests.patience import PATIENT
from tests.server.serving import serving


async def test_a_port_in_use_is_said_in_one_line(in_memory: ServerConfig) -> None:
    """Not bound a second time in silence."""
    async with serving(in_memory) as (server, _):
        with pytest.raises(StartFailed, match=f"port {server.port} of 127.0.0.1 is in use") as raised:
            await Server(ServerConfig(port=server.port, in_memory=True)).start()
    assert "\n" not in str(raised.value)


async def test_no_other_process_can_share_the_port(in_memory: ServerConfig) -> None:
    """gRPC would let a second server in and give it every other connection."""
    async with serving(in_memory) as (server, _):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", server.port))


async def test_a_metrics_port_in_use_is_said_in_one_line() -> None:
    """And leaves nothing open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=f"port {port} of 127.0.0.1 is in use"):
            await Server(ServerConfig(port=0, in_memory=True, metrics_port=port)).start()


async def test_a_database_in_use_is_said_in_one_line(on_file: ServerConfig) -> None:
    """Two servers on one file would not hear of each other's changes."""
    async with serving(on_file):
        with pytest.raises(StartFailed, match="in use by another server"):
            await Server(on_file).start()


async def test_a_start_that_failed_leaves_nothing_open(on_file: ServerConfig) -> None:
    """The database can be had by the next one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broken = ServerConfig(port=0, database_url=on_file.database_url, metrics_port=taken.getsockname()[1])
        with pytest.raises(StartFailed):
            await Server(broken).start()
    async with serving(on_file) as (_, client):
        assert await client.is_serving()


@pytest.mark.postgres
async def test_a_start_that_failed_leaves_nothing_running(postgres_url: str) -> None:
    """What follows other servers' changes is begun before the port is taken."""
    before = asyncio.all_tasks()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match="is in use"):
            await Server(ServerConfig(port=0, database_url=postgres_url, postgres=PATIENT, metrics_port=port)).start()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"host": "no-such-host.invalid"}, "the host 'no-such-host.invalid' is not known"),
        ({"host": "192.0.2.1"}, "192.0.2.1 is no address of this machine"),
        ({"database_url": "sqlite:////proc/ringfence/none.db"}, "cannot be written"),
    ],
)
async def test_what_cannot_be_had_is_said_in_one_line(config: dict[str, Any], words: str) -> None:
    """Host, address, database."""
    with pytest.raises(StartFailed, match=words) as raised:
        await Server(ServerConfig(**{"port": 0, **config})).start()
    assert "\n" not in str(raised.value)


async def test_a_database_that_is_a_directory_is_said_in_one_line(tmp_path: Path) -> None:
    """As the database says it."""
    place = tmp_path / "ringfence.db"
    place.mkdir()
    with pytest.raises(StartFailed, match="cannot be opened") as raised:
        await Server(ServerConfig(port=0, database_url=f"sqlite:///{place}")).start()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        {"port": -1},
        {"port": 65_536},
        {"queue_lines": 3_999},
        {"default_deadline_seconds": 0},
        {"default_deadline_seconds": float("inf")},
        {"max_message_bytes": 10},
        {"clock_jump_trust_seconds": -1},
        {"clock_jump_trust_seconds": float("nan")},
        {"clock_jump_trust_seconds": 86_401},
        {"database_url": "nonsense"},
        {"database_url": "sqlite://"},
        {"database_url": "sqlite:///:memory:"},
        {"database_url": "sqlite:////var/lib/"},
        {"database_url": "sqlite:///ringfence.db?mode=ro"},
        {"database_url": "mysql://host/db"},
        {"database_url": "postgresql://host"},
        {"database_url": "postgresql://host:port/db"},
        {"database_url": "postgresql://host:70000/db"},
        {"database_url": "postgresql://one:5432,two:0/db"},
        {"database_url": "postgresql://[::1/db"},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(config: dict[str, Any]) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=r"\w"):
        ServerConfig(**config)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://one,two:5433/db?target_session_attrs=read-write",
        "postgresql+asyncpg://me:secret@[::1]:5432/db",
        "postgresql:///db?host=/var/run/postgresql",
    ],
)
def test_a_database_may_be_named_as_its_own_tools_have_it(url: str) -> None:
    """Several hosts with ports of their own, an IPv6 address, a socket."""
    assert ServerConfig(database_url=url).database_url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:secret@host/db?sslmode=require", "postgresql://host/db"),
        ("postgresql://me:sec@ret@host/db", "postgresql://host/db"),
        ("postgresql://me:sec?ret@host/db", "postgresql://…"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, words: str) -> None:
    """Also one that should have been written with %-signs."""
    assert shown(url) == words


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 86_401])
@pytest.mark.parametrize("name", ["connect_timeout_seconds", "statement_timeout_seconds", "lock_timeout_seconds"])
def test_a_timeout_that_cannot_be_meant_is_refused(name: str, seconds: float) -> None:
    """Before PostgreSQL says so in other words."""
    timeouts: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=f"{name} is above 0 and at most 86400"):
        PostgresOptions(**timeouts)
