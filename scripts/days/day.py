"""The day itself: minute by minute, one set of rules at a time."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable

from ringfence import FigureResult, OrderEventKind, Restock
from ringfence.adapters import Cancelled, Rejected
from ringfence.adapters.simulated_till import LineState, Mark
from scripts.days.agenda import Agenda
from scripts.days.judge import Sale, Verdict, chained, owed_at, promised_now
from scripts.days.messages import Expected, Handed, Message, Reply, Rules
from scripts.days.plan import CHAINED, DAY, LOCATIONS, Order, Plan
from scripts.days.store import Store

__all__ = ["Day", "run_day"]

_SAMPLE_EVERY = 5
"""Minutes from one look at what lies unsold to the next."""
_DECIDES_AFTER = 30
"""Minutes that the shop takes to give up what a till has rejected."""
_LONGEST_TAIL = 2 * DAY
"""Minutes after the last customer in which everything must have been told."""
_SAMPLES = 5


async def run_day(plan: Plan, rules: Rules, *, progress: Callable[[int], None] = lambda minute: None) -> Day:
    """Runs a plan under some rules, down to the last message; `progress` hears of every minute."""
    day = Day(plan, rules)
    began = time.perf_counter()
    await day.run(progress)
    day.verdict.seconds = time.perf_counter() - began
    return day


class Day:
    """The stores, the shop and the messages between them, under one set of rules."""

    def __init__(self, plan: Plan, rules: Rules) -> None:
        self.verdict = Verdict(rules.name)
        self.sales: dict[str, Sale] = {}
        self.stores = {location: Store(plan, location) for location in LOCATIONS}
        self._plan = plan
        self._rules = rules
        self._minute = 0
        self._moved: dict[str, Sale] = {}
        """What another store took over of a sale, as that store's own, by the order's number."""
        self._open: dict[tuple[str, str], list[Sale]] = defaultdict(list)
        """Sales by location and SKU that a figure may still owe."""
        self._in_force: dict[tuple[str, str], Mark] = {}
        self._messages: Agenda[Message] = Agenda()
        self._replies: Agenda[Reply] = Agenda()
        self._cancellations: Agenda[Sale] = Agenda()
        self._decisions: Agenda[Sale] = Agenda()
        self._till_work: Agenda[Callable[[], None]] = Agenda()
        self._expected: dict[str, dict[Expected, None]] = {location: {} for location in LOCATIONS}

    async def run(self, progress: Callable[[int], None], *, until: int | None = None) -> None:
        """From the first minute until everything is told, or only `until` a minute."""
        await self._rules.at(0)
        for store in self.stores.values():
            await self._deliver(store.count())
        while self._minute < self._plan.minutes or self._busy():
            if self._minute > self._plan.minutes + _LONGEST_TAIL:
                self.verdict.faults.append("not everything was told two days after the last customer")
                break
            self._minute += 1
            await self._one_minute()
            progress(self._minute)
            if self._minute == until:
                return
        for store in self.stores.values():
            await self._deliver(store.count())
        await self._check_end()

    def _busy(self) -> bool:
        return bool(self._messages) or self._going_on()

    def _going_on(self) -> bool:
        """Whether anything is to come but messages."""
        agendas = (self._replies, self._cancellations, self._decisions, self._till_work)
        return any(agendas) or any(self._expected.values())

    async def _one_minute(self) -> None:
        minute, plan = self._minute, self._plan
        await self._rules.at(minute)
        for location in LOCATIONS:
            # What waited while the way was down goes first: whether a till has an order must not hang on a race.
            if self._expected[location] and not self._is_away(location):
                await self._hand_over(location)
        for message in self._messages.due(minute):
            await self._deliver(message)
        await self._reply()
        await self._cancel()
        await self._sell(plan.orders.get(minute, []))
        for location in LOCATIONS:
            if self._is_away(location):
                await self._rules.leave(location)
            elif self._expected[location]:
                await self._hand_over(location)
        if minute in plan.replaced:
            self.stores[plan.replaced[minute]].replace()
            self.verdict.epochs += 1
        for work in self._till_work.due(minute):
            work()
        for visit in plan.visits.get(minute, []):
            self.stores[visit.location].visit(visit)
        if minute < plan.minutes or self._going_on():
            for store in self.stores.values():
                if plan.reads(store.location, minute):
                    self._send(store, store.count)
        if self.stores[CHAINED].has_moved:
            self._send(self.stores[CHAINED], self.stores[CHAINED].deltas)
        if minute % _SAMPLE_EVERY == 0 and minute <= plan.minutes:
            await self._look_for_unsold()

    # --- the shop ----------------------------------------------------------------------------------------------------

    async def _sell(self, orders: list[Order]) -> None:
        self.verdict.asked += len(orders)
        accepted = await self._rules.sell(orders) if orders else []
        for order, sold in zip(orders, accepted, strict=True):
            if not sold:
                continue
            key = (order.location, order.sku)
            self._count_oversold(order)
            sale = self.sales[order.reference] = Sale(order, order.quantity)
            self._open[key].append(sale)
            self.verdict.accepted += 1
            self._expected[order.location][order.reference, OrderEventKind.ORDER] = None
            if order.cancelled is not None:
                self._cancellations.add(self._minute + order.cancelled, sale)

    def _count_oversold(self, order: Order) -> None:
        missing = order.quantity - max(0, self._free(order.location, order.sku))
        if missing > 0:
            mark = self._in_force[order.location, order.sku]
            unknown = min(missing, self.stores[order.location].unreported_walk_ins(order.sku, mark))
            self.verdict.oversold_by_walk_ins += unknown
            self.verdict.oversold_by_rule += missing - unknown

    async def _cancel(self) -> None:
        due = self._cancellations.due(self._minute)
        # Who has fetched something from another store keeps it.
        wanted = [sale for sale in due if sale.units and not sale.told_rejected and not sale.taken_over]
        restocks = await self._rules.cancel([sale.order for sale in wanted]) if wanted else []
        for sale, restock in zip(wanted, restocks, strict=True):
            if restock is Restock.AT_ONCE:
                sale.units = 0
                self._expected[sale.order.location].pop((sale.reference, OrderEventKind.ORDER), None)
            elif restock is Restock.WHEN_TILL_CONFIRMS:
                sale.asked = True
                self._expected[sale.order.location][sale.reference, OrderEventKind.CANCELLATION] = None
        for sale in self._decisions.due(self._minute):
            if sale.asked or sale.given_up:
                continue  # the till's answer decides
            bookings = self.stores[sale.order.location].till.state_of(sale.reference).bookings
            # What another store has booked nobody gives up, whether or not the service knows of it.
            units = sale.units - sale.elsewhere - sum(quantity for _, quantity in bookings)
            sale.given_up = True
            if units > 0:
                await self._rules.give_up(sale.order, units)
                sale.units -= units

    def _told_rejected(self, sale: Sale) -> None:
        if not sale.told_rejected:
            sale.told_rejected = True
            self._decisions.add(self._minute + _DECIDES_AFTER, sale)

    def _is_away(self, location: str) -> bool:
        return self._minute < self._plan.minutes and self._plan.away(location, self._minute)

    # --- the tills ---------------------------------------------------------------------------------------------------

    async def _hand_over(self, location: str) -> None:
        expected = self._expected[location]
        for event in await self._rules.hand_over(location, expected):
            if expected.pop((event.reference, event.kind), 0) == 0:
                self.verdict.faults.append(f"{event.kind} of {event.reference} was handed over, and none was expected")
                continue
            sale = self.sales[event.reference]
            if event.kind is OrderEventKind.ORDER:
                sale.handed = True
                sale.arrives = self._minute + sale.order.late
                self._till_work.add(sale.arrives, lambda sale=sale, event=event: self._accept(sale, event))  # type: ignore[misc]
            else:
                arrives = max(self._minute + sale.order.late // 2, sale.arrives)
                self._till_work.add(arrives, lambda sale=sale, event=event: self._ask(sale, event))  # type: ignore[misc]

    def _accept(self, sale: Sale, event: Handed) -> None:
        order = sale.order
        answer = self.stores[order.location].accept(order)
        self._replies.add(self._minute + order.acknowledged, Reply(order.location, event, answer))
        if not isinstance(answer, Rejected):
            self._till_work.add(self._minute + order.booked, lambda: self._book(sale))

    def _book(self, sale: Sale) -> None:
        order, store = sale.order, self.stores[sale.order.location]
        if order.elsewhere and not sale.taken_over and not store.till.state_of(sale.reference).closed:
            sale.elsewhere = self.stores[order.elsewhere].take_over(order)
            if sale.elsewhere:
                self._tell(self.stores[order.elsewhere], order)
                if sale.elsewhere < order.quantity:
                    self._till_work.add(self._minute + order.second, lambda: self._book(sale))
                return
        more = store.book(order, sale.taken_over)
        if more:
            self._till_work.add(self._minute + order.second, lambda: self._book(sale))
        if more is not None:
            self._tell(store, order)

    def _ask(self, sale: Sale, event: Handed) -> None:
        answer = self.stores[sale.order.location].cancel(sale.order, sale.taken_over)
        self._replies.add(self._minute + sale.order.answered, Reply(sale.order.location, event, answer))

    def _tell(self, store: Store, order: Order) -> None:
        """One line by itself gets under way, unless it goes with the delta of its booking."""
        if store.location != CHAINED or not store.has_booked(order):
            self._send(store, lambda lost: store.report(order), figures=False)

    def _send(self, store: Store, message: Callable[[frozenset[str]], Message], *, figures: bool = True) -> None:
        """A message gets under way: of figures that it tells some are lost."""
        way = self._plan.way(store.location, store.next_message, figures=figures)
        told = message(way.lost)
        self._messages.add(self._minute + max(1, way.delay), told)
        if way.again is not None:
            self._messages.add(self._minute + way.again, told)

    async def _reply(self) -> None:
        by_location: dict[str, list[Reply]] = defaultdict(list)
        for reply in self._replies.due(self._minute):
            if self._is_away(reply.location):
                self._replies.add(self._minute + 1, reply)
            else:
                by_location[reply.location].append(reply)
        for location, replies in by_location.items():
            await self._rules.reply(location, replies)
            for reply in replies:
                self._replied(reply)

    def _replied(self, reply: Reply) -> None:
        sale = self.sales[reply.event.reference]
        if isinstance(reply.answer, Rejected):
            sale.told_closed = True
            self._told_rejected(sale)
        elif reply.event.kind is OrderEventKind.CANCELLATION:
            sale.asked = False
            if isinstance(reply.answer, Cancelled):
                sale.units = max(0, sale.units - reply.event.quantity)
            elif sale.told_rejected and not sale.given_up:
                self._decisions.add(self._minute + _DECIDES_AFTER, sale)

    async def _deliver(self, message: Message) -> None:
        location, store = message.location, self.stores[message.location]
        missing = await self._rules.post(message)
        store.delivered(message)
        for line in message.lines:
            self._told_line(location, line)
        if missing != self._take_in(message):
            self.verdict.faults.append(f"message {message.number} of {location} has gaps: {sorted(missing)}")
        if missing:
            self.verdict.resent += 1
            self._send(store, lambda lost: store.count_of(missing, lost))
        if message.skus:
            await self._judge(message)

    def _told_line(self, location: str, line: LineState) -> None:
        sale = self.sales[line.line]
        if sale.order.location != location:
            self._told_elsewhere(sale, location, line)
            return
        sale.told_closed = sale.told_closed or line.closed
        if line.reject_reason:
            self._told_rejected(sale)

    def _told_elsewhere(self, sale: Sale, location: str, line: LineState) -> None:
        """The service hears that another store has booked a sale: so much of it is that store's now."""
        sale.moved += sale.elsewhere
        sale.units -= sale.elsewhere
        sale.elsewhere = 0
        if line.line not in self._moved:
            order = dataclasses.replace(sale.order, location=location)
            self._moved[line.line] = there = Sale(order, sale.moved, told_closed=line.closed)
            self._open[location, line.sku].append(there)
            self.verdict.moved += 1

    def _take_in(self, message: Message) -> frozenset[str]:
        """Which figures are in force after a message, and the items of whose deltas the one before is missing."""
        verdict, missing = self.verdict, set()
        for sku in message.skus:
            verdict.old_figures += message.mark.epoch < self._in_force.get((message.location, sku), message.mark).epoch
        for sku in message.figures:
            key = (message.location, sku)
            self._in_force[key] = max(message.mark, self._in_force.get(key, message.mark))
        for delta in message.deltas:
            key = (message.location, delta.sku)
            result = chained(delta, self._in_force[key])
            verdict.deltas += 1
            verdict.stale += result is FigureResult.STALE
            verdict.gaps += result is FigureResult.GAP
            if result is FigureResult.APPLIED:
                self._in_force[key] = delta.mark
            elif result is FigureResult.GAP:
                missing.add(delta.sku)
        return frozenset(missing)

    # --- the judge ---------------------------------------------------------------------------------------------------

    async def _judge(self, message: Message) -> None:
        location, skus = message.location, message.skus
        net = await self._rules.net(location, skus)
        verdict = self.verdict
        for sku in skus:
            right, shown = self._right(location, sku), net[sku]
            verdict.counts += 1
            verdict.too_high += shown > right
            verdict.too_low += shown < right
            if shown != right and len(verdict.samples) < _SAMPLES:
                mark = self._in_force[location, sku]
                epoch = f" of epoch {mark.epoch}" if mark.epoch else ""
                place = f"minute {self._minute}, {location}, {sku} at position {mark.position}{epoch}"
                verdict.samples.append(f"{place}: {shown}, and {right} is right")

    def _right(self, location: str, sku: str) -> int:
        """What may be sold by the figure in force: it, less what it does not contain yet."""
        key, till = (location, sku), self.stores[location].till
        mark = self._in_force[key]
        owed = {sale.reference: owed_at(till, sale, mark) for sale in self._open[key]}
        self._open[key] = [sale for sale in self._open[key] if owed[sale.reference] or self._may_owe(sale, mark)]
        return self.stores[location].value_at(sku, mark) - sum(owed.values())

    def _may_owe(self, sale: Sale, mark: Mark) -> bool:
        """Whether anything that is told from now on can make a sale owe again, or stand on the shelf."""
        if not sale.units:
            return False
        # A till that refuses to cancel leaves the rest of a rejected sale to the shop again.
        return (
            not sale.told_closed
            or sale.asked
            or any(at > mark for at, _ in self.stores[sale.order.location].till.movements(sale.reference))
        )

    def _free(self, location: str, sku: str) -> int:
        """Units on the shelf that nobody has bought, now."""
        till = self.stores[location].till
        return till.on_hand(sku) - sum(promised_now(till, sale) for sale in self._open[location, sku])

    async def _look_for_unsold(self) -> None:
        for location in LOCATIONS:
            for sku, shown in (await self._rules.net(location)).items():
                unsold = max(0, self._free(location, sku)) - max(0, shown)
                self.verdict.undersold_unit_minutes += max(0, unsold) * _SAMPLE_EVERY

    async def _check_end(self) -> None:
        """After everything was told, what may be sold is what stands on the shelf."""
        for location in LOCATIONS:
            for sku, shown in (await self._rules.net(location)).items():
                free = self._free(location, sku)
                if shown != free:
                    self.verdict.faults.append(f"in the end {sku} at {location}: {shown}, and {free} on the shelf")
