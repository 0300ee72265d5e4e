"""reserve, consume, cancel, extend and update: what they write, and what they say when it cannot be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.run import Cli, rows_of


@pytest.fixture
def lamps(cli: Cli) -> Cli:
    """10 lamps and 4 bulbs in Berlin, of which web has 6 and 1."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("stock", "post", "BULB", "berlin", "4")
    cli("allocate", "LAMP", "berlin", "6", "BULB", "berlin", "1", "--path", "web")
    return cli


def shown(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The facts of a reservation as written, and its parts."""
    head, *lines = text.splitlines()
    facts = {"reservation": head.removeprefix("reservation ")}
    while lines[0].startswith("  "):
        name, value = lines.pop(0).split(maxsplit=1)
        facts[name] = value
    return facts, rows_of("\n".join(lines))


def test_reserve_shows_what_was_granted_from_where(lamps: Cli) -> None:
    """Several lines under one lease and owner."""
    now = lamps.server.clock.time
    facts, parts = shown(
        lamps("reserve", "LAMP", "berlin", "2", "BULB", "berlin", "1", "--path", "web", "--ttl", "15m", "--owner", "me")
    )
    assert (facts["state"], facts["owner"], facts["revision"]) == ("held", "me", "1")
    assert facts["expire_time"] == f"{now + timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ}"
    assert [(part["line"], part["sku"], part["requested"], part["granted"], part["from path"]) for part in parts] == [
        ("1", "LAMP", "2", "2", "web"),
        ("2", "BULB", "1", "1", "web"),
    ]


def test_reserve_as_json_and_quietly(lamps: Cli) -> None:
    """The answer's fields, or the id alone."""
    answer = lamps.json("reserve", "LAMP", "berlin", "1")
    assert (answer["fill"], answer["reservation"]["state"], answer["replayed"]) == ("full", "held", False)
    (line,) = answer["reservation"]["lines"]
    assert (line["requested"], line["parts"][0]["held"]) == (1, 1)
    identifier = lamps("reserve", "LAMP", "berlin", "1", "-q").strip()
    assert lamps.json("reservations", identifier)["reservation_id"] == identifier


def test_partial_takes_what_there_is_and_says_so(lamps: Cli) -> None:
    """Without it the same is refused."""
    lamps.fails(1, "reserve", "BULB", "berlin", "3", "--path", "web", "--fallback", "none")
    ran = lamps.run("reserve", "BULB", "berlin", "3", "--path", "web", "--partial")
    assert ran.exit_code == 0
    assert "partial: some line got less than it asked for" in ran.err
    assert [(part["requested"], part["granted"]) for part in shown(ran.out)[1]] == [("3", "1")]


def test_a_line_that_gets_nothing_has_a_row(lamps: Cli) -> None:
    """So that nobody overlooks it."""
    lamps("reserve", "BULB", "berlin", "1", "--path", "web")
    _, parts = shown(lamps("reserve", "LAMP", "berlin", "1", "BULB", "berlin", "1", "--path", "web", "--partial"))
    assert [(part["sku"], part["granted"], part["from path"]) for part in parts] == [
        ("LAMP", "1", "web"),
        ("BULB", "0", "-"),
    ]


def test_without_a_location_the_line_is_sourced_and_may_be_split(lamps: Cli) -> None:
    """ "-" is any location of the policy's order; --split lets one line come from two."""
    lamps("policy", "set", "-", input='revision = 1\nlocation_order = ["berlin", "paris"]\nallow_split = true\n')
    lamps("stock", "post", "BULB", "paris", "5")
    _, parts = shown(lamps("reserve", "BULB", "-", "4"))
    assert [(part["location"], part["granted"]) for part in parts] == [("paris", "4")]
    lamps.fails(1, "reserve", "BULB", "-", "4")
    _, parts = shown(lamps("reserve", "BULB", "-", "4", "--split"))
    assert [(part["location"], part["granted"]) for part in parts] == [("berlin", "3"), ("paris", "1")]


def test_a_sourced_hold_grows_elsewhere_only_with_split(lamps: Cli) -> None:
    """One parcel stays one unless --split says otherwise."""
    lamps("policy", "set", "-", input='revision = 1\nlocation_order = ["berlin", "paris"]\nallow_split = true\n')
    lamps("stock", "post", "BULB", "paris", "5")
    order = lamps("reserve", "BULB", "-", "2", "-q").strip()
    lamps.fails(1, "update", order, "--line", "1=4")
    _, parts = shown(lamps("update", order, "--line", "1=4", "--split"))
    assert [(part["location"], part["granted"]) for part in parts] == [("berlin", "2"), ("paris", "2")]


def test_fallback_borrows_where_the_policy_lets_it(lamps: Cli) -> None:
    """The command may narrow it; to widen it is bad input."""
    wider = lamps.fails(2, "reserve", "LAMP", "berlin", "8", "--path", "web", "--fallback", "ancestors")
    assert "widest fallback" in wider
    lamps("policy", "set", "-", input='revision = 1\n[[path_rules]]\npath = "web"\nfallback = "ancestors"\n')
    lamps.fails(1, "reserve", "LAMP", "berlin", "8", "--path", "web", "--fallback", "none")
    _, parts = shown(lamps("reserve", "LAMP", "berlin", "8", "--path", "web"))
    assert [(part["from path"], part["granted"]) for part in parts] == [("web", "6"), ("(common)", "2")]


def test_a_path_without_quota_is_told_whose_stock_it_is(lamps: Cli) -> None:
    """The commonest misreading: a path sells only what was allocated to it."""
    told = lamps.fails(1, "reserve", "LAMP", "berlin", "1", "--path", "store")
    assert "store has no quota" in told
    assert "a path has only what `ringfence allocate` gave it" in told


def test_consume_sells_all_or_some_and_keeps_or_releases_the_rest(lamps: Cli) -> None:
    """Partly with --line; what stays is held until it is released."""
    order = lamps("reserve", "LAMP", "berlin", "4", "BULB", "berlin", "1", "--path", "web", "-q").strip()
    answer = lamps.json("consume", order, "--line", "1=1")
    assert answer["consumed"] == [{"line_id": "1", "quantity": 1}]
    assert (answer["reservation"]["state"], answer["at_risk"]) == ("held", False)
    state, *table = lamps("consume", order, "-l", "1=2", "--release-rest", "--order-reference", "W-1").splitlines()
    assert state == f"reservation {order} is settled"
    assert rows_of("\n".join(table)) == [{"line": "1", "consumed": "2"}]
    _, parts = shown(lamps("reservations", order))
    assert [(part["sku"], part["held"], part["settled"], part["cancelled"]) for part in parts] == [
        ("LAMP", "0", "3", "1"),
        ("BULB", "0", "0", "1"),
    ]


def test_consume_directly_needs_no_hold(lamps: Cli) -> None:
    """Lines instead of a reservation."""
    answer = lamps.json(
        "consume", "--direct", "LAMP", "berlin", "2", "BULB", "berlin", "1", "--path", "web", "--owner", "till 3"
    )
    assert [line["quantity"] for line in answer["consumed"]] == [2, 1]
    assert (answer["reservation"]["owner"], answer["reservation"]["state"]) == ("till 3", "settled")


def test_a_lease_that_is_over_is_refused_unless_revived(lamps: Cli) -> None:
    """The refusal says how."""
    order = lamps("reserve", "LAMP", "berlin", "4", "--ttl", "15m", "-q").strip()
    lamps.server.clock.advance(timedelta(minutes=15))
    told = lamps.fails(1, "consume", order)
    assert told.startswith(f"ringfence: the lease of reservation {order}, line '1' ended at")
    assert "`ringfence consume --revive`" in told
    assert lamps("consume", order, "--revive").startswith(f"reservation {order} is settled\n")


def test_an_order_reference_names_one_order(lamps: Cli) -> None:
    """A second order under the same number is refused."""
    first, second = (lamps("reserve", "LAMP", "berlin", "1", "-q").strip() for _ in range(2))
    lamps("consume", first, "--order-reference", "W-1")
    told = lamps.fails(1, "consume", second, "--order-reference", "W-1")
    assert "'W-1'" in told
    assert first in told


def test_a_sale_at_risk_is_told(lamps: Cli) -> None:
    """It stands, with a note on stderr."""
    order = lamps("reserve", "LAMP", "berlin", "4", "-q").strip()
    lamps("stock", "post", "LAMP", "berlin", "2")
    ran = lamps.run("consume", order)
    assert ran.exit_code == 0
    assert "at risk: more is promised than is there; the sale stands" in ran.err


def test_cancel_says_when_the_units_can_be_sold_again(lamps: Cli) -> None:
    """Some lines strictly, the whole in every state, with the reason kept."""
    order = lamps("reserve", "LAMP", "berlin", "4", "BULB", "berlin", "1", "--path", "web", "-q").strip()
    told = lamps.fails(1, "cancel", order, "--line", "1=5")
    assert "asked 5, 4 left" in told
    state, *table = lamps("cancel", order, "--line", "1=3").splitlines()
    assert state == f"reservation {order} is held"
    assert rows_of("\n".join(table)) == [{"line": "1", "quantity": "3", "restock": "at_once"}]
    lamps("consume", order)
    answer = lamps.json("cancel", order, "--reason", "returned", "--reason-text", "too dark")
    assert [(line["quantity"], line["restock"]) for line in answer["lines"]] == [(1, "at_once"), (1, "at_once")]
    facts, _ = shown(lamps("reservations", order))
    assert (facts["state"], facts["cancel_reason"]) == ("cancelled", "returned too dark")


def test_extend_gives_a_hold_a_new_end(lamps: Cli) -> None:
    """Counted from now; beyond the policy's bounds it is bad input."""
    order = lamps("reserve", "LAMP", "berlin", "1", "--ttl", "15m", "-q").strip()
    later = lamps.server.clock.time + timedelta(minutes=30)
    facts, _ = shown(lamps("extend", order, "--ttl", "30m"))
    assert facts["expire_time"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"
    until = f"{later + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert shown(lamps("extend", order, "--until", until))[0]["expire_time"] == until
    assert lamps.fails(2, "extend", order, "--ttl", "100d").startswith("ringfence: ttl: ")
    assert lamps.fails(2, "extend", order, "--never").startswith("ringfence: never: ")


def test_update_changes_quantities_owner_and_end(lamps: Cli) -> None:
    """Whole quantities by line; only at the revision that was seen."""
    order = lamps("reserve", "LAMP", "berlin", "4", "BULB", "berlin", "1", "--path", "web", "-q").strip()
    facts, parts = shown(lamps("update", order, "--line", "1=6", "--line", "2=0", "--owner", "other"))
    assert (facts["owner"], facts["revision"]) == ("other", "2")
    assert sum(int(part["held"]) for part in parts if part["sku"] == "LAMP") == 6
    assert sum(int(part["held"]) for part in parts if part["sku"] == "BULB") == 0
    told = lamps.fails(1, "update", order, "--line", "1=1", "--revision", "1")
    assert told.splitlines() == [
        "ringfence: expected_revision: the current revision is 2, not 1; read it again",
        "  → look at it as it is now; --revision 2 then says that you did",
    ]
    assert lamps.fails(1, "update", order, "--line", "1=7").startswith("ringfence: not enough")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reserve", "LAMP", "berlin"), "'LAMP berlin' lacks its QUANTITY"),
        (("reserve", "LAMP", "berlin", "1", "--ttl", "15m", "--never"), "only one of --ttl, --until and --never"),
        (("reserve", "LAMP", "berlin", "1", "--ttl", "15"), "--ttl is a span with units"),
        (("reserve", "LAMP", "berlin", "1", "--fallback", "parents"), "--fallback is one of none, ancestors"),
        (("reserve", "LAMP", "-", "1"), "location"),
        (("consume", "a", "b"), "one reservation, or with --direct lines to sell; got 'a b'"),
        (("consume", "a", "--path", "web"), "--path: only with --direct"),
        (("consume", "--direct", "LAMP", "berlin", "1", "--line", "1"), "--line: of a reservation, not with --direct"),
        (("consume", "no-such-id"), "the reservation_id that Reserve answered"),
        (("cancel", "no-such-id"), "the reservation_id that Reserve answered"),
        (("cancel", "a", "--reason", "bored"), "--reason is one of customer, payment"),
        (("extend", "a"), "say the new end"),
        (("update", "a"), "nothing to change"),
        (("update", "a", "--line", "1"), "say the whole quantity to be held"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(lamps: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right."""
    assert told in lamps.fails(2, *arguments)


@pytest.mark.parametrize("command", ["consume", "cancel", "reservations"])
def test_a_reservation_that_there_is_not(lamps: Cli, command: str) -> None:
    """Exit code 1: the service looked for it."""
    told = lamps.fails(1, command, "01a1ff75-d748-7675-8d72-a77519de4600")
    assert told.startswith("ringfence: the organization has no reservation 01a1ff75-d748-7675-8d72-a77519de4600")
    assert "`ringfence reservations` lists what there is" in told
