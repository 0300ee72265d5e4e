"""What must add up: every balance is the sum of its ledger entries, and the sums agree with each other.

Pure: one stock key's rows and sums come in, flaws come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from .names import pool_id
from .policy import LocationKind, Policy
from .reading import Flaw
from .settle import Standing, figure_in_force, line_parts, spread, standing_of
from .state import Part, Pool, Reservation, Stock
from .supply import supply_of


class PartSums(NamedTuple):
    """Sums over the parts of reservations that one pool gave, and over those that its path asked for."""

    held: int = 0
    unsettled: int = 0
    sold: int = 0
    taken: int = 0
    """Granted, less what expired or was cancelled, over the parts whose line asked this path."""


class KeySums(NamedTuple):
    """What a stock key's balances have to be, recomputed."""

    ledger: Mapping[int, tuple[int, int, int]]
    """Free, held and unsettled units by pool number, over all entries."""
    sold: Mapping[str, int]
    """Units by measure that sales of an OWNED location took out of the count, less what came back."""
    facts: Mapping[str, int]
    """Posted changes by measure."""
    parts: Mapping[str, PartSums]
    """By path."""


_NO_PARTS = PartSums()
_NOTHING = (0, 0, 0)
_PLACES = ("free", "held", "unsettled")
_TOTALS = ("held", "unsettled", "consumed", "taken")


def flaws_of(stock: Stock, policy: Policy | None, sums: KeySums) -> Iterator[Flaw]:
    """What does not add up of one stock key, as it is stored, with all its pools and measures.

    ``policy`` is the version that the key was valued by; None when there is no such version.
    """
    free = promised = 0
    for pool in stock.pools.values():
        free += pool.free
        promised += pool.held + pool.unsettled
        yield from _pool_flaws(stock, pool, sums)
    yield from _unknown_pools(stock, sums)
    if stock.supply != free + promised:
        yield _flaw(stock, "", "CONSERVATION", f"supply is {stock.supply}, its pools sum to {free + promised}")
    if stock.promised != promised:
        text = f"promised is {stock.promised}, held and unsettled of its pools sum to {promised}"
        yield _flaw(stock, "", "PROMISED_IS_SUM", text)
    if policy is None:
        text = f"it was valued by policy revision {stock.policy_revision}, which is not there"
        yield _flaw(stock, "", "FORMULA", text)
    elif stock.supply != supply_of(policy, stock):
        text = f"supply is {stock.supply}, the formula of revision {policy.revision} gives {supply_of(policy, stock)}"
        yield _flaw(stock, "", "FORMULA", text)
    for name in stock.measures.keys() | sums.facts.keys() | sums.sold.keys():
        value = stock.measures[name].value if name in stock.measures else 0
        posted, sold = sums.facts.get(name, 0), sums.sold.get(name, 0)
        if value != posted - sold:
            text = f"{name} is {value}, but {posted} were posted and {sold} sold"
            yield _flaw(stock, "", "MEASURE_IS_SUM_OF_FACTS", text)


def sale_flaws(stock: Stock, policy: Policy, orders: Iterable[Reservation]) -> Iterator[Flaw]:
    """What does not add up of the sales that the key's till owes a figure: c has to be what rule S says is owed.

    ``policy`` is the one in force; ``orders`` have their parts at the key, those of an order together.
    """
    till = policy.location(stock.key.location).kind is LocationKind.TILL
    for order in orders:
        judged: set[int] = set()
        name = f"reservation {UUID(bytes=order.reservation_id)}"
        for part in order.parts:
            places = part.held + part.unsettled + part.settled + part.cancelled + part.expired
            if part.granted != places:
                text = f"part {part.number} of {name} was granted {part.granted}, its units sum to {places}"
                yield _flaw(stock, part.path, "GRANTED_ACCOUNTED", text)
            if part.till is None:
                if part.unsettled:
                    text = f"part {part.number} of {name} has {part.unsettled} unsettled, and no till has to do with it"
                    yield _flaw(stock, part.path, "UNSETTLED_IS_OWED", text)
            elif till and part.number not in judged:
                line = line_parts(order, part)
                judged.update(each.number for each in line)
                yield from _line_flaws(stock, policy, name, line)


def _line_flaws(stock: Stock, policy: Policy, name: str, line: Sequence[Part]) -> Iterator[Flaw]:
    figure = figure_in_force(policy, stock)
    for part, bookings in spread(line):
        sale = part.till
        assert sale is not None
        standing = standing_of(sale, bookings, figure)
        stored = Standing(part.settled, part.unsettled, sale.undecided, sale.booked, sale.awaiting)
        for field, kept, found in zip(Standing._fields, stored, standing, strict=True):
            if kept != found:
                text = f"{field} of part {part.number} of {name} is {kept}, its bookings and the figure say {found}"
                yield _flaw(stock, part.path, "UNSETTLED_IS_OWED", text)


def _pool_flaws(stock: Stock, pool: Pool, sums: KeySums) -> Iterator[Flaw]:
    stored = pool.free, pool.held, pool.unsettled
    summed = sums.ledger.get(pool.number, _NOTHING)
    if stored != summed:
        for name, units, entries in zip(_PLACES, stored, summed, strict=True):
            if units != entries:
                text = f"{name} is {units}, its ledger entries sum to {entries}"
                yield _flaw(stock, pool.path, "BALANCE_IS_SUM_OF_LEDGER", text)
    if pool.held < 0 or pool.unsettled < 0 or (pool.free < 0 and pool.path):
        text = f"free, held and unsettled are {stored}"
        yield _flaw(stock, pool.path, "NOT_NEGATIVE", text)
    parts = sums.parts.get(pool.path, _NO_PARTS)
    of_pool = PartSums(pool.held, pool.unsettled, pool.consumed, pool.taken)
    if of_pool != parts:
        for name, units, orders in zip(_TOTALS, of_pool, parts, strict=True):
            if units != orders:
                text = f"{name} is {units}, the parts of its reservations sum to {orders}"
                yield _flaw(stock, pool.path, "BALANCE_IS_SUM_OF_PARTS", text)


def _unknown_pools(stock: Stock, sums: KeySums) -> Iterator[Flaw]:
    known = {pool.number for pool in stock.pools.values()}
    for number, units in sums.ledger.items():
        if number not in known and units != _NOTHING:
            text = f"ledger entries leave {units} units in pool number {number}, which is not there"
            yield _flaw(stock, "", "BALANCE_IS_SUM_OF_LEDGER", text)
    for path, parts in sums.parts.items():
        if parts != _NO_PARTS and pool_id(path) not in known:
            text = f"reservations have {tuple(parts)} of a pool that is not there"
            yield _flaw(stock, path, "BALANCE_IS_SUM_OF_PARTS", text)


def _flaw(stock: Stock, path: str, rule: str, description: str) -> Flaw:
    return Flaw(stock.key, path, rule, description)
