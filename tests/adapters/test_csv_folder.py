"""A till that integrates by files: exports in, orders out, at any crash nothing lost and nothing doubled."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringfence.adapters import AdapterError, PosRunner, ReadReport
from ringfence.adapters.csv_folder import CsvFolder, CsvFolderConfig, ExportPosition
from tests.adapters.conftest import QUARTER, Clock, MakeRunner, step_until
from tests.adapters.crashing import Crash, CrashAt
from tests.adapters.service import TillService
from tests.client.scripted import wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the till and the adapter share."""
    return tmp_path / "till"


def adapter(folder: Path, **options: Any) -> CsvFolder:
    """An adapter for files that are whole at once."""
    checkpoint: Callable[[str], None] = options.pop("checkpoint", lambda step: None)
    chosen = {"folder": folder, "location": "berlin", "settled": timedelta(0), **options}
    return CsvFolder(CsvFolderConfig(**chosen), checkpoint=checkpoint)


def export(folder: Path, name: str, text: str) -> None:
    """The till drops an export: written under another name, then renamed."""
    place = folder / "exports"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.tmp").write_text(text)
    (place / f"{name}.tmp").rename(place / name)


def names(folder: Path, place: str) -> list[str]:
    """The files of a place that are no hidden ones."""
    return sorted(entry.name for entry in (folder / place).iterdir() if not entry.name.startswith("."))


HEAD = "record,sku,quantity,order_reference,closed,position\n"


def test_an_export_and_its_way(service: TillService, make_runner: MakeRunner, folder: Path, clock: Clock) -> None:
    """Figures and bookings of one read are posted together, and the file goes to done/."""
    service.sell("LAMP", "berlin", 2, "4711")
    export(folder, "export-1.csv", HEAD + "read,,,,,17\nfigure,LAMP,8,,,\nbooking,LAMP,2,4711,yes,16\nend,,3,,,\n")
    runner = make_runner(adapter(folder), orders=False, publish=None)
    runner.step()
    assert service.figures["LAMP", "berlin"][:2] == ((0, 17), 8)
    assert service.sales[0].bookings == {(0, 16): 2}
    assert service.available("LAMP", "berlin") == 8
    assert (names(folder, "exports"), names(folder, "done")) == ([], ["export-1.csv"])


def test_exports_are_taken_one_after_the_other(service: TillService, make_runner: MakeRunner, folder: Path) -> None:
    """A folder with many exports is emptied at once, oldest first, as people count."""
    for number in (10, 9, 2):
        export(folder, f"export-{number}.csv", f"record,sku,quantity\nfigure,LAMP,{number}\n")
    runner = make_runner(adapter(folder, position=ExportPosition.NAME), orders=False, publish=None)
    while runner.step() == timedelta(0):
        pass
    assert [post.figures[0].position for post in service.posts] == [2, 9, 10]
    assert service.figures["LAMP", "berlin"][1] == 10


def test_files_that_are_being_written_are_left(folder: Path) -> None:
    """A name with a dot before it or .part behind it is not looked at, nor what has changed a moment ago."""
    export(folder, "export-1.csv.part", "x")
    export(folder, ".export-1.csv", "x")
    assert not adapter(folder).changed()
    export(folder, "export-2.csv", "x")
    assert adapter(folder).changed()
    assert not adapter(folder, settled=timedelta(seconds=60)).changed()


def test_an_export_without_its_end_waits(folder: Path) -> None:
    """Where the end row is needed, a file without it is still being written, and what is newer waits too."""
    export(folder, "export-1.csv", HEAD + "read,,,,,17\nfigure,LAMP,8,,,\n")
    export(folder, "export-2.csv", HEAD + "read,,,,,18\nfigure,LAMP,8,,,\nend,,2,,,\n")
    assert adapter(folder, needs_end=True).read() is None
    export(folder, "export-1.csv", HEAD + "read,,,,,17\nfigure,LAMP,8,,,\nend,,2,,,\n")
    read = adapter(folder, needs_end=True).read()
    assert read is not None
    assert read.position == 17


