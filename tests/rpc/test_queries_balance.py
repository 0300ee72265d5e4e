"""QueryBalance over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from google.rpc import code_pb2

from ringfence.v1 import allocation_service_pb2, common_pb2, policy_service_pb2
from ringfence.v1 import balance_pb2 as pb
from ringfence_server.ledger.balance import NOTHING, Balance, KeyFigures
from ringfence_server.ledger.names import StockKey
from ringfence_server.rpc import query_balance
from ringfence_server.rpc.balance_messages import balance_fields
from ringfence_server.rpc.errors import Refused
from ringfence_server.rpc.refusals import refusal_status
from tests.rpc.messages import Status, new_id, reason, stock_key, violations
from tests.rpc.querying import Shop, at, open_shop, refusal

SKU, LOCATION, GROUP, LEVEL, DIMENSION = (
    pb.ROLL_UP_BY_SKU,
    pb.ROLL_UP_BY_LOCATION,
    pb.ROLL_UP_BY_LOCATION_GROUP,
    pb.ROLL_UP_BY_LEVEL,
    pb.ROLL_UP_BY_DIMENSION,
)


async def pages(shop: Shop, size: int, **fields: Any) -> list[pb.Balance]:
    """All balances, page by page."""
    found: list[pb.Balance] = []
    token = ""
    while True:
        page = await shop.query(page_size=size, page_token=token, **fields)
        assert len(page.balances) <= size
        found += page.balances
        token = page.next_page_token
        if not token:
            return found
        assert len(page.balances) == size


def test_a_sum_that_leaves_64_bits_is_refused() -> None:
    """OUT_OF_RANGE with what would work, not a fault of the service."""
    whole = KeyFigures(0, 2**63, 0, 0, 0, None)
    with pytest.raises(Refused) as refused:
        balance_fields(Balance(StockKey("", "LAMP", ""), "", "", NOTHING, NOTHING, 0, whole, (1,), 320), 0)
    status = Status.FromString(refusal_status(refused.value.refusal))
    assert (status.code, reason(status)) == (code_pb2.OUT_OF_RANGE, "QUANTITY_OVERFLOW")
    assert "keep more apart" in status.message


async def test_the_red_bikes_story(shop: Shop) -> None:
    """200 of 500 are web/london/vip's and all held: the common pool still has 300, the subtree of web says 200."""
    await shop.post(500)
    await shop.allocate("web/london/vip", 200)
    await shop.reserve("web/london/vip", 200)
    common, vip = (await shop.query(filter=at())).balances
    assert (common.path, common.own.allocated, common.available_to_allocate) == ("", 300, 300)
    assert (vip.path, vip.own.allocated, vip.own.available, vip.own.held) == ("web/london/vip", 200, 0, 200)
    (web,) = (await shop.query(filter=at(path="web"))).balances
    assert web.path == "web"
    assert (web.own.allocated, web.subtree.allocated, web.subtree.held) == (0, 200, 200)
    assert (web.supply, web.net) == (500, 300)
    (row,) = (await shop.query(roll_up=[pb.RollUp(by=LEVEL, level=1)], filter=pb.BalanceFilter(path="web"))).balances
    assert (row.path, row.own.allocated, row.subtree.allocated, row.key_count) == ("web", 200, 200, 1)


async def test_an_unknown_sku_is_absent(shop: Shop) -> None:
    """No zero stands for it, alone or in a list; nor for another organization's."""
    await shop.post(3)
    assert not (await shop.query(filter=at("LAMP"))).balances
    found = await shop.query(filter=pb.BalanceFilter(skus=["BIKE", "LAMP"], locations=["north", "south"]))
    assert [balance.key.sku for balance in found.balances] == ["BIKE"]
    other = shop.allocation.QueryBalance(pb.QueryBalanceRequest(), metadata=(("ringfence-organization", "other"),))
    assert not (await other).balances


