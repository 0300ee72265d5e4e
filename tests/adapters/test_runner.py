"""What the runner does around an adapter: when it reads, what it posts, what it shows."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from ringfence import InvalidArgument, StockFigure
from ringfence.adapters import (
    AdapterError,
    SaleTotal,
    Schedule,
    TillRead,
)
from tests.adapters.conftest import QUARTER, Clock, MakeRunner, orders
from tests.adapters.service import TillService
from tests.adapters.till import Till, TillAdapter
from tests.client.scripted import wait_for


def test_the_lamp_story(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """10 lamps, an order of one: 9 are shown, and stay 9 when the till books it, at once or a day later."""
    till = Till({"LAMP": 10})
    runner = make_runner(TillAdapter(till))
    runner.step()
    assert service.available("LAMP", "berlin") == 10
    assert till.shown == {"LAMP": 10}
    sale = service.sell("LAMP", "berlin", 1, "4711")
    orders(runner, service, 1)
    assert (till.times_posted, sale.document_number) == (["4711"], "T-4711")
    clock.advance(QUARTER)
    runner.step()
    # Received is not booked: the till's figure of 10 does not contain the order.
    assert service.available("LAMP", "berlin") == 9
    assert till.shown == {"LAMP": 9}
    till.book("4711")
    clock.advance(QUARTER)
    runner.step()
    assert service.figures["LAMP", "berlin"][1] == 9
    assert service.owed("LAMP", "berlin") == 0
    assert service.available("LAMP", "berlin") == 9
    assert [quantity.quantity for quantity in service.published] == [10, 9]


def test_reads_follow_the_schedule(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """Nothing is read before it is due; the runner says how long that is."""
    runner = make_runner(TillAdapter(Till({"LAMP": 10})), orders=False, publish=None)
    assert runner.step() == QUARTER
    clock.advance(timedelta(minutes=14))
    assert runner.step() == timedelta(minutes=1)
    assert runner.counters.reads == 1
    clock.advance(timedelta(minutes=1))
    runner.step()
    assert runner.counters.reads == 2


def test_hourly_is_at_the_full_hour(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """An hourly read started at 9:10 reads next at 10:00."""
    clock.advance(timedelta(minutes=10))
    runner = make_runner(TillAdapter(Till({"LAMP": 10})), orders=False, publish=None, read=Schedule.hourly())
    assert runner.step() == timedelta(minutes=50)


def test_on_change_reads_only_what_changed(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """The adapter is asked every few seconds, and read only when it says so."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    changed = [False, True]
    adapter.changed = lambda: changed.pop(0)  # type: ignore[method-assign]
    runner = make_runner(adapter, orders=False, publish=None, read=Schedule.when_changed())
    assert runner.step() == timedelta(seconds=5)
    assert runner.counters.reads == 0
    clock.advance(timedelta(seconds=5))
    runner.step()
    assert runner.counters.reads == 1


