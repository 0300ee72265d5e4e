"""Going back: the state at t is the sum of all entries with effective_time <= t."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from ringfence_server.ledger.history import PastEntry, PastFact, Rewind
from ringfence_server.ledger.journal import Entry, Fact
from ringfence_server.ledger.names import COMMON
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import EntryKind, Stock
from tests.ledger.engine import SECOND
from tests.ledger.world import BIKE, BORROWING, NORTH, TILLS, World, back, figure, line, quota, shift

Look = dict[str, object]


def look(stock: Stock) -> Look:
    """Everything that a stock key has, without what is empty."""
    found: Look = {"supply": stock.supply, "promised": stock.promised}
    for pool in stock.pools.values():
        figures = (pool.free, pool.held, pool.unsettled, pool.consumed, pool.taken)
        if any(figures):
            found[f"pool {pool.path}"] = figures
    for value in stock.measures.values():
        found[value.measure] = (value.value, value.position, value.source, value.count_time, value.record_time)
    return found


def rewind(world: World, instant: int, *, shuffled: bool = False) -> Look:
    """The bikes as they were, from the journal alone. The world is changed."""
    stock = world[BIKE, NORTH]
    going_back = Rewind(stock, instant)
    entries = [each for each in world.journal.entries if each.stock_id == stock.stock_id]
    later = [each for each in entries if each.record_time > instant]
    if shuffled:
        Random(7).shuffle(later)
    going_back.undo(_past(world, each) for each in reversed(later))
    facts = [each for each in world.journal.facts if each.stock_id == stock.stock_id]
    in_force: dict[str, PastFact] = {each.measure: _fact(each) for each in facts if each.record_time <= instant}
    going_back.undo_facts([_fact(each) for each in facts if each.record_time > instant], in_force)
    going_back.finish()
    return look(stock)


def _past(world: World, entry: Entry) -> PastEntry:
    path = asked_path = None
    if entry.reservation_id:
        parts = world.reservations[entry.reservation_id].parts
        part = next(each for each in parts if each.number == entry.part_number)
        path, asked_path = part.path, part.asked_path
    return PastEntry(
        entry.kind,
        entry.quantity,
        entry.from_place,
        entry.from_pool,
        entry.to_place,
        entry.to_pool,
        entry.measure,
        entry.effective_time,
        path,
        asked_path,
    )


def _fact(fact: Fact) -> PastFact:
    return PastFact(fact.measure, fact.delta, fact.position, fact.source, fact.count_time, fact.record_time)


def a_day(world: World) -> Iterable[None]:
    """Every kind of entry once or more, a step at a time."""
    world.post(figure(40, "on_hand", position=3, count_time=world.now - SECOND))
    yield
    world.allocate(quota("web", 12), quota("web/london", 5))
    yield
    first = world.reserve(line("web/london", 9), line("", 2)).reservation
    yield
    world.reallocate(shift("web", "app", 2))
    world.unallocate(back("app", 1))
    yield
    world.update(first, {"1": 11})
    world.update(first, {"1": 8, "2": 1})
    yield
    world.consume(first, {"1": 3})
    yield
    world.post(figure(2, "safety_stock", position=1), source="planner")
    world.post(figure(30, "on_hand", position=4))
    yield
    world.sell(line("web", 2), line("app", 1))
    yield
    world.advance(minutes=20)
    yield
    world.consume(first, {"1": 2}, revive=True, release_rest=True)
    yield
    world.cancel(first)
    yield
    world.post(figure(0, "safety_stock", position=2))
    yield


@pytest.mark.parametrize("policy", [BORROWING, replace(TILLS, path_rules=BORROWING.path_rules)], ids=["owned", "tills"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_step_of_a_day_is_found_again(policy: Policy, shuffled: bool) -> None:
    """Balances, what counts as consumed and taken, and measures with the position and source they had: after any number
    of later steps, in whatever order these are undone."""
    world = World(policy)
    states: list[tuple[int, Look]] = []
    for _ in a_day(world):
        states.append((world.now, look(world[BIKE, NORTH])))
        world.advance(seconds=1)
    kinds = {each.kind for each in world.journal.entries}
    assert kinds == set(EntryKind) - {EntryKind.REVALUE, EntryKind.SETTLE}
    for instant, state in states:
        assert rewind(copy.deepcopy(world), instant, shuffled=shuffled) == state


def test_a_lease_that_ended_before_the_instant_stays_ended_whenever_that_was_recorded() -> None:
    """The sweeper ran after t; a hold that lived at t lives again, one that was over is over."""
    world = World(BIKE=10)
    world.reserve(line("", 3), ttl=10 * SECOND)
    world.reserve(line("", 4), ttl=20 * SECOND)
    begun = world.now
    world.advance(seconds=60)
    assert world.pool(COMMON) == (10, 0, 0)
    for after, held in ((9, 7), (10, 4), (19, 4), (20, 0)):
        found = rewind(copy.deepcopy(world), begun + after * SECOND)
        assert found["promised"] == held


def test_what_is_recorded_at_the_instant_itself_is_seen() -> None:
    """A read at t has seen the batch recorded at t, and not the one a microsecond later."""
    world = World(BIKE=10)
    world.advance(seconds=1)
    sold_at = world.now
    world.sell(line("", 4))
    world.advance(microseconds=1)
    world.sell(line("", 1))
    assert rewind(copy.deepcopy(world), sold_at)["supply"] == 6
    assert rewind(copy.deepcopy(world), sold_at - 1)["supply"] == 10


def test_a_measure_that_only_sales_have_changed_has_no_source_yet() -> None:
    """Safety stock below zero lets a key sell what no source has counted: the count is below zero, and nobody's."""
    world = World()
    world.post(figure(-5, "safety_stock", position=1))
    world.advance(seconds=1)
    before = world.now
    world.sell(line("", 2))
    world.advance(seconds=1)
    sold = world.now
    world.advance(seconds=1)
    world.post(figure(30, "on_hand", position=9))
    assert "on_hand" not in rewind(copy.deepcopy(world), before - 1)
    assert rewind(copy.deepcopy(world), sold)["on_hand"] == (-2, 0, "", None, 0)
