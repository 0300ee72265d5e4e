"""A file of stock figures is read line by line, and what is wrong with a line is told by its number."""

from __future__ import annotations

import gzip
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ringfence import Location, LocationKind, Measure, MeasureKind, Policy, StockFigure
from ringfence_server.cli.failures import BadInput
from ringfence_server.cli.stock_file import BadLine, Figure, Rules, StockFile

RULES = Rules.of(Policy(), measure="", delta=False)
COLOURED = replace(RULES, dimensions=("colour", "size"))


def read(path: Path, content: str | bytes, rules: Rules = RULES) -> list[Figure | BadLine]:
    """What a file of that content holds."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with StockFile(str(path)) as file:
        return list(file.figures(rules))


def test_a_plain_file(csv: Path) -> None:
    """Three columns are enough; the heading is line 1."""
    assert read(csv, "sku,location,quantity\nLAMP,berlin,10\nBULB,berlin,-2\n") == [
        Figure(2, StockFigure("LAMP", "berlin", 10)),
        Figure(3, StockFigure("BULB", "berlin", -2)),
    ]


def test_all_columns_in_any_order(csv: Path) -> None:
    """Measure, position and every dimension of the policy; empty cells are what is left out."""
    text = "quantity,colour,SKU,Position,location,measure,size\n5,red,BIKE,7,berlin,safety_stock,L\n6,,BIKE,,berlin,,\n"
    assert read(csv, text, COLOURED) == [
        Figure(
            2,
            StockFigure(
                "BIKE",
                "berlin",
                5,
                measure="safety_stock",
                position=7,
                dimensions={"colour": "red", "size": "L"},
            ),
        ),
        Figure(3, StockFigure("BIKE", "berlin", 6, dimensions={"colour": "", "size": ""})),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_the_heading_tells_the_delimiter(csv: Path, delimiter: str) -> None:
    """A spreadsheet of whatever country is read."""
    text = "sku,location,quantity\r\nLAMP,berlin,10\r\n".replace(",", delimiter)
    assert read(csv, text) == [Figure(2, StockFigure("LAMP", "berlin", 10))]


def test_what_spreadsheets_add_does_no_harm(csv: Path) -> None:
    """A byte order mark, blanks around cells, quotes, lines without any text."""
    text = '﻿sku, location ,quantity\n\n"A ""B"", C", berlin , 10 \n,,\n\n'
    assert read(csv, text) == [Figure(3, StockFigure('A "B", C', "berlin", 10))]


def test_lines_are_counted_as_an_editor_counts_them(csv: Path) -> None:
    """Blank lines count; a cell with a line break is a bad line by its first line, and the next is right again."""
    found = read(csv, 'sku,location,quantity\n\n"LA\nMP",berlin,1\nBULB,berlin,2\n')
    assert found == [
        BadLine(3, "sku has control characters: 'LA\\nMP'"),
        Figure(5, StockFigure("BULB", "berlin", 2)),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("LAMP,berlin", "2 cells, the heading has 3"),
        ("LAMP,berlin,1,2", "4 cells, the heading has 3"),
        (",berlin,1", "sku is empty"),
        ("LAMP,,1", "location is empty"),
        ("LAMP,berlin,", "quantity is a whole number of base units, such as 12; got ''"),
        ("LAMP,berlin,1.5", "quantity is a whole number of base units, such as 12; got '1.5'"),
        ("LAMP,berlin,1000000000001", "quantity is -10^12 to 10^12; got 1000000000001"),
        (f"{'X' * 129},berlin,1", "sku has 129 characters, at most 128 are allowed"),
        (f"LAMP,{'x' * 65},1", "location has 65 characters, at most 64 are allowed"),
        ("LA\x07MP,berlin,1", "sku has control characters: 'LA\\x07MP'"),
        ('"LAMP"X,berlin,1', "not CSV: ',' expected after '\"'"),
    ],
)
def test_a_bad_line_says_why_and_the_others_are_read(csv: Path, line: str, reason: str) -> None:
    """Whatever is wrong with one, the lines around it are right."""
    found = read(csv, f"sku,location,quantity\nA,berlin,1\n{line}\nB,berlin,2\n")
    assert found == [
        Figure(2, StockFigure("A", "berlin", 1)),
        BadLine(3, reason),
        Figure(4, StockFigure("B", "berlin", 2)),
    ]


def test_a_line_that_is_not_utf_8_is_a_bad_line(csv: Path) -> None:
    """The reading goes on behind it."""
    found = read(csv, b"sku,location,quantity\nL\xe4MP,berlin,1\nBULB,berlin,2\n")
    assert found == [BadLine(2, "sku is not UTF-8 text"), Figure(3, StockFigure("BULB", "berlin", 2))]


@pytest.mark.parametrize("position", ["0", "-1", "1.5", "x", "9223372036854775808", "1" * 40])
def test_a_position_is_1_to_2_to_the_63(csv: Path, position: str) -> None:
    """Or empty."""
    (found,) = read(csv, f"sku,location,quantity,position\nLAMP,berlin,1,{position}\n")
    assert isinstance(found, BadLine)
    assert found.reason.startswith("position is a whole number from 1 to 2^63-1, or empty; got")


def test_the_largest_position_is_one(csv: Path) -> None:
    """2^63-1 is inside."""
    (found,) = read(csv, f"sku,location,quantity,position\nLAMP,berlin,1,{2**63 - 1}\n")
    assert isinstance(found, Figure)
    assert found.figure.position == 2**63 - 1


def test_the_same_figure_twice_is_a_bad_line(csv: Path) -> None:
    """Which of the two holds would be chance. Another dimension, measure or position is another figure."""
    text = (
        "sku,location,quantity,colour,measure,position\n"
        "BIKE,berlin,1,red,,\nBIKE,berlin,2,blue,,\nBIKE,berlin,3,red,safety_stock,\n"
        "BIKE,berlin,4,red,on_hand,\nBIKE,berlin,5,red,,9\n"
    )
    bad = [one for one in read(csv, text, COLOURED) if isinstance(one, BadLine)]
    assert bad == [BadLine(5, "the same sku, location and dimensions as line 2: which of the two is right?")]


def test_differences_may_repeat(csv: Path) -> None:
    """Two deliveries of one item are two deliveries."""
    found = read(csv, "sku,location,quantity\nLAMP,berlin,1\nLAMP,berlin,1\n", replace(RULES, delta=True))
    assert [one.figure.delta for one in found if isinstance(one, Figure)] == [1, 1]


def test_measures_are_judged_by_the_policy(csv: Path) -> None:
    """Unknown ones, values of counters and differences of figures are bad lines here, before anything is posted."""
    policy = Policy(
        measures=[Measure("on_hand"), Measure("erp.safety"), Measure("inbound", MeasureKind.COUNTER)],
        supply={"on_hand": 1},
    )
    text = "sku,location,quantity,measure\nA,north,1,on_hand\nB,north,1,inbound\nC,north,1,erp.safety\nD,north,1,x\n"
    values = read(csv, text, Rules.of(policy, measure="", delta=False))
    assert [one for one in values if isinstance(one, BadLine)] == [
        BadLine(3, "measure 'inbound' is a counter: it takes differences (--delta)"),
        BadLine(5, "measure 'x' is not one of the policy's: on_hand, erp.safety, inbound"),
    ]
    differences = read(csv, text, Rules.of(policy, measure="", delta=True))
    assert [one.line for one in differences if isinstance(one, BadLine)] == [4, 5]


def test_the_measure_of_the_command_is_that_of_lines_without_one(csv: Path) -> None:
    """A line's own measure goes before it."""
    rules = Rules.of(Policy(), measure="safety_stock", delta=False)
    found = read(csv, "sku,location,quantity,measure\nA,berlin,1,\nB,berlin,1,on_hand\n", rules)
    assert [one.figure.measure for one in found if isinstance(one, Figure)] == ["safety_stock", "on_hand"]


