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

With pytest, `pytest_plugins = ["ringfence.testing.pytest_plugin"]` brings the fixture `ringfence_server`. All of it
needs the extra `ringfence[server]`.
"""

from ringfence.testing._eventually import assert_eventually, assert_eventually_async
from ringfence.testing._server import RingfenceServer, ServerClock

__all__ = ["RingfenceServer", "ServerClock", "assert_eventually", "assert_eventually_async"]
