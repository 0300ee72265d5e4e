"""Facts over one stream: order, refusals, broken streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from ringfence import AsyncClient, FigureResult, PostStock, Reserve, StockFigure, ValueMismatch
from ringfence.v1 import stock_service_pb2 as pb
from tests.client.conftest import QUICK, Connect
from tests.client.scripted import Failure, ScriptedServer, status, wait_for

MISMATCH = status("ABORTED", "another value", reason="VALUE_MISMATCH")


def posts(count: int) -> list[tuple[str, PostStock]]:
    """Posts with ids of their own."""
    return [(f"id-{n}", PostStock(StockFigure("LAMP", "berlin", n, position=n))) for n in range(1, count + 1)]


def applied(post: pb.PostStockRequest) -> pb.SyncStockOutcome:
    """The outcome of a post whose figures are in force."""
    answer = pb.PostStockResponse(
        outcomes=[
            {"key": figure.key, "result": "FIGURE_RESULT_APPLIED", "value": figure.value, "position": figure.position}
            for figure in post.figures
        ]
    )
    return pb.SyncStockOutcome(request_id=post.request_id, post_stock=answer)


class Syncing:
    """A SyncStock that remembers what came on each stream, and answers as `answer` says; None is no answer, and a
    Failure ends the stream."""

    def __init__(self, answer: Callable[[pb.PostStockRequest], Any] = applied) -> None:
        self.streams: list[list[str]] = []
        self._answer = answer

    def __call__(self, requests: Iterator[pb.SyncStockRequest], context: Any) -> Iterator[pb.SyncStockResponse]:
        ids: list[str] = []
        self.streams.append(ids)
        for request in requests:
            ids += [post.request_id for post in request.posts]
            outcomes: list[pb.SyncStockOutcome] = []
            for post in request.posts:
                answer = self._answer(post)
                if isinstance(answer, Failure):
                    yield pb.SyncStockResponse(outcomes=outcomes)
                    raise answer
                if answer is not None:
                    outcomes.append(answer)
            # In any order: they are correlated by id.
            yield pb.SyncStockResponse(outcomes=outcomes[::-1])


async def test_outcomes_come_in_the_order_of_the_posts(scripted: ScriptedServer, connect: Connect) -> None:
    """Whatever the order of the answers, the outcomes are the posts' own, one to one."""
    scripted.on("SyncStock", Syncing())
    outcomes = await connect().call("sync_stock", posts(50), max_in_flight=16)
    assert [outcome.request_id for outcome in outcomes] == [f"id-{n}" for n in range(1, 51)]
    assert [outcome.unwrap().outcomes[0].position for outcome in outcomes] == list(range(1, 51))
    assert outcomes[0].result.outcomes[0].result is FigureResult.APPLIED


async def test_the_window_is_bounded(scripted: ScriptedServer, connect: Connect) -> None:
    """No message and no stream holds more than was asked for without an answer."""
    most = 0

    def behaviour(requests: Iterator[pb.SyncStockRequest], context: Any) -> Iterator[pb.SyncStockResponse]:
        nonlocal most
        for request in requests:
            most = max(most, len(request.posts))
            yield pb.SyncStockResponse(outcomes=[applied(post) for post in request.posts])

    scripted.on("SyncStock", behaviour)
    await connect().call("sync_stock", posts(40), max_in_flight=8, max_commands_per_message=4)
    assert 1 < most <= 4


async def test_a_refusal_is_an_outcome(scripted: ScriptedServer, connect: Connect) -> None:
    """One post that is refused alone leaves the others as they are."""
    refuse = lambda post: (  # noqa: E731
        pb.SyncStockOutcome(request_id=post.request_id, error=MISMATCH) if post.request_id == "id-2" else applied(post)
    )
    scripted.on("SyncStock", Syncing(refuse))
    outcomes = await connect().call("sync_stock", posts(3))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, ValueMismatch)
    assert outcomes[1].error.request_id == "id-2"


async def test_a_broken_stream_is_opened_again_with_the_same_ids(scripted: ScriptedServer, connect: Connect) -> None:
    """What a broken stream left unanswered goes again, with the same ids, and nothing that was answered does."""
    broke: list[str] = []

    def once(post: pb.PostStockRequest) -> Any:
        if post.request_id == "id-4" and not broke:
            broke.append(post.request_id)
            return Failure("UNAVAILABLE", reason="DRAINING")
        return applied(post)

    syncing = Syncing(once)
    scripted.on("SyncStock", syncing)
    outcomes = await connect().call("sync_stock", posts(6))
    assert [outcome.ok for outcome in outcomes] == [True] * 6
    first, second = syncing.streams
    assert second == first[3:] + [f"id-{n}" for n in range(1, 7) if f"id-{n}" not in first]


async def test_only_facts_travel(scripted: ScriptedServer, connect: Connect) -> None:
    """Another command is a TypeError before it is sent."""
    with pytest.raises(TypeError, match="PostStock alone"):
        await connect().call("sync_stock", [Reserve([])])
    assert all(call.request is None for call in scripted.received)


async def test_a_pipeline_of_facts(scripted: ScriptedServer) -> None:
    """Posts of one turn travel in one message, in their order; each has a future of its own."""
    syncing = Syncing()
    scripted.on("SyncStock", syncing)
    client = AsyncClient(scripted.target, retry=QUICK, timeout=timedelta(seconds=10))
    async with client, client.stock_pipeline() as pipe:
        futures = [pipe.post_stock(StockFigure("LAMP", "berlin", n, position=n)) for n in (1, 2, 3)]
        results = [await future for future in futures]
    assert [result.outcomes[0].position for result in results] == [1, 2, 3]
    wait_for(lambda: "SyncStock" in scripted.ended)
    assert len(syncing.streams) == 1
