"""One id, one outcome: in one batch, in two, after a restart, for effects and for refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.committer import Failure
from ringfence_server.ledger.commands import Reserve, SetPolicy
from ringfence_server.ledger.idempotency import EFFECTS_KEPT, REFUSALS_KEPT
from ringfence_server.ledger.outcomes import (
    Insufficient,
    Invalid,
    Posted,
    RequestIdReused,
    RequestTooOld,
    Reserved,
    RevisionMismatch,
)
from ringfence_server.ledger.policy import Policy
from tests.ledger.world import figure, line
from tests.store.desk import Desk, post, reserve, uuid7

BIKES = 10
HOLD = reserve(line("", 1))
TOO_MANY = reserve(line("", BIKES + 1))


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with ten bikes."""
    async with Desk(place) as desk:
        await desk.send(post(figure(BIKES, "on_hand")))
        yield desk


def held(desk: Desk) -> int:
    return sum(units for (units,) in desk.rows("SELECT held FROM pool"))


async def test_two_copies_in_one_batch_have_one_effect(desk: Desk) -> None:
    """The second is answered with the first one's bytes, marked as a repeat."""
    request_id = desk.new_id()
    first, second = await desk.send_all([HOLD, HOLD], request_id=request_id)
    assert isinstance(first.decision, Reserved)
    assert (first.answer.replayed, second.answer.replayed) == (False, True)
    assert second.answer.payload == first.answer.payload
    assert second.decision is None
    assert held(desk) == 1


