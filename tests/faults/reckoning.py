"""Holds what clients were told against what stands in the database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import grpc
from sqlalchemy import Connection, create_engine, select

from ringfence.v1.allocation_service_pb2 import Command, Outcome
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.state import EntryKind
from ringfence_server.store.connect import PostgresOptions, engine_of, is_postgres
from ringfence_server.store.schema import request_outcome
from tests.faults.journal import Record
from tests.store.audit import Contents, audit

T = TypeVar("T")
Movements: TypeAlias = "Counter[EntryKind]"


def told(outcome: Outcome) -> bytes:
    """What a caller was told, without what marks a repeat and the time of its answer."""
    bare = Outcome()
    bare.CopyFrom(outcome)
    name = bare.WhichOneof("outcome")
    assert name is not None
    if name != "error":
        answer: Any = getattr(bare, name)
        answer.ClearField("replayed")
        answer.ClearField("server_time")
    return bare.SerializeToString(deterministic=True)


def is_kept(outcome: Outcome) -> bool:
    """Whether it is the outcome of its id; what breaks a rule of form is judged anew each time."""
    return outcome.error.code != grpc.StatusCode.INVALID_ARGUMENT.value[0]


def is_replay(outcome: Outcome) -> bool:
    """Whether an effect was answered from what is stored; a refusal does not say."""
    name = outcome.WhichOneof("outcome")
    return name == "error" or bool(getattr(outcome, name or "").replayed)


def look_into(url: str, function: Callable[[Connection], T]) -> T:
    """Runs a function on a connection to a database of either kind. Not from within an event loop."""
    if is_postgres(url):
        return asyncio.run(_look_into_postgres(url, function))
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return function(connection)
    finally:
        engine.dispose()


async def _look_into_postgres(url: str, function: Callable[[Connection], T]) -> T:
    engine = engine_of(url, PostgresOptions(), application="test", connections=1, statement_timeout=False)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(function)
    finally:
        await engine.dispose()


def _found(connection: Connection) -> tuple[Contents, Sequence[Any]]:
    rows = connection.execute(select(request_outcome.c.request_id, request_outcome.c.refusal_number)).all()
    return audit(connection, Policy()), rows


def reckon(url: str, record: Record) -> int:
    """Everything adds up, and every request moved what its caller was told, once, and nothing else did.

    Answers the number of entries. The servers must be down.
    """
    found, rows = look_into(url, _found)
    outcomes = {str(UUID(bytes=row[0])): row[1] > 0 for row in rows}
    assert len(outcomes) == len(rows), "two outcomes under one id"
    moved: dict[str, Movements] = {}
    for entry in found.entries:
        movements = moved.setdefault(str(UUID(bytes=entry.request_id)), Counter())
        movements[EntryKind(entry.kind)] += entry.quantity
    assert record.unanswered == []
    assert outcomes == {
        request_id: outcome.HasField("error") for request_id, outcome in record.outcomes.items() if is_kept(outcome)
    }
    for request_id, outcome in record.outcomes.items():
        movements = moved.pop(request_id, Counter())
        if outcome.HasField("update_reservation"):
            # By how much, only the order's earlier state tells: audit holds it against the pools.
            assert movements.keys() <= {EntryKind.RESERVE, EntryKind.RELEASE}
            continue
        assert movements == +_movements(record.commands[request_id], outcome), (
            f"{record.commands[request_id]} {outcome}"
        )
    assert moved == {}, "entries of requests that nobody made"
    return len(found.entries)


def _movements(command: Command, outcome: Outcome) -> Movements:
    """Units that an outcome says were moved, by what moved them."""
    match outcome.WhichOneof("outcome"):
        case "allocate":
            return Counter({EntryKind.ALLOCATE: sum(line.quantity for line in command.allocate.lines)})
        case "unallocate":
            return Counter({EntryKind.UNALLOCATE: sum(line.quantity for line in command.unallocate.lines)})
        case "reallocate":
            return Counter({EntryKind.REALLOCATE: sum(line.quantity for line in command.reallocate.lines)})
        case "reserve":
            return Counter({EntryKind.RESERVE: sum(line.quantity for line in command.reserve.lines)})
        case "consume":
            return Counter({EntryKind.CONSUME: sum(line.quantity for line in outcome.consume.consumed)})
        case "cancel":
            return Counter({EntryKind.CANCEL: sum(line.quantity for line in outcome.cancel.lines)})
        case "post_stock":
            return Counter(
                {EntryKind.SUPPLY: sum(figure.delta or figure.value for figure in command.post_stock.figures)}
            )
        case _:
            return Counter()
