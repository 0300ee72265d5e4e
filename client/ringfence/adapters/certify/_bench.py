"""One scenario from its morning to its evening, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from ringfence._balance_types import BalanceFilter
from ringfence._client import Client
from ringfence._commands import Line
from ringfence._errors import RingfenceError
from ringfence._till_types import OrderEvent
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._publishing import QueriedBalances
from ringfence.adapters._runner import PosRunner, RunnerConfig
from ringfence.adapters._schedule import Schedule
from ringfence.adapters._types import AdapterError, Answer, ReadReport, Shown, TillRead
from ringfence.adapters.certify._chaos import ChaoticClient
from ringfence.adapters.certify._judge import SoldLine, Verdict, right_at, walked_since
from ringfence.adapters.certify._scenarios import Scenario
from ringfence.adapters.certify._tills import TillUnderTest
from ringfence.adapters.simulated_till import Mark, SimulatedTill

__all__ = ["Host", "run_scenario"]

LOCATION = "store"
MINUTE = timedelta(minutes=1)
READ_MINUTES = 15
_SOON = timedelta(milliseconds=200)
"""Real time that an order may need from the service to the adapter."""
_LAST_STEPS = 200
"""Steps after the day in which everything must have been told."""


class Host(Protocol):
    """A service whose clock is moved by the bench."""

    @property
    def target(self) -> str:
        """Where it is."""

    def prepare(self, location: str, organization: str) -> None:
        """Makes a location a till's."""

    def now(self) -> datetime:
        """Its time."""

    def request_id(self) -> str:
        """A request id of its time."""

    def advance(self, span: timedelta) -> None:
        """Moves its clock."""


class _Killed(BaseException):
    """The adapter's program ends here."""


class _Observed(PosAdapter):
    """The adapter under test, and what it hands over."""

    def __init__(self, inner: PosAdapter, bench: _Bench) -> None:
        self._inner = inner
        self._bench = bench

    def read(self) -> TillRead | None:
        self._bench.check_away()
        at = self._bench.till.mark
        read = self._inner.read()
        if read is not None:
            # A till without positions is read live: what it shows is of now.
            self._bench.read_mark = Mark(read.epoch, read.position) if read.position else at
            self._bench.read_skus = {figure.sku for figure in read.figures}
        return read

    def posted(self, read: TillRead, report: ReadReport) -> None:
        self._bench.judge()
        self._inner.posted(read, report)

    def refused(self, read: TillRead, reason: str) -> None:
        raise AdapterError(f"the service refused a read: {reason}")

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Any:
        return self._inner.post_order(order, repeated=repeated)

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Any:
        return self._inner.cancel_order(cancellation, repeated=repeated)

    def publish(self, shown: Sequence[Shown]) -> None:
        self._inner.publish(shown)

    def changed(self) -> bool:
        return self._inner.changed()

    def more(self) -> bool:
        return self._inner.more()

    def answers(self) -> Sequence[Answer]:
        return self._inner.answers()

    def answered(self, answer: Answer) -> None:
        self._inner.answered(answer)

    def answer_refused(self, answer: Answer, reason: str) -> None:
        self._inner.answer_refused(answer, reason)

    def close(self) -> None:
        self._inner.close()


def run_scenario(
    scenario: Scenario,
    host: Host,
    make_till: Callable[[SimulatedTill, Path], TillUnderTest],
    directory: Path,
    *,
    seed: int = 1,
) -> Verdict:
    """Runs a scenario. The same seed is the same day. Raises AdapterError when the adapter cannot be run at all."""
    bench = _Bench(scenario, host, make_till, directory, seed)
    try:
        return bench.run()
    finally:
        bench.close()


