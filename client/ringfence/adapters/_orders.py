"""Orders on their way into a till: each event is given to it once, and its answer is told until it is durable.

What an event has come to is saved before and after the till is told: an event that may have reached the till before a
crash comes to it again marked `repeated`, one that the till has answered never does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ringfence._enums import OrderEventKind, OrderReplyResult
from ringfence._errors import InvalidArgument, RingfenceError
from ringfence._sync_feed import OrderFeed
from ringfence._till_types import OrderEvent
from ringfence.adapters._metrics import Counters
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._schedule import Backoff
from ringfence.adapters._state import StateFile
from ringfence.adapters._types import (
    AdapterError,
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    OrderAnswer,
    Received,
    Rejected,
)

A = TypeVar("A")

_log = logging.getLogger("ringfence.adapters")

POSTING, WAITING, ANSWERED, DONE = "posting", "waiting", "answered", "done"
MOST_DONE = 2_000
"""Events that are remembered after their reply is durable: a copy may still be on its way."""
MOST_OPEN = 20_000
"""Events that the till has not answered, with Later: no more are taken then, and the log says so."""
POSTPONED_FOR = timedelta(hours=1)
"""How long such an event is this adapter's at the service, whether it runs or not. Renewed at half of it."""
MOST_RENEWED = 100
"""Postponements renewed in one step."""

FORGOTTEN = timedelta(days=7)
"""An event that the till could not take and that was not handed over for so long is no event any more."""

_REPLIES = {OrderEventKind.ORDER: (Received, Rejected), OrderEventKind.CANCELLATION: (Cancelled, NotCancelled)}


