"""Replays of the sample against a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction

import pytest

from ringfence import AsyncClient, RetryPolicy
from ringfence.testing import RingfenceServer
from scripts.replaying.audit import Audit
from scripts.replaying.invoices import Invoices
from scripts.replaying.order_file import Row
from scripts.replaying.plan import Plan, make_plan
from scripts.replaying.replay import LOCATION, Replay, Stopped
from scripts.replaying.sample import sample_rows
from scripts.replaying.tally import Tally
from tests.replay.builders import invoices_of, row
from tests.replay.model import Model

SAMPLE = sample_rows()


async def replayed(
    client: AsyncClient,
    invoices: Invoices,
    share: str = "1",
    fenced: str = "0.5",
    *,
    partial: bool = False,
    lines_in_flight: int = 8_192,
) -> tuple[Plan, Tally, Audit]:
    """Replays and audits; fails when anything unexpected happened."""
    plan, tally, audit = make_plan(invoices, Fraction(share), Fraction(fenced)), Tally(), Audit()
    replay = Replay(client, plan, tally, partial=partial, lines_in_flight=lines_in_flight)
    await replay.set_up()
    await replay.run(invoices)
    await audit.compare_stock(client, tally)
    await audit.compare_balances(client, tally)
    await audit.walk_ledger(client, lambda _: None)
    report = await client.verify()
    assert not tally.errors, tally.examples
    assert audit.ok, audit.violations
    assert report.ok, report.violations
    assert tally.file_lines == invoices.lines
    assert tally.invoices == len(invoices)
    return plan, tally, audit


async def test_enough_stock_serves_every_order_and_all_of_it_can_be_accounted_for() -> None:
    """With the whole peak and no fences nothing is refused, and the units sold and brought back are the file's."""
    invoices = invoices_of(SAMPLE)
    with RingfenceServer() as server:
        async with server.async_client() as client:
            _, tally, audit = await replayed(client, invoices, fenced="0")
    total = tally.total()
    assert (tally.refused, tally.void_units, tally.missing) == (0, 0, {})
    assert tally.accepted == sum(bool(invoice.sold) for invoice in invoices)
    assert total.sold == sum(quantity for invoice in invoices for _, quantity in invoice.sold)
    assert total.cancelled + total.returned == sum(quantity for invoice in invoices for _, quantity in invoice.returned)
    assert total.written_off == sum(quantity for invoice in invoices for _, quantity in invoice.written_off)
    assert audit.skus == len(invoices.skus)


@pytest.mark.parametrize("partial", [False, True], ids=["whole", "in part"])
@pytest.mark.parametrize(("share", "fenced"), [("1", "0.5"), ("0.5", "0.5"), ("0.5", "1"), ("0.2", "0")])
async def test_every_order_has_the_outcome_that_the_rules_give_it(share: str, fenced: str, partial: bool) -> None:
    """However much is on its way at once, orders are decided as if one came after the other: each SKU and each pool
    ends with what a model of the rules, without server, client and concurrency, ends with."""
    invoices = invoices_of(SAMPLE)
    with RingfenceServer() as server:
        async with server.async_client() as client:
            plan, tally, audit = await replayed(client, invoices, share, fenced, partial=partial)
    model = Model(partial=partial)
    model.replay(plan, invoices)
    assert model.refused or partial or share == "1"
    assert tally.refused == len(model.refused)
    assert tally.movements == model.movements
    assert tally.void_units == model.void
    assert {key: units for key, units in audit.free.items() if units} == {
        (sku, path): units for sku, pools in model.free.items() for path, units in pools.items() if units
    }


async def test_a_shortage_is_told_by_reason_pool_and_item() -> None:
    """Every short line of a refused order, with what it missed; the lines that were not short are only refused."""
    rows = [
        row("1", "20000", 8),
        row("2", "20000", 4, minute=1, country="Germany"),
        row("2", "20001", 1, minute=1, country="Germany"),
        row("C3", "20000", -8, minute=2),
    ]
    with RingfenceServer() as server:
        async with server.async_client() as client:
            _, tally, _ = await replayed(client, invoices_of(rows), "0.7", "0")
    assert {bound: (missing.lines, missing.units) for bound, missing in tally.missing.items()} == {
        ("quota_exhausted", "customer/germany", "", "20000"): (1, 4),
        ("quota_exhausted", "customer/germany", "", "20001"): (1, 1),
    }
    assert (tally.refused, tally.refused_lines, tally.refused_units) == (1, 2, 5)


