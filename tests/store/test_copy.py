"""A ledger that moves from SQLite to PostgreSQL: what tills have said is there, and they go on as if nothing was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ringfence_server.clock import ManualClock
from ringfence_server.ledger.commands import (
    Cancel,
    CancelReason,
    OrderReceived,
    OrderRejected,
    ReassignPart,
    ReplyOrder,
    SetPolicy,
)
from ringfence_server.ledger.outcomes import HandedOrder
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import DiscrepancyQuery, ReservationQuery, TillProgress
from ringfence_server.ledger.till_state import Discrepancy
from ringfence_server.store.copy import copy
from tests.ledger.checks import snapshot
from tests.ledger.world import booked
from tests.store.audit import Contents, audit
from tests.store.busy_tills import SKUS, busy_tills, together
from tests.store.desk import ORGANIZATION, Desk
from tests.store.reading import reading
from tests.store.till_story import EAST, TILL_LOCATIONS, WEST, facts, posted, reply, sold, take, till_figure

pytestmark = pytest.mark.postgres

POLICY = Policy(locations=TILL_LOCATIONS)
LAMPS = [f"LAMP-{number:02}" for number in range(SKUS)]


class Moved(NamedTuple):
    """A desk on the copy, and what was in the file."""

    desk: Desk
    before: Contents
    discrepancies: list[Discrepancy]
    handed: dict[bytes, HandedOrder]
    """Orders that were with the till when the server was stopped, by their reservation."""
    orders: list[bytes]
    """Sold and handed over: two the till has not answered, one it has, one it rejected; and one it never got."""


async def _listed(desk: Desk) -> list[Discrepancy]:
    async with reading(desk) as reader:
        read = await reader.discrepancies(DiscrepancyQuery(ORGANIZATION), None, 1_000)
    assert read.last is None
    return list(read.discrepancies)


@pytest.fixture
async def moved(tmp_path: Path, postgres_place: str) -> AsyncIterator[Moved]:
    """Two tills have worked through everything there is; then the ledger moved."""
    clock = ManualClock()
    path = tmp_path / "ringfence.db"
    async with Desk(path, clock) as desk:
        assert not (await desk.send(SetPolicy(POLICY, 1))).answer.refusal
        await busy_tills(desk, LAMPS)
        orders = [await sold(desk, f"M-{number}", sku=sku) for number, sku in enumerate(LAMPS[:4])]
        handed = {each.reservation.reservation_id: each for each in await take(desk)}
        assert set(orders) <= handed.keys()
        await reply(desk, handed[orders[2]], OrderReceived("R-7", None))
        await reply(desk, handed[orders[3]], OrderRejected("no such item"))
        orders.append(await sold(desk, "M-4", sku=LAMPS[4]))
        before = desk.look(lambda connection: audit(connection, POLICY))
        discrepancies = await _listed(desk)
    copied = await copy(f"sqlite:///{path}", postgres_place, lambda *_: None)
    assert all(copied[table] for table in ("till_sale", "booking", "order_event", "count_session", "published"))
    async with Desk(postgres_place, clock, first_number=1_000_000) as desk:
        yield Moved(desk, before, discrepancies, handed, orders)
        desk.look(lambda connection: audit(connection, POLICY))
        async with reading(desk) as reader:
            flaws = [flaw async for progress in reader.verify(ORGANIZATION) for flaw in progress.flaws]
        assert flaws == []


def _balances(found: Contents) -> dict[Any, Any]:
    """Supply and what every pool has of it, key by key."""
    return {
        stock.key: (stock.supply, {p: (pool.free, pool.held, pool.unsettled) for p, pool in stock.pools.items()})
        for stock in found.stocks.values()
    }


def _orders(found: Contents) -> dict[bytes, Any]:
    """What every part of every order has come to, with all that its till said."""
    return {
        reservation_id: [
            (
                *(part.number, part.stock.key, part.path, part.granted, part.held, part.unsettled, part.settled),
                part.till
                and (
                    *(part.till.ordered, part.till.closed, part.till.rejected_reason, part.till.bookings),
                    [(event.event_id, event.kind, event.state, event.attempts) for event in part.till.events],
                ),
            )
            for part in sorted(reservation.parts, key=lambda part: part.number)
        ]
        for reservation_id, reservation in found.reservations.items()
    }


async def test_conservation_is_the_same_on_both_sides(moved: Moved) -> None:
    """Every balance, every part with its till's bookings and events, every full count."""
    after = moved.desk.look(lambda connection: audit(connection, POLICY))
    assert _balances(after) == _balances(moved.before)
    assert _orders(after) == _orders(moved.before)
    assert after.counts.keys() == {(ORGANIZATION, "pos", "busy")}
    assert snapshot((), (), after.counts) == snapshot((), (), moved.before.counts)


async def test_what_did_not_fit_is_listed_as_before(moved: Moved) -> None:
    """All of it, with its evidence; numbers are the new store's."""
    listed = [each._replace(sequence=0) for each in await _listed(moved.desk)]
    assert len(listed) > 3
    by_name = sorted(listed, key=repr)
    assert by_name == sorted((each._replace(sequence=0) for each in moved.discrepancies), key=repr)


async def test_a_till_answers_events_that_it_was_handed_before(moved: Moved) -> None:
    """By ids that were made where there was but one slot, and so do not tell where they lie now: two in one batch."""
    desk, orders, handed = moved.desk, moved.orders, moved.handed
    slots = desk.postgres.slots
    lie = {event_id: slot for slot, event_id in desk.rows("SELECT slot, event_id FROM order_event")}
    events = [each.event.event_id for each in handed.values()]
    assert any(slots.of_id(event_id) != lie[event_id] for event_id in events)
    received = OrderReceived("R-8", None)
    await together(desk, [ReplyOrder(handed[order].event.event_id, received) for order in orders[:2]])
    assert desk.rows("SELECT count(*) FROM part WHERE document_number = 'R-8'") == [(2,)]


async def test_a_figure_settles_what_was_sold_before(moved: Moved) -> None:
    """By order number; and sent again it settles nothing twice."""
    desk = moved.desk
    ((unsettled,),) = desk.rows("SELECT sum(unsettled) FROM part")
    said = [booked(f"M-{number}", (30, 2), location=EAST) for number in (0, 2)]
    await posted(desk, facts(*said, *(till_figure(38, 30, sku=LAMPS[number]) for number in (0, 2))))
    assert desk.rows("SELECT sum(unsettled) FROM part") == [(unsettled - 4,)]
    await posted(desk, facts(*said))
    assert desk.rows("SELECT sum(unsettled) FROM part") == [(unsettled - 4,)]


async def test_life_goes_on(moved: Moved) -> None:
    """What waits is handed over, what was rejected is moved, what was sold is cancelled, what is stuck is listed."""
    desk, orders = moved.desk, moved.orders
    (waiting,) = [each for each in await take(desk) if each.reservation.reservation_id == orders[4]]
    await reply(desk, waiting, OrderReceived("R-9", None))
    async with reading(desk) as reader:
        query = ReservationQuery(ORGANIZATION, till_progress=TillProgress.REJECTED)
        rejected = (await reader.reservations(query, None, 100)).reservations
    assert orders[3] in [each.reservation_id for each in rejected]
    answered = await desk.send(ReassignPart(orders[3], 1, WEST, None, None, 0))
    assert not answered.answer.refusal
    assert not (await desk.send(Cancel(orders[2], (), CancelReason.CUSTOMER, ""))).answer.refusal
    assert {each.reservation.reservation_id for each in await take(desk, EAST, WEST)} >= {orders[2], orders[3]}
