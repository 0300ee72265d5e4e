"""Group commit: what waits together is committed together, and nobody suffers for another."""

from __future__ import annotations

import asyncio

import pytest

from ringfence_server.committer import Answer, CommitterLimits, Failure
from ringfence_server.ledger.commands import (
    DEFAULT_LEASE,
    Allocate,
    AllocationLine,
    Command,
    Reserve,
    ReserveLine,
    SetPolicy,
)
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.work import BatchRejected, StoreUnavailable, Work
from tests.committer.conftest import Desk, hold_one, names, reserve
from tests.committer.memory import explode, key, request_id


def set_policy(revision: int) -> Command:
    """A policy with one level, on top of a revision."""
    return SetPolicy(Policy(dimensions=("colour",)), revision)


async def test_what_queues_up_while_a_transaction_runs_is_the_next_batch(desk: Desk) -> None:
    """Three requests that came during one transaction share the next one, and its revision."""
    await hold_one(desk)
    for number in (1, 2, 3):
        desk.caller.submit(number, reserve(1))
    desk.store.let_go()
    answers = await desk.caller.all()
    assert desk.store.batches == [1, 3]
    assert [answer.payload for answer in answers] == [b"Reserved@2", b"Reserved@3", b"Reserved@3", b"Reserved@3"]
    assert desk.store.free("LAMP") == 96


async def test_a_lone_request_waits_for_nobody(desk: Desk) -> None:
    """One request after the other is one transaction each: there is no pause to gather more."""
    for number in range(3):
        await desk.caller.submit(number, reserve(1))
    assert desk.store.batches == [1, 1, 1]


async def test_requests_are_decided_in_the_order_they_came(desk: Desk) -> None:
    """Of two orders for more than half, the first gets it."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(60))
    desk.caller.submit(2, reserve(60))
    desk.caller.submit(3, reserve(39))
    desk.store.let_go()
    assert names(await desk.caller.all()) == ["Reserved", "Reserved", "Insufficient", "Reserved"]
    assert desk.caller.order == [0, 1, 2, 3]


async def test_a_refusal_touches_no_other(desk: Desk) -> None:
    """The refused one of a batch moves nothing; those before and behind it are carried out."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(10))
    desk.caller.submit(2, reserve(1_000))
    desk.caller.submit(3, reserve(10))
    desk.store.let_go()
    answers = await desk.caller.all()
    assert [answer.refusal for answer in answers] == [False, False, True, False]
    assert desk.store.free("LAMP") == 79


