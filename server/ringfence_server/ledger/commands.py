"""What can be asked of the ledger: frozen commands, parsed at the edge. Quantities are 1 … 10^12 base units."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

from .names import StockKey
from .policy import Fallback, Policy

Dimensions: TypeAlias = tuple[tuple[str, str], ...]


class AllocationLine(NamedTuple):
    """Units for one pool."""

    key: StockKey
    path: str
    quantity: int


class UnallocationLine(NamedTuple):
    """Units that a pool gives back; None is all that is free."""

    key: StockKey
    path: str
    quantity: int | None


class ReallocationLine(NamedTuple):
    """Units that move between two pools of one key."""

    key: StockKey
    from_path: str
    to_path: str
    quantity: int


class ReserveLine(NamedTuple):
    """A line of an order. An empty location is sourced."""

    line_id: str
    key: StockKey
    path: str
    quantity: int
    fallback: Fallback | None


class LineQuantity(NamedTuple):
    """A quantity of a reservation's line; 0 is all the line has for the command (in an update: really zero)."""

    line_id: str
    quantity: int


class Lease(NamedTuple):
    """When a hold ends: at most one is set; none is the policy's default. Microseconds."""

    expire_time: int | None = None
    ttl: int | None = None
    never: bool = False


DEFAULT_LEASE = Lease()


class Allocate(NamedTuple):
    """common.a → p.a"""

    lines: tuple[AllocationLine, ...]


class Unallocate(NamedTuple):
    """p.a → common.a"""

    lines: tuple[UnallocationLine, ...]


class Reallocate(NamedTuple):
    """p1.a → p2.a"""

    lines: tuple[ReallocationLine, ...]


class Reserve(NamedTuple):
    """p.a → p.h per part"""

    lines: tuple[ReserveLine, ...]
    owner: str
    lease: Lease
    allow_partial: bool
    allow_split: bool


class UpdateReservation(NamedTuple):
    """Changes by differences; None leaves as is."""

    reservation_id: bytes
    expected_revision: int
    lines: tuple[LineQuantity, ...] | None
    lease: Lease | None
    owner: str | None


class Consume(NamedTuple):
    """p.h → p.c, or out at an OWNED location."""

    reservation_id: bytes
    lines: tuple[LineQuantity, ...]
    release_rest: bool
    revive: bool | None
    order_reference: str
    attributes: bytes


class ConsumeDirect(NamedTuple):
    """p.a → p.c, making a reservation."""

    lines: tuple[ReserveLine, ...]
    owner: str
    allow_split: bool
    order_reference: str
    attributes: bytes


class CancelReason(IntEnum):
    """Why an order was given up. The numbers are those of the contract."""

    UNSPECIFIED = 0
    CUSTOMER = 1
    PAYMENT = 2
    FRAUD = 3
    OUT_OF_STOCK = 4
    RETURNED = 5
    OTHER = 6


class Cancel(NamedTuple):
    """Takes back what is left."""

    reservation_id: bytes
    lines: tuple[LineQuantity, ...]
    reason: CancelReason
    reason_text: str


class Figure(NamedTuple):
    """One figure (``delta`` is False) or difference of one measure."""

    key: StockKey
    measure: str
    amount: int
    delta: bool
    position: int
    count_time: int | None
    expected_value: int | None


class PostStock(NamedTuple):
    """Facts; atomic over measures and keys."""

    source: str
    figures: tuple[Figure, ...]


class SetPolicy(NamedTuple):
    """Replaces the policy, compare-and-set."""

    policy: Policy
    expected_revision: int


Command: TypeAlias = (
    Allocate
    | Unallocate
    | Reallocate
    | Reserve
    | UpdateReservation
    | Consume
    | ConsumeDirect
    | Cancel
    | PostStock
    | SetPolicy
)
