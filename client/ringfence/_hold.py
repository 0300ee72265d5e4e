"""A hold that lasts as long as a block of code, and is given back at its end unless it was consumed."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ringfence._commands import Cancel, Command, Consume, LineQuantities, Reserve, UpdateReservation
from ringfence._errors import LeaseExpired, NotHeld, OutcomeUnknown, RingfenceError
from ringfence._results import ConsumeResult, UpdateReservationResult
from ringfence._types import Reservation

if TYPE_CHECKING:
    from ringfence._async_client import AsyncClient
    from ringfence._client import Client

__all__ = ["AsyncHold", "Hold"]

# The lease ended in the meantime, or someone else gave the units back: there is nothing left to do.
_HELD_NO_MORE = (LeaseExpired, NotHeld)


class _HoldState:
    """What a hold knows of itself, and how it must end."""

    def __init__(self, command: Reserve) -> None:
        self._command = command
        self._reservation: Reservation | None = None
        self._kept = False
        self._sold = False

    @property
    def reservation(self) -> Reservation:
        """The reservation as last answered; RuntimeError before the block is entered."""
        if self._reservation is None:
            raise RuntimeError("the hold begins when its block is entered")
        return self._reservation

    @property
    def reservation_id(self) -> str:
        """The reservation's id."""
        return self.reservation.reservation_id

    @property
    def expire_time(self) -> datetime | None:
        """When the hold ends by itself; None is never."""
        return self.reservation.expire_time

    def keep(self) -> None:
        """Leaves the rest of the hold to its lease: leaving the block does not cancel it."""
        self._kept = True

    def _consumed(self, result: ConsumeResult) -> None:
        self._reservation = result.reservation
        self._sold = True

    def _consume_failed(self, error: RingfenceError) -> None:
        # A sale that may have happened must not be cancelled: whoever repeats it with its id would be told that it
        # stands. If it did not happen, the lease gives the units back.
        if isinstance(error, OutcomeUnknown):
            self._kept = True

    def _ending(self) -> Command[Any] | None:
        """What gives back the rest; None when there is no rest, or it shall stay."""
        if self._kept or self._reservation is None:
            return None
        if not self._sold:
            return Cancel(self._reservation.reservation_id)
        # Cancel would take back what was sold in this block too.
        left = {line.line_id: 0 for line in self._reservation.lines if line.held}
        return UpdateReservation(self._reservation.reservation_id, lines=left) if left else None


class AsyncHold(_HoldState):
    """A hold for the time of an `async with` block. Leaving the block gives back what was not consumed, on an exception
    and on the task's cancellation too: the task then ends after the answer, at most the client's timeout later."""

    def __init__(self, client: AsyncClient, command: Reserve, request_id: str | None) -> None:
        super().__init__(command)
        self._client = client
        self._request_id = request_id

    async def consume(
        self,
        *,
        lines: LineQuantities | None = None,
        release_rest: bool = False,
        revive: bool | None = None,
        order_reference: str = "",
        attributes: bytes = b"",
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> ConsumeResult:
        """Sells the hold, or some lines of it; leaving the block then gives back only what is still held.

        When the outcome is unknown, the hold is left to its lease. Raises what `AsyncClient.consume` raises.
        """
        command = Consume(
            self.reservation_id,
            lines=lines,
            release_rest=release_rest,
            revive=revive,
            order_reference=order_reference,
            attributes=attributes,
        )
        try:
            result = await self._client.send(command, request_id=request_id, timeout=timeout)
        except RingfenceError as error:
            self._consume_failed(error)
            raise
        except asyncio.CancelledError:
            # The request may be on its way: as unknown as a lost answer.
            self._kept = True
            raise
        self._consumed(result)
        return result

    async def extend(
        self,
        *,
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
        never: bool = False,
        timeout: timedelta | None = None,
    ) -> UpdateReservationResult:
        """Gives the hold a new end. Raises what `AsyncClient.update_reservation` raises."""
        command = UpdateReservation(self.reservation_id, ttl=ttl, expire_time=expire_time, never=never)
        result = await self._client.send(command, timeout=timeout)
        self._reservation = result.reservation
        return result

    async def __aenter__(self) -> AsyncHold:
        reserving = asyncio.ensure_future(self._client.send(self._command, request_id=self._request_id))
        try:
            result = await asyncio.shield(reserving)
        except asyncio.CancelledError:
            # The request is on its way: a hold that nobody knows of would stand until its lease ends.
            await _outlast(reserving)
            with contextlib.suppress(RingfenceError):
                self._reservation = reserving.result().reservation
                await self._give_back()
            raise
        self._reservation = result.reservation
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._give_back()
        except RingfenceError as failure:
            if error is None:
                raise
            error.add_note(f"the hold {self.reservation_id} could not be cancelled and ends with its lease: {failure}")

    async def _give_back(self) -> None:
        command = self._ending()
        if command is None:
            return
        giving_back = asyncio.ensure_future(self._client.send(command))
        cancelled = await _outlast(giving_back)
        with contextlib.suppress(*_HELD_NO_MORE):
            giving_back.result()
        if cancelled:
            raise asyncio.CancelledError


class Hold(_HoldState):
    """A hold for the time of a `with` block. Leaving it gives back what was not consumed, on an exception too."""

    def __init__(self, client: Client, command: Reserve, request_id: str | None) -> None:
        super().__init__(command)
        self._client = client
        self._request_id = request_id

    def consume(
        self,
        *,
        lines: LineQuantities | None = None,
        release_rest: bool = False,
        revive: bool | None = None,
        order_reference: str = "",
        attributes: bytes = b"",
        request_id: str | None = None,
        timeout: timedelta | None = None,
    ) -> ConsumeResult:
        """Sells the hold, or some lines of it; leaving the block then gives back only what is still held.

        When the outcome is unknown, the hold is left to its lease. Raises what `Client.consume` raises.
        """
        command = Consume(
            self.reservation_id,
            lines=lines,
            release_rest=release_rest,
            revive=revive,
            order_reference=order_reference,
            attributes=attributes,
        )
        try:
            result = self._client.send(command, request_id=request_id, timeout=timeout)
        except RingfenceError as error:
            self._consume_failed(error)
            raise
        except Exception:
            # A command that cannot be written was never sent.
            raise
        except BaseException:
            # Interrupted on the way: as unknown as a lost answer.
            self._kept = True
            raise
        self._consumed(result)
        return result

    def extend(
        self,
        *,
        ttl: timedelta | None = None,
        expire_time: datetime | None = None,
        never: bool = False,
        timeout: timedelta | None = None,
    ) -> UpdateReservationResult:
        """Gives the hold a new end. Raises what `Client.update_reservation` raises."""
        command = UpdateReservation(self.reservation_id, ttl=ttl, expire_time=expire_time, never=never)
        result = self._client.send(command, timeout=timeout)
        self._reservation = result.reservation
        return result

    def __enter__(self) -> Hold:
        self._reservation = self._client.send(self._command, request_id=self._request_id).reservation
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        command = self._ending()
        if command is None:
            return
        try:
            with contextlib.suppress(*_HELD_NO_MORE):
                self._client.send(command)
        except RingfenceError as failure:
            if error is None:
                raise
            error.add_note(f"the hold {self.reservation_id} could not be cancelled and ends with its lease: {failure}")


async def _outlast(task: asyncio.Future[Any]) -> bool:
    """Waits for the end of `task` however often the waiting one is cancelled. True when it was."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