@pytest.mark.parametrize("reopen", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("command", [HOLD, TOO_MANY], ids=["effect", "refusal"])
async def test_a_repeat_in_a_later_batch_gets_the_stored_bytes(desk: Desk, command: Reserve, reopen: bool) -> None:
    """Byte by byte, effect or refusal, with the server's time of now, however the stock has changed and also after a
    restart."""
    request_id = desk.new_id()
    first = await desk.send(command, request_id=request_id)
    await desk.send(post(figure(1_000, "on_hand")))
    desk.clock.advance(timedelta(minutes=1))
    if reopen:
        await desk.reopen()
    again = await desk.send(command, request_id=request_id)
    assert again.answer == first.answer._replace(replayed=True, server_time=desk.clock.now())
    assert again.decision is None
    assert held(desk) == (1 if command is HOLD else 0)


async def test_a_repeat_renews_no_lease(desk: Desk) -> None:
    """It touches nothing: the lease ends when the first request said."""
    request_id = desk.new_id()
    await desk.send(reserve(line("", 1), ttl=60_000_000), request_id=request_id)
    ends = await desk.any_store.next_due()
    desk.clock.advance(timedelta(seconds=59))
    assert (await desk.send(reserve(line("", 1), ttl=60_000_000), request_id=request_id)).answer.replayed
    assert await desk.any_store.next_due() == ends


async def test_a_refusal_is_the_outcome_of_all_copies(desk: Desk) -> None:
    """A late duplicate of a refused request does not succeed behind its caller's back when stock has come in; who wants
    another try takes a new id."""
    request_id = desk.new_id()
    first = await desk.send(TOO_MANY, request_id=request_id)
    assert isinstance(first.decision, Insufficient)
    await desk.send(post(figure(1_000, "on_hand")))
    again = await desk.send(TOO_MANY, request_id=request_id)
    assert (again.answer.refusal, again.answer.replayed) == (True, True)
    assert isinstance((await desk.send(TOO_MANY)).decision, Reserved)


@pytest.mark.parametrize("together", [False, True], ids=["two batches", "one batch"])
@pytest.mark.parametrize("first", [HOLD, TOO_MANY], ids=["effect", "refusal"])
async def test_another_payload_under_a_used_id_is_refused(desk: Desk, first: Reserve, together: bool) -> None:
    """REQUEST_ID_REUSED changes neither the stock nor what the id stands for."""
    request_id = desk.new_id()
    one = desk.submit(first, request_id=request_id, fingerprint=b"f" * 16)
    if not together:
        await one
    other = await desk.send(HOLD, request_id=request_id, fingerprint=b"g" * 16)
    assert isinstance(other.decision, RequestIdReused)
    assert (other.answer.refusal, other.answer.replayed) == (True, False)
    again = await desk.send(first, request_id=request_id, fingerprint=b"f" * 16)
    assert again.answer.payload == (await one).answer.payload
    assert held(desk) == (1 if first is HOLD else 0)


async def test_a_request_that_breaks_a_rule_of_form_has_no_outcome(desk: Desk) -> None:
    """INVALID_ARGUMENT is not stored: the same id may be sent again, corrected, even with another payload."""
    request_id = desk.new_id()
    invalid = await desk.send(reserve(line("", 1), ttl=10**15), request_id=request_id)
    assert isinstance(invalid.decision, Invalid)
    assert desk.rows("SELECT count(*) FROM request_outcome WHERE refusal_number > 0") == [(0,)]
    corrected = await desk.send(HOLD, request_id=request_id, fingerprint=b"g" * 16)
    assert isinstance(corrected.decision, Reserved)


async def test_an_id_belongs_to_its_caller(desk: Desk) -> None:
    """Another caller's request with the same id, and another organization's, are requests of their own, together in one
    batch or later."""
    request_id = desk.new_id()
    answered = await asyncio.gather(
        desk.submit(HOLD, request_id=request_id),
        desk.submit(HOLD, request_id=request_id, caller="marketplace"),
        desk.submit(TOO_MANY, request_id=request_id, organization="other"),
    )
    assert [each.answer.replayed for each in answered] == [False, False, False]
    later = await desk.send(HOLD, request_id=request_id, caller="shop")
    assert isinstance(later.decision, Reserved)
    assert held(desk) == 3
    repeats = [await desk.send(HOLD, request_id=request_id, caller=name) for name in ("webshop", "marketplace", "shop")]
    assert [each.answer.payload for each in repeats] == [
        answered[0].answer.payload,
        answered[1].answer.payload,
        later.answer.payload,
    ]
    assert held(desk) == 3


async def test_a_policy_is_set_once_whatever_comes_again(desk: Desk) -> None:
    """A change of policy is a request like any other: repeated it answers the same and sets nothing."""
    request_id = desk.new_id()
    command = SetPolicy(Policy(dimensions=("colour",)), 1)
    first, second = await desk.send_all([command, command], request_id=request_id)
    assert (first.answer.refusal, second.answer) == (False, first.answer._replace(replayed=True))
    assert desk.rows("SELECT organization, revision FROM policy") == [("default", 2)]
    refused = await desk.send(command)
    assert isinstance(refused.decision, RevisionMismatch)


async def test_a_request_older_than_what_is_kept_is_not_decided(desk: Desk) -> None:
    """An unknown UUIDv7 of more than 24 hours ago may have been refused and forgotten: REQUEST_TOO_OLD, and not
    stored."""
    old = uuid7(desk.clock.now() - REFUSALS_KEPT - 1_000, 1)
    answered = await desk.send(HOLD, request_id=old)
    assert answered.decision == RequestTooOld(desk.clock.now() - REFUSALS_KEPT)
    assert held(desk) == 0
    assert desk.rows("SELECT count(*) FROM request_outcome WHERE refusal_number > 0") == [(0,)]


async def test_a_known_effect_is_repeated_however_old_its_id_is(desk: Desk) -> None:
    """Effects are kept thirty days, far longer than an unknown id is taken for new."""
    request_id = desk.new_id()
    first = await desk.send(HOLD, request_id=request_id)
    desk.clock.advance(timedelta(microseconds=EFFECTS_KEPT))
    await desk.prune()
    again = await desk.send(HOLD, request_id=request_id)
    assert (again.answer.replayed, again.answer.payload) == (True, first.answer.payload)


async def test_a_request_past_its_deadline_is_not_executed_and_may_come_again(desk: Desk) -> None:
    """A deadline that passed in the queue is no outcome of the id."""
    request_id = desk.new_id()
    late = await desk.send(HOLD, request_id=request_id, deadline=asyncio.get_running_loop().time() - 1)
    assert (late.answer.failure, held(desk)) == (Failure.DEADLINE, 0)
    assert isinstance((await desk.send(HOLD, request_id=request_id)).decision, Reserved)


async def test_entries_name_the_request_that_caused_them(desk: Desk) -> None:
    """An outcome tells which ledger entries are its own; a repeat adds none."""
    request_id = desk.new_id()
    await desk.send_all([HOLD, reserve(line("", 2), line("", 3))])
    await desk.send_all([reserve(line("", 1), line("", 1)), HOLD], request_id=request_id)
    (first, last) = desk.rows(
        f"SELECT first_sequence, last_sequence FROM request_outcome WHERE request_id = {desk.bytes(request_id)}"
    )[0]
    mine = {number for (number,) in desk.rows("SELECT sequence FROM entry") if first < number <= last}
    caused = desk.rows(f"SELECT sequence FROM entry WHERE request_id = {desk.bytes(request_id)}")
    assert mine == {number for (number,) in caused}
    assert len(mine) == 2


async def test_time_never_goes_back(place: Path | str) -> None:
    """A server whose clock is behind the last batch goes on from that batch's instant: leases and ages count on."""
    ahead = ManualClock()
    async with Desk(place, ahead) as desk:
        ahead.advance(timedelta(hours=1))
        assert isinstance((await desk.send(post(figure(1, "on_hand")))).decision, Posted)
        latest = ahead.now()
    async with Desk(place, ManualClock()) as desk:
        assert (await desk.send(HOLD)).answer.server_time == latest
        times = desk.rows("SELECT record_time FROM entry ORDER BY sequence")
        assert times == sorted(set(times))
