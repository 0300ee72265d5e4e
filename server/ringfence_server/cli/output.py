"""How results are written: tables for people, JSON for scripts.

On a terminal a table is rich's; in a pipe it is plain columns without colour. Neither cuts a cell. Notes that are not
the result go to stderr.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import IO, Any, Final, Generic, NamedTuple, TypeVar, cast

T = TypeVar("T")

COMMON_POOL: Final = "(common)"
"""How the empty path is shown."""
NOTHING: Final = "-"
"""How an empty cell is shown: a blank one would shift the columns of whoever splits at blanks."""
_GAP: Final = 1
"""Blanks between two columns on a terminal, beside the one that the line below the heading breaks at."""
_CHUNK: Final = 1_000
"""Rows that are laid out together; a longer table's columns only grow wider from one chunk to the next."""


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    numeric: bool = False
    """Numbers stand on the right."""


Cell = str | int | None


def write_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], file: IO[str] | None = None) -> int:
    """Writes a table and answers how many rows it had; without rows nothing is written."""
    file = file or sys.stdout
    texts = ([cell_text(cell) for cell in row] for row in rows)
    return (_write_rich if file.isatty() else _write_plain)(columns, texts, file)


class Limited(Generic[T]):
    """The first `limit` of some items, 0 being all; `cut` says afterwards whether there were more."""

    def __init__(self, items: Iterable[T], limit: int) -> None:
        self._items = iter(items)
        self._limit = min(limit, sys.maxsize)

    def __iter__(self) -> Iterator[T]:
        return islice(self._items, self._limit or None)

    @property
    def cut(self) -> bool:
        """Whether something was left out; looks for one more."""
        return bool(self._limit) and next(self._items, None) is not None


def write_note(text: str) -> None:
    """Says something about the result, on stderr."""
    print(f"ringfence: {printable(text)}", file=sys.stderr)


def write_cut(items: Limited[Any], shown: str) -> None:
    """Says, if something was left out, that `shown` is not all."""
    if items.cut:
        write_note(f"these are the {shown}; --limit 0 shows all")


def write_json(document: Any) -> None:
    """Writes one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def write_json_line(document: Any) -> None:
    """Writes a JSON document on one line, at once: whoever reads it is waiting for it."""
    print(json.dumps(document, ensure_ascii=False, separators=(",", ":")), flush=True)


def write_json_list(name: str, items: Limited[T], plain: Callable[[T], Any], last: dict[str, Any]) -> None:
    """Writes ``{name: [item, …], **last, "more": …}`` with an item a line, each as it comes.

    `last` is read after the items. `more` is true when a limit left some out.
    """
    rest = iter(items)
    # Before anything is written: of a service that is away the error is then the whole document.
    first = list(islice(rest, 1))
    write = sys.stdout.write
    write(f"{{{json.dumps(name)}: [")
    separator = "\n"
    for item in chain(first, rest):
        write(f"{separator}  {json.dumps(plain(item), ensure_ascii=False)}")
        separator = ",\n"
    write("]" if separator == "\n" else "\n]")
    for key, value in {**last, "more": items.cut}.items():
        write(f",\n{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    write("}\n")


def counted(count: int, noun: str) -> str:
    """ "1 line", "2 lines", "0 entries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{count} {noun}s"


def cell_text(cell: Cell) -> str:
    """A cell as text, safe to show."""
    if cell is None or cell == "":
        return NOTHING
    return printable(cell) if isinstance(cell, str) else str(cell)


def path_text(path: str) -> str:
    """A group path as it is shown."""
    return path or COMMON_POOL


def time_text(instant: datetime | None, absent: str = "") -> str:
    """An instant for people, to the second, as options take it back."""
    return absent if instant is None else f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def exact_time_text(instant: datetime | None, absent: str = "") -> str:
    """An instant to the microsecond, where it matters which of two was first."""
    if instant is None:
        return absent
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.removesuffix(".000000") + "Z"


def span_text(span: timedelta) -> str:
    """A span as `--ttl` takes it back: "1d2h", "15m", "1.5s"."""
    text = ""
    rest = span
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1))):
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    if rest:
        seconds = f"{rest.seconds}.{rest.microseconds:06d}".rstrip("0").rstrip(".")
        text += f"{seconds}s"
    return text or "0s"


def age_text(age: timedelta) -> str:
    """How old something is, in whole seconds."""
    return span_text(timedelta(seconds=round(age.total_seconds())))


def printable(text: str) -> str:
    """The text without control characters: a label must not steer the terminal that shows it."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def progress_bar(unit: str) -> Any:
    """A rich progress bar on stderr that goes when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _chunks(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


class Layout:
    """Plain columns whose widths only grow."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def grow(self, row: Sequence[str]) -> None:
        """Makes room for a row."""
        missing = len(row) - len(self._widths)
        self._widths.extend([0] * missing)
        for number, cell in enumerate(row):
            self._widths[number] = max(self._widths[number], len(cell))

    def line(self, row: Sequence[str], numeric: Sequence[bool]) -> str:
        """The row as a line; a cell is never cut."""
        self.grow(row)
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, self._widths, numeric, strict=False)
        ]
        return "  ".join(cells).rstrip()


def _write_plain(columns: Sequence[Column], rows: Iterator[list[str]], file: IO[str]) -> int:
    layout = Layout()
    headings = [column.heading for column in columns]
    numeric = [column.numeric for column in columns]
    count = 0
    for chunk in _chunks(rows):
        lines = chunk if count else [headings, *chunk]
        for row in lines:
            layout.grow(row)
        file.writelines(f"{layout.line(row, numeric)}\n" for row in lines)
        count += len(chunk)
    return count


def _write_rich(columns: Sequence[Column], rows: Iterator[list[str]], file: IO[str]) -> int:
    from rich.console import Console

    console = Console(file=file)
    count = 0
    for chunk in _chunks(rows):
        table, width = rich_table(columns, chunk, headings=not count)
        # A table that is too wide is left to the terminal, which breaks its lines: squeezed columns cannot be read.
        console.width = max(console.width, width)
        console.print(table)
        count += len(chunk)
    return count


def rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, headings: bool = True) -> tuple[Any, int]:
    """The rows as a rich table, and its width. Headings are broken between words where the cells below are narrower."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD if headings else None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=headings,
        header_style="bold",
    )
    total = 0
    for number, column in enumerate(columns):
        longest_word = max(map(len, column.heading.split()))
        width = max(longest_word, *(cell_len(row[number]) for row in rows)) if rows else longest_word
        heading = Text("\n".join(textwrap.wrap(column.heading, width)))
        justify = cast("Any", "right" if column.numeric else "left")
        table.add_column(heading, justify=justify, vertical="bottom", min_width=width, no_wrap=True)
        total += width + 1 + _GAP  # the box has a blank between columns
    for row in rows:
        table.add_row(*map(Text, row))
    return table, total


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> int:
    """How many columns, from the left, fit into a width."""
    for count in range(len(columns), 1, -1):
        if rich_table(columns[:count], [row[:count] for row in rows])[1] <= width:
            return count
    return 1
