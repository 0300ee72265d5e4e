"""A till that writes and reads CSV files in a folder: how most small tills integrate.

    exports/    the till drops one file per consistent read here: figures and bookings together
    answers/    and what it says to orders and cancellations, when it does
    orders/     orders and cancellations for the till, one file each; the till takes them away
    available/  what may be shown as available, one file per change; the till takes them away
    done/       exports and answers that were dealt with
    failed/     those that could not be, wholly or in part, with a NAME.reason.txt beside them
    sent/       copies of what was put into orders/

Files whose names begin with a dot or end in .tmp or .part are not looked at: write such a one and rename it. Nothing is
lost and nothing doubled when the program ends at any point: see `_put` and `_move`.
"""

from __future__ import annotations

import csv
import enum
import io
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringfence._till_types import OrderEvent
from ringfence.adapters._csv_export import (
    DIMENSION,
    BadFile,
    NotComplete,
    natural_order,
    number_in,
    read_answers,
    read_export,
)
from ringfence.adapters._pos import PosAdapter
from ringfence.adapters._state import sync_directory, write_atomically
from ringfence.adapters._types import AdapterError, Answer, Later, ReadReport, Received, Shown, TillRead

__all__ = ["CsvFolder", "CsvFolderConfig", "ExportPosition"]

_log = logging.getLogger("ringfence.adapters")

KEEP_SENT = timedelta(days=30)
"""How long a copy of an order stays in sent/. It is what tells, after a crash, that an order was put out before."""


MOST_FILES = 20_000
"""Files that may wait for the till to take them away."""


