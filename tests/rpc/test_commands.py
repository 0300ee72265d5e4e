"""The unary commands over the wire: one id, one outcome, whatever happens to the caller meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from ringfence.testing import assert_eventually_async
from ringfence.v1 import allocation_service_pb2 as pb
from ringfence.v1 import allocation_service_pb2_grpc, errors_pb2, policy_service_pb2, stock_service_pb2
from ringfence_server.committer import CommitterLimits
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.work import StoreUnavailable
from ringfence_server.rpc.render_policy import policy_message
from ringfence_server.rpc.services import RpcLimits
from ringfence_server.rpc.status import ROOM_KEY
from tests.rpc.conftest import Served
from tests.rpc.messages import (
    ErrorInfo,
    RetryInfo,
    Status,
    detail,
    figure,
    line,
    new_id,
    reason,
    reserve,
    status_of,
    stock_key,
    violations,
)

RESERVE = "/ringfence.v1.AllocationService/Reserve"


async def refused(call: Awaitable[Any]) -> Status:
    """The status of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return status_of(raised.value)


def web(caller: str, organization: str = "default") -> tuple[tuple[str, str], ...]:
    """Who calls."""
    return (("ringfence-organization", organization), ("ringfence-caller", caller))


async def hold_one(served: Served) -> asyncio.Task[Any]:
    """A transaction is under way with one lamp; what comes now has to wait."""
    served.store.hold()
    waiting = asyncio.ensure_future(_call(served.allocation.Reserve(reserve())))
    await served.store.entered.wait()
    return waiting


async def _call(call: Awaitable[Any]) -> Any:
    return await call


async def test_every_command_has_its_response(served: Served) -> None:
    """Allocated, moved, given back, reserved, changed, sold, cancelled, posted, and a policy set."""
    stub, key = served.allocation, stock_key("BIKE")
    posted = await served.stock.PostStock(
        stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure("BIKE", delta=400)])
    )
    assert (posted.outcomes[0].value, posted.outcomes[0].supply) == (500, 500)
    allocated = await stub.Allocate(
        pb.AllocateRequest(request_id=new_id(), lines=[pb.AllocationLine(key=key, path="web", quantity=200)])
    )
    assert {pool.path: pool.available for pool in allocated.pools} == {"": 300, "web": 200}
    moved = await stub.Reallocate(
        pb.ReallocateRequest(
            request_id=new_id(), lines=[pb.ReallocationLine(key=key, from_path="web", to_path="store", quantity=50)]
        )
    )
    assert {pool.path: pool.available for pool in moved.pools} == {"web": 150, "store": 50}
    given_back = await stub.Unallocate(
        pb.UnallocateRequest(request_id=new_id(), lines=[pb.UnallocationLine(key=key, path="store", all_free=True)])
    )
    assert list(given_back.quantities) == [50]
    held = (await stub.Reserve(reserve(line(10, "BIKE", "web"), owner="Ada"))).reservation
    assert (held.owner, held.lines[0].parts[0].held) == ("Ada", 10)
    changed = await stub.UpdateReservation(
        pb.UpdateReservationRequest(
            request_id=new_id(), reservation_id=held.reservation_id, lines=[{"line_id": "1", "quantity": 8}]
        )
    )
    assert (changed.reservation.revision, changed.reservation.lines[0].parts[0].held) == (2, 8)
    sold = await stub.Consume(
        pb.ConsumeRequest(request_id=new_id(), reservation_id=held.reservation_id, order_reference="A-7")
    )
    assert (sold.consumed[0].quantity, sold.reservation.order_reference) == (8, "A-7")
    back = await stub.Cancel(pb.CancelRequest(request_id=new_id(), reservation_id=held.reservation_id))
    assert (back.lines[0].quantity, back.lines[0].restock) == (8, pb.RESTOCK_AT_ONCE)
    policy = policy_message(Policy(dimensions=("colour",)))
    set_ = await served.policy.SetPolicy(
        policy_service_pb2.SetPolicyRequest(request_id=new_id(), policy=policy, expected_revision=1)
    )
    assert (set_.policy.revision, list(set_.policy.dimensions)) == (2, ["colour"])


async def test_a_repeat_gets_the_stored_response_marked_with_the_time_of_the_repeat(served: Served) -> None:
    """The lease is the one first given: a repeat renews nothing."""
    request = reserve(line(10))
    first = await served.allocation.Reserve(request)
    served.store.now += 60_000_000
    again = await served.allocation.Reserve(request)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.server_time.seconds == first.server_time.seconds + 60
    again.replayed = False
    again.server_time.CopyFrom(first.server_time)
    assert again == first
    assert served.store.free("LAMP") == 90


async def test_what_is_answered_is_what_is_stored(served: Served) -> None:
    """A payload is serialised once: byte by byte the same."""
    async with grpc.aio.insecure_channel(served.address) as channel:
        call: Any = channel.unary_unary(RESERVE)
        raw = await call(reserve().SerializeToString())
    assert raw in [outcome.payload for outcome in served.store.rows.outcomes.values()]


