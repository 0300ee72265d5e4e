"""The model's judgement of a request's lines: sections 2 and 3 of the semantics, tried on copies of plain dicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain as chain_of
from itertools import product

from tests.properties.system import Short


def chain(path: str) -> list[str]:
    """The path, each parent, the common pool."""
    found = [path]
    while path:
        path = path[: path.rindex("/")] if "/" in path else ""
        found.append(path)
    return found


def depth(path: str) -> int:
    return len(path.split("/")) if path else 0


@dataclass(frozen=True)
class Ask:
    """A line to be promised. ``locations`` are those that may give, in order; a located line has one."""

    number: int
    sku: str
    path: str
    quantity: int
    fallback: bool
    located: bool
    locations: tuple[str, ...]


def can_be_filled(demands: Sequence[tuple[Sequence[str], int]], free: Mapping[str, int], net: int) -> bool:
    """Whether pools can serve all demands at once, each from pools of its own list: by matching unit after unit, moving
    earlier units aside along augmenting paths. No order of lines or pools can do better."""
    units = [pools for pools, quantity in demands for _ in range(quantity)]
    if len(units) > net:
        return False
    given: dict[str, list[int]] = {}

    def place(unit: int, seen: set[str]) -> bool:
        for pool in units[unit]:
            if pool in seen:
                continue
            seen.add(pool)
            holders = given.setdefault(pool, [])
            if len(holders) < free.get(pool, 0):
                holders.append(unit)
                return True
            for at, other in enumerate(holders):
                if place(other, seen):
                    holders[at] = unit
                    return True
        return False

    return all(place(unit, set()) for unit in range(len(units)))


class Trial:
    """What is free, net and within caps, and what lines have taken of it so far."""

    def __init__(
        self,
        free: dict[tuple[str, str, str], int],
        net: dict[tuple[str, str], int],
        room: dict[tuple[str, str, str], int],
    ) -> None:
        self.free = dict(free)
        """(sku, location, path) → a(p)."""
        self.net = dict(net)
        """(sku, location) → net."""
        self.room = dict(room)
        """(sku, location, asking path) → what its sales_cap leaves; paths without a cap are absent."""
        self.takes: list[tuple[int, str, str, int]] = []
        """(line number, location, path, units), in the order they were taken."""

    def copy(self) -> Trial:
        twin = Trial(self.free, self.net, self.room)
        twin.takes = list(self.takes)
        return twin

    def adopt(self, other: Trial) -> None:
        self.free, self.net, self.room, self.takes = other.free, other.net, other.room, other.takes

    def got(self, ask: Ask) -> int:
        return sum(units for number, _, _, units in self.takes if number == ask.number)

    def take(self, ask: Ask, location: str, path: str) -> None:
        """Takes what the line still misses, as far as pool, net and cap have it."""
        key = (ask.sku, location)
        bounds = [ask.quantity - self.got(ask), self.free.get((*key, path), 0), self.net.get(key, 0)]
        bounds += [self.room[(*key, ask.path)]] if (*key, ask.path) in self.room else []
        units = min(bounds)
        if units > 0:
            self._move(ask, location, path, units)
            self.takes.append((ask.number, location, path, units))

    def release(self, ask: Ask) -> None:
        """Gives back what the line took."""
        mine = [take for take in self.takes if take[0] == ask.number]
        for _, location, path, units in mine:
            self._move(ask, location, path, -units)
        self.takes = [take for take in self.takes if take[0] != ask.number]

    def _move(self, ask: Ask, location: str, path: str, units: int) -> None:
        key = (ask.sku, location)
        self.free[(*key, path)] -= units
        self.net[key] -= units
        if (*key, ask.path) in self.room:
            self.room[(*key, ask.path)] -= units


def fill_at(trial: Trial, asks: Sequence[Ask], location: str | None = None, *, borrow: bool = True) -> None:
    """Lines without fallback first, then pool by pool from the deepest up, in request order within a pool."""

    def place(ask: Ask) -> str:
        return location or ask.locations[0]

    for ask in asks:
        if not (ask.fallback and borrow):
            trial.take(ask, place(ask), ask.path)
    for level in range(8, -1, -1):
        for ask in asks:
            if ask.fallback and borrow:
                for path in chain(ask.path):
                    if depth(path) == level:
                        trial.take(ask, place(ask), path)


def source(trial: Trial, asks: Sequence[Ask], *, split: bool) -> None:
    """1 the first location that fills all lines from own pools; 2 the same with fallback; 3 per line; 4 split, own
    pools of all locations first."""
    for borrow in (False, True):
        for location in asks[0].locations if asks else ():
            if all(location in ask.locations for ask in asks):
                attempt = trial.copy()
                fill_at(attempt, asks, location, borrow=borrow)
                if all(attempt.got(ask) == ask.quantity for ask in asks):
                    trial.adopt(attempt)
                    return
    in_order = narrow_first(asks)
    for ask in in_order:
        whole = [
            attempt
            for borrow in (False, True)
            for location in ask.locations
            if (attempt := _alone(trial, ask, location, borrow=borrow)).got(ask) == ask.quantity
        ]
        if whole:
            trial.adopt(whole[0])
    if split:
        put_together(trial, in_order)


def put_together(trial: Trial, asks: Sequence[Ask]) -> None:
    """Own pools of all locations first, then pool by pool from the deepest up."""
    for ask in asks:
        for location in ask.locations:
            trial.take(ask, location, ask.path)
    for level in range(8, -1, -1):
        for ask in asks:
            for path in chain(ask.path)[1:]:
                if ask.fallback and depth(path) == level:
                    for location in ask.locations:
                        trial.take(ask, location, path)


def narrow_first(asks: Sequence[Ask]) -> list[Ask]:
    return [ask for ask in asks if not ask.fallback] + [ask for ask in asks if ask.fallback]


def judge(trial: Trial, asks: Sequence[Ask], *, split: bool) -> list[Ask]:
    """Tries all lines of a request together, those that name their location first; answers the lines that stay short.
    Where that leaves a line to be sourced, or one beside it, short, the lines of its item are tried anew; what fills
    them all stands. Without a split a line that stays short takes what one location has most of.

    Held against brute force: nothing is short that could be filled, unless it may be split.
    """
    before = trial.copy()
    located, sourced = [ask for ask in asks if ask.located], [ask for ask in asks if not ask.located]
    fill_at(trial, located)
    source(trial, sourced, split=split)
    for sku in dict.fromkeys(ask.sku for ask in sourced):
        lines = [ask for ask in asks if ask.sku == sku]
        if len(lines) > 1 and any(trial.got(ask) < ask.quantity for ask in lines):
            bare = trial.copy()
            for ask in lines:
                bare.release(ask)
            found = _anew(bare, lines, split=split)
            if found:
                trial.adopt(found)
    for ask in narrow_first(sourced) if not split else ():
        if trial.got(ask) < ask.quantity:
            attempts = [_alone(trial, ask, location, borrow=True) for location in ask.locations]
            trial.adopt(max(attempts, key=lambda attempt: attempt.got(ask)))
    short = [ask for ask in asks if trial.got(ask) < ask.quantity]
    if not sourced:
        assert (not short) == _feasible(before, asks), "the rule of the semantics misses what can be filled"
    return short


def _anew(bare: Trial, lines: Sequence[Ask], *, split: bool) -> Trial | None:
    """A way that fills all lines of one item: each whole at one location, the first choice of all; then those that a
    split allows."""
    located, sourced = [ask for ask in lines if ask.located], [ask for ask in lines if not ask.located]
    in_order = narrow_first(sourced)
    ways = [
        [(borrow, location) for borrow in ((False, True) if ask.fallback else (False,)) for location in ask.locations]
        for ask in in_order
    ]
    attempts = (_whole(bare, located, in_order, choice) for choice in product(*ways))
    for attempt in chain_of(attempts, _split_ways(bare, located, sourced) if split else ()):
        if all(attempt.got(ask) == ask.quantity for ask in lines):
            return attempt
    return None


def _whole(bare: Trial, located: Sequence[Ask], lines: Sequence[Ask], choice: Sequence[tuple[bool, str]]) -> Trial:
    """Each line at its chosen location, from its own pool or with its fallback."""
    attempt = bare.copy()
    chosen = [
        replace(ask, locations=(location,), fallback=ask.fallback and borrow)
        for ask, (borrow, location) in zip(lines, choice, strict=True)
    ]
    fill_at(attempt, [*located, *chosen])
    return attempt


def _split_ways(bare: Trial, located: Sequence[Ask], sourced: Sequence[Ask]) -> Iterator[Trial]:
    """Lines without fallback before all others; and every line put together from all locations."""
    attempt = bare.copy()
    for fallback in (False, True):
        fill_at(attempt, [ask for ask in located if ask.fallback is fallback])
        source(attempt, [ask for ask in sourced if ask.fallback is fallback], split=True)
    yield attempt
    attempt = bare.copy()
    fill_at(attempt, located)
    put_together(attempt, narrow_first(sourced))
    yield attempt


def _alone(trial: Trial, ask: Ask, location: str, *, borrow: bool) -> Trial:
    attempt = trial.copy()
    fill_at(attempt, [ask], location, borrow=borrow)
    return attempt


def _feasible(trial: Trial, asks: Sequence[Ask]) -> bool:
    keys = {(ask.sku, ask.locations[0]) for ask in asks}
    for key in keys:
        here = [ask for ask in asks if (ask.sku, ask.locations[0]) == key]
        for path in {ask.path for ask in here}:
            wanted = sum(ask.quantity for ask in here if ask.path == path)
            if wanted > trial.room.get((*key, path), wanted):
                return False
        demands = [(chain(ask.path) if ask.fallback else [ask.path], ask.quantity) for ask in here]
        free = {path: units for (sku, location, path), units in trial.free.items() if (sku, location) == key}
        if not can_be_filled(demands, free, trial.net.get(key, 0)):
            return False
    return True


def shortage(trial: Trial, ask: Ask, living: set[tuple[str, str, str]], *, split: bool) -> Short:
    """What a short line got, what it would have with fallback after all the others, and what bound it."""
    within = []
    for location in ask.locations:
        attempt = trial.copy()
        attempt.release(ask)
        for path in chain(ask.path):
            attempt.take(ask, location, path)
        within.append(attempt.got(ask))
    with_fallback = min(ask.quantity, sum(within) if split and not ask.located else max(within))
    reason = _reason(trial, ask, living) if ask.located else ""
    return Short(ask.number, ask.quantity, trial.got(ask), with_fallback, reason)


def _reason(trial: Trial, ask: Ask, living: set[tuple[str, str, str]]) -> str:
    key = (ask.sku, ask.locations[0])
    pools = chain(ask.path) if ask.fallback else [ask.path]
    if trial.room.get((*key, ask.path), 1) <= 0:
        return "CAP_REACHED"
    if any(trial.free.get((*key, path), 0) > 0 for path in pools):
        return "NET_SHORT"
    if ask.path and not ask.fallback and (*key, ask.path) not in living:
        return "NO_QUOTA"
    return "QUOTA_EXHAUSTED"
