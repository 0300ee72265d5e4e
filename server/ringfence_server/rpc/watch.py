"""WatchBalances: the current state of what matches, then every change of it, newest state per key.

The stream subscribes before it reads its first state, so nothing falls between the two; what changes meanwhile is sent
afterwards, perhaps a second time, never not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

from ringfence.v1 import balance_pb2
from ringfence_server.ledger.balance import balances_of, ceased
from ringfence_server.ledger.names import StockKey
from ringfence_server.ledger.policy import Policy
from ringfence_server.ledger.reading import KeyPosition, Reader
from ringfence_server.ledger.revisions import NONE, Revisions
from ringfence_server.ledger.state import Stock
from ringfence_server.watch import Closed, Hub, Interest, Meter, Pacer, Subscription

from .balance_messages import balance_fields, check_named
from .handlers import Handlers, server_stream
from .identity import Identity
from .render import key_fields
from .services import Services
from .times import time_fields
from .tokens import revisions_of_watch, watch_token
from .watch_rows import KEYS_A_READ, WatchedRows, pause_after
from .watch_spec import Spec, spec_of, watch_digest

_MOST_A_MESSAGE: Final = 500
_MOST_RESUMED: Final = 50_000
"""Keys changed since a token that are sent one by one; more are a RESET."""
_MOST_REMEMBERED: Final = 100_000
_FLOOR_SECONDS: Final = 0.02
_UNSEEN_SECONDS: Final = 0.0004
"""What a delivery costs beside what is measured: gRPC's own threads, and waking up. A message of a stream of the bare
echo costs 125 microseconds."""
_SECOND: Final = 1_000_000

Response = balance_pb2.WatchBalancesResponse
Event = balance_pb2.WatchEvent


def watch_handlers(services: Services) -> Handlers:
    """The handler of WatchBalances."""
    committer = services.committer
    pacer = Pacer(is_busy=lambda: committer.busy)

    async def watch(
        request: balance_pb2.WatchBalancesRequest, identity: Identity, context: Any
    ) -> AsyncIterator[Response]:
        policy = await services.reader.policy(identity.organization)
        assert policy is not None, "every organization has a policy in force"
        spec = spec_of(request, identity.organization)
        check_named(policy, request.filter, request.roll_up)
        services.counts.watchers += 1
        watcher = _Watcher(services, pacer, spec, policy)
        try:
            async for response in watcher.run(request.resume_token):
                yield response
        finally:
            watcher.close()
            services.counts.watchers -= 1

    method = "/ringfence.v1.AllocationService/WatchBalances"
    request_type = balance_pb2.WatchBalancesRequest
    return {method: server_stream("WatchBalances", request_type, watch, services.counts)}


class _Regrouped(Exception):
    """A new policy puts other locations into the groups that are watched, or has other rules for the path that is: what
    was sent is no first state any more."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy


