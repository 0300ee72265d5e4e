"""The replay itself: invoices in their order, as commands of one pipeline.

Orders are decided in the order of the file, because one stream is decided in the order in which it was written: each
order is reserved in its turn, and consumed as soon as its reservation has an id, which moves nothing that another order
could get. What brings something back must know the reservation: it waits for the answers of the orders it is about, and
everything after it waits with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import timedelta
from typing import TypeAlias, TypeVar

from ringfence import (
    AsyncClient,
    AsyncPipeline,
    CancelReason,
    CancelResult,
    ClientClosed,
    CommandFuture,
    ConsumeResult,
    Fallback,
    Fill,
    InsufficientQuantity,
    Level,
    Line,
    Location,
    OutcomeUnknown,
    PathRule,
    PermissionDenied,
    PostStockResult,
    ReserveResult,
    Restock,
    RingfenceError,
    Shortage,
    StockFigure,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from scripts.replaying.invoices import Invoice
from scripts.replaying.plan import Plan
from scripts.replaying.purchases import Match, PurchaseLine, Purchases, Sale
from scripts.replaying.tally import GRANTED_IN_PART, Bound, Tally

LOCATION = "warehouse"
"""The one location of the shop; the service keeps its count."""

_LINES_PER_REQUEST = 2_000
_MOST_COMMANDS = 100_000
_POINTLESS = (ClientClosed, OutcomeUnknown, PermissionDenied, Unauthenticated, Unavailable, Unsupported)
"""After one of these the next command would fare no better."""

T = TypeVar("T")
Work: TypeAlias = Coroutine[None, None, None]
Decided: TypeAlias = "tuple[ReserveResult, CommandFuture[ConsumeResult]]"


class Stopped(Exception):
    """Going on is pointless, for instance because the service is gone; its text says why."""


class Room:
    """Bounds the lines on their way. One task takes, others give."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None

    async def take(self, lines: int) -> None:
        """Waits until the lines fit, or until nothing else is on its way."""
        while self._taken and self._taken + lines > self._most:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._taken += lines

    def give(self, lines: int) -> None:
        """The lines are answered. The taker wakes when a quarter is free: so commands travel in company."""
        self._taken -= lines
        if self._waiter is not None and not self._waiter.done() and self._taken <= self._most * 3 // 4:
            self._waiter.set_result(None)


