"""Reads a whole database file and checks that it adds up, independently of the server's own Verify."""

from __future__ import annotations

import struct
from copy import deepcopy
from typing import NamedTuple

from sqlalchemy import Connection, Table, select

from ringfence_server.ledger.journal import Entry, Fact
from ringfence_server.ledger.names import MAX_INT64
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import MeasureValue, Pool, Reservation, Stock
from ringfence_server.ledger.till_state import CountKey, CountSession, Discrepancy
from ringfence_server.store import schema
from ringfence_server.store.codec import policy_of
from ringfence_server.store.outcomes import Caller
from ringfence_server.store.rows import SqlRow, measure_of, part_of, pool_of, reservation_of, stock_of
from ringfence_server.store.rows_till import (
    booking_of,
    count_of,
    discrepancy_of,
    event_of,
    published_of,
    readiness_of,
    sale_of,
)
from ringfence_server.store.transaction import Transactor
from tests.ledger.checks import Journal, check_promises, check_sales, check_stock, snapshot


class Contents(NamedTuple):
    """All rows of one slot, linked."""

    stocks: dict[int, Stock]
    reservations: dict[bytes, Reservation]
    entries: list[Entry]
    facts: list[Fact]
    counts: dict[CountKey, CountSession]
    discrepancies: list[Discrepancy]


def _rows(connection: Connection, table: Table) -> list[SqlRow]:
    columns = [column for column in table.c if column.name != "slot"]
    return [tuple(row) for row in connection.execute(select(*columns).order_by(*table.primary_key.columns))]


def contents(connection: Connection) -> Contents:
    """Reads everything, every time."""
    stocks = {stock.stock_id: stock for stock in map(stock_of, _rows(connection, schema.stock))}
    for stock in stocks.values():
        stock.known_paths = None
        stock.measures_known = True
    for stock_id, pool in map(pool_of, _rows(connection, schema.pool)):
        stocks[stock_id].pools[pool.path] = pool
    for stock_id, value in map(measure_of, _rows(connection, schema.measure)):
        stocks[stock_id].measures[value.measure] = value
    found = map(reservation_of, _rows(connection, schema.reservation))
    reservations = {reservation.reservation_id: reservation for reservation in found}
    for reservation_id, *rest in _rows(connection, schema.part):
        reservations[reservation_id].parts.append(part_of(tuple(rest), stocks[rest[3]]))
    _put_sales(connection, reservations)
    for stock_id, report in map(published_of, _rows(connection, schema.published)):
        reports = stocks[stock_id].published = stocks[stock_id].published or {}
        reports[report.publisher, report.path] = report
    counts = {
        (session.organization, session.source, session.count_id): session
        for session in map(count_of, _rows(connection, schema.count_session))
    }
    discrepancies = [discrepancy_of(row) for row in _rows(connection, schema.discrepancy)]
    entries = [Entry(*row) for row in _rows(connection, schema.entry)]
    facts = [Fact(*row) for row in _rows(connection, schema.fact)]
    return Contents(stocks, reservations, entries, facts, counts, discrepancies)


def _put_sales(connection: Connection, reservations: dict[bytes, Reservation]) -> None:
    """Every part that says so has a sale, and no other row of the till side is without one."""
    sales = dict(map(sale_of, _rows(connection, schema.till_sale)))
    columns = schema.part.c
    wanted = connection.execute(
        select(columns.reservation_id, columns.part_number).where(columns.has_sale).order_by(columns.part_number)
    )
    assert {tuple(row) for row in wanted} == sales.keys(), "a part says whether it has a sale"
    for (reservation_id, number), sale in sales.items():
        next(part for part in reservations[reservation_id].parts if part.number == number).till = sale
    for name, mark, quantity in map(booking_of, _rows(connection, schema.booking)):
        sales[name].bookings[mark] = quantity
    for row in _rows(connection, schema.order_event):
        name, event = event_of(row)
        sales[name].events.append(event)
    stored = {row[3]: row[-3:-1] for row in _rows(connection, schema.order_event)}
    for sale in sales.values():
        sale.events.sort(key=lambda event: event.sequence)
        for event_id, readiness in readiness_of(sale).items():
            assert stored[event_id] == readiness, "an event says when it may be handed over"


