"""A till in memory, and its adapter, for tests of the runner: it books when it is told to, and knows the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence import OrderEvent, StockFigure
from ringfence.adapters import (
    Answer,
    Cancelled,
    Later,
    NotCancelled,
    PosAdapter,
    ReadReport,
    Received,
    Rejected,
    SaleTotal,
    Shown,
    TillRead,
)


@dataclass
class Till:
    """One till of the location `berlin`. What it holds survives the crash of an adapter."""

    on_hand: dict[str, int] = field(default_factory=dict)
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    """SKU and quantity by order reference."""
    booked: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    times_posted: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    shown: dict[str, int] = field(default_factory=dict)
    position: int = 0
    """The journal's position; 0: this till has none."""
    epoch: int = 0

    def book(self, order_reference: str, quantity: int | None = None) -> None:
        """Books an order, or a part of it: on hand falls."""
        sku, whole = self.orders[order_reference]
        quantity = whole if quantity is None else quantity
        self.on_hand[sku] -= quantity
        self.booked[order_reference] = self.booked.get(order_reference, 0) + quantity
        if self.booked[order_reference] >= whole:
            self.closed.add(order_reference)

    def walk_in(self, sku: str, quantity: int) -> None:
        """Somebody buys in the store."""
        self.on_hand[sku] -= quantity


class TillAdapter(PosAdapter):
    """The adapter of such a till."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.says: Received | Rejected | Cancelled | NotCancelled | Later | Exception | None = None
        self.late: list[Answer] = []
        self.reports: list[ReadReport] = []
        self.refusals: list[str] = []
        self.fails = 0
        self.closed = False
        self.full_count = False

    def read(self) -> TillRead | None:
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the till is off")
        till = self.till
        return TillRead(
            figures=[StockFigure(sku, "berlin", value) for sku, value in till.on_hand.items()],
            totals=[
                SaleTotal(
                    location="berlin",
                    order_reference=reference,
                    sku=till.orders[reference][0],
                    booked=booked,
                    closed=reference in till.closed,
                )
                for reference, booked in till.booked.items()
            ],
            position=till.position,
            epoch=till.epoch,
            full_count_of="berlin" if self.full_count else "",
        )

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Received | Rejected | Later:
        if isinstance(self.says, Exception):
            raise self.says
        if repeated:
            self.till.repeated.append(order.order_reference)
        if isinstance(self.says, (Rejected, Later)):
            return self.says
        if order.order_reference not in self.till.orders:
            self.till.orders[order.order_reference] = (order.key.sku, order.quantity)
            self.till.times_posted.append(order.order_reference)
        return Received(f"T-{order.order_reference}")

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Cancelled | NotCancelled | Later:
        if isinstance(self.says, (NotCancelled, Later)):
            return self.says
        self.till.closed.add(cancellation.order_reference)
        return Cancelled()

    def publish(self, shown: Sequence[Shown]) -> None:
        for one in shown:
            self.till.shown[one.key.sku] = one.quantity

    def posted(self, read: TillRead, report: ReadReport) -> None:
        self.reports.append(report)

    def refused(self, read: TillRead, reason: str) -> None:
        self.refusals.append(reason)

    def answers(self) -> Sequence[Answer]:
        return list(self.late)

    def answered(self, answer: Answer) -> None:
        self.late.remove(answer)

    def close(self) -> None:
        self.closed = True