class _Bench:
    """The till, the shop and the adapter of one scenario."""

    def __init__(
        self,
        scenario: Scenario,
        host: Host,
        make_till: Callable[[SimulatedTill, Path], TillUnderTest],
        directory: Path,
        seed: int,
    ) -> None:
        self.scenario = scenario
        self.verdict = Verdict(scenario.name)
        self._host = host
        self._chance = random.Random(f"{scenario.name}/{seed}")
        organization = f"certify-{seed}-{scenario.name.replace(' ', '-')}"
        host.prepare(LOCATION, organization)
        self._skus = [f"ITEM-{number}" for number in range(1, scenario.skus + 1)]
        self.till = SimulatedTill(LOCATION, {sku: self._chance.randint(20, 60) for sku in self._skus})
        # A journal begins somewhere: without a movement there is no position to report.
        for sku in self._skus:
            self.till.deliver(sku, 1)
        (directory / "till").mkdir(parents=True)
        self._under_test = make_till(self.till, directory / "till")
        self._directory = directory
        way = random.Random(f"{scenario.name}/{seed}/way")
        same: dict[str, Any] = {"organization": organization, "request_ids": host.request_id}
        self._client = ChaoticClient(host.target, scenario, way, caller="pos", **same)
        self._shop = Client(host.target, caller="shop", **same)
        self._lines: dict[str, SoldLine] = {}
        self._waiting: dict[str, int] = {}
        """Minute at which the till goes on with an order, by its reference."""
        self._to_give_up: dict[str, int] = {}
        self._minute = 0
        self._orders = 0
        self._calm = False
        self.read_mark = Mark(0, 0)
        self.read_skus: set[str] = set()
        self._in_force: dict[str, Mark] = {}
        self._runner: PosRunner | None = None

    def run(self) -> Verdict:
        """The day and its evening."""
        self._step()
        for minute in range(1, self.scenario.hours * 60 + 1):
            self._minute = minute
            self._host.advance(MINUTE)
            self._something_happens()
            self._under_test.work()
            if self.scenario.replaced and minute == self.scenario.hours * 30:
                self.till.replace()
            self._step()
            self._count_undersold()
        self._evening()
        self.verdict.accidents += self._client.accidents
        return self.verdict

    def close(self) -> None:
        """Ends what runs."""
        if self._runner is not None:
            self._runner.close()
        self._client.close()
        self._shop.close()

    # --- the shop and the store --------------------------------------------------------------------------------------

    def _something_happens(self) -> None:
        scenario, chance = self.scenario, self._chance
        if chance.random() < scenario.orders_an_hour / 60:
            self._sell()
        if chance.random() < scenario.walk_ins_an_hour / 60:
            sku, kind = chance.choice(self._skus), chance.random()
            if kind < 0.8 and self.till.on_hand(sku) > 0:
                self.till.walk_in(sku, 1)
            elif kind < 0.95:
                self.till.take_back(sku, 1)
            else:
                self.till.deliver(sku, chance.randint(1, 10))
        for reference in list(self._lines):
            self._go_on(reference)
        for reference, minute in list(self._to_give_up.items()):
            if minute <= self._minute:
                self._give_up(reference)

    def _sell(self) -> None:
        sku, quantity = self._chance.choice(self._skus), self._chance.randint(1, 4)
        self._orders += 1
        reference = f"order-{self._orders}"
        free = self._free(sku)
        try:
            result = self._shop.consume_directly(Line(sku, LOCATION, quantity), order_reference=reference)
        except RingfenceError:
            return  # sold out, as far as the service knows
        self._lines[reference] = SoldLine(sku, quantity, result.reservation_id)
        self.verdict.sold += quantity
        missing = quantity - max(0, free)
        if missing > 0:
            # What left through the store's door since the figure in force nobody could know of.
            unknown = min(missing, walked_since(self.till, sku, self._in_force.get(sku, Mark(0, 0))))
            self.verdict.oversold_by_walk_ins += unknown
            self.verdict.oversold_by_rule += missing - unknown

    def _free(self, sku: str) -> int:
        """Pieces in the store that nobody has bought."""
        return right_at(self.till, sku, self.till.mark, self._lines)

    def _go_on(self, reference: str) -> None:
        """What the till, and the shop, do with an order that the till has."""
        scenario, chance, line = self.scenario, self._chance, self._lines[reference]
        try:
            state = self.till.state_of(reference)
        except KeyError:
            return  # it has not come to the till yet
        if state.closed:
            return
        due = self._waiting.setdefault(reference, self._minute + chance.randint(2, scenario.longest_booking_minutes))
        if self._calm:
            due = self._minute
        if self._minute < due:
            if not state.bookings and chance.random() < scenario.cancelled / scenario.longest_booking_minutes:
                self._shop.cancel(line.reservation_id)
            return
        booked = sum(quantity for mark, quantity in state.bookings if mark.epoch == self.till.epoch)
        left = line.quantity - booked
        if not booked and not self._calm and chance.random() < scenario.rejected:
            self.till.reject(reference, "not found in the store")
            self._to_give_up[reference] = self._minute + 30
            return
        if left > 1 and not self._calm and chance.random() < scenario.partial:
            self.till.book(reference, 1)
            self._waiting[reference] = self._minute + chance.randint(2, 20)
            return
        if booked and not self._calm and len(state.bookings) < 8 and chance.random() < scenario.reversed:
            self.till.reverse(reference, 1)
            self._waiting[reference] = self._minute + chance.randint(2, 20)
            return
        if left:
            self.till.book(reference, left)
        self.till.close(reference)

    def _give_up(self, reference: str) -> None:
        """The shop takes an order back that the till rejected, once the service knows of it."""
        line = self._lines[reference]
        if self._in_force.get(line.sku, Mark(0, 0)) < self.till.mark:
            return
        self._shop.cancel(line.reservation_id)
        line.given_up = True
        del self._to_give_up[reference]

    # --- the adapter -------------------------------------------------------------------------------------------------

    def check_away(self) -> None:
        """Raises when the till cannot be read now."""
        if self.scenario.away and not self._calm and 120 <= self._minute < 180:
            raise ConnectionError("the till is away")

    def _step(self) -> None:
        """One minute of the adapter; a crash is followed by a new start."""
        if self._minute % READ_MINUTES == 0 or self._calm:
            hide = self.scenario.partial_counts and not self._calm
            self._under_test.hidden = frozenset(sku for sku in self._skus if hide and self._chance.random() < 0.4)
            self._under_test.export()
        for _ in range(20):
            try:
                if self._runner is None:
                    self._runner = self._start()
                # Orders are on their way for a moment of real time.
                self._runner.step(wait=_SOON if self._orders_expected() else timedelta(0))
                return
            except _Killed:
                self.verdict.accidents += 1
                if self._runner is not None:
                    self._runner.close()
                    self._runner = None
        raise AdapterError("the adapter did not come up again after 20 crashes in a row")

    def _orders_expected(self) -> bool:
        return self._runner is not None and any(
            not self._known(reference) for reference, line in self._lines.items() if not line.given_up
        )

    def _known(self, reference: str) -> bool:
        try:
            self.till.state_of(reference)
        except KeyError:
            return False
        return True

    def _start(self) -> PosRunner:
        config = RunnerConfig(
            name="under-test",
            locations=[LOCATION],
            state=self._directory / "state",
            source="pos",
            read=Schedule.every(MINUTE if self._calm else READ_MINUTES * MINUTE),
            publish=Schedule.every(timedelta(hours=1)),
        )
        return PosRunner(
            _Observed(self._under_test.open(), self),
            self._client,
            config,
            clock=self._adapter_clock,
            random_fraction=self._chance.random,
            checkpoint=self._maybe_kill,
            balances=QueriedBalances,
        )

    def _adapter_clock(self) -> datetime:
        """The adapter's clock goes wrong slowly; no decision may come from it."""
        share = self._minute / (self.scenario.hours * 60)
        # At most by half of the day: a clock that stands still, or runs backwards all day, makes no schedule due.
        most = timedelta(hours=self.scenario.hours) / 2
        return self._host.now() + max(-most, min(most, self.scenario.drift)) * share

    def _maybe_kill(self, step: str) -> None:
        if not self._calm and self._chance.random() < self.scenario.crashes:
            raise _Killed(step)

    # --- the judge ---------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """The service has taken a read: what does it say now of the items that were in it?"""
        nets = self._nets()
        for sku in sorted(self.read_skus):
            mark = max(self.read_mark, self._in_force.get(sku, Mark(0, 0)))
            self._in_force[sku] = mark
            right = right_at(self.till, sku, mark, self._lines)
            self.verdict.counts += 1
            self.verdict.too_high += nets.get(sku, 0) > right
            self.verdict.too_low += nets.get(sku, 0) < right

    def _nets(self) -> dict[str, int]:
        """What the service has for every item, less all that is promised."""
        chosen = BalanceFilter(locations=[LOCATION], exact_path=True)
        return {balance.key.sku: balance.net for balance in self._shop.query_balance(chosen, page_size=1_000)}

    def _count_undersold(self) -> None:
        if self._minute % READ_MINUTES == 0:
            nets = self._nets()
            for sku in self._skus:
                missing = max(0, self._free(sku)) - max(0, nets.get(sku, 0))
                self.verdict.undersold_unit_minutes += max(0, missing) * READ_MINUTES

    def _evening(self) -> None:
        """Everything is told: after it every figure must be exact."""
        self._calm = self._client.calm = True
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        for _ in range(_LAST_STEPS):
            self._host.advance(READ_MINUTES * MINUTE)
            self._minute += READ_MINUTES
            for reference in list(self._lines):
                self._go_on(reference)
            for reference in list(self._to_give_up):
                self._give_up(reference)
            self._under_test.work()
            self._step()
            if not self._wrong() and not self._orders_expected() and self._all_closed():
                return
        self.verdict.wrong_at_the_end = self._wrong()

    def _all_closed(self) -> bool:
        return all(line.given_up or self.till.state_of(reference).closed for reference, line in self._lines.items())

    def _wrong(self) -> list[str]:
        nets = self._nets()
        return [
            f"{sku}: the service has {nets.get(sku)}, the store {self._free(sku)}"
            for sku in self._skus
            if nets.get(sku) != self._free(sku)
        ]
