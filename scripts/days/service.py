"""The real service as the day's rules: every order, event, answer and count goes through the client."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from ringfence import (
    AsyncClient,
    AsyncOrderFeed,
    BalanceFilter,
    Booking,
    BookingResult,
    FigureOutcome,
    FigureResult,
    InsufficientQuantity,
    Line,
    Location,
    LocationKind,
    OrderEvent,
    Restock,
    SaleBooking,
    StockFigure,
)
from ringfence._uuid7 import Uuid7Generator
from ringfence.adapters import Cancelled, NotCancelled, Received, Rejected
from ringfence.adapters.simulated_till import LineState
from scripts.days.host import START, ServerProcess
from scripts.days.messages import Expected, Handed, Message, Reply
from scripts.days.plan import LOCATIONS, Order

__all__ = ["Service", "ServiceFault", "Shop", "figures_of", "line_booking", "organization_of"]

_PATIENCE = timedelta(minutes=5)
_LEASE = timedelta(hours=1)
"""The longest there is: acknowledgements are up to two hours late, so that some orders come a second time."""
_MOST_IN_FLIGHT = 1_000
_MOST_ITEMS = 2_000
"""Figures and lines of one request."""
_RIGHT_FIGURES = (FigureResult.APPLIED, FigureResult.STALE, FigureResult.DUPLICATE)
_RIGHT_DELTAS = (FigureResult.APPLIED, FigureResult.STALE, FigureResult.GAP)


class ServiceFault(Exception):
    """The service did not do what it must."""


def line_booking(location: str, line: LineState) -> SaleBooking:
    """A line's whole state, named by the order's number."""
    bookings = [Booking(mark.position, quantity, epoch=mark.epoch) for mark, quantity in line.bookings]
    return SaleBooking(
        location,
        bookings,
        order_reference=line.line,
        closed=line.closed,
        reject_reason=line.reject_reason,
    )


def figures_of(message: Message) -> list[StockFigure]:
    """The figures and the deltas of a message."""
    place, mark = message.location, message.mark
    figures = [
        StockFigure(sku, place, units, position=mark.position, epoch=mark.epoch)
        for sku, units in message.figures.items()
    ]
    deltas = [
        StockFigure(
            delta.sku,
            place,
            delta=delta.change,
            position=delta.mark.position,
            previous_position=delta.previous,
            epoch=delta.mark.epoch,
        )
        for delta in message.deltas
    ]
    return figures + deltas


def organization_of(seed: int) -> str:
    """Each seed has its own."""
    return f"day-{seed}"


class Shop:
    """The channel's side: orders, cancellations and balances, pipelined. To be opened with `async with`."""

    def __init__(self, server: ServerProcess, organization: str) -> None:
        self._server = server
        self._organization = organization
        self.client = self._client("web")
        self._pipe = self.client.pipeline(timeout=_PATIENCE)
        self._reservations: dict[str, str] = {}
        self._now = START

    async def __aenter__(self) -> Self:
        policy = await self.client.get_policy()
        places = [Location(name, LocationKind.TILL, "on_hand", source="pos") for name in LOCATIONS]
        await self.client.set_policy(dataclasses.replace(policy, locations=places))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await (self._pipe.abort() if error is not None else self._pipe.aclose())
        await self.client.close()

    async def at(self, minute: int) -> None:
        """Moves the server's clock."""
        self._now = START + timedelta(minutes=minute)
        await asyncio.to_thread(self._server.move_to, self._now)

    @property
    def now(self) -> datetime:
        """The day's time."""
        return self._now

    async def sell(self, orders: Sequence[Order]) -> list[bool]:
        """Sells each order directly. Orders of the same item go one after the other, the rest together."""
        accepted: dict[str, bool] = {}
        waiting = list(orders)
        while waiting:
            wave: dict[tuple[str, str], Order] = {}
            later = [order for order in waiting if wave.setdefault((order.location, order.sku), order) is not order]
            futures = {
                order: self._pipe.consume_directly(
                    Line(order.sku, order.location, order.quantity), order_reference=order.reference
                )
                for order in wave.values()
            }
            for order, future in futures.items():
                try:
                    result = await future
                except InsufficientQuantity:
                    accepted[order.reference] = False
                else:
                    accepted[order.reference] = True
                    self._reservations[order.reference] = result.reservation_id
            waiting = later
        return [accepted[order.reference] for order in orders]

    async def cancel(self, orders: Sequence[Order]) -> list[Restock]:
        """Cancels whatever is left of each order."""
        futures = [self._pipe.cancel(self._reservations[order.reference]) for order in orders]
        results = [await future for future in futures]
        return [result.lines[0].restock if result.lines else Restock.NONE for result in results]

    async def give_up(self, order: Order, units: int) -> None:
        """Cancels what the till has rejected: it comes back at once."""
        result = await self._pipe.cancel(self._reservations[order.reference], lines={"1": units})
        restocks = {line.restock for line in result.lines}
        if restocks != {Restock.AT_ONCE}:
            raise ServiceFault(f"{units} rejected units of {order.reference} come back {sorted(restocks)}")

    async def net(self, location: str, skus: Sequence[str] = ()) -> Mapping[str, int]:
        """What may be sold, by SKU."""
        chosen = BalanceFilter(skus=skus, locations=[location], exact_path=True)
        return {balance.key.sku: balance.net async for balance in self.client.query_balance(chosen, page_size=1_000)}

    def _client(self, caller: str) -> AsyncClient:
        # Request ids of the day's time: by the wall clock they would be from another year.
        ids = Uuid7Generator(lambda: int(self._server.now.timestamp() * 1_000))
        return AsyncClient(
            self._server.target, organization=self._organization, caller=caller, request_ids=ids, timeout=_PATIENCE
        )


