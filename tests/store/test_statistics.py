"""Somebody runs ANALYZE on the file of a running server: plans stay those that are tested."""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from ringfence_server.ledger.commands import Allocate, Consume
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import EntryQuery, ReservationQuery
from ringfence_server.store.reader import Reader
from tests.ledger.world import figure, line, quota
from tests.store.desk import ORGANIZATION, Desk, post, reserve
from tests.store.reading import EVERYTHING, all_keys, reading, statements

KEY = StockKey(ORGANIZATION, "BIKE", "north")
STATISTICS = "SELECT name FROM sqlite_master WHERE name LIKE 'sqlite_stat%'"
_numbers = itertools.count()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A young store: one key, a quota, a few orders of which one is sold."""
    async with Desk(tmp_path / "ringfence.db") as desk:
        await desk.send(post(figure(1_000, "on_hand", sku="BIKE")))
        await desk.send(Allocate((quota("web", 500, sku="BIKE"),)))
        orders = await desk.send_all([reserve(line("web", 2, sku="BIKE")) for _ in range(5)])
        await desk.send(Consume(orders[0].reservation_id(), (), False, None, "web-1", b""))
        yield desk


async def reads(desk: Desk, reader: Reader) -> list[tuple[str, Any]]:
    """What the reader sends for every kind of read of a key's and an order's past and present."""
    now = desk.clock.now()
    desk.clock.advance(timedelta(seconds=1))
    await desk.send(post(figure(999, "on_hand", sku="BIKE")))
    (order,) = (await reader.reservations(ReservationQuery(ORGANIZATION), None, 1)).reservations
    with statements(reader) as seen:
        await reader.points(ORGANIZATION, [KEY])
        await all_keys(reader)
        await all_keys(reader, EVERYTHING._replace(skus=("BIKE",)), now)
        async with reader.snapshot(ORGANIZATION) as snapshot:
            (stock,) = await snapshot.stocks([KEY])
            assert await snapshot.holds(stock, "web", 10)
        await reader.reservation(ORGANIZATION, order.reservation_id)
        for orders in (ReservationQuery(ORGANIZATION), ReservationQuery(ORGANIZATION, order_reference="web-1")):
            await reader.reservations(orders, None, 5)
        for entries in (EntryQuery(ORGANIZATION, KEY), EntryQuery(ORGANIZATION, reservation_id=order.reservation_id)):
            await reader.entries(entries, None, 5)
    found = {text: values for text, values in seen if text not in ("BEGIN", "ROLLBACK")}
    assert len(found) > 12
    return list(found.items())


def plans(connection: Connection, sent: Sequence[tuple[str, Any]]) -> list[str]:
    """How this very connection would go about them now."""
    # Run, a statement notices that the schema has changed; explained, it does not.
    connection.exec_driver_sql("SELECT count(*) FROM slot_state").all()
    found = []
    for text, values in sent:
        # The driver keeps what it has prepared, and what is explained is never prepared again.
        anew = f"EXPLAIN QUERY PLAN {text} -- {next(_numbers)}"
        found.append("\n".join(row[3] for row in connection.exec_driver_sql(anew, values)))
    return found


def analyze(desk: Desk) -> None:
    """Somebody means well."""
    other = sqlite3.connect(desk.path)
    other.execute("ANALYZE")
    other.commit()
    other.close()


async def test_statistics_are_dropped_while_the_server_runs(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """By the next step of its upkeep, on every connection that had read them: each plans as if they had never been. It
    is told of, once."""
    async with reading(desk) as reader:
        sent = await reads(desk, reader)
        assert reader._lanes.points._connection is not None
        assert desk.store._connection is not None
        connections = (desk.store._connection, reader._lanes.points._connection)
        before = [plans(connection.core, sent) for connection in connections]
        assert before[0] == before[1]
        analyze(desk)
        turned = "\n".join(plans(connections[1].core, sent))
        assert "BLOOM FILTER ON entry" in turned, "what they would do: read the whole ledger to follow one chain"
        caplog.clear()
        await desk.store.prune()
        assert desk.rows(STATISTICS) == []
        assert [plans(connection.core, sent) for connection in connections] == before
        await desk.store.prune()
        assert [record.levelno for record in caplog.records if "ANALYZE" in record.message] == [logging.WARNING]
        assert not (await desk.send(reserve(line("web", 1, sku="BIKE")))).answer.refusal


async def test_statistics_are_dropped_when_the_server_starts(desk: Desk) -> None:
    """Before its first statement."""
    analyze(desk)
    assert desk.rows(STATISTICS) != []
    await desk.reopen()
    assert desk.rows(STATISTICS) == []


async def test_the_next_end_of_a_lease_is_found_by_its_index(desk: Desk) -> None:
    """Whatever statistics say, those of a time without live leases included: it is asked for after every write."""
    desk.clock.advance(timedelta(days=1))
    await desk.committer.sweep()
    assert desk.rows("SELECT count(*), sum(held > 0) FROM part") == [(5, 0)]
    with desk.statements() as seen:
        await desk.store.next_due()
    ((text, _),) = seen
    assert desk.store._connection is not None
    for _ in ("never analysed", "analysed"):
        assert plans(desk.store._connection.core, [(text, (0,))]) == [
            "SEARCH part USING INDEX ix_part_due (slot=? AND expire_time>? AND expire_time<?)"
        ]
        analyze(desk)
