"""balance: what is there, for whom, now or then, summed or explained."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.run import Cli

POLICY = """
revision = 1
dimensions = ["colour"]
[[locations]]
name = "berlin"
groups = ["north"]
[[locations]]
name = "paris"
groups = ["south"]
"""


@pytest.fixture
def bikes(cli: Cli) -> Cli:
    """Red and blue bikes in Berlin and Paris; web/london has some of the red ones, an order holds 5 of those."""
    cli("policy", "set", "-", input=POLICY)
    for colour, location, count in (("red", "berlin", "59"), ("red", "paris", "35"), ("blue", "berlin", "7")):
        cli("stock", "post", "BIKE", location, count, "-d", f"colour={colour}")
    cli("allocate", "BIKE", "berlin", "20", "--path", "web/london", "-d", "colour=red")
    cli("reserve", "BIKE", "berlin", "5", "--path", "web/london", "--owner", "me", "--ttl", "20h", "-d", "colour=red")
    return cli


def test_a_row_is_a_pool_and_each_dimension_a_column(bikes: Cli) -> None:
    """In the order of SKU, location, dimensions and path."""
    rows = bikes.table("balance")
    assert [(row["location"], row["colour"], row["path"], row["allocated"], row["held"]) for row in rows] == [
        ("berlin", "blue", "(common)", "7", "0"),
        ("berlin", "red", "(common)", "39", "0"),
        ("berlin", "red", "web/london", "20", "5"),
        ("paris", "red", "(common)", "35", "0"),
    ]
    assert "supply" not in rows[0]


def test_wide_has_supply_net_and_the_age_of_the_figures(bikes: Cli) -> None:
    """What a planner looks for when something is short."""
    bikes.server.clock.advance(timedelta(hours=2))
    row = bikes.table("balance", "-w", "--location", "paris")[0]
    assert (row["supply"], row["net"], row["quotas short"], row["promises short"]) == ("35", "35", "0", "0")
    assert row["age"] == "2h"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("BIKE",), 4),
        (("LAMP", "BIKE"), 4),
        (("--location", "paris"), 1),
        (("--location", "paris", "--location", "berlin"), 4),
        (("--group", "north"), 3),
        (("--path", ""), 3),
        (("--path", "web/london"), 1),
        (("-d", "colour=blue"), 1),
        (("--path", "web/london", "--exact"), 1),
        (("--limit", "2"), 2),
    ],
)
def test_filters(bikes: Cli, filters: tuple[str, ...], count: int) -> None:
    """Each narrows; the common pool is the empty path."""
    assert len(bikes.table("balance", *filters)) == count


def test_a_limit_says_that_it_cut(bikes: Cli) -> None:
    """But not when it did not."""
    assert "these are the first 2; --limit 0 shows all" in bikes.run("balance", "--limit", "2").err
    assert bikes.run("balance", "--limit", "4").err == ""


def test_what_no_source_posted_is_absent_and_said_so(bikes: Cli) -> None:
    """Zero would mean sold out."""
    ran = bikes.run("balance", "LAMP")
    assert (ran.exit_code, ran.out) == (0, "")
    assert "nothing matches; a key that no source ever posted is absent, not zero" in ran.err
    assert bikes.json("balance", "LAMP")["balances"] == []


@pytest.mark.parametrize(
    ("by", "column", "sums"),
    [
        ("sku", "sku", {"BIKE": "101"}),
        ("location", "location", {"berlin": "66", "paris": "35"}),
        ("group", "location group", {"north": "66", "south": "35"}),
        ("level:1", "path", {"(common)": "81", "web": "20"}),
        ("dimension:colour", "colour", {"blue": "7", "red": "94"}),
    ],
)
def test_roll_ups(bikes: Cli, by: str, column: str, sums: dict[str, str]) -> None:
    """What is kept apart is a column, all else is summed, and the keys are counted."""
    rows = bikes.table("balance", "--rollup", by)
    assert next(iter(rows[0])) == column
    assert {row[column]: row["allocated"] for row in rows} == sums
    assert "keys" in rows[0]


def test_two_roll_ups_at_once(bikes: Cli) -> None:
    """By comma."""
    rows = bikes.table("balance", "--rollup", "location,dimension:colour")
    assert [(row["location"], row["colour"], row["allocated"]) for row in rows] == [
        ("berlin", "blue", "7"),
        ("berlin", "red", "59"),
        ("paris", "red", "35"),
    ]


def test_at_an_instant_it_is_what_a_read_answered_then(bikes: Cli) -> None:
    """Whatever happened since; an instant to come is bad input."""
    then = bikes.json("balance")["read_time"]
    bikes.server.clock.advance(timedelta(hours=1))
    bikes("stock", "post", "BIKE", "paris", "1", "-d", "colour=red")
    assert bikes.table("balance", "--location", "paris")[0]["allocated"] == "1"
    assert bikes.table("balance", "--location", "paris", "--at", then)[0]["allocated"] == "35"
    later = f"{bikes.server.clock.time + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert "read_time: " in bikes.fails(2, "balance", "--at", later)


def test_json_is_the_answer_with_every_figure(bikes: Cli) -> None:
    """Numbers as numbers, and the state that was read."""
    answer = bikes.json("balance", "BIKE", "--path", "web/london")
    assert set(answer) == {"balances", "read_time", "revision", "more"}
    (balance,) = answer["balances"]
    assert balance["key"] == {"sku": "BIKE", "location": "berlin", "dimensions": {"colour": "red"}}
    assert balance["own"] == {
        "allocated": 20,
        "available": 15,
        "held": 5,
        "unsettled": 0,
        "consumed": 0,
        "shortfall": 0,
    }
    assert balance["explanation"] is None


def test_a_long_list_is_read_to_its_end(cli: Cli) -> None:
    """Over as many pages as there are, as a table and as JSON."""
    lines = "".join(f"SKU-{number:04},berlin,{number}\n" for number in range(1_234))
    cli("stock", "import", "-", input=f"sku,location,quantity\n{lines}")
    rows = cli.table("balance")
    assert [row["allocated"] for row in rows] == [str(number) for number in range(1_234)]
    assert [one["own"]["allocated"] for one in cli.json("balance")["balances"]] == list(range(1_234))
    assert len(cli.json("balance", "--limit", "1100")["balances"]) == 1_100


def test_explain_says_why(bikes: Cli) -> None:
    """The formula with its values, all pools of the key, who holds what until when, and what bound."""
    bikes("stock", "post", "BIKE", "berlin", "9", "--measure", "safety_stock", "-d", "colour=red")
    text = bikes("balance", "BIKE", "--path", "web/london", "--explain")
    assert "supply 50 = on_hand 59 - safety_stock 9  (policy 2)" in text
    assert "net 45 = supply less all that is held and unsettled" in text
    assert "available to reserve 15, bound by the free units of its pools" in text
    pools = text.split("\npools\n")[1].split("\n\n")[0]
    assert [line.split()[3:5] for line in pools.splitlines()[1:]] == [["(common)", "30"], ["web/london", "20"]]
    (hold,) = text.split("live holds of this pool\n")[1].split("\n\n")[0].splitlines()[1:]
    assert hold.split()[1:3] == ["me", "5"]


def test_promises_that_exceed_what_is_there_are_noted(bikes: Cli) -> None:
    """A table without --wide would not show it."""
    bikes("stock", "post", "BIKE", "berlin", "3", "-d", "colour=red")
    told = bikes.run("balance").err
    assert "promises to customers exceed what is there in 2 of these rows: --wide shows by how much" in told
    assert bikes.run("balance", "--wide").err == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rollup", "colour"), "--rollup is sku, location, group, level:N"),
        (("--rollup", "sku", "--explain"), "--explain is of single balances: leave --rollup out"),
        (("--rollup", "dimension:color"), "no dimension 'color', it has colour; did you mean 'colour'?"),
        (("-d", "size=L"), "the policy has no dimension 'size', it has colour"),
        (("--at", "noon"), "--at is an instant such as 2026-01-31T12:00:00Z"),
        (("--path", "web//x"), "filter.path: "),
    ],
)
def test_what_cannot_be_meant_is_bad_input(bikes: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right."""
    assert told in bikes.fails(2, "balance", *arguments)
