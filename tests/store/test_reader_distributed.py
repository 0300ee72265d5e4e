"""What a reader sends where tables are distributed by slot."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence_server.ledger.commands import Allocate, SetPolicy
from ringfence_server.ledger.reading import KeyFilter
from ringfence_server.store import schema
from ringfence_server.store.postgres_lanes import PostgresLanes
from tests.ledger.world import NORTH, figure, line, quota
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.every_read import read_tills, sent_to_read
from tests.store.everything import POLICY
from tests.store.reading import reading, statements
from tests.store.till_story import till_story
from tests.store.watching import watched

pytestmark = pytest.mark.postgres


@pytest.fixture
async def desk(postgres_place: str) -> AsyncIterator[Desk]:
    """A server that names one slot in every statement; it knows bikes of the north, and tills that sold."""
    async with Desk(postgres_place, distributed=True) as desk:
        await desk.send(SetPolicy(POLICY, 1))
        await desk.send(post(figure(10, "on_hand")))
        await desk.send(Allocate((quota("web", 4),)))
        await desk.send(post(figure(100, "on_hand", sku="CART")))
        await till_story(desk)
        yield desk


def _queries(text: str) -> list[str]:
    """A statement's queries, each without those within it."""
    found = []
    while inner := re.search(r"\(([^()]*)\)", text):
        is_query = inner[1].startswith("SELECT")
        found += [inner[1]] * is_query
        text = f"{text[: inner.start()]}[{'' if is_query else inner[1]}]{text[inner.end() :]}"
    return [query for each in (*found, text) for query in each.split("UNION ALL")]


def _without_slot(text: str) -> set[str]:
    """Tables for which a query in this statement names no slot: by a number, or as that of another table of the same
    query. Citus follows a slot from table to table, but not out of a query in the query."""
    found = set()
    for query in _queries(text):
        named = re.findall(r"\b(?:FROM|JOIN) (\w+)(?: AS (\w+))?", query)
        tables = {alias or name for name, alias in named if name in schema.metadata.tables}
        numbers = re.findall(r"\b(\w+)\.slot = \$?\d|\$\d+::SMALLINT = (\w+)\.slot\b", query)
        bound = {each for pair in numbers for each in pair}
        equal = re.findall(r"\b(\w+)\.slot = (\w+)\.slot\b", query)
        for _ in equal:
            bound |= {each for pair in equal if bound & set(pair) & tables for each in pair}
        found |= tables - bound
    return found


def _looks(text: str) -> int:
    """How many tables a statement names, one that it names twice counted twice."""
    return sum(name in schema.metadata.tables for name in re.findall(r"\b(?:FROM|JOIN) (\w+)", text))


async def test_a_query_of_several_tables_names_one_slot_for_each(desk: Desk) -> None:
    """And each query in it again, without which Citus refuses a recursive one."""
    sent: list[str] = []
    async with reading(desk) as reader:
        assert isinstance(reader._lanes, PostgresLanes)
        for_long: Any = reader._lanes._long.sync_engine
        with watched(for_long, lambda text, *_: sent.append(text)):
            sent += [text for text, _ in await sent_to_read(desk, reader)]
            await read_tills(desk, reader)
    texts = {text for text in sent if text.lstrip().startswith(("SELECT", "WITH"))}
    assert len([text for text in texts if "WITH RECURSIVE" in text]) >= 5
    # Of one table rows may be asked for in all slots: Citus adds up what its machines say.
    several = {text for text in texts if _looks(text) > 1 or "RECURSIVE" in text}
    assert len(several) > 10
    assert {text: missing for text in several if (missing := _without_slot(text))} == {}


async def test_an_earlier_instant_is_found_by_one_statement_in_the_ledger_and_one_in_the_feed(desk: Desk) -> None:
    """Of each slot: its machine searches, and is not asked step by step."""
    desk.clock.advance(timedelta(seconds=1))
    before = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send_all([reserve(line("", 1, sku="CART", location=NORTH)) for _ in range(40)])
    async with reading(desk) as reader:
        with statements(reader) as seen:
            async with reader.snapshot(ORGANIZATION, before) as snapshot:
                read = await snapshot.keys(KeyFilter(ORGANIZATION, ("CART",)), None, 5)
    assert read.stocks[0].pools[""].free == 100
    searched = [
        text for text, _ in seen if re.search(r"\b(entry|feed)\.slot = .*\bORDER BY\b.*\bLIMIT\b", text, re.DOTALL)
    ]
    # And one that asks for the feed's newest.
    assert len(searched) == 3
