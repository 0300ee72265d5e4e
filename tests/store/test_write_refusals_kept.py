"""Refusals are kept for a day, and of one caller not more than a number: what is forgotten is not decided anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.ledger.idempotency import scope_of
from ringfence_server.ledger.outcomes import Insufficient, RequestTooOld, Reserved
from tests.ledger.world import figure, line
from tests.store.desk import CALLER, ORGANIZATION, Answered, Desk, post, reserve, uuid7

KEPT = 5
HOLD = reserve(line("", 1))
TOO_MANY = reserve(line("", 1_000))
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with ten bikes that keeps five refusals of a caller."""
    async with Desk(place, refusals_kept=KEPT) as desk:
        await desk.send(post(figure(10, "on_hand")))
        yield desk


async def refuse(desk: Desk, count: int, caller: str = CALLER) -> list[Answered]:
    """Refuses requests made a millisecond apart, each in a batch of its own."""
    answered = []
    for _ in range(count):
        answered.append(await desk.send(TOO_MANY, caller=caller))
        desk.clock.advance(MILLISECOND)
    assert all(isinstance(each.decision, Insufficient) for each in answered)
    return answered


def kept(desk: Desk, caller: str = CALLER) -> list[bytes]:
    scope = scope_of(ORGANIZATION, caller)
    rows = desk.rows(
        f"SELECT request_id FROM request_outcome WHERE scope = {scope} AND refusal_number > 0 ORDER BY refusal_number"
    )
    return [row[0] for row in rows]


async def test_the_newest_refusals_of_a_caller_are_kept(desk: Desk) -> None:
    """However many there are, together in a batch or one by one; each that is kept still answers its repeats."""
    answered = await refuse(desk, 3)
    answered += await desk.send_all([TOO_MANY] * 20)
    answered += await refuse(desk, 2)
    newest = answered[-KEPT:]
    assert kept(desk) == [each.request_id for each in newest]
    for each in newest:
        again = await desk.send(TOO_MANY, request_id=each.request_id)
        assert (again.answer.replayed, again.answer.payload) == (True, each.answer.payload)


async def test_a_forgotten_refusal_is_too_old_rather_than_decided_anew(desk: Desk) -> None:
    """The caller's horizon moves up with what is forgotten: a late duplicate does not succeed behind its back."""
    answered = await refuse(desk, KEPT + 3)
    await desk.send(post(figure(100_000, "on_hand")))
    for forgotten in answered[:3]:
        late = await desk.send(TOO_MANY, request_id=forgotten.request_id)
        assert isinstance(late.decision, RequestTooOld)
    assert desk.rows("SELECT held FROM pool") == [(0,)]


async def test_the_answer_says_from_when_ids_are_known(desk: Desk) -> None:
    """An id made with the newest forgotten refusal is too old, one made a millisecond later is new."""
    answered = await refuse(desk, KEPT + 1)
    forgotten = int.from_bytes(answered[0].request_id[:6], "big") * 1_000
    late = await desk.send(HOLD, request_id=uuid7(forgotten, 99))
    assert late.decision == RequestTooOld(forgotten + 1_000)
    assert isinstance((await desk.send(HOLD, request_id=uuid7(forgotten + 1_000, 99))).decision, Reserved)


async def test_effects_are_not_counted_and_not_forgotten(desk: Desk) -> None:
    """Only refusals can be made without end; an effect older than the horizon still answers its repeat."""
    effects = [await desk.send(HOLD) for _ in range(KEPT + 2)]
    desk.clock.advance(MILLISECOND)
    await refuse(desk, KEPT + 1)
    for effect in effects:
        again = await desk.send(HOLD, request_id=effect.request_id)
        assert (again.answer.replayed, again.answer.payload) == (True, effect.answer.payload)


