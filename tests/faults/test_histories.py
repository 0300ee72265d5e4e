"""What clients see while servers die, put into one order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ringfence import Client
from tests.faults.serving import ServerProcess
from tests.faults.shoppers import Seen, Shopper, look_once_more, stock

SKUS: Final = ("BIKE", "LAMP", "VASE")
UNITS: Final = 60


def test_a_killed_server_leaves_one_order_of_everything(tmp_path: Path) -> None:
    """Shoppers whose server is killed three times, and who ask again what was not answered, see a history that is
    linearizable for every stock key."""
    server = ServerProcess(tmp_path)
    server.start()
    stock(server.target, SKUS, UNITS)
    seen = Seen()
    shoppers = [Shopper(number, [server.target], SKUS, seen) for number in range(6)]
    for shopper in shoppers:
        shopper.start()
    for _ in range(3):
        seen.wait_for_all(10, 60)
        server.kill()
        server.start()
    seen.wait_for_all(10, 60)
    for shopper in shoppers:
        shopper.stop()
    look_once_more(server.target, SKUS, seen)
    assert seen.failures, "the kills hit nothing"
    assert seen.judge(UNITS) > 200
    with Client(server.target) as client:
        assert client.verify().ok
    server.stop()
