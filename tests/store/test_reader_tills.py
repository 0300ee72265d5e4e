"""Reading the till side: orders that are stuck, what did not fit, what was published, what is held back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence_server.ledger.commands import (
    Cancel,
    CancelReason,
    OrderFailed,
    OrderPostponed,
    OrderReceived,
    OrderRejected,
    PublishedQuantity,
    ReportPublished,
    SetPolicy,
)
from ringfence_server.ledger.policy import MINUTE, Policy
from ringfence_server.ledger.reading import (
    MOST_PUBLISHED,
    DiscrepancyQuery,
    ReservationQuery,
    TillProgress,
)
from ringfence_server.ledger.state import Reservation, ReservationState
from ringfence_server.ledger.till_state import Discrepancy, DiscrepancyKind
from ringfence_server.store import read_reservations, read_till
from ringfence_server.store.reader import Reader
from tests.ledger.world import BIKE, booked, key
from tests.store.desk import ORGANIZATION, Desk
from tests.store.plans import postgres_plans, sqlite_plan, sqlite_walks, walks
from tests.store.reading import all_keys, engine_of, reading
from tests.store.till_story import (
    EAST,
    LAMP,
    TILL_LOCATIONS,
    WEST,
    facts,
    posted,
    reply,
    sold,
    take,
    till_figure,
    till_story,
)
from tests.store.watching import watched


@pytest.fixture
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    """A store with two tills of a hundred bikes and lamps each."""
    async with Desk(place) as desk:
        assert not (await desk.send(SetPolicy(Policy(locations=TILL_LOCATIONS), 1))).answer.refusal
        stock = [till_figure(100, 1, sku=sku, location=place) for sku in (BIKE, LAMP) for place in (EAST, WEST)]
        await posted(desk, facts(*stock))
        yield desk


async def stuck(reader: Reader, progress: TillProgress, most: int = 2, **filters: Any) -> list[Reservation]:
    """All pages."""
    query = ReservationQuery(ORGANIZATION, till_progress=progress, **filters)
    found: list[Reservation] = []
    after: bytes | None = None
    while True:
        read = await reader.reservations(query, after, most)
        found += read.reservations
        after = read.last
        if after is None:
            return found


def ids(found: Sequence[Reservation]) -> list[bytes]:
    return [each.reservation_id for each in found]


async def test_orders_are_listed_by_where_they_stand_on_their_way_into_a_till(desk: Desk, reader: Reader) -> None:
    """Each in its list and in no other, newest first, page by page; what is settled, or OWNED, is in none."""
    orders = [await sold(desk, f"O-{number}", 1) for number in range(12)]
    await sold(desk, "W-1", 1, location=WEST)
    handed = {each.reservation.reservation_id: each for each in await take(desk)}
    later = [await sold(desk, f"L-{number}", 1) for number in range(3)]
    for number in (3, 4, 5, 6, 7):
        await reply(desk, handed[orders[number]], OrderReceived(f"R-{number}", None))
    for number in (8, 9):
        await reply(desk, handed[orders[number]], OrderRejected("no such bike"))
    for number in (10, 11):
        await desk.send(Cancel(orders[number], (), CancelReason.CUSTOMER, ""))
    await posted(desk, facts(booked("O-7", (2, 1), location=EAST), till_figure(99, 2)))
    lists = {progress: ids(await stuck(reader, progress, location=EAST)) for progress in TillProgress}
    assert lists == {
        TillProgress.NOT_SENT: later[::-1],
        TillProgress.NOT_RECEIVED: [*orders[11:9:-1], *orders[2::-1]],
        TillProgress.NOT_SETTLED: orders[6:2:-1],
        TillProgress.REJECTED: orders[9:7:-1],
        TillProgress.CANCELLING: orders[11:9:-1],
    }
    assert len(await stuck(reader, TillProgress.NOT_SENT)) == 4
    assert await stuck(reader, TillProgress.NOT_SENT, location=WEST, sku=LAMP) == []
    (settled,) = (
        await reader.reservations(ReservationQuery(ORGANIZATION, order_reference="O-7"), None, 5)
    ).reservations
    assert settled.state is ReservationState.SETTLED


async def test_only_what_has_stood_there_long_enough_is_stuck(desk: Desk, reader: Reader) -> None:
    """Sold ten minutes ago and not handed over: stuck for ten minutes, not for longer, and not once it is sent."""
    order = await sold(desk, "O-1")
    # And a second: batches of one moment of the clock are recorded a microsecond apart.
    desk.clock.advance(timedelta(minutes=10, seconds=1))
    await sold(desk, "O-2")
    assert len(await stuck(reader, TillProgress.NOT_SENT)) == 2
    assert ids(await stuck(reader, TillProgress.NOT_SENT, stuck_for=10 * MINUTE)) == [order]
    assert await stuck(reader, TillProgress.NOT_SENT, stuck_for=10 * MINUTE + MINUTE) == []
    await take(desk)
    assert await stuck(reader, TillProgress.NOT_SENT) == []
    assert await stuck(reader, TillProgress.NOT_RECEIVED, stuck_for=MINUTE) == []


async def test_an_order_is_read_with_what_its_till_said(desk: Desk, reader: Reader) -> None:
    """Attempts, the last error, the reason, the units: as the rules left them."""
    order = await sold(desk, "O-1", 3)
    (handed,) = await take(desk)
    await reply(desk, handed, OrderFailed("line down", 0))
    (again,) = await take(desk)
    await reply(desk, again, OrderRejected("no such bike"))
    _, found = await reader.reservation(ORGANIZATION, order)
    assert found is not None
    (part,) = found.parts
    till = part.till
    assert till is not None
    assert (till.attempts, till.last_error, till.rejected_reason) == (2, "line down", "no such bike")
    assert (till.ordered, till.undecided, till.rejected, till.closed) == (3, 3, True, True)
    assert found.state is ReservationState.REJECTED


async def test_pages_of_what_is_stuck_look_at_a_bounded_number(
    desk: Desk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that matches few gives short pages, and the list still comes to its end."""
    orders = [await sold(desk, f"O-{number}", 1, sku=BIKE if number % 5 else LAMP) for number in range(20)]
    monkeypatch.setattr(read_reservations, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(read_reservations, "_MOST_LOOKED_AT", 4)
    assert ids(await stuck(reader, TillProgress.NOT_SENT, sku=LAMP)) == orders[::5][::-1]


async def discrepancies(reader: Reader, most: int = 2, **filters: Any) -> list[Discrepancy]:
    """All pages."""
    found: list[Discrepancy] = []
    below: int | None = None
    while True:
        read = await reader.discrepancies(DiscrepancyQuery(ORGANIZATION, **filters), below, most)
        assert len(read.discrepancies) <= most
        found += read.discrepancies
        below = read.last
        if below is None:
            return found


async def test_what_did_not_fit_is_listed_newest_first(
    desk: Desk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By location, kind, SKU and time, page by page, with the evidence of each."""
    begun = desk.clock.now()
    for number in range(6):
        place, sku = (EAST, BIKE) if number % 2 else (WEST, LAMP)
        await posted(desk, facts(till_figure(50 + number, 1, sku=sku, location=place)))
        desk.clock.advance(timedelta(minutes=1))
    await posted(desk, facts(booked("O-404", (7, 2), location=EAST)))
    every = await discrepancies(reader)
    assert [each.kind for each in every] == [DiscrepancyKind.UNKNOWN_ORDER, *[DiscrepancyKind.POSITION_CONFLICT] * 6]
    assert (every[0].order_reference, every[0].quantity, every[0].position) == ("O-404", 2, 7)
    assert (every[1].known, every[1].reported, every[1].key) == (100, 55, key(BIKE, EAST))
    monkeypatch.setattr(read_till, "_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(read_till, "_MOST_LOOKED_AT", 2)
    assert await discrepancies(reader) == every
    assert await discrepancies(reader, locations=(EAST,)) == [each for each in every if each.key.location == EAST]
    assert await discrepancies(reader, kinds=frozenset({DiscrepancyKind.UNKNOWN_ORDER})) == every[:1]
    assert await discrepancies(reader, sku=LAMP) == [each for each in every if each.key.sku == LAMP]
    window = {"record_time_from": begun + MINUTE, "record_time_until": begun + 3 * MINUTE}
    assert await discrepancies(reader, **window) == every[4:6]
    assert (await reader.discrepancies(DiscrepancyQuery("other"), None, 100)).discrepancies == []


async def test_what_was_published_stands_beside_what_is(desk: Desk, reader: Reader) -> None:
    """In a look at single keys and in lists, now and not at an earlier time; of very many reports the newest."""
    desk.clock.advance(timedelta(minutes=1))
    before = desk.clock.now()
    desk.clock.advance(timedelta(minutes=1))
    published = tuple(PublishedQuantity(key(BIKE, EAST), f"p/{number}", number, 1) for number in range(3))
    await desk.send(ReportPublished("shop", published))
    desk.clock.advance(timedelta(minutes=1))
    points = await reader.points(ORGANIZATION, [key(BIKE, EAST), key(LAMP, EAST)])
    reports = points.stocks[key(BIKE, EAST)].published
    assert reports is not None
    assert {name: report.quantity for name, report in reports.items()} == {("shop", f"p/{n}"): n for n in range(3)}
    assert points.stocks[key(LAMP, EAST)].published == {}
    listed = {stock.key: stock.published for stock in await all_keys(reader)}
    assert {each: len(found or {}) for each, found in listed.items() if found} == {key(BIKE, EAST): 3}
    past = await all_keys(reader, read_time=before)
    assert len(past) == 4
    assert all(not stock.published for stock in past)
    many = tuple(PublishedQuantity(key(BIKE, EAST), f"q/{number}", 1, 1) for number in range(MOST_PUBLISHED))
    await desk.send(ReportPublished("shop", many))
    newest = (await reader.points(ORGANIZATION, [key(BIKE, EAST)])).stocks[key(BIKE, EAST)].published
    assert newest is not None
    assert {path for _, path in newest} == {f"q/{number}" for number in range(MOST_PUBLISHED)}


async def test_a_look_asks_for_reports_only_where_there_are_any(desk: Desk, reader: Reader) -> None:
    """A key of which nothing was published costs no statement."""
    seen: list[str] = []
    await desk.send(ReportPublished("shop", (PublishedQuantity(key(BIKE, EAST), "", 1, 1),)))
    with watched(engine_of(reader), lambda text, _values, _many: seen.append(text)):
        await reader.points(ORGANIZATION, [key(LAMP, EAST)])
        assert not [text for text in seen if "published." in text.replace("has_published", "")]
        await reader.points(ORGANIZATION, [key(BIKE, EAST)])
        assert len([text for text in seen if re.search(r"(FROM|JOIN) published\b", text)]) == 1


async def test_when_events_that_are_held_back_become_free(desk: Desk, reader: Reader) -> None:
    """The end of a lease, or the time after a failure or postponement, whichever is first; none is held back: None."""
    assert await reader.orders_due(ORGANIZATION, [EAST, WEST]) is None
    await sold(desk, "O-1")
    await sold(desk, "O-2")
    assert await reader.orders_due(ORGANIZATION, [EAST, WEST]) is None
    first, _ = await take(desk)
    lease = desk.clock.now() + MINUTE
    assert await reader.orders_due(ORGANIZATION, [WEST, EAST]) == lease
    await reply(desk, first, OrderFailed("line down", MINUTE // 2))
    assert await reader.orders_due(ORGANIZATION, [EAST]) == lease - MINUTE // 2
    await reply(desk, first, OrderPostponed(MINUTE // 4))
    assert await reader.orders_due(ORGANIZATION, [EAST]) == lease - MINUTE // 4 * 3
    assert await reader.orders_due(ORGANIZATION, [WEST]) is None


async def test_no_read_of_the_till_side_walks_a_table(desk: Desk, reader: Reader) -> None:
    """Each finds its rows by an index."""
    orders = await till_story(desk)
    sent: dict[str, Any] = {}

    def note(text: str, values: Any, many: bool) -> None:
        if text.startswith(("SELECT", "WITH")):
            sent.setdefault(text, values[0] if many else values)

    with watched(engine_of(reader), note):
        for progress in TillProgress:
            await reader.reservations(
                ReservationQuery(ORGANIZATION, till_progress=progress, create_time_until=desk.clock.now()), None, 10
            )
        await reader.reservation(ORGANIZATION, orders[0])
        await reader.discrepancies(DiscrepancyQuery(ORGANIZATION), 10**6, 10)
        await reader.orders_due(ORGANIZATION, [EAST])
        await reader.points(ORGANIZATION, [key(BIKE, EAST)])
    tables = r"till_sale|booking|order_event|discrepancy|published"
    texts = [text for text in sent if re.search(rf"(FROM|JOIN) ({tables})\b", text)]
    assert len(texts) >= 6
    if not desk.on_sqlite:
        assert walks(postgres_plans(desk, texts)) == {}
        return
    with desk.connection() as connection:
        plans = {text: sqlite_plan(connection, text, sent[text]) for text in texts}
    assert {text: sqlite_walks(plan) for text, plan in plans.items() if sqlite_walks(plan)} == {}


async def test_verify_finds_what_a_till_does_not_owe(desk: Desk) -> None:
    """Sound books are sound; a booking that vanished, and a sale that did, are found and named."""

    async def rules() -> set[str]:
        async with reading(desk) as reader:
            flaws = [flaw async for progress in reader.verify(ORGANIZATION) for flaw in progress.flaws]
        assert {flaw.key for flaw in flaws} <= {key(BIKE, EAST)}
        return {flaw.rule for flaw in flaws}

    await till_story(desk)
    await sold(desk, "O-1", 5)
    await posted(desk, facts(booked("O-1", (120, 2), location=EAST), till_figure(14, 130)))
    assert await rules() == set()
    await desk.tamper("UPDATE booking SET quantity = 1 WHERE position = 120")
    assert await rules() == {"UNSETTLED_IS_OWED"}
    await desk.tamper("UPDATE booking SET quantity = 2 WHERE position = 120")
    assert await rules() == set()
    await desk.tamper("DELETE FROM till_sale WHERE awaiting_stock_id IS NOT NULL AND booked = 2")
    assert await rules() == {"UNSETTLED_IS_OWED"}
