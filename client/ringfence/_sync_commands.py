# Written by scripts/generate from _async_commands.py: change it there.
"""The mutating calls of Client, one method per RPC."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from ringfence import _commands as c
from ringfence import _facts as f
from ringfence import _results as r
from ringfence._enums import CancelReason, Fallback

T = TypeVar("T")


class Commands(abc.ABC):
    """One method per mutating RPC; each makes its command and sends it."""

    @abc.abstractmethod
    def send(self, command: c.Command[T], *, request_id: str | None = None, timeout: timedelta | None = None) -> T:
        """Sends a command as a call of its own and gives its result.

        `request_id` is made when there is none; the same id again has the same outcome. `timeout` is the deadline over
        all tries; None is the client's. Every method below takes both.

        Raises InvalidArgument, RequestIdReused, RequestTooOld; Overloaded, RateLimited or Unavailable when nothing was
        done; OutcomeUnknown when that is not known; Unauthenticated, PermissionDenied; the method's own refusals; and
        ValueError or TypeError, before anything is sent, for a command that cannot be written.
        """

    def allocate(
        self,
        lines: c.Line | Iterable[c.Line],
        *,
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> r.AllocateResult:
        """Moves free units from the common pool to the pools of the lines' paths, before any order exists.

        Raises InsufficientQuantity when the common pool has less free or a quota cap is reached, StockNotFound.
        """
        return self.send(c.Allocate(lines), request_id=request_id, timeout=timeout)

    def unallocate(
        self,
        lines: c.Line | c.FreeLine | Iterable[c.Line | c.FreeLine],
        *,
        all_free: bool = False,
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> r.UnallocateResult:
        """Gives free units of pools back to the common pool; with `all_free`, or of a FreeLine, whatever is free.

        Raises InsufficientQuantity when a pool has fewer free, StockNotFound.
        """
        return self.send(c.Unallocate(lines, all_free=all_free), request_id=request_id, timeout=timeout)

    def reallocate(
        self,
        lines: c.Move | Iterable[c.Move],
        *,
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> r.ReallocateResult:
        """Moves free units between pools of the same stock key, lines in order.

        Raises InsufficientQuantity when a pool has fewer free or a quota cap is reached, StockNotFound.
        """
        return self.send(c.Reallocate(lines), request_id=request_id, timeout=timeout)

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
        timeout: timedelta | None = None,
    ) -> r.ReserveResult:
        """Ties units to an order under a lease: all lines or nothing, unless `allow_partial`.

        Of `ttl`, `expire_time` and `never` at most one; none is the policy's default lease. A repeat with the same
        `request_id` renews no lease.

        Raises InsufficientQuantity with every short line, StockNotFound.
        """
        command = c.Reserve(
            lines,
            owner=owner,
            ttl=ttl,
            expire_time=expire_time,
            never=never,
            allow_partial=allow_partial,
            allow_split=allow_split,
        )
        return self.send(command, request_id=request_id, timeout=timeout)

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
        timeout: timedelta | None = None,
    ) -> r.UpdateReservationResult:
        """Changes a reservation by differences: `lines` holds whole new held quantities by `line_id`, 0 gives a line
        back; what is left out stays as it is.

        Raises ReservationNotFound, LeaseExpired, NotHeld, RevisionMismatch, and InsufficientQuantity for an increase.
        """
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
        return self.send(command, request_id=request_id, timeout=timeout)

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
        timeout: timedelta | None = None,
    ) -> r.ConsumeResult:
        """Makes held units a sale: all that is held, or `lines` by `line_id` (None is all of a line). What is not
        named stays held under the same lease unless `release_rest`. It means "sold", not "shipped".

        Raises ReservationNotFound, LeaseExpired (and InsufficientQuantity for a `revive` that is short), NotHeld,
        OrderReferenceInUse.
        """
        command = c.Consume(
            reservation,
            lines=lines,
            release_rest=release_rest,
            revive=revive,
            order_reference=order_reference,
            attributes=attributes,
        )
        return self.send(command, request_id=request_id, timeout=timeout)

    def consume_directly(
        self,
        lines: c.Line | Iterable[c.Line],
        *,
        owner: str = "",
        allow_split: bool = False,
        order_reference: str = "",
        attributes: bytes = b"",
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> r.ConsumeResult:
        """Sells lines that nobody holds, all or nothing; a reservation is made and answered.

        Raises InsufficientQuantity with every short line, StockNotFound, OrderReferenceInUse.
        """
        command = c.ConsumeDirectly(
            lines, owner=owner, allow_split=allow_split, order_reference=order_reference, attributes=attributes
        )
        return self.send(command, request_id=request_id, timeout=timeout)

    def cancel(
        self,
        reservation: c.ReservationLike,
        *,
        lines: c.LineQuantities | None = None,
        reason: CancelReason | None = None,
        reason_text: str = "",
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> r.CancelResult:
        """Takes back whatever is left of a reservation, in every state, what was sold included; with `lines` it is
        strict. Look at `restock` for when the units can be sold again.

        Raises ReservationNotFound, and NotHeld when a named line has less left.
        """
        command = c.Cancel(reservation, lines=lines, reason=reason, reason_text=reason_text)
        return self.send(command, request_id=request_id, timeout=timeout)

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
        timeout: timedelta | None = None,
    ) -> r.ReassignPartResult:
        """Moves units that a till rejected, or has not been sent yet, to another location and sells them there.

        `path` None is the line's own, "" the common pool; `quantity` None is all that may move. Raises
        InsufficientQuantity, NotRejected, ReservationNotFound, StockNotFound.
        """
        command = c.ReassignPart(reservation, part_number, location, path=path, fallback=fallback, quantity=quantity)
        return self.send(command, request_id=request_id, timeout=timeout)

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
        timeout: timedelta | None = None,
    ) -> r.PostStockResult:
        """Posts figures, differences and bookings of sale lines as one transaction: bookings are taken first, figures
        second, the end of a full count last. A fact is never refused for what it makes negative.

        Raises ValueMismatch when an `expected_value` does not hold, QuantityOverflow.
        """
        command = c.PostStock(
            figures,
            source=source,
            bookings=bookings,
            count_id=count_id,
            begin_count=begin_count,
            end_count=end_count,
        )
        return self.send(command, request_id=request_id, timeout=timeout)