async def test_two_stores_with_35_and_59_in_allocation_show_94_and_the_parts(shop: Shop) -> None:
    """35 + 59 → 94, with the parts by location; the same when the keys are named one by one."""
    for place, units in (("north", 35), ("south", 59)):
        await shop.post(100, location=place)
        await shop.allocate("web", units, location=place)
    wanted = pb.BalanceFilter(path="web", exact_path=True)
    named = pb.BalanceFilter(path="web", exact_path=True, skus=["BIKE"], locations=["north", "south"])
    for filter_ in (wanted, named):
        (row,) = (await shop.query(filter=filter_, roll_up=[pb.RollUp(by=SKU)])).balances
        assert (row.key.sku, row.key.location, row.own.allocated, row.key_count) == ("BIKE", "", 94, 2)
        parts = (await shop.query(filter=filter_, roll_up=[pb.RollUp(by=SKU), pb.RollUp(by=LOCATION)])).balances
        assert [(part.key.location, part.own.allocated) for part in parts] == [("north", 35), ("south", 59)]
        pools = (await shop.query(filter=filter_)).balances
        assert [pool.own.allocated for pool in pools] == [35, 59]


async def test_minus_4_and_3_are_3_and_a_shortfall_of_4(shop: Shop) -> None:
    """A store that is short shows its shortfall and eats nothing of another's."""
    await shop.post(6)
    await shop.allocate("web", 6)
    await shop.post(2)
    await shop.post(3, location="south")
    common = pb.BalanceFilter(exact_path=True)
    (row,) = (await shop.query(filter=common, roll_up=[pb.RollUp(by=SKU)])).balances
    assert (row.own.allocated, row.own.shortfall, row.quotas_short) == (3, 4, 4)
    north, south = (await shop.query(filter=common)).balances
    assert (north.own.allocated, north.own.shortfall, south.own.allocated) == (-4, 0, 3)


async def test_a_past_instant_is_answered_as_a_read_then_answered_it(shop: Shop) -> None:
    """The whole answer, after a lease has ended and the sweeper has run; only tokens may differ."""
    await shop.post(20)
    await shop.allocate("web", 9)
    await shop.reserve("web", 4, owner="anna")
    shop.advance(minutes=10)
    asked: list[dict[str, Any]] = [
        {"filter": at()},
        {"filter": at(path="web")},
        {"roll_up": [pb.RollUp(by=LOCATION), pb.RollUp(by=LEVEL, level=1)]},
        {"filter": at(path="web"), "explain": True},
    ]
    then = [await shop.query(**fields) for fields in asked]
    shop.advance(minutes=10)
    await shop.reserve("web", 9)
    shop.advance(days=2)
    await shop.post(2)
    for fields, before in zip(asked, then, strict=True):
        again = await shop.query(read_time=before.read_time, **fields)
        assert _tokenless(again) == _tokenless(before)
        assert _tokenless(await shop.query(**fields)) != _tokenless(before)


def _tokenless(answer: pb.QueryBalanceResponse) -> pb.QueryBalanceResponse:
    same = pb.QueryBalanceResponse()
    same.CopyFrom(answer)
    same.revision = ""
    for balance in same.balances:
        balance.revision = ""
    return same