def test_a_till_that_is_off_is_asked_again(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """Failures double the pause up to its cap, and a success begins anew."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.fails = 12
    runner = make_runner(adapter, orders=False, publish=None)
    pauses = []
    for _ in range(12):
        pauses.append(runner.step().total_seconds())
        clock.advance(timedelta(seconds=pauses[-1]))
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert runner.step() == QUARTER
    assert (runner.counters.reads_failed, runner.counters.reads) == (12, 1)


def test_a_service_that_is_away_loses_nothing(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """What was booked while the service was away is posted when it is back, at the position where it was first seen."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 2)})
    service.sell("LAMP", "berlin", 2, "4711")
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    runner.step()
    till.book("4711")
    service.fail("PostStock", *["before"] * 20)
    clock.advance(QUARTER)
    pause = runner.step()
    assert runner.counters.reads_failed == 1
    service.fail("PostStock")
    till.walk_in("LAMP", 1)
    clock.advance(pause)
    runner.step()
    assert service.available("LAMP", "berlin") == 7
    assert list(service.sales[0].bookings) == [(0, 2)]


def test_a_lost_answer_doubles_nothing(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """A post that was done and whose answer was lost is one post."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 2)})
    service.sell("LAMP", "berlin", 2, "4711")
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    till.book("4711")
    service.fail("PostStock", "after", "after")
    runner.step()
    assert len(service.posts) == 1
    assert service.available("LAMP", "berlin") == 8


def test_bookings_of_unknown_orders_go_again(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """A booking that came before its order is sent with every read until the service knows the order."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 2)})
    till.book("4711")
    adapter = TillAdapter(till)
    runner = make_runner(adapter, orders=False, publish=None)
    runner.step()
    assert adapter.reports[0].unknown_orders == ["4711"]
    service.sell("LAMP", "berlin", 2, "4711")
    assert service.available("LAMP", "berlin") == 6
    clock.advance(QUARTER)
    runner.step()
    assert service.available("LAMP", "berlin") == 8
    assert adapter.reports[1].unknown_orders == []


def test_a_reversal_and_a_partial_booking(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """Totals that fall are reversals; what is not booked yet stays owed."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 3)})
    sale = service.sell("LAMP", "berlin", 3, "4711")
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    for quantity, owed in ((2, 1), (-1, 2), (2, 0)):
        till.book("4711", quantity)
        runner.step()
        clock.advance(QUARTER)
        assert service.owed("LAMP", "berlin") == owed
        assert service.available("LAMP", "berlin") == 7
    assert list(sale.bookings.values()) == [2, -1, 2]


def test_an_older_read_is_no_reversal(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """A till's read that comes late says less than is known: its totals are left, its figures are STALE."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 3)}, position=7)
    sale = service.sell("LAMP", "berlin", 3, "4711")
    adapter = TillAdapter(till)
    runner = make_runner(adapter, orders=False, publish=None)
    till.book("4711")
    runner.step()
    till.position, till.booked, till.on_hand = 5, {"4711": 0}, {"LAMP": 10}
    clock.advance(QUARTER)
    runner.step()
    assert sale.bookings == {(0, 7): 3}
    assert service.available("LAMP", "berlin") == 7
    assert adapter.reports[1].results == {"figure stale": 1}


class Movements(TillAdapter):
    """An adapter that tells movements of lamps and rugs, and figures when it is told of a gap."""

    def read(self) -> TillRead | None:
        if not self.reports:
            return super().read()
        if gaps := self.reports[-1].gaps:
            self.till.on_hand = {key.sku: self.till.on_hand[key.sku] for key in gaps}
            return super().read()
        lamp = StockFigure("LAMP", "berlin", delta=-1, position=8, previous_position=7)
        lost = [StockFigure("RUG", "berlin", delta=-1, position=at, previous_position=at - 1) for at in (9, 10)]
        return TillRead(figures=[lamp, *lost], position=10)


def test_a_report_names_the_keys_of_which_a_delta_is_missing(
    service: TillService, make_runner: MakeRunner, clock: Clock
) -> None:
    """Of the rugs a chained delta comes before the one that it follows, and the next too: the report names them, once,
    and not the lamps. Their figure then takes both in."""
    till = Till({"LAMP": 10, "RUG": 5}, position=7)
    adapter = Movements(till)
    runner = make_runner(adapter, orders=False, publish=None)
    runner.step()
    assert adapter.reports[0].gaps == []
    till.on_hand, till.position = {"LAMP": 9, "RUG": 2}, 10
    clock.advance(QUARTER)
    runner.step()
    assert adapter.reports[1].results == {"figure applied": 1, "figure gap": 2}
    assert [(key.sku, key.location) for key in adapter.reports[1].gaps] == [("RUG", "berlin")]
    clock.advance(QUARTER)
    runner.step()
    assert (adapter.reports[2].results, adapter.reports[2].gaps) == ({"figure applied": 1}, [])
    assert {sku: service.available(sku, "berlin") for sku in ("LAMP", "RUG")} == {"LAMP": 9, "RUG": 2}


def test_a_replaced_till_tells_everything_anew(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """In a new epoch what was booked before is told again, in the new till's positions, and stays contained."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 3)}, position=70)
    sale = service.sell("LAMP", "berlin", 3, "4711")
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    till.book("4711", 2)
    runner.step()
    till.epoch, till.position = 1, 2
    till.book("4711", 1)
    clock.advance(QUARTER)
    runner.step()
    assert sale.bookings == {(0, 70): 2, (1, 2): 3}
    assert service.figures["LAMP", "berlin"][:2] == ((1, 2), 7)
    assert service.available("LAMP", "berlin") == 7


def test_a_replaced_till_tells_that_a_booking_was_undone(
    service: TillService, make_runner: MakeRunner, clock: Clock
) -> None:
    """Booked 3 in the old till's figure, none in the new till's: told as booked and undone, once, so that the sale is
    owed again and its units are not sold twice."""
    till = Till({"LAMP": 10}, orders={"4711": ("LAMP", 3)}, position=70)
    sale = service.sell("LAMP", "berlin", 3, "4711")
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    till.book("4711")
    till.closed.clear()
    runner.step()
    assert (service.owed("LAMP", "berlin"), service.available("LAMP", "berlin")) == (0, 7)
    till.epoch, till.position, till.on_hand, till.booked = 1, 2, {"LAMP": 10}, {"4711": 0}
    for position in (2, 3):
        till.position = position
        clock.advance(QUARTER)
        runner.step()
        assert sale.bookings == {(0, 70): 3, (1, 1): 3, (1, 2): -3}
        assert (service.owed("LAMP", "berlin"), service.available("LAMP", "berlin")) == (3, 7)


def test_journal_bookings_need_a_position(service: TillService, make_runner: MakeRunner) -> None:
    """Journal positions without the journal's own position at the read would mix two numberings: a failure."""
    from ringfence import Booking, SaleBooking

    adapter = TillAdapter(Till())
    adapter.read = lambda: TillRead(  # type: ignore[method-assign]
        bookings=[SaleBooking("berlin", Booking(3, 1), order_reference="4711")]
    )
    runner = make_runner(adapter, orders=False, publish=None)
    runner.step()
    assert (runner.counters.reads_failed, service.posts) == (1, [])


def test_a_large_read_keeps_bookings_first(service: TillService, make_runner: MakeRunner) -> None:
    """More than fits one request goes as several, and no figure before the bookings it contains."""
    till = Till({f"SKU-{n}": 5 for n in range(4_500)}, orders={f"o{n}": (f"SKU-{n}", 1) for n in range(2_500)})
    for reference in till.orders:
        service.sell(till.orders[reference][0], "berlin", 1, reference)
        till.book(reference)
    runner = make_runner(TillAdapter(till), orders=False, publish=None)
    runner.step()
    kinds = [(bool(post.bookings), bool(post.figures)) for post in service.posts]
    assert kinds == [(True, False)] * 2 + [(False, True)] * 3
    assert all(len(post.figures) + len(post.bookings) <= 2_000 for post in service.posts)
    assert service.available("SKU-3", "berlin") == 4


def test_one_bad_figure_stops_no_other(service: TillService, make_runner: MakeRunner) -> None:
    """What the service refuses is found and named, and the rest of the read is taken."""
    till = Till({"LAMP": 10, "BAD-1": 5, "RUG": 3}, orders={"4711": ("LAMP", 2)})
    service.sell("LAMP", "berlin", 2, "4711")
    till.book("4711")
    adapter = TillAdapter(till)
    runner = make_runner(adapter, orders=False, publish=None)
    runner.step()
    assert {sku for sku, _ in service.figures} == {"LAMP", "RUG"}
    assert service.available("LAMP", "berlin") == 8
    (reason,) = adapter.refusals
    assert "BAD-1" in reason
    assert "no such item" in reason
    assert runner.counters.reads_refused == 1


def test_a_full_count_zeroes_what_it_does_not_mention(
    service: TillService, make_runner: MakeRunner, clock: Clock
) -> None:
    """A full count is a session: begun, posted, ended with the number of its keys."""
    till = Till({"LAMP": 10, "RUG": 3})
    adapter = TillAdapter(till)
    runner = make_runner(adapter, orders=False, publish=None)
    runner.step()
    del till.on_hand["RUG"]
    adapter.full_count = True
    clock.advance(QUARTER)
    runner.step()
    assert service.figures["RUG", "berlin"][1] == 0
    assert adapter.reports[1].results == {"count begun": 1, "figure applied": 1, "count applied": 1}


def test_only_differences_are_shown(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """What is shown already is not shown again, also after a restart; what is shown is reported."""
    till = Till({"LAMP": 10, "RUG": 3})
    adapter = TillAdapter(till)
    runner = make_runner(adapter)
    runner.step()
    assert till.shown == {"LAMP": 10, "RUG": 3}
    runner.close()
    till.walk_in("RUG", 1)
    till.shown = {}
    runner = make_runner(TillAdapter(till))
    runner.step()
    assert till.shown == {"RUG": 2}
    assert [(one.key.sku, one.quantity) for one in service.published] == [("LAMP", 10), ("RUG", 3), ("RUG", 2)]


def test_a_refused_subscription_ends_the_program(service: TillService, make_runner: MakeRunner) -> None:
    """What no other try mends is raised, and everything is closed."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    runner = make_runner(adapter)
    runner._client.stream_orders = lambda *given, **named: (_ for _ in ()).throw(  # type: ignore[method-assign]
        InvalidArgument("locations[0]: no TILL location")
    )
    with pytest.raises(InvalidArgument):
        runner.run()
    assert adapter.closed


def test_stopping_is_graceful(service: TillService, make_runner: MakeRunner) -> None:
    """A stop ends the run after the present step, with the adapter closed and the state given back."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    runner = make_runner(adapter)
    running = threading.Thread(target=runner.run)
    running.start()
    wait_for(lambda: runner.counters.reads == 1)
    runner.stop()
    running.join(timeout=60)
    assert not running.is_alive()
    assert adapter.closed
    make_runner(TillAdapter(Till()))


def test_the_metrics_file(service: TillService, make_runner: MakeRunner, tmp_path: Path) -> None:
    """The counters are there as OpenMetrics text after each step."""
    runner = make_runner(TillAdapter(Till({"LAMP": 10})), orders=False, metrics_file=tmp_path / "adapter.prom")
    runner.step()
    text = (tmp_path / "adapter.prom").read_text()
    assert "ringfence_adapter_reads_total 1\n" in text
    assert text.endswith("# EOF\n")


def test_lines_with_too_many_movements_are_named(service: TillService, make_runner: MakeRunner) -> None:
    """A line that never ends is an error that names the order, not an endless state."""
    from ringfence.adapters._sales import Sales

    sales = Sales()
    for position in range(1, 65):
        total = SaleTotal(location="berlin", order_reference="4711", booked=position % 2)
        sales.take_total(total, epoch=0, position=position, read=position)
    last = SaleTotal(location="berlin", order_reference="4711", booked=5)
    with pytest.raises(AdapterError, match="order 4711"):
        sales.take_total(last, epoch=0, position=65, read=65)


def test_figures_keep_their_own_position() -> None:
    """A figure that carries a position of its own keeps it."""
    from ringfence.adapters._reads import _placed

    own = StockFigure("LAMP", "berlin", 5, position=3)
    assert _placed(own, TillRead(), 9).position == 3
    assert _placed(StockFigure("LAMP", "berlin", 5), TillRead(epoch=2), 9).epoch == 2


def test_a_clock_that_goes_back_stops_nothing(service: TillService, make_runner: MakeRunner, clock: Clock) -> None:
    """What is due by the clock as it is now is done by it, not when it has caught up with the time before."""
    till = Till({"LAMP": 10})
    runner = make_runner(TillAdapter(till))
    runner.step()
    clock.advance(-timedelta(days=300))
    runner.step()
    till.walk_in("LAMP", 1)
    clock.advance(QUARTER)
    runner.step()
    assert runner.counters.reads == 2
    assert till.shown == {"LAMP": 9}


def test_metrics_that_cannot_be_written_stop_nothing(
    service: TillService, make_runner: MakeRunner, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once."""
    runner = make_runner(TillAdapter(Till({"LAMP": 10})), metrics_file=tmp_path / "nowhere" / "till.prom")
    for _ in range(3):
        runner.step()
        clock.advance(QUARTER)
    assert runner.counters.reads == 3
    assert caplog.text.count("the metrics cannot be written to") == 1


def test_a_key_with_two_quantities_is_not_posted(service: TillService, make_runner: MakeRunner) -> None:
    """Which one is true nobody can know: the read fails, and says which key."""
    adapter = TillAdapter(Till())
    adapter.read = lambda: TillRead(  # type: ignore[method-assign]
        figures=[StockFigure("LAMP", "berlin", 3), StockFigure("LAMP", "berlin", 4)]
    )
    runner = make_runner(adapter, publish=None, orders=False)
    runner.step()
    assert (runner.counters.reads_failed, service.posts) == (1, [])