def text_of(rows: str) -> str:
    return HEAD + "read,,,,,17\n" + rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (text_of("figure,LAMP,8.5,,,\n"), "line 3: quantity is a whole number"),
        (text_of("figure,,8,,,\n"), "line 3: sku is empty"),
        (text_of("counting,LAMP,8,,,\n"), "line 3: record is one of figure, booking, read, end"),
        (text_of("booking,LAMP,2,,yes,16\n"), "line 3: order_reference is empty"),
        (text_of("booking,LAMP,2,4711,perhaps,16\n"), "line 3: closed is yes or no"),
        (text_of("end,,5,,,\n"), "the end row says 5 rows, and there are 1"),
        (text_of("figure,LAMP,8,,,,7\n"), "line 3: 7 columns, and the first line names 6"),
        ("record,article\n", "line 1: there is no column 'article'"),
        ("sku\n", "line 1: the columns record are needed"),
        ("record,sku,quantity\nfigure,LAMP,8\n", "no row with record `read`"),
        (HEAD + "booking,LAMP,2,4711,yes,16\n", "bookings have positions"),
        (text_of("figure,LAMP,8,,,\nfigure,LAMP,9,,,\n"), "line 4: a second figure of 'LAMP' at 'berlin'"),
        (text_of("booking,LAMP,1,4711,,\nbooking,LAMP,2,4711,,\n"), "line 4: a second total of order '4711'"),
        (text_of("read,,,,,18\n"), "line 3: a second row with record `read` (the first is in line 2)"),
        (text_of("booking,LAMP,,4711,yes,16\n"), "line 3: quantity is empty"),
        (text_of("figure,LAMP,1_000,,,\n"), "line 3: quantity is a whole number"),
        (text_of('figure,LAMP,"8,0",,,\n'), "line 3: quantity is a whole number"),
        (text_of("figure,LAMP,1.000,,,\n"), "line 3: quantity is a whole number"),
    ],
)
def test_what_cannot_be_meant_fails_with_its_reason(folder: Path, text: str, reason: str) -> None:
    """A bad export goes to failed/, beside it what is wrong, by line and column; the next one is read."""
    export(folder, "export-1.csv", text)
    export(folder, "export-2.csv", text_of("figure,LAMP,8,,,\n"))
    read = adapter(folder).read()
    assert read is not None
    assert read.reference == "export-2.csv"
    assert names(folder, "failed") == ["export-1.csv", "export-1.csv.reason.txt"]
    assert reason in (folder / "failed" / "export-1.csv.reason.txt").read_text()


def test_what_the_service_refuses_fails_with_its_reason(
    service: TillService, make_runner: MakeRunner, folder: Path
) -> None:
    """A row that is refused takes its file to failed/, though the rest of it was taken."""
    export(folder, "export-1.csv", text_of("figure,BAD-1,8,,,\nfigure,RUG,3,,,\n"))
    make_runner(adapter(folder), orders=False, publish=None).step()
    assert service.available("RUG", "berlin") == 3
    assert "BAD-1" in (folder / "failed" / "export-1.csv.reason.txt").read_text()


def test_orders_are_told_beside_the_export(service: TillService, make_runner: MakeRunner, folder: Path) -> None:
    """What a person should know of an export that was taken stands beside it."""
    export(folder, "export-1.csv", text_of("booking,LAMP,2,4711,yes,16\n"))
    make_runner(adapter(folder), orders=False, publish=None).step()
    assert "not known yet, to be sent again: 4711" in (folder / "done" / "export-1.csv.reason.txt").read_text()


def test_an_older_export_after_a_newer_one(folder: Path) -> None:
    """Where positions are the adapter's own, an export that comes late is not true any more, and fails."""
    text = "record,sku,quantity\nfigure,LAMP,8\n"
    export(folder, "export-9.csv", text)
    first = adapter(folder, position=ExportPosition.READS)
    read = first.read()
    assert read is not None
    first.refused(read, "whatever")
    export(folder, "export-8.csv", text)
    again = adapter(folder, position=ExportPosition.READS)
    assert again.read() is None
    assert "after a newer one, export-9.csv" in (folder / "failed" / "export-8.csv.reason.txt").read_text()


def test_semicolons_dimensions_and_a_full_count(folder: Path) -> None:
    """What spreadsheets write is read: a byte order mark, semicolons, columns for dimensions."""
    text = (
        "\ufeffrecord;sku;quantity;position;epoch;count_time;full_count;dimension:colour\r\n"
        "read;;;17;2;2026-01-02T10:00:00+01:00;yes;\r\nfigure;LAMP;8;;;;;red\r\n"
    )
    export(folder, "export-1.csv", text)
    read = adapter(folder).read()
    assert read is not None
    assert (read.position, read.epoch, read.full_count_of) == (17, 2, "berlin")
    assert read.count_time == datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
    assert read.figures[0].dimensions == {"colour": "red"}


