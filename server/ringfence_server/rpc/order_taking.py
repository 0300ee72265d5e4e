"""What one adapter is handed and keeps: events are taken while it has room, their leases begin anew while it lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from ringfence.v1 import order_feed_service_pb2 as pb
from ringfence_server.committer import Stamp
from ringfence_server.ledger.commands import KeepOrders, TakeOrders
from ringfence_server.ledger.outcomes import Decision, OrdersKept, OrdersTaken

from .encode import refused
from .encode_till import order_event
from .order_commands import OrderCommands
from .services import Services
from .wire import delimited, delimited_tag

_EVENT: Final = delimited_tag(pb.StreamOrdersResponse.DESCRIPTOR.fields_by_name["events"].number)
_MOST_A_TAKE: Final = 200
"""Events of one transaction, so that a stream with much to do holds up no others."""
_SHORTEST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0


class Handed(NamedTuple):
    """An event that was handed over."""

    event_id: bytes
    lease_until: int
    message: bytes
    """As a field of the response."""


class OrderTaking:
    """The events of one subscription. ``take`` and ``keep`` run as tasks until they are cancelled."""

    def __init__(
        self,
        services: Services,
        commands: OrderCommands,
        wanted: TakeOrders,
        look: asyncio.Event,
        *,
        hand_over: Callable[[Sequence[Handed]], None],
        until_read: Callable[[], Awaitable[None]],
    ) -> None:
        """``look`` is rung when there may be something to take, or room for it again; ``until_read`` waits until the
        caller has read what it was handed."""
        self._clock = services.clock
        self._reader = services.reader
        self._commands = commands
        self._wanted = wanted
        self._look = look
        self._hand_over = hand_over
        self._until_read = until_read
        self._in_flight: dict[bytes, int] = {}
        """Events handed over and not replied to, with the end of their lease."""
        self._alive = asyncio.Event()
        """Set when the adapter said something since its leases began last."""

    def said_something(self) -> None:
        """The adapter lives."""
        self._alive.set()

    def replied(self, event_id: bytes) -> None:
        """The till has answered an event, whoever was handed it."""
        if len(self._in_flight) >= self._wanted.limit:
            self._look.set()
        self._in_flight.pop(event_id, None)

    async def take(self) -> None:
        """Takes events while the adapter has room.

        Raises:
            Stopped: the subscription is refused, or the store cannot be had.
        """
        wanted, organization = self._wanted, self._commands.organization
        resume, pause = True, _SHORTEST_PAUSE_SECONDS
        while True:
            # While the caller does not read, what is taken for it would only wait here while its lease runs out.
            await self._until_read()
            self._look.clear()
            now = self._clock.now()
            self._in_flight = {event: until for event, until in self._in_flight.items() if until > now}
            room = min(wanted.limit - len(self._in_flight), _MOST_A_TAKE)
            if not room:
                await self._until(min(self._in_flight.values()))
                continue
            taken = await self._take(wanted._replace(limit=room, resume=resume, holding=frozenset(self._in_flight)))
            # Of what it had before it came back the rest follows as it gets room.
            resume = resume and len(taken) == room
            self._in_flight.update((each.event_id, each.lease_until) for each in taken)
            self._hand_over(taken)
            if taken or self._look.is_set():
                pause = _SHORTEST_PAUSE_SECONDS
            if len(taken) == room or self._look.is_set():
                continue
            due = await self._reader.orders_due(organization, wanted.locations)
            if due is None or due > self._clock.now():
                await self._until(due)
            else:
                # Opened since, or open and behind an earlier event of its part that another adapter has.
                await self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def keep(self) -> None:
        """Begins the leases anew, at half of their time, if the adapter said something since they began: one
        transaction for all that it has, however much it says.

        Raises:
            Stopped: the store cannot be had.
        """
        lease = self._wanted.lease
        while True:
            await self._alive.wait()
            now = self._clock.now()
            held = {event: until for event, until in self._in_flight.items() if until > now}
            half = min(held.values(), default=0) - lease // 2
            if half > now:
                await self._clock.sleep_until(half)
                continue
            self._alive.clear()
            if held:
                await self._keep(KeepOrders(self._wanted.adapter, frozenset(held), lease))

    async def _keep(self, command: KeepOrders) -> None:
        def encode(decision: Decision, stamp: Stamp) -> bytes:
            if not isinstance(decision, OrdersKept):
                return refused(decision)
            kept.clear()
            kept.update(dict.fromkeys(decision.event_ids, decision.lease_until))
            return b""

        kept: dict[bytes, int] = {}
        await self._commands.commit(command, len(command.event_ids), encode)
        for event in command.event_ids & self._in_flight.keys():
            # What is not kept has its reply, or its lease was over.
            self._in_flight[event] = kept.get(event, 0)

    async def _take(self, command: TakeOrders) -> Sequence[Handed]:
        """Commits the handing over; what it answers is this adapter's alone."""
        taken: list[Handed] = []

        def encode(decision: Decision, stamp: Stamp) -> bytes:
            if not isinstance(decision, OrdersTaken):
                return refused(decision)
            # A batch that is run again hands over again.
            taken[:] = [
                Handed(each.event.event_id, each.event.lease_until, delimited(_EVENT, order_event(each)))
                for each in decision.orders
            ]
            return b""

        await self._commands.commit(command, command.limit, encode)
        return taken

    async def _until(self, instant: int | None) -> None:
        """Waits for the bell, a reply, or an instant of the server's clock."""
        if instant is None:
            await self._look.wait()
            return
        waiting = {
            asyncio.ensure_future(self._look.wait()),
            asyncio.ensure_future(self._clock.sleep_until(instant)),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look.wait()