def test_a_till_numbers_its_figures(csv: Path) -> None:
    """Without a position nobody could tell which of two is newer."""
    rules = Rules.of(Policy(locations=[Location("shop", LocationKind.TILL)]), measure="", delta=False)
    found = read(csv, "sku,location,quantity,position\nA,shop,1,\nA,shop,1,5\nA,berlin,1,\n", rules)
    assert [type(one).__name__ for one in found] == ["BadLine", "Figure", "Figure"]
    assert found[0][1] == "position is missing: a till (shop) numbers its figures"


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("sku,location", "the column 'quantity' is missing"),
        ("sku,location,quantity,sku", "the column 'sku' stands there twice"),
        ("sku,location,quantity,colr", "the column 'colr' is neither .* nor a dimension: .* did you mean 'colour'?"),
        ("LAMP,berlin,10", "the column 'sku' is missing"),
    ],
)
def test_a_heading_that_is_none_ends_it(csv: Path, heading: str, reason: str) -> None:
    """Every line below it would be misread."""
    with pytest.raises(BadInput, match="(?s):1: the heading is not one of stock figures.*" + reason):
        read(csv, f"{heading}\nLAMP,berlin,10\n", COLOURED)


def test_an_empty_file_is_told(csv: Path) -> None:
    """It has not even a heading."""
    with pytest.raises(BadInput, match="is empty: it begins with a heading such as sku,location,quantity"):
        read(csv, "")


def test_a_file_in_another_encoding_is_told(csv: Path) -> None:
    """Spreadsheets write UTF-16 under the name of Unicode."""
    with pytest.raises(BadInput, match="is not UTF-8 text: save it as CSV UTF-8"):
        read(csv, "sku\tlocation\tquantity\n".encode("utf-16"))


def test_gzip_is_recognised_by_its_content(csv: Path) -> None:
    """Whatever the file is called; broken gzip is told."""
    packed = gzip.compress(b"sku,location,quantity\nLAMP,berlin,10\n")
    assert read(csv, packed) == [Figure(2, StockFigure("LAMP", "berlin", 10))]
    with pytest.raises(BadInput, match="broken gzip"):
        read(csv, packed[:-12])


def test_stdin_can_be_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check comes first, the posting second."""
    content = io.BytesIO(gzip.compress(b"sku,location,quantity\nLAMP,berlin,10\n"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    with StockFile("-") as file:
        assert file.name == "stdin"
        first, digest = list(file.figures(RULES)), file.digest()
        assert list(file.figures(RULES)) == first == [Figure(2, StockFigure("LAMP", "berlin", 10))]
        assert file.digest() == digest


def test_the_digest_tells_contents_apart(csv: Path) -> None:
    """An import must not go on with another file of the same name."""
    digests = set()
    for content in ("sku,location,quantity\nLAMP,berlin,10\n", "sku,location,quantity\nLAMP,berlin,11\n"):
        csv.write_text(content)
        with StockFile(str(csv)) as file:
            digests.add(file.digest())
    assert len(digests) == 2
