"""A file of stock figures: CSV with a heading, line by line as a figure, or as what is wrong with the line.

Columns: `sku`, `location`, `quantity`; and if they are there `measure`, `position` and one for each dimension of the
policy. Cells lose the blanks around them; lines without any text are passed over. The delimiter is whatever of comma,
semicolon and tab the heading has; gzip is recognised by its first bytes.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase, TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

from . import inputs
from .failures import BadInput

if TYPE_CHECKING:
    from ringfence import Policy, StockFigure

MAX_QUANTITY: Final = inputs.MAX_QUANTITY
_MAX_POSITION: Final = 2**63 - 1
_MAX_SKU: Final = 128
_MAX_NAME: Final = 64
_REQUIRED: Final = ("sku", "location", "quantity")
_OPTIONAL: Final = ("measure", "position")
_BUILT_IN_MEASURES: Final = {"on_hand": "figure", "safety_stock": "figure"}
_SETTLEMENT: Final = "on_hand"
_GZIP: Final = b"\x1f\x8b"


class Figure(NamedTuple):
    """A line that is right."""

    line: int
    """The line's number in the file, from 1, the heading being line 1."""
    figure: StockFigure


class BadLine(NamedTuple):
    """A line that is not."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a line is judged by beside its form."""

    dimensions: tuple[str, ...]
    """The policy's."""
    measures: Mapping[str, str]
    """The policy's, with their kinds "figure" and "counter"."""
    tills: Mapping[str, str]
    """Locations whose count a till keeps, with their settlement measure."""
    settlement: Mapping[str, str]
    """The settlement measure of the locations that the policy lists."""
    measure: str = ""
    """The measure of lines that name none; empty: the location's settlement measure."""
    delta: bool = False
    """Whether quantities are differences."""

    @classmethod
    def of(cls, policy: Policy, *, measure: str, delta: bool) -> Rules:
        """The rules of a policy."""
        return cls(
            dimensions=tuple(policy.dimensions),
            measures={one.name: one.kind.value for one in policy.measures} or _BUILT_IN_MEASURES,
            tills={one.name: one.settlement_measure or _SETTLEMENT for one in policy.locations if one.kind == "till"},
            settlement={one.name: one.settlement_measure or _SETTLEMENT for one in policy.locations},
            measure=measure,
            delta=delta,
        )


