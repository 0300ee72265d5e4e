"""GetStock, ListStock, GetPolicy, ListEntries and Verify over the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.rpc import code_pb2

from ringfence.v1 import ledger_service_pb2, policy_service_pb2, stock_service_pb2
from tests.rpc.messages import new_id, reason, stock_key, violations
from tests.rpc.querying import Shop, refusal

# --- stock -----------------------------------------------------------------------------------------------------------


async def test_a_key_tells_the_figures_in_force(shop: Shop) -> None:
    """By name, each with its value, position, source and times; and the supply that comes of them."""
    figure = stock_service_pb2.StockFigure(key=stock_key("BIKE"), value=10, position=7)
    figure.count_time.FromDatetime(shop.clock.time - timedelta(minutes=3))
    request = stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure], source="wms")
    posted = await shop.stocks.PostStock(request)
    await shop.post(4, measure="safety_stock")
    found = await shop.stocks.GetStock(stock_service_pb2.GetStockRequest(key=stock_key("BIKE")))
    stock = found.stock
    assert (stock.key, stock.supply) == (stock_key("BIKE"), 6)
    on_hand, safety = stock.measures
    assert (on_hand.measure, on_hand.value, on_hand.position, on_hand.source) == ("on_hand", 10, 7, "wms")
    assert on_hand.count_time == figure.count_time
    assert on_hand.record_time == posted.server_time
    assert (safety.measure, safety.value, safety.source) == ("safety_stock", 4, "anonymous")
    assert not safety.HasField("count_time")
    assert found.server_time.ToDatetime() >= posted.server_time.ToDatetime()


async def test_an_unknown_key_is_not_found(shop: Shop) -> None:
    """STOCK_NOT_FOUND; a dimension that the policy does not have, or no location, is INVALID_ARGUMENT."""
    status = await refusal(shop.stocks.GetStock(stock_service_pb2.GetStockRequest(key=stock_key("LAMP"))))
    assert (status.code, reason(status)) == (code_pb2.NOT_FOUND, "STOCK_NOT_FOUND")
    coloured = stock_service_pb2.GetStockRequest(key=stock_key("LAMP", colour="red"))
    assert reason(await refusal(shop.stocks.GetStock(coloured))) == "DIMENSION_NOT_IN_POLICY"
    nowhere = stock_service_pb2.GetStockRequest(key=stock_key("LAMP", ""))
    assert "key.location" in violations(await refusal(shop.stocks.GetStock(nowhere)))


async def test_keys_are_listed_in_their_order(shop: Shop) -> None:
    """By SKU and location, filtered, in pages of any size that miss and repeat none."""
    for sku in ("B", "A", "C"):
        for place in ("south", "north"):
            await shop.post(1, sku, place)

    async def listed(size: int, **fields: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        token = ""
        while True:
            request = stock_service_pb2.ListStockRequest(page_size=size, page_token=token, **fields)
            page = await shop.stocks.ListStock(request)
            assert len(page.stocks) <= size
            found += [(stock.key.sku, stock.key.location) for stock in page.stocks]
            token = page.next_page_token
            if not token:
                return found

    everything = [(sku, place) for sku in "ABC" for place in ("north", "south")]
    for size in (1, 2, 5, 6, 7):
        assert await listed(size) == everything
        assert await listed(size, skus=["C", "A"], locations=["south"]) == [("A", "south"), ("C", "south")]
        assert await listed(size, skus=["D"]) == []
    token = (await shop.stocks.ListStock(stock_service_pb2.ListStockRequest(page_size=1))).next_page_token
    other = stock_service_pb2.ListStockRequest(skus=["A"], page_token=token)
    assert reason(await refusal(shop.stocks.ListStock(other))) == "BAD_TOKEN"


# --- policy ----------------------------------------------------------------------------------------------------------


async def test_every_version_of_a_policy_is_kept(shop: Shop) -> None:
    """0 is the one in force; 1 the built-in one; what never was is refused with what there is."""
    await shop.set_policy(dimensions=["colour"])
    await shop.set_policy(dimensions=["colour", "size"])

    async def policy(revision: int) -> Any:
        answer = await shop.policies.GetPolicy(policy_service_pb2.GetPolicyRequest(revision=revision))
        return answer.policy

    assert [(await policy(number)).revision for number in (0, 1, 2, 3)] == [3, 1, 2, 3]
    assert [list((await policy(number)).dimensions) for number in (1, 2, 3)] == [[], ["colour"], ["colour", "size"]]
    for number in (4, -1):
        assert reason(await refusal(policy(number))) == "REVISION_UNKNOWN"


# --- ledger ----------------------------------------------------------------------------------------------------------


async def test_entries_tell_what_moved(shop: Shop) -> None:
    """Newest first, with names and both times; filtered by key, reservation, request and time, in pages."""
    await shop.post(100)
    await shop.post(50, "LAMP")
    await shop.allocate("web", 10)
    held = (await shop.reserve("web", 4, ttl=timedelta(minutes=5))).reservation
    shop.advance(minutes=10)
    later = (await shop.reserve("web", 1)).reservation

    async def entries(size: int = 100, **fields: Any) -> list[ledger_service_pb2.Entry]:
        found: list[ledger_service_pb2.Entry] = []
        token = ""
        while True:
            request = ledger_service_pb2.ListEntriesRequest(page_size=size, page_token=token, **fields)
            page = await shop.ledger.ListEntries(request)
            found += page.entries
            token = page.next_page_token
            if not token:
                return found

    everything = await entries()
    kinds = [ledger_service_pb2.EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_") for entry in everything]
    assert kinds == ["RESERVE", "EXPIRE", "RESERVE", "ALLOCATE", "SUPPLY", "SUPPLY"]
    assert await entries(2) == everything
    over = everything[1]
    assert (over.from_path, over.to_path, over.quantity, over.part_number) == ("web", "web", 4, 1)
    assert (over.reservation_id, over.request_id) == (held.reservation_id, "")
    assert over.effective_time == held.expire_time
    assert over.record_time.ToDatetime() > over.effective_time.ToDatetime()
    assert await entries(key=stock_key("LAMP")) == [everything[4]]
    assert await entries(reservation_id=later.reservation_id) == [everything[0]]
    assert await entries(request_id=everything[3].request_id) == [everything[3]]
    assert await entries(record_time_from=everything[1].record_time) == everything[:2]
    assert await entries(record_time_until=everything[1].record_time, key=stock_key("BIKE")) == [
        everything[2],
        everything[3],
        everything[5],
    ]
    broken = ledger_service_pb2.ListEntriesRequest(reservation_id="x", request_id="y", page_size=-1)
    assert set(violations(await refusal(shop.ledger.ListEntries(broken)))) == {
        "reservation_id",
        "request_id",
        "page_size",
    }


async def test_entries_of_a_key_whose_dimension_the_policy_does_not_have_are_refused(shop: Shop) -> None:
    """An empty list would say that nothing ever moved."""
    await shop.set_policy(dimensions=["colour"])
    await shop.post(3, colour="red")

    async def entries(**dimensions: str) -> Any:
        request = ledger_service_pb2.ListEntriesRequest(key=stock_key("BIKE", **dimensions))
        return (await shop.ledger.ListEntries(request)).entries

    assert len(await entries(colour="red")) == 1
    assert len(await entries(colour="blue")) == 0
    status = await refusal(entries(size="L"))
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert violations(status) == {
        "key.dimensions": ("DIMENSION_NOT_IN_POLICY", "'size' is no dimension of the policy, it has colour")
    }


async def test_a_sku_that_can_be_none_is_refused_under_the_name_of_its_field(shop: Shop) -> None:
    """The field holds one SKU, not a list, and may be empty; what was given stands beside."""

    async def verified() -> None:
        async for _ in shop.ledger.Verify(ledger_service_pb2.VerifyRequest(sku="A\tB")):
            pass

    description = "0 to 128 characters without control characters; got 'A\\tB'"
    assert violations(await refusal(verified())) == {"sku": ("BAD_NAME", description)}


async def test_verify_ends_with_the_verdict(shop: Shop) -> None:
    """Its last message is done and names what does not add up: nothing."""
    await shop.post(100)
    await shop.post(100, "LAMP")
    await shop.reserve("", 4)
    for sku, keys, entries in (("", 2, 3), ("BIKE", 1, 2)):
        steps = [step async for step in shop.ledger.Verify(ledger_service_pb2.VerifyRequest(sku=sku))]
        assert [step.done for step in steps] == [False] * (len(steps) - 1) + [True]
        last = steps[-1]
        assert (last.keys_checked, last.keys_total, last.entries_read) == (keys, keys, entries)
        assert not last.violations
