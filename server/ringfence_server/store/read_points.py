"""Single stock keys, the hot path: many requests answered by one read.

A read costs about 60 µs and 15 µs for each further key, and the hop to its thread as much again, so requests that come
together share one. Behind gRPC they come one by one even under full load: a read at once for each cost 435 µs of a core
per call, one every 2 ms 310 µs (the bare echo: 175 µs; everything here included).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.reading import Moment, PointsRead
from ringfence_server.ledger.state import Stock

from .driver import DriverConnection
from .read_keys import KeyRows, SlotState, View
from .read_lanes import Lane, begin_transaction, end_transaction

_MOST_KEYS_AT_ONCE: Final = 1_024
_SPACING_SECONDS: Final = 0.0005
"""Per request of the read before: who calls alone never waits, who calls in a crowd waits 2 ms at most."""
_MOST_SPACING_SECONDS: Final = 0.002

Instant = Callable[[SlotState], tuple[int, int]]
"""The instant that a snapshot stands for, and the one up to which leases have ended."""


class _Asked(NamedTuple):
    organization: str
    keys: Sequence[StockKey]
    answer: asyncio.Future[PointsRead]


class PointReads:
    """Answers requests for a few keys on one lane. Lives on one event loop."""

    def __init__(self, lane: Lane, rows: KeyRows, instant: Instant) -> None:
        self._lane = lane
        self._rows = rows
        self._instant = instant
        self._asked: deque[_Asked] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._next_read = 0.0

    async def read(self, organization: str, keys: Sequence[StockKey]) -> PointsRead:
        """A few keys, as they are now. Requests that arrive while a read runs are answered together by the next one, in
        one snapshot: it begins after they came, so it contains every write that was answered before."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[PointsRead] = loop.create_future()
        self._asked.append(_Asked(organization, keys, answer))
        if self._answering is None:
            self._answering = loop.create_task(self._answer(), name="ringfence-points")
        return await answer

    async def close(self) -> None:
        """Returns when everything asked is answered."""
        if self._answering is not None:
            await self._answering

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._asked:
                early = self._next_read - loop.time()
                if early > 0:
                    await asyncio.sleep(early)
                began = loop.time()
                crowd = max(await self._answer_some(), len(self._asked))
                self._next_read = began
                if crowd > 1:
                    self._next_read += min(crowd * _SPACING_SECONDS, _MOST_SPACING_SECONDS)
        finally:
            self._answering = None

    async def _answer_some(self) -> int:
        """Answers what was asked so far, as much as one read takes; how many that were."""
        asked: list[_Asked] = []
        keys: dict[str, dict[StockKey, None]] = {}
        count = 0
        while self._asked and count < _MOST_KEYS_AT_ONCE:
            one = self._asked.popleft()
            asked.append(one)
            keys.setdefault(one.organization, {}).update(dict.fromkeys(one.keys))
            count += len(one.keys)
        try:
            reads = await self._lane.run(self._read, keys)
        except Exception as error:
            for one in asked:
                if not one.answer.done():
                    one.answer.set_exception(error)
        else:
            for one in asked:
                if not one.answer.done():
                    one.answer.set_result(reads[one.organization])
        return len(asked)

    def _read(self, connection: DriverConnection, keys: dict[str, dict[StockKey, None]]) -> dict[str, PointsRead]:
        rows = self._rows
        begin_transaction(connection)
        try:
            state = rows.state(connection)
            instant, due_until = self._instant(state)
            policies = rows.policies(connection, list(keys))
            due = rows.due(connection, due_until)
            stocks: dict[str, dict[StockKey, Stock]] = {organization: {} for organization in keys}
            for stock in rows.by_key(connection, [key for wanted in keys.values() for key in wanted]):
                stocks[stock.key.organization][stock.key] = stock
            for organization, policy in policies.items():
                rows.brought(connection, View(due_until, policy, due, None), list(stocks[organization].values()))
        finally:
            end_transaction(connection)
        moment = Moment(instant, state.revision)
        return {name: PointsRead(moment, policies[name], stocks[name]) for name in keys}
