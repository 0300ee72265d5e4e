"""A small model of the service, written from semantics.md and not from its code: plain dicts, no cleverness.

Where the semantics leave an order open (which fault of a request is named first) the model follows the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

from tests.properties import system
from tests.properties.books import Books, Line, Order, state_of
from tests.properties.promises import Ask, Trial, judge, shortage
from tests.properties.system import (
    DEFAULT_LEASE,
    LOCATIONS,
    MAX_LEASE,
    MAX_TOTAL_HOLD,
    NEVER,
    PATHS,
    Amount,
    Answer,
    Done,
    Operation,
    Refused,
    Short,
)


class Model(Books):
    """Decides operations on the books."""

    def apply(self, operation: Operation) -> Answer:
        match operation:
            case system.Post():
                return self._post(operation)
            case system.Allocate(lines):
                moves = [(each.sku, each.location, "", each.path, each.path, each.quantity) for each in lines]
                return self._transfer(moves)
            case system.Unallocate(lines):
                moves = [(each.sku, each.location, each.path, "", each.path, each.quantity) for each in lines]
                return self._transfer(moves)
            case system.Reallocate(shifts):
                moves = [(each.sku, each.location, each.source, each.target, "", each.quantity) for each in shifts]
                return self._transfer(moves)
            case system.Reserve():
                return self._reserve(operation)
            case system.Sell():
                return self._sell(operation)
            case system.Update():
                return self._update(operation)
            case system.Consume():
                return self._consume(operation)
            case system.Cancel():
                return self._cancel(operation)
            case system.Decree(rules):
                self.rules = replace(rules, tills=self.rules.tills)
                return Done()

    def _post(self, operation: system.Post) -> Answer:
        measures = dict(self.measures)
        outcomes = []
        for figure in operation.figures:
            name = (figure.sku, figure.location, figure.measure)
            till = figure.location in self.rules.tills
            if figure.delta and (till or figure.measure != "on_hand"):
                return Refused("DELTA_OF_FIGURE")
            if till and not figure.position:
                return Refused("POSITION_REQUIRED")
            value, position = measures.get(name, (0, 0))
            if figure.expected not in (None, value):
                return Refused("VALUE_MISMATCH")
            if figure.delta:
                result, value, position = "APPLIED", value + figure.amount, max(position, figure.position)
            elif not figure.position or figure.position > position:
                result, value, position = "APPLIED", figure.amount, figure.position or position
            elif figure.position < position:
                result = "STALE"
            else:
                result = "DUPLICATE" if figure.amount == value else "CONFLICT"
            measures[name] = (value, position)
            outcomes.append((result, value))
        self.measures = measures
        self.known |= {(figure.sku, figure.location) for figure in operation.figures}
        return Done(figures=tuple(outcomes))

    def _transfer(self, moves: Sequence[tuple[str, str, str, str, str, int | None]]) -> Answer:
        """Lines in order, each on what the lines before it left; a short line leaves what it could have had."""
        trial = {(*key, path): self.free(key, path) for key in self.known for path in PATHS}
        units, short, accepted = [], [], []
        for number, (sku, location, giver, taker, _, quantity) in enumerate(moves):
            key = (sku, location)
            if key not in self.known:
                return Refused("STOCK_NOT_FOUND")
            free = max(0, trial[(*key, giver)])
            wanted = free if quantity is None else quantity
            room = wanted
            if taker in self.quota_caps:
                held = self.units(key, "held", taker)
                room = max(0, self.quota_caps[taker] - held - trial[(*key, taker)])
            moved = min(wanted, free, room)
            if moved < wanted:
                capped = room < min(wanted, free)
                unknown = giver != "" and (*key, giver) not in self.living
                reason = "CAP_REACHED" if capped else "NO_QUOTA" if unknown else "QUOTA_EXHAUSTED"
                short.append(Short(number, wanted, moved, moved, reason))
            trial[(*key, giver)] -= moved
            trial[(*key, taker)] += moved
            units.append(moved)
            accepted.append((key, giver, taker, moved))
        if short:
            return Refused("INSUFFICIENT_QUANTITY", tuple(short))
        for key, giver, taker, moved in accepted:
            for path, change in ((giver, -moved), (taker, moved)):
                if path:
                    self.quotas[(*key, path)] = self.quotas.get((*key, path), 0) + change
            if taker and moved:
                self.living.add((*key, taker))
            if not any((self.free(key, giver), self.units(key, "held", giver), self.units(key, "unsettled", giver))):
                self.living.discard((*key, giver))
        return Done(tuple(units))

    def _asks(self, lines: Iterable[system.Line]) -> list[Ask] | Refused:
        asks = []
        missing = False
        for number, line in enumerate(lines):
            widest = self.may_borrow(line.path)
            if line.fallback and not widest:
                return Refused("FALLBACK_WIDER_THAN_POLICY")
            fallback = widest if line.fallback is None else line.fallback
            places = [line.location] if line.location else LOCATIONS
            candidates = tuple(place for place in places if (line.sku, place) in self.known)
            missing = missing or not candidates
            located = bool(line.location)
            asks.append(Ask(number, line.sku, line.path, line.quantity, fallback, located, candidates))
        return Refused("STOCK_NOT_FOUND") if missing else asks

    def _short(self, trial: Trial, short: Iterable[Ask], *, split: bool) -> Refused:
        shortages = tuple(shortage(trial, ask, self.living, split=split) for ask in short)
        return Refused("INSUFFICIENT_QUANTITY", shortages)

    def _grant(self, order: Order, trial: Trial) -> None:
        for number, location, path, units in trial.takes:
            line = order.lines[number]
            line.take_at(location, path).held += units
            if path:
                self.quotas[(line.sku, location, path)] -= units

    def _promise(
        self, lines: Sequence[system.Line], *, partial: bool, split: bool, ends: int | None
    ) -> Order | Refused:
        asks = self._asks(lines)
        if isinstance(asks, Refused):
            return asks
        split = split and self.rules.allow_split
        trial = self.trial()
        short = judge(trial, asks, split=split)
        if short and not (partial and trial.takes):
            return self._short(trial, short, split=split)
        order = Order(
            [
                Line(line.sku, line.location, line.path, ask.fallback, line.quantity)
                for line, ask in zip(lines, asks, strict=True)
            ],
            self.now,
            ends,
        )
        self._grant(order, trial)
        for line, ask in zip(order.lines, asks, strict=True):
            if not line.takes:
                line.take_at(ask.locations[0], line.path)
        return order

    def _reserve(self, operation: system.Reserve) -> Answer:
        if operation.ttl == NEVER and not self.rules.allow_never:
            return Refused("LEASE_NEVER_NOT_ALLOWED")
        if operation.ttl is not None and operation.ttl > MAX_LEASE:
            return Refused("LEASE_TOO_LONG")
        lasts = DEFAULT_LEASE if operation.ttl is None else operation.ttl
        ends = None if lasts == NEVER else self.now + lasts
        order = self._promise(operation.lines, partial=operation.partial, split=operation.split, ends=ends)
        if isinstance(order, Refused):
            return order
        self.orders.append(order)
        full = order.total("held") == sum(line.requested for line in order.lines)
        return Done(order=self.order(len(self.orders) - 1), full=full)

    def _sell(self, operation: system.Sell) -> Answer:
        if self._holder(operation.reference) is not None:
            return Refused("ORDER_REFERENCE_IN_USE")
        order = self._promise(operation.lines, partial=False, split=operation.split, ends=None)
        if isinstance(order, Refused):
            return order
        self.orders.append(order)
        keys = {key for line in order.lines for key in self.sell_held(line, line.requested)}
        order.sold, order.reference = True, operation.reference
        units = tuple(line.requested for line in order.lines)
        return Done(units, self.order(len(self.orders) - 1), at_risk=any(self.net(key) < 0 for key in keys))

    def _holder(self, reference: str) -> Order | None:
        return next((order for order in self.orders if reference and order.reference == reference), None)

    def _update(self, operation: system.Update) -> Answer:
        order = self.orders[operation.order]
        if state_of(order) != "HELD":
            return Refused("LEASE_EXPIRED" if order.total("expired") else "NOT_HELD")
        ends = order.ends
        if operation.ttl == NEVER:
            if not self.rules.allow_never:
                return Refused("LEASE_NEVER_NOT_ALLOWED")
            ends = None
        elif operation.ttl is not None:
            ends = self.now + operation.ttl
            if operation.ttl > MAX_LEASE:
                return Refused("LEASE_TOO_LONG")
            if ends > order.created + MAX_TOTAL_HOLD:
                return Refused("HOLD_TOO_LONG")
        if operation.lines is not None:
            split = operation.split and self.rules.allow_split
            refused = self._change_quantities(order, operation.lines, split=split)
            if refused:
                return refused
        order.ends = ends
        return Done(order=self.order(operation.order))

    def _change_quantities(self, order: Order, amounts: Sequence[Amount], *, split: bool) -> Refused | None:
        """Reductions first, the latest takes, borrowed before own; then only the increments are asked for."""
        if any(number >= len(order.lines) for number, _ in amounts):
            return Refused("LINE_NOT_FOUND")
        wanted = {number: quantity - order.lines[number].total("held") for number, quantity in amounts}
        quotas, lines = dict(self.quotas), deepcopy(order.lines)
        for number, difference in wanted.items():
            self._take_back(order.lines[number], -difference, ("held",))
        asks = [self._increment(order, number, units, split=split) for number, units in wanted.items() if units > 0]
        trial = self.trial()
        short = judge(trial, asks, split=split)
        if short:
            refused = self._short(trial, short, split=split)
            self.quotas, order.lines = quotas, lines
            return refused
        for ask in asks:
            line = order.lines[ask.number]
            granted = sum(line.total(place) for place in ("held", "unsettled", "settled", "expired", "cancelled"))
            line.requested = max(line.requested, granted + ask.quantity)
        self._grant(order, trial)
        return None

    def _increment(self, order: Order, number: int, units: int, *, split: bool) -> Ask:
        """At the line's location; a sourced line grows where it is, and elsewhere only if it may be split."""
        line = order.lines[number]
        if line.location:
            places: tuple[str, ...] = (line.location,)
        else:
            here = [take.location for take in line.takes if take.held or take.unsettled or take.settled]
            others = [place for place in LOCATIONS if (line.sku, place) in self.known]
            places = tuple(dict.fromkeys([*here, *(others if split or not here else [])]))
        return Ask(number, line.sku, line.path, units, self._may_borrow_still(line), bool(line.location), places)

    def _may_borrow_still(self, line: Line) -> bool:
        """A new promise is judged by the rules in force, whatever they let the line do before."""
        return line.fallback and self.may_borrow(line.path)

    def _consume(self, operation: system.Consume) -> Answer:
        order = self.orders[operation.order]
        holder = self._holder(operation.reference)
        if holder not in (None, order):
            return Refused("ORDER_REFERENCE_IN_USE")
        if operation.reference and order.reference not in ("", operation.reference):
            return Refused("ORDER_REFERENCE_FIXED")
        if any(number >= len(order.lines) for number, _ in operation.lines):
            return Refused("LINE_NOT_FOUND")
        everything = "held" if order.total("held") else "expired"
        wanted = [(number, line.total(everything)) for number, line in enumerate(order.lines) if line.total(everything)]
        if operation.lines:
            wanted = [
                (number, units or order.lines[number].total("held") or order.lines[number].total("expired"))
                for number, units in operation.lines
            ]
        revive = self.rules.revive_by_default if operation.revive is None else operation.revive
        for number, units in wanted:
            held, expired = order.lines[number].total("held"), order.lines[number].total("expired")
            if units > held + expired:
                return Refused("NOT_HELD")
            if units > held and not revive:
                return Refused("LEASE_EXPIRED")
        if not any(units for _, units in wanted):
            return Refused("LEASE_EXPIRED" if order.total("expired") else "NOT_HELD")
        refused = self._revive(order, wanted)
        if refused:
            return refused
        keys = {key for number, units in wanted for key in self.sell_held(order.lines[number], units)}
        if operation.release_rest:
            for line in order.lines:
                self._take_back(line, line.total("held"), ("held",))
        order.sold = True
        order.reference = order.reference or operation.reference
        units_sold = tuple(units for _, units in wanted)
        return Done(units_sold, self.order(operation.order), at_risk=any(self.net(key) < 0 for key in keys))

    def _revive(self, order: Order, wanted: Sequence[Amount]) -> Refused | None:
        """What expired is promised anew, at the locations that had given it; all of it or nothing."""
        asks = []
        for number, units in wanted:
            line = order.lines[number]
            late = units - line.total("held")
            if late > 0:
                places = tuple(dict.fromkeys(take.location for take in line.takes if take.expired))
                borrows = self._may_borrow_still(line)
                asks.append(Ask(number, line.sku, line.path, late, borrows, bool(line.location), places))
        trial = self.trial()
        short = judge(trial, asks, split=True)
        if short:
            return self._short(trial, short, split=True)
        self._grant(order, trial)
        for number, location, path, units in trial.takes:
            line = order.lines[number]
            same_pool = line.take_at(location, path)
            left = units
            for take in [same_pool, *(take for take in line.takes if take is not same_pool)]:
                revived = min(left, take.expired)
                take.expired -= revived
                left -= revived
        return None

    def _cancel(self, operation: system.Cancel) -> Answer:
        order = self.orders[operation.order]
        places = {number: self._left(line) for number, line in enumerate(order.lines)}
        wanted = dict(places)
        whole = list(places)
        if operation.lines:
            wanted = {}
            whole = [number for number, units in operation.lines if not units]
            for number, units in operation.lines:
                if number >= len(order.lines):
                    return Refused("LINE_NOT_FOUND")
                if units > places[number]:
                    return Refused("NOT_HELD")
                wanted[number] = units or places[number]
        for number, units in wanted.items():
            self._take_back(order.lines[number], units, ("held", "unsettled", "settled"))
        for number in whole:
            for take in order.lines[number].takes:
                take.expired, take.cancelled = 0, take.cancelled + take.expired
        return Done(tuple(wanted[number] for number in sorted(wanted)), self.order(operation.order))

    def _left(self, line: Line) -> int:
        """Nothing here was sent to a till, so whatever is held or sold can be taken back."""
        return line.total("held") + line.total("unsettled") + line.total("settled")

    def _take_back(self, line: Line, units: int, places: Iterable[str]) -> None:
        """Borrowed units first, the latest first; of one take what is held before what is sold."""
        for take in line.borrowed_first():
            for place in places:
                back = min(units, getattr(take, place))
                if back > 0:
                    take.cancelled += self.give_back(line, take, place, back)
                    units -= back
