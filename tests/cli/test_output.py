"""Tables and JSON are what a person and a program can read."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ringfence.v1 import allocation_service_pb2, balance_pb2, common_pb2
from ringfence_server.cli import inputs, output
from ringfence_server.cli.output import Column, Limited
from ringfence_server.cli.plain import plain

COLUMNS = [Column("sku"), Column("available", numeric=True)]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_plain_columns() -> None:
    """Headings, text on the left, numbers on the right, no colour, no blanks at the ends, nothing cut."""
    stream = io.StringIO()
    long = "X" * 300
    assert output.write_table(COLUMNS, [["LAMP", 9], [long, 1_000_000]], stream) == 2
    heading, lamp, other = stream.getvalue().splitlines()
    assert heading == "sku" + " " * 297 + "  available"
    assert lamp == "LAMP" + " " * 296 + "  " + "9".rjust(9)
    assert other == f"{long}  {'1000000'.rjust(9)}"


def test_a_table_without_rows_is_nothing() -> None:
    """Not even headings: whoever counts lines counts none."""
    stream = io.StringIO()
    assert output.write_table(COLUMNS, [], stream) == 0
    assert stream.getvalue() == ""


def test_an_empty_cell_keeps_its_column() -> None:
    """Splitting at blanks gives every row the same number of fields."""
    stream = io.StringIO()
    output.write_table([*COLUMNS, Column("owner")], [["LAMP", 0, ""], ["BULB", 1, None]], stream)
    assert [line.split() for line in stream.getvalue().splitlines()[1:]] == [["LAMP", "0", "-"], ["BULB", "1", "-"]]


def test_a_long_table_has_one_heading_and_every_row() -> None:
    """It is laid out in chunks that nobody sees but by columns that grow."""
    stream = io.StringIO()
    rows: list[list[output.Cell]] = [[f"SKU-{number}", number] for number in range(2_500)]
    assert output.write_table(COLUMNS, rows, stream) == 2_500
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["sku", *(f"SKU-{number}" for number in range(2_500))]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_what_is_shown_cannot_steer_the_terminal(stream: io.StringIO) -> None:
    """Control characters of a label are replaced, and markup is text."""
    output.write_table(COLUMNS, [["\x1b[31mred[bold]", 1]], stream)
    text = stream.getvalue()
    assert "�[31mred[bold]" in text
    assert "\x1b[31mred" not in text


def on_terminal(columns: list[Column], rows: list[list[output.Cell]]) -> list[str]:
    """The lines of a table on a terminal, without colours and blanks at their ends."""
    stream = Terminal()
    output.write_table(columns, rows, stream)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()]


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headings are broken between words, numbers stand on the right, a line separates."""
    monkeypatch.setenv("COLUMNS", "40")
    columns = [Column("sku"), Column("available to reserve", numeric=True), Column("path")]
    assert on_terminal(columns, [["LAMP", 9, "web"], ["B", 1_000_000, ""]]) == [
        "      available",
        "             to",
        "sku     reserve  path",
        "─────────────────────",
        "LAMP          9  web",
        "B       1000000  -",
    ]


def test_a_table_wider_than_the_terminal_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal breaks its lines: no column is squeezed to nothing, no cell is cut."""
    monkeypatch.setenv("COLUMNS", "40")
    rows: list[list[output.Cell]] = [["X" * 100, 1_000_000_000_000], ["LÄMP 灯", 1]]
    heading, _, first, second = on_terminal(COLUMNS, rows)
    assert heading == "sku" + " " * 97 + "  " + "available".rjust(13)
    assert first == "X" * 100 + "  " + "1000000000000"
    assert second.startswith("LÄMP 灯  ")


def test_how_many_columns_fit() -> None:
    """At least one."""
    rows = [["LAMP", "9", "web/london"]]
    columns = [*COLUMNS, Column("path")]
    assert [output.fitting(columns, rows, width) for width in (100, 32, 20, 5)] == [3, 3, 2, 1]


def test_limited_says_whether_something_was_left_out() -> None:
    """Neither at the exact number nor without a limit, nor with one beyond all numbers."""
    for count, limit, cut in ((3, 2, True), (2, 2, False), (3, 0, False), (3, 10**30, False)):
        items = Limited(range(count), limit)
        assert list(items) == list(range(count))[: limit or None]
        assert items.cut is cut


def test_a_json_list_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """An item a line, and what is known only at its end."""
    last: dict[str, Any] = {}

    def items() -> Any:
        yield {"sku": "LÄMP"}
        last["read_time"] = "now"
        yield {"sku": "BULB"}

    output.write_json_list("balances", Limited(items(), 0), lambda found: found, last)
    text = capsys.readouterr().out
    skus = [{"sku": "LÄMP"}, {"sku": "BULB"}]
    assert json.loads(text) == {"balances": skus, "read_time": "now", "more": False}
    assert "LÄMP" in text
    output.write_json_list("balances", Limited((), 0), lambda found: found, {})
    assert json.loads(capsys.readouterr().out) == {"balances": [], "more": False}


def test_a_json_list_says_that_it_was_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that reads the first hundred must not take them for all."""
    output.write_json_list("numbers", Limited(range(3), 2), lambda number: number, {})
    assert json.loads(capsys.readouterr().out) == {"numbers": [0, 1], "more": True}


