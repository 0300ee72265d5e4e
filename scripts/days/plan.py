"""What happens in a day, whatever rules the service keeps: who orders, who walks in, what is late, doubled or lost.

All of it comes from the seed alone, so that every set of rules meets the same day.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

LOCATIONS = ("north", "south", "harbour")
DAY = 24 * 60
"""Minutes."""
READ_EVERY = 60
"""Minutes from one count of a till to the next."""
CHAINED = "harbour"
"""The till that tells its movements between two counts, as chained deltas."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the web shop, and what becomes of it at the till. Spans are minutes."""

    reference: str
    """The web shop's number."""
    minute: int
    """When it comes in."""
    location: str
    """Where the customer fetches it."""
    sku: str
    """The item."""
    quantity: int
    """Units, 1 to 3."""
    late: int
    """From the handing over until the till has it, 5 to 15."""
    acknowledged: int
    """From then until the till's acknowledgement is under way, 0 to 120."""
    booked: int
    """From then until the till books it, 1 to 90."""
    second: int
    """From a partial booking until the rest is booked, 5 to 60; 0: it is booked at once."""
    rejected: bool
    """The till does not serve it."""
    by_reply: bool
    """It says so when it gets it, and not only when the goods should leave."""
    cancelled: int | None
    """From the order until the customer gives it up; None: never."""
    answered: int
    """From when the till is asked to cancel until its answer is under way, 1 to 120."""
    taken_back: bool
    """The till takes back what it has booked, and does not refuse."""
    elsewhere: str = ""
    """The other store whose till books it, or of a partial booking the first unit; empty: none does."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Something that happens in a store without the web shop."""

    minute: int
    location: str
    sku: str
    quantity: int
    """Units: negative leave the store, positive come in."""


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to one message of a till on its way to the service. Spans are minutes."""

    delay: int
    """Until it arrives."""
    again: int | None
    """Until it arrives once more; None: it does not."""
    lost: frozenset[str]
    """Items whose figures do not arrive."""


T = TypeVar("T", Order, Visit)


class Plan:
    """A day, or several."""

    def __init__(
        self, *, seed: int = 1, days: int = 1, orders: int = 10_000, skus: int = 40, minutes_a_day: int = DAY
    ) -> None:
        """`orders` is for each day."""
        self.seed = seed
        self.days = days
        self.minutes_a_day = minutes_a_day
        self.minutes = days * minutes_a_day
        """How long customers come; what they left is worked off afterwards."""
        self.skus = tuple(f"ITEM-{number:02}" for number in range(1, skus + 1))
        keys = len(LOCATIONS) * skus
        self.each = max(4.0, 1.5 * orders / keys)
        """Units of one item that a day asks for at one store, about."""
        chance = random.Random(f"{seed}/opening")
        self.opening = {
            location: {sku: chance.randint(3, 6 + round(self.each * 0.4)) for sku in self.skus}
            for location in LOCATIONS
        }
        self.orders: dict[int, list[Order]] = _by_minute(self._orders(days, orders))
        self.visits: dict[int, list[Visit]] = _by_minute(self._visits(days))
        chance = random.Random(f"{seed}/away")
        times = 6 * self.minutes // DAY
        self._away = {
            (location, start + minute)
            for location in LOCATIONS
            for start in (chance.randrange(self.minutes) for _ in range(times))
            for minute in range(chance.randint(5, 25))
        }
        chance = random.Random(f"{seed}/replaced")
        third = minutes_a_day // 3
        self.replaced = {
            day * minutes_a_day + chance.randrange(third, 2 * third): LOCATIONS[(seed + 1 + day) % len(LOCATIONS)]
            for day in range(days)
        }
        """Tills that are replaced, by minute: one in the middle of each day, each store in turn."""

    def away(self, location: str, minute: int) -> bool:
        """Whether the till's way to its orders is down."""
        return (location, minute) in self._away

    def reads(self, location: str, minute: int) -> bool:
        """Whether the till is counted now: hourly, each at a minute of its own."""
        return minute % READ_EVERY == 13 * (1 + LOCATIONS.index(location))

    def way(self, location: str, number: int, *, figures: bool) -> Way:
        """The way of a location's message: most arrive soon, some late and out of order, every tenth twice."""
        chance = random.Random(f"{self.seed}/way/{location}/{number}")
        if figures:
            delay = chance.randint(0, 4) if chance.random() < 0.75 else chance.randint(5, 150)
        else:
            delay = chance.randint(0, 120)
        again = delay + chance.randint(1, 180) if chance.random() < 0.10 else None
        lost = frozenset(sku for sku in self.skus if figures and chance.random() < 0.03)
        return Way(delay, again, lost)

    def _orders(self, days: int, orders: int) -> Iterator[Order]:
        for number in range(days * orders):
            chance = random.Random(f"{self.seed}/order/{number}")
            quantity = chance.choice((1, 1, 1, 2, 2, 3))
            fate = chance.random()
            minute, location = chance.randrange(1, self.minutes), chance.choice(LOCATIONS)
            rejected = 0.15 <= fate < 0.19
            yield Order(
                reference=f"WEB-{number + 1}",
                minute=minute,
                location=location,
                sku=chance.choice(self.skus),
                quantity=quantity,
                late=chance.randint(5, 15),
                acknowledged=chance.randint(0, 120),
                booked=chance.randint(1, 90),
                second=chance.randint(5, 60) if quantity > 1 and chance.random() < 0.3 else 0,
                rejected=rejected,
                by_reply=chance.random() < 0.5,
                cancelled=self._cancelled_after(chance) if fate < 0.15 else None,
                answered=chance.randint(1, 120) if chance.random() < 0.3 else chance.randint(1, 10),
                taken_back=chance.random() < 0.5,
                elsewhere="" if rejected else self._elsewhere(number, location),
            )

    def _visits(self, days: int) -> Iterator[Visit]:
        chance = random.Random(f"{self.seed}/visits")
        opens, closes = self.minutes_a_day // 3, self.minutes_a_day * 5 // 6
        for day in range(days):
            for location in LOCATIONS:
                for _ in range(round(self.each * len(self.skus) * 0.6)):
                    minute = day * self.minutes_a_day + chance.randrange(opens, closes)
                    quantity = chance.choice((1, 1, 1, 2))
                    back = chance.random() < 0.1
                    yield Visit(minute, location, chance.choice(self.skus), quantity if back else -quantity)
                for sku in self.skus:
                    # Goods arrive four times a day, a little less than is asked for: it is at the last units that
                    # rules show what they are worth.
                    for _ in range(4):
                        minute = day * self.minutes_a_day + chance.randrange(self.minutes_a_day)
                        yield Visit(minute, location, sku, chance.randint(1, max(2, round(self.each * 0.5))))

    def _elsewhere(self, number: int, location: str) -> str:
        chance = random.Random(f"{self.seed}/elsewhere/{number}")
        return chance.choice([other for other in LOCATIONS if other != location]) if chance.random() < 0.03 else ""

    def _cancelled_after(self, chance: random.Random) -> int:
        """Half of those who change their mind do so soon; the others within a third of the day."""
        return chance.randint(1, 20) if chance.random() < 0.5 else chance.randint(21, max(40, self.minutes_a_day // 3))


def _by_minute(items: Iterable[T]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for item in items:
        found[item.minute].append(item)
    return dict(found)
