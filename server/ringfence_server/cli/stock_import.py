"""`stock import`: a file of stock figures, checked as a whole before anything is posted, then posted in batches."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import import_state
from .failures import BadInput
from .import_state import ImportState, StateFile
from .output import printable, progress_bar
from .stock_file import BadLine, Figure, Rules, StockFile

if TYPE_CHECKING:
    from ringfence import Client, FigureOutcome, Outcome, PostStockResult, RingfenceError, StockFigure

BATCH_LINES: Final = 500
"""Lines of the file that travel together: one request, all or nothing. A resumed import must cut the file alike."""
_BATCHES_IN_FLIGHT: Final = 8
_NOTED_EVERY_SECONDS: Final = 1.0
_FIGURE: Final = re.compile(r"figures\[(\d+)\]")


@dataclass(slots=True)
class Report:
    """What came of an import."""

    lines: int = 0
    """Lines with figures, good ones."""
    bad_lines: list[BadLine] = field(default_factory=list)
    """Lines that were not posted."""
    counts: dict[str, int] = field(default_factory=dict)
    """Posted figures by what came of them: applied, duplicate, stale, conflict."""
    resumed_after_line: int = 0
    """Where an earlier import had stopped; 0 when there was none."""

    @property
    def posted(self) -> int:
        """Figures that the service has taken, whatever came of them."""
        return sum(self.counts.values())


class _Batch(NamedTuple):
    number: int
    figures: list[Figure]
    """Those of the batch's lines that are right; perhaps none."""

    @property
    def last_line(self) -> int:
        return (self.number + 1) * BATCH_LINES


def check(file: StockFile, rules: Rules) -> Report:
    """Reads the whole file and tells every bad line on stderr, posting nothing. Raises BadInput for a bad heading."""
    report = Report()
    with _Bar("checking", file.size, "bytes") as bar:
        for number, found in enumerate(file.figures(rules)):
            if isinstance(found, BadLine):
                report.bad_lines.append(found)
                bar.say(f"{file.name}:{found.line}: {found.reason}")
            else:
                report.lines += 1
            if number % 1_000 == 0:
                bar.show(file.bytes_read)
    return report


class Import:
    """The posting of a checked file."""

    def __init__(
        self, client: Client, file: StockFile, rules: Rules, report: Report, *, source: str, skip_bad: bool
    ) -> None:
        self._client = client
        self._file = file
        self._rules = rules
        self._report = report
        self._source = source
        self._skip_bad = skip_bad

    def run(self, state: ImportState, states: StateFile) -> None:
        """Posts what is not posted yet and forgets the state at the end.

        Raises what a post raises, and BadInput when the service refuses lines that may not be skipped; the state then
        says where to go on.
        """
        self._report.counts = state.counts
        self._report.resumed_after_line = state.lines
        noted = time.monotonic()
        with _Bar("posting", self._report.lines, "figures") as bar:
            bar.show(self._report.posted)
            try:
                for batch, outcome in self._outcomes(state):
                    for figure, came in self._settled(state, batch, outcome, bar):
                        self._take(figure, came, bar)
                    state.batches, state.lines = batch.number + 1, batch.last_line
                    bar.show(self._report.posted)
                    if time.monotonic() - noted > _NOTED_EVERY_SECONDS:
                        states.save(state)
                        noted = time.monotonic()
            except BaseException:
                states.save(state)
                raise
        states.forget()

    def _outcomes(self, state: ImportState) -> Iterator[tuple[_Batch, Outcome[PostStockResult]]]:
        from ringfence import PostStock

        sent: list[_Batch] = []

        def commands() -> Iterator[tuple[str, PostStock]]:
            for batch in _batches(self._file.figures(self._rules)):
                if batch.number >= state.batches and batch.figures:
                    sent.append(batch)
                    figures = _of(batch.figures)
                    yield state.request_id(batch.number, figures), PostStock(figures, source=self._source)

        outcomes = self._client.execute_many(
            commands(),
            timeout=self._client.config.timeout,
            max_in_flight=_BATCHES_IN_FLIGHT,
            max_commands_per_message=_BATCHES_IN_FLIGHT,
        )
        for outcome in outcomes:
            yield sent.pop(0), outcome

    def _settled(
        self, state: ImportState, batch: _Batch, outcome: Outcome[PostStockResult], bar: _Bar
    ) -> Iterable[tuple[Figure, FigureOutcome]]:
        """The figures of a batch with what came of them. What the service finds wrong, though the check found nothing,
        are bad lines too: the rest of the batch is posted without them, if that is allowed."""
        from ringfence import RingfenceError

        result, error, figures = outcome.result, outcome.error, batch.figures
        while error is not None:
            faults = _faults(error, figures)
            if not faults:
                # That the outcome is unknown is no matter here: going on sends the same ids.
                raise error.__cause__ if isinstance(error.__cause__, RingfenceError) else error
            for found in faults:
                bar.say(f"{self._file.name}:{found.line}: {found.reason}")
            if not self._skip_bad:
                raise BadInput("the service refused these lines; the same command with --skip-bad posts the others")
            self._report.bad_lines.extend(faults)
            refused = {found.line for found in faults}
            figures = [figure for figure in figures if figure.line not in refused]
            if not figures:
                return ()
            result, error = self._again(state.request_id(batch.number, _of(figures)), figures)
        return zip(figures, result.outcomes, strict=True) if result is not None else ()

    def _again(self, request_id: str, figures: list[Figure]) -> tuple[PostStockResult | None, RingfenceError | None]:
        from ringfence import RingfenceError

        try:
            return self._client.post_stock(_of(figures), source=self._source, request_id=request_id), None
        except RingfenceError as error:
            return None, error

    def _take(self, figure: Figure, came: FigureOutcome, bar: _Bar) -> None:
        counts = self._report.counts
        counts[came.result.value] = counts.get(came.result.value, 0) + 1
        if came.result == "conflict":
            bar.say(
                f"{self._file.name}:{figure.line}: conflict: position {came.position} is known with the value "
                f"{came.value}; two reads share one number, or the source is at fault"
            )


