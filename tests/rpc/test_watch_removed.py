"""What ceased to match is told to a watcher, whatever made it cease and whoever was not listening meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from ringfence.v1 import allocation_service_pb2, common_pb2, policy_service_pb2
from ringfence.v1 import balance_pb2 as pb
from tests.rpc.messages import new_id, stock_key
from tests.rpc.querying import Shop
from tests.rpc.watching import CHANGES, RESET, SNAPSHOT_END, locations, next_message

WEB = pb.BalanceFilter(path="web")
WEB_ALONE = pb.BalanceFilter(path="web", exact_path=True)
LEVEL = pb.RollUp(by=pb.ROLL_UP_BY_LEVEL, level=1)
BORROWS = policy_service_pb2.PathRule(path="web", fallback=common_pb2.FALLBACK_ANCESTORS)
BORROWS_NOT = policy_service_pb2.PathRule(path="web", fallback=common_pb2.FALLBACK_NONE)


class Mirror:
    """What a watcher knows that believes every message."""

    def __init__(self, shop: Shop, **fields: Any) -> None:
        self._shop = shop
        self._fields = fields
        self.events: list[Any] = []
        self.rows: dict[str, tuple[int, int]] = {}
        self.token = ""
        self._open()

    def _open(self) -> None:
        request = pb.WatchBalancesRequest(resume_token=self.token, **self._fields)
        self._watch = self._shop.allocation.WatchBalances(request)

    async def hears(self) -> Any:
        """Takes one message."""
        message = await next_message(self._watch)
        self.events.append(message.event)
        if message.event == RESET:
            self.rows.clear()
        for row in message.removed:
            self.rows.pop(row.path, None)
        for row in message.balances:
            self.rows[row.path] = (row.subtree.available, row.available_to_reserve)
        self.token = message.resume_token or self.token
        return message.event

    async def until(self, event: Any) -> None:
        """Takes messages until one of this kind."""
        while await self.hears() != event:
            pass

    def goes(self) -> None:
        """Hears no more."""
        self._watch.cancel()
        self.events.clear()

    def comes_back(self) -> None:
        """Goes on with its token."""
        self._open()


async def unallocate(shop: Shop, path: str) -> None:
    line = allocation_service_pb2.UnallocationLine(key=stock_key("BIKE", "north"), path=path, all_free=True)
    await shop.allocation.Unallocate(allocation_service_pb2.UnallocateRequest(request_id=new_id(), lines=[line]))


@pytest.mark.parametrize("wanted", [WEB, WEB_ALONE], ids=["subtree", "path alone"])
async def test_a_path_with_nothing_below_it_any_more_is_removed(shop: Shop, wanted: pb.BalanceFilter) -> None:
    """The path of the filter, shown for what lies below it, goes with the last of that."""
    await shop.post(10)
    await shop.allocate("web/london", 4)
    mirror = Mirror(shop, filter=wanted)
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows["web"] == (4, 0)
    await unallocate(shop, "web/london")
    await mirror.until(CHANGES)
    assert mirror.rows == {}


async def test_a_path_that_can_borrow_nothing_any_more_is_removed(shop: Shop) -> None:
    """It was shown for what fallback would give it: a shop that went on showing that would sell what is not there."""
    await shop.set_policy(path_rules=[BORROWS])
    await shop.post(5)
    mirror = Mirror(shop, filter=WEB)
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows == {"web": (0, 5)}
    await shop.reserve("web", 5)
    await mirror.until(CHANGES)
    assert mirror.rows == {}
    await shop.post(7)
    await mirror.until(CHANGES)
    assert mirror.rows == {"web": (0, 2)}


async def test_a_key_without_anything_for_the_path_is_not_told_of(shop: Shop) -> None:
    """Stock that the watched path never had a part of is nobody's news."""
    await shop.post(5)
    watch = shop.allocation.WatchBalances(pb.WatchBalancesRequest(filter=WEB))
    assert (await next_message(watch)).event == SNAPSHOT_END
    await shop.post(6)
    message = await next_message(watch)
    assert (len(message.balances), len(message.removed)) == (0, 0)


async def test_a_policy_that_ends_borrowing_removes_what_was_shown_for_it(shop: Shop) -> None:
    """RESET, and a first state without it."""
    await shop.set_policy(path_rules=[BORROWS])
    await shop.post(5)
    mirror = Mirror(shop, filter=WEB)
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows == {"web": (0, 5)}
    await shop.set_policy(path_rules=[BORROWS_NOT])
    await mirror.until(SNAPSHOT_END)
    assert RESET in mirror.events
    assert mirror.rows == {}


