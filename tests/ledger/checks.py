"""What must hold after every command, whatever it was: section 2 of the semantics, and the ledger behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from ringfence_server.ledger.journal import Entry, Fact
from ringfence_server.ledger.names import COMMON, StockKey, pool_id
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.settle import figure_in_force, line_parts, spread, standing_of
from ringfence_server.ledger.state import MeasureValue, Part, Place, Pool, Reservation, Stock
from ringfence_server.ledger.till_state import CountKey, CountSession, OrderEvent, Published, TillSale

Row: TypeAlias = Stock | Pool | MeasureValue | Published | Reservation | Part | TillSale | OrderEvent | CountSession
Snapshot: TypeAlias = dict[tuple[object, ...], tuple[object, ...]]

_LINKS = frozenset(
    {"changed", "events", "measures", "new_bookings", "parts", "pools", "published", "stock", "stored", "till"}
)


NO_COUNTS: Mapping[CountKey, CountSession] = MappingProxyType({})


class Journal:
    """Every entry and fact so far, added up independently of the balances."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.facts: list[Fact] = []
        self._sums: Counter[tuple[int, int, int]] = Counter()
        self._measures: Counter[tuple[int, str]] = Counter()
        self._newest: dict[int, int] = {}
        self._newest_of_reservation: dict[bytes, int] = {}
        self._sequence = 0

    def add(self, entries: Iterable[Entry], facts: Iterable[Fact], request_id: bytes) -> None:
        """Adds what one command wrote, and judges the entries themselves."""
        for entry in entries:
            assert entry.quantity > 0, f"an entry moves something: {entry}"
            assert entry.sequence > self._sequence, f"sequences only rise: {entry}"
            assert entry.request_id == request_id, f"an entry names its request, or none where time moved: {entry}"
            assert entry.effective_time <= entry.record_time, f"nothing counts from the future: {entry}"
            assert entry.previous_sequence == self._newest.get(entry.stock_id, 0), f"the key's chain has a gap: {entry}"
            self._sequence = self._newest[entry.stock_id] = entry.sequence
            if entry.reservation_id:
                newest = self._newest_of_reservation.get(entry.reservation_id, 0)
                assert entry.reservation_previous == newest, f"the reservation's chain has a gap: {entry}"
                self._newest_of_reservation[entry.reservation_id] = entry.sequence
            self._sums[entry.stock_id, entry.from_pool, entry.from_place] -= entry.quantity
            self._sums[entry.stock_id, entry.to_pool, entry.to_place] += entry.quantity
            if entry.to_place == Place.SOLD:
                self._measures[entry.stock_id, entry.measure] -= entry.quantity
            if entry.from_place == Place.SOLD:
                self._measures[entry.stock_id, entry.measure] += entry.quantity
            self.entries.append(entry)
        for fact in facts:
            self._measures[fact.stock_id, fact.measure] += fact.delta
            self.facts.append(fact)

    def check(self, stock: Stock) -> None:
        """The running sums of the entries equal the balances; those of the facts and sales equal the measures."""
        for pool in stock.pools.values():
            places = ((Place.FREE, pool.free), (Place.HELD, pool.held), (Place.UNSETTLED, pool.unsettled))
            for place, balance in places:
                total = self._sums[stock.stock_id, pool_id(pool.path), place]
                assert balance == total, f"{place.name} of {pool.path!r} is {balance}, its entries say {total}"
        for measure in stock.measures.values():
            total = self._measures[stock.stock_id, measure.measure]
            assert measure.value == total, f"{measure.measure} is {measure.value}, facts and sales say {total}"
        assert stock.last_sequence == self._newest.get(stock.stock_id, 0), "the key names its newest entry"


def check_stock(stock: Stock, policy: Policy) -> None:
    """supply = Σ (a + h + c), exactly; a >= 0 but in the common pool; h, c >= 0 everywhere."""
    pools = stock.pools.values()
    assert stock.supply == sum(pool.free + pool.held + pool.unsettled for pool in pools), "supply = Σ (a + h + c)"
    assert stock.promised == sum(pool.held + pool.unsettled for pool in pools), "promised = Σ (h + c)"
    assert stock.net == sum(pool.free for pool in pools), "net = Σ a"
    for pool in pools:
        assert pool.held >= 0, f"held of {pool.path!r} is negative"
        assert pool.unsettled >= 0, f"unsettled of {pool.path!r} is negative"
        assert pool.path == COMMON or pool.free >= 0, f"free of {pool.path!r} is negative"
        has_units = bool(pool.free or pool.held or pool.unsettled)
        assert pool.living or not has_units, f"{pool.path!r} has units and is not known as a quota"
    if stock.policy_revision >= policy.formula_revision:
        measures = {name: value.value for name, value in stock.measures.items()}
        formula = sum(term.coefficient * measures.get(term.measure, 0) for term in policy.supply)
        assert stock.supply == formula, f"supply is {stock.supply}, the formula says {formula}"


