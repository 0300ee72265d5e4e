"""Whatever goes wrong is a line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import ringfence
from ringfence import RingfenceError, Shortage, ShortageReason, StockKey
from ringfence_server.cli import failures
from ringfence_server.cli.session import Session, client_command
from tests.cli.run import PROGRAM, Cli, run

ERRORS: list[type[RingfenceError]] = [
    kind
    for name in ringfence.__all__
    if inspect.isclass(kind := getattr(ringfence, name)) and issubclass(kind, RingfenceError)
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_is_told(kind: type[RingfenceError], capsys: pytest.CaptureFixture[str]) -> None:
    """In its own words, with one of the documented exit codes: refusals are 1, bad input 2, all else is 3."""
    code = failures.tell(kind("something about \x1b[31mit", request_id="the-id"), target="there:1")
    expected = 3
    if issubclass(kind, (ringfence.Refused, ringfence.Unauthenticated, ringfence.PermissionDenied)):
        expected = 1
    elif issubclass(kind, ringfence.InvalidArgument):
        expected = 2
    assert code == expected
    told = capsys.readouterr()
    assert told.out == ""
    first, *hints = told.err.splitlines()
    assert first.startswith("ringfence: ")
    assert all(hint.startswith("  → ") for hint in hints)
    assert "\x1b" not in told.err


def test_an_unknown_outcome_says_how_to_learn_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The same command with the same id."""
    text = "whether Reserve was carried out is unknown: lost. Send the same request again with request_id='the-id' to …"
    failures.tell(ringfence.OutcomeUnknown(text, request_id="the-id"))
    assert capsys.readouterr().err.splitlines() == [
        "ringfence: whether Reserve was carried out is unknown: lost",
        "  → the same command with --request-id the-id tells what happened, and does it at most once",
    ]


def test_every_short_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """However many."""
    shortages = [
        Shortage(str(n), StockKey("LAMP", "x"), "web", 2, 0, ShortageReason.NET_SHORT, "", 0, 0) for n in range(1, 41)
    ]
    failures.tell(ringfence.InsufficientQuantity("not enough", shortages=shortages))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "ringfence: not enough for 40 lines, nothing was done:"
    assert [line.split(":")[0] for line in told[1:]] == [f"  line {number}" for number in range(1, 41)]


def test_an_error_as_json_carries_the_typed_details(cli: Cli) -> None:
    """On stdout and on one line, beside the readable one on stderr."""
    cli("stock", "post", "LAMP", "berlin", "10")
    ran = cli.run("reserve", "LAMP", "berlin", "11", "--json")
    (line,) = ran.out.splitlines()
    error = json.loads(line)["error"]
    assert (ran.exit_code, error["code"], error["reason"]) == (1, "FAILED_PRECONDITION", "INSUFFICIENT_QUANTITY")
    assert error["metadata"]["available"] == "10"
    assert error["request_id"]
    assert error["details"][0]["shortages"][0]["available"] == 10
    assert ran.err.startswith("ringfence: not enough, nothing was done: line 1: LAMP at berlin")


COMMANDS = [
    ("stock", "post", "LAMP", "berlin", "1"),
    ("stock", "show"),
    ("allocate", "LAMP", "berlin", "1", "--path", "web"),
    ("unallocate", "LAMP", "berlin", "1", "--path", "web"),
    ("reallocate", "LAMP", "berlin", "1", "--to", "web"),
    ("reserve", "LAMP", "berlin", "1"),
    ("consume", "01a1ff75-d748-7675-8d72-a77519de4600"),
    ("cancel", "01a1ff75-d748-7675-8d72-a77519de4600"),
    ("extend", "01a1ff75-d748-7675-8d72-a77519de4600", "--ttl", "1m"),
    ("update", "01a1ff75-d748-7675-8d72-a77519de4600", "--owner", "me"),
    ("balance",),
    ("reservations",),
    ("ledger",),
    ("verify",),
    ("policy", "show"),
]


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_service_that_is_away_is_exit_code_3(command: tuple[str, ...]) -> None:
    """Said once, with where it was looked for and what to try. Port 1 is nobody's."""
    ran = run(*command, "--target", "localhost:1")
    assert (ran.exit_code, ran.out) == (3, "")
    assert ran.err.splitlines() == [
        "ringfence: no service answers at localhost:1 (Connection refused)",
        "  → is it running (`ringfence serve`)? --target or RINGFENCE_TARGET says where",
    ]


@pytest.mark.usefixtures("one_try")
@pytest.mark.parametrize("command", [("balance",), ("stock", "show"), ("reservations",), ("ledger",)], ids=" ".join)
def test_a_list_that_cannot_be_had_is_one_json_document(command: tuple[str, ...]) -> None:
    """The error alone: not the beginning of a list before it."""
    ran = run(*command, "--json", "--target", "localhost:1")
    assert (ran.exit_code, json.loads(ran.out)["error"]["code"]) == (3, "UNAVAILABLE")