def audit(connection: Connection, policy: Policy) -> Contents:
    """Conservation, the ledger's sums and chains, what orders say of pools, outcomes against entries, the feed."""
    found = contents(connection)
    stocks = found.stocks.values()
    journal = Journal()
    for entry in found.entries:
        journal.add([entry], [], entry.request_id)
    journal.add([], found.facts, b"")
    for stock in stocks:
        check_stock(stock, policy)
        journal.check(stock)
    check_promises(stocks, found.reservations.values(), {})
    check_sales(policy, found.reservations.values())
    for reservation in found.reservations.values():
        newest = [entry.sequence for entry in found.entries if entry.reservation_id == reservation.reservation_id]
        assert reservation.last_sequence == max(newest, default=0), "an order names its newest entry"
    _check_outcomes(connection, found.entries)
    _check_counters(connection, found)
    return found


def _check_outcomes(connection: Connection, entries: list[Entry]) -> None:
    """Every effect owns exactly the entries that carry its id, and no refusal owns one."""
    caused: dict[bytes, list[int]] = {}
    for entry in entries:
        if entry.request_id:
            caused.setdefault(entry.request_id, []).append(entry.sequence)
    columns = schema.request_outcome.c
    outcomes = connection.execute(
        select(columns.request_id, columns.refusal_number, columns.first_sequence, columns.last_sequence)
    )
    for request_id, refusal_number, first, last in outcomes:
        sequences = caused.pop(request_id, [])
        assert all(first < sequence <= last for sequence in sequences), "entries lie in their request's range"
        assert not (refusal_number and sequences), "a refusal moved something"
    assert caused == {}, "entries of requests without an outcome"


def _check_counters(connection: Connection, found: Contents) -> None:
    state = connection.execute(select(schema.slot_state)).first()
    if state is None:
        assert not found.entries
        return
    numbers = [entry.sequence for entry in found.entries] + [fact.sequence for fact in found.facts]
    numbers += [each.sequence for each in found.discrepancies]
    numbers += [
        event.sequence
        for reservation in found.reservations.values()
        for part in reservation.parts
        for event in (part.till.events if part.till is not None else ())
    ]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers, default=0) <= state.last_sequence
    assert max((entry.record_time for entry in found.entries), default=0) <= state.record_time
    changed: dict[int, int] = {}
    for revision, _, stock_ids in _rows(connection, schema.feed):
        for stock_id in struct.unpack(f">{len(stock_ids) // 8}q", stock_ids):
            changed[stock_id] = revision
        assert revision <= state.revision
    assert changed == {stock.stock_id: stock.revision for stock in found.stocks.values()}, "the feed names every change"


def check_memory(transactor: Transactor, connection: Connection, found: Contents) -> int:
    """What a writer keeps in memory is what stands in the file; answers how many stocks it keeps."""
    loader = transactor.loader
    for stock_id, stock in loader._resident.items():
        stored = deepcopy(found.stocks[stock_id])
        stored.known_paths, stored.measures_known = stock.known_paths, stock.measures_known
        assert not stock.published, "what was published is not kept"
        stored.published = None
        if stock.known_paths is not None:
            stored.pools = {path: pool for path, pool in stored.pools.items() if path in stock.known_paths}
        if not stock.measures_known:
            stored.measures = {}
        assert snapshot([stock], ()) == snapshot([stored], ()), "memory differs from the file"
        assert stock.stored, "what stays in memory is stored"
        rows: list[Stock | Pool | MeasureValue] = [stock, *stock.pools.values(), *stock.measures.values()]
        assert not any(row.changed for row in rows), "what stays in memory is written"
    state = connection.execute(select(schema.slot_state)).first()
    assert transactor._head is None or (state is not None and transactor._head == tuple(state)[1:]), "the counters"
    parts = (part for reservation in found.reservations.values() for part in reservation.parts)
    ends = [part.expire_time for part in parts if part.held and part.expire_time is not None]
    earliest = loader._nothing_due_before
    assert earliest is None or earliest <= min(ends, default=MAX_INT64), "no lease ends before the next known end"
    for organization, policy in loader._in_force.items():
        newest = select(schema.policy.c.body).where(schema.policy.c.organization == organization)
        body = connection.execute(newest.order_by(schema.policy.c.revision.desc())).scalar()
        assert policy == (policy_of(body) if body is not None else Policy()), "the policy in force"
    callers = {scope: Caller(*rest) for _, scope, *rest in connection.execute(select(schema.caller))}
    for scope, known in transactor._outcomes._remembered.items():
        assert known == callers.get(scope), "how often a caller was refused"
    return len(loader._resident)
