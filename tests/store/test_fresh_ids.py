"""Ids that nobody can have used yet are not looked for, and every other one is."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.committer import Failure
from tests.ledger.world import figure, line
from tests.store.desk import Desk, post, reserve, uuid7

HOUR = 3_600_000_000
HOLD = reserve(line("", 1))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A store of its only writer, with bikes, asked once before."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        await desk.send(post(figure(1_000, "on_hand")))
        await desk.send(HOLD)
        yield desk


async def _looked(desk: Desk, request_id: bytes) -> bool:
    """Whether an id was looked for when it came; its order must have been taken."""
    with desk.statements() as seen:
        answered = await desk.send(HOLD, request_id=request_id)
    assert not answered.answer.replayed
    return any("FROM request_outcome" in text for text, _ in seen)


async def _one_outcome(desk: Desk, request_id: bytes) -> bool:
    """Whether a further copy of an id is answered with what the first one came to."""
    before = desk.rows("SELECT count(*) FROM reservation")
    again = await desk.send(HOLD, request_id=request_id)
    return again.answer.replayed and desk.rows("SELECT count(*) FROM reservation") == before


async def test_ids_that_rise_are_not_looked_for(desk: Desk) -> None:
    """As a client makes them, one after the other; and each has its one outcome."""
    ids = [desk.new_id() for _ in range(5)]
    assert [await _looked(desk, each) for each in ids] == [False] * 5
    assert [await _one_outcome(desk, each) for each in ids] == [True] * 5


MAKE: dict[str, Callable[[Desk], bytes]] = {
    "made a second ago": lambda desk: uuid7(desk.clock.now() - 1_000_000, 1),
    "of a clock two days ahead": lambda desk: uuid7(desk.clock.now() + 48 * HOUR, 1),
    "random": lambda _: uuid.UUID("c5a2f9e0-6d3b-4e21-9c1d-0f4b7a5e8d36").bytes,
}


@pytest.mark.parametrize("made", MAKE)
async def test_other_ids_are_looked_for_and_spoil_nothing(desk: Desk, made: str) -> None:
    """Each has its one outcome, and the ids that rise are still not looked for."""
    request_id = MAKE[made](desk)
    assert await _looked(desk, request_id)
    assert await _one_outcome(desk, request_id)
    assert not await _looked(desk, desk.new_id())


async def test_a_clock_an_hour_ahead_has_others_looked_for(desk: Desk) -> None:
    """Its ids are above all others: these may be repeats, as far as is known."""
    ahead = [uuid7(desk.clock.now() + HOUR, number) for number in (1, 2)]
    assert [await _looked(desk, each) for each in ahead] == [False, False]
    behind = desk.new_id()
    assert await _looked(desk, behind)
    assert [await _one_outcome(desk, each) for each in (*ahead, behind)] == [True] * 3
    desk.clock.advance(timedelta(hours=1, seconds=1))
    assert not await _looked(desk, desk.new_id())


async def test_after_a_restart_the_kept_ones_are_known(desk: Desk) -> None:
    """Their greatest is asked for once."""
    ids = [desk.new_id() for _ in range(3)]
    for each in ids:
        await _looked(desk, each)
    await desk.reopen()
    assert [await _one_outcome(desk, each) for each in ids] == [True] * 3
    assert [await _looked(desk, desk.new_id()) for _ in range(2)] == [False, False]


async def test_the_bounds_follow_the_clock(desk: Desk) -> None:
    """For weeks: twice a day the greatest id is asked for again."""
    asked = 0
    for _ in range(20):
        desk.clock.advance(timedelta(hours=7))
        request_id = desk.new_id()
        asked += await _looked(desk, request_id)
        assert not await _looked(desk, desk.new_id())
        assert await _one_outcome(desk, request_id)
    assert asked == 10


async def test_an_outcome_that_was_not_kept_is_looked_for(desk: Desk) -> None:
    """Its transaction failed: the id passes for known until the table says otherwise, and the retry takes place."""
    request_id = desk.new_id()
    desk.execute("CREATE TRIGGER refuse BEFORE INSERT ON slot_state BEGIN SELECT RAISE(ABORT, 'no'); END")
    desk.execute("CREATE TRIGGER refuse_too BEFORE UPDATE ON slot_state BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert (await desk.send(HOLD, request_id=request_id)).answer.failure is Failure.INTERNAL
    desk.execute("DROP TRIGGER refuse")
    desk.execute("DROP TRIGGER refuse_too")
    assert not (await desk.send(HOLD, request_id=request_id)).answer.replayed
    assert await _one_outcome(desk, request_id)
