"""The command line as a test types it, against a real server, for an organization of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from ringfence import Client
from ringfence.testing import RingfenceServer
from ringfence_server.cli.app import app

_COMMAND = get_command(app)
"""Built once: it takes longer than most commands."""
PROGRAM = (sys.executable, "-c", "from ringfence_server.cli import main; main()")


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    exit_code: int
    out: str
    err: str


def run(*arguments: str, input: bytes | str | None = None, environment: dict[str, str] | None = None) -> Ran:
    """Runs a command in this process to its end, whatever that is."""
    with CliRunner().isolation(input=input, env=environment) as (out, err, _):
        try:
            _COMMAND.main(args=list(arguments), prog_name="ringfence")
            exit_code = 0
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        return Ran(exit_code, out.getvalue().decode(), err.getvalue().decode())


class Cli:
    """The command line with its target and organization set."""

    def __init__(self, server: RingfenceServer, organization: str) -> None:
        self.server = server
        self.organization = organization
        self.environment = {"RINGFENCE_TARGET": server.target, "RINGFENCE_ORGANIZATION": organization}

    def run(self, *arguments: str, input: bytes | str | None = None) -> Ran:
        """Runs a command to its end, whatever that is."""
        return run(*arguments, input=input, environment=self.environment)

    def __call__(self, *arguments: str, input: bytes | str | None = None) -> str:
        """Runs a command that shall succeed, and gives its stdout."""
        ran = self.run(*arguments, input=input)
        assert ran.exit_code == 0, ran
        return ran.out

    def json(self, *arguments: str) -> Any:
        """Runs a command with --json and gives what it wrote."""
        return json.loads(self(*arguments, "--json"))

    def table(self, *arguments: str) -> list[dict[str, str]]:
        """Runs a command that writes one table, and gives its rows by heading."""
        return rows_of(self(*arguments))

    def fails(self, exit_code: int, *arguments: str, input: bytes | str | None = None) -> str:
        """Runs a command that shall end with that code and nothing on stdout, and gives its stderr."""
        ran = self.run(*arguments, input=input)
        assert (ran.exit_code, ran.out) == (exit_code, ""), ran
        assert "Traceback" not in ran.err
        return ran.err

    def client(self) -> Client:
        """A client of the same organization."""
        return self.server.client(organization=self.organization)

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Starts the program as a process of its own; the test ends it."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a plain table: columns are at least two blanks apart, and no cell is empty."""
    heading, *lines = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return [dict(zip(heading, line, strict=True)) for line in lines]
