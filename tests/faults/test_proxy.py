"""The failing network itself: what it cuts is what it says."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ringfence.testing import PostgresServer
from tests.faults.proxy import Cut, Proxy

pytestmark = pytest.mark.postgres


async def _insert(url: str) -> None:
    open_connection: Any = asyncpg.connect
    connection: Any = await open_connection(url.replace("+asyncpg", ""))
    try:
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO lamp VALUES (1)")
        await connection.execute("COMMIT")
    finally:
        connection.terminate()


@pytest.mark.parametrize(("when", "stored"), [(Cut.BEFORE_COMMIT, 0), (Cut.AFTER_COMMIT, 1)])
async def test_a_commit_is_cut_before_or_after(
    postgres_server: PostgresServer, postgres_url: str, when: Cut, stored: int
) -> None:
    """Its caller sees a broken connection either way; whether it is stored differs. The next one goes through."""
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute("CREATE TABLE lamp (lamp int)", database=name)
    with Proxy(postgres_server.port) as proxy:
        url = postgres_server.url(name, port=proxy.port)
        proxy.cut(when)
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await _insert(url)
        assert proxy.cuts == 1
        assert postgres_server.execute("SELECT count(*) FROM lamp", database=name) == [(stored,)]
        await _insert(url)
        assert postgres_server.execute("SELECT count(*) FROM lamp", database=name) == [(stored + 1,)]
