"""The model's books: measures, quotas and orders.

What the service keeps as balances is added up anew each time; the common pool's free units are what supply leaves over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.properties.promises import Trial, chain
from tests.properties.system import PATHS, Balance, Balances, LineView, OrderView, Rules


@dataclass
class Take:
    """Units that one pool at one location gave to a line."""

    location: str
    path: str
    borrowed: bool
    held: int = 0
    unsettled: int = 0
    settled: int = 0
    expired: int = 0
    cancelled: int = 0


@dataclass
class Line:
    """A line of an order."""

    sku: str
    location: str
    path: str
    fallback: bool
    requested: int
    takes: list[Take] = field(default_factory=list)

    def total(self, place: str) -> int:
        return sum(getattr(take, place) for take in self.takes)

    def places(self, place: str) -> tuple[tuple[str, str, int], ...]:
        units = ((take.location, take.path, getattr(take, place)) for take in self.takes)
        return tuple(sorted(each for each in units if each[2]))

    def take_at(self, location: str, path: str) -> Take:
        for take in self.takes:
            if (take.location, take.path) == (location, path):
                return take
        self.takes.append(Take(location, path, path != self.path))
        return self.takes[-1]

    def own_first(self) -> list[Take]:
        return [take for take in self.takes if not take.borrowed] + [take for take in self.takes if take.borrowed]

    def borrowed_first(self) -> list[Take]:
        return self.own_first()[::-1]


@dataclass
class Order:
    """Lines under one lease."""

    lines: list[Line]
    created: int
    ends: int | None
    sold: bool = False
    reference: str = ""

    def total(self, place: str) -> int:
        return sum(line.total(place) for line in self.lines)


class Books:
    """One organization's stock and orders."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now = 0
        self.measures: dict[tuple[str, str, str], tuple[int, int]] = {}
        """(sku, location, measure) → value and position."""
        self.known: set[tuple[str, str]] = set()
        self.quotas: dict[tuple[str, str, str], int] = {}
        """Free units of all pools but the common ones."""
        self.living: set[tuple[str, str, str]] = set()
        self.orders: list[Order] = []

    @property
    def quota_caps(self) -> dict[str, int]:
        return dict(self.rules.quota_caps)

    @property
    def sales_caps(self) -> dict[str, int]:
        return dict(self.rules.sales_caps)

    def supply(self, key: tuple[str, str]) -> int:
        def value(measure: str) -> int:
            return self.measures.get((*key, measure), (0, 0))[0]

        return value("on_hand") - value("safety_stock")

    def units(self, key: tuple[str, str], place: str, path: str | None = None) -> int:
        """Units of all orders in a place, of one giving pool or of all."""
        return sum(
            getattr(take, place)
            for order in self.orders
            for line in order.lines
            for take in line.takes
            if (line.sku, take.location) == key and path in (None, take.path)
        )

    def net(self, key: tuple[str, str]) -> int:
        return self.supply(key) - self.units(key, "held") - self.units(key, "unsettled")

    def free(self, key: tuple[str, str], path: str) -> int:
        if path:
            return self.quotas.get((*key, path), 0)
        return self.net(key) - sum(units for (*owner, _), units in self.quotas.items() if tuple(owner) == key)

    def taken(self, key: tuple[str, str], path: str) -> int:
        """What a path that asks holds or has sold, wherever it came from."""
        return sum(
            take.held + take.unsettled + take.settled
            for order in self.orders
            for line in order.lines
            for take in line.takes
            if (line.sku, take.location, line.path) == (*key, path)
        )

    def may_borrow(self, path: str) -> bool:
        """The widest fallback of a path: the nearest rule's."""
        rules = dict(self.rules.fallback)
        return next((rules[each] for each in chain(path) if each in rules), False)

    def balances(self) -> Balances:
        return {
            (*key, path): Balance(
                self.free(key, path),
                self.units(key, "held", path),
                self.units(key, "unsettled", path),
                self.units(key, "unsettled", path) + self.units(key, "settled", path),
            )
            for key in self.known
            for path in PATHS
        }

    def order(self, number: int) -> OrderView:
        order = self.orders[number]
        lines = [
            LineView(
                line.requested,
                sum(line.total(place) for place in ("held", "unsettled", "settled", "expired", "cancelled")),
                line.total("cancelled"),
                line.total("expired"),
                *(
                    tuple(
                        sorted(
                            (take.location, take.path, units) for take in line.takes if (units := getattr(take, place))
                        )
                    )
                    for place in ("held", "unsettled", "settled")
                ),
            )
            for line in order.lines
        ]
        return OrderView(state_of(order), order.ends, order.reference, tuple(lines))

    def advance(self, seconds: int) -> None:
        """A hold ends exactly at its instant; its units go back to the pools that gave them."""
        self.now += seconds
        for order in self.orders:
            if order.ends is not None and order.ends <= self.now:
                for line in order.lines:
                    for take in line.takes:
                        take.expired += self.give_back(line, take, "held", take.held)

    def give_back(self, line: Line, take: Take, place: str, units: int) -> int:
        """To the pool that gave, or its nearest living ancestor; what an OWNED location sold is counted again."""
        key = (line.sku, take.location)
        setattr(take, place, getattr(take, place) - units)
        if place == "settled":
            self.count(key, units)
        home = next(path for path in chain(take.path) if not path or (*key, path) in self.living)
        if home:
            self.quotas[(*key, home)] = self.quotas.get((*key, home), 0) + units
        return units

    def count(self, key: tuple[str, str], units: int) -> None:
        """The service's own count at an OWNED location changes."""
        value, position = self.measures.get((*key, "on_hand"), (0, 0))
        self.measures[(*key, "on_hand")] = (value + units, position)

    def trial(self) -> Trial:
        """What can be promised now."""
        pools = [(*key, path) for key in self.known for path in PATHS]
        return Trial(
            {pool: self.free(pool[:2], pool[2]) for pool in pools},
            {key: self.net(key) for key in self.known},
            {
                pool: self.sales_caps[pool[2]] - self.taken(pool[:2], pool[2])
                for pool in pools
                if pool[2] in self.sales_caps
            },
        )

    def sell_held(self, line: Line, units: int) -> set[tuple[str, str]]:
        """Own units first. At an OWNED location they leave the count at once."""
        keys = set()
        for take in line.own_first():
            sold = min(units, take.held)
            units -= sold
            take.held -= sold
            if take.location in self.rules.tills:
                take.unsettled += sold
            else:
                take.settled += sold
                self.count((line.sku, take.location), -sold)
            if sold:
                keys.add((line.sku, take.location))
        return keys


def state_of(order: Order) -> str:
    """The state of the part that is furthest behind; what is over only when nothing is left."""
    if order.total("held"):
        return "HELD"
    if order.total("unsettled"):
        return "CONSUMED"
    if order.total("settled"):
        return "SETTLED"
    return "EXPIRED" if order.total("expired") and not order.sold else "CANCELLED"
