"""Both clients against the real service: what a shop does, from the first lamp to a restart under load."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

import ringfence as r
from ringfence.testing import RingfenceServer
from tests.client.conftest import Driver

LAMP, BERLIN = "LAMP", "berlin"


@pytest.fixture
def server() -> Iterator[RingfenceServer]:
    """A running server with an empty ledger."""
    with RingfenceServer() as running:
        yield running


@pytest.fixture(params=["async", "sync"])
async def shop(request: pytest.FixtureRequest, server: RingfenceServer) -> AsyncIterator[Driver]:
    """A client of either kind."""
    driver = Driver(server.async_client() if request.param == "async" else server.client())
    yield driver
    await driver.close()


async def figures(shop: Driver, sku: str = LAMP, location: str = BERLIN, path: str = "") -> tuple[int, int, int]:
    """Supply, available and held of one pool."""
    balance = await shop.call("balance", sku, location, path=path)
    return balance.supply, balance.available, balance.held


async def test_the_lamp_story(shop: Driver) -> None:
    """10 lamps, one ordered: 9 available, 1 held; cancelled: 10; ordered again and consumed: 9 on hand, none held."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 10))
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 1), ttl=timedelta(minutes=15), owner="Ada")
    assert held.fill is r.Fill.FULL
    assert held.reservation.state is r.ReservationState.HELD
    assert await figures(shop) == (10, 9, 1)
    cancelled = await shop.call("cancel", held, reason=r.CancelReason.CUSTOMER, reason_text="changed her mind")
    assert cancelled.lines == (r.CancelledLine("1", 1, r.Restock.AT_ONCE),)
    assert cancelled.reservation.cancel_reason is r.CancelReason.CUSTOMER
    assert cancelled.reservation.cancel_reason_text == "changed her mind"
    assert await figures(shop) == (10, 10, 0)
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 1))
    sold = await shop.call("consume", held, order_reference="4711", attributes=b"\x01")
    assert sold.consumed == {"1": 1}
    assert not sold.at_risk
    assert (sold.reservation.order_reference, sold.reservation.attributes) == ("4711", b"\x01")
    assert await figures(shop) == (9, 9, 0)
    assert (await shop.call("get_stock", LAMP, BERLIN)).measures["on_hand"].value == 9
    assert (await shop.call("verify")).ok


async def test_the_red_bikes(shop: Driver) -> None:
    """200 of 500 are fenced for web/london/vip, which reserves 200; the 201st is refused with what fallback would give;
    the common pool still has 300, and the subtree of web says 200."""
    await shop.call("post_stock", r.StockFigure("BIKE", "hamburg", 500))
    fenced = await shop.call("allocate", r.Line("BIKE", "hamburg", 200, path="web/london/vip"))
    assert {pool.path: pool.available for pool in fenced.pools} == {"": 300, "web/london/vip": 200}
    await shop.call("reserve", r.Line("BIKE", "hamburg", 200, path="web/london/vip"))
    with pytest.raises(r.InsufficientQuantity) as caught:
        await shop.call("reserve", r.Line("BIKE", "hamburg", 1, path="web/london/vip"))
    (short,) = caught.value.shortages
    assert short.reason is r.ShortageReason.QUOTA_EXHAUSTED
    assert (short.requested, short.available, short.available_with_fallback) == (1, 0, 1)
    assert await figures(shop, "BIKE", "hamburg") == (500, 300, 0)
    (row,) = await shop.call(
        "query_balance", r.BalanceFilter(skus=["BIKE"], path="web"), roll_up=[r.RollUp.to_level(1)]
    )
    assert row.path == "web"
    assert row.subtree.held == 200


