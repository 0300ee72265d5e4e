"""What goes next over an Execute stream, what an answer settles, and what a broken stream sends again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ringfence import (
    ClientClosed,
    InsufficientQuantity,
    Line,
    OutcomeUnknown,
    Overloaded,
    Reserve,
    RetryPolicy,
    RingfenceError,
    Unavailable,
)
from ringfence._calls import execute_command
from ringfence._config import ClientConfig
from ringfence._error_mapping import from_status
from ringfence._window import MESSAGE_BYTES, Window
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from tests.client.scripted import OVERLOADED, status


class Entry:
    """A command on its way."""

    def __init__(self, request_id: str, size: int | None = None) -> None:
        self.request_id = request_id
        self.kind, self.message = execute_command(Reserve(Line("LAMP", "berlin", 1)), request_id)
        self.size = size or self.message.ByteSize()
        self.deadline: float | None = None
        self.sent = False
        self.lost = False
        self.tries = 0
        self.settled: list[tuple[Any, RingfenceError | None]] = []

    def settle(self, answer: Any, error: RingfenceError | None) -> None:
        """Remembers what came of it."""
        self.settled.append((answer, error))

    @property
    def error(self) -> RingfenceError:
        """The one error it was settled with."""
        assert len(self.settled) == 1
        error = self.settled[0][1]
        assert error is not None
        return error


def window(**options: Any) -> Window[Entry]:
    """A window with a timeout of 60 seconds and pauses of exactly 0.1 seconds."""
    config = ClientConfig(
        timeout=timedelta(seconds=10),
        retry=RetryPolicy(initial_backoff_seconds=0.1, backoff_multiplier=1),
    )
    chosen = {"timeout_seconds": 60.0, "max_in_flight": 100, "max_commands_per_message": 10, **options}
    return Window(config, random_fraction=lambda: 1.0, **chosen)


def submitted(into: Window[Entry], count: int) -> list[Entry]:
    """Commands "0", "1" … taken into a window."""
    entries = [Entry(str(number)) for number in range(count)]
    for entry in entries:
        into.submit(entry)
    return entries


def ids(entries: list[Entry]) -> list[str]:
    """The ids of commands."""
    return [entry.request_id for entry in entries]


def done(request_id: str) -> allocation_pb2.Outcome:
    """The outcome of a Reserve that succeeded."""
    return allocation_pb2.Outcome(request_id=request_id, reserve=allocation_pb2.ReserveResponse(revision="r"))


def refused(request_id: str, **what: Any) -> allocation_pb2.Outcome:
    """The outcome of a Reserve that failed."""
    return allocation_pb2.Outcome(request_id=request_id, error=status(**what))


DROPPED = from_status(status("UNAVAILABLE", "Socket closed"))
NOBODY = from_status(status("UNAVAILABLE", "failed to connect to all addresses; refused"))


def test_commands_travel_together_in_their_order() -> None:
    """A message holds as many commands as it may, the next one goes on where it ended."""
    lane = window()
    submitted(lane, 15)
    assert ids(lane.take(0)) == [str(number) for number in range(10)]
    assert ids(lane.take(0)) == [str(number) for number in range(10, 15)]
    assert lane.take(0) == []


def test_no_more_are_in_flight_than_may() -> None:
    """What waits for room goes as soon as answers make it."""
    lane = window(max_in_flight=3)
    submitted(lane, 5)
    assert ids(lane.take(0)) == ["0", "1", "2"]
    assert lane.take(0) == []
    lane.answered(done("1"), 0)
    assert ids(lane.take(0)) == ["3"]
    assert len(lane) == 4


def test_a_message_does_not_outgrow_its_bytes() -> None:
    """Large commands are spread over messages; one that is larger than a message goes alone."""
    lane = window()
    for number, size in enumerate((MESSAGE_BYTES // 2, MESSAGE_BYTES // 2, 10, MESSAGE_BYTES * 2, 10)):
        lane.submit(Entry(str(number), size))
    assert [ids(lane.take(0)) for _ in range(4)] == [["0", "1"], ["2"], ["3"], ["4"]]


def test_an_answer_settles_its_command() -> None:
    """Answers find their commands by request_id, in any order, once."""
    lane = window()
    entries = submitted(lane, 2)
    lane.take(0)
    lane.answered(done("1"), 0)
    lane.answered(refused("0", code="FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY"), 0)
    lane.answered(done("1"), 0)
    assert entries[1].settled[0][0].revision == "r"
    assert isinstance(entries[0].error, InsufficientQuantity)
    assert entries[0].error.request_id == "0"
    assert len(lane) == 0


def test_an_id_is_on_its_way_once() -> None:
    """The same id again, while the first has no answer, is refused; afterwards it may go again."""
    lane = window()
    submitted(lane, 1)
    with pytest.raises(ValueError, match="on its way already"):
        lane.submit(Entry("0"))
    lane.take(0)
    lane.answered(done("0"), 0)
    lane.submit(Entry("0"))


def test_a_broken_stream_sends_its_commands_again_first() -> None:
    """Unanswered commands go again in their order and before the others; answered ones do not."""
    lane = window(max_commands_per_message=3)
    submitted(lane, 5)
    lane.take(0)
    lane.answered(done("1"), 0)
    lane.broken(1, DROPPED)
    assert ids(lane.take(1)) == ["0", "2", "3"]
    assert ids(lane.take(1)) == ["4"]


def test_an_overloaded_command_is_put_off() -> None:
    """A command that the service had no room for goes again after the pause asked for, and others meanwhile."""
    lane = window()
    entries = submitted(lane, 2)
    lane.take(0)
    lane.answered(refused("0", code="RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after=timedelta(seconds=2)), 10.0)
    assert entries[0].settled == []
    assert lane.next_event(10.0) == pytest.approx(2.1)
    assert lane.take(12.0) == []
    assert ids(lane.take(12.2)) == ["0"]
    lane.answered(done("0"), 13)
    assert entries[0].settled[0][1] is None


def test_an_overloaded_command_is_put_off_within_its_time() -> None:
    """When the pause asked for is longer than the command may wait, it is told so at once: nothing was done."""
    lane = window()
    entries = submitted(lane, 1)
    lane.take(0)
    lane.answered(refused("0", code="RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after=timedelta(seconds=61)), 1)
    assert type(entries[0].error) is Overloaded


def test_overload_after_a_broken_stream_leaves_the_outcome_unknown() -> None:
    """Before, the command may have been carried out; that there is no room for it now does not tell."""
    lane = window()
    entries = submitted(lane, 1)
    lane.take(0)
    lane.broken(1, DROPPED)
    lane.take(1)
    lane.answered(allocation_pb2.Outcome(request_id="0", error=OVERLOADED), 59.99)
    assert isinstance(entries[0].error, OutcomeUnknown)


def test_a_refusal_after_a_broken_stream_is_certain() -> None:
    """One id has one outcome."""
    lane = window()
    entries = submitted(lane, 1)
    lane.take(0)
    lane.broken(1, DROPPED)
    lane.take(1)
    lane.answered(refused("0", code="FAILED_PRECONDITION", reason="INSUFFICIENT_QUANTITY"), 2)
    assert isinstance(entries[0].error, InsufficientQuantity)


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"])
def test_a_refused_stream_says_nothing_of_an_earlier_one(code: str) -> None:
    """A stream that the service refuses decides only what was on no stream before: of that the outcome is unknown."""
    lane = window(max_in_flight=1)
    entries = submitted(lane, 2)
    lane.take(0)
    lane.broken(1, DROPPED)
    refusal = from_status(status(code, "not like this", reason="INVALID_ARGUMENT"))
    lane.take(1)
    lane.broken(2, refusal)
    lane.fail(refusal)
    assert isinstance(entries[0].error, OutcomeUnknown)
    assert type(entries[1].error) is type(refusal)


def test_a_command_waits_for_its_answer_no_longer_than_its_time() -> None:
    """Time counts from the first sending, over broken streams; then the outcome is unknown and the id is told."""
    lane = window(max_in_flight=1)
    entries = submitted(lane, 2)
    lane.take(100)
    lane.connected()
    lane.broken(130, DROPPED)
    lane.take(131)
    assert lane.next_event(131) == pytest.approx(29)
    assert lane.expire(159.9, None) is False
    assert lane.expire(160, None) is True
    assert isinstance(entries[0].error, OutcomeUnknown)
    assert entries[0].error.request_id == "0"
    # The other one never left: it has all of its time.
    assert entries[1].settled == []
    assert ids(lane.take(160)) == ["1"]


def test_an_answer_that_comes_too_late_is_nothing() -> None:
    """A command that was given up is not settled again."""
    lane = window()
    entries = submitted(lane, 1)
    lane.take(0)
    lane.expire(60, None)
    lane.answered(done("0"), 61)
    assert len(entries[0].settled) == 1


def test_an_id_that_was_given_up_may_be_asked_again() -> None:
    """The way to learn an unknown outcome: the same id again, on its own time, though the old one was put off."""
    lane = window()
    submitted(lane, 1)
    lane.take(0)
    lane.answered(allocation_pb2.Outcome(request_id="0", error=OVERLOADED), 1)
    lane.expire(60, None)
    again = Entry("0")
    lane.submit(again)
    assert lane.take(61) == [again]
    assert lane.take(62) == []


def test_a_service_that_never_answers_is_given_up_sooner() -> None:
    """Where no stream ever came about, commands fail after the client's own timeout, and certainly undone."""
    lane = window()
    entries = submitted(lane, 2)
    lane.take(0)
    lane.broken(0, NOBODY)
    assert lane.next_event(0) == pytest.approx(10)
    lane.expire(9.9, NOBODY)
    assert entries[0].settled == []
    lane.expire(10, NOBODY)
    for entry in entries:
        assert type(entry.error) is Unavailable
        assert "no service answers at localhost:50051" in str(entry.error)
    assert entries[0].error is not entries[1].error


