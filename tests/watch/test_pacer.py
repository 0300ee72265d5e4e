"""The common pace of all watchers."""

import asyncio

from ringfence_server.watch import Pacer
from ringfence_server.watch.pacer import BUSY_SHARE


async def test_deliveries_beyond_the_burst_wait_their_turn() -> None:
    """Of many deliveries wanted at once the burst goes through at once, the rest at the pace, in their order."""
    pacer = Pacer(per_second=2_000, burst=5)
    loop = asyncio.get_running_loop()
    order: list[int] = []

    async def deliver(number: int) -> None:
        await pacer.turn()
        order.append(number)

    started = loop.time()
    await asyncio.gather(*(deliver(number) for number in range(45)))
    assert order == list(range(45))
    assert loop.time() - started >= 38 / 2_000


async def test_a_delivery_that_was_given_up_takes_no_turn_from_others() -> None:
    """A watcher that goes away while it waits does not hold up those behind it."""
    pacer = Pacer(per_second=500, burst=1)
    await pacer.turn()
    first, second = asyncio.ensure_future(pacer.turn()), asyncio.ensure_future(pacer.turn())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 5)


async def test_deliveries_take_a_small_share_of_a_busy_server() -> None:
    """While commands wait, a delivery that cost 4 ms keeps the next one back for its share of the time; an idle server
    delivers at once."""
    busy = True
    pacer = Pacer(per_second=10_000, burst=1, is_busy=lambda: busy)
    loop = asyncio.get_running_loop()

    async def deliver() -> float:
        await pacer.turn()
        pacer.spent(0.004)
        return loop.time()

    await deliver()
    started = loop.time()
    await deliver()
    assert loop.time() - started >= 0.004 / BUSY_SHARE - 0.005
    busy = False
    await pacer.turn()
    started = loop.time()
    for _ in range(3):
        await deliver()
    assert loop.time() - started < 0.004 / BUSY_SHARE
