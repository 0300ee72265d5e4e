"""Every field of every row comes back as it was written, when it is new and when it has changed."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine, create_engine

from ringfence_server.ledger.journal import Batch, Entry, Fact
from ringfence_server.ledger.names import COMMON, MAX_INT64, StockKey
from ringfence_server.ledger.needs import Needs
from ringfence_server.ledger.policy import (
    Fallback,
    LeaseBounds,
    Level,
    Location,
    LocationKind,
    Measure,
    MeasureKind,
    PathRule,
    Policy,
    SupplyTerm,
)
from ringfence_server.ledger.state import MeasureValue, Part, Pool, Reservation, Stock
from ringfence_server.ledger.till_state import (
    Booking,
    CountSession,
    Discrepancy,
    DiscrepancyKind,
    EventKind,
    EventState,
    Mark,
    OrderEvent,
    Published,
    TillSale,
)
from ringfence_server.ledger.work import OutcomeRow
from ringfence_server.store.driver import DriverConnection
from ringfence_server.store.load import LoadedState, Loader
from ringfence_server.store.migrate import upgrade
from ringfence_server.store.outcomes import Caller, Outcomes
from ringfence_server.store.rows_till import discrepancy_of
from ringfence_server.store.slots import ONE_SLOT
from ringfence_server.store.write import Writer
from tests.ledger.checks import Snapshot, mark_stored, snapshot

PATHS: Final = (COMMON, "web", "web/london", "shop/ärger 'x'", "a/b/c/d/e/f/g/h")
MEASURES: Final = ("on_hand", "safety_stock", "wms.inbound")
AWKWARD: Final = "ö'\"\\%_;-- \x00 \U0001f6b2 {}[]\n"


class Values:
    """Where the fields get their values from."""

    def __init__(self, integer: Callable[[int], int], text: Callable[[int], str]) -> None:
        self._numbers = itertools.count(1)
        self._integer, self._text = integer, text

    def number(self) -> int:
        return self._integer(next(self._numbers))

    def not_negative(self) -> int:
        return abs(self.number())

    def units(self) -> int:
        """Small enough that five of them add up within 64 bits."""
        return self.not_negative() // 5

    def time(self) -> int | None:
        number = next(self._numbers)
        return self._integer(number) if number % 2 else None

    def text(self) -> str:
        return self._text(next(self._numbers))

    def either(self) -> bool:
        return next(self._numbers) % 2 == 0


SOURCES = {
    # No two fields alike: one in another's place is seen.
    "distinct": lambda: Values(lambda number: number * 1_000_003, lambda number: f"text {number}"),
    "largest": lambda: Values(lambda number: MAX_INT64, lambda number: AWKWARD * 8),
    "least": lambda: Values(lambda number: -MAX_INT64, lambda number: ""),
    "nothing": lambda: Values(lambda number: 0, lambda number: ""),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A migrated database."""
    url = f"sqlite:///{tmp_path / 'ringfence.db'}"
    upgrade(url)
    engine = create_engine(url)
    yield engine
    engine.dispose()


def new_stock(dimensions: tuple[tuple[str, str], ...] = ()) -> Stock:
    """A stock key with pools and measures."""
    stock = Stock(7, StockKey("default", "SKU-1", "north", dimensions))
    stock.pools = {path: Pool(path) for path in PATHS}
    stock.measures = {name: MeasureValue(name) for name in MEASURES}
    return stock


def new_reservation(stock: Stock, values: Values) -> Reservation:
    """An order with a part of every fallback, sourced and not."""
    reservation = Reservation(b"r" * 16, "default", values.text(), "", None, values.number())
    for number, (fallback, located) in enumerate(itertools.product(Fallback, (True, False)), 1):
        path, asked_path = PATHS[number], PATHS[-number]
        part = Part(number, 10 - number, values.text(), stock, path, asked_path, fallback, located, 0, None)
        # Of some parts a till knows, of the others of the same order none does.
        part.till = new_sale(values, number) if number % 2 else None
        reservation.parts.append(part)
    return reservation


