"""What a service small enough to be seen through knows and decides, for tests of adapters: it keeps what tills post and
what shops sell, and says what is available by the one sentence that matters: the figure in force less what it does not
contain yet."""

from __future__ import annotations

import threading
import uuid
from collections import Counter

from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import balance_pb2
from ringfence.v1 import order_feed_service_pb2 as feed_pb2
from ringfence.v1 import stock_service_pb2 as stock_pb2
from tests.adapters.sales import Event, Instant, Key, Sale
from tests.client.scripted import status


class Refusal(Exception):
    """What it does not do, as the status that says so."""

    def __init__(self, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status(code, message, reason=reason)


class Books:
    """All of it. `available(sku, location)` is what it would sell; `sell` and `cancel` are a shop's."""

    def __init__(self) -> None:
        self.figures: dict[Key, tuple[Instant, int, str]] = {}
        self.sales: list[Sale] = []
        self._by_name: dict[str, Sale] = {}
        self.held: dict[str, tuple[Key, int]] = {}
        self.events: list[Event] = []
        self.handed: Counter[str] = Counter()
        self.published: list[stock_pb2.PublishedQuantity] = []
        self.posts: list[stock_pb2.PostStockRequest] = []
        self.counts: dict[str, set[Key]] = {}
        self._lock = threading.RLock()

    def changed(self) -> None:
        """There is something for a till."""

    def sell(self, sku: str, location: str, quantity: int, order_reference: str) -> Sale:
        """A shop sells; the till is told by the feed."""
        with self._lock:
            sale = Sale(str(uuid.uuid4()), (sku, location), quantity, order_reference)
            self.sales.append(sale)
            self._by_name |= {order_reference: sale, sale.reservation_id: sale}
            self._tell(sale, "ORDER_EVENT_KIND_ORDER", quantity)
            return sale

    def cancel(self, sale: Sale) -> None:
        """The shop asks the till to cancel a sale that was sent."""
        with self._lock:
            self._tell(sale, "ORDER_EVENT_KIND_CANCELLATION", sale.quantity)

    def owed(self, sku: str, location: str) -> int:
        """Units sold that the figure in force does not contain."""
        at = self.figures.get((sku, location), ((0, 0), 0, ""))[0]
        return sum(sale.owed(at) for sale in self.sales if sale.key == (sku, location))

    def available(self, sku: str, location: str) -> int:
        """What the service would sell."""
        value = self.figures.get((sku, location), ((0, 0), 0, ""))[1]
        held = sum(quantity for key, quantity in self.held.values() if key == (sku, location))
        return value - self.owed(sku, location) - held

    def replies(self) -> dict[str, str]:
        """What tills replied, by order reference and kind."""
        return {
            f"{event.message.order_reference} {event.message.kind}": str(event.replied.WhichOneof("reply"))
            for event in self.events
            if event.replied is not None
        }

    # What the RPCs do.

    def _post_stock(self, request: stock_pb2.PostStockRequest) -> stock_pb2.PostStockResponse:
        for figure in request.figures:
            if figure.key.sku.startswith("BAD"):
                raise Refusal("INVALID_ARGUMENT", "figures[0].key.sku: no such item")
        self.posts.append(request)
        answer = stock_pb2.PostStockResponse()
        if request.HasField("begin_count"):
            self.counts.setdefault(request.count_id, set())
            answer.begin_outcome.result = stock_pb2.COUNT_RESULT_BEGUN
        for booking in request.bookings:
            self._book(booking, answer.booking_outcomes.add())
        for figure in request.figures:
            key = (figure.key.sku, figure.key.location)
            if request.count_id:
                self.counts[request.count_id].add(key)
            self._post_figure(key, figure, request.source, answer.outcomes.add())
        if request.HasField("end_count"):
            mentioned = self.counts[request.count_id]
            if len(mentioned) != request.end_count.key_count:
                answer.end_outcome.result = stock_pb2.COUNT_RESULT_INCOMPLETE
            else:
                at = max(self.figures[key][0] for key in mentioned)
                for key, (instant, _, source) in list(self.figures.items()):
                    if key not in mentioned and instant < at:
                        self.figures[key] = (at, 0, source)
                answer.end_outcome.result = stock_pb2.COUNT_RESULT_APPLIED
        return answer

    def _post_figure(
        self, key: Key, figure: stock_pb2.StockFigure, source: str, outcome: stock_pb2.FigureOutcome
    ) -> None:
        instant, value = (figure.epoch, figure.position), figure.value
        if figure.HasField("previous_position"):
            known = self.figures[key]
            if instant > known[0] and (figure.epoch, figure.previous_position) > known[0]:
                outcome.key.sku, outcome.key.location = key
                outcome.result = stock_pb2.FIGURE_RESULT_GAP
                return
            value = known[1] + figure.delta
        self._figure(key, instant, value, source, outcome)

    def _figure(self, key: Key, instant: Instant, value: int, source: str, outcome: stock_pb2.FigureOutcome) -> None:
        outcome.key.sku, outcome.key.location = key
        known = self.figures.get(key)
        if known is None or instant > known[0]:
            self.figures[key] = (instant, value, source or "pos")
            outcome.result = stock_pb2.FIGURE_RESULT_APPLIED
        elif instant < known[0]:
            outcome.result = stock_pb2.FIGURE_RESULT_STALE
        else:
            same = known[1] == value
            outcome.result = stock_pb2.FIGURE_RESULT_DUPLICATE if same else stock_pb2.FIGURE_RESULT_CONFLICT

    def _book(self, booking: stock_pb2.SaleBooking, outcome: stock_pb2.BookingOutcome) -> None:
        sale = self._by_name.get(booking.part.reservation_id or booking.order.order_reference)
        if sale is None:
            outcome.result = stock_pb2.BOOKING_RESULT_UNKNOWN_ORDER
            return
        outcome.result = stock_pb2.BOOKING_RESULT_DUPLICATE
        for movement in booking.bookings:
            instant = (movement.epoch, movement.position)
            if instant not in sale.bookings:
                sale.bookings[instant] = movement.quantity
                outcome.result = stock_pb2.BOOKING_RESULT_APPLIED
            elif sale.bookings[instant] != movement.quantity:
                outcome.result = stock_pb2.BOOKING_RESULT_CONFLICT
        sale.closed = sale.closed or booking.closed or bool(booking.reject_reason)
        sale.rejected = sale.rejected or booking.reject_reason

    def _reserve(self, request: allocation_pb2.ReserveRequest) -> allocation_pb2.ReserveResponse:
        line = request.lines[0]
        key = (line.key.sku, line.key.location)
        if self.available(*key) < line.quantity:
            raise Refusal("FAILED_PRECONDITION", "not enough", "INSUFFICIENT_QUANTITY")
        answer = allocation_pb2.ReserveResponse(fill="FILL_FULL")
        answer.reservation.reservation_id = str(uuid.uuid4())
        self.held[answer.reservation.reservation_id] = (key, line.quantity)
        return answer

    def _consume(self, request: allocation_pb2.ConsumeRequest) -> allocation_pb2.ConsumeResponse:
        if request.HasField("direct"):
            line = request.direct.lines[0]
            key, quantity = (line.key.sku, line.key.location), line.quantity
            if self.available(*key) < quantity:
                raise Refusal("FAILED_PRECONDITION", "not enough", "INSUFFICIENT_QUANTITY")
        else:
            if request.reservation_id not in self.held:
                raise Refusal("FAILED_PRECONDITION", "the lease is over", "LEASE_EXPIRED")
            key, quantity = self.held.pop(request.reservation_id)
        sale = self.sell(*key, quantity, request.order_reference)
        sale.reservation_id = request.reservation_id or sale.reservation_id
        answer = allocation_pb2.ConsumeResponse()
        answer.reservation.reservation_id = sale.reservation_id
        return answer

    def _cancel(self, request: allocation_pb2.CancelRequest) -> allocation_pb2.CancelResponse:
        answer = allocation_pb2.CancelResponse()
        answer.reservation.reservation_id = request.reservation_id
        restock = "RESTOCK_AT_ONCE"
        if self.held.pop(request.reservation_id, None) is None:
            for sale in self.sales:
                if sale.reservation_id != request.reservation_id:
                    continue
                if sale.rejected:
                    sale.cancelled = sale.quantity
                else:
                    self.cancel(sale)
                    restock = "RESTOCK_WHEN_TILL_CONFIRMS"
        answer.lines.add(line_id="1", quantity=1, restock=restock)
        return answer

    def _query_balance(self, request: balance_pb2.QueryBalanceRequest) -> balance_pb2.QueryBalanceResponse:
        return balance_pb2.QueryBalanceResponse(
            balances=[
                {
                    "key": {"sku": sku, "location": location},
                    "available_to_reserve": max(0, self.available(sku, location)),
                    "net": self.available(sku, location),
                }
                for sku, location in sorted(self.figures)
            ]
        )

    def _list_stock(self, request: stock_pb2.ListStockRequest) -> stock_pb2.ListStockResponse:
        answer = stock_pb2.ListStockResponse()
        for (sku, location), (instant, value, source) in self.figures.items():
            stock = answer.stocks.add(key={"sku": sku, "location": location})
            stock.measures.add(measure="on_hand", value=value, position=instant[1], epoch=instant[0], source=source)
        return answer

    def _report_published(self, request: stock_pb2.ReportPublishedRequest) -> stock_pb2.ReportPublishedResponse:
        self.published += request.quantities
        return stock_pb2.ReportPublishedResponse(applied=len(request.quantities))

    def _replied(self, reply: feed_pb2.OrderReply) -> feed_pb2.OrderAck:
        for event in self.events:
            if event.message.event_id != reply.event_id:
                continue
            if reply.HasField("failed"):
                self.changed()
                return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_RECORDED")
            if event.replied is not None:
                return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_DUPLICATE")
            if reply.received.document_number == "REFUSE":
                error = "received.document_number: REFUSED: as the test wants it"
                return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_REFUSED", error=error)
            event.postponed = reply.HasField("postponed")
            if event.postponed:
                self.changed()
                return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_RECORDED")
            event.replied = reply
            (sale,) = (sale for sale in self.sales if sale.reservation_id == event.message.reservation_id)
            if reply.HasField("received"):
                sale.document_number = reply.received.document_number
            elif reply.HasField("rejected"):
                sale.rejected = reply.rejected.reason
            elif reply.HasField("confirm_cancellation"):
                sale.cancelled = event.message.quantity
            return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_RECORDED")
        return feed_pb2.OrderAck(event_id=reply.event_id, result="ORDER_REPLY_RESULT_UNKNOWN_EVENT")

    def _tell(self, sale: Sale, kind: str, quantity: int) -> None:
        message = feed_pb2.OrderEvent(
            event_id=str(uuid.uuid4()),
            kind=kind,
            reservation_id=sale.reservation_id,
            part_number=1,
            line_id="1",
            key={"sku": sale.key[0], "location": sale.key[1]},
            quantity=quantity,
            order_reference=sale.order_reference,
            channel="shop",
        )
        self.events.append(Event(message))
        self.changed()
