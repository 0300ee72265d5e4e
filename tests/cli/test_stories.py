"""Two days in a shop, typed from the first command to the last."""

from __future__ import annotations

import json

from tests.cli.run import Cli


def figures(cli: Cli, *arguments: str) -> tuple[str, ...]:
    """allocated, available, held and consumed of the one balance that matches."""
    (row,) = cli.table("balance", *arguments)
    return row["allocated"], row["available"], row["held"], row["consumed"]


def test_the_lamp_story(cli: Cli) -> None:
    """10 lamps: an order holds one, is cancelled, is placed again and consumed: 9 are on hand and nothing is held."""
    cli("stock", "post", "LAMP", "berlin", "10")

    order = cli("reserve", "LAMP", "berlin", "1", "--ttl", "15m", "--owner", "web-1", "--quiet").strip()
    assert figures(cli, "LAMP") == ("10", "9", "1", "0")

    state, *table = cli("cancel", order, "--reason", "customer").splitlines()
    assert state == f"reservation {order} is cancelled"
    assert [line.split() for line in table] == [["line", "quantity", "restock"], ["1", "1", "at_once"]]
    assert figures(cli, "LAMP") == ("10", "10", "0", "0")

    second = cli("reserve", "LAMP", "berlin", "1", "-q").strip()
    state, *table = cli("consume", second, "--order-reference", "W-1002").splitlines()
    assert state == f"reservation {second} is settled"
    assert [line.split() for line in table] == [["line", "consumed"], ["1", "1"]]
    assert figures(cli, "LAMP") == ("9", "9", "0", "1")
    (stock,) = cli.table("stock", "show", "LAMP")
    assert (stock["measure"], stock["value"], stock["supply"]) == ("on_hand", "9", "9")
    assert cli("verify").endswith("everything adds up\n")


def test_the_red_bikes_story(cli: Cli) -> None:
    """Of 500 red bikes 200 are for web/london/vip: vip reserves 200, the 201st is refused with what fallback gives."""
    cli("policy", "set", "-", input='revision = 1\ndimensions = ["colour"]\n')
    red = ("--dimension", "colour=red")
    cli("stock", "post", "BIKE", "berlin", "500", *red)

    common, vip = cli.table("allocate", "BIKE", "berlin", "200", "--path", "web/london/vip", *red)
    assert (common["path"], common["allocated"], common["colour"]) == ("(common)", "300", "red")
    assert (vip["path"], vip["allocated"], vip["colour"]) == ("web/london/vip", "200", "red")

    cli("reserve", "BIKE", "berlin", "200", "--path", "web/london/vip", *red)
    refused = cli.run("reserve", "BIKE", "berlin", "1", "--path", "web/london/vip", *red, "--json")
    assert refused.exit_code == 1
    assert refused.err.splitlines()[0] == (
        "ringfence: not enough, nothing was done: line 1: BIKE at berlin colour=red for web/london/vip: "
        "1 asked, 0 available, 1 with fallback (web/london/vip has no more)"
    )
    error = json.loads(refused.out)["error"]
    (shortage,) = error["details"][0]["shortages"]
    assert (error["reason"], shortage["reason"]) == ("INSUFFICIENT_QUANTITY", "quota_exhausted")
    assert (shortage["available"], shortage["available_with_fallback"]) == (0, 1)

    assert figures(cli, "BIKE", "--path", "") == ("300", "300", "0", "0")
    web, its_vip = cli.table("balance", "BIKE", "--path", "web")
    assert (web["path"], web["allocated"], web["subtree allocated"]) == ("web", "0", "200")
    assert (its_vip["allocated"], its_vip["available"], its_vip["held"]) == ("200", "0", "200")
    by_level = {row["path"]: row for row in cli.table("balance", "BIKE", "--rollup", "level:1")}
    assert by_level["web"]["allocated"] == "200"
    assert by_level["(common)"]["allocated"] == "300"