def change(values: Values, stock: Stock, reservation: Reservation) -> None:
    """Gives every field a value that a command can change."""
    stock.supply, stock.policy_revision, stock.last_sequence = values.number(), values.number(), values.number()
    stock.promised = values.not_negative()
    stock.changed = True
    for pool in stock.pools.values():
        pool.free = values.number() if pool.path == COMMON else values.not_negative()
        pool.held, pool.unsettled = values.not_negative(), values.not_negative()
        pool.consumed, pool.taken = values.number(), values.number()
        pool.living = values.either() or pool.path == COMMON
        pool.changed = True
    for measure in stock.measures.values():
        measure.value, measure.position, measure.source = values.number(), values.number(), values.text()
        measure.count_time, measure.record_time = values.time(), values.number()
        measure.epoch, measure.count_id = values.number(), values.text()
        measure.epoch_ends = (Mark(values.number(), values.number()), Mark(values.number(), 0))[: values.number() % 3]
        measure.changed = True
    reservation.owner, reservation.order_reference = values.text(), values.text()
    reservation.expire_time, reservation.consume_time = values.time(), values.time()
    reservation.attributes, reservation.cancel_text = values.text().encode(), values.text()
    reservation.revision, reservation.last_sequence = values.number(), values.number()
    reservation.cancel_reason = values.not_negative() % 7
    reservation.changed = True
    for part in reservation.parts:
        part.requested, part.held, part.unsettled = values.number(), values.units(), values.units()
        part.settled, part.cancelled, part.expired = values.units(), values.units(), values.units()
        part.granted = part.held + part.unsettled + part.settled + part.cancelled + part.expired
        part.expire_time, part.sent_time, part.received_time = values.time(), values.time(), values.time()
        part.settled_time, part.document_number = values.time(), values.text()
        part.changed = True
        if part.till is not None:
            change_sale(values, part.till)


def new_sale(values: Values, number: int) -> TillSale:
    """What a till has to do with a part, with an event of each kind."""
    sale = TillSale()
    for place, kind in enumerate(EventKind):
        event_id = bytes([number, place]) * 8
        sale.events.append(OrderEvent(event_id, 100 + place, kind, 0, values.text(), values.number()))
    return sale


def change_sale(values: Values, sale: TillSale) -> None:
    """Gives every field of a sale and its events a value that a command can change, and adds bookings."""
    sale.ordered, sale.cancelling, sale.undecided = values.not_negative(), values.not_negative(), values.not_negative()
    sale.closed, sale.rejected, sale.awaiting = values.either(), values.either(), values.either()
    sale.rejected_reason, sale.refused_reason, sale.last_error = values.text(), values.text(), values.text()
    sale.booked, sale.moved_from, sale.attempts = values.number(), values.number(), values.number()
    for epoch in (len(sale.bookings), len(sale.bookings) + 1):
        booking = Booking(epoch, values.number(), values.number() or 1)
        sale.bookings[Mark(booking.epoch, booking.position)] = booking.quantity
        sale.new_bookings.append(booking)
    sale.changed = True
    for event in sale.events:
        event.state = list(EventState)[values.not_negative() % 4]
        event.quantity, event.attempts, event.adapter = values.not_negative(), values.number(), values.text()
        event.lease_until, event.not_before = values.number(), values.number()
        event.changed = True


def new_batch(revision: int = 1) -> Batch:
    """A batch without rows."""
    return Batch(
        now=20 + revision,
        record_time=30 + revision,
        revision=revision,
        last_sequence=10 + revision,
        new_reservation_id=lambda _: b"",
        new_stock_id=lambda _: 0,
    )


def write(engine: Engine, stock: Stock, reservation: Reservation, revision: int) -> None:
    """Writes what is marked as changed."""
    batch = new_batch(revision)
    batch.stocks[stock.key] = stock
    batch.reservations[reservation.reservation_id] = reservation
    with engine.begin() as core:
        connection = DriverConnection(core)
        Writer(engine.dialect, ONE_SLOT).write(connection, batch)
    mark_stored([stock], [reservation])


def read(engine: Engine, stock: Stock, *, by_key: bool) -> Snapshot:
    """Loads the rows as a server that was just started does."""
    state, loader = LoadedState(), Loader(engine.dialect, ONE_SLOT)
    needs = Needs()
    needs.add_pools(stock.key, PATHS)
    with engine.connect() as core:
        connection = DriverConnection(core)
        parts = loader.reservations(connection, state, [b"r" * 16])
        if by_key:
            loader.stocks(connection, state, [stock.key], ())
        else:
            loader.stocks(connection, state, (), [stock.stock_id])
        loader.link_parts(connection, state, parts)
        loader.pools(connection, state, needs)
        loader.measures(connection, state, list(state.stocks.values()))
        loader.till.published(connection, state.stocks.values())
    for loaded in state.stocks.values():
        assert loaded.known_paths is not None
        assert loaded.known_paths >= set(PATHS)
        loaded.known_paths = None
    return snapshot(state.stocks.values(), state.reservations.values())