def row_of(path: Path) -> dict[str, str]:
    """The one row of an order's file."""
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_another_encoding_is_told(folder: Path, encoding: str) -> None:
    """By the line where it is seen; nothing is guessed."""
    (adapter(folder), (folder / "exports" / "e1.csv").write_bytes("record,sku\nfigure,MÖBEL\n".encode(encoding)))
    assert adapter(folder).read() is None
    assert re.match(r"line \d: the file is not UTF-8", (folder / "failed" / "e1.csv.reason.txt").read_text())


def test_a_file_that_is_dated_in_the_future_is_watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A till whose clock is ahead holds up nothing: its file is settled when it has not changed while this machine's
    clock went on for so long."""
    now = [1000.0]
    monkeypatch.setattr("ringfence.adapters.csv_folder.time.monotonic", lambda: now[0])
    export(folder, "export-1.csv", text_of("figure,LAMP,8,,,\n"))
    ahead = time.time() + 86_400
    os.utime(folder / "exports" / "export-1.csv", (ahead, ahead))
    one = adapter(folder, settled=timedelta(seconds=10))
    assert not one.changed()
    now[0] += 9
    assert not one.changed()
    os.utime(folder / "exports" / "export-1.csv", (ahead + 1, ahead + 1))
    now[0] += 9
    assert not one.changed()
    now[0] += 10
    assert one.changed()


def test_a_name_without_an_ending_has_its_number(folder: Path) -> None:
    """And one that is no UTF-8 is a name like any other."""
    export(folder, "export17", "record,sku,quantity\nfigure,LAMP,8\n")
    read = adapter(folder, position=ExportPosition.NAME).read()
    assert read is not None
    assert read.position == 17
    (folder / "exports" / "export17").unlink()
    export(folder, os.fsdecode(b"export-\xff1"), "record,sku,quantity\nfigure,LAMP,8\n")
    one = adapter(folder, position=ExportPosition.READS)
    read = one.read()
    assert read is not None
    one.posted(read, ReadReport(1, {}, (), False))
    assert names(folder, "done") == [os.fsdecode(b"export-\xff1")]


def test_an_export_that_somebody_took_away_is_done_with(folder: Path) -> None:
    """It was posted: that it is not there to be moved holds up nothing."""
    export(folder, "export-1.csv", text_of("figure,LAMP,8,,,\n"))
    one = adapter(folder)
    read = one.read()
    assert read is not None
    (folder / "exports" / "export-1.csv").unlink()
    one.posted(read, ReadReport(1, {}, (), False))
    assert names(folder, "done") == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With its path and what would do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AdapterError, match=r"exports cannot be made: .*; name a folder that this program may write to"):
        adapter(tmp_path / "file")


def test_orders_cancellations_and_answers(service: TillService, make_runner: MakeRunner, folder: Path) -> None:
    """Orders and cancellations are files of one row; what the till says comes back as a file."""
    runner = make_runner(adapter(folder, answers_orders=True), publish=None)
    sale = service.sell("LAMP", "berlin", 2, "47/11")
    step_until(runner, lambda: names(folder, "orders") != [])
    (name,) = names(folder, "orders")
    assert name == f"order-{sale.reservation_id}-1.csv"
    row = row_of(folder / "orders" / name)
    assert (row["record"], row["order_reference"], row["sku"], row["quantity"]) == ("order", "47/11", "LAMP", "2")
    (folder / "orders" / name).unlink()
    (folder / "answers" / "a1.csv").write_text(
        f"event_id,answer,document_number,reason\n{row['event_id']},received,T-9,\n"
    )
    step_until(runner, lambda: sale.document_number == "T-9")
    service.cancel(sale)
    step_until(runner, lambda: names(folder, "orders") != [])
    row = row_of(folder / "orders" / names(folder, "orders")[0])
    assert row["record"] == "cancellation"
    (folder / "answers" / "a2.csv").write_text(f"event_id,answer,reason\n{row['event_id']},not cancelled,sold\n")
    step_until(runner, lambda: len(service.replies()) == 2)
    assert names(folder, "done") == ["a1.csv", "a2.csv"]
    assert service.replies() == {"47/11 1": "received", "47/11 2": "refuse_cancellation"}


def test_an_answer_that_does_not_fit(service: TillService, make_runner: MakeRunner, folder: Path) -> None:
    """An order that is answered as a cancellation is told in failed/, and holds nothing up."""
    runner = make_runner(adapter(folder, answers_orders=True), publish=None)
    service.sell("LAMP", "berlin", 2, "4711")
    step_until(runner, lambda: names(folder, "orders") != [])
    event_id = service.events[0].message.event_id
    (folder / "answers" / "a1.csv").write_text(f"event_id,answer\n{event_id},cancelled\n")
    step_until(runner, lambda: names(folder, "answers") == [])
    assert names(folder, "failed") == ["a1.csv", "a1.csv.reason.txt"]
    assert event_id in (folder / "failed" / "a1.csv.reason.txt").read_text()
    (folder / "answers" / "a2.csv").write_text(f"event_id,answer,document_number\n{event_id},received,T-9\n")
    step_until(runner, lambda: service.sales[0].document_number == "T-9")


def test_availability_as_files(service: TillService, make_runner: MakeRunner, folder: Path, clock: Clock) -> None:
    """Differences are files whose names rise, so that the till takes them in order."""
    export(folder, "export-1.csv", text_of("figure,LAMP,8,,,\nfigure,RUG,3,,,\n"))
    runner = make_runner(adapter(folder), orders=False)
    runner.step()
    service.sell("LAMP", "berlin", 1, "4711")
    clock.advance(QUARTER)
    runner.step()
    first, second = names(folder, "available")
    with (folder / "available" / first).open(newline="") as file:
        assert {row["sku"]: row["available"] for row in csv.DictReader(file)} == {"LAMP": "8", "RUG": "3"}
    assert row_of(folder / "available" / second) == {
        "sku": "LAMP",
        "location": "berlin",
        "path": "",
        "available": "7",
    }


class FileTill:
    """A till that lives in a folder. It takes an order's file as soon as it sees it, and books what it took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on_hand = 10
        self.taken: list[dict[str, str]] = []
        self.booked: dict[str, int] = {}
        self.exports = 0

    def work(self) -> None:
        """Takes what is there."""
        for name in names(self.folder, "orders"):
            self.taken.append(row_of(self.folder / "orders" / name))
            (self.folder / "orders" / name).unlink()

    def book(self, reference: str) -> None:
        """Books an order it took, and exports; the position is not in the file."""
        (row,) = (row for row in self.taken if row["order_reference"] == reference)
        self.booked[reference] = int(row["quantity"])
        self.on_hand -= self.booked[reference]

    def export(self) -> None:
        """Drops an export."""
        self.exports += 1
        rows = [f"figure,LAMP,{self.on_hand},,", *(f"booking,LAMP,{n},{r},yes" for r, n in self.booked.items())]
        text = "\n".join(["record,sku,quantity,order_reference,closed", *rows, ""])
        export(self.folder, f"export-{self.exports}.csv", text)