async def test_fences_are_moved_and_taken_down(shop: Driver) -> None:
    """Reallocate moves a quota, Unallocate gives back a quantity or whatever is free."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 100))
    await shop.call("allocate", r.Line(LAMP, BERLIN, 60, path="web"))
    moved = await shop.call("reallocate", r.Move(LAMP, BERLIN, 20, from_path="web", to_path="web/london"))
    assert {pool.path: pool.available for pool in moved.pools} == {"web": 40, "web/london": 20}
    back = await shop.call(
        "unallocate", [r.Line(LAMP, BERLIN, 5, path="web"), r.FreeLine(LAMP, BERLIN, path="web/london")]
    )
    assert back.quantities == (5, 20)
    back = await shop.call("unallocate", r.FreeLine(LAMP, BERLIN, path="web"))
    assert back.quantities == (35,)
    assert await figures(shop) == (100, 100, 0)


async def test_a_reservation_is_changed_by_differences(shop: Driver, server: RingfenceServer) -> None:
    """More, less, another owner and a longer lease; an outdated revision is refused."""
    await shop.call("post_stock", [r.StockFigure(LAMP, BERLIN, 10), r.StockFigure("BIKE", BERLIN, 10)])
    lines = [r.Line(LAMP, BERLIN, 2, line_id="a"), r.Line("BIKE", BERLIN, 3, line_id="b")]
    held = await shop.call("reserve", lines)
    changed = await shop.call("update_reservation", held, lines={"a": 5, "b": 0}, owner="Ada", ttl=timedelta(hours=1))
    assert {line.line_id: line.held for line in changed.reservation.lines} == {"a": 5, "b": 0}
    assert changed.reservation.owner == "Ada"
    assert changed.reservation.expire_time == server.clock.time + timedelta(hours=1)
    with pytest.raises(r.RevisionMismatch) as caught:
        await shop.call("update_reservation", held, owner="Bob", expected_revision=held.reservation.revision)
    assert caught.value.expected == held.reservation.revision
    assert caught.value.current == changed.reservation.revision
    with pytest.raises(r.InsufficientQuantity):
        await shop.call("update_reservation", held, lines={"a": 11})


async def test_part_of_a_reservation_is_sold(shop: Driver) -> None:
    """A partial sale leaves the rest held; more than is held is refused with what there is."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 10))
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 5, line_id="a"))
    sold = await shop.call("consume", held, lines={"a": 2})
    assert sold.consumed == {"a": 2}
    assert sold.reservation.held == 3
    with pytest.raises(r.NotHeld) as caught:
        await shop.call("consume", held.reservation_id, lines={"a": 4})
    assert (caught.value.line_id, caught.value.requested, caught.value.available) == ("a", 4, 3)
    assert caught.value.reservation is not None
    assert caught.value.reservation.reservation_id == held.reservation_id
    sold = await shop.call("consume", held, lines={"a": 1}, release_rest=True)
    assert sold.reservation.held == 0
    assert await figures(shop) == (7, 7, 0)


async def test_a_late_payment(shop: Driver, server: RingfenceServer) -> None:
    """After its end a lease is refused, unless it may be revived and the stock is still there."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 1))
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 1), ttl=timedelta(minutes=1))
    server.clock.advance(timedelta(minutes=1))
    with pytest.raises(r.LeaseExpired) as caught:
        await shop.call("consume", held)
    assert caught.value.reservation is not None
    assert caught.value.reservation.state is r.ReservationState.EXPIRED
    assert (await shop.call("consume", held, revive=True)).consumed == {"1": 1}


async def test_lines_are_sold_directly(shop: Driver) -> None:
    """A sale without a hold makes its reservation; its order reference is the caller's once."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 5))
    sold = await shop.call("consume_directly", r.Line(LAMP, BERLIN, 2), order_reference="4711")
    assert sold.consumed == {"1": 2}
    with pytest.raises(r.OrderReferenceInUse) as caught:
        await shop.call("consume_directly", r.Line(LAMP, BERLIN, 1), order_reference="4711")
    assert caught.value.order_reference == "4711"
    assert caught.value.reservation_id == sold.reservation_id
    assert await figures(shop) == (3, 3, 0)


async def test_part_of_an_order_is_taken_when_asked_for(shop: Driver) -> None:
    """allow_partial grants what there is, and says so."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 3))
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 5), allow_partial=True)
    assert held.fill is r.Fill.PARTIAL
    assert [(line.requested, line.granted) for line in held.reservation.lines] == [(5, 3)]


async def test_one_id_has_one_outcome(shop: Driver) -> None:
    """The same request again is answered from memory, a refusal too; another one with its id is refused."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 1))
    chosen = r.uuid7()
    first = await shop.call("reserve", r.Line(LAMP, BERLIN, 1), request_id=chosen)
    again = await shop.call("reserve", r.Line(LAMP, BERLIN, 1), request_id=chosen)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.reservation == first.reservation
    with pytest.raises(r.RequestIdReused):
        await shop.call("reserve", r.Line(LAMP, BERLIN, 2), request_id=chosen)
    refused = r.uuid7()
    with pytest.raises(r.InsufficientQuantity):
        await shop.call("reserve", r.Line(LAMP, BERLIN, 1), request_id=refused)
    await shop.call("cancel", first)
    with pytest.raises(r.InsufficientQuantity):
        await shop.call("reserve", r.Line(LAMP, BERLIN, 1), request_id=refused)