async def test_a_repeat_of_a_refusal_is_refused_the_same(served: Served) -> None:
    """Though by now there would be enough: who wants another try takes a new id."""
    request = reserve(line(150))
    first = await refused(served.allocation.Reserve(request))
    assert reason(first) == "INSUFFICIENT_QUANTITY"
    await served.stock.PostStock(stock_service_pb2.PostStockRequest(request_id=new_id(), figures=[figure(delta=400)]))
    assert await refused(served.allocation.Reserve(request)) == first
    request.request_id = new_id()
    assert (await served.allocation.Reserve(request)).fill


async def test_one_id_for_two_commands_is_refused(served: Served) -> None:
    """Another payload, or another method."""
    request_id = new_id()
    held = await served.allocation.Reserve(reserve(request_id=request_id))
    for call in (
        served.allocation.Reserve(reserve(line(2), request_id=request_id)),
        served.allocation.Cancel(
            pb.CancelRequest(request_id=request_id, reservation_id=held.reservation.reservation_id)
        ),
    ):
        status = await refused(call)
        assert (status.code, reason(status)) == (3, "REQUEST_ID_REUSED")


async def test_the_same_id_of_two_callers_is_two_requests(served: Served) -> None:
    """Ids belong to whoever made them."""
    request = reserve(line(10))
    for caller in ("shop", "till"):
        assert not (await served.allocation.Reserve(request, metadata=web(caller))).replayed
    assert (await served.allocation.Reserve(request, metadata=web("till"))).replayed
    assert served.store.free("LAMP") == 80


async def test_another_organizations_stock_does_not_exist(served: Served) -> None:
    """It is not told that it does."""
    status = await refused(served.allocation.Reserve(reserve(), metadata=web("shop", "other")))
    assert (status.code, reason(status)) == (5, "STOCK_NOT_FOUND")
    assert StockKey("other", "LAMP", "north") not in served.store.rows.stocks


async def test_a_request_that_breaks_rules_of_form_reaches_no_store(served: Served) -> None:
    """Every broken rule is told with its field, and the id stays free."""
    request_id = new_id()
    status = await refused(served.allocation.Reserve(reserve(line(0, path="//"), request_id=request_id)))
    assert (status.code, reason(status)) == (3, "BAD_PATH")
    assert set(violations(status)) == {"lines[0].path", "lines[0].quantity"}
    assert served.store.batches == []
    assert not (await served.allocation.Reserve(reserve(request_id=request_id))).replayed


async def test_bytes_that_are_no_message_are_refused(served: Served) -> None:
    """INVALID_ARGUMENT; not UNKNOWN with the parser's words."""
    async with grpc.aio.insecure_channel(served.address) as channel:
        call: Any = channel.unary_unary(RESERVE)
        status = await refused(call(b"\x0a\xff\xff"))
    assert (status.code, reason(status)) == (3, "UNREADABLE_MESSAGE")


async def test_a_caller_without_a_name_is_refused(served: Served) -> None:
    """Metadata that are there have to be names."""
    status = await refused(served.allocation.Reserve(reserve(), metadata=web("x" * 65)))
    assert (status.code, reason(status)) == (3, "BAD_IDENTITY")


async def test_a_caller_that_goes_away_undoes_nothing(served: Served) -> None:
    """The commit goes on; the same id tells what happened."""
    request = reserve(line(10))
    served.store.hold()
    call = served.allocation.Reserve(request)
    waiting = asyncio.ensure_future(_call(call))
    await served.store.entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    served.store.let_go()
    assert (await served.allocation.Reserve(request)).replayed
    assert served.store.free("LAMP") == 90


async def test_a_deadline_that_passes_before_the_decision_means_not_executed(served: Served) -> None:
    """The caller heard DEADLINE_EXCEEDED; the same id is then decided for the first time."""
    request = reserve(line(10))
    held = await hold_one(served)
    waiting = asyncio.ensure_future(_call(served.allocation.Reserve(request, timeout=2)))
    await assert_eventually_async(lambda: served.committer.queued_lines == 1)
    deadline = next(iter(served.committer._queues[0]._groups.values()))[0].deadline
    assert deadline is not None
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await waiting
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # A deadline travels as a span: the server's ends later than the caller's by the time the request took.
    await assert_eventually_async(lambda: asyncio.get_running_loop().time() > deadline)
    served.store.let_go()
    await held
    await assert_eventually_async(lambda: served.store.batches == [1, 1])
    assert served.store.free("LAMP") == 99
    assert not (await served.allocation.Reserve(request)).replayed


class TestDefaultDeadline:
    """Callers that set no deadline."""

    @pytest.fixture
    def rpc_limits(self) -> RpcLimits:
        """No time at all."""
        return RpcLimits(default_deadline_seconds=0.0)

    async def test_a_caller_without_a_deadline_has_the_servers(self, served: Served) -> None:
        """A command that waited longer is not executed, and its caller is told so."""
        status = await refused(served.allocation.Reserve(reserve()))
        assert (status.code, reason(status)) == (4, "DEADLINE_EXCEEDED")
        assert served.store.free("LAMP") == 100

    async def test_a_callers_own_deadline_counts(self, served: Served) -> None:
        """The server's is only for who sets none."""
        assert (await served.allocation.Reserve(reserve(), timeout=60)).fill


