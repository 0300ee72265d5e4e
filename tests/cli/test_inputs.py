"""What is typed becomes a value, or is answered with what would have been right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ringfence import CancelReason, Fallback, FreeLine, Line, Move, RollUp
from ringfence_server.cli import inputs
from ringfence_server.cli.failures import BadInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1.5s", timedelta(seconds=1.5)),
        ("250ms", timedelta(milliseconds=250)),
        (" 15M ", timedelta(minutes=15)),
    ],
)
def test_a_span_is_numbers_with_units(text: str, expected: timedelta) -> None:
    """Days, hours, minutes, seconds and milliseconds, added up."""
    assert inputs.span(text, "--ttl") == expected


@pytest.mark.parametrize("text", ["15", "", "15 m", "m", "-15m", "1w", "15m!", "ten minutes"])
def test_what_is_no_span_is_told_with_examples(text: str) -> None:
    """A number without a unit could mean anything, so it is refused like any other text."""
    with pytest.raises(BadInput, match=r"--ttl is a span with units, such as 90s, 15m, 1h30m or 2d; got"):
        inputs.span(text, "--ttl")


@pytest.mark.parametrize("text", ["0s", "0h0m"])
def test_a_span_is_above_zero(text: str) -> None:
    """A lease of nothing is a mistake."""
    with pytest.raises(BadInput, match="above zero"):
        inputs.span(text, "--ttl")


def test_a_span_beyond_the_calendar_is_bad_input() -> None:
    """A number too large is an answer, not a traceback."""
    with pytest.raises(BadInput, match="longer than the calendar"):
        inputs.span("9999999999999d", "--ttl")


def test_bare_seconds_are_a_span_only_where_that_is_usual() -> None:
    """`--timeout 5` means seconds; `--ttl 5` is refused."""
    assert inputs.span("5", "--timeout", bare_seconds=True) == timedelta(seconds=5)


def test_an_instant_carries_its_zone() -> None:
    """UTC and offsets are taken; a local time is refused with what it could be."""
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert inputs.instant("2026-01-31T12:00:00Z", "--at") == noon
    assert inputs.instant("2026-01-31 13:00+01:00", "--at") == noon
    with pytest.raises(BadInput, match=r"--at needs a time zone: 2026-01-31T12:00:00Z, or \+01:00 at its end"):
        inputs.instant("2026-01-31T12:00:00", "--at")
    with pytest.raises(BadInput, match="--at is an instant such as"):
        inputs.instant("yesterday", "--at")


def test_a_past_instant_may_be_how_long_ago_it_was() -> None:
    """ "2h" is two hours before now."""
    before = datetime.now(UTC)
    found = inputs.past_instant("2h", "--since")
    assert before - timedelta(hours=2) <= found <= datetime.now(UTC) - timedelta(hours=2)
    with pytest.raises(BadInput, match="or how long ago, such as 2h"):
        inputs.past_instant("lately", "--since")


@pytest.mark.parametrize("text", ["0", "-1", "1000000000001"])
def test_a_quantity_is_1_to_10_to_the_12(text: str) -> None:
    """The contract's bounds, before anything is sent."""
    with pytest.raises(BadInput, match=r"1 to 10\^12"):
        inputs.quantity(text)


@pytest.mark.parametrize("text", ["1.0", "1,000", "1e3", "", "ten", "١٢", "1 "])
def test_a_quantity_is_a_whole_number(text: str) -> None:
    """Neither decimals nor separators are guessed at."""
    with pytest.raises(BadInput, match="a whole number of base units"):
        inputs.quantity(text)


def test_a_quantity_with_too_many_digits_is_a_whole_number_all_the_same() -> None:
    """What is wrong with it is its size."""
    with pytest.raises(BadInput, match=r"is not beyond 10\^12 base units; got 9{23}"):
        inputs.quantity("9" * 23)


def test_only_what_is_sourced_finds_a_location_by_itself() -> None:
    """Elsewhere "-" would be the name of a location that nobody meant."""
    for refused in (
        lambda: inputs.lines(["LAMP", "-", "1"], path="web", fixed={}),
        lambda: inputs.free_lines(["LAMP", "-"], path="web", fixed={}),
        lambda: inputs.moves(["LAMP", "-", "1"], from_path="web", to_path="", fixed={}),
    ):
        with pytest.raises(BadInput, match="name the LOCATION"):
            refused()