@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize("dimensions", [(), (("batch", "7/x"), ("größe", "XL 'y'"))], ids=["plain", "dimensions"])
def test_every_field_of_every_row_comes_back(
    engine: Engine, source: str, dimensions: tuple[tuple[str, str], ...]
) -> None:
    """Stocks, pools, measures, reservations, parts, their tills' sales, bookings and events: as new rows, and with all
    changed that commands can change."""
    values = SOURCES[source]()
    stock = new_stock(dimensions)
    reservation = new_reservation(stock, values)
    change(values, stock, reservation)
    write(engine, stock, reservation, 1)
    assert stock.revision == 1
    assert read(engine, stock, by_key=True) == snapshot([stock], [reservation])
    change(values, stock, reservation)
    write(engine, stock, reservation, 2)
    assert stock.revision == 2
    assert read(engine, stock, by_key=False) == snapshot([stock], [reservation])


def test_what_is_not_marked_as_changed_is_not_written(engine: Engine) -> None:
    """Only the rows that a command touched are written, and a key that did not move keeps its revision."""
    values = SOURCES["distinct"]()
    stock = new_stock()
    reservation = new_reservation(stock, values)
    change(values, stock, reservation)
    write(engine, stock, reservation, 1)
    before = read(engine, stock, by_key=True)
    change(values, stock, reservation)
    mark_stored([stock], [reservation])
    write(engine, stock, reservation, 2)
    assert read(engine, stock, by_key=True) == before


def test_what_was_published_comes_back(engine: Engine) -> None:
    """The newest report of every publisher and path; the writer keeps none in memory, and marks the key once."""
    stock = new_stock()
    stock.changed = True
    reports = {
        ("shop", path): Published("shop", path, number - 2, number, 90 + number) for number, path in enumerate(PATHS)
    }
    stock.published = dict(reports)
    batch = new_batch()
    batch.stocks[stock.key] = stock
    for quantity in (7, -(10**12)):
        with engine.begin() as core:
            connection = DriverConnection(core)
            Writer(engine.dialect, ONE_SLOT).write(connection, batch)
            assert not stock.published
            Loader(engine.dialect, ONE_SLOT).till.published(connection, [stock])
            found = stock.published
            assert {name: _fields(report) for name, report in found.items()} == {
                name: _fields(report) for name, report in reports.items()
            }
            assert core.exec_driver_sql("SELECT has_published FROM stock").all() == [(1,)]
        report = found["shop", "web"]
        report.quantity, report.publish_time, report.record_time, report.changed = quantity, 77, 78, True
        reports["shop", "web"] = report


def _fields(report: Published) -> tuple[object, ...]:
    return report.publisher, report.path, report.quantity, report.publish_time, report.record_time


def test_full_counts_and_what_did_not_fit_come_back(engine: Engine) -> None:
    """Sessions are found by source and name, begun or ended; discrepancies keep their evidence."""
    batch, loader = new_batch(), Loader(engine.dialect, ONE_SLOT)
    session = CountSession("default", "pos", AWKWARD, "north", "on_hand", Mark(2, MAX_INT64), 33)
    name = ("default", "pos", AWKWARD)
    batch.counts[name] = session
    found = Discrepancy(
        41,
        DiscrepancyKind.MOVED_STORE,
        StockKey("default", "SKU-1", "north", (("batch", AWKWARD),)),
        *(-5, "pos", "on_hand", 1, 7, 8, 9),
        *(b"r" * 16, 3, "O-1", b"q" * 16, 99),
    )
    batch.discrepancies.append(found)
    for mentioned, ended in ((0, False), (12, True)):
        session.mentioned, session.ended, session.changed = mentioned, ended, True
        with engine.begin() as core:
            connection = DriverConnection(core)
            Writer(engine.dialect, ONE_SLOT).write(connection, batch)
            needs = Needs()
            needs.counts = {name, ("other", "pos", AWKWARD)}
            counts = loader.till.resolve(connection, needs, {}, 0).counts
            rows = core.exec_driver_sql("SELECT * FROM discrepancy").all()
        batch.discrepancies.clear()
        assert list(counts) == [name]
        loaded = counts[name]
        assert not loaded.changed
        assert loaded.stored
        for field in ("organization", "source", "count_id", "location", "measure", "mark", "begin_time"):
            assert getattr(loaded, field) == getattr(session, field)
        assert (loaded.mentioned, loaded.ended) == (mentioned, ended)
        assert [discrepancy_of(tuple(row)[1:]) for row in rows] == [found]