class Service(Shop):
    """The whole service, its tills connected by the client's own streams: SyncStock and StreamOrders."""

    name = "ringfence"

    def __init__(self, server: ServerProcess, organization: str) -> None:
        super().__init__(server, organization)
        self._till = self._client("pos")
        self._facts = self._till.stock_pipeline(timeout=_PATIENCE)
        self._feeds: dict[str, AsyncOrderFeed] = {}
        self._seen: set[str] = set()
        self.met: Counter[str] = Counter()
        """How often what: results of figures and bookings, events that were handed over again."""

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for location in LOCATIONS:
            await self.leave(location)
        await (self._facts.abort() if error is not None else self._facts.aclose())
        await self._till.close()
        await super().__aexit__(kind, error, traceback)

    async def hand_over(self, location: str, expected: Collection[Expected]) -> list[Handed]:
        """Takes events until all that are expected are there."""
        feed, missing, found = self._feed(location), set(expected), list[Handed]()
        while missing:
            events = await feed.take(_MOST_IN_FLIGHT, timeout=_PATIENCE)
            if not events:
                raise ServiceFault(f"{location} waits for {len(missing)} events, {min(missing)} among them")
            for event in events:
                if event.event_id in self._seen:
                    self.met["event again"] += 1
                    continue
                self._seen.add(event.event_id)
                handed = _handed(event)
                missing.discard((handed.reference, handed.kind))
                found.append(handed)
        return found

    async def leave(self, location: str) -> None:
        """Closes the stream of orders."""
        feed = self._feeds.pop(location, None)
        if feed is not None:
            await feed.aclose()

    async def reply(self, location: str, replies: Sequence[Reply]) -> None:
        """Answers events; each answer is durable when this returns."""
        feed = self._feed(location)
        await asyncio.gather(*(self._reply(feed, reply) for reply in replies))

    async def post(self, message: Message) -> frozenset[str]:
        """Posts figures and lines in one request; lines that are too many for it before it."""
        lines, missing = message.lines, set[str]()
        most = _MOST_ITEMS - len(message.skus) - len(message.deltas)
        while len(lines) > most:
            await self._post(message.location, lines[:most], [])
            lines = lines[most:]
        figures = figures_of(message)
        if figures or lines:
            for figure in await self._post(message.location, lines, figures):
                if figure.result is FigureResult.GAP:
                    missing.add(figure.key.sku)
        return frozenset(missing)

    async def _post(
        self, location: str, lines: Sequence[LineState], figures: Sequence[StockFigure]
    ) -> Sequence[FigureOutcome]:
        bookings = [line_booking(location, line) for line in lines]
        result = await self._facts.post_stock(figures, bookings=bookings)
        self.met.update(f"figure {figure.result}" for figure in result.outcomes)
        self.met.update(f"booking {booking.result}" for booking in result.booking_outcomes)
        for sent, figure in zip(figures, result.outcomes, strict=True):
            if figure.result not in (_RIGHT_DELTAS if sent.delta is not None else _RIGHT_FIGURES):
                raise ServiceFault(f"the figure of {figure.key.sku} at {location} is {figure.result}")
        for line, booking in zip(lines, result.booking_outcomes, strict=True):
            if booking.result not in (BookingResult.APPLIED, BookingResult.DUPLICATE):
                raise ServiceFault(f"the booking of {line.line} is {booking.result}")
        return result.outcomes

    def _feed(self, location: str) -> AsyncOrderFeed:
        feed = self._feeds.get(location)
        if feed is None:
            feed = self._feeds[location] = self._till.stream_orders(
                [location], adapter=f"till-{location}", source="pos", max_in_flight=_MOST_IN_FLIGHT, lease=_LEASE
            )
        return feed

    async def _reply(self, feed: AsyncOrderFeed, reply: Reply) -> None:
        event, answer = reply.event.event_id, reply.answer
        match answer:
            case Received():
                await feed.received(event, document_number=answer.document_number)
            case Rejected():
                await feed.rejected(event, answer.reason)
            case Cancelled():
                await feed.confirm_cancellation(event)
            case NotCancelled():
                await feed.refuse_cancellation(event, answer.reason)


def _handed(event: OrderEvent) -> Handed:
    return Handed(event.event_id, event.order_reference, event.kind, event.quantity)
