"""The command line: `ringfence serve`, `ringfence db …` and the client's commands."""

from __future__ import annotations


def main() -> None:
    """The entry point of the `ringfence` program."""
    from .app import app

    app(prog_name="ringfence")
