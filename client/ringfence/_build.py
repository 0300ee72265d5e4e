"""Commands to protobuf requests. Pure: what a request says is decided here, for both clients and for Execute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ringfence import _commands as c
from ringfence import _facts as f
from ringfence._wire import CANCEL_REASON, FALLBACK, fill_duration, fill_timestamp
from ringfence.v1 import allocation_service_pb2 as allocation_pb2
from ringfence.v1 import common_pb2, stock_service_pb2

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

T = TypeVar("T")


class _Keyed(Protocol):
    @property
    def sku(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def dimensions(self) -> Mapping[str, str]: ...


def fill_key(message: common_pb2.StockKey, source: _Keyed) -> None:
    """Writes SKU, location and dimensions."""
    message.sku = source.sku
    if source.location:
        message.location = source.location
    if source.dimensions:
        message.dimensions.update(source.dimensions)


def id_of(reservation: c.ReservationLike) -> str:
    """The id of a reservation, however it is named."""
    return reservation if isinstance(reservation, str) else reservation.reservation_id


def allocate(message: allocation_pb2.AllocateRequest, command: c.Allocate, request_id: str) -> None:
    """Writes Allocate."""
    message.request_id = request_id
    for line in _many(command.lines, c.Line):
        if line.line_id or line.fallback is not None:
            raise ValueError(f"a line of Allocate has neither line_id nor fallback: {line}")
        added = message.lines.add()
        fill_key(added.key, line)
        added.path = line.path
        added.quantity = line.quantity


def unallocate(message: allocation_pb2.UnallocateRequest, command: c.Unallocate, request_id: str) -> None:
    """Writes Unallocate."""
    message.request_id = request_id
    for line in (command.lines,) if isinstance(command.lines, (c.Line, c.FreeLine)) else command.lines:
        added = message.lines.add()
        fill_key(added.key, line)
        added.path = line.path
        if command.all_free or isinstance(line, c.FreeLine):
            added.all_free = True
        else:
            added.quantity = line.quantity


def reallocate(message: allocation_pb2.ReallocateRequest, command: c.Reallocate, request_id: str) -> None:
    """Writes Reallocate."""
    message.request_id = request_id
    for line in _many(command.lines, c.Move):
        added = message.lines.add()
        fill_key(added.key, line)
        added.from_path = line.from_path
        added.to_path = line.to_path
        added.quantity = line.quantity


def reserve(message: allocation_pb2.ReserveRequest, command: c.Reserve, request_id: str) -> None:
    """Writes Reserve."""
    message.request_id = request_id
    _fill_reserve_lines(message.lines, command.lines)
    if command.owner:
        message.owner = command.owner
    _fill_expiration(message, command.ttl, command.expire_time, command.never)
    if command.allow_partial:
        message.allow_partial = True
    if command.allow_split:
        message.allow_split = True


def update_reservation(
    message: allocation_pb2.UpdateReservationRequest, command: c.UpdateReservation, request_id: str
) -> None:
    """Writes UpdateReservation, with the mask that says what is changed."""
    message.request_id = request_id
    message.reservation_id = id_of(command.reservation)
    message.expected_revision = command.expected_revision
    if command.allow_split:
        message.allow_split = True
    if command.lines is not None:
        message.update_mask.paths.append("lines")
        for line_id, quantity in command.lines.items():
            message.lines.add(line_id=line_id, quantity=quantity)
    if _fill_expiration(message, command.ttl, command.expire_time, command.never):
        message.update_mask.paths.append("expiration")
    if command.owner is not None:
        message.update_mask.paths.append("owner")
        message.owner = command.owner
    if not message.update_mask.paths:
        raise ValueError("nothing to update: give lines, owner, or one of ttl, expire_time and never")


def consume(message: allocation_pb2.ConsumeRequest, command: c.Consume, request_id: str) -> None:
    """Writes Consume of a reservation."""
    message.request_id = request_id
    message.reservation_id = id_of(command.reservation)
    _fill_line_quantities(message.lines, command.lines)
    if command.release_rest:
        message.release_rest = True
    if command.revive is not None:
        message.revive = allocation_pb2.REVIVE_YES if command.revive else allocation_pb2.REVIVE_NO
    message.order_reference = command.order_reference
    message.attributes = command.attributes


def consume_directly(message: allocation_pb2.ConsumeRequest, command: c.ConsumeDirectly, request_id: str) -> None:
    """Writes Consume of lines that nobody holds."""
    message.request_id = request_id
    direct = message.direct
    direct.SetInParent()
    _fill_reserve_lines(direct.lines, command.lines)
    direct.owner = command.owner
    direct.allow_split = command.allow_split
    message.order_reference = command.order_reference
    message.attributes = command.attributes


def cancel(message: allocation_pb2.CancelRequest, command: c.Cancel, request_id: str) -> None:
    """Writes Cancel."""
    message.request_id = request_id
    message.reservation_id = id_of(command.reservation)
    _fill_line_quantities(message.lines, command.lines)
    if command.reason is not None:
        message.reason = CANCEL_REASON.number(command.reason)
    message.reason_text = command.reason_text


def reassign_part(message: allocation_pb2.ReassignPartRequest, command: c.ReassignPart, request_id: str) -> None:
    """Writes ReassignPart."""
    message.request_id = request_id
    message.reservation_id = id_of(command.reservation)
    message.part_number = command.part_number
    message.location = command.location
    if command.path is not None:
        message.path = command.path
    if command.fallback is not None:
        message.fallback = FALLBACK.number(command.fallback)
    if command.quantity is not None:
        # On the wire 0 is "all of the part": a computed 0 must not move everything.
        if command.quantity == 0:
            raise ValueError("quantity is 0: say None for all of the part that may move")
        message.quantity = command.quantity


def post_stock(message: stock_service_pb2.PostStockRequest, command: c.PostStock, request_id: str) -> None:
    """Writes PostStock."""
    message.request_id = request_id
    message.source = command.source
    for figure in _many(command.figures, f.StockFigure):
        _fill_figure(message.figures.add(), figure)
    for sale in _many(command.bookings, f.SaleBooking):
        _fill_sale(message.bookings.add(), sale)
    message.count_id = command.count_id
    if not command.count_id and (command.begin_count is not None or command.end_count is not None):
        raise ValueError("begin_count and end_count need a count_id: the source's own name of the full count")
    if command.begin_count is not None:
        begin = command.begin_count
        message.begin_count.location = begin.location
        message.begin_count.measure = begin.measure
        message.begin_count.position = begin.position
        message.begin_count.epoch = begin.epoch
    if command.end_count is not None:
        message.end_count.SetInParent()
        message.end_count.key_count = command.end_count.key_count
        message.end_count.confirmed = command.end_count.confirmed


def _fill_figure(message: stock_service_pb2.StockFigure, figure: f.StockFigure) -> None:
    fill_key(message.key, figure)
    message.measure = figure.measure
    if (figure.value is None) == (figure.delta is None):
        raise ValueError(f"a figure has either a value or a delta: {figure}")
    if figure.value is not None:
        message.value = figure.value
    elif figure.delta is not None:
        message.delta = figure.delta
    message.position = figure.position
    if figure.previous_position is not None:
        if figure.delta is None:
            raise ValueError(f"previous_position chains a delta; a value needs none: {figure}")
        message.previous_position = figure.previous_position
    if figure.epoch:
        message.epoch = figure.epoch
    if figure.count_time is not None:
        fill_timestamp(message.count_time, figure.count_time, "count_time")
    if figure.expected_value is not None:
        message.expected_value = figure.expected_value


def _fill_sale(message: stock_service_pb2.SaleBooking, sale: f.SaleBooking) -> None:
    reservation_id = id_of(sale.reservation)
    if bool(reservation_id) == bool(sale.order_reference):
        raise ValueError(f"a sale is named either by reservation and part_number or by order_reference: {sale}")
    if reservation_id:
        message.part.reservation_id = reservation_id
        message.part.part_number = sale.part_number
    else:
        message.order.order_reference = sale.order_reference
        message.order.channel = sale.channel
        message.order.line_id = sale.line_id
        message.order.sku = sale.sku
        message.order.dimensions.update(sale.dimensions)
    message.location = sale.location
    for booking in _many(sale.bookings, f.Booking):
        message.bookings.add(position=booking.position, quantity=booking.quantity, epoch=booking.epoch)
    message.closed = sale.closed
    message.reject_reason = sale.reject_reason


def _many(lines: T | Iterable[T], kind: type[T]) -> Iterable[T]:
    """The lines, be it one or many."""
    if isinstance(lines, kind):
        return (lines,)
    return lines  # type: ignore[return-value]  # what is not one line is many


def _fill_reserve_lines(
    target: RepeatedCompositeFieldContainer[allocation_pb2.ReserveLine], lines: c.Line | Iterable[c.Line]
) -> None:
    for line in _many(lines, c.Line):
        added = target.add()
        fill_key(added.key, line)
        added.quantity = line.quantity
        if line.path:
            added.path = line.path
        if line.line_id:
            added.line_id = line.line_id
        if line.fallback is not None:
            added.fallback = FALLBACK.number(line.fallback)


def _fill_line_quantities(
    target: RepeatedCompositeFieldContainer[common_pb2.LineQuantity], lines: c.LineQuantities | None
) -> None:
    if lines is None:
        return
    named: Iterable[tuple[str, int | None]]
    if isinstance(lines, Mapping):
        named = lines.items()
    else:
        named = ((line_id, None) for line_id in ((lines,) if isinstance(lines, str) else lines))
    for line_id, quantity in named:
        # On the wire 0 is "all of the line": a computed 0 must not sell or cancel everything.
        if quantity == 0:
            raise ValueError(f"line {line_id!r} has quantity 0: leave the line out, or say None for all it has")
        target.add(line_id=line_id, quantity=quantity)
    if not target:
        # Likewise, no lines at all is "everything" on the wire.
        raise ValueError("no line is named: leave lines out to mean all of them")


def _fill_expiration(message: Any, ttl: timedelta | None, expire_time: datetime | None, never: bool) -> bool:
    """Writes the one end of the lease that was given; False when none was."""
    given = (ttl is not None) + (expire_time is not None) + never
    if given > 1:
        raise ValueError("give only one of ttl, expire_time and never")
    if ttl is not None:
        fill_duration(message.ttl, ttl)
    elif expire_time is not None:
        fill_timestamp(message.expire_time, expire_time, "expire_time")
    elif never:
        message.never = True
    return bool(given)