async def test_a_balance_says_why(shop: Shop) -> None:
    """Terms of the formula, all pools, the holds earliest end first, what bounds, and the policy."""
    await shop.post(20)
    await shop.post(3, measure="safety_stock")
    await shop.allocate("web", 9)
    late = (await shop.reserve("web", 2, owner="late", ttl=timedelta(hours=2))).reservation
    soon = (await shop.reserve("web", 1, owner="soon", ttl=timedelta(hours=1))).reservation
    await shop.reserve("", 5)
    (web,) = (await shop.query(filter=at(path="web"), explain=True)).balances
    why = web.explanation
    assert [(term.measure, term.coefficient, term.value) for term in why.terms] == [
        ("on_hand", 1, 20),
        ("safety_stock", -1, 3),
    ]
    assert [(pool.path, pool.allocated, pool.held) for pool in why.pools] == [("", 8, 5), ("web", 9, 3)]
    assert [(hold.reservation_id, hold.owner, hold.quantity) for hold in why.holds] == [
        (soon.reservation_id, "soon", 1),
        (late.reservation_id, "late", 2),
    ]
    assert why.holds[0].expire_time == soon.expire_time
    assert (why.bound, why.policy_revision) == ("POOL", 1)
    await shop.post(12)
    (web,) = (await shop.query(filter=at(path="web"), explain=True)).balances
    assert (web.explanation.bound, web.available_to_reserve, web.net) == ("NET", 1, 1)
    await shop.post(20)
    await shop.set_policy(path_rules=[policy_service_pb2.PathRule(path="web", sales_cap=4)])
    (web,) = (await shop.query(filter=at(path="web"), explain=True)).balances
    assert (web.explanation.bound, web.available_to_reserve) == ("CAP", 1)


async def test_a_balance_says_how_old_its_oldest_figure_is(shop: Shop) -> None:
    """By the source's own time, with its position and measure, and its age at the instant of the read."""
    await shop.post(20)
    shop.advance(hours=3)
    await shop.post(3, measure="safety_stock")
    shop.advance(minutes=1)
    (found,) = (await shop.query(filter=at())).balances
    assert found.freshness.measure == "on_hand"
    assert found.freshness.age.ToTimedelta() == timedelta(hours=3, minutes=1)
    assert not found.freshness.HasField("count_time")


async def test_pages_of_any_size_make_the_list(shop: Shop) -> None:
    """In the order of SKU, location and path, also where a page ends within a key; for pools, for keys named one by
    one and for roll-ups."""
    for sku in ("A", "B", "C"):
        for place in ("north", "south"):
            await shop.post(50, sku, place)
            for path in ("web", "web/london", "app"):
                await shop.allocate(path, 5, sku, place)
    everything = (await shop.query()).balances
    assert len(everything) == 24
    order = [(balance.key.sku, balance.key.location, balance.path) for balance in everything]
    assert order == sorted(order)
    named = pb.BalanceFilter(skus=["C", "A", "B"], locations=["south", "north"])
    rolled: dict[str, Any] = {"roll_up": [pb.RollUp(by=SKU), pb.RollUp(by=LEVEL, level=1)]}
    rows = (await shop.query(**rolled)).balances
    assert [(row.key.sku, row.path, row.own.allocated) for row in rows[:3]] == [
        ("A", "", 70),
        ("A", "app", 10),
        ("A", "web", 20),
    ]
    for size in (1, 3, 7):
        assert await pages(shop, size) == list(everything)
        assert await pages(shop, size, filter=named) == list(everything)
        assert await pages(shop, size, **rolled) == list(rows)
        assert await pages(shop, size, filter=named, **rolled) == list(rows)


async def test_a_token_belongs_to_its_list(shop: Shop) -> None:
    """With another filter, or made up, it is refused; another page size is fine."""
    for sku in ("A", "B", "C"):
        await shop.post(1, sku)
    token = (await shop.query(page_size=1)).next_page_token
    assert len((await shop.query(page_size=100, page_token=token)).balances) == 2
    for fields in ({"filter": pb.BalanceFilter(path="web")}, {"explain": True}, {"roll_up": [pb.RollUp(by=SKU)]}):
        assert reason(await refusal(shop.query(page_token=token, **fields))) == "BAD_TOKEN"
    assert reason(await refusal(shop.query(page_token="AAAA"))) == "BAD_TOKEN"


