"""GetReservation and ListReservations over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from google.rpc import code_pb2

from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import common_pb2
from tests.rpc.messages import new_id, reason, violations
from tests.rpc.querying import Shop, open_shop, refusal

HELD, SETTLED, EXPIRED = (
    common_pb2.RESERVATION_STATE_HELD,
    common_pb2.RESERVATION_STATE_SETTLED,
    common_pb2.RESERVATION_STATE_EXPIRED,
)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        await shop.post(100)
        yield shop


async def listed(shop: Shop, size: int = 100, **fields: Any) -> list[common_pb2.Reservation]:
    """All pages."""
    found: list[common_pb2.Reservation] = []
    token = ""
    while True:
        request = pb.ListReservationsRequest(page_size=size, page_token=token, **fields)
        page = await shop.allocation.ListReservations(request)
        found += page.reservations
        token = page.next_page_token
        if not token:
            return found


async def test_a_reservation_reads_as_it_was_answered(shop: Shop) -> None:
    """Field by field, with the server's time; after its lease as what it is then, with the next revision."""
    made = (await shop.reserve("", 3, owner="anna", ttl=timedelta(minutes=5))).reservation
    request = pb.GetReservationRequest(reservation_id=made.reservation_id)
    found = await shop.allocation.GetReservation(request)
    assert found.reservation == made
    assert found.server_time.ToDatetime() >= made.create_time.ToDatetime()
    shop.advance(minutes=5)
    over = (await shop.allocation.GetReservation(request)).reservation
    assert (over.state, over.revision) == (EXPIRED, 2)
    assert (over.lines[0].parts[0].held, over.lines[0].parts[0].expired) == (0, 3)


async def test_what_is_not_there_is_not_found(shop: Shop) -> None:
    """RESERVATION_NOT_FOUND for an unknown id and for another organization's; no id is INVALID_ARGUMENT."""
    unknown = pb.GetReservationRequest(reservation_id=new_id())
    status = await refusal(shop.allocation.GetReservation(unknown))
    assert (status.code, reason(status)) == (code_pb2.NOT_FOUND, "RESERVATION_NOT_FOUND")
    made = (await shop.reserve("", 1)).reservation
    request = pb.GetReservationRequest(reservation_id=made.reservation_id)
    other = shop.allocation.GetReservation(request, metadata=(("ringfence-organization", "other"),))
    assert reason(await refusal(other)) == "RESERVATION_NOT_FOUND"
    for text, rule in (("", "REQUIRED"), ("nonsense", "BAD_UUID")):
        status = await refusal(shop.allocation.GetReservation(pb.GetReservationRequest(reservation_id=text)))
        assert violations(status)["reservation_id"][0] == rule


async def test_reservations_are_listed_newest_first_by_what_is_asked(shop: Shop) -> None:
    """State as of now, owner, SKU, order reference and the time of making; in pages of any size."""
    made = []
    for number in range(9):
        shop.advance(minutes=1)
        answer = await shop.reserve("", 1, owner="anna" if number % 2 else "bob", ttl=timedelta(minutes=5))
        made.append(answer.reservation)
        if number % 3 == 0:
            await shop.allocation.Consume(
                pb.ConsumeRequest(
                    request_id=new_id(), reservation_id=made[-1].reservation_id, order_reference=f"web-{number}"
                )
            )
    ids = [reservation.reservation_id for reservation in reversed(made)]

    async def numbers(size: int = 100, **fields: Any) -> list[int]:
        return [8 - ids.index(found.reservation_id) for found in await listed(shop, size, **fields)]

    for size in (1, 4, 100):
        assert await numbers(size) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert await numbers(size, states=[SETTLED]) == [6, 3, 0]
        assert await numbers(size, states=[HELD]) == [8, 7, 5, 4]
        assert await numbers(size, states=[EXPIRED]) == [2, 1]
        assert await numbers(size, owner="anna", states=[HELD, EXPIRED]) == [7, 5, 1]
        assert await numbers(size, order_reference="web-3") == [3]
        assert await numbers(size, sku="BIKE", location="north", owner="bob") == [8, 6, 4, 2, 0]
        assert await numbers(size, sku="LAMP") == []
        times = {"create_time_from": made[2].create_time, "create_time_until": made[5].create_time}
        assert await numbers(size, **times) == [4, 3, 2]
    page = await shop.allocation.ListReservations(pb.ListReservationsRequest(page_size=2))
    assert page.server_time.ToDatetime() >= made[-1].create_time.ToDatetime()


async def test_broken_lists_are_refused(shop: Shop) -> None:
    """A token of another list, an unknown state, a label that is too long."""
    for _ in range(3):
        await shop.reserve("", 1)
    page = await shop.allocation.ListReservations(pb.ListReservationsRequest(page_size=1))
    again = pb.ListReservationsRequest(page_size=1, page_token=page.next_page_token, owner="anna")
    assert reason(await refusal(shop.allocation.ListReservations(again))) == "BAD_TOKEN"
    broken = pb.ListReservationsRequest(owner="x" * 129, sku="A\tB", page_size=-1, states=[0, 99])  # type: ignore[list-item]
    found = violations(await refusal(shop.allocation.ListReservations(broken)))
    assert {field: rule for field, (rule, _) in found.items()} == {
        "owner": "TOO_LONG",
        "sku": "BAD_NAME",
        "page_size": "OUT_OF_RANGE",
        "states[0]": "REQUIRED",
        "states[1]": "UNKNOWN_VALUE",
    }
