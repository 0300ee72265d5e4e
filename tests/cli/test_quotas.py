"""allocate, unallocate and reallocate: what they write, and what they say when it cannot be."""

from __future__ import annotations

import pytest

from tests.cli.run import Cli


@pytest.fixture
def bikes(cli: Cli) -> Cli:
    """500 bikes and 40 lamps in Berlin."""
    cli("stock", "post", "BIKE", "berlin", "500")
    cli("stock", "post", "LAMP", "berlin", "40")
    return cli


def test_allocate_shows_the_pools_after_it(bikes: Cli) -> None:
    """Several lines for one path, common pools included."""
    rows = bikes.table("allocate", "BIKE", "berlin", "200", "LAMP", "berlin", "10", "--path", "web/london")
    assert [(row["sku"], row["path"], row["allocated"], row["available"]) for row in rows] == [
        ("BIKE", "(common)", "300", "300"),
        ("BIKE", "web/london", "200", "200"),
        ("LAMP", "(common)", "30", "30"),
        ("LAMP", "web/london", "10", "10"),
    ]


def test_allocate_as_json_is_the_answer_with_its_request_id(bikes: Cli) -> None:
    """The fields of AllocateResponse."""
    answer = bikes.json("allocate", "BIKE", "berlin", "200", "--path", "web")
    assert set(answer) == {"request_id", "pools", "revision", "server_time", "replayed"}
    assert [(pool["path"], pool["allocated"]) for pool in answer["pools"]] == [("", 300), ("web", 200)]
    assert answer["replayed"] is False


def test_the_same_request_id_has_one_outcome(bikes: Cli) -> None:
    """The second is told to be a repetition and moves nothing."""
    command = ("allocate", "BIKE", "berlin", "200", "--path", "web", "--request-id")
    request_id = bikes.json("allocate", "LAMP", "berlin", "1", "--path", "web")["request_id"]
    fresh = f"{request_id[:-4]}{int(request_id[-4:], 16) ^ 1:04x}"
    bikes(*command, fresh)
    again = bikes.run(*command, fresh)
    assert again.exit_code == 0
    assert "was decided before" in again.err
    assert bikes.json("balance", "BIKE", "--path", "")["balances"][0]["own"]["allocated"] == 300
    reused = bikes.fails(2, *command, request_id)
    assert "another command" in reused
    assert "leave --request-id out" in reused


def test_more_than_the_common_pool_has_is_refused_line_by_line(bikes: Cli) -> None:
    """Every short line is told, and nothing is done."""
    told = bikes.fails(1, "allocate", "BIKE", "berlin", "501", "LAMP", "berlin", "41", "--path", "web")
    assert told.splitlines()[:3] == [
        "ringfence: not enough for 2 lines, nothing was done:",
        "  line 1: BIKE at berlin for web: 501 asked, 500 available (the common pool has no more)",
        "  line 2: LAMP at berlin for web: 41 asked, 40 available (the common pool has no more)",
    ]
    assert len(bikes.table("balance")) == 2


def test_unallocate_gives_back_some_or_all_that_is_free(bikes: Cli) -> None:
    """--all needs no quantity."""
    bikes("allocate", "BIKE", "berlin", "200", "--path", "web")
    web, common = bikes.table("unallocate", "BIKE", "berlin", "50", "--path", "web")
    assert (common["allocated"], web["allocated"]) == ("350", "150")
    answer = bikes.json("unallocate", "BIKE", "berlin", "LAMP", "berlin", "--all", "--path", "web")
    assert answer["quantities"] == [150, 0]
    assert "1 available" not in bikes.fails(1, "unallocate", "BIKE", "berlin", "1", "--path", "web")


def test_reallocate_moves_between_paths(bikes: Cli) -> None:
    """From and to; the common pool is the one that is left out."""
    bikes("allocate", "BIKE", "berlin", "200", "--path", "web/vip")
    vip, store = sorted(
        bikes.table("reallocate", "BIKE", "berlin", "50", "--from", "web/vip", "--to", "store"),
        key=lambda row: row["path"],
        reverse=True,
    )
    assert (vip["path"], vip["allocated"], store["path"], store["allocated"]) == ("web/vip", "150", "store", "50")
    bikes("reallocate", "BIKE", "berlin", "20", "--to", "store")
    assert bikes.json("balance", "BIKE", "--path", "")["balances"][0]["own"]["allocated"] == 280


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("allocate", "BIKE", "berlin", "1", "--path", ""), "--path is a group path such as web/london"),
        (("unallocate", "BIKE", "berlin", "1", "--path", ""), "--path is a group path such as web/london"),
        (("unallocate", "BIKE", "berlin", "1", "--all", "--path", "web"), "'1' lacks its LOCATION"),
        (("reallocate", "BIKE", "berlin", "1"), "--from and --to name different paths"),
        (("allocate", "BIKE", "-", "1", "--path", "web"), "name the LOCATION"),
        (("stock", "post", "BIKE", "-", "1"), "name the LOCATION"),
        (("allocate", "BIKE", "berlin", "1.5", "--path", "web"), "a whole number of base units"),
        (("allocate", "BIKE", "berlin", "1", "--path", "web//x"), "lines[0].path: "),
        (("allocate", "BIKE", "berlin", "1", "--path", "web", "-d", "colour"), "--dimension is NAME=VALUE"),
        (("allocate", "BIKE", "berlin", "1", "--path", "web", "-d", "colour=red"), "no dimension of the policy"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(bikes: Cli, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, with what would be right, whether the command line or the service found it."""
    assert told in bikes.fails(2, *arguments)


def test_an_unknown_key_is_refused_with_what_would_help(bikes: Cli) -> None:
    """Exit code 1: the service knows that no source ever posted it."""
    told = bikes.fails(1, "allocate", "BIKES", "berlin", "1", "--path", "web")
    assert told.startswith("ringfence: no source ever posted BIKES at berlin")
    assert "`ringfence stock show` lists what there is" in told
