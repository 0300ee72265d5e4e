"""Every kind of read once, to see what is sent for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ringfence_server.ledger.reading import (
    DiscrepancyQuery,
    EntryQuery,
    KeyFilter,
    KeyPosition,
    ReservationQuery,
    TillProgress,
)
from ringfence_server.store.reader import Reader
from tests.ledger.world import BIKE, NORTH, SOUTH, figure, key, line
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.reading import EVERYTHING, statements
from tests.store.till_story import EAST


async def sent_to_read(desk: Desk, reader: Reader) -> list[tuple[str, Any]]:
    """What reads of stock, its past, orders and the ledger send, once per text. The desk sells bikes of the north."""
    held = await desk.send(reserve(line("web", 3)))
    before = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(post(figure(9, "on_hand")))
    with statements(reader) as seen:
        await reader.points(ORGANIZATION, (key(), key("LAMP")))
        for wanted in (
            EVERYTHING,
            KeyFilter(ORGANIZATION, ("BIKE", "LAMP")),
            KeyFilter(ORGANIZATION, ("BIKE",), (NORTH, SOUTH)),
        ):
            for read_time in (None, before):
                async with reader.snapshot(ORGANIZATION, read_time) as snapshot:
                    for start in (None, KeyPosition("BIKE", NORTH)):
                        await snapshot.keys(wanted, start, 5)
                    for stock in await snapshot.stocks([key()]):
                        await snapshot.holds(stock, "web", 5)
        await reader.reservation(ORGANIZATION, held.reservation_id())
        created = ReservationQuery(ORGANIZATION, create_time_from=1, create_time_until=desk.clock.now())
        for orders in (created, ReservationQuery(ORGANIZATION, order_reference="web-1")):
            await reader.reservations(orders, None, 5)
        for entries in (
            EntryQuery(ORGANIZATION, key()),
            EntryQuery(ORGANIZATION, reservation_id=held.reservation_id()),
            EntryQuery(ORGANIZATION, request_id=held.request_id),
            EntryQuery(ORGANIZATION, record_time_from=before, record_time_until=desk.clock.now()),
        ):
            for below in (None, 3):
                await reader.entries(entries, below, 5)
        await reader.policy(ORGANIZATION)
        await reader.policy_version(ORGANIZATION, 5)
    return list({text: (text, values) for text, values in seen}.values())


async def read_tills(desk: Desk, reader: Reader) -> None:
    """Reads the till side, and verifies all and one SKU."""
    for progress in TillProgress:
        await reader.reservations(
            ReservationQuery(ORGANIZATION, till_progress=progress, create_time_until=desk.clock.now()), None, 10
        )
    await reader.discrepancies(DiscrepancyQuery(ORGANIZATION), 10**6, 10)
    await reader.orders_due(ORGANIZATION, [EAST])
    await reader.points(ORGANIZATION, [key(BIKE, EAST)])
    for sku in ("", BIKE):
        async for _ in reader.verify(ORGANIZATION, sku):
            pass
