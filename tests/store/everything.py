"""Everything that callers and a server do, over many slots."""

from __future__ import annotations

from datetime import timedelta

from ringfence_server.ledger.commands import (
    Allocate,
    Cancel,
    CancelReason,
    Command,
    Consume,
    ConsumeDirect,
    LineQuantity,
    Reallocate,
    Unallocate,
    UpdateReservation,
)
from ringfence_server.ledger.policy import Fallback, Location, PathRule, Policy
from tests.ledger.world import back, figure, line, quota, shift
from tests.store.busy_tills import SKUS, busy_tills
from tests.store.desk import Desk, post, reserve
from tests.store.till_story import TILL_LOCATIONS, till_story

SECOND = 1_000_000
POLICY = Policy(
    path_rules=(PathRule("", fallback=Fallback.ANCESTORS),),
    locations=(Location("north"), Location("south"), *TILL_LOCATIONS),
    location_order=("north", "south"),
    allow_split=True,
)
KEYS = 40


def sku(number: int) -> str:
    """One of the forty items."""
    return f"BIKE-{number % KEYS:03}"


async def do_everything(desk: Desk) -> None:
    """Every command, in batches over many slots, refusals and repeats and leases that end among them."""
    lines = [line("web", 1, sku=sku(number)) for number in range(20)]
    orders = await desk.send_all([reserve(*lines, ttl=SECOND)] * 3 + [reserve(line("web", 2, sku=sku(7), location=""))])
    ids = [order.reservation_id() for order in orders]
    commands: list[Command] = [
        Consume(ids[0], (), False, None, "O-1", b""),
        UpdateReservation(ids[1], 0, (LineQuantity("1", 3),), None, None),
        Cancel(ids[3], (), CancelReason.CUSTOMER, ""),
        ConsumeDirect((line("web", 1, sku=sku(9), line_id="1"),), "", False, "O-2", b""),
        Allocate((quota("app", 5, sku=sku(3)), quota("app", 5, sku=sku(4)))),
        Reallocate((shift("web", "app", 1, sku=sku(3)),)),
        Unallocate((back("web", 1, sku=sku(5)),)),
        post(figure(90, "on_hand", sku=sku(8)), figure(90, "inbound", sku=sku(9))),
        reserve(line("none", 10**9, sku=sku(1))),
        reserve(line("none", 10**9, sku=sku(2))),
        reserve(line("none", 10**9, sku=sku(3))),
    ]
    answered = await desk.send_all(commands)
    assert [each.answer.failure for each in answered] == [None] * len(commands)
    await desk.send(commands[0], request_id=answered[0].request_id)
    await busy_tills(desk, [f"LAMP-{number:03}" for number in range(SKUS)])
    await till_story(desk)
    desk.clock.advance(timedelta(seconds=2))
    await desk.send(reserve(line("web", 1, sku=sku(2))))
    await desk.committer.sweep()


async def look_after(desk: Desk) -> None:
    """All that a server does by itself, until nothing is left to forget."""
    await desk.postgres.next_due()
    await desk.postgres.stale_keys(0, 10)
    desk.clock.advance(timedelta(days=400))
    await desk.prune()
