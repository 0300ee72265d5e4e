"""What passes between a day and the rules that are tried on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ringfence import OrderEventKind, Restock
from ringfence.adapters import Cancelled, NotCancelled, Received, Rejected
from ringfence.adapters.simulated_till import LineState, Mark
from scripts.days.plan import Order

__all__ = ["Delta", "Expected", "Handed", "Message", "Reply", "Rules"]

Expected: TypeAlias = tuple[str, OrderEventKind]
"""An event by the order's reference and what it tells."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One movement of one item, chained to the item's movement before it."""

    sku: str
    change: int
    """What it did to on hand: negative for a sale."""
    mark: Mark
    """Where it stands in the journal."""
    previous: int
    """The position of the item's movement before it in the same epoch; 0: it is the first."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a till tells in one piece: the figures of a count, or chained deltas, if it is either, and the state of sale
    lines."""

    location: str
    number: int
    """Running, by location."""
    mark: Mark
    """The newest movement that it contains."""
    figures: Mapping[str, int]
    """On hand by SKU; empty when only deltas or lines are told."""
    lines: tuple[LineState, ...]
    """Whole states, of the moment of the mark."""
    deltas: tuple[Delta, ...] = ()
    """By position."""

    @property
    def skus(self) -> list[str]:
        """The items whose count it tells."""
        return list(dict.fromkeys((*self.figures, *(delta.sku for delta in self.deltas))))


@dataclass(frozen=True, slots=True)
class Handed:
    """An event that reached a till's adapter."""

    event_id: str
    reference: str
    kind: OrderEventKind
    quantity: int
    """Units to book, or to cancel."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a till answers to an event."""

    location: str
    event: Handed
    answer: Received | Rejected | Cancelled | NotCancelled


class Rules(Protocol):
    """A way of keeping count. Everything is told in the order in which it happens; `minute` is the day's time."""

    name: str

    async def at(self, minute: int) -> None:
        """It is so late now."""

    async def sell(self, orders: Sequence[Order]) -> list[bool]:
        """Sells each order or not: whether it did."""

    async def cancel(self, orders: Sequence[Order]) -> list[Restock]:
        """The customers give their orders up: when the units can be sold again."""

    async def give_up(self, order: Order, units: int) -> None:
        """The shop gives up units of an order that the till has rejected."""

    async def hand_over(self, location: str, expected: Collection[Expected]) -> list[Handed]:
        """The events that reach a till now: at least these."""

    async def leave(self, location: str) -> None:
        """The till's way to its orders goes down."""

    async def reply(self, location: str, replies: Sequence[Reply]) -> None:
        """What a till answers reaches the service."""

    async def post(self, message: Message) -> frozenset[str]:
        """What a till tells reaches the service. Gives the items of whose deltas the one before is missing."""

    async def net(self, location: str, skus: Sequence[str] = ()) -> Mapping[str, int]:
        """What may be sold, by SKU: of these, or of all."""
