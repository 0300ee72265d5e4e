"""Where balances to be shown come from, in the midst of a service that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import BalanceFilter, Client, RetryPolicy, Unavailable
from ringfence.adapters import WatchedBalances
from ringfence.v1 import balance_pb2
from tests.client.conftest import PATIENCE
from tests.client.scripted import Failure, ScriptedServer, until_cancelled, wait_for


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A scripted server on a free port."""
    server = ScriptedServer()
    server.start()
    yield server
    server.stop()


def two_lamps(request: Any, context: Any) -> Iterator[balance_pb2.WatchBalancesResponse]:
    """A watch of one balance."""
    lamp = balance_pb2.Balance(key={"sku": "LAMP", "location": "berlin"}, available_to_reserve=2)
    yield balance_pb2.WatchBalancesResponse(event="WATCH_EVENT_SNAPSHOT", balances=[lamp])
    yield balance_pb2.WatchBalancesResponse(event="WATCH_EVENT_SNAPSHOT_END", resume_token="1")
    until_cancelled(context)


def test_a_service_that_was_away_at_first_is_watched_when_it_is_there(scripted: ScriptedServer) -> None:
    """A watch that could not begin is told of once; who asks again has another one, and gets what there is."""
    scripted.on("WatchBalances", Failure("UNAVAILABLE"), two_lamps)
    shown: list[int] = []
    once = RetryPolicy(maximum_attempts=1)
    with Client(scripted.target, retry=once, timeout=PATIENCE) as client:
        balances = WatchedBalances(client, BalanceFilter(), min_interval=timedelta(seconds=1))
        try:
            with pytest.raises(Unavailable):
                wait_for(lambda: list(balances.changed()) != [])

            def taken() -> bool:
                shown.extend(balance.available_to_reserve for balance in balances.changed())
                return shown != []

            wait_for(taken)
        finally:
            balances.close()
    assert shown == [2]
    assert len(scripted.calls("WatchBalances")) == 2
