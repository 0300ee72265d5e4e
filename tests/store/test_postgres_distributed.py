"""What a server sends where tables are distributed by slot: every statement is for one machine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ringfence_server.ledger.commands import (
    Allocate,
    SetPolicy,
)
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.store import schema
from ringfence_server.store.distribute import distribute, distribute_statements
from tests.ledger.world import SOUTH, figure, line, quota
from tests.patience import PATIENT
from tests.store.audit import audit
from tests.store.desk import Desk, post, reserve
from tests.store.everything import KEYS, POLICY, do_everything, look_after, sku
from tests.store.watching import watched

pytestmark = pytest.mark.postgres

SECOND = 1_000_000


@pytest.fixture
async def desk(postgres_place: str) -> AsyncIterator[Desk]:
    """A server that names one slot in every statement; it knows forty keys at each of two locations, with quotas."""
    async with Desk(postgres_place, refusals_kept=2, distributed=True) as desk:
        await desk.send(SetPolicy(POLICY, 1))
        for location in ("north", SOUTH):
            await desk.send(post(*(figure(100, "on_hand", sku=sku(n), location=location) for n in range(KEYS))))
        await desk.send(Allocate(tuple(quota("web", 50, sku=sku(n)) for n in range(KEYS))))
        yield desk


def _slots_named(text: str, parameters: Any) -> set[Any]:
    """What a statement compares ``slot`` with, or writes there; of a list each."""
    named = re.findall(
        r"slot = (?:ANY ?\()?(\S+?)::smallint|(?:VALUES |\), )\((\$\d+)::smallint, ", text, re.IGNORECASE
    )
    places = {one or other for one, other in named}
    given = [parameters[int(place[1:]) - 1] if re.fullmatch(r"\$\d+", place) else place for place in places]
    return {slot for each in given for slot in (each if isinstance(each, list | tuple) else [each])}


def _tables_without_slot(text: str) -> set[str]:
    """Tables of a statement with several of which it names no slot."""
    tables = set(re.findall(r"(?:FROM|JOIN|UPDATE) (\w+)", text)) & schema.metadata.tables.keys()
    return {table for table in tables if len(tables) > 1 and not re.search(rf"\b{table}\.slot = ", text)}


def _names_many(text: str, slots: set[Any]) -> bool:
    """Whether a statement is of the form for more slots than are asked one by one: it is about one table, takes no lock
    by itself, and what it writes is kept by the locks of its slots."""
    tables = set(re.findall(r"(?:FROM|JOIN|UPDATE|INTO) (\w+)", text)) & schema.metadata.tables.keys()
    rivalry = not text.startswith("SELECT") and tables & {"request_outcome", "caller", "order_reference"}
    return len(slots) > 8 and len(tables) == 1 and not rivalry and "FOR UPDATE" not in text


async def test_every_statement_names_one_slot(desk: Desk) -> None:
    """For each of its tables, always the same; reads that lock, too. Or it names many: each that it has to do with."""
    sent: list[tuple[str, Any]] = []

    def note(text: str, parameters: Any, many: bool) -> None:
        sent.extend((text, row) for row in (parameters if many else [parameters]))

    assert desk.postgres._engine is not None
    with watched(desk.postgres._engine.sync_engine, note):
        await do_everything(desk)
        await look_after(desk)
    statements = [each for each in sent if each[0] not in ("BEGIN", "COMMIT", "ROLLBACK")]
    assert {text.split()[0] for text, _ in statements} == {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}
    written = {text.split()[2] for text, _ in statements if text.startswith("INSERT")}
    assert written == schema.metadata.tables.keys() - {"policy"}, "everything there is to do was done"
    named = [(text, _slots_named(text, parameters)) for text, parameters in statements]
    without = {text for text, slots in named if not slots}
    # The clock is asked of whichever machine the server is connected to.
    assert {text for text in without if "FROM" in text.replace("(epoch FROM clock", "")} == set()
    assert len(without) <= 1
    assert {text for text, slots in named if not all(isinstance(slot, int) for slot in slots)} == set()
    many = [(text, slots) for text, slots in named if len(slots) > 1]
    assert {text.split()[0] for text, _ in many} == {"SELECT", "INSERT", "UPDATE"}
    assert {text for text, slots in many if not _names_many(text, slots)} == set()
    one = [text for text, slots in named if len(slots) == 1]
    assert {text for text in one if _tables_without_slot(text) or re.search(r"slot = ANY", text)} == set()
    locking = [parameters for text, parameters in statements if "FOR UPDATE" in text]
    assert len(locking) > 20
    # One slot, or rows of one: what is pruned is locked by its keys.
    assert {type(parameters[0]) for parameters in locking} == {int}


async def test_locks_are_taken_in_the_order_of_slots(desk: Desk) -> None:
    """One statement after the other, in every transaction."""
    taken: list[list[int]] = []

    def note(text: str, parameters: Any, _: bool) -> None:
        if text == "BEGIN":
            taken.append([])
        elif "FOR UPDATE" in text:
            taken[-1].append(parameters[0])

    assert desk.postgres._engine is not None
    with watched(desk.postgres._engine.sync_engine, note):
        await do_everything(desk)
    assert max(map(len, taken)) > 10
    assert all(slots == sorted(set(slots)) for slots in taken)


async def test_what_is_sold_is_the_same(desk: Desk) -> None:
    """The books add up, and every row lies where it is looked for."""
    await do_everything(desk)
    desk.look(lambda connection: audit(connection, replace(POLICY, revision=2, formula_revision=2)))


async def test_a_batch_is_of_the_requests_of_one_slot(desk: Desk) -> None:
    """Requests that came together are committed slot by slot, and none is lost."""
    begun: list[str] = []
    assert desk.postgres._engine is not None
    with watched(desk.postgres._engine.sync_engine, lambda text, *_: begun.append(text)):
        answered = await desk.send_all([reserve(line("web", 1, sku=sku(number % 4))) for number in range(40)])
    assert [each.answer.failure for each in answered] == [None] * 40
    slots = {desk.postgres.slots.of_sku("default", sku(number)) for number in range(4)}
    assert begun.count("COMMIT") == len(slots)


async def test_without_citus_nothing_is_distributed(postgres_place: str) -> None:
    """One line says what is missing, and the tables stay as they are."""
    with pytest.raises(StoreUnavailable, match="the database has no Citus extension: create it on every machine"):
        await distribute(postgres_place, PATIENT)


def test_every_table_is_distributed_beside_stock_or_is_everywhere() -> None:
    """All by slot, so that what one slot needs is on one machine; the rules are on every one."""
    statements = distribute_statements()
    assert statements[0] == "SELECT create_distributed_table('stock', 'slot')"
    assert statements[-1] == "SELECT create_reference_table('policy')"
    beside = {
        f"SELECT create_distributed_table('{name}', 'slot', colocate_with => 'stock')"
        for name in schema.metadata.tables
        if name not in ("stock", "policy")
    }
    assert set(statements[1:-1]) == beside
