"""stock post and stock show: one figure in, and what is in force."""

from __future__ import annotations

import pytest

from tests.cli.run import Cli


def test_a_count_then_differences(cli: Cli) -> None:
    """A negative one is a quantity, not an option."""
    (row,) = cli.table("stock", "post", "LAMP", "berlin", "10")
    assert (row["measure"], row["result"], row["value"], row["supply"]) == ("on_hand", "applied", "10", "10")
    assert cli.table("stock", "post", "LAMP", "berlin", "12", "--delta")[0]["value"] == "22"
    assert cli.table("stock", "post", "--delta", "LAMP", "berlin", "-3")[0]["value"] == "19"
    assert cli.table("stock", "post", "LAMP", "berlin", "-5")[0]["supply"] == "-5"


def test_a_measure_with_position_source_and_time(cli: Cli) -> None:
    """What is given is in force and shown."""
    given = ("--measure", "safety_stock", "--position", "7", "--source", "erp", "--count-time", "2026-01-01T06:00:00Z")
    cli("stock", "post", "LAMP", "berlin", "10")
    answer = cli.json("stock", "post", "LAMP", "berlin", "4", *given)
    assert [(one["result"], one["supply"]) for one in answer["outcomes"]] == [("applied", 6)]
    rows = {row["measure"]: row for row in cli.table("stock", "show", "LAMP")}
    assert rows["on_hand"]["source"] == "anonymous"
    safety = rows["safety_stock"]
    assert (safety["value"], safety["position"], safety["source"]) == ("4", "7", "erp")
    assert safety["count time"] == "2026-01-01T06:00:00Z"
    assert safety["supply"] == "6"


def test_an_older_position_is_stale_and_the_same_with_another_value_a_conflict(cli: Cli) -> None:
    """Stale is final and no error; a conflict is one, and the old value stays."""
    cli("stock", "post", "LAMP", "berlin", "10", "--position", "5")
    assert cli.table("stock", "post", "LAMP", "berlin", "9", "--position", "4")[0]["result"] == "stale"
    assert cli.table("stock", "post", "LAMP", "berlin", "10", "--position", "5")[0]["result"] == "duplicate"
    ran = cli.run("stock", "post", "LAMP", "berlin", "11", "--position", "5")
    assert ran.exit_code == 1
    assert "conflict" in ran.out
    assert "give a newer --position" in ran.err


def test_an_expected_value_that_does_not_hold_is_refused(cli: Cli) -> None:
    """With the one in force."""
    cli("stock", "post", "LAMP", "berlin", "10")
    told = cli.fails(1, "stock", "post", "LAMP", "berlin", "9", "--expected-value", "11")
    assert "the value in force is 10, not 11" in told
    cli("stock", "post", "LAMP", "berlin", "9", "--expected-value", "10")


def test_show_lists_keys_by_filters(cli: Cli) -> None:
    """One row per measure; dimensions are columns."""
    cli("policy", "set", "-", input='revision = 1\ndimensions = ["colour"]\n')
    for sku, location, colour in (("A", "berlin", "red"), ("A", "paris", ""), ("B", "berlin", "blue")):
        cli("stock", "post", sku, location, "1", "-d", f"colour={colour}")
    assert [(row["sku"], row["location"], row["colour"]) for row in cli.table("stock", "show")] == [
        ("A", "berlin", "red"),
        ("A", "paris", "-"),
        ("B", "berlin", "blue"),
    ]
    assert len(cli.table("stock", "show", "A", "--location", "paris")) == 1
    assert len(cli.json("stock", "show", "A")["stocks"]) == 2
    ran = cli.run("stock", "show", "--limit", "1")
    assert "these are the first 1 keys" in ran.err
    assert "absent, not zero" in cli.run("stock", "show", "C").err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("LAMP", "berlin", "1.5"), "QUANTITY is a whole number of base units"),
        (("LAMP", "berlin", "10", "--count-time", "2026-01-01T06:00:00"), "--count-time needs a time zone"),
        (
            ("LAMP", "berlin", "10", "--measure", "stock"),
            "'stock' is no measure of the policy, it has on_hand, safety_stock",
        ),
        (("LAMP", "berlin", "1", "--delta", "--measure", "safety_stock"), "post its absolute value"),
        (("LAMP", "berlin", "1000000000001"), "10^12"),
        (("LAMP", "", "1"), "figures[0].key.location"),
        (("LAMP", "berlin", "10", "--detla"), "unexpected extra argument"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right."""
    assert told in cli.fails(2, "stock", "post", *arguments)