def test_entries_facts_and_counters_stand_in_the_file_as_they_were_made(engine: Engine) -> None:
    """The ledger's rows in the order of its fields; a fact carries its epoch."""
    batch = new_batch(5)
    stock = new_stock()
    stock.changed = True
    batch.stocks[stock.key] = stock
    batch.entries.append(
        Entry(1, 2, 3, 4, 5, 6, 7, 8, 9, b"reservation 0001", 10, 11, b"request 00000001", "on_hand", 12, 13)
    )
    batch.facts.append(Fact(21, 22, "on_hand", 23, 24, 1, 25, "wms", 26, 27))
    batch.new_order_references.append(("default", "webshop", "O-1", b"r" * 16))
    with engine.begin() as core:
        connection = DriverConnection(core)
        writer = Writer(engine.dialect, ONE_SLOT)
        assert writer.write(connection, batch) == [stock]
        writer.write_references(connection, batch)
    with engine.connect() as looking:

        def row(table: str) -> tuple[object, ...]:
            (found,) = looking.exec_driver_sql(f"SELECT * FROM {table}")
            return tuple(found)

        assert row("entry") == (0, *batch.entries[0])
        assert row("fact") == (0, 21, 22, "on_hand", 23, 24, 1, 25, "wms", 26, 27)
        assert row("order_reference") == (0, "default", "webshop", "O-1", b"r" * 16)
        assert row("feed") == (0, 5, 35, struct.pack(">q", 7))
        assert row("slot_state") == (0, 5, 15, 25, 35)


def test_a_policy_comes_back_whole(engine: Engine) -> None:
    """Every rule of a policy, and of several revisions the newest."""
    policy = Policy(
        revision=3,
        formula_revision=2,
        levels=(Level("channel", ("web", "größe")), Level("city")),
        dimensions=("batch", "colour"),
        leases=LeaseBounds(1, 2, 3, allow_never=True, revive_by_default=True),
        path_rules=(PathRule("web", Fallback.ANCESTORS, 10, 20), PathRule("web/x"), PathRule("", Fallback.NONE)),
        locations=(Location("north", LocationKind.TILL, "pos.on_hand", ("uk", "eu")), Location("south")),
        location_order=("south", "north"),
        allow_split=True,
        measures=(Measure("on_hand"), Measure("pos.on_hand", MeasureKind.COUNTER)),
        supply=(SupplyTerm("on_hand", 1), SupplyTerm("pos.on_hand", -1_000)),
        create_time=99,
    )
    batch = new_batch()
    batch.new_policies += [("default", Policy(revision=2)), ("default", policy), ("other", Policy(revision=4))]
    with engine.begin() as core:
        connection = DriverConnection(core)
        Writer(engine.dialect, ONE_SLOT).write(connection, batch)
        found = Loader(engine.dialect, ONE_SLOT).policies(connection, ["default", "other", "none"])
    assert found == {"default": policy, "other": Policy(revision=4), "none": Policy()}


def test_outcomes_and_callers_come_back(engine: Engine) -> None:
    """What ids came to, byte by byte, under the caller they belong to; and how often a caller was refused."""
    outcomes = Outcomes(engine.dialect, ONE_SLOT)
    rows = [
        OutcomeRow(b"i" * 16, 1, b"f" * 16, False, bytes(range(256)), 5, 6, 7),
        OutcomeRow(b"i" * 16, -(2**63), b"g" * 16, True, b"", 5, 7, 7),
        OutcomeRow(b"j" * 16, -(2**63), b"h" * 16, True, b"no", 5, 7, 7),
    ]
    with engine.begin() as core:
        connection = DriverConnection(core)
        outcomes.keep(connection, rows, {}, 5)
        wanted = [(1, b"i" * 16), (-(2**63), b"j" * 16), (2, b"i" * 16), (1, b"j" * 16)]
        known = Outcomes(engine.dialect, ONE_SLOT).known(connection, wanted, 0)
        assert known == {
            (1, b"i" * 16): (b"f" * 16, False, bytes(range(256))),
            (-(2**63), b"j" * 16): (b"h" * 16, True, b"no"),
        }
        assert outcomes.callers(connection, wanted) == {-(2**63): Caller(refusals=2)}
