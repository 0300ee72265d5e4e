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

from ringfence import DiscrepancyKind, TillProgress
from ringfence.adapters.simulated_till import Mark, SimulatedTill
from scripts.days.__main__ import main
from scripts.days.day import Day, run_day
from scripts.days.ending import differences, ending_of
from scripts.days.host import ServerProcess
from scripts.days.judge import Sale, owed_at, promised_now
from scripts.days.killing import Killer
from scripts.days.messages import Message
from scripts.days.plan import LOCATIONS, Order, Plan
from scripts.days.rivals import CountOverwrites, SettledOnAcknowledgement
from scripts.days.runners import ServiceByRunners
from scripts.days.service import Service


def short_plan(*, seed: int = 1, orders: int = 200, minutes: int = 120) -> Plan:
    """Two hours of five items, at the last units of each."""
    return Plan(seed=seed, orders=orders, skus=5, minutes_a_day=minutes)


@pytest.mark.timeout(900)
async def test_no_count_of_a_day_is_wrong_and_nothing_is_oversold_but_what_walk_ins_took() -> None:
    """After every figure that reaches the service it sells exactly what the till's journal says is there and owed to
    nobody, whatever came late, twice, out of order or not at all; and in the end what stands on the shelf."""
    with ServerProcess() as server:
        async with Service(server, "day") as service:
            day = await run_day(short_plan(seed=3, minutes=240), service)
            report = await service.client.verify()
            kinds = {found.kind async for found in service.client.list_discrepancies()}
            unsent = [found async for found in service.client.list_reservations(till_progress=TillProgress.NOT_SENT)]
    verdict = day.verdict
    assert verdict.right, verdict
    assert verdict.counts > 50
    assert verdict.accepted > 100
    assert (report.done, report.violations) == (True, ())
    # What walk-ins took, and bookings whose reversal was still on its way.
    assert kinds <= {DiscrepancyKind.SHORTFALL, DiscrepancyKind.BOOKED_AFTER_END}
    assert unsent == []
    assert {"figure stale", "figure duplicate", "booking duplicate", "event again"} <= set(service.met), service.met
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

    async def post(self, message: Message) -> None:
        await super().post(Message(message.location, message.number, message.mark, message.figures, ()))


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


def test_the_index_of_the_journal_is_the_journal() -> None:
    """At every position a store says of each item what its till's journal says."""
    day = asyncio.run(run_day(short_plan(), CountOverwrites()))
    for store in day.stores.values():
        for position in range(0, store.till.position + 1, 7):
            mark = Mark(0, position)
            for sku in short_plan().skus:
                assert store.value_at(sku, mark) == store.till.value_at(sku, mark)


def test_what_the_shelf_owes_ends_with_the_line() -> None:
    """Units on the shelf belong to a sale until they are booked or the till is done with it."""
    assert promised_now(*_sold()) == 3
    assert promised_now(*_sold(1)) == 2
    assert promised_now(*_sold(1, rejected=True)) == 0
    assert promised_now(SimulatedTill("north", {}), Sale(ORDER, 3)) == 3


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
    assert printed[5].endswith("everything adds up")


class ClosesWithoutBookings(Service):
    """An adapter that says of every sale that it is done with, and never what was booked."""

    async def post(self, message: Message) -> None:
        lines = tuple(dataclasses.replace(line, bookings=()) for line in message.lines)
        await super().post(dataclasses.replace(message, lines=lines))


def test_a_service_that_is_wrong_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and the first wrong counts."""
    monkeypatch.setattr("scripts.days.__main__.Service", ClosesWithoutBookings)
    assert main(["--orders", "30", "--skus", "2", "--minutes", "60"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^  ringfence: minute \d+, \w+, ITEM-\d\d at position", printed, re.M)