async def test_a_quota_ended_before_a_policy_is_removed_with_it(shop: Shop) -> None:
    """A planner gives the units back and then drops the path, both between two deliveries of a slow watcher."""
    level = policy_service_pb2.Level(name="channel", values=["web", "store"])
    await shop.set_policy(levels=[level])
    await shop.post(10)
    await shop.allocate("store", 4)
    mirror = Mirror(shop, min_interval=Duration(seconds=900))
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows == {"": (10, 6), "store": (4, 4)}
    await unallocate(shop, "store")
    await shop.set_policy(levels=[policy_service_pb2.Level(name="channel", values=["web"])])
    shop.advance(seconds=900)
    while "store" in mirror.rows:
        await mirror.hears()
    assert mirror.rows == {"": (10, 10)}


@pytest.mark.parametrize("wanted", [pb.BalanceFilter(), WEB], ids=["everything", "a path"])
async def test_a_watcher_that_was_away_hears_of_changed_rules(shop: Shop, wanted: pb.BalanceFilter) -> None:
    """What may be reserved changed though no balance did: its token is answered with RESET."""
    await shop.set_policy(path_rules=[BORROWS])
    await shop.post(5)
    await shop.allocate("web", 1)
    mirror = Mirror(shop, filter=wanted)
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows["web"] == (1, 5)
    mirror.goes()
    await shop.set_policy(path_rules=[BORROWS_NOT])
    mirror.comes_back()
    await mirror.until(SNAPSHOT_END)
    assert mirror.events[0] == RESET
    assert mirror.rows["web"] == (1, 1)


async def test_a_watcher_that_stayed_goes_on_after_changed_rules(shop: Shop) -> None:
    """Once it was sent everything by the new policy, its token is good."""
    await shop.post(5)
    await shop.allocate("web", 1)
    mirror = Mirror(shop)
    await mirror.until(SNAPSHOT_END)
    await shop.set_policy(path_rules=[BORROWS])
    while mirror.rows["web"] != (1, 5):
        await mirror.hears()
    await shop.post(6)
    while mirror.rows["web"] != (1, 6):
        await mirror.hears()
    mirror.goes()
    await shop.post(7)
    mirror.comes_back()
    await mirror.until(CHANGES)
    assert mirror.events == [CHANGES]
    assert mirror.rows["web"] == (1, 7)


@pytest.mark.parametrize(
    ("fields", "row"),
    [({"roll_up": [LEVEL]}, "web"), ({"roll_up": [pb.RollUp(by=pb.ROLL_UP_BY_SKU)], "filter": WEB}, "")],
    ids=["level", "path"],
)
async def test_a_roll_up_that_lost_a_row_while_nobody_listened_begins_afresh(
    shop: Shop, fields: dict[str, Any], row: str
) -> None:
    """Which rows the watcher has is not known any more: RESET, and the rows there are."""
    await shop.post(10)
    await shop.allocate("web/london", 4)
    mirror = Mirror(shop, **fields)
    await mirror.until(SNAPSHOT_END)
    assert mirror.rows[row] == (4, 0)
    mirror.goes()
    await unallocate(shop, "web/london")
    mirror.comes_back()
    await mirror.until(SNAPSHOT_END)
    assert mirror.events[0] == RESET
    assert row not in mirror.rows


async def test_a_row_that_ends_with_a_policy_before_a_resumed_roll_up_was_sent_is_removed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher is back with its token when the last location leaves a group: RESET, and no row of that group."""
    await shop.set_policy(locations=locations(north=["stores"], south=["cold"]))
    await shop.post(5)
    await shop.post(3, location="south")
    by_group = pb.WatchBalancesRequest(roll_up=[pb.RollUp(by=pb.ROLL_UP_BY_LOCATION_GROUP)])
    watch = shop.allocation.WatchBalances(by_group)
    while not by_group.resume_token:
        by_group.resume_token = (await next_message(watch)).resume_token
    watch.cancel()
    reader = shop.server.services.reader
    snapshot = reader.snapshot

    @asynccontextmanager
    async def overtaken(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        monkeypatch.undo()
        await shop.set_policy(locations=locations(north=["cold"], south=["cold"]))
        async with snapshot(*arguments, **options) as taken:
            yield taken

    monkeypatch.setattr(reader, "snapshot", overtaken)
    watch = shop.allocation.WatchBalances(by_group)
    assert (await next_message(watch)).event == RESET
    groups = set()
    while (message := await next_message(watch)).event != SNAPSHOT_END:
        groups |= {row.location_group for row in message.balances}
    assert groups == {"cold"}
