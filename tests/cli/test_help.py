"""The help is complete, and fast because nothing is loaded that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ringfence_server.cli.app import app
from tests.cli.run import PROGRAM

SERVER_COMMANDS = {"serve", "db upgrade", "db current", "db check", "db copy", "db distribute"}
ADAPTER_COMMANDS = {"adapter run", "adapter check", "adapter certify"}
"""Whose configuration says where the service is."""


def commands(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Every command by what is typed."""
    found: dict[str, Any] = {}
    root: Any = group or get_command(app)
    for name, command in root.commands.items():
        typed = f"{prefix}{name}"
        if hasattr(command, "commands"):
            found |= commands(command, f"{typed} ")
        else:
            found[typed] = command
    return found


CLIENT_COMMANDS = {
    name: command for name, command in commands().items() if name not in SERVER_COMMANDS | ADAPTER_COMMANDS
}


def test_these_are_the_commands() -> None:
    """One for every act of the contract, and those that only look."""
    assert set(CLIENT_COMMANDS) == {
        "stock import",
        "stock post",
        "stock show",
        "allocate",
        "unallocate",
        "reallocate",
        "reserve",
        "consume",
        "cancel",
        "reassign",
        "extend",
        "update",
        "balance",
        "watch",
        "reservations",
        "ledger",
        "discrepancies",
        "verify",
        "policy show",
        "policy set",
    }


@pytest.mark.parametrize("name", sorted(CLIENT_COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    """What it does, an example that begins with it, and every option in words."""
    command = CLIENT_COMMANDS[name]
    summary, *_, example = command.help.split("\n\n")
    assert summary.endswith(".")
    assert example.startswith(f"Example: ringfence {name}")
    for option in command.params:
        if option.param_type_name == "option" and option.name != "help":
            assert option.help.endswith("."), option.name
    ran = CliRunner().invoke(app, [*name.split(), "--help"])
    assert ran.exit_code == 0
    assert "--target" in ran.stdout


def test_the_help_tells_the_exit_codes() -> None:
    """Scripts need them."""
    text = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    assert "Exit codes: 0 done; 1 the service refused, or verify found something; 2 usage or bad input; 3" in text


def test_the_version_is_told() -> None:
    """That of the distribution."""
    ran = CliRunner().invoke(app, ["--version"])
    assert ran.exit_code == 0
    assert ran.stdout.startswith("ringfence ")


def test_nothing_is_loaded_before_it_is_needed() -> None:
    """gRPC, protobuf, the client and the store would more than double what `--help` takes."""
    heavy = ("grpc", "google.protobuf", "ringfence", "sqlalchemy", "alembic", "asyncio", "rich", "uvloop")
    program = f"import sys, ringfence_server.cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_help_takes_less_than_half_a_second() -> None:
    """Of processor time, the best of five: what other programs take does not count."""

    def seconds() -> float:
        before = os.times()
        subprocess.run([*PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(5)) < 0.5