async def test_cancelling_a_refused_order_makes_no_stock() -> None:
    """The customer never had the goods, so nothing comes back, neither by Cancel nor as a fact."""
    rows = [row("1", "20000", 10), row("C2", "20000", -10, minute=1), row("3", "20000", 5, minute=2)]
    with RingfenceServer() as server:
        async with server.async_client() as client:
            _, tally, _ = await replayed(client, invoices_of(rows), "0.5")
    assert (tally.refused, tally.void_units) == (1, 10)
    assert tally.total().on_hand == 0


async def test_what_is_written_off_beyond_the_stock_is_no_violation() -> None:
    """A fact is never refused; the item ends below zero and the audit says so, without blaming a sale."""
    rows = [row("1", "20000", -10, customer=""), row("2", "20000", 1, minute=1)]
    with RingfenceServer() as server:
        async with server.async_client() as client:
            _, tally, audit = await replayed(client, invoices_of(rows), "0.5")
    assert (tally.refused, tally.total().on_hand, audit.below_zero) == (1, -5, 1)


@pytest.mark.parametrize("lines_in_flight", [1, 50])
async def test_a_narrow_window_changes_nothing_but_speed(lines_in_flight: int) -> None:
    """An invoice larger than the window goes alone."""
    rows: list[Row] = [each for each in SAMPLE if each.number < 900]
    invoices = invoices_of(rows)
    with RingfenceServer() as server:
        async with server.async_client() as client:
            plan, tally, _ = await replayed(client, invoices, "0.5", lines_in_flight=lines_in_flight)
    model = Model()
    model.replay(plan, invoices)
    assert tally.movements == model.movements


async def test_a_cancellation_in_the_same_minute_finds_the_order_it_is_about() -> None:
    """Though it is submitted before that order has an answer; the order reference is the invoice's number."""
    rows = [row("1", "20000", 3), row("C2", "20000", -2), row("3", "20000", 2)]
    with RingfenceServer() as server:
        async with server.async_client() as client:
            _, tally, _ = await replayed(client, invoices_of(rows))
            found = [each async for each in client.list_reservations(order_reference="1")]
    assert tally.total().cancelled == 2
    assert [(each.lines[0].parts[0].cancelled, each.cancel_reason_text) for each in found] == [(2, "C2")]


async def test_a_server_that_goes_away_ends_the_replay() -> None:
    """It does not try the rest of the file one by one, and says why it stopped."""
    invoices = invoices_of(SAMPLE)
    tally = Tally()
    server = RingfenceServer().start()
    try:
        async with server.async_client(retry=RetryPolicy(maximum_attempts=1)) as client:
            plan = make_plan(invoices, Fraction(1), Fraction(0))
            replay = Replay(client, plan, tally, lines_in_flight=200, timeout=timedelta(seconds=2))
            await replay.set_up()
            with pytest.raises(Stopped):
                await replay.run(invoices, _after(20, tally, lambda: server.stop(grace_seconds=0)))
    finally:
        server.stop()
    assert 20 <= tally.invoices < len(invoices)
    assert tally.errors


def _after(invoices: int, tally: Tally, action: Callable[[], None]) -> Callable[[], None]:
    """Acts once, when so many invoices are done."""

    def progress() -> None:
        if tally.invoices == invoices:
            action()

    return progress


async def test_the_warehouse_keeps_its_own_count() -> None:
    """The stock that is left is what the service says is on hand there, item by item."""
    rows = [row("1", "20000", 10), row("C2", "20000", -4, minute=1), row("C3", "20001", -3, minute=2)]
    with RingfenceServer() as server:
        async with server.async_client() as client:
            await replayed(client, invoices_of(rows))
            stock = {each.key.sku: each.supply async for each in client.list_stock(locations=[LOCATION])}
    assert stock == {"20000": 4, "20001": 3}
