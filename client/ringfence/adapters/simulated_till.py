"""A till in memory with a journal that can be asked what was true when.

It books online orders, walk-ins, returns and deliveries, in parts, with reversals and rejections, and can be replaced
(a new epoch). Nothing in it knows of Ringfence: a simulation passes on what `read` says, late, twice or not at all, and
judges the answers by `value_at`, `booked_at` and `owed_at`. Quantities are base units, and positions count movements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["JournalEntry", "LineState", "Mark", "Reading", "SimulatedTill"]


@dataclass(frozen=True, order=True, slots=True)
class Mark:
    """A place in the journal: positions compare within an epoch, and a higher epoch is newer."""

    epoch: int
    """The till's life, from 0."""
    position: int
    """The journal's number of a movement, from 1; 0 is before the first."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One movement of on hand."""

    mark: Mark
    """Where it stands in the journal."""
    sku: str
    """The item."""
    change: int
    """What it did to on hand: negative for a sale."""
    line: str
    """The online order line that it belongs to; empty for walk-ins, returns, deliveries and corrections."""


@dataclass(frozen=True, slots=True)
class LineState:
    """All that the till can say of one online order line: its whole state."""

    line: str
    """The line, as `accept` was told."""
    sku: str
    """The item."""
    bookings: tuple[tuple[Mark, int], ...]
    """Movements of the line by mark: units by which on hand fell, negative when they were reversed."""
    closed: bool
    """Whether the till books nothing more for it."""
    reject_reason: str
    """Why the till will not serve it; empty when it does."""
    document_number: str
    """The till's own number of the order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent read: figures and bookings of the same moment."""

    mark: Mark
    """The newest movement that it contains."""
    figures: Mapping[str, int]
    """On hand by SKU."""
    lines: Mapping[str, LineState]
    """Every online order line that the till has accepted."""


@dataclass(slots=True)
class _Line:
    sku: str
    ordered: int
    document_number: str
    bookings: list[tuple[Mark, int]] = field(default_factory=list)
    closed: bool = False
    reject_reason: str = ""

    def booked(self) -> int:
        return sum(quantity for _, quantity in self.bookings)


