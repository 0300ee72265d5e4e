"""The commands of a pipeline by name, each with the arguments of the client's method."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from ringfence import _commands as c
from ringfence import _facts as f
from ringfence import _results as r
from ringfence._enums import CancelReason, Fallback

if TYPE_CHECKING:
    from ringfence._pipeline import CommandFuture

T = TypeVar("T")


class PipelineCommands(abc.ABC):
    """One method per command; each submits it and gives its future at once. The client's methods of the same names say
    what they mean and what awaiting the future raises."""

    @abc.abstractmethod
    def submit(self, command: c.Command[T], *, request_id: str | None = None) -> CommandFuture[T]:
        """Puts a command on its way."""

    def allocate(
        self, lines: c.Line | Iterable[c.Line], *, request_id: str | None = None
    ) -> CommandFuture[r.AllocateResult]:
        """Submits Allocate."""
        return self.submit(c.Allocate(lines), request_id=request_id)

    def unallocate(
        self,
        lines: c.Line | c.FreeLine | Iterable[c.Line | c.FreeLine],
        *,
        all_free: bool = False,
        request_id: str | None = None,
    ) -> CommandFuture[r.UnallocateResult]:
        """Submits Unallocate."""
        return self.submit(c.Unallocate(lines, all_free=all_free), request_id=request_id)

    def reallocate(
        self, lines: c.Move | Iterable[c.Move], *, request_id: str | None = None
    ) -> CommandFuture[r.ReallocateResult]:
        """Submits Reallocate."""
        return self.submit(c.Reallocate(lines), request_id=request_id)

    def reserve(
        self,
        lines: c.Line | Iterable[c.Line],
        *,
        owner: str = "",
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
        never: bool = False,
        allow_partial: bool = False,
        allow_split: bool = False,
        request_id: str | None = None,
    ) -> CommandFuture[r.ReserveResult]:
        """Submits Reserve."""
        command = c.Reserve(
            lines,
            owner=owner,
            ttl=ttl,
            expire_time=expire_time,
            never=never,
            allow_partial=allow_partial,
            allow_split=allow_split,
        )
        return self.submit(command, request_id=request_id)

    def update_reservation(
        self,
        reservation: c.ReservationLike,
        *,
        lines: Mapping[str, int] | None = None,
        owner: str | None = None,
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
        never: bool = False,
        expected_revision: int = 0,
        allow_split: bool = False,
        request_id: str | None = None,
    ) -> CommandFuture[r.UpdateReservationResult]:
        """Submits UpdateReservation."""
        command = c.UpdateReservation(
            reservation,
            lines=lines,
            owner=owner,
            ttl=ttl,
            expire_time=expire_time,
            never=never,
            expected_revision=expected_revision,
            allow_split=allow_split,
        )
        return self.submit(command, request_id=request_id)

    def consume(
        self,
        reservation: c.ReservationLike,
        *,
        lines: c.LineQuantities | None = None,
        release_rest: bool = False,
        revive: bool | None = None,
        order_reference: str = "",
        attributes: bytes = b"",
        request_id: str | None = None,
    ) -> CommandFuture[r.ConsumeResult]:
        """Submits Consume of a reservation."""
        command = c.Consume(
            reservation,
            lines=lines,
            release_rest=release_rest,
            revive=revive,
            order_reference=order_reference,
            attributes=attributes,
        )
        return self.submit(command, request_id=request_id)

    def consume_directly(
        self,
        lines: c.Line | Iterable[c.Line],
        *,
        owner: str = "",
        allow_split: bool = False,
        order_reference: str = "",
        attributes: bytes = b"",
        request_id: str | None = None,
    ) -> CommandFuture[r.ConsumeResult]:
        """Submits Consume of lines that nobody holds."""
        command = c.ConsumeDirectly(
            lines, owner=owner, allow_split=allow_split, order_reference=order_reference, attributes=attributes
        )
        return self.submit(command, request_id=request_id)

    def cancel(
        self,
        reservation: c.ReservationLike,
        *,
        lines: c.LineQuantities | None = None,
        reason: CancelReason | None = None,
        reason_text: str = "",
        request_id: str | None = None,
    ) -> CommandFuture[r.CancelResult]:
        """Submits Cancel."""
        command = c.Cancel(reservation, lines=lines, reason=reason, reason_text=reason_text)
        return self.submit(command, request_id=request_id)

    def reassign_part(
        self,
        reservation: c.ReservationLike,
        *,
        part_number: int,
        location: str,
        path: str | None = None,
        fallback: Fallback | None = None,
        quantity: int | None = None,
        request_id: str | None = None,
    ) -> CommandFuture[r.ReassignPartResult]:
        """Submits ReassignPart."""
        command = c.ReassignPart(reservation, part_number, location, path=path, fallback=fallback, quantity=quantity)
        return self.submit(command, request_id=request_id)

    def post_stock(
        self,
        figures: f.StockFigure | Iterable[f.StockFigure] = (),
        *,
        source: str = "",
        bookings: f.SaleBooking | Iterable[f.SaleBooking] = (),
        count_id: str = "",
        begin_count: f.CountBegin | None = None,
        end_count: f.CountEnd | None = None,
        request_id: str | None = None,
    ) -> CommandFuture[r.PostStockResult]:
        """Submits PostStock."""
        command = c.PostStock(
            figures,
            source=source,
            bookings=bookings,
            count_id=count_id,
            begin_count=begin_count,
            end_count=end_count,
        )
        return self.submit(command, request_id=request_id)
