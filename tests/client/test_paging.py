"""Lists come in pages, fetched as they are needed."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence import AsyncClient, Client, Unavailable
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import balance_pb2, ledger_service_pb2, stock_service_pb2
from tests.client.conftest import PATIENCE, Connect
from tests.client.scripted import Failure, ScriptedServer


def pages(kind: Any, field: str, items: list[list[Any]]) -> Any:
    """Pages of an RPC: the token of the n-th is its number."""

    def answer(request: Any, context: Any) -> Any:
        number = int(request.page_token or 0)
        token = str(number + 1) if number + 1 < len(items) else ""
        return kind(next_page_token=token, **{field: items[number]})

    return answer


LISTS = [
    (
        "ListReservations",
        "list_reservations",
        allocation_pb2.ListReservationsResponse,
        "reservations",
        [{"reservation_id": str(n)} for n in range(3)],
        lambda item: item.reservation_id,
    ),
    (
        "QueryBalance",
        "query_balance",
        balance_pb2.QueryBalanceResponse,
        "balances",
        [{"path": str(n)} for n in range(3)],
        lambda item: item.path,
    ),
    (
        "ListStock",
        "list_stock",
        stock_service_pb2.ListStockResponse,
        "stocks",
        [{"key": {"sku": str(n)}} for n in range(3)],
        lambda item: item.key.sku,
    ),
    (
        "ListEntries",
        "list_entries",
        ledger_service_pb2.ListEntriesResponse,
        "entries",
        [{"request_id": str(n)} for n in range(3)],
        lambda item: item.request_id,
    ),
]


@pytest.mark.parametrize(("rpc", "method", "kind", "field", "items", "name"), LISTS, ids=[one[0] for one in LISTS])
async def test_a_list_goes_over_all_pages(
    scripted: ScriptedServer, connect: Connect, rpc: str, method: str, kind: Any, field: str, items: Any, name: Any
) -> None:
    """Iterating gives every item of every page, empty pages in between included."""
    scripted.on(rpc, pages(kind, field, [items[:2], [], items[2:]]))
    found = await connect().call(method, page_size=2)
    assert [name(item) for item in found] == ["0", "1", "2"]
    requests = [call.request for call in scripted.received]
    assert [request.page_token for request in requests] == ["", "1", "2"]
    assert {request.page_size for request in requests} == {2}


async def test_one_page_can_be_had(scripted: ScriptedServer) -> None:
    """page() fetches the page it was asked for, and says where the next one begins."""
    scripted.on(
        "ListStock",
        pages(stock_service_pb2.ListStockResponse, "stocks", [[{"key": {"sku": str(n)}}] for n in range(3)]),
    )
    async with AsyncClient(scripted.target, timeout=PATIENCE) as client:
        page = await client.list_stock(page_token="1").page()
        assert [stock.key.sku for stock in page] == ["1"]
        assert page.next_page_token == "2"
        assert [len(one) async for one in client.list_stock(page_token="1").pages()] == [1, 1]
    with Client(scripted.target, timeout=PATIENCE) as threaded:
        assert threaded.list_stock(page_token="2").page().next_page_token == ""
        assert [len(one) for one in threaded.list_stock(page_token="1").pages()] == [1, 1]


async def test_nothing_is_fetched_before_it_is_needed(scripted: ScriptedServer) -> None:
    """Leaving the loop early fetches no further page, and iterating again begins anew."""
    scripted.on(
        "ListStock",
        pages(stock_service_pb2.ListStockResponse, "stocks", [[{"key": {"sku": str(n)}}] for n in range(3)]),
    )
    with Client(scripted.target, timeout=PATIENCE) as client:
        pager = client.list_stock()
        assert scripted.received == []
        for _ in range(2):
            for _stock in pager:
                break
    assert [call.request.page_token for call in scripted.received] == ["", ""]


async def test_a_page_is_tried_again(scripted: ScriptedServer, connect: Connect) -> None:
    """A page that the service could not give is asked for again, within the page's own deadline."""
    scripted.on(
        "ListStock",
        Failure("UNAVAILABLE", "Socket closed"),
        stock_service_pb2.ListStockResponse(stocks=[{"key": {"sku": "LAMP"}}]),
    )
    assert len(await connect().call("list_stock")) == 1
    scripted.on("ListStock", Failure("UNAVAILABLE", reason="DRAINING"))
    with pytest.raises(Unavailable):
        await connect().call("list_stock")


async def test_one_balance(scripted: ScriptedServer, connect: Connect) -> None:
    """balance() asks for exactly one pool, and picks the key that has just the given dimensions."""
    rows = [
        {"key": {"sku": "BIKE", "location": "hamburg", "dimensions": {"colour": "red", "size": "L"}}},
        {"key": {"sku": "BIKE", "location": "hamburg", "dimensions": {"colour": "red", "size": ""}}, "supply": 5},
    ]
    scripted.on("QueryBalance", pages(balance_pb2.QueryBalanceResponse, "balances", [[row] for row in rows]))
    driver = connect()
    found = await driver.call("balance", "BIKE", "hamburg", path="web", dimensions={"colour": "red"})
    assert found.supply == 5
    wanted = scripted.received[0].request.filter
    assert (list(wanted.skus), list(wanted.locations)) == (["BIKE"], ["hamburg"])
    assert (wanted.path, wanted.exact_path) == ("web", True)
    assert dict(wanted.dimensions) == {"colour": "red"}
    assert await driver.call("balance", "BIKE", "hamburg", dimensions={"colour": "blue"}) is None


async def test_verify_reports_its_progress(scripted: ScriptedServer, connect: Connect) -> None:
    """Every report goes to `progress`, the last one is the result, and there is no deadline unless one is set."""

    def reports(request: Any, context: Any) -> Any:
        for checked in (1, 2):
            yield ledger_service_pb2.VerifyResponse(keys_checked=checked, keys_total=2, done=checked == 2)

    scripted.on("Verify", reports)
    seen: list[int] = []
    verdict = await connect().call("verify", "LAMP", progress=lambda report: seen.append(report.keys_checked))
    assert verdict.ok
    assert seen == [1, 2]
    assert scripted.received[0].request.sku == "LAMP"
    assert scripted.received[0].seconds_left is None