class TestOverload:
    """More than the queue takes."""

    @pytest.fixture
    def limits(self) -> CommitterLimits:
        """A queue of five lines."""
        return CommitterLimits(max_queued_lines=5)

    async def test_a_full_queue_says_when_to_come_back(self, served: Served) -> None:
        """RESOURCE_EXHAUSTED with RetryInfo; the id stays free."""
        request = reserve(line(1))
        held = await hold_one(served)
        queued = asyncio.ensure_future(_call(served.allocation.Reserve(reserve(*[line()] * 5))))
        await assert_eventually_async(lambda: served.committer.queued_lines == 5)
        status = await refused(served.allocation.Reserve(request))
        assert (status.code, reason(status)) == (8, "OVERLOADED")
        assert detail(status, RetryInfo).retry_delay.ToNanoseconds() > 0
        served.store.let_go()
        await asyncio.gather(held, queued)
        assert not (await served.allocation.Reserve(request)).replayed


async def test_a_draining_server_takes_no_more(served: Served) -> None:
    """UNAVAILABLE with RetryInfo, and what it took is committed and answered."""
    held = await hold_one(served)
    drained = asyncio.ensure_future(served.committer.drain())
    await asyncio.sleep(0)
    status = await refused(served.allocation.Reserve(reserve()))
    assert (status.code, reason(status)) == (14, "DRAINING")
    assert detail(status, RetryInfo).retry_delay.ToNanoseconds() > 0
    served.store.let_go()
    assert (await held).fill
    await drained


async def test_a_store_that_is_away_says_so_and_nothing_else(served: Served) -> None:
    """UNAVAILABLE with RetryInfo; what the database said is for the log."""
    request = reserve()
    served.store.faults = [StoreUnavailable("(sqlite3.OperationalError) disk I/O error [SQL: COMMIT]")]
    status = await refused(served.allocation.Reserve(request))
    assert (status.code, reason(status)) == (14, "STORE_UNAVAILABLE")
    assert "SQL" not in str(status)
    assert not (await served.allocation.Reserve(request)).replayed


async def test_a_fault_of_the_service_is_internal_without_its_words(served: Served) -> None:
    """An incident id leads to the log."""
    served.store.rejects = lambda _: ValueError("SELECT secret FROM pool")
    status = await refused(served.allocation.Reserve(reserve()))
    assert (status.code, reason(status)) == (13, "INTERNAL")
    assert detail(status, ErrorInfo).metadata["incident"]
    assert "SELECT" not in str(status)


async def test_a_refused_order_of_2000_lines_is_refused_and_nothing_else(served: Served) -> None:
    """A gRPC client of default settings would take larger details for RESOURCE_EXHAUSTED; it gets what it can take."""
    request = reserve(*(line(1_000, line_id=str(number)) for number in range(2_000)))
    for _ in range(5):  # beyond 8 KiB it depends on chance
        request.request_id = new_id()
        status = await refused(served.allocation.Reserve(request))
        assert (status.code, reason(status)) == (9, "INSUFFICIENT_QUANTITY")
        listed = detail(status, errors_pb2.InsufficientQuantity).shortages
        assert len(listed) + int(detail(status, ErrorInfo).metadata["omitted"]) == 2_000
        assert len(listed) > 10


async def test_a_caller_with_more_room_gets_every_short_line(served: Served) -> None:
    """It says how much it takes, and its channel is set up for that."""
    request = reserve(*(line(1_000, line_id=str(number)) for number in range(2_000)))
    options = (("grpc.max_metadata_size", 1 << 20), ("grpc.absolute_max_metadata_size", 1 << 20))
    async with grpc.aio.insecure_channel(served.address, options=options) as channel:
        stub: Any = allocation_service_pb2_grpc.AllocationServiceStub(channel)
        status = await refused(stub.Reserve(request, metadata=((ROOM_KEY, "1000000"),)))
    assert len(detail(status, errors_pb2.InsufficientQuantity).shortages) == 2_000
    assert "omitted" not in detail(status, ErrorInfo).metadata


async def test_calls_are_counted_by_what_came_of_them(served: Served) -> None:
    """For metrics."""
    request = reserve()
    await served.allocation.Reserve(request)
    await served.allocation.Reserve(request)
    await refused(served.allocation.Reserve(reserve(line(1_000))))
    await refused(served.allocation.Reserve(reserve(line(0))))
    served.store.faults = [StoreUnavailable()]
    await refused(served.allocation.Reserve(reserve()))
    assert served.services.counts.commands == {
        ("Reserve", "accepted"): 1,
        ("Reserve", "replayed"): 1,
        ("Reserve", "refused"): 2,
        ("Reserve", "failed"): 1,
    }


async def test_a_lease_is_counted_from_the_decision(served: Served) -> None:
    """Not from when the caller sent it."""
    response = await served.allocation.Reserve(reserve(line(), ttl=Duration(seconds=90)))
    held = response.reservation
    assert held.expire_time.ToMicroseconds() == served.store.now + 90_000_000
    assert held.create_time.ToMicroseconds() == served.store.now
