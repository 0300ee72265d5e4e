"""`allocate`, `unallocate` and `reallocate`: whose units are whose, before any order exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import inputs
from .failures import BadInput
from .session import DimensionOption, JsonOption, RequestIdOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import AllocateResult, ReallocateResult, UnallocateResult

_Words = Annotated[list[str], typer.Argument(metavar="SKU LOCATION QUANTITY", help="One line, or several.")]
_PANEL = "Quotas"


def add_commands(app: typer.Typer) -> None:
    """Adds the three commands."""
    client_command(app, "allocate", rich_help_panel=_PANEL)(allocate)
    client_command(app, "unallocate", rich_help_panel=_PANEL)(unallocate)
    client_command(app, "reallocate", rich_help_panel=_PANEL)(reallocate)


def allocate(
    session: Session,
    words: _Words,
    path: Annotated[str, typer.Option(metavar="PATH", help="The group path that gets the units.")],
    dimension: DimensionOption = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ring-fence free units of the common pool for a group path.

    All lines or none. Shows the pools as they stand after it.

    Example: ringfence allocate BIKE-RED berlin 200 --path web/london/vip
    """
    wanted = inputs.lines(words, path=_fenced(path, "--path"), fixed=inputs.dimensions(dimension or ()))
    with session.client() as client:
        result = client.allocate(wanted, request_id=request_id)
    _write(result, as_json)


def unallocate(
    session: Session,
    words: Annotated[
        list[str],
        typer.Argument(metavar="SKU LOCATION QUANTITY", help="One line, or several; with --all SKU LOCATION."),
    ],
    path: Annotated[str, typer.Option(metavar="PATH", help="The group path that gives the units back.")],
    all_free: Annotated[bool, typer.Option("--all", help="Everything that is free at that moment.")] = False,
    dimension: DimensionOption = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give free units of a group path back to the common pool.

    Held and sold units stay where they are.

    Example: ringfence unallocate BIKE-RED berlin --all --path web/london/vip
    """
    fixed = inputs.dimensions(dimension or ())
    path = _fenced(path, "--path")
    wanted: Any = (
        inputs.free_lines(words, path=path, fixed=fixed) if all_free else inputs.lines(words, path=path, fixed=fixed)
    )
    with session.client() as client:
        result = client.unallocate(wanted, request_id=request_id)
    _write(result, as_json)


def reallocate(
    session: Session,
    words: _Words,
    from_path: Annotated[str, typer.Option("--from", metavar="PATH", help="Who gives; else the common pool.")] = "",
    to_path: Annotated[str, typer.Option("--to", metavar="PATH", help="Who gets; else the common pool.")] = "",
    dimension: DimensionOption = None,
    request_id: RequestIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move free units from one group path to another.

    Example: ringfence reallocate BIKE-RED berlin 50 --from web/london/vip --to store
    """
    if from_path == to_path:
        raise BadInput("--from and --to name different paths; one of them may be left out, which is the common pool")
    wanted = inputs.moves(words, from_path=from_path, to_path=to_path, fixed=inputs.dimensions(dimension or ()))
    with session.client() as client:
        result = client.reallocate(wanted, request_id=request_id)
    _write(result, as_json)


def _fenced(path: str, name: str) -> str:
    if not path:
        raise BadInput(f"{name} is a group path such as web/london; what is fenced for nobody is in the common pool")
    return path


def _write(result: AllocateResult | UnallocateResult | ReallocateResult, as_json: bool) -> None:
    from .views import note_replay, write_pools

    if as_json:
        from .output import write_json
        from .plain import plain

        write_json({"request_id": result.request_id, **plain(result.raw)})
        return
    note_replay(result.replayed)
    write_pools(result.pools)