class Replay:
    """Replays invoices against an organization without stock."""

    def __init__(
        self,
        client: AsyncClient,
        plan: Plan,
        tally: Tally,
        *,
        partial: bool = False,
        lines_in_flight: int = 8_192,
        timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        """`partial` lets orders be granted in part. `timeout` is how long a command may wait for its answer."""
        self._client = client
        self._plan = plan
        self._tally = tally
        self._partial = partial
        self._timeout = timeout
        self._room = Room(lines_in_flight)
        self._purchases = Purchases(plan.brought_back)
        self._undecided: dict[Sale, asyncio.Task[Decided | None]] = {}
        self._stopped: RingfenceError | None = None
        self.seconds = 0.0
        """How long `run` took, from the first order to the last answer."""

    async def set_up(self) -> None:
        """Sets the policy, posts the opening stock and allocates the quotas. Raises RingfenceError."""
        policy = dataclasses.replace(
            await self._client.get_policy(),
            levels=[Level("channel"), Level("region")],
            path_rules=[PathRule("", fallback=Fallback.ANCESTORS)],
            locations=[Location(LOCATION)],
        )
        await self._client.set_policy(policy)
        figures = (StockFigure(sku, LOCATION, units) for sku, units in self._plan.opening.items())
        for some in _batches(figures):
            await self._client.post_stock(some, source="opening", timeout=self._timeout)
        for sku, units in self._plan.opening.items():
            self._tally.of(sku).opening = units
        quotas = (
            Line(sku, LOCATION, units, path=path)
            for sku, paths in self._plan.quotas.items()
            for path, units in paths.items()
        )
        for lines in _batches(quotas):
            await self._client.allocate(lines, timeout=self._timeout)

    async def run(self, invoices: Iterable[Invoice], progress: Callable[[], None] = lambda: None) -> None:
        """Replays the invoices and returns when everything is answered. Refusals and errors go into the tally, and
        `progress` is called after each invoice. Raises Stopped when going on is pointless."""
        began = time.perf_counter()
        # What is on its way is bounded by its lines; the pipeline's own bound, of commands, must not come first.
        pipeline = self._client.pipeline(timeout=self._timeout, max_in_flight=_MOST_COMMANDS)
        async with pipeline as pipe, asyncio.TaskGroup() as tasks:
            await self._submit_all(invoices, pipe, tasks, progress)
            if self._stopped is not None:
                await pipe.abort()  # nobody need wait for what will not come
        self.seconds = time.perf_counter() - began
        if self._stopped is not None:
            raise Stopped(f"{type(self._stopped).__name__}: {self._stopped}") from self._stopped

    async def _submit_all(
        self, invoices: Iterable[Invoice], pipe: AsyncPipeline, tasks: asyncio.TaskGroup, progress: Callable[[], None]
    ) -> None:
        for invoice in invoices:
            await self._room.take(invoice.lines)
            await pipe.ready()
            if self._stopped is not None:
                return
            work: list[Work] = []
            try:
                if invoice.sold:
                    work.append(self._sell(invoice, pipe, tasks))
                if invoice.returned:
                    work.append(await self._bring_back(invoice, pipe))
                if invoice.written_off:
                    work.append(self._write_off(invoice, pipe))
            except RingfenceError as error:
                self._failed(error, f"submit {invoice.number}")  # the pipeline has ended by itself
            tasks.create_task(self._finish(invoice, work, progress))

    async def _finish(self, invoice: Invoice, work: list[Work], progress: Callable[[], None]) -> None:
        for each in work:
            await each
        self._room.give(invoice.lines)
        self._tally.invoices += 1
        self._tally.lines += invoice.lines
        self._tally.file_lines += invoice.file_lines
        progress()

    # Each of these submits at once and gives what is to be done with the answers.

    def _sell(self, invoice: Invoice, pipe: AsyncPipeline, tasks: asyncio.TaskGroup) -> Work:
        lines = [Line(sku, LOCATION, quantity, path=invoice.path) for sku, quantity in invoice.sold]
        reserved = pipe.reserve(lines, owner=invoice.customer or "guest", allow_partial=self._partial)
        sale = Sale(invoice)
        bought = self._purchases.add(sale)
        deciding = tasks.create_task(self._decide(sale, bought, reserved, pipe))
        if bought:
            # Somebody may have to wait for it.
            self._undecided[sale] = deciding
            deciding.add_done_callback(lambda _: self._undecided.pop(sale))
        return self._sold(sale, deciding)

    async def _bring_back(self, invoice: Invoice, pipe: AsyncPipeline) -> Work:
        found: list[Match] = []
        unknown: Counter[str] = Counter()
        for units in invoice.returned:
            matches, left = self._purchases.take_back(invoice.customer, units)
            found += matches
            if left:
                unknown[units.sku] += left
        waited_for = {self._undecided[match.line.sale] for match in found if match.line.sale in self._undecided}
        if waited_for:
            await asyncio.wait(waited_for)
        cancelled = [
            (sale, lines, self._cancel(sale, lines, invoice, pipe)) for sale, lines in self._really_sold(found).items()
        ]
        posted = None
        if unknown:
            figures = [StockFigure(sku, LOCATION, delta=quantity) for sku, quantity in unknown.items()]
            posted = pipe.post_stock(figures, source="returns")
        return self._brought_back(invoice, cancelled, unknown, posted)

    def _write_off(self, invoice: Invoice, pipe: AsyncPipeline) -> Work:
        lost: Counter[str] = Counter()
        for sku, quantity in invoice.written_off:
            lost[sku] += quantity
        figures = [StockFigure(sku, LOCATION, delta=-quantity) for sku, quantity in lost.items()]
        return self._wrote_off(invoice, lost, pipe.post_stock(figures, source="write-offs"))

    def _really_sold(self, matches: list[Match]) -> dict[Sale, Counter[str]]:
        """By sale and line, the units that the customer really got; those of refused orders are void."""
        sold: dict[Sale, Counter[str]] = {}
        for line, quantity in matches:
            real = line.give_back(quantity)
            self._tally.void_units += quantity - real
            if real:
                sold.setdefault(line.sale, Counter())[line.line_id] += real
        return sold

    def _cancel(
        self, sale: Sale, lines: Counter[str], invoice: Invoice, pipe: AsyncPipeline
    ) -> CommandFuture[CancelResult]:
        same_day = sale.invoice.time.date() == invoice.time.date()
        reason = CancelReason.CUSTOMER if same_day else CancelReason.RETURNED
        return pipe.cancel(sale.reservation_id, lines=dict(lines), reason=reason, reason_text=invoice.number)

    async def _decide(
        self, sale: Sale, bought: list[PurchaseLine], reserved: CommandFuture[ReserveResult], pipe: AsyncPipeline
    ) -> Decided | None:
        """Waits for the reservation and submits its consumption, so that a cancellation submitted after this finds a
        sale. None when there is no reservation."""
        invoice = sale.invoice
        try:
            result = await reserved
        except InsufficientQuantity as refusal:
            self._tally.commands += 1
            self._tally.refuse(invoice, map(_bound, refusal.shortages))
            return None
        except RingfenceError as error:
            self._failed(error, f"reserve {invoice.number}")
            return None
        self._tally.commands += 1
        sale.reservation_id = result.reservation_id
        lines = result.reservation.lines  # in the order in which they were asked for, line_id "1" first
        for line in bought:
            line.granted = lines[int(line.line_id) - 1].granted
        try:
            return result, pipe.consume(result.reservation_id, order_reference=invoice.number)
        except RingfenceError as error:
            self._failed(error, f"consume {invoice.number}")
            return None

    async def _sold(self, sale: Sale, deciding: asyncio.Task[Decided | None]) -> None:
        decided = await deciding
        if decided is None:
            return
        (reserved, consuming), tally, number = decided, self._tally, sale.invoice.number
        consumed = await self._answer(consuming, f"consume {number}")
        if consumed is None:
            return
        tally.accepted += 1
        tally.accepted_lines += len(sale.invoice.sold)
        tally.in_part += reserved.fill is Fill.PARTIAL
        for line in reserved.reservation.lines:
            sold = consumed.consumed.get(line.line_id, 0)
            if sold != line.granted:
                tally.error("sold other than granted", f"{number}, line {line.line_id}")
            tally.of(line.key.sku).sold += sold
            if line.granted < line.requested:
                missing = line.requested - line.granted
                tally.refused_units += missing
                tally.short(Bound(GRANTED_IN_PART, line.path, line.path, line.key.sku), missing)

    async def _brought_back(
        self,
        invoice: Invoice,
        cancelled: list[tuple[Sale, Counter[str], CommandFuture[CancelResult]]],
        unknown: Counter[str],
        posted: CommandFuture[PostStockResult] | None,
    ) -> None:
        tally = self._tally
        tally.cancellations += 1
        for sale, lines, future in cancelled:
            what = f"cancel {invoice.number} of {sale.invoice.number}"
            result = await self._answer(future, what)
            if result is None:
                continue
            if {line.line_id: line.quantity for line in result.lines} != lines or any(
                line.restock is not Restock.AT_ONCE for line in result.lines
            ):
                tally.error("cancelled other than asked", what)
            for line in result.lines:
                tally.of(sale.invoice.sold[int(line.line_id) - 1].sku).cancelled += line.quantity
        if posted is not None and await self._answer(posted, f"return {invoice.number}") is not None:
            for sku, quantity in unknown.items():
                tally.of(sku).returned += quantity

    async def _wrote_off(self, invoice: Invoice, lost: Counter[str], posted: CommandFuture[PostStockResult]) -> None:
        self._tally.write_offs += 1
        if await self._answer(posted, f"write-off {invoice.number}") is not None:
            for sku, quantity in lost.items():
                self._tally.of(sku).written_off += quantity

    async def _answer(self, future: CommandFuture[T], what: str) -> T | None:
        """The answer of a command that nothing may refuse; None when it failed, which is noted."""
        try:
            result = await future
        except RingfenceError as error:
            self._failed(error, what)
            return None
        self._tally.commands += 1
        return result

    def _failed(self, error: RingfenceError, what: str) -> None:
        if self._stopped is not None:
            return  # what follows is no news
        self._tally.error(error, what)
        if isinstance(error, _POINTLESS):
            self._stopped = error


def _bound(shortage: Shortage) -> tuple[Bound, int]:
    bound = Bound(str(shortage.reason), shortage.path, shortage.bound_path, shortage.key.sku)
    return bound, shortage.requested - shortage.available


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    """As many as one request may carry, until all are given."""
    source = iter(values)
    while batch := list(itertools.islice(source, _LINES_PER_REQUEST)):
        yield batch
