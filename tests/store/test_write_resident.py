"""What stays in memory between batches is what stands in the file, whatever happened to the batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence_server.committer import Failure
from ringfence_server.ledger.commands import (
    Allocate,
    Cancel,
    CancelReason,
    Consume,
    Lease,
    SetPolicy,
    UpdateReservation,
)
from ringfence_server.ledger.outcomes import Reserved
from ringfence_server.ledger.policy import LeaseBounds, Policy
from ringfence_server.store import load
from tests.ledger.world import figure, line, quota
from tests.store.audit import audit, check_memory
from tests.store.desk import Desk, post, reserve

pytestmark = pytest.mark.usefixtures("names_looked_up_at_once")

SKUS = [f"BIKE-{number}" for number in range(6)]


@pytest.fixture(params=[2, load.MOST_RESIDENT], ids=["two", "all"])
async def desk(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A store with six keys, of which two or all stay in memory."""
    monkeypatch.setattr(load, "MOST_RESIDENT", request.param)
    async with Desk(tmp_path / "ringfence.db") as desk:
        await desk.send(post(*(figure(100, "on_hand", sku=sku) for sku in SKUS)))
        yield desk


def check(desk: Desk) -> int:
    """Memory is the file, and the file adds up; answers how many stocks are in memory."""
    assert desk.store._transactor is not None
    with desk.connection() as connection:
        return check_memory(desk.store._transactor, connection, audit(connection, Policy()))


async def test_a_few_keys_or_all_stay_in_memory(desk: Desk) -> None:
    """Never more than the bound, not even after a batch that touched more; those touched last stay."""
    most = min(load.MOST_RESIDENT, len(SKUS))
    assert check(desk) == most
    await desk.send_all([reserve(line("", 1, sku=sku)) for sku in SKUS])
    assert check(desk) == most
    for sku in SKUS[:2]:
        await desk.send(reserve(line("", 1, sku=sku)))
    with desk.statements() as seen:
        await desk.send_all([reserve(line("", 1, sku=sku)) for sku in SKUS[:2]])
    assert not [text for text, _ in seen if "FROM stock" in text or "JOIN pool" in text]


async def test_what_commands_and_time_do_is_the_same_in_memory_and_in_the_file(desk: Desk) -> None:
    """Orders, quotas, sales, returns and ended leases, of keys that come and go."""
    for round_number in range(4):
        await desk.send_all([Allocate((quota("web", 3, sku=sku),)) for sku in SKUS[round_number:]])
        held = await desk.send_all([reserve(line("web", 1, sku=sku), ttl=60_000_000) for sku in SKUS])
        sold = await desk.send_all([reserve(line("", 2, sku=sku)) for sku in SKUS[::2]])
        await desk.send_all([Consume(each.reservation_id(), (), False, None, "", b"") for each in sold])
        check(desk)
        back = [*held[:2], *sold[:2]]
        await desk.send_all([Cancel(each.reservation_id(), (), CancelReason.RETURNED, "") for each in back])
        check(desk)
        desk.clock.advance(timedelta(seconds=60))
        await desk.committer.sweep()
        check(desk)


async def test_the_number_of_a_key_in_memory_that_was_forgotten_is_looked_up_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more keys than are remembered by their names, some stay in memory by their numbers."""
    monkeypatch.setattr(load, "_MOST_KEYS_CACHED", 1)
    await desk.send(reserve(line("", 1, sku=SKUS[-1])))
    assert desk.store._transactor is not None
    desk.store._transactor.loader._ids.clear()
    looked_up: list[bool] = []
    for _ in range(3):
        with desk.statements() as seen:
            await desk.send(reserve(line("", 1, sku=SKUS[-1])))
        looked_up.append(any("JOIN stock " in text for text, _ in seen))
    assert looked_up == [True, False, False]
    check(desk)


async def test_refusals_leave_nothing_in_memory(desk: Desk) -> None:
    """What was only looked at is not taken for stored: a quota that was refused can be given later."""
    refused = await desk.send_all(
        [Allocate((quota("web", 1_000, sku=sku),)) for sku in SKUS] + [Allocate((quota("app", 1, sku="none"),))]
    )
    assert all(each.answer.refusal for each in refused)
    check(desk)
    await desk.send_all([Allocate((quota("web", 10, sku=sku),)) for sku in SKUS])
    check(desk)
    assert desk.rows("SELECT count(*) FROM pool WHERE path = 'web' AND free = 10") == [(len(SKUS),)]


async def test_a_batch_that_was_undone_is_undone_in_memory(desk: Desk) -> None:
    """Its holds are gone, its keys unknown, and the next batch goes on from what is stored."""
    away = desk.path.rename(desk.path.with_name("away.db"))
    failed = await desk.send_all(
        [
            *(reserve(line("", 90, sku=sku)) for sku in SKUS),
            reserve(line("", 10**6, sku=SKUS[0])),
            post(figure(5, "on_hand", sku="LAMP")),
        ]
    )
    assert {each.answer.failure for each in failed} == {Failure.STORE}
    away.rename(desk.path)
    check(desk)
    again = await desk.send_all([reserve(line("", 90, sku=sku)) for sku in SKUS])
    assert all(isinstance(each.decision, Reserved) for each in again)
    assert (await desk.send(reserve(line("", 1, sku="LAMP")))).answer.refusal
    check(desk)
    await desk.send(post(figure(5, "on_hand", sku="LAMP")))
    assert not (await desk.send(reserve(line("", 1, sku="LAMP")))).answer.refusal
    check(desk)


async def test_a_lease_made_shorter_or_longer_is_known(desk: Desk) -> None:
    """The next end that is kept in memory is never after an end that is stored."""
    long = await desk.send(reserve(line("", 1, sku=SKUS[0]), ttl=3_600_000_000))
    await desk.committer.sweep()
    await desk.send(reserve(line("", 1, sku=SKUS[1]), ttl=600_000_000))
    check(desk)
    await desk.send(UpdateReservation(long.reservation_id(), 0, None, Lease(ttl=60_000_000), None))
    check(desk)
    desk.clock.advance(timedelta(seconds=60))
    await desk.send(reserve(line("", 1, sku=SKUS[2])))
    check(desk)
    assert desk.rows("SELECT sum(expired) FROM part") == [(1,)]


async def test_a_policy_that_was_set_is_in_force_at_once(desk: Desk) -> None:
    """Also when a batch that sets one failed before, or was refused: what is in memory is what is stored."""
    await desk.send_all([reserve(line("", 1, sku=sku)) for sku in SKUS])
    away = desk.path.rename(desk.path.with_name("away.db"))
    short = Policy(leases=LeaseBounds(default_lease=1_000_000))
    assert (await desk.send(SetPolicy(short, 1))).answer.failure is Failure.STORE
    away.rename(desk.path)
    assert (await desk.send(SetPolicy(short, 7))).answer.refusal
    check(desk)
    await desk.send(reserve(line("", 1, sku=SKUS[0])))
    assert await desk.store.next_due() == desk.clock.now() + Policy().leases.default_lease
    assert not (await desk.send(SetPolicy(short, 1))).answer.refusal
    check(desk)
    await desk.send(reserve(line("", 1, sku=SKUS[0])))
    assert await desk.store.next_due() == desk.clock.now() + 1_000_000
    check(desk)
