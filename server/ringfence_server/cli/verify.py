"""`verify`: recomputes every balance from the ledger and says whether everything adds up."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import REFUSED
from .session import JsonOption, Session, client_command

if TYPE_CHECKING:
    from ringfence import VerifyReport


def add_commands(app: typer.Typer) -> None:
    """Adds the command."""
    client_command(app, "verify", rich_help_panel="Ledger")(verify)


def verify(
    session: Session,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="Only this SKU; none: everything.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Recompute every balance from the ledger and check conservation.

    Exit code 1 when anything does not add up.

    Example: ringfence verify && echo all is well
    """
    with session.client() as client, _Progress() as progress:
        # A large ledger takes its time: only a deadline that was asked for is one.
        timeout = client.config.timeout if session.connection.timeout else None
        report = client.verify(sku, progress=progress.show, timeout=timeout)
    if as_json:
        from .output import write_json
        from .plain import plain

        write_json(plain(report.raw))
    else:
        _write(report, sku)
    if not report.ok:
        raise typer.Exit(REFUSED)


def _write(report: VerifyReport, sku: str) -> None:
    from .output import Column, counted, path_text, write_note, write_table
    from .views import dimensions_of, key_cells, key_columns

    dimensions = dimensions_of(violation.key for violation in report.violations)
    write_table(
        [*key_columns(dimensions), Column("path"), Column("rule"), Column("description")],
        (
            [*key_cells(found.key, dimensions), path_text(found.path), found.rule, found.description]
            for found in report.violations
        ),
    )
    checked = f"{counted(report.keys_checked, 'stock key')}, {counted(report.entries_read, 'ledger entry')}"
    if report.ok:
        print(f"{checked}: everything adds up")
        if sku and not report.keys_checked:
            write_note(f"no source ever posted {sku}: `ringfence stock show` lists what there is")
    elif report.violations:
        print(f"{checked}: {counted(len(report.violations), 'violation')}")
    else:
        print(f"{checked}: no verdict, the service ended the check early; run it again")


class _Progress:
    """A bar on a terminal's stderr; nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._context: AbstractContextManager[Any] = nullcontext()

    def show(self, report: VerifyReport) -> None:
        """Shows how far it is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=report.keys_checked, total=report.keys_total or None)

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            from .output import progress_bar

            self._context = self._bar = progress_bar("keys")
            self._task = self._bar.add_task("verify", total=None)
        self._context.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._context.__exit__(*raised)
