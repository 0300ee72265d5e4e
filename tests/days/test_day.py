"""A short day of three stores in virtual time, as scripts/day runs a whole one: through the real server, by the
client."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from ringfence import DiscrepancyKind, FigureResult, TillProgress
from ringfence.adapters import Cancelled, NotCancelled
from ringfence.adapters.simulated_till import Mark, SimulatedTill
from scripts.days.__main__ import main
from scripts.days.day import Day, run_day
from scripts.days.ending import differences, ending_of
from scripts.days.host import ServerProcess
from scripts.days.judge import Sale, chained, owed_at, promised_now
from scripts.days.killing import Killer
from scripts.days.messages import Delta, Message
from scripts.days.plan import LOCATIONS, Order, Plan, Visit
from scripts.days.rivals import CountOverwrites, SettledOnAcknowledgement
from scripts.days.runners import ServiceByRunners
from scripts.days.service import Service
from scripts.days.store import Store


def short_plan(*, seed: int = 1, orders: int = 200, minutes: int = 120) -> Plan:
    """Two hours of five items, at the last units of each."""
    return Plan(seed=seed, orders=orders, skus=5, minutes_a_day=minutes)


@pytest.mark.timeout(900)
async def test_no_count_of_a_day_is_wrong_and_nothing_is_oversold_but_what_walk_ins_took() -> None:
    """After every figure that reaches the service it sells exactly what the till's journal says is there and owed to
    nobody, whatever came late, twice, out of order or not at all; and in the end what stands on the shelf."""
    with ServerProcess() as server:
        async with Service(server, "day") as service:
            day = await run_day(short_plan(seed=7, minutes=240), service)
            report = await service.client.verify()
            listed = [found.kind async for found in service.client.list_discrepancies(page_size=1_000)]
            unsent = [found async for found in service.client.list_reservations(till_progress=TillProgress.NOT_SENT)]
    verdict, kinds, moved = day.verdict, set(listed), listed.count(DiscrepancyKind.MOVED_STORE)
    assert verdict.right, verdict
    assert verdict.counts > 50
    assert verdict.accepted > 100
    assert (report.done, report.violations) == (True, ())
    # What walk-ins took, bookings whose reversal was still on its way, and what other stores booked.
    assert kinds <= {DiscrepancyKind.SHORTFALL, DiscrepancyKind.BOOKED_AFTER_END, DiscrepancyKind.MOVED_STORE}
    assert moved == verdict.moved
    assert unsent == []
    met = {"figure stale", "figure gap", "figure duplicate", "booking duplicate", "event again"}
    assert met <= set(service.met), service.met
    assert service.met["figure gap"] == verdict.gaps
    told = (verdict.deltas, verdict.stale, verdict.gaps, verdict.epochs, verdict.old_figures, verdict.moved)
    assert min(told) > 0, told
    assert _met(day) == {"booked in parts", "rejected", "cancelled", "cancelled and taken back"}


def _met(day: Day) -> set[str]:
    """What happened to orders of the day, so that a day in which nothing happens is no test."""
    met = set()
    for sale in day.sales.values():
        till = day.stores[sale.order.location].till
        if not sale.handed or sale.arrives == 0:
            continue
        line = till.state_of(sale.reference)
        booked = [quantity for _, quantity in line.bookings]
        if line.reject_reason:
            met.add("rejected")
        elif min(booked, default=0) < 0:
            met.add("cancelled and taken back")
        elif not booked and line.closed:
            met.add("cancelled")
        elif len(booked) > 1:
            met.add("booked in parts")
    return met


class ForgetsBookings(Service):
    """An adapter that posts its figures without what was booked."""

    async def post(self, message: Message) -> frozenset[str]:
        return await super().post(dataclasses.replace(message, lines=()))


@pytest.mark.timeout(900)
async def test_the_judge_sees_an_adapter_that_keeps_bookings_to_itself() -> None:
    """Figures that come without their bookings count sales twice: the judge finds them too low, and says where."""
    with ServerProcess() as server:
        async with ForgetsBookings(server, "day") as service:
            plan = short_plan(orders=40, minutes=90)
            day = Day(plan, service)
            # The day would not end well: only its first hour and a half is judged.
            await day.run(lambda minute: None, until=90)
    assert day.verdict.too_low > 0
    assert not day.verdict.right
    assert re.search(r"minute \d+, \w+, ITEM-\d\d at position \d+: -?\d+, and -?\d+ is right", day.verdict.samples[0])


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_the_usual_ways_of_keeping_count_are_wrong_on_the_same_day(seed: int) -> None:
    """A count that overwrites is too high by the sales that it does not contain; settling on acknowledgement is too
    high where the figure came first and too low where it came last. Both sell what is not there."""
    plan = short_plan(seed=seed, orders=400, minutes=240)
    overwrites = asyncio.run(run_day(plan, CountOverwrites())).verdict
    acknowledged = asyncio.run(run_day(plan, SettledOnAcknowledgement())).verdict
    assert overwrites.too_high > 0
    assert (acknowledged.too_high > 0, acknowledged.too_low > 0) == (True, True)
    assert min(overwrites.oversold_by_rule, acknowledged.oversold_by_rule) > 0


def test_a_seed_is_a_day() -> None:
    """The same seed has the same orders, visits and ways of messages; another one has others."""
    one, same, other = short_plan(), short_plan(), short_plan(seed=2)
    assert (one.orders, one.visits, one.opening) == (same.orders, same.visits, same.opening)
    assert one.way("north", 3, figures=True) == same.way("north", 3, figures=True)
    assert one.orders != other.orders
    assert {order.location for orders in one.orders.values() for order in orders} == set(LOCATIONS)


ORDER = Order("WEB-1", 1, "north", "ITEM-01", 3, 5, 0, 1, 0, False, False, None, 1, False)


def _sold(*movements: int, closed: bool = False, rejected: bool = False) -> tuple[SimulatedTill, Sale]:
    """A till with 10 units, and a sale of 3 for which it made these movements."""
    till = SimulatedTill("north", {})
    till.deliver(ORDER.sku, 10)
    till.accept(ORDER.reference, ORDER.sku, ORDER.quantity)
    for units in movements:
        (till.book if units > 0 else till.reverse)(ORDER.reference, abs(units))
    if rejected:
        till.reject(ORDER.reference, "damaged")
    elif closed:
        till.close(ORDER.reference)
    return till, Sale(ORDER, ORDER.quantity, told_closed=closed or rejected)


@pytest.mark.parametrize(
    ("movements", "told", "owed"),
    [
        ((), {}, [3]),
        ((3,), {}, [3, 0]),
        ((1,), {}, [3, 2]),
        ((1,), {"rejected": True}, [3, 2]),
        ((), {"closed": True}, [0]),
        ((3, -3), {"closed": True}, [3, 0, 0]),
        ((), {"rejected": True}, [3]),
    ],
)
def test_the_judge_reads_the_journal(movements: Sequence[int], told: dict[str, bool], owed: list[int]) -> None:
    """A figure owes what was sold and it does not contain, until the till has given the rest up; a rejected rest is
    owed until the shop decides. By mark, from before the first movement to after the last."""
    till, sale = _sold(*movements, **told)
    marks = [till.mark, *(mark for mark, _ in till.state_of("WEB-1").bookings)]
    opening = Mark(0, 1)
    assert [owed_at(till, sale, mark) for mark in (opening, *marks[1:])] == owed


def test_what_a_new_till_writes_down_anew_did_not_happen_again() -> None:
    """Booked, undone and replaced: a figure of the old till owes the booking when it is of before it, and no figure of
    the new one owes it, whatever its journal begins with. What the new till books on top is owed until a figure of it
    has it."""
    till, sale = _sold(3, -3, closed=True)
    opening, booked, undone = Mark(0, 1), Mark(0, 2), Mark(0, 3)
    till.replace()
    assert [mark for mark, _ in till.state_of("WEB-1").bookings] == [Mark(1, 1), Mark(1, 2)]
    retold = till.mark
    assert [owed_at(till, sale, mark) for mark in (opening, booked, undone, retold)] == [3, 0, 0, 0]
    till.book("WEB-1", 2)
    assert [owed_at(till, sale, mark) for mark in (opening, booked, undone, retold, till.mark)] == [3, 0, 2, 2, 0]
    assert (till.value_at(ORDER.sku, retold), till.value_at(ORDER.sku, till.mark)) == (10, 8)


@pytest.mark.parametrize(
    ("in_force", "result"),
    [
        (Mark(0, 6), FigureResult.GAP),
        (Mark(0, 7), FigureResult.APPLIED),
        (Mark(0, 8), FigureResult.APPLIED),
        (Mark(0, 9), FigureResult.STALE),
        (Mark(1, 1), FigureResult.STALE),
    ],
)
def test_a_delta_follows_the_movement_before_it(in_force: Mark, result: FigureResult) -> None:
    """From position 7 to 9: it is worth something at 7 and 8, nothing from 9 or a newer epoch on, and before 7 one is
    missing."""
    assert chained(Delta(ORDER.sku, -1, Mark(0, 9), 7), in_force) is result


def test_a_delta_of_a_newer_epoch_than_the_figure_is_a_gap() -> None:
    """Positions of two epochs do not compare."""
    assert chained(Delta(ORDER.sku, -1, Mark(1, 9), 7), Mark(0, 8)) is FigureResult.GAP


def _store() -> Store:
    return Store(short_plan(), "north")


def test_a_stores_deltas_are_its_movements_in_a_chain() -> None:
    """Each names the item's movement before it, whatever happened to others in between; each is told once; a booking
    brings its line; what is lost of the message is lost with its item only."""
    store = _store()
    first, second = short_plan().skus[:2]
    opening = {sku: store.till.value_at(sku, store.till.mark) for sku in (first, second)}
    assert not store.has_moved
    store.accept(dataclasses.replace(ORDER, sku=second))
    at = store.till.position
    for sku in (first, second, first):
        store.visit(Visit(1, "north", sku, 2))
    store.book(dataclasses.replace(ORDER, sku=second), 0)
    assert store.has_booked(ORDER)
    message = store.deltas(lost=frozenset())
    assert [(delta.sku, delta.change, delta.mark.position - at) for delta in message.deltas] == [
        (first, 2, 1),
        (second, 2, 2),
        (first, 2, 3),
        (second, -3, 4),
    ]
    assert [delta.previous for delta in message.deltas[2:]] == [at + 1, at + 2]
    assert [line.line for line in message.lines] == ["WEB-1"]
    assert not store.has_moved
    assert store.value_at(first, store.till.mark) == opening[first] + 4
    store.visit(Visit(1, "north", first, 1))
    store.visit(Visit(1, "north", second, 1))
    assert [delta.sku for delta in store.deltas(lost=frozenset({first})).deltas] == [second]


def test_a_replaced_store_tells_everything_anew() -> None:
    """The new till shows the same units in positions of its own, tells every line again with its next count, and the
    movements of neither the old one nor its own opening as deltas."""
    store = _store()
    store.accept(ORDER)
    store.book(ORDER, 0)
    store.delivered(store.count())
    assert store.count().lines == ()
    shown = store.count().figures
    store.visit(Visit(1, "north", ORDER.sku, 1))
    store.replace()
    assert not store.has_moved
    message = store.count()
    assert message.mark.epoch == 1
    assert message.figures == {**shown, ORDER.sku: shown[ORDER.sku] + 1}
    assert [[mark.epoch for mark, _ in line.bookings] for line in message.lines] == [[1]]
    store.visit(Visit(1, "north", ORDER.sku, 1))
    (delta,) = store.deltas().deltas
    assert (delta.mark.epoch, 0 < delta.previous < delta.mark.position) == (1, True)


def test_what_a_store_books_for_another_one_is_unreported_until_it_is_told() -> None:
    """It leaves the shelf as with a customer; once its line was told the service knows of it."""
    store = _store()
    before = store.till.mark
    assert store.take_over(dataclasses.replace(ORDER, quantity=1000)) == 0
    units = store.take_over(dataclasses.replace(ORDER, quantity=2))
    assert (units, store.unreported_walk_ins(ORDER.sku, before)) == (2, 2)
    assert store.unreported_walk_ins(ORDER.sku, store.till.mark) == 0
    store.delivered(store.report(ORDER))
    assert store.unreported_walk_ins(ORDER.sku, before) == 0


def test_a_till_does_not_cancel_what_was_fetched_from_another_store() -> None:
    """It would give units back to the shop that have left."""
    store = _store()
    store.accept(ORDER)
    assert isinstance(store.cancel(ORDER, 1), NotCancelled)
    assert not store.till.state_of("WEB-1").closed
    assert isinstance(store.cancel(ORDER, 0), Cancelled)


class IgnoresGaps(Service):
    """An adapter that takes a delta for applied when one before it is missing."""

    async def post(self, message: Message) -> frozenset[str]:
        await super().post(message)
        return frozenset()


@pytest.mark.timeout(900)
async def test_the_judge_sees_a_gap_that_nobody_tells_of() -> None:
    """Which deltas lack the one before them follows from the journal: who says otherwise is at fault."""
    with ServerProcess() as server:
        async with IgnoresGaps(server, "day") as service:
            day = Day(short_plan(), service)
            await day.run(lambda minute: None, until=90)
    assert day.verdict.gaps > 0
    assert any(re.search(r"message \d+ of harbour has gaps: \[\]", fault) for fault in day.verdict.faults)


def test_the_index_of_the_journal_is_the_journal() -> None:
    """At every position a store says of each item what its till's journal says, of a till that was replaced too."""
    day = asyncio.run(run_day(short_plan(), CountOverwrites()))
    assert {store.till.epoch for store in day.stores.values()} == {0, 1}
    for store in day.stores.values():
        for mark in [entry.mark for entry in store.till.entries()][::7]:
            for sku in short_plan().skus:
                assert store.value_at(sku, mark) == store.till.value_at(sku, mark)


