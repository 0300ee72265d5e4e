"""A committer on a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from ringfence_server.committer import Answer, Committer, CommitterLimits
from ringfence_server.ledger.commands import DEFAULT_LEASE, Command, Figure, Lease, PostStock, Reserve, ReserveLine
from ringfence_server.ledger.work import Committed
from tests.committer.memory import Caller, MemoryStore, key


class Desk(NamedTuple):
    """What a test works with."""

    store: MemoryStore
    committer: Committer
    caller: Caller
    told: list[Committed]
    """What the committer's listener heard."""


@pytest.fixture
def limits() -> CommitterLimits:
    """The committer's bounds; a test module may give its own."""
    return CommitterLimits()


@pytest.fixture
async def desk(limits: CommitterLimits) -> AsyncIterator[Desk]:
    """A running committer; its store has 100 lamps and 100 bikes at the north store."""
    store, told = MemoryStore(), list[Committed]()
    committer = Committer(store, limits=limits, on_commit=told.append)
    committer.start()
    setup = Caller(committer)
    figures = tuple(Figure(key(sku), "on_hand", 100, False, 0, None, None) for sku in ("LAMP", "BIKE"))
    await setup.submit(1_000_000, PostStock("wms", figures))
    store.batches.clear()
    told.clear()
    yield Desk(store, committer, Caller(committer), told)
    store.let_go()
    await committer.drain()


def reserve(quantity: int, sku: str = "LAMP", lease: Lease = DEFAULT_LEASE) -> Command:
    """An order of one line from the common pool."""
    return Reserve((ReserveLine("1", key(sku), "", quantity, None),), "", lease, False, False)


def names(answers: list[Answer]) -> list[str]:
    """What the payloads say was decided."""
    return [answer.payload.decode().partition("@")[0] for answer in answers]


async def hold_one(desk: Desk) -> None:
    """A transaction is under way with one request, numbered 0; what comes now has to wait."""
    desk.store.hold()
    desk.caller.submit(0, reserve(1))
    await desk.store.entered.wait()
