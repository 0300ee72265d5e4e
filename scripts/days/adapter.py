"""A till's adapter as a program of its own, to be killed: `python -m scripts.days.adapter`.

The project's own runner, behind which the till is reached by lines of JSON: what the adapter asks of the till goes to
the output, what the till says comes back on the input. A line `{"step": …}` has the runner do what is due.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ringfence import Booking, Client, OrderEvent, SaleBooking, StockFigure
from ringfence._uuid7 import Uuid7Generator
from ringfence.adapters import (
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    PosAdapter,
    PosRunner,
    ReadReport,
    Received,
    Rejected,
    RunnerConfig,
    Schedule,
    Shown,
    TillRead,
)

_TICK = timedelta(seconds=2)
"""The adapter's own time goes on by this with each step; it decides nothing but when the runner looks again."""
_PAUSED = timedelta(minutes=6)
"""The same after something failed: longer than any pause of the runner."""
_TIMEOUT = timedelta(seconds=10)


def _ask(name: str, **told: Any) -> Any:
    print(json.dumps({"ask": name, **told}), flush=True)
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


class _Till(PosAdapter):
    """The till at the other end of the pipe."""

    def __init__(self, location: str) -> None:
        self._location = location

    def read(self) -> TillRead | None:
        told = _ask("read")
        if told is None:
            return None
        mark = {"epoch": told["epoch"]}
        return TillRead(
            figures=[
                *(StockFigure(sku, self._location, units) for sku, units in told["figures"].items()),
                *(
                    StockFigure(
                        sku, self._location, delta=change, position=position, previous_position=previous, **mark
                    )
                    for sku, change, position, previous in told["deltas"]
                ),
            ],
            bookings=[
                SaleBooking(
                    self._location,
                    [Booking(position, quantity, **mark) for position, quantity in line["bookings"]],
                    order_reference=line["line"],
                    closed=line["closed"],
                    reject_reason=line["reject_reason"],
                )
                for line in told["lines"]
            ],
            position=told["position"],
            epoch=told["epoch"],
            reference=told["number"],
        )

    def more(self) -> bool:
        return bool(_ask("more"))

    def posted(self, read: TillRead, report: ReadReport) -> None:
        _ask("posted", number=read.reference, results=report.results, gaps=[key.sku for key in report.gaps])

    def refused(self, read: TillRead, reason: str) -> None:
        _ask("refused", reason=reason)

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Later:
        return self._event(order)

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Later:
        return self._event(cancellation)

    def answers(self) -> Sequence[Answer]:
        return [Answer(one["event_id"], _answer(one)) for one in _ask("answers")]

    def answered(self, answer: Answer) -> None:
        _ask("answered", event_id=answer.event_id)

    def answer_refused(self, answer: Answer, reason: str) -> None:
        _ask("refused", reason=reason)

    def publish(self, shown: Sequence[Shown]) -> None:
        """Nothing is shown here."""

    def _event(self, event: OrderEvent) -> Later:
        # It comes at least once; the till knows the event again.
        _ask(
            "event",
            event_id=event.event_id,
            reference=event.order_reference,
            kind=str(event.kind),
            quantity=event.quantity,
        )
        return Later()


def _answer(told: dict[str, Any]) -> Received | Rejected | Cancelled | NotCancelled:
    kind, text = told["answer"], told["text"]
    if kind == "Received":
        return Received(text)
    if kind == "Rejected":
        return Rejected(text)
    return Cancelled() if kind == "Cancelled" else NotCancelled(text)


class _Death:
    """Ends this program, without any warning, at the so many-th point between two steps of the runner."""

    def __init__(self) -> None:
        self.after = 0

    def __call__(self, step: str) -> None:
        if self.after:
            self.after -= 1
            if not self.after:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Steps as it is told, until its input ends."""
    parser = argparse.ArgumentParser()
    for name in ("target", "organization", "location"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--start", type=int, required=True)
    parser.add_argument("--no-orders", action="store_true")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    # A server that is killed is no news here.
    logging.basicConfig(filename=options.state / "adapter.log")
    day_time = options.start
    own_time = datetime.fromtimestamp(day_time / 1_000, UTC)
    death = _Death()
    ids = Uuid7Generator(lambda: day_time)
    config = RunnerConfig(
        name=f"till-{options.location}",
        locations=[options.location],
        state=options.state,
        source="pos",
        read=Schedule.every(timedelta(seconds=1)),
        max_in_flight=1_000,
        lease=timedelta(hours=1),
        orders=not options.no_orders,
    )
    with Client(
        options.target, organization=options.organization, caller="pos", request_ids=ids, timeout=_TIMEOUT
    ) as client:
        runner = PosRunner(
            _Till(options.location),
            client,
            config,
            clock=lambda: own_time,
            checkpoint=death,
        )
        failures = 0
        for line in iter(sys.stdin.readline, ""):
            step = json.loads(line)
            day_time = max(day_time, step["now"])
            own_time += _PAUSED if step["again"] else _TICK
            death.after = step["die_after"] or death.after
            runner.step(wait=timedelta(milliseconds=step["wait"]))
            counters = runner.counters
            failed = counters.reads_failed + counters.feed_failures + counters.reply_failures + counters.events_failed
            print(json.dumps({"done": True, "failed": failed - failures}), flush=True)
            failures = failed
        runner.close()


if __name__ == "__main__":
    main()
