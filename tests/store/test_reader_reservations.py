"""Lists of reservations: newest first, every filter, pages that miss and repeat nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path
from random import Random

import pytest

from ringfence_server.ledger.commands import Cancel, CancelReason, Consume, Lease, Reserve
from ringfence_server.ledger.reading import ReservationQuery
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.store import read_reservations
from ringfence_server.store.reader import Reader
from tests.ledger.world import BIKE, NORTH, SOUTH, figure, key, line
from tests.store.desk import CALLER, ORGANIZATION, Desk, post, reserve

SECOND = 1_000_000
LAMP = "LAMP"
EVERYTHING = ReservationQuery(ORGANIZATION)


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with a thousand bikes and lamps at two locations."""
    async with Desk(place) as desk:
        figures = [
            figure(1_000, "on_hand", sku=sku, location=place) for sku, place in product((BIKE, LAMP), (NORTH, SOUTH))
        ]
        await desk.send(post(*figures))
        yield desk


async def listed(reader: Reader, query: ReservationQuery, most: int = 100) -> list[Reservation]:
    """All pages."""
    found: list[Reservation] = []
    after: bytes | None = None
    while True:
        read = await reader.reservations(query, after, most)
        assert len(read.reservations) <= most
        found += read.reservations
        after = read.last
        if after is None:
            return found


def ids(reservations: Sequence[Reservation]) -> list[bytes]:
    return [reservation.reservation_id for reservation in reservations]


async def a_day(desk: Desk) -> None:
    """Sixty orders of two owners, a second apart, in every state."""
    random = Random(3)
    for number in range(60):
        sku, place = random.choice((BIKE, LAMP)), random.choice((NORTH, SOUTH))
        lines = [line("", random.randint(1, 3), sku=sku, location=place, line_id="1")]
        if random.random() < 0.3:
            lines.append(line("", 1, sku=LAMP, location=SOUTH, line_id="2"))
        owner = random.choice(("anna", "bob"))
        ttl = random.choice((20, 3_600)) * SECOND
        held = await desk.send(Reserve(tuple(lines), owner, Lease(ttl=ttl), False, False))
        end = random.random()
        if end < 0.4:
            reference = f"web-{number // 2}" if random.random() < 0.5 else ""
            caller = CALLER if number % 2 else "marketplace"
            command = Consume(held.reservation_id(), (), False, None, reference, b"")
            await desk.send(command, caller=caller)
        elif end < 0.6:
            await desk.send(Cancel(held.reservation_id(), (), CancelReason.CUSTOMER, ""))
        desk.clock.advance(timedelta(seconds=1))


async def test_every_filter_alone_and_together(desk: Desk, reader: Reader) -> None:
    """Each query answers what matches of all, newest first, in pages of any size; states are those of now."""
    await a_day(desk)
    everything = await listed(reader, EVERYTHING)
    assert len(everything) == 60
    assert ids(everything) == sorted(ids(everything), reverse=True)
    assert {found.state for found in everything} == {
        ReservationState.HELD,
        ReservationState.SETTLED,
        ReservationState.EXPIRED,
        ReservationState.CANCELLED,
    }
    start = everything[-1].create_time
    middle = (start + 20 * SECOND, start + 40 * SECOND)
    for states, owner, sku, place, times in product(
        [(), (ReservationState.EXPIRED,), (ReservationState.HELD, ReservationState.SETTLED)],
        ["", "anna"],
        ["", LAMP],
        ["", SOUTH],
        [(None, None), middle, (None, start), (start, None)],
    ):
        query = ReservationQuery(ORGANIZATION, frozenset(states), owner, sku, place, "", *times)
        expected = [
            found.reservation_id
            for found in everything
            if (not states or found.state in states)
            and (not owner or found.owner == owner)
            and (not sku or any(part.stock.key.sku == sku for part in found.parts))
            and (not place or any(part.stock.key.location == place for part in found.parts))
            and (times[0] is None or found.create_time >= times[0])
            and (times[1] is None or found.create_time < times[1])
        ]
        for most in (1, 7, 100):
            assert ids(await listed(reader, query, most)) == expected


async def test_an_order_reference_is_found_for_every_caller_that_used_it(desk: Desk, reader: Reader) -> None:
    """It is unique per caller: two callers may have the same one."""
    orders = []
    for caller, reference in (("a", "1"), ("b", "1"), ("b", "2"), ("c", "1"), ("d", "3")):
        held = await desk.send(reserve(line("", 1)), caller=caller)
        await desk.send(Consume(held.reservation_id(), (), False, None, reference, b""), caller=caller)
        orders.append(held.reservation_id())
    elsewhere = await desk.send(
        post(figure(5, "on_hand")._replace(key=key()._replace(organization="other"))), organization="other"
    )
    assert elsewhere.decision is not None
    for most in (1, 10):
        first = ReservationQuery(ORGANIZATION, order_reference="1")
        assert ids(await listed(reader, first, most)) == [orders[3], orders[1], orders[0]]
        assert ids(await listed(reader, first._replace(states=frozenset({ReservationState.HELD})), most)) == []
    assert ids(await listed(reader, ReservationQuery(ORGANIZATION, order_reference="3"))) == [orders[4]]
    assert await listed(reader, ReservationQuery(ORGANIZATION, order_reference="4")) == []
    assert await listed(reader, ReservationQuery("other", order_reference="1")) == []


async def test_another_organizations_reservation_does_not_exist(desk: Desk, reader: Reader) -> None:
    """Neither by its id nor in a list."""
    held = await desk.send(reserve(line("", 1)))
    _, found = await reader.reservation("other", held.reservation_id())
    assert found is None
    assert await listed(reader, ReservationQuery("other")) == []
    _, found = await reader.reservation(ORGANIZATION, held.reservation_id())
    assert found is not None
    assert found.parts[0].stock.key == key()


async def test_a_page_looks_at_a_bounded_number_of_reservations(
    desk: Desk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few match it is short, even empty, and the list goes on behind it."""
    wanted = await desk.send(Reserve((line("", 1, line_id="1"),), "anna", Lease(), False, False))
    await desk.send_all([reserve(line("", 1)) for _ in range(40)])
    monkeypatch.setattr(read_reservations, "_MOST_LOOKED_AT", 20)
    monkeypatch.setattr(read_reservations, "_ROWS_AT_ONCE", 10)
    query = ReservationQuery(ORGANIZATION, owner="anna")
    first = await reader.reservations(query, None, 5)
    assert first.reservations == []
    assert first.last is not None
    assert ids(await listed(reader, query, 5)) == [wanted.reservation_id()]


async def test_a_line_that_a_partial_grant_left_with_nothing_is_still_a_line_of_its_sku(
    desk: Desk, reader: Reader
) -> None:
    """It is found by its SKU, not by a location that gave nothing."""
    await desk.send(post(figure(0, "on_hand", sku=LAMP, location=SOUTH)))
    held = await desk.send(reserve(line("", 1), line("", 1, sku=LAMP, location=SOUTH), partial=True))
    by_sku = await listed(reader, ReservationQuery(ORGANIZATION, sku=LAMP))
    assert ids(by_sku) == [held.reservation_id()]
    assert await listed(reader, ReservationQuery(ORGANIZATION, location=SOUTH)) == []
