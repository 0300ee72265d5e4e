"""The contract says of each field what the server refuses, as docs/api.md shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from ringfence_server.ledger.balance import Bound

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


class Field(NamedTuple):
    """A row of the page."""

    message: str
    name: str
    kind: str
    text: str


def fields() -> list[Field]:
    """Every field of every message."""
    found: list[Field] = []
    message = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            message = line.strip("# ")
        elif row := re.fullmatch(r"\| `(\w+)` \| (.+?) \| (.*) \|", line):
            found.append(Field(message, *row.groups()))
    return found


FIELDS = fields()
ANSWERED = {"Reservation", "Part"}
"""They repeat what requests gave."""
NAMED = {(field.message, field.name): field for field in FIELDS}


def test_every_text_with_a_length_says_which_characters() -> None:
    """A name, label or path that a request gives has no control characters, and its comment says so."""
    given = [field for field in FIELDS if "string" in field.kind and field.message not in ANSWERED]
    limited = [field for field in given if re.search(r"\d characters", field.text)]
    assert len(limited) > 25
    assert [field[:2] for field in limited if not re.search(r"control characters|characters of a-z", field.text)] == []


def test_every_request_id_says_that_it_is_no_nil_uuid() -> None:
    """Which is what a client sends that forgot to make one."""
    ids = [field for field in FIELDS if field.name == "request_id" and field.message.endswith("Request")]
    assert len(ids) > 9
    assert [field.message for field in ids if "not the nil UUID" not in field.text] == []


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ("ReserveRequest", "never", "False is refused"),
        ("UpdateReservationRequest", "never", "False is refused"),
        ("UnallocationLine", "all_free", "False is refused"),
        ("ReallocationLine", "to_path", "The same pool as from_path is refused"),
        ("ConsumeRequest", "lines", "Refused together with direct"),
        ("QueryBalanceRequest", "explain", "Refused together with roll_up"),
        ("UpdateReservationRequest", "update_mask", "at least one"),
        ("StockFigure", "position", "Negative is refused"),
        ("Location", "kind", "not set is refused"),
        ("BookedOrder", "dimensions", "without it they are refused"),
        ("ListReservationsRequest", "stuck_for", "Refused with another till_progress"),
        ("BalanceFilter", "dimensions", "one of the policy's"),
        ("BalanceFilter", "location_groups", "of the policy"),
        ("RollUp", "dimension", "one of the policy's"),
        ("RollUp", "level", "number of the policy's levels"),
    ],
)
def test_what_a_field_refuses_is_said(message: str, field: str, words: str) -> None:
    """A reader of the contract need not try."""
    assert words in NAMED[message, field].text


def test_every_bound_is_named() -> None:
    """What a query explains is one of the words that the contract lists."""
    assert re.findall(r'"([A-Z]+)"', NAMED["Explanation", "bound"].text) == [bound.value for bound in Bound]