async def test_a_poisoned_command_is_isolated(desk: Desk) -> None:
    """A command that cannot be decided is answered INTERNAL and moves nothing; the rest of the batch is committed."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(10))
    desk.caller.submit(2, reserve(10), encode=explode)
    desk.caller.submit(3, reserve(10))
    desk.store.let_go()
    answers = await desk.caller.all()
    assert [answer.failure for answer in answers] == [None, None, Failure.INTERNAL, None]
    assert desk.store.free("LAMP") == 79
    assert desk.store.batches == [1, 3, 2]


async def test_a_poisoned_command_leaves_no_outcome(desk: Desk) -> None:
    """The same id may be sent again, and is then decided."""
    failed = await desk.caller.submit(1, reserve(10), encode=explode)
    again = await desk.caller.submit(2, reserve(10), id_number=1)
    assert failed.failure is Failure.INTERNAL
    assert again == Answer(again.payload, refusal=False, replayed=False, server_time=again.server_time)


@pytest.mark.parametrize("fault", [BatchRejected("CHECK constraint failed"), OverflowError("too large for a column")])
async def test_a_command_whose_rows_the_store_refuses_is_found_by_halving(desk: Desk, fault: Exception) -> None:
    """Of eight, the one at fault alone is answered INTERNAL; the other seven are committed, each once."""
    guilty = request_id(6)
    desk.store.rejects = lambda work: fault if guilty in {name for _, name in work.request_keys} else None
    await hold_one(desk)
    for number in range(1, 9):
        desk.caller.submit(number, reserve(1))
    desk.store.let_go()
    answers = await desk.caller.all()
    assert [number for number, answer in enumerate(answers) if answer.failure] == [6]
    assert desk.store.free("LAMP") == 100 - 8
    assert desk.store.batches == [1, 8, 4, 4, 2, 1, 1, 2]
    assert [len(desk.caller.answers[number]) for number in range(9)] == [1] * 9


async def test_everyone_is_answered_once_whatever_fails_behind(desk: Desk) -> None:
    """When the committer itself meets a fault after part of a batch was answered, nobody is answered twice or never."""
    calls = 0

    async def run(work: Work) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise BatchRejected("once, so that the batch is halved")
        if calls == 3:
            # The store says it committed and never asked for the decisions: answers are missing.
            return None
        return await real(work)

    await hold_one(desk)
    real = desk.store.run
    desk.store.run = run  # type: ignore[method-assign,assignment]
    for number in range(1, 5):
        desk.caller.submit(number, reserve(1))
    desk.store.let_go()
    answers = await desk.caller.all()
    assert [answer.failure for answer in answers] == [None, None, None, Failure.INTERNAL, Failure.INTERNAL]
    assert [len(desk.caller.answers[number]) for number in range(5)] == [1] * 5


async def test_a_store_that_is_away_has_done_nothing(desk: Desk) -> None:
    """Everyone of the batch hears STORE, nothing is kept, and the same ids are decided once it is back."""
    await hold_one(desk)
    desk.store.faults = [None, StoreUnavailable("disk full")]
    desk.caller.submit(1, reserve(1))
    desk.caller.submit(2, reserve(1))
    desk.store.let_go()
    assert [answer.failure for answer in await desk.caller.all()] == [None, Failure.STORE, Failure.STORE]
    assert desk.store.free("LAMP") == 99
    again = await desk.caller.submit(3, reserve(1), id_number=1)
    assert (again.failure, again.replayed) == (None, False)


async def test_a_caller_that_went_away_undoes_nothing(desk: Desk) -> None:
    """Cancelling the wait for an answer leaves the commit; the same id tells what happened."""
    desk.store.hold()
    waiting = asyncio.ensure_future(asyncio.shield(desk.caller.submit(1, reserve(10))))
    await desk.store.entered.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    desk.store.let_go()
    again = await desk.caller.submit(2, reserve(10), id_number=1)
    assert again.replayed
    assert desk.store.free("LAMP") == 90


async def test_a_sink_that_fails_costs_the_others_nothing(desk: Desk) -> None:
    """An answer that its caller cannot take is dropped; the next caller gets theirs."""
    await hold_one(desk)
    broken = desk.caller.submit(1, reserve(1))
    fine = desk.caller.submit(2, reserve(1))
    broken.set_exception(ConnectionError())
    desk.caller.answers[1] = None  # type: ignore[assignment]
    desk.store.let_go()
    assert not (await fine).refusal
    assert isinstance(broken.exception(), ConnectionError)


async def test_a_command_whose_deadline_has_passed_is_not_executed(desk: Desk) -> None:
    """It is answered DEADLINE, moves nothing and leaves no outcome; the others of its batch go on."""
    now = asyncio.get_running_loop().time()
    await hold_one(desk)
    desk.caller.submit(1, reserve(10), deadline=now - 1)
    desk.caller.submit(2, reserve(10), deadline=now + 3_600)
    desk.store.let_go()
    answers = await desk.caller.all()
    assert [answer.failure for answer in answers] == [None, Failure.DEADLINE, None]
    assert desk.store.free("LAMP") == 89
    again = await desk.caller.submit(3, reserve(10), id_number=1)
    assert (again.failure, again.replayed) == (None, False)


async def test_two_copies_of_one_id_in_one_batch_have_one_outcome(desk: Desk) -> None:
    """The second copy gets the first one's payload, marked as a replay; the units are taken once."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(10))
    desk.caller.submit(2, reserve(10), id_number=1)
    desk.store.let_go()
    _, first, second = await desk.caller.all()
    assert (first.replayed, second.replayed) == (False, True)
    assert first.payload == second.payload
    assert desk.store.free("LAMP") == 89


