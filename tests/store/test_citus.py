"""A real Citus cluster, where RINGFENCE_TEST_CITUS_URL names one; then the tests of the store run on it, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from ringfence_server.ledger.commands import Allocate, SetPolicy
from ringfence_server.store import postgres_lanes
from ringfence_server.store.check import check
from ringfence_server.store.distribute import is_distributed
from ringfence_server.store.postgres_lanes import PostgresLanes
from tests.ledger.world import SOUTH, figure, line, quota
from tests.properties.random_days import play_a_day
from tests.properties.store_system import StoreSystem
from tests.store.audit import audit
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.every_read import read_tills, sent_to_read
from tests.store.everything import KEYS, POLICY, do_everything, look_after, sku
from tests.store.past_system import PastSystem
from tests.store.reading import reader_of, reading
from tests.store.till_story import till_story
from tests.store.watching import watched

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def desk(citus_place: str) -> AsyncIterator[Desk]:
    """A server on the cluster; it knows forty keys at each of two locations, with quotas."""
    async with Desk(citus_place, refusals_kept=2) as desk:
        await desk.send(SetPolicy(POLICY, 1))
        for location in ("north", SOUTH):
            await desk.send(post(*(figure(100, "on_hand", sku=sku(n), location=location) for n in range(KEYS))))
        await desk.send(Allocate(tuple(quota("web", 50, sku=sku(n)) for n in range(KEYS))))
        yield desk


async def test_every_command_and_what_the_server_does_by_itself(desk: Desk) -> None:
    """Sold, swept, verified and forgotten, all of it by statements that Citus takes."""
    assert desk.postgres.distributed
    await do_everything(desk)
    desk.look(lambda connection: audit(connection, replace(POLICY, revision=2, formula_revision=2)))
    async with reading(desk) as reader:
        (*_, last) = [found async for found in reader.verify(ORGANIZATION)]
        assert (last.done, last.flaws) == (True, ())
        assert desk.rows("SELECT count(*) FROM stock") == [(last.keys_checked,)]
    assert desk.rows("SELECT count(*) > 0 FROM request_outcome") == [(True,)]
    await look_after(desk)
    assert desk.rows("SELECT count(*) FROM request_outcome") == [(0,)]


async def test_a_statement_is_one_machines_and_nothing_is_fetched_to_write_it(desk: Desk) -> None:
    """An order of one SKU: each of its statements is sent to one shard as it is, none by way of the coordinator."""
    told: list[str] = []
    lane = desk.postgres._lanes[0]

    def listen(connection: Any) -> None:
        raw = connection._asyncpg
        raw.add_log_listener(lambda _connection, message: told.append(message.message))
        await_only(raw.execute("SET citus.log_remote_commands = on"))

    await lane.call(listen)
    with desk.statements() as sent:
        answered = await desk.send(reserve(line("web", 1, sku=sku(3))))
    assert answered.answer.failure is None
    commands = [each.partition("issuing ")[2] for each in told if each.startswith("issuing ")]
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "COPY")
    remote = [each for each in commands if each.startswith(kinds) and "assign_distributed" not in each]
    own = [text for text, _ in sent if text.startswith(kinds) and "FROM" in text.replace("(epoch FROM clock", "")]
    own += [text for text, _ in sent if text.startswith("INSERT")]
    # The rules are read where the server is connected.
    assert 0 < len(remote) <= len(own)
    assert not [each for each in remote if "COPY" in each or "intermediate_result" in each]


async def test_a_read_of_several_tables_is_one_machines(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock and orders, now and of the past, the ledger, what tills owe, and verification: each such statement is sent
    to one shard as it is."""
    told: list[str] = []
    sent: list[str] = []
    monkeypatch.setattr(postgres_lanes, "_SETTINGS", f"{postgres_lanes._SETTINGS}; SET citus.log_remote_commands = on")

    def listen(connection: Any, _record: Any) -> None:
        connection.driver_connection.add_log_listener(lambda _, message: told.append(message.message))

    await desk.send(post(figure(10, "on_hand")))
    await desk.send(Allocate((quota("web", 4),)))
    await till_story(desk)
    with ExitStack() as watching:
        reader = reader_of(desk)
        assert isinstance(reader._lanes, PostgresLanes)
        for engine in (reader._lanes._quick, reader._lanes._long):
            event.listen(engine.sync_engine, "connect", listen)
            watching.enter_context(watched(engine.sync_engine, lambda text, *_: sent.append(text)))
        await reader.open()
        try:
            await sent_to_read(desk, reader)
            await read_tills(desk, reader)
        finally:
            await reader.close()
    remote = [each.partition("issuing ")[2] for each in told if each.startswith("issuing ")]
    assert not [each for each in remote if "COPY" in each or "intermediate_result" in each]
    # What is asked for by a list of keys may name many slots in one statement: each shard is sent its part of that.
    joined = [each for each in remote if " JOIN " in each and "unnest(" not in each.lower()]
    assert 100 < len(joined) <= len([each for each in sent if " JOIN " in each and "unnest(" not in each])


def test_a_cluster_answers_as_the_model_does(citus_place: str) -> None:
    """A day of trade on it, with tills, restarts and requests that come again."""
    play_a_day(StoreSystem(citus_place), 1, steps=40, tills=True)


def test_every_instant_that_was_read_on_a_cluster_answers_the_same_later(citus_place: str) -> None:
    """Over a day of trade with tills: what has changed since is undone, in whichever shard it lies."""
    play_a_day(PastSystem(citus_place), 0, steps=20, tills=True)


async def test_the_check_says_how_the_tables_are_spread(citus_place: str, desk: Desk) -> None:
    """And finds nothing wrong but, it may be, how soon the cluster looks after a commit that was cut off."""
    assert await is_distributed(citus_place, desk.postgres._options)
    found = await check(citus_place)
    assert "spread by slot over" in dict(found.facts)["Citus"]
    assert [fault for fault in found.faults if "recover_2pc_interval" not in fault] == []
