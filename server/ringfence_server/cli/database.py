"""`ringfence db`: a database without a server: its schema, its settings, copying it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from ringfence_server.store.verify_database import Verified

DATABASE_VARIABLE: Final = "RINGFENCE_DATABASE_URL"
DATABASE_HELP: Final = (
    "Where the ledger is kept: sqlite:///relative.db, sqlite:////absolute.db, "
    "postgresql+asyncpg://user:password@host:port/database (TLS: ?sslmode=verify-full&sslrootcert=FILE)."
)
DEFAULT_DATABASE: Final = "sqlite:///ringfence.db"

_DatabaseOption = Annotated[
    str, typer.Option("--database-url", envvar=DATABASE_VARIABLE, metavar="URL", help=DATABASE_HELP)
]


def add_commands(app: typer.Typer) -> None:
    """Adds the group `db`."""
    database = typer.Typer(no_args_is_help=True, help="A database without a server: its schema, its settings, a copy.")
    for command in (upgrade, current, check, copy, distribute):
        database.command(command.__name__)(command)
    app.add_typer(database, name="db", rich_help_panel="Server")


def upgrade(database_url: _DatabaseOption = DEFAULT_DATABASE) -> None:
    """Bring the database to the schema of this release, making it when there is none. `serve` does this by itself."""
    from ringfence_server.store import migrate

    with _plain_failures(database_url) as shown:
        migrate.upgrade(database_url)
        typer.echo(f"{shown}: {migrate.current(database_url)}")


def current(database_url: _DatabaseOption = DEFAULT_DATABASE) -> None:
    """Print the revision of the database's schema."""
    from sqlalchemy import make_url

    from ringfence_server.store import migrate
    from ringfence_server.store.connect import is_postgres

    with _plain_failures(database_url) as shown:
        # Looking at a file that is not there must not make it.
        there = is_postgres(database_url) or Path(make_url(database_url).database or "").exists()
        typer.echo(f"{shown}: {(migrate.current(database_url) if there else None) or 'empty'}")


def check(database_url: _DatabaseOption = DEFAULT_DATABASE) -> None:
    """Say what the database is and whether its settings keep what is answered. Changes nothing.

    Exit code 1 when something must not be so, with a line for each.
    """
    import asyncio

    from ringfence_server.store import check as checks

    with _plain_failures(database_url):
        found = asyncio.run(checks.check(database_url))
        for name, value in found.facts:
            typer.echo(f"{name}: {value}")
        for fault in found.faults:
            typer.echo(f"ringfence: {fault}", err=True)
    if found.faults:
        raise typer.Exit(1)


def copy(
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="The SQLite ledger to copy; no server may have it open.")
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="URL", help="The PostgreSQL database to copy it to; it must be empty.")
    ],
) -> None:
    """Copy a SQLite ledger into an empty PostgreSQL database, and verify both.

    It is one transaction: when it fails, or is interrupted, the target is as empty as before, and the copy is made
    anew. Outcomes of requests, reservations' ids and order references are the same afterwards; watches begin anew.

    Example: ringfence db copy --from sqlite:///ringfence.db --to postgresql+asyncpg://user@host/ringfence
    """
    import asyncio

    from ringfence_server.store.connect import is_postgres

    if is_postgres(source) or not is_postgres(target):
        _fail("db copy goes from SQLite to PostgreSQL: --from sqlite:///FILE --to postgresql+asyncpg://…")
    with _plain_failures(source) as shown_source, _plain_failures(target) as shown_target:
        copied, verified = asyncio.run(_copy(source, target))
        typer.echo(f"{shown_target}: copied {sum(copied.values()):,} rows of {shown_source}")
        for name, found in verified.items():
            said = (
                f"{len(found.flaws)} violations, the first: {found.flaws[0]}" if found.flaws else "everything adds up"
            )
            typer.echo(f"{name}: {found.keys:,} stock keys, {found.entries:,} ledger entries: {said}")
        if len({(found.keys, found.entries) for found in verified.values()}) != 1:
            _fail("the copy differs from its source: do not use it")
    if any(found.flaws for found in verified.values()):
        raise typer.Exit(1)


def distribute(database_url: _DatabaseOption) -> None:
    """Spread the tables over the machines of a Citus cluster, by slot. The servers must be down.

    What is spread already stays as it is.
    """
    import asyncio

    from ringfence_server.store.connect import PostgresOptions, is_postgres
    from ringfence_server.store.distribute import distribute as spread

    if not is_postgres(database_url):
        _fail("db distribute needs a PostgreSQL database with the Citus extension")
    with _plain_failures(database_url) as shown:
        asyncio.run(spread(database_url, PostgresOptions()))
        typer.echo(f"{shown}: spread by slot")


async def _copy(source: str, target: str) -> tuple[dict[str, int], dict[str, Verified]]:
    from ringfence_server.store.connect import shown
    from ringfence_server.store.copy import copy as copy_ledger
    from ringfence_server.store.verify_database import verify_database

    with _progress("rows") as tell:
        copied = await copy_ledger(source, target, tell)
    verified = {}
    with _progress("keys") as tell:
        for url in (source, target):
            verified[shown(url)] = await verify_database(url, partial(tell, f"verifying {shown(url)}"))
    return copied, verified


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each thing that is told of, on a terminal's stderr; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from .output import progress_bar

    tasks: dict[str, Any] = {}
    with progress_bar(unit) as bar:

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield advance


@contextmanager
def _plain_failures(url: str) -> Iterator[str]:
    """Says in one plain line what is wrong with a database; gives its URL as it may be shown."""
    from ringfence_server.database_url import check_database_url
    from ringfence_server.ledger.work import StoreUnavailable
    from ringfence_server.store.connect import is_postgres, shown
    from ringfence_server.store.copy import CopyRefused
    from ringfence_server.store.errors import NETWORK_ERRORS, translated

    name = shown(url) if is_postgres(url) else url
    try:
        check_database_url(url)
        yield name
    except (StoreUnavailable, CopyRefused, ValueError) as error:
        _fail(str(error))
    except NETWORK_ERRORS as error:
        _fail(f"the database {name} cannot be opened: {translated(error)}")


def _fail(line: str) -> None:
    typer.echo(f"ringfence: {line}", err=True)
    raise typer.Exit(1)
