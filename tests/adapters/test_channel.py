"""A shop's adapter: orders in, availability out, over crashes and lost answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence import Line
from ringfence.adapters import (
    AdapterError,
    ChannelAdapter,
    ChannelConfig,
    ChannelOrder,
    ChannelResult,
    ChannelRunner,
    OrderStage,
    QueriedBalances,
    Shown,
)
from tests.adapters.conftest import QUARTER, Clock
from tests.adapters.crashing import Crash, CrashAt
from tests.adapters.service import TillService


class Shop(ChannelAdapter):
    """A shop in memory."""

    def __init__(self) -> None:
        self.waiting: list[ChannelOrder] = []
        self.results: dict[tuple[str, str], ChannelResult] = {}
        self.shown: dict[str, int] = {}
        self.times_shown = 0

    def place(self, reference: str, stage: OrderStage, quantity: int = 1) -> None:
        """An order comes to a stage."""
        lines = [Line("LAMP", "berlin", quantity)] if stage is not OrderStage.CANCELLED else []
        self.waiting.append(ChannelOrder(order_reference=reference, stage=stage, lines=lines))

    def orders(self) -> Sequence[ChannelOrder]:
        return list(self.waiting)

    def answer(self, order: ChannelOrder, result: ChannelResult) -> None:
        self.results[order.order_reference, str(order.stage)] = result
        self.waiting = [one for one in self.waiting if one != order]

    def publish(self, shown: Sequence[Shown]) -> None:
        self.times_shown += 1
        self.shown |= {one.key.sku: one.quantity for one in shown}


MakeChannel = Callable[..., ChannelRunner]


@pytest.fixture
def make_channel(service: TillService, clock: Clock, tmp_path: Path) -> Any:
    """Makes a runner as after a start of the program; it is closed after the test."""
    made: list[Any] = []
    service.figures["LAMP", "berlin"] = ((0, 1), 10, "pos")

    def make(shop: Shop, checkpoint: Callable[[str], None] = lambda step: None) -> ChannelRunner:
        client = service.client(caller="shop")
        runner = ChannelRunner(
            shop,
            client,
            ChannelConfig(name="shop", state=tmp_path / "shop"),
            clock=clock,
            random_fraction=lambda: 1.0,
            checkpoint=checkpoint,
            balances=QueriedBalances,
        )
        made.extend((client, runner))
        return runner

    yield make
    for one in reversed(made):
        one.close()


def test_an_order_from_its_hold_to_its_sale(service: TillService, make_channel: MakeChannel, clock: Clock) -> None:
    """Placed holds, paid sells, cancelled asks the till."""
    shop = Shop()
    runner = make_channel(shop)
    shop.place("4711", OrderStage.PLACED, 3)
    runner.step()
    assert service.available("LAMP", "berlin") == 7
    assert service.sales == []
    for stage in (OrderStage.PAID, OrderStage.CANCELLED):
        shop.place("4711", stage, 3)
        clock.advance(timedelta(seconds=5))
        runner.step()
    assert [sale.order_reference for sale in service.sales] == ["4711"]
    assert shop.results["4711", "paid"].reservation_id == service.sales[0].reservation_id
    assert not shop.results["4711", "paid"].waits_for_till
    assert shop.results["4711", "cancelled"].waits_for_till
    assert shop.waiting == []


def test_a_refusal_is_an_answer(service: TillService, make_channel: MakeChannel) -> None:
    """What is not there is told to the shop, once and for good; cancelling it afterwards is nothing."""
    shop = Shop()
    shop.place("4711", OrderStage.PLACED, 11)
    shop.place("4711", OrderStage.CANCELLED)
    make_channel(shop).step()
    result = shop.results["4711", "placed"]
    assert (result.accepted, result.reservation_id) == (False, "")
    assert "INSUFFICIENT_QUANTITY" in result.reason
    assert shop.results["4711", "cancelled"].accepted
    assert service.requests["Cancel"] == 0


def test_an_order_that_comes_paid(service: TillService, make_channel: MakeChannel) -> None:
    """A shop that tells only of paid orders sells directly."""
    shop = Shop()
    shop.place("4711", OrderStage.PAID, 2)
    make_channel(shop).step()
    assert service.available("LAMP", "berlin") == 8
    assert shop.results["4711", "paid"].accepted


def test_availability_at_the_shops_own_pace(service: TillService, make_channel: MakeChannel, clock: Clock) -> None:
    """Only differences, and no sooner than the interval."""
    shop = Shop()
    runner = make_channel(shop)
    runner.step()
    assert shop.shown == {"LAMP": 10}
    service.sell("LAMP", "berlin", 1, "1")
    service.sell("LAMP", "berlin", 1, "2")
    clock.advance(timedelta(minutes=14))
    runner.step()
    assert shop.shown == {"LAMP": 10}
    clock.advance(timedelta(minutes=1))
    runner.step()
    assert shop.shown == {"LAMP": 8}
    clock.advance(QUARTER)
    runner.step()
    assert shop.times_shown == 2
    assert [one.quantity for one in service.published] == [10, 8]


@pytest.mark.parametrize("orders", [[1], {"A-1": {}}, {"A-1": {"reservation_id": "", "stages": []}}])
def test_a_state_that_no_adapter_saved_is_refused(make_channel: MakeChannel, tmp_path: Path, orders: Any) -> None:
    """With what to do; and the directory is free again when it was put right."""
    (tmp_path / "shop").mkdir()
    file = tmp_path / "shop" / "channel.json"
    file.write_text(json.dumps({"version": 1, "orders": orders}))
    with pytest.raises(AdapterError, match="cannot be read as the adapter's state"):
        make_channel(Shop())
    file.unlink()
    make_channel(Shop())


def test_a_state_is_one_shops(service: TillService, make_channel: MakeChannel, tmp_path: Path) -> None:
    """Another adapter's directory is refused when it has remembered anything."""
    shop = Shop()
    runner = make_channel(shop)
    shop.place("A-1", OrderStage.PLACED)
    runner.step()
    runner.close()
    with (
        service.client() as client,
        pytest.raises(AdapterError, match="the state of the adapter 'shop', not of 'other'"),
    ):
        ChannelRunner(Shop(), client, ChannelConfig(name="other", state=tmp_path / "shop"))


