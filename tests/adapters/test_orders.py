"""What a runner does with orders: each reaches its till once, and the till's answer the service, now or later."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ringfence.adapters import (
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    Received,
    Rejected,
)
from ringfence.adapters._orders import POSTPONED_FOR
from ringfence.v1 import order_feed_service_pb2 as feed_pb2
from tests.adapters.conftest import Clock, MakeRunner, orders
from tests.adapters.service import TillService
from tests.adapters.till import Till, TillAdapter
from tests.client.scripted import wait_for


def test_a_rejected_order(service: TillService, make_runner: MakeRunner) -> None:
    """A rejection reaches the service with its reason."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.says = Rejected("no delivery on Sundays")
    sale = service.sell("LAMP", "berlin", 1, "4711")
    orders(make_runner(adapter), service, 1)
    assert sale.rejected == "no delivery on Sundays"


@pytest.mark.parametrize(("says", "reply"), [(None, "confirm_cancellation"), (NotCancelled("sold"), "refuse_")])
def test_a_cancellation(service: TillService, make_runner: MakeRunner, says: NotCancelled | None, reply: str) -> None:
    """A cancellation comes after its order and is confirmed or refused."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    runner = make_runner(adapter)
    sale = service.sell("LAMP", "berlin", 1, "4711")
    orders(runner, service, 1)
    adapter.says = says
    service.cancel(sale)
    orders(runner, service, 2)
    assert str(service.events[1].replied).startswith("event_id")
    assert service.replies()["4711 2"].startswith(reply)


def test_a_till_that_fails_gets_the_order_again(service: TillService, make_runner: MakeRunner) -> None:
    """The service is told why; when the event comes again the till learns that it may know it."""
    till = Till({"LAMP": 10})
    adapter = TillAdapter(till)
    adapter.says = ConnectionError("offline")
    service.sell("LAMP", "berlin", 1, "4711")
    runner = make_runner(adapter)
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.events_failed >= 1)
    adapter.says = None
    orders(runner, service, 1)
    assert till.times_posted == ["4711"]
    assert till.repeated == ["4711"]


def test_a_copy_of_an_event_is_answered_and_not_booked(service: TillService, make_runner: MakeRunner) -> None:
    """An event that comes again after it was answered gets the same answer, and the till hears nothing of it."""
    till = Till({"LAMP": 10})
    runner = make_runner(TillAdapter(till))
    service.sell("LAMP", "berlin", 1, "4711")
    orders(runner, service, 1)
    service.events[0].replied = None  # the service lost the reply, and hands the event over again
    service.stop()
    service.start()
    orders(runner, service, 1)
    assert till.times_posted == ["4711"]
    assert service.sales[0].document_number == "T-4711"


def test_a_late_answer(service: TillService, make_runner: MakeRunner) -> None:
    """A till that answers later keeps the event open, and its answer goes when it comes."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.says = Later()
    runner = make_runner(adapter)
    sale = service.sell("LAMP", "berlin", 1, "4711")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.orders == 1)
    assert service.replies() == {}
    adapter.late.append(Answer(service.events[0].message.event_id, Received("T-9")))
    orders(runner, service, 1)
    assert sale.document_number == "T-9"
    assert adapter.late == []


def test_an_answer_must_fit_its_event(service: TillService, make_runner: MakeRunner) -> None:
    """An order that is answered as a cancellation is a failure of the adapter, told to the service."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.post_order = lambda order, *, repeated: Cancelled()  # type: ignore[method-assign,assignment,return-value]
    service.sell("LAMP", "berlin", 1, "4711")
    runner = make_runner(adapter)
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.events_failed >= 1)
    assert service.replies() == {}


def test_late_answers_hold_up_no_newer_order(service: TillService, make_runner: MakeRunner) -> None:
    """Though there are more of them than may be in flight."""
    till = Till({"LAMP": 10})
    adapter = TillAdapter(till)
    adapter.says = Later()
    runner = make_runner(adapter, max_in_flight=2)
    for number in range(5):
        service.sell("LAMP", "berlin", 1, f"47{number}")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.orders == 5)
    adapter.says = None
    service.sell("LAMP", "berlin", 1, "4711")
    orders(runner, service, 1)
    assert till.times_posted == ["4711"]
    assert (runner.counters.events_waiting, runner.counters.postponements) == (5, 5)
    adapter.late += [Answer(event.message.event_id, Received("T-9")) for event in service.events[:5]]
    orders(runner, service, 6)
    runner.step()
    assert runner.counters.events_waiting == 0


def test_what_waits_is_renewed_until_somebody_else_settled_it(
    service: TillService, make_runner: MakeRunner, clock: Clock
) -> None:
    """At half of the time for which it was postponed, after a restart too; then the till's answer is not waited for any
    more, and one that comes all the same is taken away."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.says = Later()
    runner = make_runner(adapter)
    service.sell("LAMP", "berlin", 1, "4711")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.postponements == 1)
    clock.advance(POSTPONED_FOR / 2 - timedelta(seconds=1))
    runner.step()
    assert runner.counters.postponements == 1
    runner.close()
    runner = make_runner(adapter)
    clock.advance(timedelta(seconds=1))
    runner.step()
    assert (runner.counters.postponements, runner.counters.events_waiting) == (1, 1)
    (event,) = service.events
    event.replied = feed_pb2.OrderReply()  # a cancellation, say
    clock.advance(POSTPONED_FOR / 2)
    runner.step()
    runner.step()
    assert (runner.counters.postponements, runner.counters.events_waiting) == (2, 0)
    adapter.late.append(Answer(event.message.event_id, Received("T-9")))
    runner.step()
    assert (adapter.late, runner.counters.replies) == ([], 0)