@pytest.mark.parametrize("number", range(1, 48))
def test_a_crash_at_every_step(
    service: TillService, make_runner: MakeRunner, folder: Path, clock: Clock, number: int
) -> None:
    """Wherever the program ends, be it in the runner or in the adapter, every order reaches the till once, every export
    is taken once, and what is available is exact."""
    crash = CrashAt(number)

    def start() -> PosRunner:
        made = adapter(folder, position=ExportPosition.READS, checkpoint=crash)
        return make_runner(made, checkpoint=crash, publish=None)

    runner = start()
    till = FileTill(folder)

    def step(done: Callable[[], bool]) -> None:
        nonlocal runner

        def stepped() -> bool:
            nonlocal runner
            try:
                runner.step(wait=timedelta(milliseconds=20))
            except Crash:
                runner.close()
                clock.advance(QUARTER)
                runner = start()
                return False
            finally:
                till.work()
            return done()

        wait_for(stepped)
        clock.advance(QUARTER)

    till.export()
    step(lambda: names(folder, "exports") == [])
    service.sell("LAMP", "berlin", 3, "4711")
    step(lambda: len(till.taken) >= 1 and len(service.replies()) == 1)
    till.book("4711")
    till.on_hand -= 1  # a walk-in
    till.export()
    step(lambda: names(folder, "exports") == [])
    till.export()
    step(lambda: names(folder, "exports") == [])
    assert [row["order_reference"] for row in till.taken] == ["4711"]
    assert list(service.sales[0].bookings.values()) == [3]
    assert service.available("LAMP", "berlin") == till.on_hand == 6
    assert [name for name in names(folder, "done") if name.endswith(".csv")] == [f"export-{n}.csv" for n in (1, 2, 3)]
    assert names(folder, "failed") == []