def check_promises(
    stocks: Iterable[Stock], reservations: Iterable[Reservation], history: Mapping[tuple[StockKey, str, str], int]
) -> None:
    """What pools hold, owe and have sold is what the parts of all reservations say. ``history`` is what a test gave a
    pool beforehand: (key, path, "consumed" or "taken") → units."""
    totals: Counter[tuple[StockKey, str, str]] = Counter(history)
    for reservation in reservations:
        for part in reservation.parts:
            places = (part.held, part.unsettled, part.settled, part.cancelled, part.expired)
            assert min(places) >= 0, f"no part owes units: {places}"
            assert part.granted == sum(places), "granted = held + unsettled + settled + cancelled + expired"
            assert part.expire_time == reservation.expire_time, "parts end with their reservation"
            totals[part.stock.key, part.path, "held"] += part.held
            totals[part.stock.key, part.path, "unsettled"] += part.unsettled
            totals[part.stock.key, part.path, "consumed"] += part.unsettled + part.settled
            totals[part.stock.key, part.asked_path, "taken"] += part.held + part.unsettled + part.settled
    for stock in stocks:
        for pool in stock.pools.values():
            for name in ("held", "unsettled", "consumed", "taken"):
                balance, total = getattr(pool, name), totals.pop((stock.key, pool.path, name), 0)
                assert balance == total, f"{name} of {pool.path!r} is {balance}, the parts say {total}"
    assert not any(totals.values()), f"parts without a pool: {totals}"


def check_sales(policy: Policy, reservations: Iterable[Reservation]) -> None:
    """What is stored of a sale is what rule S says of it now: c is what is owed, and a figure that comes next finds
    it."""
    for reservation in reservations:
        judged: set[int] = set()
        for part in reservation.parts:
            till = part.till
            if till is None or part.number in judged:
                assert till is not None or not part.unsettled, "what is unsettled is a till's"
                continue
            parts = line_parts(reservation, part)
            judged.update(each.number for each in parts)
            figure = figure_in_force(policy, part.stock)
            for each, bookings in spread(parts):
                sale = each.till
                assert sale is not None
                standing = standing_of(sale, bookings, figure)
                stored = (each.settled, each.unsettled, sale.undecided, sale.booked, sale.awaiting)
                assert standing == stored, f"rule S says {standing}, stored is {stored}"
                assert sale.unsent <= sale.ordered, "a till is not told of more than was sold"
                assert 0 <= sale.undecided <= each.unsettled, "what is undecided is unsettled"
                assert sale.cancelling >= 0
                assert sale.ordered >= each.settled + each.unsettled - sale.undecided, "n covers what is sold"


def rows(
    stocks: Iterable[Stock], reservations: Iterable[Reservation], counts: Mapping[CountKey, CountSession] = NO_COUNTS
) -> Iterator[tuple[tuple[object, ...], Row]]:
    """Every row of the state under a name of its own; pools that were only looked for are left out."""
    for stock in stocks:
        yield ("stock", stock.key), stock
        for pool in stock.pools.values():
            if pool.stored or pool.changed:
                yield ("pool", stock.key, pool.path), pool
        for measure in stock.measures.values():
            yield ("measure", stock.key, measure.measure), measure
        for name, published in (stock.published or {}).items():
            yield ("published", stock.key, *name), published
    for reservation in reservations:
        yield ("reservation", reservation.reservation_id), reservation
        for part in reservation.parts:
            yield ("part", reservation.reservation_id, part.number), part
            if part.till is not None:
                yield ("sale", reservation.reservation_id, part.number), part.till
                for event in part.till.events:
                    yield ("event", event.event_id), event
    for count, session in counts.items():
        yield ("count", *count), session


def snapshot(
    stocks: Iterable[Stock], reservations: Iterable[Reservation], counts: Mapping[CountKey, CountSession] = NO_COUNTS
) -> Snapshot:
    """The values of every row."""
    return {
        name: tuple(
            tuple(sorted(value.items())) if isinstance(value, dict) else value
            for value in (getattr(row, slot) for slot in sorted(type(row).__slots__) if slot not in _LINKS)
        )
        for name, row in rows(stocks, reservations, counts)
    }


def mark_stored(
    stocks: Iterable[Stock], reservations: Iterable[Reservation], counts: Mapping[CountKey, CountSession] = NO_COUNTS
) -> None:
    """As after a commit: nothing is left to write. A row is written with those it hangs on: a part with its
    reservation, a sale with its part, bookings and events with their sale."""
    for stock in stocks:
        stock.changed, stock.stored = False, True
        for pool in stock.pools.values():
            pool.stored = pool.stored or pool.changed
            pool.changed = False
        for measure in stock.measures.values():
            measure.changed = False
        for published in (stock.published or {}).values():
            published.changed, published.stored = False, True
    for reservation in reservations:
        for part in reservation.parts:
            till = part.till
            if till is not None:
                for event in till.events:
                    assert till.changed or not event.changed, "an event is written with its sale"
                    event.changed, event.stored = False, True
                assert till.changed or not till.new_bookings, "bookings are written with their sale"
                assert reservation.changed or not till.changed, "a sale is written with its reservation"
                till.changed, till.stored = False, True
                till.new_bookings = []
            assert reservation.changed or not part.changed, "a part is written with its reservation"
            part.changed, part.stored = False, True
        reservation.changed, reservation.stored = False, True
    for session in counts.values():
        session.changed, session.stored = False, True
