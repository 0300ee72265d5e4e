"""The program `ringfence`: one Typer app, to which each module adds its commands.

What a command needs beyond Typer it imports when it runs: `ringfence --help` stays fast.
"""

from __future__ import annotations

import importlib
from typing import Final

import typer

app = typer.Typer(
    name="ringfence",
    help="Inventory allocation: ring-fenced stock, reservations under a lease, and an exact ledger.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MODULES: Final = (
    # The server.
    "serve",
    "database",
    # The client's commands: one module each, with add_commands(app).
    "session",
    "stock",
    "balances",
    "watch",
    "quotas",
    "orders",
    "lists",
    "discrepancies",
    "verify",
    "policy",
    # Adapters.
    "adapter",
)

for _module in _MODULES:
    importlib.import_module(f"{__package__}.{_module}").add_commands(app)
