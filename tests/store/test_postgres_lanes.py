"""One server with several lanes: batches beside one another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence_server.ledger.outcomes import Insufficient, Reserved
from ringfence_server.ledger.policy import Policy
from tests.ledger.world import figure, line
from tests.store.audit import audit
from tests.store.desk import Desk, post, reserve
from tests.store.gates import gate
from tests.store.two_slots import HIGH, LOW, held

pytestmark = pytest.mark.postgres


@pytest.fixture
async def desk(postgres_place: str) -> AsyncIterator[Desk]:
    """A server with four lanes; the lamps go to different ones."""
    async with Desk(postgres_place, lanes=4) as desk:
        await desk.send(post(figure(10, "on_hand", sku=LOW), figure(10, "on_hand", sku=HIGH)))
        yield desk
        desk.look(lambda connection: audit(connection, Policy()))


async def test_lanes_do_not_wait_for_each_other(desk: Desk) -> None:
    """While one commits, another one sells something else."""
    with gate(desk, "COMMIT") as before_commit:
        first = asyncio.ensure_future(desk.send(reserve(line("", 1, sku=LOW))))
        await before_commit.reached()
        assert isinstance((await desk.send(reserve(line("", 1, sku=HIGH)))).decision, Reserved)
        assert not first.done()
    assert isinstance((await first).decision, Reserved)


async def test_lanes_sell_the_last_unit_once(desk: Desk) -> None:
    """Orders of both lamps, some with one first, some with the other: what is there is sold, and no more."""
    lamps = [line("", 1, sku=LOW), line("", 1, sku=HIGH)]
    answered = await asyncio.gather(
        *(desk.send(reserve(*(lamps if number % 2 else lamps[::-1]))) for number in range(30))
    )
    decisions = [type(each.decision) for each in answered]
    assert (decisions.count(Reserved), decisions.count(Insufficient)) == (10, 20)
    assert (held(desk, LOW), held(desk, HIGH)) == (10, 10)


async def test_all_lanes_are_emptied_before_the_end(desk: Desk) -> None:
    """What was taken is committed and answered."""
    waiting = [desk.submit(reserve(line("", 1, sku=sku))) for sku in (LOW, HIGH) * 5]
    await desk.committer.drain()
    assert all(each.done() for each in waiting)
    assert (held(desk, LOW), held(desk, HIGH)) == (5, 5)