async def test_two_copies_of_a_refused_id_in_one_batch_are_both_refused(desk: Desk) -> None:
    """A refusal is an outcome too: units that came in between do not make the copy succeed."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(100))
    desk.caller.submit(2, reserve(100), id_number=1)
    desk.store.let_go()
    _, first, second = await desk.caller.all()
    assert (first.refusal, second.refusal, second.replayed) == (True, True, True)
    assert first.payload == second.payload


async def test_one_id_for_two_commands_in_one_batch_is_refused(desk: Desk) -> None:
    """The second command is REQUEST_ID_REUSED; the first one's outcome stays."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(10))
    desk.caller.submit(2, reserve(20), id_number=1)
    desk.store.let_go()
    assert names(await desk.caller.all()) == ["Reserved", "Reserved", "RequestIdReused"]
    assert desk.store.free("LAMP") == 89


async def test_a_change_of_policy_is_alone_in_its_batch(desk: Desk) -> None:
    """What came before it is committed before it, what came after it after it."""
    await hold_one(desk)
    desk.caller.submit(1, reserve(1))
    desk.caller.submit(2, reserve(1))
    desk.caller.submit(3, set_policy(1))
    desk.caller.submit(4, set_policy(2))
    desk.caller.submit(5, reserve(1))
    desk.store.let_go()
    assert names(await desk.caller.all()) == ["Reserved", "Reserved", "Reserved", "PolicySet", "PolicySet", "Reserved"]
    assert desk.store.batches == [1, 2, 1, 1, 1]
    assert [list(committed.policies) for committed in desk.told] == [[], [], ["default"], ["default"], []]


async def test_listeners_hear_of_a_batch_before_its_callers(desk: Desk) -> None:
    """Whoever has an answer can ask for its revision at once."""
    heard: list[int] = []
    future = desk.caller.submit(1, reserve(1))
    future.add_done_callback(lambda _: heard.append(len(desk.told)))
    await future
    await asyncio.sleep(0)
    assert heard == [1]
    assert desk.told[0].changed == [key("LAMP")]


async def test_a_listener_that_fails_keeps_nobody_from_their_answer(desk: Desk) -> None:
    """The batch is durable: its callers hear so."""
    desk.committer._on_commit = lambda _: 1 / 0  # type: ignore[assignment]
    assert not (await desk.caller.submit(1, reserve(1))).refusal
    assert not (await desk.caller.submit(2, reserve(1))).refusal


async def test_an_allocation_of_a_batch_is_there_for_the_next_command(desk: Desk) -> None:
    """Commands of one batch see what those before them did."""
    await hold_one(desk)
    desk.caller.submit(1, Allocate((AllocationLine(key("BIKE"), "web", 30),)))
    desk.caller.submit(2, Reserve((ReserveLine("1", key("BIKE"), "web", 30, None),), "", DEFAULT_LEASE, False, False))
    desk.store.let_go()
    assert names(await desk.caller.all()) == ["Reserved", "PoolsChanged", "Reserved"]


class TestBounds:
    """Batches are bounded in commands and in lines."""

    @pytest.fixture
    def limits(self) -> CommitterLimits:
        """Small bounds."""
        return CommitterLimits(max_batch_commands=3, max_batch_lines=10)

    async def test_a_batch_has_at_most_so_many_commands(self, desk: Desk) -> None:
        """Seven waiting commands are three transactions."""
        await hold_one(desk)
        for number in range(1, 8):
            desk.caller.submit(number, reserve(1))
        desk.store.let_go()
        await desk.caller.all()
        assert desk.store.batches == [1, 3, 3, 1]

    async def test_a_batch_has_at_most_so_many_lines(self, desk: Desk) -> None:
        """Commands of six and five lines do not go together, those of five and five do."""
        await hold_one(desk)
        for number, weight in enumerate((6, 5, 5, 1), 1):
            desk.caller.submit(number, reserve(1), weight=weight)
        desk.store.let_go()
        await desk.caller.all()
        assert desk.store.batches == [1, 1, 2, 1]

    async def test_a_command_larger_than_a_batch_goes_alone(self, desk: Desk) -> None:
        """It is not left waiting for ever."""
        await hold_one(desk)
        desk.caller.submit(1, reserve(1), weight=2_000)
        desk.caller.submit(2, reserve(1))
        desk.store.let_go()
        await desk.caller.all()
        assert desk.store.batches == [1, 1, 1]
