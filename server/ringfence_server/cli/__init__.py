"""The command line: `ringfence serve`, `ringfence db …` and the client's commands."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the `ringfence` program."""
    try:
        from .app import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("ringfence"):
            raise
        # The program is there for whoever installs the client, what it needs is not.
        print(f"ringfence: {missing.name} is missing: pip install 'ringfence[server]'", file=sys.stderr)
        sys.exit(2)
    app(prog_name="ringfence")
