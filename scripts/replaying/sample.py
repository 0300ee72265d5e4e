"""A small order file made here, the same at every call, with the traps of a real one.

Four weeks of a shop: customers in several countries and guests; cancellations that do not name what they cancel, of a
part, of several purchases at once, of something bought before the file begins, and of guests; an order of 80,995 units
that is cancelled minutes later; invoices that span two minutes, and two that stand mixed; an invoice of 1,114 lines; a
SKU twice on one invoice; codes in both cases; write-offs; lines that are no stock; a customer in two countries.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from scripts.replaying.order_file import Row

_START = datetime(2011, 3, 1, 8, 0)
_DAYS = 28
_ORDERS_PER_DAY = 9
_SEED = 1114
_COUNTRIES = ("United Kingdom",) * 12 + ("France", "Germany", "EIRE", "Channel Islands", "Unspecified")
_CODES = (
    *(f"{20_000 + 37 * number}{'' if number % 3 else 'A'}" for number in range(240)),
    "DCGS0003",
    "PADS",
    "gift_0001_20",
)
_SOMEBODY = ("", "United Kingdom")
_CHARGES = ("POST", "DOT", "M", "m", "BANK CHARGES", "C2")


class _Shop:
    """Writes rows. Of random.Random only `random()` is used: that alone is promised to stay the same."""

    def __init__(self) -> None:
        self._random = random.Random(_SEED)
        self._next = 600_001
        self.rows: list[Row] = []
        self.customers = [(str(12_000 + number), self.pick(_COUNTRIES)) for number in range(60)]
        self.bought: list[tuple[str, str, str, int]] = []
        """Customer, country, code and quantity of lines that may be cancelled."""

    def fraction(self) -> float:
        """0 to 1, without 1."""
        return self._random.random()

    def skewed(self, times: int) -> float:
        """0 to 1, nearer to 0 the more times are multiplied. Not a power: its last bit differs between machines."""
        product = self.fraction()
        return product if times == 1 else product * self.skewed(times - 1)

    def below(self, most: int) -> int:
        """0 to most - 1."""
        return int(self.fraction() * most)

    def pick(self, values: tuple[str, ...]) -> str:
        return values[self.below(len(values))]

    def code(self) -> str:
        """A few codes sell much more than the others; some are typed in lower case now and then."""
        place = int(self.skewed(2) * len(_CODES))
        code = _CODES[place]
        return code.lower() if code.endswith("A") and not self.below(5) else code

    def quantity(self) -> int:
        return (1, 1, 2, 2, 3, 4, 6, 6, 10, 12, 24, 48)[self.below(12)]

    def buyer(self) -> tuple[str, str]:
        """A customer, or in a quarter of the cases a guest."""
        if not self.below(4):
            return "", self.pick(_COUNTRIES)
        customer, country = self.customers[self.below(len(self.customers))]
        return customer, country

    def number(self, kind: str = "") -> str:
        self._next += 1
        return f"{kind}{self._next}"

    def write(
        self, invoice: str, time: datetime, lines: list[tuple[str, int]], buyer: tuple[str, str] = _SOMEBODY
    ) -> None:
        for code, quantity in lines:
            self.rows.append(Row(0, invoice, code, quantity, time, *buyer))

    def order(self, time: datetime, lines: int) -> None:
        """An order; one in eight goes on in the next minute, one in five repeats its first code."""
        buyer = self.buyer()
        invoice = self.number()
        units = [(self.code(), self.quantity()) for _ in range(lines)]
        if not self.below(5):
            units.append((units[0][0], self.quantity()))
        if not self.below(6):
            units.append((self.pick(_CHARGES), 1))
        cut = len(units) // 2 if not self.below(8) else len(units)
        self.write(invoice, time, units[:cut], buyer)
        self.write(invoice, time + timedelta(minutes=1), units[cut:], buyer)
        if buyer[0]:
            self.bought += [(*buyer, code, quantity) for code, quantity in units if code not in _CHARGES]

    def cancellation(self, time: datetime) -> None:
        """Brings back one to three lines of one customer: all of each, a part, or more than one purchase had."""
        customer, country, _, _ = self.bought[self.below(len(self.bought))]
        lines = [line for line in self.bought if line[0] == customer][-3:]
        units = []
        for line in lines[self.below(len(lines)) :]:
            self.bought.remove(line)
            _, _, code, quantity = line
            units.append((code, -(quantity, max(1, quantity // 2), quantity + 5)[self.below(3)]))
        self.write(self.number("C"), time, units, (customer, country))


def sample_rows() -> list[Row]:
    """The rows of the sample, in time order."""
    shop = _Shop()
    for day in range(_DAYS):
        morning = _START + timedelta(days=day)
        for _ in range(_ORDERS_PER_DAY):
            shop.order(morning + timedelta(minutes=shop.below(540)), 1 + int(shop.skewed(3) * 60))
        for _ in range(2):
            shop.cancellation(morning + timedelta(minutes=545 + shop.below(15)))
        shop.write(shop.number(), morning + timedelta(minutes=570), [(shop.code(), -1 - shop.below(9))])
    _traps(shop)
    shop.rows.sort(key=lambda row: row.time)  # stable: lines of one minute stay as they were written
    return [row._replace(number=number) for number, row in enumerate(shop.rows, 2)]


def _traps(shop: _Shop) -> None:
    def at(day: int, hour: int, minute: int) -> datetime:
        return _START + timedelta(days=day, hours=hour - 8, minutes=minute)

    whole_catalogue = [(_CODES[number % len(_CODES)], 1 + number % 4) for number in range(1_114)]
    shop.write(shop.number(), at(9, 12, 7), whole_catalogue)

    wholesaler = ("18000", "United Kingdom")
    shop.write(shop.number(), at(12, 9, 1), [("23166", 74_215)], wholesaler)
    shop.write(shop.number("C"), at(12, 9, 17), [("23166", -74_215)], wholesaler)
    shop.write(shop.number(), at(27, 17, 15), [("23843", 80_995)], wholesaler)
    shop.write(shop.number("C"), at(27, 17, 27), [("23843", -80_995)], wholesaler)

    one, other = shop.number(), shop.number()
    for invoice, code in ((one, "20000A"), (other, "20111A"), (one, "20111a"), (other, "20000a")):
        shop.write(invoice, at(14, 11, 30), [(code, 3)], ("18001", "France") if invoice == one else ("", "Germany"))

    traveller = ("18002", "Cyprus"), ("18002", "Austria")
    shop.write(shop.number(), at(15, 10, 0), [("20037", 6), ("20037", 4)], traveller[0])
    shop.write(shop.number(), at(16, 10, 0), [("20037", 5)], traveller[1])
    # Both purchases, one of them over two lines, and one unit that was bought elsewhere.
    shop.write(shop.number("C"), at(17, 10, 0), [("20037", -16)], traveller[1])
    # Bought before the file begins, and by somebody unknown.
    shop.write(shop.number("C"), at(1, 9, 0), [("20074", -12), ("D", -1)], ("18003", "EIRE"))
    shop.write(shop.number("C"), at(6, 9, 0), [("20074", -3)], ("", "EIRE"))

    shop.write(shop.number("A"), at(20, 14, 50), [("B", 1)])
    shop.write(shop.number(), at(20, 15, 0), [("AMAZONFEE", 1), ("DOT", 1)])
    shop.write(shop.number(), at(21, 15, 0), [("20148", 0), ("20148", 2)], ("18001", "France"))
    # Never sold, only lost.
    shop.write(shop.number(), at(22, 15, 0), [("99999", -40)])