def test_a_target_that_cannot_be_resolved_is_told_without_grpcs_words(capsys: pytest.CaptureFixture[str]) -> None:
    """With what a target is: a URL is the usual mistake."""
    target = "http://localhost:1"
    failed = f"field:hostname lookup error:address lookup failed for {target}: Misformatted domain name"
    text = f"no service answers at {target}: errors resolving {target}: [{failed}]"
    assert failures.tell(ringfence.Unavailable(text, code="UNAVAILABLE"), target=target) == 3
    assert capsys.readouterr().err.splitlines()[0] == (
        f"ringfence: no service answers at {target} (Misformatted domain name); a target is HOST:PORT"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--timeout", "soon"), "--timeout is a span with units"),
        (("--timeout", "0"), "--timeout is above zero"),
        (("--organization", "über"), "organization must be printable ASCII"),
        (("--caller", " x"), "caller must be printable ASCII"),
        (("--organization", "x" * 65), "--organization"),
    ],
)
def test_a_connection_that_cannot_be_meant(cli: Cli, options: tuple[str, ...], told: str) -> None:
    """Exit code 2, before or after the command."""
    assert told in cli.fails(2, *options, "balance")
    assert told in cli.fails(2, "balance", *options)


def test_options_of_the_connection(cli: Cli) -> None:
    """The environment, then what stands before the command, then what stands after it."""
    cli("stock", "post", "LAMP", "berlin", "10")
    other = f"{cli.organization}-2"
    cli("stock", "post", "BULB", "berlin", "10", "--organization", other, "--caller", "erp")
    assert [row["sku"] for row in cli.table("balance")] == ["LAMP"]
    assert [row["sku"] for row in cli.table("--organization", other, "balance")] == ["BULB"]
    assert [
        row["sku"] for row in cli.table("--organization", other, "balance", "--organization", cli.organization)
    ] == ["LAMP"]
    assert cli.table("stock", "show", "--organization", other)[0]["source"] == "erp"


def failing(error: Exception) -> Any:
    """What a command that raises comes to."""
    app = typer.Typer()

    def fail(session: Session) -> None:
        """Fails."""
        raise error

    client_command(app, "fail")(fail)
    return CliRunner().invoke(app, [], catch_exceptions=False)


def test_a_fault_of_the_command_line_itself_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to see where, for a report."""
    monkeypatch.delenv("RINGFENCE_TRACEBACK", raising=False)
    ran = failing(KeyError("what"))
    assert (ran.exit_code, ran.stdout) == (70, "")
    assert ran.stderr == (
        "ringfence: a fault of the command line itself: KeyError: 'what' (RINGFENCE_TRACEBACK=1 shows where)\n"
    )
    monkeypatch.setenv("RINGFENCE_TRACEBACK", "1")
    with pytest.raises(KeyError):
        failing(KeyError("what"))


@pytest.mark.parametrize(
    "arguments",
    [("stock", "post", "LAMP", "berlin", "1", "--position", "9" * 20), ("policy", "show", "--revision", "9" * 20)],
    ids=["a command", "a read"],
)
def test_a_number_of_too_many_bits_is_bad_input(cli: Cli, arguments: tuple[str, ...]) -> None:
    """Of whatever option."""
    assert cli.fails(2, *arguments) == f"ringfence: {'9' * 20} is larger than any number that the service takes\n"


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    """By its name, with the system's reason."""
    ran = failing(PermissionError(13, "Permission denied", str(tmp_path)))
    assert (ran.exit_code, ran.stderr) == (2, f"ringfence: {tmp_path}: Permission denied\n")


def test_ctrl_c_is_130() -> None:
    """And no traceback."""
    app = typer.Typer()

    def wait(session: Session) -> None:
        """Waits."""
        signal.raise_signal(signal.SIGINT)

    client_command(app, "wait")(wait)
    ran = CliRunner().invoke(app, [])
    assert (ran.exit_code, ran.stdout, ran.stderr) == (130, "", "")


def test_a_reader_that_goes_away_ends_it_quietly(cli: Cli) -> None:
    """`ringfence balance | head -1` shows no traceback."""
    content = "sku,location,quantity\n" + "".join(f"SKU-{number},berlin,1\n" for number in range(3_000))
    cli("stock", "import", "-", input=content)
    process = subprocess.Popen(
        [*PROGRAM, "balance"],
        env={**os.environ, **cli.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("sku ")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


def test_a_wrong_use_says_how_it_is_used(cli: Cli) -> None:
    """Exit code 2; what is close is offered."""
    assert "Missing argument" in cli.fails(2, "reserve")
    assert "--partial" in cli.fails(2, "reserve", "LAMP", "berlin", "1", "--parttial")
    assert "balance" in cli.fails(2, "balances")
