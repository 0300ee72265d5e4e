"""A server that cannot have its database says so in one line and ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.serving import ServerProcess


def refused(database: Path) -> str:
    """What a server on this file says before it ends."""
    server = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ringfence_server.cli import main; main()",
            "serve",
            *("--port", "0"),
            *("--database-url", f"sqlite:///{database}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert server.returncode == 1
    assert server.stdout == ""
    return server.stderr


def test_a_second_server_on_a_database_ends_with_one_line(tmp_path: Path) -> None:
    """It names the file that is taken, and the first one serves on."""
    with ServerProcess(tmp_path) as first:
        assert refused(first.database) == (
            f"ringfence: the database {first.database} is in use by another server: stop that, or name another file\n"
        )


def test_a_database_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    """Which file, and why not."""
    (tmp_path / "file").write_text("")
    database = tmp_path / "file" / "ringfence.db"
    assert (
        refused(database)
        == f"ringfence: the database {database} cannot be written: {database.parent} is not a directory\n"
    )