async def test_keys_named_one_by_one_are_answered_as_a_list_answers_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ways to read, one answer: with and without dimensions in the policy, named or left open."""
    filters: Sequence[pb.BalanceFilter] = (
        at(),
        at(path="web"),
        pb.BalanceFilter(skus=["BIKE", "LAMP"], locations=["north", "south"], path="web"),
        pb.BalanceFilter(skus=["BIKE"], locations=["north"], dimensions={"colour": "red"}),
        pb.BalanceFilter(skus=["BIKE"], locations=["north"], dimensions={"colour": ""}),
    )
    await shop.post(10)
    await shop.post(20, location="south")
    await shop.allocate("web/london", 4)
    one_by_one: list[Any] = []
    for dimensions, asked in (([], filters[:3]), (["colour"], filters)):
        if dimensions:
            await shop.set_policy(dimensions=dimensions)
            await shop.post(5, colour="red")
            await shop.post(7, colour="blue")
            colours = (await shop.query(filter=at())).balances
            assert [balance.key.dimensions.get("colour", "") for balance in colours] == ["", "", "blue", "red"]
        one_by_one = [await shop.query(filter=filter_) for filter_ in asked]
        with monkeypatch.context() as patched:
            patched.setattr(query_balance, "_MOST_POINTS", 0)
            listed = [await shop.query(filter=filter_) for filter_ in asked]
        assert [_tokenless(found).balances for found in one_by_one] == [_tokenless(found).balances for found in listed]
    assert [len(found.balances) for found in one_by_one] == [4, 1, 2, 1, 2]


async def test_a_write_is_read_at_once(shop: Shop) -> None:
    """Its token is a demand that any later read meets; a token of another database is refused, and so is no token."""
    written = await shop.post(10)
    asked: list[dict[str, Any]] = [{"filter": at()}, {}, {"roll_up": [pb.RollUp(by=SKU)]}]
    for fields in asked:
        found = await shop.query(min_revision=written.revision, **fields)
        assert found.balances[0].supply == 10
        assert found.revision == found.balances[0].revision == written.revision
    async with open_shop() as elsewhere:
        await elsewhere.post(1)
        newer = await elsewhere.post(1)
    for fields in asked[:2]:
        assert reason(await refusal(shop.query(min_revision=newer.revision, **fields))) == "REVISION_UNKNOWN"
    assert reason(await refusal(shop.query(min_revision="what?"))) == "BAD_TOKEN"


async def test_many_callers_at_once_get_each_their_own(shop: Shop) -> None:
    """Their reads are shared, their answers are not."""
    for number in range(20):
        await shop.post(number, f"S{number}")
    asked = [shop.query(filter=at(f"S{number % 20}")) for number in range(200)]
    found = await asyncio.gather(*asked)
    assert [answer.balances[0].supply for answer in found] == [number % 20 for number in range(200)]


async def test_roll_ups_by_group_and_dimension(shop: Shop) -> None:
    """A location counts in each of its groups; a dimension has a row per value."""
    locations = [
        policy_service_pb2.Location(name="north", kind=common_pb2.LOCATION_KIND_OWNED, groups=["cold", "stores"]),
        policy_service_pb2.Location(name="south", kind=common_pb2.LOCATION_KIND_OWNED, groups=["stores"]),
    ]
    await shop.set_policy(dimensions=["colour"], locations=locations)
    await shop.post(10, colour="red")
    await shop.post(20, location="south", colour="red")
    await shop.post(5, location="kiosk")
    groups = (await shop.query(roll_up=[pb.RollUp(by=GROUP)])).balances
    assert [(row.location_group, row.supply, row.key_count) for row in groups] == [
        ("", 5, 1),
        ("cold", 10, 1),
        ("stores", 30, 2),
    ]
    colours = (await shop.query(roll_up=[pb.RollUp(by=DIMENSION, dimension="colour")])).balances
    assert [(row.key.dimensions.get("colour", ""), row.supply) for row in colours] == [("", 5), ("red", 30)]
    cold = (await shop.query(filter=pb.BalanceFilter(location_groups=["cold"]))).balances
    assert [balance.key.location for balance in cold] == ["north"]


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "page size": ({"page_size": 1_001}, "page_size", "OUT_OF_RANGE"),
    "negative page size": ({"page_size": -1}, "page_size", "OUT_OF_RANGE"),
    "skus": ({"filter": pb.BalanceFilter(skus=[str(n) for n in range(1_001)])}, "filter.skus", "TOO_MANY"),
    "sku": ({"filter": pb.BalanceFilter(skus=["a", "x" * 129])}, "filter.skus[1]", "BAD_NAME"),
    "clean sku": ({"filter": pb.BalanceFilter(skus=["a", "b\n"])}, "filter.skus[1]", "BAD_NAME"),
    "clean dimension": ({"filter": pb.BalanceFilter(dimensions={"a": "\x7f"})}, "filter.dimensions", "BAD_NAME"),
    "location": ({"filter": pb.BalanceFilter(locations=[""])}, "filter.locations[0]", "BAD_NAME"),
    "groups": (
        {"filter": pb.BalanceFilter(location_groups=[str(n) for n in range(101)])},
        "filter.location_groups",
        "TOO_MANY",
    ),
    "path": ({"filter": pb.BalanceFilter(path="web//vip")}, "filter.path", "BAD_PATH"),
    "dimensions": (
        {"filter": pb.BalanceFilter(dimensions={str(n): "" for n in range(9)})},
        "filter.dimensions",
        "TOO_MANY",
    ),
    "no roll-up": ({"roll_up": [pb.RollUp()]}, "roll_up[0].by", "REQUIRED"),
    "unknown roll-up": ({"roll_up": [pb.RollUp(by=99)]}, "roll_up[0].by", "UNKNOWN_VALUE"),  # type: ignore[arg-type]
    "level": ({"roll_up": [pb.RollUp(by=LEVEL, level=9)]}, "roll_up[0].level", "OUT_OF_RANGE"),
    "two levels": (
        {"roll_up": [pb.RollUp(by=LEVEL, level=1), pb.RollUp(by=LEVEL, level=2)]},
        "roll_up[1]",
        "NAMED_TWICE",
    ),
    "twice": ({"roll_up": [pb.RollUp(by=SKU), pb.RollUp(by=SKU)]}, "roll_up[1]", "NAMED_TWICE"),
    "five": ({"roll_up": [pb.RollUp(by=SKU)] * 5}, "roll_up", "TOO_MANY"),
    "dimension": ({"roll_up": [pb.RollUp(by=DIMENSION)]}, "roll_up[0].dimension", "REQUIRED"),
    "explain": ({"explain": True, "roll_up": [pb.RollUp(by=SKU)]}, "explain", "EXPLAIN_OF_ROLL_UP"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_every_broken_rule_is_named(shop: Shop, case: str) -> None:
    """INVALID_ARGUMENT with the field and what would be right."""
    fields, field, rule = BROKEN[case]
    status = await refusal(shop.query(**fields))
    assert status.code == code_pb2.INVALID_ARGUMENT
    found = violations(status)
    assert found[field][0] == rule
    assert found[field][1]


async def test_what_the_policy_does_not_have_is_refused(shop: Shop) -> None:
    """A dimension, group or level that would match nothing or sum everything without a word; for pools, roll-ups and
    keys named one by one."""
    named = ("DIMENSION_NOT_IN_POLICY", "'size' is no dimension of the policy, it has none")
    group = ("LOCATION_GROUP_NOT_IN_POLICY", "'cold' is no location group of the policy, it has none")
    await shop.post(3)
    for keys in ({}, {"skus": ["BIKE"], "locations": ["north"]}):
        size = pb.BalanceFilter(**keys, dimensions={"size": ""})  # type: ignore[arg-type]
        assert violations(await refusal(shop.query(filter=size))) == {"filter.dimensions": named}
        cold = pb.BalanceFilter(**keys, location_groups=["cold"])  # type: ignore[arg-type]
        assert violations(await refusal(shop.query(filter=cold))) == {"filter.location_groups[0]": group}
        by = [pb.RollUp(by=SKU), pb.RollUp(by=DIMENSION, dimension="size")]
        status = await refusal(shop.query(filter=pb.BalanceFilter(**keys), roll_up=by))  # type: ignore[arg-type]
        assert (status.code, violations(status)) == (code_pb2.INVALID_ARGUMENT, {"roll_up[1].dimension": named})
    deepest = [pb.RollUp(by=LEVEL, level=8)]
    assert (await shop.query(roll_up=deepest)).balances
    names = ("channel", "region")
    await shop.set_policy(levels=[policy_service_pb2.Level(name=name) for name in names])
    assert violations(await refusal(shop.query(roll_up=deepest))) == {
        "roll_up[0].level": ("LEVEL_NOT_IN_POLICY", "the policy has no level 8: 1 (channel), 2 (region)")
    }


async def test_many_location_groups_are_not_all_listed(shop: Shop) -> None:
    """Twenty names say what would have worked."""
    owned = common_pb2.LOCATION_KIND_OWNED
    await shop.set_policy(
        locations=[policy_service_pb2.Location(name=f"L{n}", kind=owned, groups=[f"G{n:02}"]) for n in range(25)]
    )
    status = await refusal(shop.query(filter=pb.BalanceFilter(location_groups=["cold"])))
    assert violations(status)["filter.location_groups[0]"][1].endswith(
        "it has " + ", ".join(f"G{n:02}" for n in range(20)) + " and 5 more"
    )


async def test_the_policy_of_then_decides_what_a_past_query_may_name(shop: Shop) -> None:
    """Names are judged by the policy that the answer is computed with, not by today's."""
    await shop.post(3)
    shop.advance(minutes=1)
    request = pb.QueryBalanceRequest(filter=pb.BalanceFilter(dimensions={"colour": ""}))
    request.read_time.FromDatetime(shop.clock.time)
    shop.advance(minutes=1)
    await shop.set_policy(dimensions=["colour"])
    assert set(violations(await refusal(shop.query(request)))) == {"filter.dimensions"}
    shop.advance(minutes=1)
    request.read_time.FromDatetime(shop.clock.time)
    shop.advance(minutes=1)
    await shop.set_policy()
    assert [balance.supply for balance in (await shop.query(request)).balances] == [3]