def test_a_clock_that_goes_back_stops_nothing(service: TillService, make_channel: MakeChannel, clock: Clock) -> None:
    """Nothing waits until it is where it was: orders for five minutes at most, what is shown for its interval."""
    shop = Shop()
    runner = make_channel(shop)
    runner.step()
    clock.advance(-timedelta(days=300))
    runner.step()
    shop.place("A-1", OrderStage.PLACED)
    service.sell("LAMP", "berlin", 1, "1")
    clock.advance(QUARTER)
    runner.step()
    assert list(shop.results) == [("A-1", "placed")]
    assert shop.shown["LAMP"] < 10


def test_a_failure_is_counted_where_it_belongs(
    service: TillService, make_channel: MakeChannel, caplog: pytest.LogCaptureFixture
) -> None:
    """A shop that cannot show what is available has its orders taken all the same."""

    class Full(Shop):
        def publish(self, shown: Sequence[Shown]) -> None:
            raise OSError("the shop's disk is full")

    runner = make_channel(Full())
    runner.step()
    assert (runner.counters.publish_failures, runner.counters.feed_failures) == (1, 0)
    assert "the shop's disk is full" in caplog.text


@pytest.mark.parametrize("number", range(1, 16))
def test_a_crash_at_every_step(service: TillService, make_channel: MakeChannel, clock: Clock, number: int) -> None:
    """Wherever the program ends, each order is held once, sold once and answered."""
    shop = Shop()
    crash = CrashAt(number)
    runner = make_channel(shop, crash)
    for stage in (OrderStage.PLACED, OrderStage.PAID):
        shop.place("4711", stage, 3)
        for _ in range(3):
            clock.advance(QUARTER)
            try:
                runner.step()
            except Crash:
                runner.close()
                runner = make_channel(shop, crash)
    assert len(service.sales) == 1
    assert service.held == {}
    assert service.available("LAMP", "berlin") == 7
    assert shop.shown == {"LAMP": 7}
    assert all(result.accepted for result in shop.results.values())
    assert set(shop.results) == {("4711", "placed"), ("4711", "paid")}


def test_an_unknown_outcome_is_learned_before_the_next_stage(
    service: TillService, make_channel: MakeChannel, clock: Clock
) -> None:
    """A hold whose answer never came is not left behind when the shop has cancelled meanwhile."""
    shop = Shop()
    runner = make_channel(shop)
    shop.place("4711", OrderStage.PLACED, 3)
    service.fail("Reserve", "after", *["before"] * 20)
    pause = runner.step()
    assert len(service.held) == 1
    service.fail("Reserve")
    shop.waiting = []
    shop.place("4711", OrderStage.CANCELLED)
    clock.advance(pause)
    runner.step()
    assert service.held == {}
    assert shop.results["4711", "cancelled"].accepted
