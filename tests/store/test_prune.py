"""Forgetting: when, in which steps, and that what was forgotten can have no second effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.idempotency import EFFECTS_KEPT, REFUSALS_KEPT
from ringfence_server.ledger.outcomes import Insufficient, RequestTooOld, Reserved
from ringfence_server.ledger.policy import DAY
from ringfence_server.store.postgres_prune import SLOTS_PER_STEP
from ringfence_server.store.prune import FEED_KEPT, ROWS_PER_STEP
from tests.ledger.world import figure, line
from tests.store.desk import Answered, Desk, post, reserve, uuid7

HOLD = reserve(line("", 1))
TOO_MANY = reserve(line("", 10**9))
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with a thousand bikes."""
    async with Desk(place) as desk:
        await desk.send(post(figure(1_000, "on_hand")))
        yield desk


def outcomes(desk: Desk) -> set[bytes]:
    return {request_id for (request_id,) in desk.rows("SELECT request_id FROM request_outcome")}


async def both(desk: Desk) -> tuple[Answered, Answered]:
    """An effect and a refusal, decided now."""
    effect, refusal = await desk.send_all([HOLD, TOO_MANY])
    assert isinstance(effect.decision, Reserved)
    assert isinstance(refusal.decision, Insufficient)
    return effect, refusal


async def test_refusals_are_kept_a_day_and_effects_thirty(desk: Desk) -> None:
    """To the millisecond, from the moment of the decision."""
    effect, refusal = await both(desk)
    assert (REFUSALS_KEPT, EFFECTS_KEPT) == (DAY, 30 * DAY)
    desk.clock.advance(timedelta(days=1))
    await desk.prune()
    assert outcomes(desk) >= {effect.request_id, refusal.request_id}
    desk.clock.advance(MILLISECOND)
    await desk.prune()
    assert effect.request_id in outcomes(desk)
    assert refusal.request_id not in outcomes(desk)
    desk.clock.advance(timedelta(days=29) - MILLISECOND)
    await desk.prune()
    assert effect.request_id in outcomes(desk)
    desk.clock.advance(MILLISECOND)
    await desk.prune()
    assert effect.request_id not in outcomes(desk)


async def test_what_was_forgotten_is_too_old_and_has_no_second_effect(desk: Desk) -> None:
    """A late duplicate of a forgotten request is refused as REQUEST_TOO_OLD, effect or refusal."""
    effect, refusal = await both(desk)
    desk.clock.advance(timedelta(days=31))
    await desk.prune()
    assert outcomes(desk) == set()
    entries = desk.rows(f"SELECT count(*) FROM entry WHERE request_id <> {desk.bytes(b'')}")
    for request_id in (effect.request_id, refusal.request_id):
        late = await desk.send(HOLD, request_id=request_id)
        assert isinstance(late.decision, RequestTooOld)
    assert desk.rows(f"SELECT count(*) FROM entry WHERE request_id <> {desk.bytes(b'')}") == entries


async def test_an_id_made_by_a_clock_that_runs_ahead_is_kept_until_its_own_time_is_over(desk: Desk) -> None:
    """Forgotten with the others it would still pass for new, and its duplicate would be carried out a second time."""
    ahead = uuid7(desk.clock.now() + 40 * DAY, 1)
    first = await desk.send(HOLD, request_id=ahead)
    desk.clock.advance(timedelta(days=41))
    await desk.prune()
    again = await desk.send(HOLD, request_id=ahead)
    assert (again.answer.replayed, again.answer.payload) == (True, first.answer.payload)
    # Where other servers write, too, the instant before which nothing takes place is brought forward once a minute.
    desk.clock.advance(MILLISECOND if desk.on_sqlite else timedelta(minutes=1))
    await desk.prune()
    assert isinstance((await desk.send(HOLD, request_id=ahead)).decision, RequestTooOld)


async def test_ids_without_a_time_are_kept_by_their_decision(desk: Desk) -> None:
    """A random UUID is kept as long as any other."""
    random_id = bytes.fromhex("ffffffffffff4fff8fffffffffffffff")
    await desk.send(TOO_MANY, request_id=random_id)
    desk.clock.advance(timedelta(days=1))
    await desk.prune()
    assert random_id in outcomes(desk)
    desk.clock.advance(MILLISECOND)
    await desk.prune()
    assert random_id not in outcomes(desk)


async def test_time_does_not_go_back_behind_what_was_forgotten(place: Path | str) -> None:
    """A clock that is set back after refusals were forgotten does not make their ids new again."""
    wrong = ManualClock()
    async with Desk(place, wrong) as desk:
        await desk.send(post(figure(1_000, "on_hand")))
        refused = await desk.send(reserve(line("", 2_000)))
        wrong.advance(timedelta(days=2))
        await desk.prune()
        assert refused.request_id not in outcomes(desk)
    async with Desk(place, ManualClock()) as desk:
        late = await desk.send(HOLD, request_id=refused.request_id)
        assert isinstance(late.decision, RequestTooOld)


class SettableClock(ManualClock):
    """A clock that somebody sets back."""

    def set_back(self, microseconds: int) -> None:
        self._now -= microseconds


async def test_time_does_not_go_back_in_a_running_server_either(place: Path | str) -> None:
    """The instant for which something was forgotten holds for the very next batch."""
    clock = SettableClock()
    async with Desk(place, clock) as desk:
        await desk.send(post(figure(1_000, "on_hand")))
        refused = await desk.send(reserve(line("", 2_000)))
        clock.advance(timedelta(days=2))
        await desk.prune()
        clock.set_back(2 * DAY)
        late = await desk.send(HOLD, request_id=refused.request_id)
        assert isinstance(late.decision, RequestTooOld)


