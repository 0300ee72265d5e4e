"""Two tills at work on many SKUs: every command of the till side, many of them in each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ringfence_server.ledger.commands import (
    Cancel,
    CancellationConfirmed,
    CancellationRefused,
    CancelReason,
    Command,
    Consume,
    CountBegin,
    CountEnd,
    OrderFailed,
    OrderReceived,
    OrderRejected,
    PublishedQuantity,
    ReassignPart,
    Reply,
    ReplyOrder,
    ReportPublished,
    TakeOrders,
)
from ringfence_server.ledger.outcomes import HandedOrder, OrdersTaken
from ringfence_server.ledger.policy import MINUTE
from ringfence_server.ledger.till_state import Mark
from tests.ledger.world import booked, figure, key, line
from tests.store.desk import Desk, reserve
from tests.store.till_story import EAST, WEST, facts, posted, take, till_figure

ORDERS: Final = 10
SKUS: Final = 2 * ORDERS
"""Each order is for two items of its own."""


async def together(desk: Desk, commands: Sequence[Command]) -> None:
    """Puts commands in one batch, as far as the store lets them share one; none is refused."""
    answered = await desk.send_all(commands)
    assert [each for each in answered if each.answer.refusal or each.answer.failure] == []


async def busy_tills(desk: Desk, skus: Sequence[str]) -> None:
    """Needs TILL_LOCATIONS, and SKUS SKUs of which nothing is known there."""
    await posted(desk, facts(*(till_figure(50, 1, sku=sku, location=place) for sku in skus for place in (EAST, WEST))))
    pairs = [(skus[2 * number], skus[2 * number + 1]) for number in range(ORDERS)]
    answered = await desk.send_all([reserve(*(line("", 2, sku=sku, location=EAST) for sku in pair)) for pair in pairs])
    orders = [each.reservation_id() for each in answered]
    await together(desk, [Consume(order, (), False, None, f"B-{n}", b"") for n, order in enumerate(orders)])
    handed = await _by_part(desk)
    assert len(handed) == SKUS
    await _reply(desk, handed, orders)
    await _book(desk, handed, orders, pairs)
    await together(desk, [Cancel(orders[number], (), CancelReason.CUSTOMER, "") for number in (3, 4)])
    withdrawn = await _by_part(desk)
    answers: list[Command] = [
        ReplyOrder(each.event.event_id, CancellationConfirmed() if order == orders[3] else CancellationRefused("sent"))
        for (order, _), each in withdrawn.items()
    ]
    assert len(answers) == 4
    await together(desk, [*answers, *(ReassignPart(orders[6], part, WEST, None, None, 0) for part in (1, 2))])
    answered = await desk.send_all([TakeOrders("pos-1", "", (EAST, WEST), 100, MINUTE, True)], kept=False)
    assert isinstance(answered[0].decision, OrdersTaken)
    begin = CountBegin(EAST, "", Mark(0, 20))
    await posted(desk, facts(*(till_figure(40, 20, sku=sku) for sku in skus[:5]), count="busy", begin=begin))
    await posted(desk, facts(*(till_figure(40, 20, sku=sku) for sku in skus[5:-1]), count="busy"))
    ended = await posted(desk, facts(count="busy", end=CountEnd(SKUS - 1, True)))
    assert ended.end is not None
    reports = [(PublishedQuantity(key(sku, EAST), path, 7, 5),) for sku in skus for path in ("", "web")]
    await together(desk, [ReportPublished("shop", report) for report in reports])


async def _by_part(desk: Desk) -> dict[tuple[bytes, int], HandedOrder]:
    return {(each.reservation.reservation_id, each.part.number): each for each in await take(desk, limit=1_000)}


async def _reply(desk: Desk, handed: dict[tuple[bytes, int], HandedOrder], orders: Sequence[bytes]) -> None:
    """Orders 6 and 7 have trouble; the till has the others."""
    trouble: dict[bytes, Reply] = {
        orders[6]: OrderRejected("no such item"),
        orders[7]: OrderFailed("the line is down", MINUTE),
    }
    received = OrderReceived("R", None)
    await together(
        desk,
        [ReplyOrder(each.event.event_id, trouble.get(order, received)) for (order, _), each in handed.items()],
    )


async def _book(
    desk: Desk,
    handed: dict[tuple[bytes, int], HandedOrder],
    orders: Sequence[bytes],
    pairs: Sequence[tuple[str, str]],
) -> None:
    """By part with figures that contain it, by number ahead of its figure, as chained deltas and with a gap in them,
    at the other store, and of an order that nobody knows."""
    by_part = [booked(handed[orders[0], part].reservation, (2, 2), part=part, location=EAST) for part in (1, 2)]
    by_number = [booked("B-1", (3, 1), (4, 1), sku=sku, location=EAST) for sku in pairs[1]]
    elsewhere = booked(handed[orders[5], 1].reservation, (2, 2), part=1, location=WEST)
    chained = [
        figure(-2, delta=True, sku=sku, location=EAST, position=position, previous=previous)
        for sku, position, previous in ((pairs[2][0], 5, 1), (pairs[2][0], 6, 5), (pairs[2][1], 9, 8))
    ]
    await together(
        desk,
        [
            facts(*by_part, *(till_figure(48, 2, sku=sku) for sku in pairs[0])),
            facts(*by_number, *(till_figure(49, 3, sku=sku) for sku in pairs[1])),
            facts(elsewhere, till_figure(48, 2, sku=pairs[5][0], location=WEST)),
            facts(booked("B-2", (5, 2), sku=pairs[2][0], location=EAST), *chained),
            facts(booked("nobody's", (7, 1), location=EAST)),
            *(facts(till_figure(47, 1, sku=sku)) for sku in pairs[8]),
        ],
    )