def test_only_so_many_wait_for_a_till(
    service: TillService, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then no more are taken, and the log says so, once; one answer makes room for one."""
    monkeypatch.setattr("ringfence.adapters._orders.MOST_OPEN", 2)
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.says = Later()
    runner = make_runner(adapter, max_in_flight=1)
    for number in range(4):
        service.sell("LAMP", "berlin", 1, f"47{number}")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.orders == 2)
    for _ in range(3):
        runner.step(wait=timedelta(milliseconds=50))
    assert runner.counters.orders == 2
    assert [record.message for record in caplog.records if "wait for answers" in record.message] == [
        "2 orders and cancellations wait for answers of the till: none are taken until it answers"
    ]
    adapter.late.append(Answer(service.events[0].message.event_id, Received("T-9")))
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.orders == 3)


def test_an_answer_that_the_service_refuses_is_told_and_asked_for_again(
    service: TillService, make_runner: MakeRunner
) -> None:
    """It does not keep a place in flight for ever."""
    till = Till({"LAMP": 10})
    adapter = TillAdapter(till)
    adapter.post_order = lambda order, *, repeated: Received("REFUSE")  # type: ignore[method-assign]
    service.sell("LAMP", "berlin", 1, "4711")
    runner = make_runner(adapter, max_in_flight=1)
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.orders >= 2)
    assert runner.counters.reply_failures >= 1
    del adapter.post_order
    orders(runner, service, 1)
    assert till.repeated == ["4711"]


def test_an_answer_to_no_event_is_told(service: TillService, make_runner: MakeRunner) -> None:
    """One with an id that the service does not know goes back to the adapter, which can say so."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    told: list[str] = []
    adapter.answer_refused = lambda answer, reason: told.append(reason)  # type: ignore[method-assign]
    adapter.late.append(Answer("0198c1f0-0000-7000-8000-000000000000", Received("T-9")))
    runner = make_runner(adapter)
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and told != [])
    assert told == ["no such event: event_id is the one that came with the order"]


def test_an_answer_after_the_state_was_lost_is_told(
    service: TillService, make_runner: MakeRunner, tmp_path: Path
) -> None:
    """The service knows the event, though this program does not."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.says = Later()
    runner = make_runner(adapter)
    sale = service.sell("LAMP", "berlin", 1, "4711")
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.postponements == 1)
    runner.close()
    (tmp_path / "state" / "orders.json").unlink()
    adapter.late.append(Answer(service.events[0].message.event_id, Received("T-9")))
    orders(make_runner(adapter), service, 1)
    assert (sale.document_number, adapter.late) == ("T-9", [])


def test_a_document_number_that_is_too_long_is_asked_for_again(service: TillService, make_runner: MakeRunner) -> None:
    """It is a failure of the adapter, shown as the part's last error."""
    adapter = TillAdapter(Till({"LAMP": 10}))
    adapter.post_order = lambda order, *, repeated: Received("9" * 129)  # type: ignore[method-assign]
    service.sell("LAMP", "berlin", 1, "4711")
    runner = make_runner(adapter)
    wait_for(lambda: runner.step(wait=timedelta(milliseconds=50)) is not None and runner.counters.events_failed >= 1)
    assert service.replies() == {}