@pytest.mark.parametrize(
    "span",
    [
        timedelta(minutes=15),
        timedelta(days=7),
        timedelta(hours=1, minutes=30),
        timedelta(seconds=1.5),
        timedelta(days=1, microseconds=1),
    ],
)
def test_a_span_is_shown_as_it_is_read(span: timedelta) -> None:
    """What is copied from an answer is taken as an option."""
    assert inputs.span(output.span_text(span), "--ttl") == span


def test_instants_are_shown_in_utc() -> None:
    """To the second for people, to the microsecond where the order of two matters."""
    instant = datetime(2026, 1, 31, 13, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert output.time_text(instant) == "2026-01-31T12:00:00Z"
    assert output.exact_time_text(instant) == "2026-01-31T12:00:00.250000Z"
    assert inputs.instant(output.exact_time_text(instant), "--at") == instant
    assert output.exact_time_text(instant.replace(microsecond=0)) == "2026-01-31T12:00:00Z"
    assert output.time_text(None, "never") == "never"


def test_a_message_as_plain_values_has_every_field() -> None:
    """Zeros and empty lists are there, what is not set is null, enumerations are words and quantities numbers."""
    message = allocation_service_pb2.ReserveResponse(
        reservation=common_pb2.Reservation(
            reservation_id="r",
            state=common_pb2.RESERVATION_STATE_HELD,
            lines=[
                common_pb2.ReservationLine(
                    line_id="1",
                    key=common_pb2.StockKey(sku="LAMP", dimensions={"size": "L", "colour": "red"}),
                    requested=10**12,
                    fallback=common_pb2.FALLBACK_NONE,
                )
            ],
            attributes=b"\x00\xff",
        ),
        fill=common_pb2.FILL_FULL,
    )
    message.server_time.FromDatetime(datetime(2026, 1, 31, 12, tzinfo=UTC))
    found = plain(message)
    assert (found["fill"], found["replayed"], found["revision"]) == ("full", False, "")
    assert found["server_time"] == "2026-01-31T12:00:00Z"
    reservation = found["reservation"]
    assert (reservation["state"], reservation["expire_time"], reservation["cancel_reason"]) == ("held", None, None)
    assert reservation["attributes"] == "AP8="
    (line,) = reservation["lines"]
    assert (line["requested"], line["granted"], line["parts"], line["fallback"]) == (10**12, 0, [], "none")
    assert line["key"] == {"sku": "LAMP", "location": "", "dimensions": {"colour": "red", "size": "L"}}


def test_an_enumeration_of_two_words_loses_its_whole_prefix() -> None:
    """ROLL_UP_BY_LOCATION_GROUP is "location_group", whatever the type is called."""
    roll_up = balance_pb2.RollUp(by=balance_pb2.ROLL_UP_BY_LOCATION_GROUP)
    assert plain(roll_up) == {"by": "location_group", "level": 0, "dimension": ""}
    assert plain(balance_pb2.RollUp())["by"] is None


def test_a_value_of_a_newer_contract_stays_a_number() -> None:
    """It is not guessed at, and nothing breaks."""
    newer = common_pb2.Reservation.FromString(b"\x10\x63")  # field 2, state = 99
    assert plain(newer)["state"] == 99