async def test_an_old_id_is_refused(shop: Driver, server: RingfenceServer) -> None:
    """An unknown id that is older than the outcomes that are kept cannot be told from one that was carried out."""
    old = shop.client.config.request_ids()
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 1))
    server.clock.advance(timedelta(days=2))
    with pytest.raises(r.RequestTooOld):
        await shop.call("reserve", r.Line(LAMP, BERLIN, 1), request_id=old)


async def test_what_does_not_exist(shop: Driver) -> None:
    """An unknown reservation and an unknown key have exceptions of their own; a query just lacks the key."""
    missing = r.uuid7()
    for name in ("get_reservation", "cancel", "consume"):
        with pytest.raises(r.ReservationNotFound) as caught:
            await shop.call(name, missing)
        assert caught.value.resource_name == missing
    with pytest.raises(r.StockNotFound):
        await shop.call("reserve", r.Line("NOTHING", BERLIN, 1))
    with pytest.raises(r.StockNotFound):
        await shop.call("get_stock", "NOTHING", BERLIN)
    assert await shop.call("balance", "NOTHING", BERLIN) is None
    assert await shop.call("query_balance", r.BalanceFilter(skus=["NOTHING"])) == []


async def test_a_request_that_breaks_rules(shop: Driver) -> None:
    """INVALID_ARGUMENT names the fields."""
    with pytest.raises(r.InvalidArgument) as caught:
        await shop.call("reserve", [r.Line(LAMP, BERLIN, 1), r.Line(LAMP, BERLIN, 0)])
    assert [violation.field for violation in caught.value.violations] == ["lines[1].quantity"]
    assert caught.value.reason == caught.value.violations[0].reason != ""
    assert "lines[1].quantity" in str(caught.value)


async def test_stock_is_compared_and_set(shop: Driver) -> None:
    """An expected value that does not hold refuses the batch; differences add up."""
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 10))
    posted = await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, delta=5, expected_value=10), source="wms")
    assert [(one.result, one.value, one.supply) for one in posted.outcomes] == [(r.FigureResult.APPLIED, 15, 15)]
    with pytest.raises(r.ValueMismatch) as caught:
        await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 1, expected_value=10))
    assert (caught.value.expected, caught.value.current) == (10, 15)


async def test_the_policy_is_read_changed_and_set(shop: Driver) -> None:
    """What get_policy gives can be changed and set; somebody else's change, and a quota in the way, are refused."""
    policy = await shop.call("get_policy")
    wanted = dataclasses.replace(
        policy,
        levels=(r.Level("channel", ("web", "shop")),),
        path_rules=(r.PathRule("web", fallback=r.Fallback.ANCESTORS, sales_cap=7),),
        supply={"on_hand": 1, "safety_stock": -1},
    )
    done = await shop.call("set_policy", wanted)
    assert done.policy == await shop.call("get_policy")
    assert done.policy.revision == policy.revision + 1
    assert (done.policy.levels, done.policy.path_rules) == (wanted.levels, wanted.path_rules)
    assert await shop.call("get_policy", revision=policy.revision) == policy
    with pytest.raises(r.RevisionMismatch):
        await shop.call("set_policy", wanted)
    await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 10))
    await shop.call("allocate", r.Line(LAMP, BERLIN, 5, path="web"))
    narrow = dataclasses.replace(done.policy, levels=(r.Level("channel", ("shop",)),), path_rules=())
    with pytest.raises(r.QuotaInUse) as caught:
        await shop.call("set_policy", narrow)
    assert caught.value.quotas == (r.OrphanedQuota(r.StockKey(LAMP, BERLIN), "web", 5),)


