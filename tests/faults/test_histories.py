"""What clients see while servers die, put into one order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ringfence import Client
from tests.faults.serving import ServerProcess
from tests.faults.shoppers import Seen, Shopper, look_once_more, stock

SKUS: Final = ("BIKE", "LAMP", "VASE")
UNITS: Final = 60
KILLS: Final = 3


def shop_and_kill(servers: list[ServerProcess]) -> None:
    """Shoppers on all servers, which are killed in turn; afterwards the histories are judged."""
    seen = Seen()
    for server in servers:
        server.start()
    targets = [server.target for server in servers]
    stock(targets[0], SKUS, UNITS)
    shoppers = [Shopper(number, targets, SKUS, seen) for number in range(6)]
    for shopper in shoppers:
        shopper.start()
    for number in range(KILLS):
        seen.wait_for_all(10, 120)
        server = servers[number % len(servers)]
        server.kill()
        server.start()
    seen.wait_for_all(10, 120)
    for shopper in shoppers:
        shopper.stop()
    for target in targets:
        look_once_more(target, SKUS, seen)
    assert seen.failures, "the kills hit nothing"
    assert seen.judge(UNITS) > 200
    with Client(targets[0]) as client:
        assert client.verify().ok
    for server in servers:
        server.stop()


def test_a_killed_server_leaves_one_order_of_everything(tmp_path: Path) -> None:
    """Shoppers whose server is killed three times, and who ask again what was not answered, see a history that is
    linearizable for every stock key."""
    shop_and_kill([ServerProcess(tmp_path)])


@pytest.mark.postgres
def test_servers_of_one_database_that_are_killed_leave_one_order_of_everything(
    tmp_path: Path, postgres_url: str
) -> None:
    """The same over three servers of one PostgreSQL database, killed in turn: what one answered, the others know, and
    what it left undone, another one finishes."""
    shop_and_kill([ServerProcess(tmp_path, postgres_url, name=f"server-{number}") for number in range(3)])
