"""Keys that an older formula valued are found, piece by piece, wherever they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence_server.ledger.commands import SetPolicy
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Policy, SupplyTerm
from tests.ledger.world import figure, key
from tests.store.desk import Desk, post

KEYS = 100


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store that knows a hundred keys, on PostgreSQL in nearly every slot."""
    async with Desk(place) as desk:
        await desk.send(post(*(figure(10, "on_hand", sku=f"S-{number}") for number in range(KEYS))))
        yield desk


async def found(desk: Desk, most: int) -> list[StockKey]:
    """What the walk comes to, in pieces of so many keys."""
    keys: list[StockKey] = []
    after = 0
    while True:
        piece, after = await desk.any_store.stale_keys(after, most)
        assert len(piece) <= most
        keys += piece
        if not after:
            return keys


async def test_every_key_is_found_once_and_none_that_was_valued_anew(desk: Desk) -> None:
    """In pieces that end within slots, at their ends, or never; one piece valued leaves the others."""
    assert await found(desk, 7) == []
    doubled = Policy(supply=(SupplyTerm("on_hand", 1), SupplyTerm("safety_stock", -2)))
    assert not (await desk.send(SetPolicy(doubled, 1))).answer.refusal
    every = {key(f"S-{number}") for number in range(KEYS)}
    for most in (1, 7, KEYS, KEYS + 1):
        keys = await found(desk, most)
        assert (len(keys), set(keys)) == (KEYS, every)
    valued, _ = await desk.any_store.stale_keys(0, 30)
    await desk.committer.revalue(valued)
    assert sorted(await found(desk, 7)) == sorted(every - set(valued))


async def test_a_store_that_never_had_a_policy_walks_no_keys(desk: Desk) -> None:
    """A start need not read a million of them."""
    with desk.statements() as seen:
        assert await desk.any_store.stale_keys(0, 10) == ([], 0)
    assert not [text for text, _ in seen if "FROM stock" in text]