async def test_reading_what_was(shop: Driver, server: RingfenceServer) -> None:
    """A query at an earlier instant answers as it did then, one after a write sees it, and explain says why."""
    posted = await shop.call("post_stock", r.StockFigure(LAMP, BERLIN, 10))
    before = server.clock.time
    server.clock.advance(timedelta(minutes=1))
    held = await shop.call("reserve", r.Line(LAMP, BERLIN, 4), owner="Ada")
    now = await shop.call("balance", LAMP, BERLIN, min_revision=held.revision, explain=True)
    assert (now.available, now.held) == (6, 4)
    assert now.explanation.holds[0].reservation_id == held.reservation_id
    assert {term.measure: (term.coefficient, term.value) for term in now.explanation.terms}["on_hand"] == (1, 10)
    then = await shop.call("balance", LAMP, BERLIN, read_time=before)
    assert (then.available, then.held) == (10, 0)
    entries = await shop.call("list_entries", request_id=held.request_id)
    assert [(entry.kind, entry.quantity, entry.from_place, entry.to_place) for entry in entries] == [
        (r.EntryKind.RESERVE, 4, r.Place.FREE, r.Place.HELD)
    ]
    assert entries[0].reservation_id == held.reservation_id
    assert [e.kind for e in await shop.call("list_entries", key=r.StockKey(LAMP, BERLIN))][-1] == "supply"
    assert posted.revision != held.revision


async def test_lists_are_filtered_and_paged(shop: Driver) -> None:
    """Small pages give everything, newest first; filters leave out the rest."""
    await shop.call("post_stock", [r.StockFigure(f"SKU-{n}", BERLIN, 10) for n in range(5)])
    held = [await shop.call("reserve", r.Line(f"SKU-{n}", BERLIN, 1), owner=f"owner-{n % 2}") for n in range(5)]
    await shop.call("cancel", held[0])
    found = await shop.call("list_reservations", page_size=2)
    assert [one.reservation_id for one in found] == [one.reservation_id for one in reversed(held)]
    found = await shop.call("list_reservations", states=[r.ReservationState.HELD], owner="owner-0")
    assert {one.reservation_id for one in found} == {held[2].reservation_id, held[4].reservation_id}
    assert [one.key.sku for one in await shop.call("list_stock", page_size=2)] == [f"SKU-{n}" for n in range(5)]
    assert len(await shop.call("query_balance", page_size=2)) == 5


async def test_organizations_do_not_meet(server: RingfenceServer) -> None:
    """Two organizations of one server have nothing in common."""
    north, south = server.client(organization="north"), server.client(organization="south")
    north.post_stock(r.StockFigure(LAMP, BERLIN, 10))
    assert south.balance(LAMP, BERLIN) is None
    held = north.reserve(r.Line(LAMP, BERLIN, 1))
    with pytest.raises(r.ReservationNotFound):
        south.cancel(held)


async def test_a_hold_in_a_block(server: RingfenceServer) -> None:
    """What the block sells stays sold, the rest comes back, and a hold that nobody consumed is gone."""
    client = server.client()
    client.post_stock([r.StockFigure(LAMP, BERLIN, 10), r.StockFigure("BIKE", BERLIN, 10)])
    lines = [r.Line(LAMP, BERLIN, 2, line_id="a"), r.Line("BIKE", BERLIN, 3, line_id="b")]
    with client.hold(lines) as hold:
        hold.consume(lines={"a": 1})
    async with server.async_client() as other:
        async with other.hold(lines):
            assert await figures(Driver(other)) == (9, 7, 2)
        async with other.hold(lines, ttl=timedelta(minutes=1)) as late:
            await late.consume(lines=["b"])
            server.clock.advance(timedelta(minutes=2))
        assert await figures(Driver(other)) == (9, 9, 0)
        assert await figures(Driver(other), "BIKE") == (7, 7, 0)
        assert (await other.verify()).ok


