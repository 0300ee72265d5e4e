"""From a till's read to the service: positions, bookings before figures, full counts.

Nothing is lost or doubled when the program ends between any two steps: what gives a booking its position is durable
before it is posted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ringfence._client import Client
from ringfence._commands import PostStock
from ringfence._enums import BookingResult, CountResult, FigureResult
from ringfence._errors import InvalidArgument, Refused
from ringfence._facts import CountBegin, CountEnd, StockFigure
from ringfence._results import PostStockResult
from ringfence._types import StockKey
from ringfence.adapters._metrics import Counters
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._sales import SaleLine, Sales, key_of
from ringfence.adapters._state import StateFile
from ringfence.adapters._types import AdapterError, ReadReport, TillRead

T = TypeVar("T")

_log = logging.getLogger("ringfence.adapters")

MOST_ITEMS = 2_000
"""Bookings and figures of one request."""
MOST_REFUSALS = 100
"""Refusals of one read that are spelled out."""
MOST_CONTINUES = 10_000
"""Times that the end of one full count is sent, when the service zeroes its keys piece by piece."""


@dataclass(slots=True)
class _Posted:
    """What came of the posts of one read."""

    results: Counter[str]
    unknown_orders: list[str]
    refusals: list[str]
    gaps: list[StockKey]
    needs_confirmation: bool = False


class ReadDesk:
    """Takes reads from an adapter to the service."""

    def __init__(
        self,
        adapter: PosAdapter,
        client: Client,
        state: StateFile,
        *,
        source: str,
        name: str,
        counters: Counters,
        checkpoint: Callable[[str], None],
    ) -> None:
        self._adapter = adapter
        self._client = client
        self._state = state
        self._source = source
        self._name = name
        self._counters = counters
        self._checkpoint = checkpoint
        values = state.values
        self._reads: int = int(values.get("reads", 0))
        epoch, position = values.get("last", (0, 0))
        self._last: tuple[int, int] = (int(epoch), int(position))
        self._sales = Sales(values.get("sales", ()))

    def read(self) -> bool:
        """One read, posted; False when there was nothing new.

        Raises what the adapter raises, and RingfenceError when the service could not be reached.
        """
        read = self._adapter.read()
        self._checkpoint("read")
        if read is None:
            self._counters.reads_empty += 1
            return False
        position = self._assign(read)
        self._save()
        self._checkpoint("positions saved")
        posted = self._post(read, position)
        self._checkpoint("posted")
        report = ReadReport(
            position,
            dict(posted.results),
            posted.unknown_orders,
            posted.needs_confirmation,
            list(dict.fromkeys(posted.gaps)),
        )
        self._count(read, posted)
        if posted.refusals:
            _log.warning("a part of the read at %d was refused, the first is %s", position, posted.refusals[0])
            self._adapter.refused(read, "\n".join(posted.refusals))
        else:
            self._adapter.posted(read, report)
        self._checkpoint("read handed back")
        self._save()
        return True

    def _assign(self, read: TillRead) -> int:
        """The position of a read, and of what it saw booked for the first time."""
        if read.bookings and not read.position:
            raise AdapterError(
                "bookings carry journal positions, so the read needs the journal's position too; a till without a "
                "journal gives totals"
            )
        _check_named_once(read)
        self._reads += 1
        position = read.position or max(self._reads, self._last[1] + 1 if read.epoch == self._last[0] else 0)
        instant = (read.epoch, position)
        # Totals of an older read say less than is known: they must not look like reversals.
        if instant > self._last:
            for total in read.totals:
                self._sales.take_total(total, epoch=read.epoch, position=position, read=self._reads)
        for sale in read.bookings:
            self._sales.take_booking(sale, read=self._reads)
        self._counters.sales_forgotten += self._sales.forget(self._reads)
        self._last = max(self._last, instant)
        return position

    def _save(self) -> None:
        self._state.save({"reads": self._reads, "last": list(self._last), "sales": self._sales.values()})

    def _post(self, read: TillRead, position: int) -> _Posted:
        posted = _Posted(Counter(), [], [], [])
        lines = self._sales.unconfirmed()
        figures = [_placed(figure, read, position) for figure in read.figures]
        count_id = ""
        if read.full_count_of:
            count_id = f"{self._name[:30]}-{read.epoch}-{position}"
            if not self._begin(read, position, count_id, posted):
                return posted
        if len(lines) + len(figures) <= MOST_ITEMS:
            self._send(posted, lines, figures, count_id)
        else:
            # A figure must not come before the bookings that it contains.
            for start in range(0, len(lines), MOST_ITEMS):
                self._send(posted, lines[start : start + MOST_ITEMS], [], "")
            self._send_figures(posted, figures, count_id)
        if read.full_count_of:
            self._end(figures, count_id, posted)
        return posted

    def _begin(self, read: TillRead, position: int, count_id: str, posted: _Posted) -> bool:
        begin = CountBegin(read.full_count_of, position, epoch=read.epoch)
        try:
            result = self._client.post_stock(source=self._source, count_id=count_id, begin_count=begin)
        except (InvalidArgument, Refused) as error:
            posted.refusals.append(_words(error))
            return False
        if result.begin_outcome is not None:
            posted.results[f"count {result.begin_outcome.result}"] += 1
        self._checkpoint("count begun")
        return True

    def _end(self, figures: Sequence[StockFigure], count_id: str, posted: _Posted) -> None:
        keys = len({(figure.sku, figure.location, *sorted(figure.dimensions.items())) for figure in figures})
        self._checkpoint("count posted")
        for _ in range(MOST_CONTINUES):
            try:
                result = self._client.post_stock(source=self._source, count_id=count_id, end_count=CountEnd(keys))
            except (InvalidArgument, Refused) as error:
                posted.refusals.append(_words(error))
                return
            outcome = result.end_outcome
            if outcome is None or outcome.result is not CountResult.CONTINUE:
                break
        else:
            raise AdapterError(f"the full count {count_id} did not end")
        if outcome is not None:
            posted.results[f"count {outcome.result}"] += 1
            posted.needs_confirmation = outcome.result is CountResult.NEEDS_CONFIRMATION

    def _send(self, posted: _Posted, lines: Sequence[SaleLine], figures: Sequence[StockFigure], count_id: str) -> None:
        """Posts bookings and figures in one request. What is refused is found by halves, and the rest is taken."""
        if not lines and not figures:
            return
        bookings = [line.booking() for line in lines]
        try:
            result = self._client.post_stock(figures, source=self._source, bookings=bookings, count_id=count_id)
        except (InvalidArgument, Refused) as error:
            self._isolate(posted, lines, figures, count_id, error)
            return
        self._take(posted, result, lines)
        self._checkpoint("part posted")

    def _isolate(
        self,
        posted: _Posted,
        lines: Sequence[SaleLine],
        figures: Sequence[StockFigure],
        count_id: str,
        error: InvalidArgument | Refused,
    ) -> None:
        if len(lines) + len(figures) > 1:
            # Bookings still before figures. A booking that is refused leaves its sale owed: too low, never too high.
            for half in _halves(lines):
                self._send(posted, half, [], "")
            for part in _halves(figures):
                self._send(posted, [], part, count_id)
            return
        if len(posted.refusals) < MOST_REFUSALS:
            named = _line_named(lines[0]) if lines else _figure_named(figures[0])
            posted.refusals.append(f"{named}: {_words(error)}")
        for line in lines:
            self._sales.confirm(line, self._reads)

    def _send_figures(self, posted: _Posted, figures: Sequence[StockFigure], count_id: str) -> None:
        parts = [figures[start : start + MOST_ITEMS] for start in range(0, len(figures), MOST_ITEMS)]
        posts = (PostStock(part, source=self._source, count_id=count_id) for part in parts)
        outcomes = self._client.sync_stock(posts, max_in_flight=8, max_commands_per_message=1)
        for part, outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome.error, (InvalidArgument, Refused)):
                self._isolate(posted, (), part, count_id, outcome.error)
            else:
                self._take(posted, outcome.unwrap(), ())

    def _take(self, posted: _Posted, result: PostStockResult, lines: Sequence[SaleLine]) -> None:
        for figure in result.outcomes:
            posted.results[f"figure {figure.result}"] += 1
            if figure.result is FigureResult.GAP:
                posted.gaps.append(figure.key)
        for line, booking in zip(lines, result.booking_outcomes, strict=True):
            posted.results[f"booking {booking.result}"] += 1
            if booking.result is BookingResult.UNKNOWN_ORDER:
                posted.unknown_orders.append(line.name[1] or line.name[5])
            else:
                self._sales.confirm(line, self._reads)

    def _count(self, read: TillRead, posted: _Posted) -> None:
        counters, results = self._counters, posted.results
        counters.reads += 1
        counters.reads_refused += bool(posted.refusals)
        counters.figures += len(read.figures)
        counters.bookings += sum(count for name, count in results.items() if name.startswith("booking "))
        counters.stale += results[f"figure {FigureResult.STALE}"]
        counters.conflicts += results[f"figure {FigureResult.CONFLICT}"] + results[f"booking {BookingResult.CONFLICT}"]
        counters.unknown_orders += len(posted.unknown_orders)
        counters.counts_to_confirm += posted.needs_confirmation


def _figure_named(figure: StockFigure) -> str:
    dimensions = "".join(f", {name} {value!r}" for name, value in sorted(figure.dimensions.items()))
    return f"figure of {figure.sku!r}{dimensions} at {figure.location!r}"


def _line_named(line: SaleLine) -> str:
    location, order_reference, channel, line_id, sku, reservation_id, part_number = line.name
    sale = f"order {order_reference!r}" if order_reference else f"part {part_number} of reservation {reservation_id}"
    parts = [(channel, "of channel"), (line_id, "line"), (sku, "item")]
    return f"booking of {sale}{''.join(f' {word} {name!r}' for name, word in parts if name)} at {location!r}"


def _check_named_once(read: TillRead) -> None:
    """A key, or a line, with two quantities at one position: which one is true nobody can know."""
    seen: set[tuple[Any, ...]] = set()
    for figure in read.figures:
        name = (figure.sku, figure.location, figure.measure, figure.position, *sorted(figure.dimensions.items()))
        if name in seen:
            raise AdapterError(f"the read has two of the {_figure_named(figure)}: one a key, added up")
        seen.add(name)
    lines: set[tuple[Any, ...]] = set()
    for total in read.totals:
        line = key_of(total)
        if line in lines:
            raise AdapterError(f"the read has two totals of order {total.order_reference!r}: one a line, added up")
        lines.add(line)


def _words(error: InvalidArgument | Refused) -> str:
    return f"{error} [{error.reason or error.code}]"


def _halves(items: Sequence[T]) -> list[Sequence[T]]:
    middle = (len(items) + 1) // 2
    return [half for half in (items[:middle], items[middle:]) if half]


def _placed(figure: StockFigure, read: TillRead, position: int) -> StockFigure:
    """A figure with the read's position and time, where it has none of its own."""
    given: dict[str, Any] = {}
    if not figure.position:
        given |= {"position": position, "epoch": read.epoch}
    if figure.count_time is None and read.count_time is not None:
        given["count_time"] = read.count_time
    return replace(figure, **given) if given else figure