class ExportPosition(enum.StrEnum):
    """Where the position of an export comes from."""

    ROW = "row"
    """From its row with record `read`: the till's journal number."""
    NAME = "name"
    """From the last number in the file's name, which the till counts up."""
    READS = "reads"
    """From the runner, which counts its reads; exports are then taken in the order of their names, and an older one
    than the last fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFolderConfig:
    """How a folder is used."""

    folder: Path
    """The folder; what it needs in it is made."""
    location: str
    """The location of rows that name none."""
    position: ExportPosition = ExportPosition.ROW
    """Where the position of an export comes from."""
    needs_end: bool = False
    """Whether an export without its `end` row is still being written."""
    settled: timedelta = timedelta(seconds=2)
    """How long a file must not have changed before it is looked at, by its own time; one that is dated in the future,
    since it was seen first."""
    answers_orders: bool = False
    """Whether the till answers orders by files in answers/; else an order is received when its file is there."""


class CsvFolder(PosAdapter):
    """The adapter of such a till. `checkpoint` is called between every two steps with a name, for tests of crashes."""

    def __init__(
        self,
        config: CsvFolderConfig,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        checkpoint: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._checkpoint = checkpoint
        names = ("exports", "answers", "orders", "available", "done", "failed", "sent")
        self._places = {name: config.folder / name for name in names}
        for place in self._places.values():
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                text = f"{place} cannot be made: {error.strerror or error}"
                raise AdapterError(f"{text}; name a folder that this program may write to") from error
        self._last_file = config.folder / ".last-export"
        self._answers_left: dict[str, set[int]] = {}
        self._answers_refused: dict[str, list[str]] = {}
        self._newest_shown = 0
        self._watched: dict[Path, tuple[tuple[int, int], float]] = {}
        """Files that were not settled when they were looked at: what they were like, and since when by this machine."""
        self._prune_sent()

    def changed(self) -> bool:
        """Whether there is an export."""
        return bool(self._waiting("exports"))

    more = changed

    def read(self) -> TillRead | None:
        """The oldest export; those that cannot be meant go to failed/ on the way."""
        for name in self._waiting("exports"):
            try:
                return self._read(name)
            except NotComplete:
                # What comes after it is newer: it must wait too.
                return None
            except BadFile as error:
                self._move("exports", name, "failed", str(error))
            except FileNotFoundError:
                continue
        return None

    def posted(self, read: TillRead, report: ReadReport) -> None:
        """Moves the export to done/."""
        told = []
        if report.needs_confirmation:
            told.append("a full count would make too much zero and waits for a person: end it with confirmed")
        conflicts = {name: count for name, count in report.results.items() if name.endswith("conflict")}
        told += [f"{count} times {name}: the position is known with another value" for name, count in conflicts.items()]
        if report.unknown_orders:
            told.append(f"orders that are not known yet, to be sent again: {', '.join(report.unknown_orders[:100])}")
        self._finish(read, "done", "\n".join(told))

    def refused(self, read: TillRead, reason: str) -> None:
        """Moves the export to failed/, with the reason."""
        self._finish(read, "failed", f"a part of this file was refused, and the rest was taken:\n{reason}")

    def post_order(self, order: OrderEvent, *, repeated: bool) -> Received | Later:
        """Puts an order into orders/."""
        self._put(f"order-{order.reservation_id}-{order.part_number}.csv", _order_file("order", order))
        return Later() if self._config.answers_orders else Received()

    def cancel_order(self, cancellation: OrderEvent, *, repeated: bool) -> Later:
        """Puts a cancellation into orders/. The till answers in answers/, or closes the line in an export."""
        self._put(f"cancel-{cancellation.event_id}.csv", _order_file("cancellation", cancellation))
        return Later()

    def publish(self, shown: Sequence[Shown]) -> None:
        """Puts what may be shown into a file of available/; the newest file says the newest quantity."""
        self._check_room("available")
        names = sorted({name for one in shown for name in one.key.dimensions})
        rows = [
            [one.key.sku, one.key.location, one.path, str(one.quantity)]
            + [one.key.dimensions.get(name, "") for name in names]
            for one in shown
        ]
        header = ["sku", "location", "path", "available", *(f"{DIMENSION}{name}" for name in names)]
        self._newest_shown = max(int(self._clock().timestamp() * 1_000_000), self._newest_shown + 1)
        write_atomically(self._places["available"] / f"available-{self._newest_shown:020}.csv", _csv(header, rows))

    def answers(self) -> Sequence[Answer]:
        """The answers of the oldest file in answers/."""
        for name in self._waiting("answers"):
            try:
                answers = read_answers((self._places["answers"] / name).read_bytes(), name)
            except BadFile as error:
                self._move("answers", name, "failed", str(error))
                continue
            if not answers:
                self._move("answers", name, "done", "")
                continue
            left = self._answers_left.setdefault(name, set(range(len(answers))))
            return [answer for answer in answers if answer.reference[1] in left][:1_000]
        return ()

    def answered(self, answer: Answer) -> None:
        """Moves a file of answers to done/, or failed/, after its last one."""
        name, number = answer.reference
        left = self._answers_left[name]
        left.discard(number)
        if not left:
            del self._answers_left[name]
            refused = self._answers_refused.pop(name, [])
            self._move("answers", name, "failed" if refused else "done", "\n".join(refused))

    def answer_refused(self, answer: Answer, reason: str) -> None:
        """Notes what was wrong with one of a file's answers: the file goes to failed/ after its last one."""
        name, number = answer.reference
        self._answers_refused.setdefault(name, []).append(f"answer {number + 1}, event {answer.event_id}: {reason}")
        self.answered(answer)

    def _read(self, name: str) -> TillRead:
        data = (self._places["exports"] / name).read_bytes()
        position = 0
        source = self._config.position
        if source is ExportPosition.NAME:
            position = number_in(name)
            if not position:
                raise BadFile("the file's name has no number above 0 to take the position from")
        elif source is ExportPosition.READS:
            last = os.fsdecode(self._last_file.read_bytes()) if self._last_file.exists() else ""
            if last and natural_order(name) < natural_order(last):
                raise BadFile(f"the file comes after a newer one, {last}: what it says is not true any more")
        read = read_export(
            data,
            name,
            location=self._config.location,
            position=position,
            needs_end=self._config.needs_end,
        )
        if source is ExportPosition.ROW and not read.position:
            raise BadFile("there is no row with record `read` and a position")
        if source is ExportPosition.READS and read.position:
            raise BadFile("the file has a position, but positions are set to be the adapter's own number of reads")
        return read

    def _finish(self, read: TillRead, to: str, reason: str) -> None:
        if self._config.position is ExportPosition.READS:
            write_atomically(self._last_file, os.fsencode(str(read.reference)))
            self._checkpoint("last export saved")
        self._move("exports", str(read.reference), to, reason)

    def _waiting(self, place: str) -> list[str]:
        """Names of files that are there, whole by what can be seen, oldest first."""
        watched: dict[Path, tuple[tuple[int, int], float]] = {}
        found: list[tuple[list[object], str]] = []
        for entry in self._places[place].iterdir():
            name = entry.name
            if name.startswith(".") or name.endswith((".tmp", ".part")):
                continue
            try:
                if entry.is_file():
                    # One that is not whole yet: what is newer than it must wait.
                    found.append((natural_order(name), name if self._is_settled(entry, watched) else ""))
            except FileNotFoundError:
                continue
        self._watched = {path: known for path, known in self._watched.items() if path.parent != self._places[place]}
        self._watched |= watched
        names: list[str] = []
        for _, name in sorted(found):
            if not name:
                break
            names.append(name)
        return names

    def _is_settled(self, path: Path, watched: dict[Path, tuple[tuple[int, int], float]]) -> bool:
        """Whether a file has not changed for long enough; one that has not is noted."""
        span, found, now = self._config.settled.total_seconds(), path.stat(), time.time()
        if not span or found.st_mtime <= now - span:
            return True
        # A till whose clock is ahead, or a clock that went back, must not hold up everything until that time comes.
        state, known = (found.st_mtime_ns, found.st_size), self._watched.get(path)
        since = known[1] if known is not None and known[0] == state else time.monotonic()
        watched[path] = (state, since)
        return found.st_mtime > now and time.monotonic() - since >= span

    def _move(self, place: str, name: str, to: str, reason: str) -> None:
        """Moves a file, its reason first: after a crash the file is still where it was, and all is done again."""
        if to == "failed":
            _log.warning("%s/%s goes to failed/: %s", place, name, reason.partition("\n")[0])
        target = self._places[to] / name
        number = 1
        while target.exists():
            number += 1
            target = self._places[to] / f"{Path(name).stem}-{number}{Path(name).suffix}"
        if reason:
            write_atomically(target.with_name(f"{target.name}.reason.txt"), f"{reason}\n".encode())
            self._checkpoint("reason written")
        try:
            (self._places[place] / name).rename(target)
        except FileNotFoundError:
            # Somebody took it away: it was dealt with all the same.
            _log.warning("%s/%s is not there any more", place, name)
            return
        sync_directory(target.parent)
        sync_directory(self._places[place])
        self._checkpoint("file moved")

    def _put(self, name: str, data: bytes) -> None:
        """Puts a file into orders/ exactly once, though the till may take it away at any time after.

        First it is there under a hidden name; then a copy in sent/ says so; then it gets its name. After a crash:
        without the copy it never had its name; with it, it has or had it, unless the hidden one is still there.
        """
        hidden = self._places["orders"] / f".{name}.put"
        copy = self._places["sent"] / name
        if not copy.exists():
            self._check_room("orders")
            write_atomically(hidden, data)
            self._checkpoint("order prepared")
            write_atomically(copy, data)
            self._checkpoint("copy kept")
        if hidden.exists():
            hidden.rename(self._places["orders"] / name)
            sync_directory(hidden.parent)
            self._checkpoint("order put")

    def _check_room(self, place: str) -> None:
        waiting = sum(1 for _ in self._places[place].iterdir())
        if waiting >= MOST_FILES:
            raise AdapterError(f"{waiting:,} files wait in {self._places[place]}: the till does not take them away")

    def _prune_sent(self) -> None:
        oldest = time.time() - KEEP_SENT.total_seconds()
        for entry in self._places["sent"].iterdir():
            if entry.is_file() and entry.stat().st_mtime < oldest:
                entry.unlink(missing_ok=True)


def _order_file(record: str, event: OrderEvent) -> bytes:
    """An order or a cancellation as a file of one row."""
    row: Mapping[str, str] = {
        "record": record,
        "event_id": event.event_id,
        "order_reference": event.order_reference,
        "channel": event.channel,
        "line_id": event.line_id,
        "reservation_id": event.reservation_id,
        "part_number": str(event.part_number),
        "sku": event.key.sku,
        "location": event.key.location,
        "quantity": str(event.quantity),
        "consume_time": event.consume_time.isoformat() if event.consume_time is not None else "",
        "document_number": event.document_number,
        "attributes": event.attributes.decode("utf-8", errors="replace"),
        **{f"{DIMENSION}{name}": value for name, value in sorted(event.key.dimensions.items())},
    }
    return _csv(list(row), [list(row.values())])


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
