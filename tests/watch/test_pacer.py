"""The common pace of all watchers, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from ringfence_server.watch import Meter, Pacer, pacer
from ringfence_server.watch.pacer import BUSY_SHARE, OVERDUE_SHARE, PATIENCE_SECONDS
from tests.watch.virtual import run


class Server:
    """A server that is busy or not, and watchers that deliver."""

    def __init__(self, *, per_second: float, burst: int, busy: bool = False) -> None:
        self.busy = busy
        self.pacer = Pacer(per_second=per_second, burst=burst, is_busy=lambda: self.busy)
        self.starts: list[float] = []
        """When each delivery began, in the order in which they did."""
        self.order: list[int] = []

    async def deliver(self, number: int = 0, cost: float = 0.0) -> None:
        """One delivery that costs so much processor time."""
        await self.pacer.turn()
        self.starts.append(asyncio.get_running_loop().time())
        self.order.append(number)
        self.pacer.spent(cost)

    async def get_used_to(self, cost: float) -> None:
        """Deliveries have cost so much for a while."""
        for _ in range(100):
            self.pacer.spent(cost)

    def gaps(self) -> list[float]:
        """Between one delivery and the next."""
        return [after - before for before, after in zip(self.starts, self.starts[1:], strict=False)]


def test_deliveries_beyond_the_burst_wait_their_turn() -> None:
    """Of many deliveries wanted at once the burst goes through at once, the rest at the pace, in their order."""

    async def main() -> None:
        await asyncio.sleep(1)
        server = Server(per_second=2_000, burst=5)
        await asyncio.gather(*(server.deliver(number) for number in range(45)))
        assert server.order == list(range(45))
        assert server.starts[-1] - server.starts[0] == pytest.approx(39 / 2_000, abs=1e-6)

    run(main())


def test_a_delivery_that_was_given_up_takes_no_turn_from_others() -> None:
    """A watcher that goes away while it waits does not hold up those behind it."""

    async def main() -> None:
        server = Server(per_second=500, burst=1)
        await server.deliver()
        first, second = asyncio.ensure_future(server.deliver()), asyncio.ensure_future(server.deliver())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert server.gaps() == [pytest.approx(1 / 500, abs=1e-6)]

    run(main())


@pytest.mark.parametrize("cost", [0.0005, 0.004])
def test_deliveries_take_a_small_share_of_a_busy_server(cost: float) -> None:
    """While it is busy they start as far apart as their cost is a share of the time: none is let in by a burst."""

    async def main() -> None:
        await asyncio.sleep(1)
        server = Server(per_second=1_000, burst=50, busy=True)
        await server.get_used_to(cost)
        await asyncio.gather(*(server.deliver(cost=cost) for _ in range(20)))
        assert server.gaps() == [pytest.approx(cost / BUSY_SHARE, rel=0.01)] * 19
        server.busy = False
        await asyncio.sleep(1)
        server.starts.clear()
        await asyncio.gather(*(server.deliver(cost=cost) for _ in range(20)))
        assert server.gaps() == [pytest.approx(0, abs=1e-6)] * 19

    run(main())


def test_the_pace_follows_what_deliveries_cost() -> None:
    """A single dear one makes little difference; when all become ten times as dear, they become ten times as rare."""

    async def main() -> None:
        server = Server(per_second=1_000, burst=1, busy=True)
        await server.get_used_to(0.001)
        await server.deliver(cost=0.002)
        await server.deliver(cost=0.001)
        await server.deliver(cost=0.001)
        assert server.gaps()[1] == pytest.approx(0.0011 / BUSY_SHARE, rel=0.01)
        for _ in range(60):
            await server.deliver(cost=0.01)
        assert server.gaps()[-1] == pytest.approx(0.01 / BUSY_SHARE, rel=0.01)

    run(main())


def test_nobody_waits_for_ever_on_a_busy_server() -> None:
    """Once the first in line has waited ten seconds, deliveries take up to half of the time: the wait is bounded by
    what all of them cost, not by how long the server stays busy."""

    async def main() -> None:
        server = Server(per_second=1_000, burst=1, busy=True)
        cost, watchers = 0.01, 1_000
        await server.get_used_to(cost)
        await asyncio.gather(*(server.deliver(number, cost) for number in range(watchers)))
        patient = PATIENCE_SECONDS * BUSY_SHARE / cost
        bound = PATIENCE_SECONDS + (watchers - patient) * cost / OVERDUE_SHARE
        assert server.starts[-1] - server.starts[0] == pytest.approx(bound, rel=0.02)
        assert server.order == list(range(watchers))

    run(main())


def test_a_meter_counts_what_its_own_thread_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time of the pieces it is put around, and nothing of what happens between them."""
    spent = iter([1.0, 1.5, 7.0, 7.25])
    monkeypatch.setattr(pacer, "thread_time", lambda: next(spent))
    meter = Meter(0.125)
    with meter:
        pass
    with meter:
        pass
    assert meter.seconds == 0.125 + 0.5 + 0.25