async def test_nothing_is_forgotten_while_the_clock_is_in_doubt(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps by a month makes nothing older than the monotonic one says."""
    _, refusal = await both(desk)
    before = desk.clock.now()
    monkeypatch.setattr(desk.clock, "due_until", lambda: before)
    desk.clock.advance(timedelta(days=31))
    assert await desk.prune() == 0
    assert refusal.request_id in outcomes(desk)


async def test_a_step_looks_at_a_bounded_number_of_outcomes(desk: Desk) -> None:
    """However many are past their keeping; the next step goes on where it ended, and at the end a new round begins."""
    fill(desk, ROWS_PER_STEP * 2 + 10)
    steps = [await desk.any_store.prune() for _ in range(5)]
    assert steps == [ROWS_PER_STEP, ROWS_PER_STEP, 10, 0, 0]
    with desk.statements() as seen:
        await desk.any_store.prune()
    assert len(seen) <= 10


@pytest.mark.postgres
async def test_a_step_over_many_slots_is_brief(postgres_place: str) -> None:
    """It has a writing connection for itself: a few slots, a few statements each, a bounded piece of what one holds."""
    async with Desk(postgres_place) as desk:
        desk.execute(
            "INSERT INTO request_outcome SELECT 5, decode(lpad(to_hex(n), 30, '0') || '05', 'hex'), 1, "
            f"decode(repeat('00', 16), 'hex'), 0, '', 0, 0, 0 FROM generate_series(1, {ROWS_PER_STEP + 10}) AS n"
        )
        desk.execute(f"INSERT INTO feed SELECT 9, n, 0, '' FROM generate_series(1, {ROWS_PER_STEP + 10}) AS n")
        deleted, statements = [], []
        for _ in range(2 * 64 // SLOTS_PER_STEP + 1):
            with desk.statements() as seen:
                deleted.append(await desk.any_store.prune())
            statements.append(len(seen))
        assert [count for count in deleted if count] == [ROWS_PER_STEP, 10, ROWS_PER_STEP, 10]
        assert max(statements) <= 10 * SLOTS_PER_STEP
        assert desk.rows("SELECT (SELECT count(*) FROM request_outcome), (SELECT count(*) FROM feed)") == [(0, 0)]


async def test_what_is_kept_does_not_hide_what_lies_behind_it(desk: Desk) -> None:
    """A step that finds nothing to forget moves on all the same."""
    fill(desk, ROWS_PER_STEP, record_time=desk.clock.now())
    fill(desk, 10, first=99_999)
    assert [await desk.any_store.prune() for _ in range(3)] == [0, 10, 0]


async def test_ids_that_several_callers_share_are_all_looked_at(desk: Desk) -> None:
    """Also where a step ends between two of them."""
    fill(desk, ROWS_PER_STEP - 1)
    with desk.connection() as connection:
        for scope in (1, 2, 3):
            connection.exec_driver_sql(
                "INSERT INTO request_outcome VALUES (0, ?, ?, zeroblob(16), 0, x'', 0, 0, 0)", (b"\x90" * 16, scope)
            )
        connection.commit()
    assert [await desk.any_store.prune() for _ in range(2)] == [ROWS_PER_STEP, 2]


def fill(desk: Desk, count: int, *, record_time: int = 0, first: int = 0) -> None:
    """Adds outcomes of effects, decided at an instant, whose ids carry no time."""
    if not desk.on_sqlite:
        pytest.skip("filled by SQLite's own statements")
    with desk.connection() as connection:
        connection.exec_driver_sql("DELETE FROM feed")
        connection.exec_driver_sql("DELETE FROM request_outcome WHERE first_sequence > 0 OR last_sequence > 0")
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO request_outcome "
            "SELECT 0, CAST(printf('%05d%011d', ?, i) AS BLOB), 1, zeroblob(16), 0, x'', ?, 0, 0 FROM n",
            (count - 1, first, record_time),
        )
        connection.commit()


async def test_the_feed_is_kept_a_day(desk: Desk) -> None:
    """A watch that was away longer gets a fresh snapshot; the newest rows stay."""
    await desk.send(HOLD)
    kept = desk.rows("SELECT revision FROM feed")
    desk.clock.advance(timedelta(microseconds=FEED_KEPT))
    await desk.send(HOLD)
    await desk.prune()
    assert len(desk.rows("SELECT revision FROM feed")) == len(kept) + 1
    desk.clock.advance(timedelta(microseconds=2))
    await desk.prune()
    assert desk.rows("SELECT revision FROM feed") == desk.rows("SELECT max(revision) FROM slot_state")


async def test_a_step_takes_a_bounded_piece_of_the_feed(desk: Desk) -> None:
    """Rows of more than a day ago go a piece at a time, the oldest first."""
    if not desk.on_sqlite:
        pytest.skip("filled by SQLite's own statements")
    with desk.connection() as connection:
        connection.exec_driver_sql("DELETE FROM feed")
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO feed SELECT 0, i, 0, x'' FROM n",
            (ROWS_PER_STEP + 50,),
        )
        connection.commit()
    assert [await desk.any_store.prune() for _ in range(3)] == [ROWS_PER_STEP, 50, 0]
    assert desk.rows("SELECT count(*) FROM feed") == [(0,)]


async def test_a_forgotten_refusal_frees_no_number(desk: Desk) -> None:
    """A caller's refusals go on being counted where they were: what is bounded stays bounded after a day."""
    await desk.send_all([TOO_MANY] * 3)
    desk.clock.advance(timedelta(days=2))
    await desk.prune()
    await desk.send(TOO_MANY)
    assert desk.rows("SELECT refusals FROM caller") == [(4,)]
    assert desk.rows("SELECT refusal_number FROM request_outcome WHERE refusal_number > 0") == [(4,)]