def test_what_the_shelf_owes_ends_with_the_line() -> None:
    """Units on the shelf belong to a sale until they are booked or the till is done with it."""
    assert promised_now(*_sold()) == 3
    assert promised_now(*_sold(1)) == 2
    assert promised_now(*_sold(1, rejected=True)) == 0
    assert promised_now(SimulatedTill("north", {}), Sale(ORDER, 3)) == 3
    assert promised_now(SimulatedTill("north", {}), Sale(ORDER, 3, elsewhere=2)) == 1


@pytest.mark.timeout(900)
async def test_a_day_with_kills_ends_as_the_undisturbed_day(tmp_path: Path) -> None:
    """kill -9 of the server, of an adapter and of both, in the midst of it: balances, counts, reservations, sums of the
    ledger and discrepancies are those of the day in which nothing was killed."""
    plan = short_plan(orders=40, minutes=60)
    endings, killed = [], Counter[str]()
    for kills in (0, 1):
        place = tmp_path / str(kills)
        place.mkdir()
        with ServerProcess(place / "ringfence.db") as server:
            killer = Killer(server, seed=1, minutes=plan.minutes, kills=kills)
            async with ServiceByRunners(server, "day", place / "state", killer) as service:
                day = await run_day(plan, service)
                await killer.settled()
                assert day.verdict.right, day.verdict
                assert (await service.client.verify()).violations == ()
                endings.append(await ending_of(service.client))
                killed += killer.killed
    assert differences(*endings) == []
    assert len(endings[0]["reservations"]) > 20
    assert (killed["server"], killed["adapter"] > 0) == (2, True)


