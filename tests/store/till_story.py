"""A day of two tills in few requests: every kind of command of the till side, and something in every table."""

from __future__ import annotations

from typing import Final

from ringfence_server.ledger.commands import (
    Cancel,
    CancellationConfirmed,
    CancelReason,
    Consume,
    CountBegin,
    CountEnd,
    OrderFailed,
    OrderReceived,
    OrderRejected,
    PostStock,
    PublishedQuantity,
    ReassignPart,
    Reply,
    ReplyOrder,
    ReportPublished,
    TakeOrders,
)
from ringfence_server.ledger.outcomes import HandedOrder, OrdersTaken, Posted
from ringfence_server.ledger.policy import MINUTE, Location, LocationKind
from ringfence_server.ledger.till_state import Mark
from tests.ledger.world import BIKE, booked, figure, key, line
from tests.store.desk import Desk, reserve

EAST: Final = "east"
WEST: Final = "west"
LAMP: Final = "LAMP"
TILL_LOCATIONS: Final = (Location(EAST, LocationKind.TILL), Location(WEST, LocationKind.TILL))


def facts(*said: object, count: str = "", begin: CountBegin | None = None, end: CountEnd | None = None) -> PostStock:
    """What a till says in one request."""
    figures = tuple(each for each in said if type(each).__name__ == "Figure")
    bookings = tuple(each for each in said if type(each).__name__ == "SaleBooking")
    return PostStock("pos", figures, bookings, count, begin, end)  # type: ignore[arg-type]


def till_figure(value: int, position: int, *, sku: str = BIKE, location: str = EAST, epoch: int = 0) -> object:
    """A till's figure."""
    return figure(value, sku=sku, location=location, position=position, epoch=epoch)


async def sold(desk: Desk, reference: str, quantity: int = 2, *, sku: str = BIKE, location: str = EAST) -> bytes:
    """An order that is sold."""
    order = (await desk.send(reserve(line("", quantity, sku=sku, location=location)))).reservation_id()
    answered = await desk.send(Consume(order, (), False, None, reference, b""))
    assert not answered.answer.refusal
    return order


async def take(
    desk: Desk, *locations: str, adapter: str = "pos-1", limit: int = 100, resume: bool = False
) -> tuple[HandedOrder, ...]:
    """What an adapter is handed, by default that of the till in the east."""
    answered = await desk.send(TakeOrders(adapter, "", locations or (EAST,), limit, MINUTE, resume), kept=False)
    assert isinstance(answered.decision, OrdersTaken)
    return answered.decision.orders


async def reply(desk: Desk, handed: HandedOrder, what: Reply) -> None:
    """What a till says to it."""
    assert not (await desk.send(ReplyOrder(handed.event.event_id, what))).answer.refusal


async def posted(desk: Desk, command: PostStock) -> Posted:
    """What came of facts."""
    answered = await desk.send(command)
    assert isinstance(answered.decision, Posted), answered.decision
    return answered.decision


async def till_story(desk: Desk) -> list[bytes]:
    """Tells it; the policy has TILL_LOCATIONS. Answers the orders: settled, given back, moved to the west, stuck."""
    stock = [till_figure(20, 100, sku=sku, location=place) for sku in (BIKE, LAMP) for place in (EAST, WEST)]
    await posted(desk, facts(*stock))
    orders = [await sold(desk, f"web-{number}") for number in range(4)]
    handed = {each.reservation.reservation_id: each for each in await take(desk)}
    await reply(desk, handed[orders[0]], OrderReceived("R-1", None))
    await posted(desk, facts(booked("web-0", (101, 1), (102, 2), location=EAST), till_figure(18, 101)))
    await posted(desk, facts(till_figure(16, 102)))
    await desk.send(Cancel(orders[1], (), CancelReason.CUSTOMER, ""))
    (cancellation,) = await take(desk)
    await reply(desk, cancellation, CancellationConfirmed())
    await reply(desk, handed[orders[2]], OrderRejected("no such bike"))
    await desk.send(ReassignPart(orders[2], 1, WEST, None, None, 0))
    await reply(desk, handed[orders[3]], OrderFailed("the line is down", 60 * MINUTE))
    await take(desk, resume=True)
    await posted(desk, facts(booked("web-9", (103, 1), location=EAST), till_figure(9, 102)))
    begin = CountBegin(EAST, "", Mark(0, 110))
    await posted(desk, facts(till_figure(16, 110), count="c-1", begin=begin, end=CountEnd(1, True)))
    reports = (PublishedQuantity(key(BIKE, EAST), "", 7, 5), PublishedQuantity(key(BIKE, EAST), "web", 3, 5))
    await desk.send(ReportPublished("shop", reports))
    return orders