class SimulatedTill:
    """The till of one location."""

    def __init__(self, location: str, on_hand: Mapping[str, int]) -> None:
        """A till that starts with these units of each SKU, at position 0 of epoch 0."""
        self.location = location
        self.epoch = 0
        self.position = 0
        self._units = dict(on_hand)
        self._openings: list[dict[str, int]] = [dict(on_hand)]
        self._journals: list[list[JournalEntry]] = [[]]
        self._lines: dict[str, _Line] = {}
        self._history: dict[str, list[tuple[Mark, int]]] = {}
        """What was booked for each line, as it happened: not what a new till's journal begins with."""

    @property
    def mark(self) -> Mark:
        """The newest movement."""
        return Mark(self.epoch, self.position)

    def on_hand(self, sku: str) -> int:
        """Units that the till shows now."""
        return self._units.get(sku, 0)

    def entries(self) -> Iterator[JournalEntry]:
        """Every movement so far, oldest first, of all epochs."""
        for journal in self._journals:
            yield from journal

    # --- what happens in the shop ------------------------------------------------------------------------------------

    def walk_in(self, sku: str, quantity: int) -> JournalEntry:
        """A customer buys in the shop."""
        return self._move(sku, -quantity, "")

    def take_back(self, sku: str, quantity: int) -> JournalEntry:
        """A customer brings something back."""
        return self._move(sku, quantity, "")

    def deliver(self, sku: str, quantity: int) -> JournalEntry:
        """Goods arrive."""
        return self._move(sku, quantity, "")

    def accept(self, line: str, sku: str, quantity: int) -> str:
        """Takes an online order line, once however often it is told; answers the till's own document number. Nothing is
        booked by it."""
        known = self._lines.get(line)
        if known is None:
            known = self._lines[line] = _Line(sku, quantity, f"T{len(self._lines) + 1}")
            self._history[line] = []
        return known.document_number

    def book(self, line: str, quantity: int | None = None) -> JournalEntry:
        """The goods of an online order line leave: all that is not booked yet, or so many units."""
        known = self._lines[line]
        units = known.ordered - known.booked() if quantity is None else quantity
        return self._book(line, units)

    def reverse(self, line: str, quantity: int | None = None) -> JournalEntry:
        """Booked units of a line come back: all, or so many."""
        units = self._lines[line].booked() if quantity is None else quantity
        return self._book(line, -units)

    def close(self, line: str) -> None:
        """Nothing more is booked for the line: it is complete, or given up."""
        self._lines[line].closed = True

    def reject(self, line: str, reason: str) -> None:
        """The line, or the rest of it, will not be served."""
        known = self._lines[line]
        known.closed, known.reject_reason = True, reason

    def replace(self, on_hand: Mapping[str, int] | None = None) -> None:
        """Another till takes over in a new epoch, with the units that the old one showed or these. Its journal starts
        with everything that was booked and reversed for lines before, so that it can tell their whole state in its own
        positions: a line of which only the sum were kept could not be told when all of it was reversed."""
        self.epoch += 1
        self.position = 0
        if on_hand is not None:
            self._units = dict(on_hand)
        self._journals.append([])
        opening = dict(self._units)
        for name, line in self._lines.items():
            before, line.bookings = line.bookings, []
            for _, quantity in before:
                # What is booked is out of the shop: the opening count is of before.
                opening[line.sku] = opening.get(line.sku, 0) + quantity
                self._record(name, line, quantity)
        self._openings.append(opening)

    # --- what it tells, and what was true ----------------------------------------------------------------------------

    def read(self) -> Reading:
        """Figures and bookings of now, in one consistent read."""
        return Reading(self.mark, dict(self._units), {name: self.state_of(name) for name in self._lines})

    def state_of(self, line: str) -> LineState:
        """The whole state of one line. Raises KeyError for a line that the till never accepted."""
        known = self._lines[line]
        return LineState(
            line, known.sku, tuple(known.bookings), known.closed, known.reject_reason, known.document_number
        )

    def value_at(self, sku: str, mark: Mark) -> int:
        """What a figure of this mark says: the opening count of its epoch and every movement up to it."""
        moved = sum(entry.change for entry in self._journals[mark.epoch] if entry.sku == sku and entry.mark <= mark)
        return self._openings[mark.epoch].get(sku, 0) + moved

    def movements(self, line: str) -> tuple[tuple[Mark, int], ...]:
        """What was booked for a line in all epochs, each movement once and with the mark at which it happened, oldest
        first. Raises KeyError for a line that the till never accepted."""
        return tuple(self._history[line])

    def booked_at(self, line: str, mark: Mark) -> int:
        """Units of a line that a figure of this mark contains; what an older till booked, every figure of a newer."""
        return sum(quantity for at, quantity in self._history.get(line, ()) if at <= mark)

    def owed_at(self, line: str, mark: Mark, ordered: int) -> int:
        """Units by which a figure of this mark is too high for a sale of ``ordered`` units, by all that is known today:
        what the journal books for it beyond the mark, and what the till has neither booked nor given up."""
        contained = min(max(0, self.booked_at(line, mark)), ordered)
        known = self._lines.get(line)
        if known is None:
            return ordered - contained
        total = ever = beyond = 0
        for at, quantity in self._history[line]:
            total += quantity
            ever = max(ever, total)
            if at > mark:
                beyond = max(beyond, total)
        owed = max(0, min(beyond, ordered) - contained)
        if not known.closed:
            return max(owed, ordered - contained)
        if known.reject_reason or known.booked() > 0:
            owed += max(0, ordered - ever)
        return owed

    def _move(self, sku: str, change: int, line: str) -> JournalEntry:
        self.position += 1
        self._units[sku] = self._units.get(sku, 0) + change
        entry = JournalEntry(self.mark, sku, change, line)
        self._journals[self.epoch].append(entry)
        return entry

    def _book(self, line: str, quantity: int) -> JournalEntry:
        known = self._lines[line]
        entry = self._move(known.sku, -quantity, line)
        known.bookings.append((entry.mark, quantity))
        self._history[line].append((entry.mark, quantity))
        return entry

    def _record(self, name: str, line: _Line, quantity: int) -> None:
        self.position += 1
        entry = JournalEntry(self.mark, line.sku, -quantity, name)
        self._journals[self.epoch].append(entry)
        line.bookings.append((entry.mark, quantity))
