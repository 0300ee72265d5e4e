"""What people ask of the till side: what is stuck, what did not fit, what the shop shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ringfence import Booking, Line, PublishedQuantity, SaleBooking
from tests.cli.run import Cli

POLICY = """
full_count_confirm_share = 5
[[locations]]
name = "berlin"
kind = "till"
source = "pos"
"""


@pytest.fixture
def till(cli: Cli) -> Cli:
    """10 lamps that Berlin's till counted at position 100."""
    revision = cli.json("policy", "show")["revision"]
    cli("policy", "set", "-", input=f"revision = {revision}\n{POLICY}")
    cli("stock", "post", "LAMP", "berlin", "10", "--source", "pos", "--position", "100")
    return cli


def sold(cli: Cli, quantity: int = 1) -> str:
    """An order of lamps; its reservation."""
    with cli.client() as client:
        answer = client.consume_directly(Line("LAMP", "berlin", quantity), order_reference="W-7")
        return answer.reservation.reservation_id


def test_a_policy_of_tills_comes_back_as_it_was_given(till: Cli) -> None:
    """With its source, and the share of a full count that needs no person."""
    policy = till.json("policy", "show")
    assert policy["full_count_confirm_share"] == 5
    assert policy["locations"][0]["source"] == "pos"
    till("policy", "set", "-", input=till("policy", "show"))
    again = till.json("policy", "show")
    assert {**again, "revision": 0} == {**policy, "revision": 0}


def test_what_is_stuck_on_its_way_into_the_till_is_listed(till: Cli) -> None:
    """By where it stands, and for how long."""
    order = sold(till)
    assert [row["reservation"] for row in till.table("reservations", "--till-progress", "not_sent")] == [order]
    till.server.clock.advance(timedelta(minutes=11))
    stuck = ("reservations", "--till-progress", "not-sent", "--stuck-for")
    assert [row["reservation"] for row in till.table(*stuck, "10m")] == [order]
    assert "nothing matches" in till.run(*stuck, "1h").err
    assert "nothing matches" in till.run("reservations", "--till-progress", "rejected").err


@pytest.mark.parametrize(
    "options",
    [["--stuck-for", "10m"], ["--till-progress", "rejected", "--stuck-for", "10m"]],
    ids=["alone", "of others"],
)
def test_a_time_without_a_place_is_refused(cli: Cli, options: list[str]) -> None:
    """It would mean nothing."""
    assert "--stuck-for is how long a part stands at" in cli.fails(2, "reservations", *options)


def test_a_reservation_shows_what_its_till_said(till: Cli) -> None:
    """Owed, booked, rejected and why, beside the parts."""
    order = sold(till, 3)
    with till.client() as client:
        client.post_stock(
            source="pos",
            bookings=SaleBooking("berlin", Booking(104, 1), order_reference="W-7", reject_reason="two\nbroken"),
        )
    shown = till("reservations", order)
    row = shown.partition("at the till\n")[2].splitlines()
    assert row[0].split()[-6:] == ["owed", "booked", "rejected", "cancelling", "attempts", "said"]
    assert row[1].split()[-7:] == ["1", "1", "2", "0", "0", "two", "broken"]
    assert "state            rejected" in shown


def test_discrepancies_are_listed_with_their_evidence(till: Cli) -> None:
    """Newest first; filters narrow."""
    assert till.run("stock", "post", "LAMP", "berlin", "9", "--source", "pos", "--position", "100").exit_code == 1
    with till.client() as client:
        client.post_stock(source="pos", bookings=SaleBooking("berlin", Booking(5, 2), order_reference="W-404"))
    unknown, conflict = till.table("discrepancies")
    assert (conflict["kind"], conflict["sku"], conflict["position"]) == ("position_conflict", "LAMP", "100")
    assert (conflict["quantity"], conflict["known"], conflict["reported"]) == ("-1", "10", "9")
    assert (unknown["kind"], unknown["order reference"]) == ("unknown_order", "W-404")
    assert [row["kind"] for row in till.table("discrepancies", "--kind", "position-conflict")] == ["position_conflict"]
    assert [row["kind"] for row in till.table("discrepancies", "--sku", "LAMP")] == ["position_conflict"]
    assert "nothing matches" in till.run("discrepancies", "--location", "paris").err
    assert "these are the newest 1" in till.run("discrepancies", "--limit", "1").err
    assert [each["order_reference"] for each in till.json("discrepancies")["discrepancies"]][:1] == ["W-404"]


def test_what_the_shop_shows_stands_beside_what_is(till: Cli) -> None:
    """And what of it is promised to orders that the till has not booked."""
    sold(till, 2)
    with till.client() as client:
        client.report_published(
            PublishedQuantity("LAMP", "berlin", 10, datetime(2026, 1, 1, tzinfo=UTC)), publisher="web-feed"
        )
    (row,) = till.table("balance", "LAMP", "--wide")
    assert (row["available"], row["unsettled"], row["published"]) == ("8", "2", "10 (web-feed)")
    why = till("balance", "LAMP", "--explain")
    assert "unsettled 2: promised to orders that the till has not booked in its figure yet" in why
    assert "published 10 by web-feed, 2026-01-01T00:00:00Z" in why


def test_what_a_till_rejected_is_sold_elsewhere(till: Cli) -> None:
    """By the number of its part; the rest of the order stays where it is."""
    till("stock", "post", "LAMP", "warehouse", "5")
    order = sold(till, 3)
    with till.client() as client:
        client.post_stock(
            source="pos", bookings=SaleBooking("berlin", Booking(104, 1), order_reference="W-7", reject_reason="broken")
        )
    shown = till("reassign", order, "1", "warehouse", "--quantity", "2")
    assert "state            consumed" in shown
    moved = till.table("balance", "LAMP", "--location", "warehouse")
    assert [(row["available"], row["consumed"]) for row in moved] == [("3", "2")]
    assert "nothing matches" in till.run("reservations", "--till-progress", "rejected").err
    told = till.fails(1, "reassign", order, "1", "warehouse")
    assert "rejected" in told
    assert "--fallback is one of none, ancestors" in till.fails(2, "reassign", order, "1", "berlin", "--fallback", "x")
    assert "name the LOCATION" in till.fails(2, "reassign", order, "1", "-")