async def test_what_was_sold_under_an_earlier_policy_stays_to_be_seen(shop: Shop) -> None:
    """The path of a filter need not be one that the policy in force allows."""
    await shop.post(3)
    await shop.allocate("shop/london", 3)
    held = (await shop.reserve("shop/london", 2)).reservation
    await shop.allocation.Consume(
        allocation_service_pb2.ConsumeRequest(request_id=new_id(), reservation_id=held.reservation_id)
    )
    rest = allocation_service_pb2.UnallocationLine(key=stock_key("BIKE"), path="shop/london", all_free=True)
    await shop.allocation.Unallocate(allocation_service_pb2.UnallocateRequest(request_id=new_id(), lines=[rest]))
    await shop.set_policy(levels=[policy_service_pb2.Level(name="channel", values=["web"])])
    (sold,) = (await shop.query(filter=at(path="shop/london"))).balances
    assert sold.own.consumed == 2


async def test_a_read_time_in_the_future_is_refused(shop: Shop) -> None:
    """Nobody knows yet; for pools as for roll-ups."""
    await shop.post(1)
    request = pb.QueryBalanceRequest()
    request.read_time.FromDatetime(shop.clock.time + timedelta(seconds=1))
    assert reason(await refusal(shop.query(request))) == "LATER_THAN_NOW"
    shop.advance(seconds=1)
    assert len((await shop.query(request)).balances) == 1


async def test_what_was_asked_for_is_what_the_key_says(shop: Shop) -> None:
    """A key comes back as it was posted."""
    await shop.set_policy(dimensions=["colour"])
    await shop.post(3, "BIKE", "north", colour="red")
    (found,) = (await shop.query()).balances
    assert found.key == stock_key("BIKE", "north", colour="red")
