"""Reading order files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from scripts.replaying.order_file import COLUMNS, OrderFileError, Row, read_rows
from scripts.replaying.sample import sample_rows
from tests.replay.builders import numbered, row, write_csv


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_read_as_it_was_written_plain_or_gzip(tmp_path: Path, packed: bool) -> None:
    """Whether a file is compressed is seen from its bytes, not its name."""
    path = write_csv(tmp_path / "orders", sample_rows(), packed=packed)
    assert list(read_rows(path)) == sample_rows()


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Other columns and another order of them, as in the published data set, change nothing."""
    columns = ["Description", *reversed(COLUMNS), "UnitPrice"]
    rows = numbered([row("536365", "85123A", 6), row("536365", "71053", 8)])
    assert list(read_rows(write_csv(tmp_path / "orders.csv", rows, columns=columns))) == rows


def test_values_are_read_as_spreadsheets_and_data_frames_write_them(tmp_path: Path) -> None:
    """A byte order mark, seconds in a time, blanks around a code and a customer number with ".0" are no part of it."""
    path = tmp_path / "orders.csv"
    line = "536365, 85123A ,6,2010-12-01 08:26:00,17850.0,EIRE"
    path.write_bytes(b"\xef\xbb\xbf" + f"{','.join(COLUMNS)}\r\n{line}\r\n".encode())
    assert list(read_rows(path)) == [Row(2, "536365", "85123A", 6, datetime(2010, 12, 1, 8, 26), "17850", "EIRE")]


def test_a_limit_reads_only_the_first_lines(tmp_path: Path) -> None:
    """What stands behind the limit is not even looked at."""
    path = write_csv(tmp_path / "orders.csv", [row("1", "20000", 1), row("1", "20001", 1)])
    with path.open("a") as file:
        file.write("nonsense\n")
    assert [each.stock_code for each in read_rows(path, 2)] == ["20000", "20001"]
    with pytest.raises(OrderFileError):
        list(read_rows(path, 3))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,20000,many,2011-05-02 12:00,,France", "many"),
        ("1,20000,1,yesterday,,France", "yesterday"),
        ("1,20000,1", "index"),
        (",20000,1,2011-05-02 12:00,,France", "InvoiceNo"),
        ("1,,1,2011-05-02 12:00,,France", "StockCode"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    """The number of the line and what is wrong with it are said."""
    path = write_csv(tmp_path / "orders.csv", [row("1", "20000", 1)])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(OrderFileError, match=rf"line 3.*{complaint}"):
        list(read_rows(path))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A missing column is named, and a file that is no text or ends within its compression is said to be broken."""
    other = tmp_path / "other.csv"
    other.write_text("InvoiceNo,Quantity\n1,2\n")
    with pytest.raises(OrderFileError, match="StockCode, InvoiceDate, CustomerID, Country"):
        list(read_rows(other))
    packed = write_csv(tmp_path / "orders.gz", sample_rows(), packed=True)
    packed.write_bytes(packed.read_bytes()[:-1_000])
    with pytest.raises(OrderFileError, match="after line"):
        list(read_rows(packed))
    other.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(OrderFileError):
        list(read_rows(other))
