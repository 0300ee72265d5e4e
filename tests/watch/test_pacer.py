"""The common pace of all watchers."""

import asyncio

from ringfence_server.watch import Pacer


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