class _Watcher:
    """One stream."""

    def __init__(self, services: Services, pacer: Pacer, spec: Spec, policy: Policy) -> None:
        self._reader: Reader = services.reader
        self._clock = services.clock
        self._hub: Hub = services.hub
        self._pacer = pacer
        self._spec = spec
        self._cost = Meter()
        self._gone: set[tuple[StockKey, str]] = set()
        self._rows = WatchedRows(services, spec, spec.roll_up) if spec.roll_up is not None else None
        self._subscribe(policy)

    def _subscribe(self, policy: Policy) -> None:
        """Begins to hear of what the filter means by a policy, and knows of nothing sent."""
        spec = self._spec
        self._policy_revision = policy.revision
        self._digest = self._next_digest = watch_digest(spec.request, policy)
        self._key_filter = spec.wanted.keys(spec.organization, policy)
        interest = Interest(spec.organization, frozenset(spec.wanted.skus), self._key_filter.matches)
        self._subscription: Subscription = self._hub.subscribe(interest)
        self._revisions = self._hub.revisions
        self._gone.clear()
        if self._rows is not None:
            self._rows.forget()

    def _judge(self, policy: Policy) -> None:
        """Asked with the policy of every read, before what was read is sent.

        Raises:
            Refused: the policy has no longer what the watch names of it.
            _Regrouped: other keys are meant than the subscription hears of.
        """
        if policy.revision == self._policy_revision:
            return
        spec = self._spec
        check_named(policy, spec.request.filter, spec.request.roll_up)
        digest = watch_digest(spec.request, policy)
        # What the path of the filter was shown for, its rules may have ended; and a row of a group, its members.
        unsure = not self._rows.known if self._rows is not None else bool(spec.wanted.path)
        if spec.wanted.keys(spec.organization, policy) != self._key_filter or (digest != self._next_digest and unsure):
            raise _Regrouped(policy)
        self._policy_revision = policy.revision
        # A token is one of the new rules when everything was sent by them, not before.
        self._next_digest = digest

    def close(self) -> None:
        """Hears no more."""
        self._subscription.close()

    async def run(self, resume_token: str) -> AsyncIterator[Response]:
        """Every message of the stream."""
        resumed = bool(resume_token) and await self._resume(resume_token)
        reset = bool(resume_token)
        while True:
            try:
                if not resumed:
                    if reset:
                        yield self._message(Event.WATCH_EVENT_RESET)
                    async for response in self._snapshot():
                        yield response
                async for response in self._follow():
                    yield response
            except _Regrouped as regrouped:
                self._subscription.close()
                self._subscribe(regrouped.policy)
                resumed, reset = False, True
            except Closed:
                # Within the first state: there is nothing to go on from.
                yield self._message(Event.WATCH_EVENT_RESUME)
                return
            else:
                return

    async def _follow(self) -> AsyncIterator[Response]:
        """Every change, until the stream ends."""
        loop = asyncio.get_running_loop()
        delivered, delivered_at = loop.time(), self._clock.now()
        try:
            while True:
                if not await self._subscription.wait(self._spec.checkpoint_seconds):
                    self._revisions = self._subscription.revisions
                    yield self._message(Event.WATCH_EVENT_CHECKPOINT, token=True)
                    continue
                await self._pace(loop, delivered, delivered_at)
                await self._pacer.turn()
                delivered, delivered_at = loop.time(), self._clock.now()
                async for response in self._changes():
                    yield response
                self._pacer.spent(self._cost.seconds)
        except Closed:
            yield self._message(Event.WATCH_EVENT_RESUME, token=True)

    async def _pace(self, loop: asyncio.AbstractEventLoop, delivered: float, delivered_at: int) -> None:
        """Waits until the watcher's own interval is over; a draining server does not wait for it."""
        pause = pause_after(self._rows.scan_seconds) if self._rows is not None else 0.0
        floor = delivered + max(_FLOOR_SECONDS, pause) - loop.time()
        if self._spec.min_interval > _FLOOR_SECONDS * _SECOND:
            await self._hub.unless_closed(self._clock.sleep_until(delivered_at + self._spec.min_interval))
        if floor > 0:
            await self._hub.unless_closed(asyncio.sleep(floor))

    # --- first state -------------------------------------------------------------------------------------------------

    async def _resume(self, token: str) -> bool:
        """Marks what changed since the token; False when that cannot be told."""
        policy = await self._reader.policy(self._spec.organization)
        if policy.revision != self._policy_revision:
            # Set between the stream's first look and its subscription: nobody would tell of it.
            return False
        revisions = revisions_of_watch(token, self._spec.organization, self._digest)
        if revisions is None:
            return False
        keys: Iterable[StockKey] | None = self._hub.since(revisions, self._spec.organization)
        if keys is None:
            # The store also knows whether there ever was such a state: another server's hub may be ahead of this one.
            keys = await self._reader.changed_since(self._spec.organization, revisions, _MOST_RESUMED)
        if keys is None:
            return False
        self._subscription.add(tuple(keys))
        if self._rows is not None and self._spec.roll_up is not None:
            # The rows that the watcher has are not known here. Where none can cease all are sent once more, and only
            # then differences; else nobody could say which of them did.
            if self._spec.roll_up.level or self._spec.wanted.path:
                return False
            self._rows.known = False
            self._subscription.mark_everything()
        self._revisions = revisions
        return True

    async def _snapshot(self) -> AsyncIterator[Response]:
        async for balances in self._everything():
            yield self._message(Event.WATCH_EVENT_SNAPSHOT, balances)
        yield self._message(Event.WATCH_EVENT_SNAPSHOT_END, token=True)

    async def _everything(self) -> AsyncIterator[list[Any]]:
        """All that matches, in messages. Each piece is a snapshot of its own: a slow reader must not keep one open."""
        if self._rows is not None:
            rows = await self._rows.all(self._judge, self._cost)
            for start in range(0, len(rows), _MOST_A_MESSAGE):
                yield [balance_fields(row, self._clock.now()) for row in rows[start : start + _MOST_A_MESSAGE]]
            return
        spec = self._spec
        start_key: KeyPosition | None = None
        pending: list[Any] = []
        while True:
            if self._hub.closed:
                # A draining server does not wait for the rest of a million keys.
                raise Closed
            async with self._reader.snapshot(spec.organization) as snapshot:
                self._judge(snapshot.policy)
                read = await snapshot.keys(self._key_filter, start_key, KEYS_A_READ)
                with self._cost:
                    for stock in read.stocks:
                        pending.extend(
                            balance_fields(balance, snapshot.moment.instant)
                            for balance in balances_of(snapshot.policy, stock, spec.wanted)
                        )
            start_key = read.last
            while len(pending) >= _MOST_A_MESSAGE or (start_key is None and pending):
                yield pending[:_MOST_A_MESSAGE]
                pending = pending[_MOST_A_MESSAGE:]
            if start_key is None:
                return

    # --- changes -----------------------------------------------------------------------------------------------------

    async def _changes(self) -> AsyncIterator[Response]:
        changes = self._subscription.take()
        self._cost = Meter(_UNSEEN_SECONDS)
        if changes.behind:
            # More changed than is remembered here while this reader was slow: the store knows what, a new stream asks.
            raise Closed
        if self._rows is not None:
            balances, removed = await self._rows.changed(changes.keys, changes.everything, self._judge, self._cost)
            for response in self._pieces(balances, removed):
                yield response
        else:
            if changes.everything:
                async for balances in self._everything():
                    yield self._message(Event.WATCH_EVENT_CHANGES, balances)
                self._digest = self._next_digest
            # Then too: what ceased to match is not among everything.
            for start in range(0, len(changes.keys), KEYS_A_READ):
                balances, removed = await self._changed_keys(changes.keys[start : start + KEYS_A_READ])
                last = start + KEYS_A_READ >= len(changes.keys)
                for response in self._pieces(balances, removed, finish=last, revisions=changes.revisions):
                    yield response
            if changes.keys or not changes.everything:
                return
        self._digest = self._next_digest
        self._revisions = changes.revisions
        yield self._message(Event.WATCH_EVENT_CHECKPOINT, token=True)

    async def _changed_keys(self, keys: Sequence[StockKey]) -> tuple[list[Any], list[Any]]:
        read = await self._reader.newest(self._spec.organization, keys)
        self._judge(read.policy)
        self._cost.seconds += read.seconds
        balances: list[Any] = []
        removed: list[Any] = []
        with self._cost:
            for key in keys:
                # Not whatever was read: reads that come together are one, and hold other watchers' keys as well.
                stock = read.stocks.get(key)
                if stock is None:
                    continue
                shown = set()
                for balance in balances_of(read.policy, stock, self._spec.wanted):
                    shown.add(balance.path)
                    self._gone.discard((stock.key, balance.path))
                    balances.append(balance_fields(balance, read.moment.instant))
                removed.extend(self._removed(read.policy, stock, shown))
        return balances, removed

    def _removed(self, policy: Policy, stock: Stock, shown: set[str]) -> list[Any]:
        """Paths of a changed key that have nothing to show any more, each said once."""
        removed = []
        for path in ceased(policy, stock, self._spec.wanted, shown):
            if (stock.key, path) not in self._gone:
                if len(self._gone) >= _MOST_REMEMBERED:
                    self._gone.clear()
                self._gone.add((stock.key, path))
                removed.append({"key": key_fields(stock.key), "path": path})
        return removed

    # --- messages ----------------------------------------------------------------------------------------------------

    def _pieces(
        self, balances: list[Any], removed: list[Any], *, finish: bool = False, revisions: Revisions = NONE
    ) -> Iterable[Response]:
        """Messages of bounded size; only the last one of a delivery moves the token on."""
        while len(balances) > _MOST_A_MESSAGE or len(removed) > _MOST_A_MESSAGE:
            yield self._message(Event.WATCH_EVENT_CHANGES, balances[:_MOST_A_MESSAGE], removed[:_MOST_A_MESSAGE])
            balances, removed = balances[_MOST_A_MESSAGE:], removed[_MOST_A_MESSAGE:]
        if finish:
            self._revisions = revisions
        if balances or removed or finish:
            yield self._message(Event.WATCH_EVENT_CHANGES, balances, removed, token=True)

    def _message(
        self,
        event: balance_pb2.WatchEvent,
        balances: Sequence[Any] = (),
        removed: Sequence[Any] = (),
        *,
        token: bool = False,
    ) -> Response:
        spec = self._spec
        with self._cost:
            return Response(
                event=event,
                balances=balances,
                removed=removed,
                resume_token=watch_token(self._revisions, spec.organization, self._digest) if token else "",
                server_time=time_fields(self._clock.now()),
            )