def test_lines_come_in_threes_for_one_path() -> None:
    """SKU LOCATION QUANTITY, as often as one likes; "-" is any location."""
    found = inputs.lines(
        ["LAMP", "berlin", "1", "BULB 40W", "-", "2"],
        path="web",
        fixed={"colour": "red"},
        fallback="none",
        sourced=True,
    )
    assert found == [
        Line("LAMP", "berlin", 1, path="web", dimensions={"colour": "red"}, fallback=Fallback.NONE),
        Line("BULB 40W", "", 2, path="web", dimensions={"colour": "red"}, fallback=Fallback.NONE),
    ]


def test_a_line_that_lacks_something_says_what() -> None:
    """The missing word is named, with the form of a line."""
    with pytest.raises(BadInput, match="'BULB berlin' lacks its QUANTITY: every line is SKU LOCATION QUANTITY"):
        inputs.lines(["LAMP", "berlin", "1", "BULB", "berlin"], path="", fixed={})
    with pytest.raises(BadInput, match="'LAMP' lacks its LOCATION"):
        inputs.free_lines(["LAMP"], path="web", fixed={})


def test_free_lines_and_moves() -> None:
    """Pairs for what is free, threes for what moves."""
    assert inputs.free_lines(["LAMP", "berlin"], path="web", fixed={}) == [FreeLine("LAMP", "berlin", path="web")]
    assert inputs.moves(["LAMP", "berlin", "3"], from_path="web", to_path="", fixed={}) == [
        Move("LAMP", "berlin", 3, from_path="web", to_path="")
    ]


def test_quantities_of_lines() -> None:
    """LINE is all of it, LINE=QUANTITY some; the last "=" divides, since a name may have one."""
    assert inputs.line_quantities(["1", "2=3", "a=b=4"]) == {"1": None, "2": 3, "a=b": 4}
    assert inputs.held_quantities(["1=7", "2=0"]) == {"1": 7, "2": 0}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["1", "1=2"], "--line 1 is given twice"),
        (["=2"], "--line is LINE or LINE=QUANTITY"),
        (["1="], "--line is LINE or LINE=QUANTITY"),
        (["1=0"], r"the quantity of line 1 is 1 to 10\^12"),
        (["1=x"], "the quantity of line 1 is a whole number"),
    ],
)
def test_quantities_of_lines_that_cannot_be_meant(words: list[str], reason: str) -> None:
    """Each is told by its line."""
    with pytest.raises(BadInput, match=reason):
        inputs.line_quantities(words)


def test_a_held_quantity_is_always_said() -> None:
    """Leaving it out could mean all or nothing."""
    with pytest.raises(BadInput, match="--line 1=QUANTITY"):
        inputs.held_quantities(["1"])


def test_dimensions_are_pairs() -> None:
    """An empty value is one; a missing or a second one is not."""
    assert inputs.dimensions(["colour=red", "size=", "note=a=b"]) == {"colour": "red", "size": "", "note": "a=b"}
    with pytest.raises(BadInput, match="NAME=VALUE"):
        inputs.dimensions(["red"])
    with pytest.raises(BadInput, match="colour is given twice"):
        inputs.dimensions(["colour=red", "colour=blue"])


def test_a_choice_says_what_there_is() -> None:
    """Dashes and capitals do not matter; what is close is offered."""
    assert inputs.choice(CancelReason, "Out-Of-Stock", "--reason") is CancelReason.OUT_OF_STOCK
    with pytest.raises(BadInput, match=r"one of customer, payment, .*; got 'paymnt'; did you mean 'payment'\?"):
        inputs.choice(CancelReason, "paymnt", "--reason")
    with pytest.raises(BadInput, match="got 'unknown'"):
        inputs.choice(CancelReason, "unknown", "--reason")


def test_roll_ups() -> None:
    """By comma or by giving the option again."""
    assert inputs.roll_ups(["sku,location", "group", "level:2", "dimension:colour"]) == [
        RollUp.sku(),
        RollUp.location(),
        RollUp.location_group(),
        RollUp.to_level(2),
        RollUp.by_dimension("colour"),
    ]


@pytest.mark.parametrize("text", ["", "level", "level:0", "level:9", "level:12", "dimension:", "skus", "sku:1"])
def test_a_roll_up_that_there_is_not(text: str) -> None:
    """It is told what there is."""
    with pytest.raises(BadInput, match="--rollup is sku, location, group, level:N"):
        inputs.roll_ups([text])


def test_the_empty_path_filters_the_common_pool_and_no_path_filters_nothing() -> None:
    """`--path ''` is not the same as leaving it out."""
    nothing = inputs.balance_filter((), locations=(), groups=(), path=None, exact=False, pairs=())
    common = inputs.balance_filter((), locations=(), groups=(), path="", exact=False, pairs=())
    assert (nothing.path, nothing.exact_path) == ("", False)
    assert (common.path, common.exact_path) == ("", True)
