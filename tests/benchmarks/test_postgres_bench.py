"""What `scripts/bench --postgres` starts, on a real PostgreSQL. No figure is judged here, and nothing by the clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from ringfence.testing import PostgresServer
from ringfence.v1 import allocation_service_pb2_grpc
from scripts.benchmarks import messages
from scripts.benchmarks.database import Database
from scripts.benchmarks.postgres_targets import PostgresTarget, PostgresTargets
from scripts.benchmarks.processes import HOST
from scripts.benchmarks.targets import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

SKUS = 20
REQUESTS = 60


@pytest.fixture
def targets(postgres_server: PostgresServer, tmp_path: Path) -> PostgresTargets:
    """On the tests' own PostgreSQL."""
    return PostgresTargets(Database(postgres_server), tmp_path, Settings(), set())


def _reserve_one_by_one(target: PostgresTarget) -> None:
    """So many requests for single units of two keys, by twenty callers; then one for more than there is."""
    with grpc.insecure_channel(f"{HOST}:{target.process.port}") as channel:
        stub = allocation_service_pb2_grpc.AllocationServiceStub(channel)

        def reserve(number: int, quantity: int = 1) -> str:
            request = messages.reserve_request(messages.sku_name(number % 2), messages.request_id().decode(), quantity)
            return stub.Reserve(request, timeout=120).reservation.reservation_id

        with ThreadPoolExecutor(20) as callers:
            assert len(set(callers.map(reserve, range(REQUESTS)))) == REQUESTS
        with pytest.raises(grpc.RpcError) as refused:
            reserve(0, 2_000_000_000)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_one_transaction_per_request_keeps_what_it_answers(targets: PostgresTargets) -> None:
    """Every reservation that it answered is a row, the stock rows have their sum, each request id stands once, and more
    than a row has is refused."""
    with targets.database.fresh() as url:
        with targets.row_lock(url, SKUS) as lock:
            _reserve_one_by_one(lock)
        count = targets.database.count
        assert count(url, "sum(held)::bigint FROM row_lock.stock") == REQUESTS
        assert count(url, "count(*) FROM row_lock.reservation") == REQUESTS
        assert count(url, "count(*) FROM row_lock.request WHERE length(answer) > 0") == REQUESTS
        assert count(url, "sum(held)::bigint FROM row_lock.part") == REQUESTS
        assert count(url, "sum(quantity)::bigint FROM row_lock.entry") == REQUESTS
        assert count(url, "count(*) FROM row_lock.stock WHERE free + held <> 1000000000") == 0


def test_the_usual_handler_keeps_what_it_answers(targets: PostgresTargets) -> None:
    """The same through SQLAlchemy."""
    with targets.database.fresh() as url:
        with targets.usual(url, SKUS) as usual:
            _reserve_one_by_one(usual)
        count = targets.database.count
        assert count(url, "sum(held)::bigint FROM pools") == REQUESTS
        assert count(url, "count(*) FROM reservations") == REQUESTS
        assert count(url, "sum(held)::bigint FROM lines") == REQUESTS
        assert count(url, "sum(quantity)::bigint FROM entries") == REQUESTS
        assert count(url, "count(*) FROM pools WHERE free + held <> 1000000000") == 0


def test_two_servers_take_orders_together(targets: PostgresTargets) -> None:
    """Orders of many lines by 64 clients, until enough are answered; what they cost is read of servers and database."""
    with targets.database.fresh() as url:
        with targets.service(url, SKUS, servers=2) as service:
            assert len({process.port for process in service.processes}) == 2
            assert [process.port for process in service.alone().processes] == [service.process.port]
            assert set(service.meter()) == {"server", "database"}
            came = service.orders(SKUS, 5, REQUESTS)
            assert came.answered + came.failed >= REQUESTS
        assert targets.database.deadlocks(url) == 0
        assert targets.database.syncs() > 0
        # And that of the sold-out key. A call that failed may have been carried out all the same.
        made = targets.database.count(url, "count(*) FROM reservation") - 1
        assert came.answered <= made <= came.answered + came.failed