async def test_a_watch_sees_what_happens(server: RingfenceServer) -> None:
    """The first state, then each change, in both clients."""
    client = server.client()
    client.post_stock(r.StockFigure(LAMP, BERLIN, 10))
    with client.watch(r.BalanceFilter(skus=[LAMP])) as watch:
        snapshot = next(watch)
        assert [(one.key.sku, one.available) for one in snapshot.balances] == [(LAMP, 10)]
        assert next(watch).kind is r.WatchEventKind.SNAPSHOT_END
        async with server.async_client() as other, other.watch(r.BalanceFilter(skus=[LAMP])) as same:
            assert (await anext(same)).balances == snapshot.balances
            assert (await anext(same)).kind is r.WatchEventKind.SNAPSHOT_END
            await other.reserve(r.Line(LAMP, BERLIN, 4))
            changed = await anext(same)
            assert (changed.kind, changed.balances[0].available) == (r.WatchEventKind.CHANGES, 6)
        assert next(watch).balances[0].available == 6


async def test_the_last_hundred(server: RingfenceServer) -> None:
    """300 want one of the last 100, every request sent twice: exactly 100 have one, by calls and by a pipeline."""
    async with server.async_client() as client:
        for sku in ("calls", "pipeline"):
            await client.post_stock(r.StockFigure(sku, BERLIN, 100))

        async def twice(send: Callable[[str], Any]) -> list[Any]:
            ids = [r.uuid7() for _ in range(300)]
            answers = await asyncio.gather(*(send(one) for one in ids), return_exceptions=True)
            again = await asyncio.gather(*(send(one) for one in ids), return_exceptions=True)
            assert [type(answer) for answer in answers] == [type(answer) for answer in again]
            return answers

        by_calls = await twice(lambda one: client.reserve(r.Line("calls", BERLIN, 1), request_id=one))
        async with client.pipeline() as pipe:
            by_pipeline = await twice(lambda one: pipe.reserve(r.Line("pipeline", BERLIN, 1), request_id=one))
        for answers in (by_calls, by_pipeline):
            assert sum(isinstance(answer, r.ReserveResult) for answer in answers) == 100
            assert sum(isinstance(answer, r.InsufficientQuantity) for answer in answers) == 200
        assert (await client.verify()).ok


async def test_every_command_over_execute(server: RingfenceServer) -> None:
    """Commands of every kind go over one stream, and have the results and refusals of their own calls."""
    client = server.client()
    posted, missing = list(
        client.execute_many(
            [
                r.PostStock([r.StockFigure(LAMP, BERLIN, 100), r.StockFigure("BIKE", BERLIN, 100)]),
                r.Reserve(r.Line("NOTHING", BERLIN, 1)),
            ]
        )
    )
    assert posted.unwrap().outcomes[0].value == 100
    assert isinstance(missing.error, r.StockNotFound)
    assert not missing.ok
    outcomes = list(
        client.execute_many(
            [
                r.Allocate(r.Line(LAMP, BERLIN, 50, path="web")),
                r.Reallocate(r.Move(LAMP, BERLIN, 10, from_path="web", to_path="shop")),
                r.Unallocate(r.FreeLine(LAMP, BERLIN, path="shop")),
                r.Reserve(r.Line(LAMP, BERLIN, 5, path="web"), owner="Ada"),
                r.ConsumeDirectly(r.Line("BIKE", BERLIN, 5)),
            ]
        )
    )
    kinds = [r.AllocateResult, r.ReallocateResult, r.UnallocateResult, r.ReserveResult, r.ConsumeResult]
    assert [type(outcome.unwrap()) for outcome in outcomes] == kinds
    held = outcomes[3].unwrap()
    async with server.async_client() as other, other.pipeline() as pipe:
        assert (await pipe.update_reservation(held, owner="Bob")).reservation.owner == "Bob"
        assert (await pipe.consume(held, lines={"1": 2})).consumed == {"1": 2}
        assert (await pipe.cancel(held)).lines == (r.CancelledLine("1", 5, r.Restock.AT_ONCE),)
        assert (await pipe.allocate(r.Line(LAMP, BERLIN, 1, path="web"))).pools
        assert (await pipe.unallocate(r.Line(LAMP, BERLIN, 1, path="web"))).quantities == (1,)
        move = r.Move(LAMP, BERLIN, 1, from_path="web", to_path="")
        assert (await pipe.reallocate(move)).pools
        assert (await pipe.consume_directly(r.Line(LAMP, BERLIN, 1))).consumed == {"1": 1}
        assert (await pipe.post_stock(r.StockFigure(LAMP, BERLIN, 7))).outcomes[0].value == 7
    assert client.verify().ok
