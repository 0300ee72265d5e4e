"""Days of trade drawn by a seeded generator that looks at the books: it asks for what is just there and for one more.

Hypothesis shortens what it finds; this finds what needs a long history, such as a revive that is short or a cap that an
earlier return made room under.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.properties.duel import Duel
from tests.properties.model import Model
from tests.properties.system import (
    LOCATIONS,
    PATHS,
    SKUS,
    Allocate,
    Cancel,
    Consume,
    Figure,
    Line,
    Operation,
    Post,
    Quota,
    Reallocate,
    Reserve,
    Rules,
    Sell,
    Shift,
    System,
    Unallocate,
    Update,
)


def play_a_day(system: System, seed: int, *, steps: int, tills: bool) -> None:
    """Plays one run against the model. A failure names the seed and is repeated by it."""
    day = _Day(seed, tills=tills)
    duel = Duel(system, day.rules())
    try:
        day.open(duel)
        for step in range(steps):
            try:
                day.step(duel)
            except AssertionError as failed:
                failed.add_note(f"seed {seed}, step {step}")
                raise
    finally:
        system.close()


class _Day:
    def __init__(self, seed: int, *, tills: bool) -> None:
        self._random = Random(seed)
        self._tills = tills

    def rules(self) -> Rules:
        random = self._random
        fallback = {path: random.random() < 0.7 for path in PATHS if random.random() < 0.3} | (
            {"": True} if random.random() < 0.6 else {}
        )
        return Rules(
            fallback=tuple(sorted(fallback.items())),
            quota_caps=tuple((path, random.randint(1, 12)) for path in PATHS[1:] if random.random() < 0.2),
            sales_caps=tuple((path, random.randint(1, 12)) for path in PATHS if random.random() < 0.2),
            allow_split=random.random() < 0.7,
            revive_by_default=random.random() < 0.5,
            tills=frozenset(LOCATIONS[:1]) if self._tills and random.random() < 0.4 else frozenset(),
        )

    def open(self, duel: Duel) -> None:
        """A first count of most keys, and quotas."""
        for sku in SKUS:
            for location in LOCATIONS:
                if self._random.random() < 0.95:
                    units = self._random.randint(5, 40)
                    duel.play(Post((Figure(sku, location, "on_hand", units, False, 1, None),)))
        for _ in range(8):
            duel.play(self._allocate(duel.model))

    def step(self, duel: Duel) -> None:
        make: list[Callable[[Model], Operation | int | None]] = [
            self._post,
            self._allocate,
            self._unallocate,
            self._reallocate,
            self._reserve,
            self._sell,
            self._update,
            self._consume,
            self._cancel,
            self._wait,
        ]
        weights = [9, 8, 3, 4, 26, 7, 12, 13, 8, 8]
        operation = self._random.choices(make, weights)[0](duel.model)
        if isinstance(operation, int):
            duel.advance(operation)
        elif operation is not None:
            duel.play(operation)

    # --- what is asked -----------------------------------------------------------------------------------------------

    def _key(self) -> tuple[str, str]:
        return self._random.choice(SKUS), self._random.choice(LOCATIONS)

    def _path(self, model: Model, key: tuple[str, str], *, fenced: bool = False) -> str:
        """Mostly a path that has a quota."""
        living = [path for path in PATHS if (*key, path) in model.living]
        if living and self._random.random() < 0.7:
            return self._random.choice(living)
        return self._random.choice(PATHS[1:] if fenced else PATHS)

    def _about(self, units: int) -> int:
        """What is there, one more, one less, or some of it."""
        return max(1, self._random.choice([units, units + 1, units - 1, self._random.randint(1, 4), units // 2]))

    def _count(self) -> int:
        return self._random.choice([1, 1, 1, 1, 2, 2, 3, 4])

    def _post(self, model: Model) -> Post:
        figures = []
        for _ in range(self._random.choice([1, 1, 2])):
            key = self._key()
            measure = "on_hand" if self._random.random() < 0.85 else "safety_stock"
            value, position = model.measures.get((*key, measure), (0, 0))
            delta = key[1] not in model.rules.tills and measure == "on_hand" and self._random.random() < 0.4
            amount = self._random.randint(-9, 14) + (0 if delta else value)
            amount = amount if delta or self._random.random() < 0.9 else value
            newer = position + self._random.choice([1, 1, 1, 1, 1, 1, 0, -1])
            if delta or (key[1] not in model.rules.tills and self._random.random() < 0.3):
                newer = 0
            expected = self._random.choice([None] * 8 + [value, value + 1])
            figures.append(Figure(*key, measure, amount, delta, max(0, newer), expected))
        return Post(tuple(figures))

    def _allocate(self, model: Model) -> Allocate:
        lines = []
        for _ in range(self._count()):
            key = self._key()
            free = model.free(key, "") if key in model.known else 0
            path = self._path(model, key, fenced=True) or "web"
            lines.append(Quota(*key, path, max(1, min(self._about(free), self._random.randint(1, 12)))))
        return Allocate(tuple(lines))

    def _unallocate(self, model: Model) -> Unallocate:
        lines = []
        for _ in range(self._count()):
            key = self._key()
            path = self._path(model, key, fenced=True) or "web"
            units = None if self._random.random() < 0.4 else self._about(model.free(key, path))
            lines.append(Quota(*key, path, units))
        return Unallocate(tuple(lines))

    def _reallocate(self, model: Model) -> Reallocate:
        lines = []
        for _ in range(self._count()):
            key = self._key()
            source = self._path(model, key)
            target = self._random.choice([path for path in PATHS if path != source])
            lines.append(Shift(*key, source, target, self._about(model.free(key, source))))
        return Reallocate(tuple(lines))

    def _lines(self, model: Model) -> tuple[Line, ...]:
        lines = []
        sourced, located = self._random.choice([(0.0, ""), (0.0, ""), (0.5, ""), (1.0, ""), (0.1, "one place")])
        at = self._key()
        for _ in range(self._count()):
            key = at if located else self._key()
            path = self._path(model, key)
            units = min(self._about(model.free(key, path)), self._random.randint(1, 12))
            fallback = self._random.choice([None] * 6 + [False, False, model.may_borrow(path) or None])
            place = "" if self._random.random() < sourced else key[1]
            lines.append(Line(key[0], place, path, units, fallback))
        return tuple(lines)

    def _reserve(self, model: Model) -> Reserve:
        ttl = self._random.choice([None, None, 60, 300, 3_600, 3_600, 3_600])
        return Reserve(self._lines(model), ttl, self._random.random() < 0.25, self._random.random() < 0.7)

    def _sell(self, model: Model) -> Sell:
        return Sell(self._lines(model), self._random.random() < 0.7, self._reference())

    def _reference(self) -> str:
        return self._random.choice([""] * 8 + ["A", "B", "C"])

    def _order(self, model: Model, *states: str) -> int | None:
        """Mostly one in these states, the newest more often."""
        numbers = range(len(model.orders))
        wanted = [number for number in numbers if model.order(number).state in states]
        if not wanted or self._random.random() < 0.1:
            wanted = list(numbers)
        return max(self._random.choice(wanted), self._random.choice(wanted)) if wanted else None

    def _amounts(self, model: Model, order: int, place: str, least: int = 0) -> tuple[tuple[int, int], ...]:
        lines = model.orders[order].lines
        chosen = self._random.sample(range(len(lines)), self._random.randint(1, len(lines)))
        return tuple((number, max(least, self._about(lines[number].total(place)) - 1)) for number in chosen)

    def _update(self, model: Model) -> Update | None:
        order = self._order(model, "HELD")
        if order is None:
            return None
        lines = self._amounts(model, order, "held") if self._random.random() < 0.8 else None
        if lines and self._random.random() < 0.5:
            lines = tuple((number, units + self._random.randint(1, 3)) for number, units in lines)
        ttl = self._random.choice([60, 900, 3_600]) if lines is None or self._random.random() < 0.2 else None
        return Update(order, lines, ttl, self._random.random() < 0.5)

    def _consume(self, model: Model) -> Consume | None:
        order = self._order(model, "HELD", "EXPIRED")
        if order is None:
            return None
        place = "held" if model.orders[order].total("held") else "expired"
        lines = self._amounts(model, order, place) if self._random.random() < 0.5 else ()
        revive = self._random.choice([True, True, None, False])
        return Consume(order, lines, self._random.random() < 0.2, revive, self._reference())

    def _cancel(self, model: Model) -> Cancel | None:
        order = self._order(model, "HELD", "SETTLED", "CONSUMED")
        if order is None:
            return None
        place = self._random.choice(["held", "settled", "unsettled"])
        return Cancel(order, self._amounts(model, order, place) if self._random.random() < 0.5 else ())

    def _wait(self, model: Model) -> int:
        """Some seconds, or exactly until the next hold ends, or the second before."""
        ends = [order.ends for order in model.orders if order.ends is not None and order.ends > model.now]
        if ends and self._random.random() < 0.7:
            return max(0, min(ends) - model.now - self._random.choice([0, 0, 0, 1]))
        return self._random.choice([1, 60, 300])
