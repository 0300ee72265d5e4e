"""reservations and ledger: what was promised to whom, and every movement of a quantity."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.run import Cli


@pytest.fixture
def day(cli: Cli) -> dict[str, str]:
    """A day's orders by what became of them."""
    cli("stock", "post", "LAMP", "berlin", "10", "--source", "wms")
    cli("stock", "post", "LAMP", "paris", "10")
    cli("allocate", "LAMP", "berlin", "5", "--path", "web")
    orders = {}
    for name, location in (("held", "berlin"), ("sold", "berlin"), ("cancelled", "paris"), ("expired", "paris")):
        ttl = "1m" if name == "expired" else "3h"
        orders[name] = cli("reserve", "LAMP", location, "2", "--owner", name, "--ttl", ttl, "-q").strip()
        cli.server.clock.advance(timedelta(minutes=10))
    cli("consume", orders["sold"], "--order-reference", "W-7")
    cli("cancel", orders["cancelled"])
    return orders


def listed(cli: Cli, *filters: str) -> list[str]:
    """The owners of what is listed."""
    ran = cli.run("reservations", *filters)
    assert ran.exit_code == 0, ran
    return [line.split()[2] for line in ran.out.splitlines()[1:]]


def test_reservations_come_newest_first(cli: Cli, day: dict[str, str]) -> None:
    """One row each, with what it asked for and what it holds."""
    rows = cli.table("reservations")
    assert [row["state"] for row in rows] == ["expired", "cancelled", "settled", "held"]
    newest, *_, oldest = rows
    assert newest["reservation"] == day["expired"]
    assert (oldest["owner"], oldest["lines"], oldest["requested"], oldest["granted"], oldest["held"]) == (
        "held",
        "1",
        "2",
        "2",
        "2",
    )
    assert (rows[2]["order reference"], rows[2]["create time"][-1]) == ("W-7", "Z")


def test_filters_of_reservations(cli: Cli, day: dict[str, str]) -> None:
    """Each narrows."""
    created = [row["create time"] for row in cli.table("reservations")]
    assert listed(cli, "--state", "held") == ["held"]
    assert listed(cli, "--state", "held", "--state", "settled") == ["sold", "held"]
    assert listed(cli, "--owner", "cancelled") == ["cancelled"]
    assert listed(cli, "--location", "paris") == ["expired", "cancelled"]
    assert listed(cli, "--sku", "BULB") == []
    assert listed(cli, "--order-reference", "W-7") == ["sold"]
    assert listed(cli, "--since", created[1]) == ["expired", "cancelled"]
    assert listed(cli, "--before", created[1]) == ["sold", "held"]


def test_a_limit_says_that_it_cut(cli: Cli, day: dict[str, str]) -> None:
    """On stderr, so that a pipe gets the rows alone."""
    ran = cli.run("reservations", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert "these are the newest 2; --limit 0 shows all" in ran.err
    assert cli.run("reservations", "--limit", "4").err == ""
    assert "nothing matches" in cli.run("reservations", "--owner", "nobody").err


def test_reservations_as_json(cli: Cli, day: dict[str, str]) -> None:
    """The list, or the one that is named."""
    listed = cli.json("reservations", "--state", "held")["reservations"]
    assert [one["reservation_id"] for one in listed] == [day["held"]]
    assert listed[0] == cli.json("reservations", day["held"])


def test_one_reservation_is_shown_with_its_parts(cli: Cli, day: dict[str, str]) -> None:
    """What it is, then where every unit is."""
    text = cli("reservations", day["sold"])
    assert text.splitlines()[0] == f"reservation {day['sold']}"
    assert "  order_reference  W-7\n" in text
    heading, row = text.splitlines()[-2:]
    assert heading.split()[-6:] == ["granted", "held", "unsettled", "settled", "cancelled", "expired"]
    assert row.split()[-6:] == ["2", "0", "0", "2", "0", "0"]


def test_ledger_entries_say_from_where_to_where(cli: Cli, day: dict[str, str]) -> None:
    """Newest first: a place is where units are and whose pool it is."""
    rows = cli.table("ledger", "--sku", "LAMP", "--location", "berlin")
    assert [(row["kind"], row["quantity"], row["from"], row["to"]) for row in reversed(rows)] == [
        ("supply", "10", "outside", "free:(common)"),
        ("allocate", "5", "free:(common)", "free:web"),
        ("reserve", "2", "free:(common)", "held:(common)"),
        ("reserve", "2", "free:(common)", "held:(common)"),
        ("consume", "2", "held:(common)", "sold"),
    ]
    assert [int(row["sequence"]) for row in rows] == sorted((int(row["sequence"]) for row in rows), reverse=True)


def test_filters_of_the_ledger(cli: Cli, day: dict[str, str]) -> None:
    """By reservation, by request and by time."""
    by_order = cli.table("ledger", "--reservation", day["expired"], "--wide")
    assert [row["kind"] for row in by_order] == ["expire", "reserve"]
    reserved = by_order[1]
    assert by_order[0]["request"] == "-"
    assert cli.table("ledger", "--request", reserved["request"], "-w") == [reserved]
    everything = cli.table("ledger", "--limit", "0", "-w")
    since = cli.table("ledger", "--since", reserved["record time"], "-w")
    before = cli.table("ledger", "--before", reserved["record time"], "-w")
    assert reserved in since
    assert reserved not in before
    assert since + before == everything


def test_the_end_of_a_lease_counts_from_its_instant(cli: Cli, day: dict[str, str]) -> None:
    """Whenever it was recorded: the exact time stands beside."""
    ended, reserved = cli.json("ledger", "--reservation", day["expired"])["entries"]
    assert ended["effective_time"] == cli.json("reservations", day["expired"])["expire_time"]
    assert reserved["effective_time"] == reserved["record_time"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reservations", "--state", "hold"), "--state is one of held, consumed"),
        (("reservations", "some-id", "--owner", "me"), "a reservation by its id, or filters, not both"),
        (("reservations", "some-id"), "the reservation_id that Reserve answered"),
        (("reservations", "--since", "lately"), "or how long ago, such as 2h"),
        (("ledger", "--sku", "LAMP"), "a stock key is --sku and --location together"),
        (("ledger", "--request", "x"), "request_id: a UUID"),
        (("ledger", "--sku", "A", "--location", "b", "-d", "size=L"), "no dimension 'size', it has none"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right."""
    assert told in cli.fails(2, *arguments)
