"""`policy show` and `policy set`: the rules an organization plays by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .failures import BadInput
from .session import JsonOption, RequestIdOption, Session, client_command


def add_commands(app: typer.Typer) -> None:
    """Adds the group `policy`."""
    policy = typer.Typer(no_args_is_help=True, help="Levels, dimensions, leases, fallback, locations, supply.")
    client_command(policy, "show")(show)
    client_command(policy, "set")(set_policy)
    app.add_typer(policy, name="policy", rich_help_panel="Policy")


def show(
    session: Session,
    revision: Annotated[int, typer.Option(min=0, metavar="N", help="An earlier version; 0: the one in force.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show the policy as TOML (or JSON) that `policy set` takes back.

    Example: ringfence policy show > policy.toml
    """
    with session.client() as client:
        policy = client.get_policy(revision=revision)
    from . import policy_text

    sys.stdout.write(policy_text.as_json(policy) if as_json else policy_text.as_toml(policy))


def set_policy(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="TOML or JSON as `policy show` writes it; '-' is stdin.")],
    revision: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Only if this is the revision in force; left out: the one that the file carries."
        ),
    ] = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the policy by that of a file.

    The whole policy: what the file leaves out gets its built-in value. Refused when somebody else set one since the
    file's revision.

    Example: ringfence policy set policy.toml
    """
    from . import policy_text

    name = "stdin" if file == "-" else file
    policy = policy_text.from_text(_read(file, name), name)
    expected = revision or policy.revision
    if not expected:
        raise BadInput(f"{name} carries no revision: --revision says which one it replaces (`policy show` tells it)")
    with session.client() as client:
        result = client.set_policy(policy, expected_revision=expected, request_id=request_id)
    if as_json:
        sys.stdout.write(policy_text.as_json(result.policy))
        return
    from .output import time_text
    from .views import note_replay

    note_replay(result.replayed)
    print(f"policy revision {result.policy.revision} is in force since {time_text(result.policy.create_time)}")


def _read(file: str, name: str) -> str:
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8: {error}") from None