class OrderDesk:
    """Takes events from the feed to the till, and its answers back."""

    def __init__(
        self,
        adapter: PosAdapter,
        state: StateFile,
        *,
        counters: Counters,
        backoff: Backoff,
        clock: Callable[[], datetime],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._adapter = adapter
        self._state = state
        self._counters = counters
        self._backoff = backoff
        self._clock = clock
        self._checkpoint = checkpoint
        self._events: dict[str, dict[str, Any]] = dict(state.values.get("events", {}))
        # What was being posted when the last program ended may be there.
        self._recovered = {event_id for event_id, found in self._events.items() if found["step"] == POSTING}
        self._full = False

    @property
    def full(self) -> bool:
        """Whether so many events wait for the till that no more are taken."""
        waiting = self._count_waiting()
        before, self._full = self._full, waiting >= MOST_OPEN
        if self._full and not before:
            _log.error(
                "%d orders and cancellations wait for answers of the till: none are taken until it answers", waiting
            )
        return self._full

    def _count_waiting(self) -> int:
        self._counters.events_waiting = sum(found["step"] == WAITING for found in self._events.values())
        return self._counters.events_waiting

    def take(self, events: Sequence[OrderEvent], feed: OrderFeed) -> None:
        """Gives events to the till and its answers to the feed."""
        fresh = [event for event in events if event.event_id not in self._events]
        for event in fresh:
            self._events[event.event_id] = {"step": POSTING, "kind": str(event.kind)}
        now = self._clock().isoformat()
        for event in events:
            self._events[event.event_id]["seen"] = now
        if fresh:
            self._save()
        self._checkpoint("events saved")
        for event in events:
            self._one(event, feed)

    def replay(self, feed: OrderFeed) -> None:
        """Tells again what the till has answered and the service has not acknowledged; takes in late answers."""
        for answer in self._adapter.answers():
            self._late(answer, feed)
        for event_id, found in list(self._events.items()):
            if found["step"] == ANSWERED:
                self._reply(event_id, feed)
        self._renew(feed)

    def _one(self, event: OrderEvent, feed: OrderFeed) -> None:
        found = self._events[event.event_id]
        if found["step"] == POSTING:
            repeated = event.event_id in self._recovered
            self._recovered.add(event.event_id)
            try:
                answer = _fitting(self._tell(event, repeated=repeated), event.kind)
            except Exception as error:
                self._failed(event, error, feed)
                return
            self._recovered.discard(event.event_id)
            self._backoff.succeeded()
            self._checkpoint("till told")
            self._keep(event.event_id, answer)
            self._checkpoint("answer saved")
        else:
            self._counters.events_repeated += 1
        if found["step"] == WAITING:
            self._postpone(event.event_id, feed)
        elif found["step"] in {ANSWERED, DONE} and "answer" in found:
            self._reply(event.event_id, feed)

    def _tell(self, event: OrderEvent, *, repeated: bool) -> OrderAnswer:
        if event.kind is OrderEventKind.ORDER:
            self._counters.orders += 1
            return self._adapter.post_order(event, repeated=repeated)
        if event.kind is OrderEventKind.CANCELLATION:
            self._counters.cancellations += 1
            return self._adapter.cancel_order(event, repeated=repeated)
        raise AdapterError("this adapter does not know such an event: it is older than the service")

    def _failed(self, event: OrderEvent, error: Exception, feed: OrderFeed) -> None:
        """The till could not take an event: the service shows why, and hands it over again after a pause."""
        self._counters.events_failed += 1
        name = event.order_reference or event.reservation_id
        self._give_back(event.event_id, f"{type(error).__name__}: {error}", feed, f"{event.kind} {name}")

    def _give_back(self, event_id: str, reason: str, feed: OrderFeed, what: str = "") -> None:
        """Has an event handed over again after a pause; the service shows the reason."""
        pause = self._backoff.failed()
        _log.warning("%s comes again in %.0f s: %s", what or f"event {event_id}", pause.total_seconds(), reason)
        try:
            feed.failed(event_id, _clean(reason)[:512], retry_after=pause)
        except RingfenceError as unsent:
            # Its lease ends by itself.
            self._counters.reply_failures += 1
            _log.warning("the failure of event %s could not be told: %s", event_id, unsent)

    def _keep(self, event_id: str, answer: OrderAnswer) -> None:
        found = self._events[event_id]
        if isinstance(answer, Later):
            found["step"] = WAITING
        else:
            found["step"] = ANSWERED
            found["answer"] = _plain(answer)
            self._counters.rejected += isinstance(answer, Rejected)
        self._save()

    def _renew(self, feed: OrderFeed) -> None:
        """Keeps what the till has not answered this adapter's, and finds out what was settled in another way."""
        now = self._clock().isoformat()
        due = [
            event_id
            for event_id, found in self._events.items()
            if found["step"] == WAITING and found.get("renew", "") <= now
        ]
        for event_id in due[:MOST_RENEWED]:
            if not self._postpone(event_id, feed):
                # The others would not arrive either.
                return

    def _postpone(self, event_id: str, feed: OrderFeed) -> bool:
        """Gives an event's place in flight back while the till takes its time. Answers whether the service knows."""
        now = self._clock()
        found = self._events[event_id]
        try:
            result = feed.postponed(event_id, retry_after=POSTPONED_FOR)
        except InvalidArgument as error:
            # It keeps its place, as long as this program lives.
            _log.error("event %s could not be postponed: %s", event_id, error)
            self._counters.reply_failures += 1
        except RingfenceError as error:
            self._counters.reply_failures += 1
            _log.warning("the postponement of event %s did not arrive and goes again: %s", event_id, error)
            return False
        else:
            self._counters.postponements += 1
            if result is not OrderReplyResult.RECORDED:
                # A booking, a cancellation or a person was faster: nobody waits for the till's answer any more.
                self._forget(event_id)
                return True
        found["renew"] = (now + POSTPONED_FOR / 2).isoformat()
        return True

    def _late(self, answer: Answer, feed: OrderFeed) -> None:
        found = self._events.get(answer.event_id)
        if found is None:
            self._unknown(answer, feed)
            return
        if found["step"] in {POSTING, WAITING}:
            try:
                fitting = _fitting(answer.answer, OrderEventKind(found["kind"]))
            except AdapterError as error:
                self._adapter.answer_refused(answer, str(error))
                return
            self._keep(answer.event_id, fitting)
        self._checkpoint("late answer saved")
        self._adapter.answered(answer)

    def _unknown(self, answer: Answer, feed: OrderFeed) -> None:
        """An answer to an event that this program never gave to the till, or has forgotten: the service knows it."""
        try:
            result = _send(feed, answer.event_id, _plain(answer.answer))
        except InvalidArgument as error:
            self._adapter.answer_refused(answer, str(error))
        except RingfenceError as error:
            # It stays where it is until it can be told.
            self._counters.reply_failures += 1
            _log.warning("the answer to event %s did not arrive and goes again: %s", answer.event_id, error)
        else:
            if result is OrderReplyResult.UNKNOWN_EVENT:
                self._adapter.answer_refused(answer, "no such event: event_id is the one that came with the order")
                return
            self._counters.replies += 1
            self._adapter.answered(answer)

    def _reply(self, event_id: str, feed: OrderFeed) -> None:
        found = self._events[event_id]
        try:
            _send(feed, event_id, found["answer"])
        except InvalidArgument as error:
            # The same reply would always be refused: the till is asked again, and the part shows why.
            self._counters.reply_failures += 1
            del found["answer"]
            found["step"] = POSTING
            self._recovered.add(event_id)
            self._give_back(event_id, f"the till's answer is refused: {error}", feed)
            return
        except RingfenceError as error:
            self._counters.reply_failures += 1
            _log.warning("the reply to event %s did not arrive and goes again: %s", event_id, error)
            return
        else:
            self._counters.replies += 1
        self._checkpoint("replied")
        if found["step"] != DONE:
            # Not saved by itself: at worst it is told once more.
            self._forget(event_id)

    def _forget(self, event_id: str) -> None:
        """Nothing is left to be told. Moved to the end: the oldest are forgotten first."""
        self._events[event_id] = {**self._events.pop(event_id), "step": DONE}

    def save(self) -> None:
        """Makes what is known durable, and forgets what need not be."""
        done = [event_id for event_id, found in self._events.items() if found["step"] == DONE]
        for event_id in done[: max(0, len(done) - MOST_DONE)]:
            del self._events[event_id]
        # The service hands over again what failed: what it has not for so long was settled in another way.
        oldest = (self._clock() - FORGOTTEN).isoformat()
        for event_id, found in list(self._events.items()):
            if found["step"] == POSTING and found["seen"] < oldest:
                del self._events[event_id]
        self._count_waiting()
        self._save()

    def _save(self) -> None:
        self._state.save({"events": self._events})


def _fitting(answer: A, kind: OrderEventKind) -> A:
    """The answer; AdapterError when it does not answer such an event."""
    expected = (*_REPLIES[kind], Later)
    if not isinstance(answer, expected):
        names = ", ".join(found.__name__ for found in expected)
        raise AdapterError(f"{type(answer).__name__} does not answer an event of kind {kind}: give one of {names}")
    if isinstance(answer, Received):
        number = answer.document_number
        if len(number) > 128 or not number.isprintable():
            raise AdapterError(f"document_number is 0 to 128 characters, no control characters, not {number[:200]!r}")
        if answer.time is not None and answer.time.utcoffset() is None:
            raise AdapterError("the time of Received needs a time zone")
    return answer


def _clean(text: str) -> str:
    """A reason without the control characters that the service refuses."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " for sign in text)


def _plain(answer: Received | Rejected | Cancelled | NotCancelled) -> dict[str, Any]:
    if isinstance(answer, Received):
        time = answer.time.isoformat() if answer.time is not None else None
        return {"received": answer.document_number, "time": time}
    if isinstance(answer, Rejected):
        return {"rejected": _clean(answer.reason)[:512] or "rejected"}
    if isinstance(answer, Cancelled):
        return {"cancelled": True}
    return {"not cancelled": _clean(answer.reason)[:512] or "not cancelled"}


def _send(feed: OrderFeed, event_id: str, answer: dict[str, Any]) -> OrderReplyResult:
    if "received" in answer:
        time = datetime.fromisoformat(answer["time"]) if answer["time"] else None
        return feed.received(event_id, document_number=answer["received"], time=time)
    if "rejected" in answer:
        return feed.rejected(event_id, answer["rejected"])
    if "cancelled" in answer:
        return feed.confirm_cancellation(event_id)
    return feed.refuse_cancellation(event_id, answer["not cancelled"])