def test_a_difference_is_told() -> None:
    """Two endings that differ are not taken for the same, whichever side has more."""
    one = {"balances": {"a": 1, "b": 2}}
    other = {"balances": {"a": 1, "b": 3, "c": 4}}
    assert [text.split(":")[1].strip() for text in differences(one, other)] == ["b", "c"]


def test_a_day_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """`scripts/day` prints one table of three sets of rules, what Verify says, and exits with 0."""
    assert main(["--orders", "30", "--skus", "2", "--minutes", "60"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("1 day of 60 minutes, seed 1: 3 tills, 2 items, 30 orders")
    assert [line.split("  ")[0] for line in printed[1:5]] == [
        "rules",
        "a count overwrites",
        "settled on acknowledgement",
        "ringfence",
    ]
    told = r"ringfence: \d+ chained deltas, \d+ STALE, \d+ GAP .* 1 new epoch, .* in another store"
    assert re.fullmatch(told, printed[5])
    assert printed[6].endswith("everything adds up")


class ClosesWithoutBookings(Service):
    """An adapter that says of every sale that it is done with, and never what was booked."""

    async def post(self, message: Message) -> frozenset[str]:
        lines = tuple(dataclasses.replace(line, bookings=()) for line in message.lines)
        return await super().post(dataclasses.replace(message, lines=lines))


def test_a_service_that_is_wrong_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and the first wrong counts."""
    monkeypatch.setattr("scripts.days.__main__.Service", ClosesWithoutBookings)
    assert main(["--orders", "30", "--skus", "2", "--minutes", "60"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^  ringfence: minute \d+, \w+, ITEM-\d\d at position", printed, re.M)