def test_a_stream_that_nobody_takes_counts_as_a_service_that_is_down() -> None:
    """While a stream is not taken nothing goes; in the end what waits is undone, and the stream is given up."""
    lane = window()
    entries = submitted(lane, 1)
    lane.opening(0)
    assert lane.next_event(0) == pytest.approx(10)
    assert lane.expire(9.9, None) is False
    assert lane.expire(10, None) is True
    assert type(entries[0].error) is Unavailable
    assert "no service answers at localhost:50051 in time" in str(entries[0].error)


def test_a_service_that_was_given_up_has_a_second_to_be_back() -> None:
    """Later commands fail after a second instead of the whole wait, and each stream opened for them has that second."""
    lane = window()
    submitted(lane, 1)
    lane.opening(0)
    lane.expire(10, NOBODY)
    for opened in (100.0, 200.0):
        later = Entry(str(opened))
        lane.submit(later)
        lane.opening(opened)
        assert lane.expire(opened + 0.9, NOBODY) is False
        assert later.settled == []
        lane.opening(opened + 0.95)  # another try in vain
        lane.expire(opened + 1, NOBODY)
        assert type(later.error) is Unavailable


def test_a_service_that_has_answered_is_waited_for() -> None:
    """A restart may take the pipeline's whole timeout, for commands that wait their turn too."""
    lane = window(max_in_flight=1)
    entries = submitted(lane, 2)
    lane.take(0)
    lane.connected()
    lane.broken(1, DROPPED)
    lane.expire(59, NOBODY)
    assert entries[1].settled == []
    lane.expire(61, NOBODY)
    assert isinstance(entries[0].error, OutcomeUnknown)
    assert type(entries[1].error) is Unavailable


def test_a_failing_window_tells_what_it_knows() -> None:
    """What was never sent is certainly undone; what was is unknown."""
    lane = window(max_in_flight=1)
    entries = submitted(lane, 2)
    lane.take(0)
    lane.fail(ClientClosed("closed"))
    assert isinstance(entries[0].error, OutcomeUnknown)
    assert isinstance(entries[1].error, ClientClosed)
    assert len(lane) == 0
    assert lane.take(1) == []


@pytest.mark.parametrize(
    "options", [{"max_commands_per_message": 0}, {"max_commands_per_message": 1001}, {"max_in_flight": 0}]
)
def test_bounds_are_checked(options: dict[str, int]) -> None:
    """A message holds 1 to 1,000 commands, and at least one is in flight."""
    with pytest.raises(ValueError, match="must be"):
        window(**options)
