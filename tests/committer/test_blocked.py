"""Requests that somebody blocks: they are told so, and nobody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from ringfence_server.committer import CommitterLimits, Failure
from ringfence_server.committer.work import BatchWork
from ringfence_server.ledger.commands import DEFAULT_LEASE, Command, Reserve, ReserveLine
from ringfence_server.ledger.work import RequestsBlocked, Work
from tests.committer.conftest import Desk
from tests.committer.memory import MemoryStore, key


def reserve(*skus: str) -> Command:
    """An order of one of each."""
    lines = (ReserveLine(str(number), key(sku), "", 1, None) for number, sku in enumerate(skus, 1))
    return Reserve(tuple(lines), "", DEFAULT_LEASE, False, False)


def block(store: MemoryStore, skus: Collection[str]) -> None:
    """From now on the first of these that a transaction needs is blocked, and so is whatever has no requests."""

    def rejects(work: Work) -> Exception | None:
        assert isinstance(work, BatchWork)
        if not work.requests:
            return RequestsBlocked(())
        wanted = [{line.key.sku for line in request.command.lines} for request in work.requests]  # type: ignore[union-attr]
        for sku in skus:
            places = [place for place, each in enumerate(wanted) if sku in each]
            if places:
                return RequestsBlocked(places)
        return None

    store.rejects = rejects


@pytest.fixture
def limits() -> CommitterLimits:
    """No patience with a store: every failure took long. All there is for what is blocked."""
    return CommitterLimits(store_patience_seconds=0, blocked_patience_seconds=600)


async def submit_together(desk: Desk, *orders: Command) -> None:
    """Puts orders in one batch, behind one that is on its way."""
    desk.store.hold()
    desk.caller.submit(0, reserve("BIKE"))
    await desk.store.entered.wait()
    for number, order in enumerate(orders, 1):
        desk.caller.submit(number, order)


async def failures(desk: Desk) -> list[Failure | None]:
    """Of all that was submitted, but for the first."""
    return [answer.failure for answer in await desk.caller.all()][1:]


async def test_what_is_blocked_fails_and_the_rest_of_its_batch_is_committed(desk: Desk) -> None:
    """Once and together; whoever is blocked may send the same request again, and hears before the others do."""
    block(desk.store, ["LAMP"])
    await submit_together(desk, reserve("BIKE"), reserve("LAMP"), reserve("LAMP", "BIKE"), reserve("BIKE"))
    desk.store.let_go()
    assert await failures(desk) == [None, Failure.STORE, Failure.STORE, None]
    assert desk.store.batches == [1, 4, 2]
    assert desk.caller.order == [0, 2, 3, 1, 4]
    assert all(len(answers) == 1 for answers in desk.caller.answers.values())
    assert (desk.store.free("LAMP"), desk.store.free("BIKE")) == (100, 97)
    block(desk.store, [])
    assert not (await desk.caller.submit(9, reserve("LAMP"), id_number=2)).replayed
    assert desk.store.free("LAMP") == 99


async def test_more_may_turn_out_to_be_blocked(desk: Desk) -> None:
    """As often as something does, the batch is begun again with what is left."""
    block(desk.store, ["LAMP", "VASE", "SOFA"])
    await submit_together(desk, *(reserve(sku) for sku in ("SOFA", "VASE", "LAMP", "BIKE")))
    desk.store.let_go()
    assert await failures(desk) == [Failure.STORE] * 3 + [None]
    assert desk.store.batches == [1, 4, 3, 2, 1]


async def test_a_batch_of_which_all_is_blocked_commits_nothing(desk: Desk) -> None:
    """And the next one is tried."""
    block(desk.store, ["LAMP"])
    await submit_together(desk, reserve("LAMP"), reserve("LAMP"))
    desk.store.let_go()
    assert await failures(desk) == [Failure.STORE] * 2
    assert desk.store.batches == [1, 2]
    assert (await desk.caller.submit(9, reserve("BIKE"))).failure is None


async def test_what_waits_behind_goes_on(desk: Desk) -> None:
    """However long it took to find out: the store is not away."""
    block(desk.store, ["LAMP"])
    desk.store.hold()
    blocked = desk.caller.submit(0, reserve("LAMP"))
    await desk.store.entered.wait()
    behind = desk.caller.submit(1, reserve("BIKE"))
    desk.store.let_go()
    assert (await blocked).failure is Failure.STORE
    assert (await behind).failure is None


async def test_a_sweep_that_is_blocked_fails_nobody_else(desk: Desk) -> None:
    """Its caller hears, and what waits is committed."""
    block(desk.store, [])
    desk.store.hold()
    sweep = asyncio.ensure_future(desk.committer.sweep())
    await desk.store.entered.wait()
    behind = desk.caller.submit(1, reserve("BIKE"))
    desk.store.let_go()
    with pytest.raises(RequestsBlocked):
        await sweep
    assert (await behind).failure is None


class TestWithoutPatience:
    """A batch that was tried for as long as a caller can wait."""

    @pytest.fixture
    def limits(self) -> CommitterLimits:
        """Of a committer that has none."""
        return CommitterLimits(store_patience_seconds=0, blocked_patience_seconds=0)

    async def test_all_of_the_batch_hears_now(self, desk: Desk) -> None:
        """It is not begun again; what waits behind it is tried."""
        block(desk.store, ["LAMP"])
        desk.store.hold()
        desk.caller.submit(0, reserve("BIKE"))
        await desk.store.entered.wait()
        desk.caller.submit(1, reserve("BIKE"))
        desk.caller.submit(2, reserve("LAMP"))
        desk.store.let_go()
        assert await failures(desk) == [Failure.STORE] * 2
        assert desk.store.batches == [1, 2]
        assert (await desk.caller.submit(9, reserve("BIKE"))).failure is None
