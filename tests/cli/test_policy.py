"""policy show and policy set: the rules, as a file that is edited and given back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import Cli


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["toml", "json"])
def test_what_is_shown_can_be_edited_and_set(cli: Cli, tmp_path: Path, form: tuple[str, ...]) -> None:
    """The file carries its revision: it replaces that one and no other."""
    file = tmp_path / "policy"
    text = cli("policy", "show", *form)
    file.write_text(text.replace('"15m"', '"20m"'))
    assert cli("policy", "set", str(file)).startswith("policy revision 2 is in force since 2026-01-01T")
    assert json.loads(cli("policy", "show", "--json"))["leases"]["default_lease"] == "20m"

    told = cli.fails(1, "policy", "set", str(file))
    assert "the current revision is 2, not 1" in told
    assert "--revision 2 then says that you did" in told
    cli("policy", "set", str(file), "--revision", "2")
    assert json.loads(cli("policy", "show", "--json"))["revision"] == 3


def test_an_earlier_revision_can_be_shown_and_set_again(cli: Cli) -> None:
    """Every version is kept."""
    cli("policy", "set", "-", input="revision = 1\nallow_split = true\n")
    before = cli("policy", "show", "--revision", "1")
    assert "allow_split = false\n" in before
    assert cli("policy", "set", "-", "--revision", "2", input=before).startswith("policy revision 3 is in force")
    assert "revision: 1 to 3, or 0 for the one in force; got 9" in cli.fails(2, "policy", "show", "--revision", "9")


def test_set_as_json_is_the_policy_in_force(cli: Cli) -> None:
    """As `policy show --json` would say it."""
    ran = cli("policy", "set", "-", "--json", input='{"revision": 1, "dimensions": ["colour"]}')
    assert ran == cli("policy", "show", "--json")
    assert json.loads(ran)["dimensions"] == ["colour"]


def test_a_file_that_is_no_policy_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """Every fault is told by its place before anything is sent."""
    file = tmp_path / "policy.toml"
    file.write_text("revision = 1\nalow_split = true\n[leases]\nmax_lease = 5\n")
    assert cli.fails(2, "policy", "set", str(file)).splitlines() == [
        f"ringfence: {file} is not a policy; nothing was changed",
        "  alow_split: no such field; did you mean 'allow_split'?",
        "  leases.max_lease is a span with units, such as 90s, 15m, 1h30m or 2d; got '5'",
    ]
    assert json.loads(cli("policy", "show", "--json"))["revision"] == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("allow_split = true\n", "stdin carries no revision: --revision says which one it replaces"),
        ("revision = \n", "stdin: "),
        (b"\xff\xfe\x00", "stdin is not UTF-8"),
        ('revision = 1\nlocation_order = ["a", "a"]\n', "policy.location_order[1]: 'a' stands there already"),
        ('revision = 1\n[leases]\ndefault_lease = "2d"\n', "default_lease <= max_lease <= max_total_hold"),
        ("revision = 1\n[supply]\nstock = 1\n", "'stock' is not among the policy's measures"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(cli: Cli, text: str | bytes, told: str) -> None:
    """Exit code 2, whether the command line or the service found it."""
    assert told in cli.fails(2, "policy", "set", "-", input=text)


def test_a_file_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    """One line."""
    missing = tmp_path / "missing.toml"
    assert cli.fails(2, "policy", "set", str(missing)) == f"ringfence: {missing}: No such file or directory\n"


def test_a_policy_that_would_orphan_quotas_is_refused_with_the_list(cli: Cli) -> None:
    """And with what helps."""
    cli("stock", "post", "LAMP", "berlin", "10")
    cli("allocate", "LAMP", "berlin", "6", "--path", "web/london")
    told = cli.fails(1, "policy", "set", "-", input='revision = 1\n[[levels]]\nname = "channel"\n')
    assert told.splitlines()[:2] == [
        "ringfence: the policy would orphan these quotas, nothing was changed:",
        "  web/london has 6 of LAMP at berlin",
    ]
    assert "`ringfence unallocate --all`" in told