async def test_one_caller_s_refusals_cost_another_nothing(desk: Desk) -> None:
    """The bound and the horizon are a caller's own."""
    (other,) = await refuse(desk, 1, caller="marketplace")
    made = desk.clock.now()
    desk.clock.advance(MILLISECOND)
    await refuse(desk, KEPT * 3)
    assert (await desk.send(TOO_MANY, request_id=other.request_id, caller="marketplace")).answer.replayed
    assert isinstance((await desk.send(HOLD, request_id=uuid7(made, 99), caller="marketplace")).decision, Reserved)
    assert isinstance((await desk.send(HOLD, request_id=uuid7(made, 98))).decision, RequestTooOld)


async def test_the_bound_outlives_a_restart(desk: Desk) -> None:
    """Counting goes on and the horizon stays: both stand in the file, written with the refusals themselves."""
    answered = await refuse(desk, KEPT + 2)
    await desk.reopen()
    assert isinstance((await desk.send(TOO_MANY, request_id=answered[0].request_id)).decision, RequestTooOld)
    answered += await refuse(desk, 1)
    assert kept(desk) == [each.request_id for each in answered[-KEPT:]]
    assert isinstance((await desk.send(TOO_MANY, request_id=answered[2].request_id)).decision, RequestTooOld)


async def test_a_batch_that_fails_forgets_nothing(desk: Desk) -> None:
    """What a refusal pushes out is gone when the refusal is there, not before."""
    answered = await refuse(desk, KEPT)
    step = 1 if desk.on_sqlite else 64
    # The next entry's number is taken: the whole batch is refused.
    desk.execute(
        f"INSERT INTO entry SELECT slot, (SELECT max(last_sequence) + {step} FROM slot_state) + slot, stock_id, 0, 1, "
        f"1, 1, 0, 2, 0, {desk.bytes(b'')}, 0, 0, {desk.bytes(b'')}, '', 1, 1 FROM stock"
    )
    both = await desk.send_all([TOO_MANY, HOLD])
    assert [each.answer.failure is None for each in both] == [True, False]
    assert kept(desk) == [each.request_id for each in (*answered[1:], both[0])]


async def test_a_wrong_clock_does_not_make_right_ids_old(desk: Desk) -> None:
    """Refusals of ids that lie ahead of the server's time are bounded too, without moving the horizon there."""
    tomorrow = desk.clock.now() + 24 * 3_600_000_000
    for number in range(KEPT * 2):
        await desk.send(TOO_MANY, request_id=uuid7(tomorrow, number))
    assert len(kept(desk)) == KEPT
    assert isinstance((await desk.send(HOLD)).decision, Reserved)


async def test_ids_without_a_time_are_bounded_too(desk: Desk) -> None:
    """A random UUID says nothing of its age: forgotten, it is new. The bundled client sends UUIDv7."""
    random_id = bytes.fromhex("0000000000004000800000000000000a")
    assert isinstance((await desk.send(TOO_MANY, request_id=random_id)).decision, Insufficient)
    await refuse(desk, KEPT)
    assert random_id not in kept(desk)
    await desk.send(post(figure(100_000, "on_hand")))
    assert isinstance((await desk.send(TOO_MANY, request_id=random_id)).decision, Reserved)


async def test_the_horizon_never_goes_back(desk: Desk) -> None:
    """Not when what is forgotten next has no time, or is older than what went before it."""
    answered = await refuse(desk, KEPT + 3)
    for number in range(KEPT * 2):
        await desk.send(TOO_MANY, request_id=number.to_bytes(6, "big") + bytes.fromhex("40008000000000000000"))
    await desk.send(post(figure(100_000, "on_hand")))
    for forgotten in answered:
        assert isinstance((await desk.send(TOO_MANY, request_id=forgotten.request_id)).decision, RequestTooOld)


async def test_a_caller_that_is_never_refused_leaves_no_row(desk: Desk) -> None:
    """What the bound costs is one row for each caller that was refused."""
    await desk.send_all([HOLD] * 3, caller="quiet")
    await refuse(desk, 2)
    assert desk.rows("SELECT scope, refusals FROM caller") == [(scope_of(ORGANIZATION, CALLER), 2)]