class StockFile:
    """A file that can be read several times. stdin ("-") is kept in a temporary file for that."""

    def __init__(self, path: str) -> None:
        """Opens it; OSError when it cannot be."""
        self.name = "stdin" if path == "-" else path
        self._file: BufferedIOBase = _kept(sys.stdin.buffer) if path == "-" else open(path, "rb")  # noqa: SIM115
        self.size = self._file.seek(0, 2)
        """Bytes, as it lies there."""

    def __enter__(self) -> StockFile:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """How far the present reading is."""
        return self._file.tell()

    def digest(self) -> str:
        """What tells this content from any other."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

    def figures(self, rules: Rules) -> Iterator[Figure | BadLine]:
        """Every line, in order.

        Raises:
            BadInput: the heading is not one, or the file is not UTF-8 text, or broken gzip.
        """
        try:
            yield from self._figures(rules)
        except (gzip.BadGzipFile, EOFError) as error:
            raise BadInput(f"{self.name}: broken gzip: {error}") from None

    def _figures(self, rules: Rules) -> Iterator[Figure | BadLine]:
        with contextlib.closing(_records(self._text())) as records:
            heading = next(records, None)
            if heading is None:
                raise BadInput(f"{self.name} is empty: it begins with a heading such as sku,location,quantity")
            if isinstance(heading, BadLine):
                raise BadInput(f"{self.name}:{heading.line}: {heading.reason}")
            reader = _LineReader(_columns(heading[1], rules, self.name), rules)
            for record in records:
                yield record if isinstance(record, BadLine) else reader.read(*record)

    def _text(self) -> TextIOWrapper:
        self._file.seek(0)
        start = self._file.read(2)
        self._file.seek(0)
        content: Any = gzip.GzipFile(fileobj=self._file) if start == _GZIP else self._file
        # What is not UTF-8 becomes a bad line and not the end of the reading.
        return TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")


class _LineReader:
    """Records as figures."""

    def __init__(self, columns: list[str], rules: Rules) -> None:
        self._columns = columns
        self._rules = rules
        self._seen: dict[int, int] = {}

    def read(self, line: int, cells: list[str]) -> Figure | BadLine:
        """The figure, or why there is none."""
        try:
            return Figure(line, self._figure(line, cells))
        except BadInput as error:
            return BadLine(line, str(error))

    def _figure(self, line: int, cells: list[str]) -> StockFigure:
        from ringfence import StockFigure

        if len(cells) != len(self._columns):
            raise BadInput(f"{len(cells)} cells, the heading has {len(self._columns)}")
        row = dict(zip(self._columns, cells, strict=True))
        rules = self._rules
        sku = _name(row["sku"], "sku", _MAX_SKU)
        location = _name(row["location"], "location", _MAX_NAME)
        dimensions = {
            name: _name(row[name], name, _MAX_NAME, required=False) for name in rules.dimensions if name in row
        }
        amount = inputs.whole_number(row["quantity"], "quantity")
        if abs(amount) > MAX_QUANTITY:
            raise BadInput(f"quantity is -10^12 to 10^12; got {amount}")
        measure = self._measure(row.get("measure", "") or rules.measure, location)
        position = _position(row.get("position", ""))
        if not rules.delta:
            self._once(line, (sku, location, tuple(dimensions.items()), measure, position), position)
            if not position and rules.tills.get(location):
                raise BadInput(f"position is missing: a till ({location}) numbers its figures")
        return StockFigure(
            sku,
            location,
            None if rules.delta else amount,
            delta=amount if rules.delta else None,
            measure=row.get("measure", "") or rules.measure,
            position=position,
            dimensions=dimensions,
        )

    def _measure(self, name: str, location: str) -> str:
        """The measure that is meant; what the policy would refuse is a bad line here."""
        rules = self._rules
        settlement = rules.settlement.get(location, _SETTLEMENT)
        measure = name or settlement
        kind = rules.measures.get(measure)
        if kind is None:
            raise BadInput(f"measure {measure!r} is not one of the policy's: {', '.join(rules.measures)}")
        if rules.delta and kind == "figure" and (measure != settlement or location in rules.tills):
            raise BadInput(f"measure {measure!r} takes absolute values here, not differences (--delta)")
        if not rules.delta and kind == "counter":
            raise BadInput(f"measure {measure!r} is a counter: it takes differences (--delta)")
        return measure

    def _once(self, line: int, what: tuple[Any, ...], position: int) -> None:
        # The same figure twice is two opinions of one count: which of them holds would be chance.
        first = self._seen.setdefault(hash(what), line)
        if first != line:
            same = "sku, location, dimensions, measure and position" if position else "sku, location and dimensions"
            raise BadInput(f"the same {same} as line {first}: which of the two is right?")


def _records(text: TextIOWrapper) -> Generator[tuple[int, list[str]] | BadLine]:
    """Records with the number of the line they begin on; those without any text are left out."""
    try:
        delimiter = _delimiter(text)
        reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                yield BadLine(line, f"not CSV: {error}")
                continue
            if any(cells):
                yield line, cells
    finally:
        # The file below is read again: it must not be closed with this reading. A reading that was given up may end
        # after the file.
        with contextlib.suppress(ValueError):
            text.detach()


def _delimiter(text: TextIOWrapper) -> str:
    heading = text.readline()
    text.seek(0)
    return max(",;\t", key=heading.count)


def _columns(heading: list[str], rules: Rules, name: str) -> list[str]:
    """The heading's columns; the contract's own in lower case."""
    if any(_is_not_utf8(cell) for cell in heading):
        raise BadInput(f"{name} is not UTF-8 text: save it as CSV UTF-8")
    own = (*_REQUIRED, *_OPTIONAL)
    columns = [cell.lower() if cell.lower() in own and cell not in rules.dimensions else cell for cell in heading]
    known = (*own, *rules.dimensions)
    faults = [f"the column {one!r} is missing" for one in _REQUIRED if one not in columns]
    faults += [f"the column {one!r} stands there twice" for one in sorted(set(columns)) if columns.count(one) > 1]
    dimensions = f"the policy's dimensions are {', '.join(rules.dimensions)}" if rules.dimensions else ""
    faults += [
        f"the column {one!r} is neither {', '.join(own)} nor a dimension: "
        f"{dimensions or 'the policy has no dimensions'}{inputs.did_you_mean(one, known)}"
        for one in columns
        if one not in known
    ]
    if faults:
        raise BadInput("\n".join([f"{name}:1: the heading is not one of stock figures", *faults]))
    return columns


def _name(text: str, what: str, longest: int, *, required: bool = True) -> str:
    if required and not text:
        raise BadInput(f"{what} is empty")
    if len(text) > longest:
        raise BadInput(f"{what} has {len(text)} characters, at most {longest} are allowed")
    if not text.isprintable():
        if _is_not_utf8(text):
            raise BadInput(f"{what} is not UTF-8 text")
        if any(character < " " or "\x7f" <= character <= "\x9f" for character in text):
            raise BadInput(f"{what} has control characters: {text!r}")
    return text


def _is_not_utf8(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _position(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= _MAX_POSITION or len(text) > 19:
        raise BadInput(f"position is a whole number from 1 to 2^63-1, or empty; got {text[:40]!r}")
    return int(text)


def _kept(stream: IO[bytes]) -> BufferedIOBase:
    kept = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the StockFile
    shutil.copyfileobj(stream, kept)
    return cast("BufferedIOBase", kept)
