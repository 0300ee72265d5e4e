"""What is answered is on disk, whole: the settings of the writing connection, and what it takes to be written."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ringfence_server.committer import Answer, Failure, Request
from ringfence_server.committer.request import Stamp
from ringfence_server.ledger.commands import Cancel, CancelReason, Command
from ringfence_server.ledger.idempotency import scope_of
from ringfence_server.ledger.outcomes import Cancelled, Decision, Reserved
from ringfence_server.ledger.work import BatchRejected
from ringfence_server.store.errors import translated
from tests.ledger.world import figure, line
from tests.store.broken_rows import BROKEN
from tests.store.desk import CALLER, ORGANIZATION, Desk, post, reserve

HOLD = reserve(line("", 1))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A store with a thousand bikes and a thousand lamps."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        await desk.send(post(figure(1_000, "on_hand"), figure(1_000, "on_hand", sku="LAMP")))
        yield desk


async def pragma(desk: Desk, name: str) -> Any:
    """A setting of the connection that writes, asked on the thread that writes."""

    def ask() -> Any:
        assert desk.store._connection is not None
        return desk.store._connection.rows(f"PRAGMA {name}")[0][0]

    return await desk.store._call(ask)


@pytest.mark.parametrize("reconnected", [False, True])
async def test_a_commit_waits_for_the_disk(desk: Desk, reconnected: bool) -> None:
    """WAL, and synchronous=FULL: with NORMAL a power failure could take back what was answered. Also on the connection
    that replaces a broken one."""
    if reconnected:
        assert desk.store._connection is not None
        raw: Any = desk.store._connection.core.connection.dbapi_connection
        raw.close()
        assert (await desk.send(HOLD)).answer.failure is Failure.STORE
        assert isinstance((await desk.send(HOLD)).decision, Reserved)
    assert await pragma(desk, "journal_mode") == "wal"
    assert await pragma(desk, "synchronous") == 2
    assert await pragma(desk, "fullfsync") == 0
    assert await pragma(desk, "wal_autocheckpoint") == 16_000
    assert await pragma(desk, "busy_timeout") == 5_000


class Watched:
    """Requests that look into the file, from beside the server, when they are decided and when they are answered."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.seen: dict[str, object] = {}

    def _look(self) -> tuple[int, str]:
        """Entries in the file, and what another writer is told."""
        connection = sqlite3.connect(self.desk.path, timeout=0, isolation_level=None)
        try:
            (entries,) = connection.execute("SELECT count(*) FROM entry").fetchone()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                return entries, str(error)
            return entries, "free"
        finally:
            connection.close()

    async def send(self) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def encode(_decision: Decision, _stamp: Stamp) -> bytes:
            self.seen["decided"] = self._look()
            return b"done"

        def sink(_request: Request, answer: Answer) -> None:
            self.seen["answered"] = self._look()
            answered.set_result(answer)

        self.desk.committer.submit(
            Request(
                organization=ORGANIZATION,
                caller=CALLER,
                scope=scope_of(ORGANIZATION, CALLER),
                request_id=self.desk.new_id(),
                fingerprint=b"f" * 16,
                command=HOLD,
                weight=1,
                deadline=None,
                encode=encode,
                sink=sink,
            )
        )
        return await answered


async def test_an_answer_is_given_when_its_effect_is_in_the_file_and_not_before(desk: Desk) -> None:
    """While it is decided nothing of it is visible and nobody else can write; when the caller hears, it is there."""
    watched = Watched(desk)
    before = len(desk.rows("SELECT * FROM entry"))
    await watched.send()
    assert watched.seen == {"decided": (before, "database is locked"), "answered": (before + 1, "free")}


@pytest.mark.parametrize("name", list(BROKEN))
async def test_the_database_refuses_a_broken_row(desk: Desk, name: str) -> None:
    """The invariants stand in the tables too, against faults of our own: the batch is rejected as a whole."""
    await desk.send(HOLD)
    with desk.connection() as connection, pytest.raises(IntegrityError) as refused:
        connection.exec_driver_sql(BROKEN[name])
    assert isinstance(translated(refused.value), BatchRejected)
    assert name in str(refused.value.orig) or "UNIQUE" in str(refused.value.orig)


@pytest.mark.parametrize("culprits", [(0,), (19,), (7, 8), (0, 5, 19)])
async def test_a_broken_row_fails_the_request_that_caused_it_and_no_other(
    desk: Desk, culprits: tuple[int, ...]
) -> None:
    """Of twenty requests in a batch some run into a constraint: they alone are told INTERNAL, the others are carried
    out once."""
    broken = await desk.send_all([reserve(line("", 1, sku="LAMP")) for _ in culprits])
    # A fault of ours: what is held of the lamps is not counted as promised, so giving it back breaks a check.
    await desk.tamper("UPDATE stock SET promised = 0, supply = supply - promised WHERE sku = 'LAMP'")
    orders = iter(broken)
    commands = [
        Cancel(next(orders).reservation_id(), (), CancelReason.CUSTOMER, "") if number in culprits else HOLD
        for number in range(20)
    ]
    request_ids = [desk.new_id() for _ in commands]
    answered = await asyncio.gather(
        *(desk.submit(command, request_id=each) for command, each in zip(commands, request_ids, strict=True))
    )
    failures = [number for number, each in enumerate(answered) if each.answer.failure]
    assert failures == list(culprits)
    assert {answered[number].answer.failure for number in failures} == {Failure.INTERNAL}
    assert desk.rows("SELECT held FROM pool JOIN stock USING (slot, stock_id) WHERE sku = 'BIKE'") == [
        (20 - len(culprits),)
    ]
    stored = {row[0] for row in desk.rows("SELECT request_id FROM request_outcome")}
    assert {number for number, each in enumerate(request_ids) if each not in stored} == set(culprits)


async def test_a_number_that_no_column_takes_fails_its_request_alone(desk: Desk) -> None:
    """A value beyond 64 bits is no broken constraint but fails in the driver: the batch is halved all the same."""
    await desk.tamper(f"UPDATE stock SET supply = {2**63 - 1} WHERE sku = 'LAMP'")
    commands: list[Command] = [HOLD, HOLD, post(figure(2_000, "on_hand", sku="LAMP")), HOLD]
    answered = await desk.send_all(commands)
    assert [each.answer.failure for each in answered] == [None, None, Failure.INTERNAL, None]
    assert desk.rows("SELECT held FROM pool JOIN stock USING (slot, stock_id) WHERE sku = 'BIKE'") == [(3,)]


async def test_a_request_that_failed_may_be_sent_again(desk: Desk) -> None:
    """INTERNAL is no outcome: when the fault is mended, the same id is carried out."""
    order = await desk.send(HOLD)
    await desk.tamper("UPDATE stock SET promised = 0, supply = supply - 1 WHERE sku = 'BIKE'")
    request_id = desk.new_id()
    cancel = Cancel(order.reservation_id(), (), CancelReason.CUSTOMER, "")
    assert (await desk.send(cancel, request_id=request_id)).answer.failure is Failure.INTERNAL
    await desk.tamper("UPDATE stock SET promised = 1, supply = supply + 1 WHERE sku = 'BIKE'")
    assert isinstance((await desk.send(cancel, request_id=request_id)).decision, Cancelled)