def settings_of(client: Client, file: StockFile, rules: Rules, source: str) -> dict[str, Any]:
    """What must be the same for an import to go on where it stopped."""
    config = client.config
    return {
        "content": file.digest(),
        "service": [config.target, config.organization, config.caller],
        "options": [source, rules.measure, rules.delta],
        # Other rules might take other lines for good ones, and cut the file into other batches.
        "policy": [
            list(rules.dimensions),
            sorted(rules.measures.items()),
            sorted(rules.tills.items()),
            sorted(rules.settlement.items()),
        ],
    }


def begin(states: StateFile, settings: dict[str, Any], *, restart: bool) -> ImportState:
    """The import that broke off, or a new one."""
    if restart:
        states.forget()
    return states.resume_or_begin(settings, import_state.now())


def _batches(found: Iterable[Figure | BadLine]) -> Iterator[_Batch]:
    """Cut by line numbers, not by good lines: whatever a line turns out to be, the other batches stay as they are."""
    batch = _Batch(0, [])
    for one in found:
        number = (one.line - 1) // BATCH_LINES
        if number != batch.number:
            yield batch
            batch = _Batch(number, [])
        if isinstance(one, Figure):
            batch.figures.append(one)
    yield batch


def _of(figures: Iterable[Figure]) -> list[StockFigure]:
    return [one.figure for one in figures]


def _faults(error: RingfenceError, figures: list[Figure]) -> list[BadLine]:
    """The lines that a refusal is about; none when it is about something else."""
    from ringfence import InvalidArgument, QuantityOverflow

    found: dict[int, BadLine] = {}
    if isinstance(error, (InvalidArgument, QuantityOverflow)):
        for violation in error.violations:
            place = _FIGURE.match(violation.field)
            if place is not None and int(place[1]) < len(figures):
                line = figures[int(place[1])].line
                found.setdefault(line, BadLine(line, violation.description))
    return list(found.values())


class _Bar(AbstractContextManager["_Bar"]):
    """A progress bar on a terminal's stderr, and what is said above it; elsewhere only what is said."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what = what
        self._total = total
        self._bar: Any = progress_bar(unit) if sys.stderr.isatty() else None
        self._task: Any = None

    def show(self, done: int) -> None:
        """Shows how far it is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def say(self, text: str) -> None:
        """Writes a line to stderr."""
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text(printable(text)), soft_wrap=True)
        else:
            print(printable(text), file=sys.stderr)

    def __enter__(self) -> _Bar:
        (self._bar or nullcontext()).__enter__()
        if self._bar is not None:
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(self, *raised: Any) -> None:
        (self._bar or nullcontext()).__exit__(*raised)
