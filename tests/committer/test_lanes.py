"""Lanes: what a committer commits beside one another, and in which batches."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import pytest

from ringfence_server.committer import Committer, Draining, Request
from ringfence_server.committer.lanes import LaneQueue
from ringfence_server.ledger.commands import DEFAULT_LEASE, Command, Figure, PostStock, Reserve, ReserveLine
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.work import Committed, Work
from tests.committer.memory import Caller, MemoryStore, key


def reserve(sku: str) -> Command:
    return Reserve((ReserveLine("1", key(sku), "", 1, None),), "", DEFAULT_LEASE, False, False)


class BySku:
    """Lamps in one lane; bikes and boats in the other, in batches of their own."""

    lanes = 2

    def route(self, organization: str, caller: str, command: Command) -> tuple[int, Hashable]:
        if not isinstance(command, Reserve):
            return 0, None
        sku = command.lines[0].key.sku
        return int(sku != "LAMP"), sku


class SlowStore(MemoryStore):
    """Holds batches of lamps until it is let go; counts how many are under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.lamps = asyncio.Event()
        self.skus: list[list[str]] = []

    async def run(self, work: Work) -> Committed:
        skus = [pools.sku for pools in work.needs({"default": Policy()}, {}).pools]
        requests = getattr(work, "requests", ())
        if requests and all(isinstance(each.command, Reserve) for each in requests):
            self.skus.append(sorted(skus))
            if "LAMP" in skus:
                await self.lamps.wait()
        return await super().run(work)


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


async def test_a_lane_that_waits_holds_up_no_other(store: SlowStore) -> None:
    """Bikes and boats are sold while the lamps have to wait; a batch is of one lane, and of one group."""
    committer = Committer(store, routes=BySku())
    committer.start()
    caller = Caller(committer)
    figures = tuple(Figure(key(sku), "on_hand", 100, False, 0, None, None) for sku in ("LAMP", "BIKE", "BOAT"))
    await caller.submit(1_000_000, PostStock("wms", figures))
    lamps = [caller.submit(number, reserve("LAMP")) for number in range(3)]
    others = [caller.submit(10 + number, reserve(sku)) for number, sku in enumerate(("BIKE", "BOAT", "BIKE", "BOAT"))]
    await asyncio.gather(*others)
    assert not any(each.done() for each in lamps)
    assert store.skus == [["LAMP"], ["BIKE"], ["BOAT"]]
    store.lamps.set()
    await asyncio.gather(*lamps)
    await committer.drain()
    with pytest.raises(Draining):
        caller.submit(99, reserve("BIKE"))
    assert committer.queued_lines == 0


def test_groups_take_turns() -> None:
    """However much of one group waits, another one's next batch comes after its own."""
    queue = LaneQueue()
    for number, group in enumerate((1, 1, 1, 2, 1)):
        queue.put(_request(number), group)
    taken = [[request.weight for request in queue.take(2, 100)] for _ in range(3)]
    assert taken == [[1, 2], [4], [3, 5]]
    assert not queue


def _request(number: int) -> Request:
    return Request(
        organization="default",
        caller="webshop",
        scope=1,
        request_id=number.to_bytes(16, "big"),
        fingerprint=b"",
        command=reserve("LAMP"),
        weight=number + 1,
        deadline=None,
        encode=lambda *_: b"",
        sink=lambda *_: None,
    )
