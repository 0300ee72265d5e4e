"""Valuing keys anew in the background: every piece, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from ringfence_server.committer import revaluer
from ringfence_server.committer.revaluer import Revaluer
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.work import StoreUnavailable
from tests.ledger.world import key


class Walked:
    """A store of three pieces of keys that an older formula valued, and the committer that values them."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        """What valuing a piece raises, one after the other; None: nothing."""
        self.valued: list[str] = []
        self.walks: asyncio.Queue[None] = asyncio.Queue()
        """An entry for each time that the last piece was asked for."""

    async def stale_keys(self, after: int, most: int) -> tuple[Sequence[StockKey], int]:
        """As of a store."""
        if after == 2:
            self.walks.put_nowait(None)
        return [key(f"S-{after}")], (after + 1) % 3

    async def revalue(self, keys: Sequence[StockKey]) -> None:
        """As of a committer."""
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.valued += [each.sku for each in keys]


@asynccontextmanager
async def walking(walked: Walked) -> AsyncIterator[Revaluer]:
    """It runs."""
    made = Revaluer(walked, walked)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _walk(walked: Walked) -> None:
    async with asyncio.timeout(60):
        await walked.walks.get()
    # The last piece is valued without waiting for anything.
    for _ in range(3):
        await asyncio.sleep(0)


async def test_it_walks_once_at_the_start_and_once_for_each_change_of_policy() -> None:
    """Piece by piece, to the end."""
    walked = Walked()
    async with walking(walked) as made:
        await _walk(walked)
        assert walked.valued == ["S-0", "S-1", "S-2"]
        made.policy_changed()
        await _walk(walked)
    assert walked.valued == ["S-0", "S-1", "S-2"] * 2


async def test_a_store_that_is_away_costs_no_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The piece that could not be valued is asked for again."""
    monkeypatch.setattr(revaluer, "_RETRY_SECONDS", 0)
    walked = Walked(None, StoreUnavailable("away"), StoreUnavailable("away"))
    async with walking(walked):
        await _walk(walked)
    assert walked.valued == ["S-0", "S-1", "S-2"]


async def test_a_fault_does_not_end_the_walks_for_good() -> None:
    """The next change of policy is walked for all the same."""
    walked = Walked(ValueError("a fault of ours"))
    async with walking(walked) as made:
        for _ in range(5):
            await asyncio.sleep(0)
        assert walked.valued == []
        made.policy_changed()
        await _walk(walked)
    assert walked.valued == ["S-0", "S-1", "S-2"]
